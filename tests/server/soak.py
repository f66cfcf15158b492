#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The server under load for a long time: memory and live objects must stay flat, and nothing may be left at the end.

    soak.py BUILD_DIRECTORY

DURATION= seconds (1800), THREADS= of the server (2), CLIENTS= with random commands (4), MAXMEMORY= bytes of the store
(16777216), SEED=. redis-benchmark sets more keys than fit, again and again; random clients send commands of all kinds,
keys that expire among them; graphs grow and fall apart. A sample each second goes to build/server-soak.csv, and the
picture, drawn by gnuplot, to build/server-soak.svg. Flat is what stress/soak.py says it is.
"""

import argparse
import importlib.util
import multiprocessing
import os
import random
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(__file__))
from load import load  # noqa: E402
from process import Server, check_empty, numbers  # noqa: E402


def stress_soak():
    """stress/soak.py, whose name is this file's too."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../stress/soak.py")
    spec = importlib.util.spec_from_file_location("stress_soak", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def sample(port, duration, csv_name, pipe):
    """A process of its own, so that the clients' work delays no sample."""
    fields, begun = stress_soak().FIELDS, time.monotonic()
    with open(csv_name, "w", encoding="ascii") as csv:
        csv.write("seconds,program," + ",".join(fields) + "\n")
        server = Server.__new__(Server)
        server.port = port
        connection = server.client(timeout=120)
        while (seconds := time.monotonic() - begun) < duration:
            values = numbers(connection)
            values["resident_bytes"] = numbers(connection, "memory")["used_memory_rss"]
            csv.write(f"{seconds:.0f},cgc-server," + ",".join(str(values[field]) for field in fields) + "\n")
            csv.flush()
            time.sleep(max(0, begun + int(seconds) + 1 - time.monotonic()))
        connection.close()
    pipe.send(None)


def main():
    soak, build = stress_soak(), sys.argv[1]
    duration, seed = int(os.environ.get("DURATION") or 1800), int(os.environ.get("SEED") or random.randrange(1 << 32))
    csv_name, picture = "build/server-soak.csv", "build/server-soak.svg"
    options = argparse.Namespace(seconds=duration, clients=int(os.environ.get("CLIENTS") or 4), seed=seed,
                                 benchmark=True, benchmark_keys=200000, no_flushall=True)
    print(f"soak.py: cgc-server, {duration} s, seed {seed}", flush=True)
    with tempfile.TemporaryFile("w+") as log:
        server = Server(os.path.join(build, "cgc-server"), "--threads", os.environ.get("THREADS") or "2", "--maxmemory",
                        os.environ.get("MAXMEMORY") or "16777216", log=log)
        done, pipe = multiprocessing.Pipe()
        sampler = multiprocessing.Process(target=sample, args=(server.port, duration, csv_name, pipe))
        sampler.start()
        sent, wrong = load(server.port, options)
        sampler.join()
        connection = server.client(timeout=120)
        stats, collector = numbers(connection, "stats"), numbers(connection)
        for name in ("expired_keys", "evicted_keys"):
            if stats[name] == 0:
                wrong.append(f"no {name.replace('_', ' ')}: not the load that this is about")
        connection.call("flushall")
        wrong += check_empty(connection)
        connection.close()
        status, out = server.stop()
        if status != 0 or "; 0 objects left" not in out:
            wrong.append(f"the server ended with status {status}: {out.strip()}")
        log.seek(0)
        complaints = log.read()
        if complaints:
            wrong.append("the server complained:\n" + complaints[:20000])
    if not done.poll():
        wrong.append("the samples ended early")
    flat = soak.check(soak.read(csv_name), ["cgc-server"])
    soak.draw(csv_name, picture, ["cgc-server"])
    print(f"soak.py: {sent} commands, {stats['expired_keys']} keys expired, {stats['evicted_keys']} evicted, "
          f"{collector['objects_freed_by_count']} objects freed by count, "
          f"{collector['objects_freed_by_detector']} by the detector, "
          f"{collector['windows']} windows, paced {collector['paced_nanoseconds'] / 1e6:.0f} ms, "
          f"longest stall {collector['longest_stall_nanoseconds'] / 1e6:.1f} ms")
    for line in wrong:
        print(f"soak.py: seed {seed}: {line}")
    print(f"soak.py: {'flat' if flat else 'NOT FLAT'}, {'0 objects left' if not wrong else 'FAILED'}; "
          f"{csv_name}, {picture}")
    return 0 if flat and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())
