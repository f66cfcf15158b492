#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What FLUSHALL of very many keys does to the others: a measurement.

    flushall.py SERVER

SERVER is the executable. KEYS= how many (10000000), SECONDS_IDLE= before and after (5), CLIENTS= that send PING and
GET in a closed loop meanwhile (4), THREADS= of the server (2). Printed: the latencies of these clients before FLUSHALL,
during it, until all memory is back, and after that. A request counts for every part of the time that it touches. No
time makes it fail; a key too many, an object that is left, or a wrong reply does.
"""

import array
import multiprocessing
import os
import random
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))
from process import Server, check_empty, numbers  # noqa: E402
from resp import Client  # noqa: E402

KEYS = int(os.environ.get("KEYS") or 10000000)
SECONDS_IDLE = float(os.environ.get("SECONDS_IDLE") or 5)
CLIENTS = int(os.environ.get("CLIENTS") or 4)
THREADS = int(os.environ.get("THREADS") or 2)
BATCH = 5000
PATIENCE = 1800  # seconds; ends a hung measurement


def load(port, first, last):
    """SETs in pipelines; each batch is sent before the replies to the last one are read."""
    connection, waiting = Client(port, timeout=PATIENCE), 0
    request = b"*3\r\n$3\r\nSET\r\n$12\r\nkey:%08d\r\n$8\r\n%08d\r\n"
    for begin in range(first, last, BATCH):
        end = min(begin + BATCH, last)
        connection.send(b"".join(request % (i, i) for i in range(begin, end)))
        if connection.file.read(5 * waiting) != b"+OK\r\n" * waiting:
            sys.exit("flushall.py: a SET was not answered by OK")
        waiting = end - begin
    if connection.file.read(5 * waiting) != b"+OK\r\n" * waiting:
        sys.exit("flushall.py: a SET was not answered by OK")
    connection.close()


def watch(port, number, done, pipe):
    """PING and GET in turn until `done`; sends when each request began and ended."""
    rng, times = random.Random(number), array.array("d")
    connection = Client(port, timeout=PATIENCE)
    ping = connection.encode(["ping"])
    pipe.send(None)
    while not done.is_set():
        key = rng.randrange(KEYS)
        get = connection.encode(["get", "key:%08d" % key])
        for request, expected in (ping, (b"PONG",)), (get, (b"%08d" % key, None)):
            begun = time.monotonic()
            connection.send(request)
            reply = connection.reply()
            times.append(begun)
            times.append(time.monotonic())
            if reply not in expected:
                sys.exit(f"flushall.py: {request!r}: {reply!r}")
    connection.close()
    pipe.send_bytes(times.tobytes())


def latencies(times, begin, end):
    """Those of the requests that touch this part of the time, in milliseconds, sorted."""
    return sorted(1e3 * (b - a) for a, b in zip(times[::2], times[1::2]) if a < end and b > begin)


def peak_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:"))


def wait_until_falling(connection):
    """When a tenth of the objects was gone, and when looks of the detector had ended until then."""
    first, looks, windows, begun = numbers(connection), [], None, time.monotonic()
    while True:
        last = numbers(connection)
        if windows is not None and last["windows"] > windows:
            looks.append(time.monotonic())
        windows = last["windows"]
        if last["objects_live"] <= first["objects_live"] * 0.9 or time.monotonic() - begun > PATIENCE:
            return time.monotonic(), looks
        time.sleep(0.01)


def in_processes(work, arguments):
    processes = [multiprocessing.Process(target=work, args=each) for each in arguments]
    for process in processes:
        process.start()
    return processes


def measure(server, connection):
    """The parts of the time, each (name, begin, end), and what was wrong; prints what happened."""
    done, pipes = multiprocessing.Event(), [multiprocessing.Pipe() for _ in range(CLIENTS)]
    watchers = in_processes(watch, [(server.port, i, done, pipes[i][1]) for i in range(CLIENTS)])
    for pipe, _ in pipes:
        pipe.recv()
    connection.call("config", "resetstat")
    marks = [time.monotonic()]
    time.sleep(SECONDS_IDLE)
    idle_stall = numbers(connection)["longest_stall_nanoseconds"]
    connection.call("config", "resetstat")
    before, rss = numbers(connection), numbers(connection, "memory")["used_memory_rss"]
    marks.append(time.monotonic())
    reply = connection.call("flushall")
    marks.append(time.monotonic())
    wrong = [] if reply == b"OK" else [f"FLUSHALL: {reply!r}"]
    falls, looks = wait_until_falling(connection)
    wrong += check_empty(connection, PATIENCE)
    marks.append(time.monotonic())
    after = numbers(connection)
    time.sleep(SECONDS_IDLE)
    marks.append(time.monotonic())
    late, rss_late = numbers(connection), numbers(connection, "memory")["used_memory_rss"]
    done.set()
    times = array.array("d")
    for pipe, _ in pipes:
        times.frombytes(pipe.recv_bytes())
    for watcher in watchers:
        watcher.join()
        if watcher.exitcode != 0:
            wrong.append("a client ended with an error")
    print(f"flushall.py: FLUSHALL was answered after {1e3 * (marks[2] - marks[1]):.3f} ms; a tenth of the objects was "
          f"gone {falls - marks[2]:.3f} s later, all {marks[3] - marks[2]:.3f} s later")
    print(f"flushall.py: looks of the detector ended, seconds after FLUSHALL: "
          f"{', '.join(f'{look - marks[2]:.3f}' for look in looks) or 'none'}; "
          f"{after['windows'] - before['windows']} in all, "
          f"{(after['window_nanoseconds'] - before['window_nanoseconds']) / 1e9:.3f} s, "
          f"{after['windows_aborted'] - before['windows_aborted']} given up")
    print(f"flushall.py: objects {before['objects_live']} -> {after['objects_live']}; bytes_reserved MiB "
          f"{before['bytes_reserved'] >> 20} -> {after['bytes_reserved'] >> 20} -> "
          f"{late['bytes_reserved'] >> 20} at the end; "
          f"resident MiB {rss >> 20} -> {rss_late >> 20} at the end (peak {peak_bytes(server.process.pid) >> 20})")
    print(f"flushall.py: longest stall in the library, ms: {idle_stall / 1e6:.3f} before, "
          f"{after['longest_stall_nanoseconds'] / 1e6:.3f} from FLUSHALL until the memory was back")
    print(f"{'the others, ms':24}{'requests':>10}{'median':>10}{'99 %':>10}{'99.9 %':>10}{'longest':>10}")
    parts = ("idle before", "during FLUSHALL", "until memory is back", "idle after")
    for name, begin, end in zip(parts, marks, marks[1:]):
        of_part = latencies(times, begin, end)
        last = len(of_part) - 1
        at = [of_part[min(int(len(of_part) * part), last)] for part in (0.5, 0.99, 0.999, 1)] if of_part else []
        print(f"{name:24}{len(of_part):10}" + "".join(f"{value:10.3f}" for value in at))
    return wrong


def main():
    server = Server(sys.argv[1], "--threads", str(THREADS))
    connection = server.client(timeout=PATIENCE)
    begun = time.monotonic()
    half = KEYS // 2
    loaders = in_processes(load, [(server.port, 0, half), (server.port, half, KEYS)])
    for loader in loaders:
        loader.join()
    wrong = [] if all(loader.exitcode == 0 for loader in loaders) else ["a loader ended with an error"]
    size = connection.call("dbsize")
    if size != KEYS:
        wrong.append(f"{size} keys, not {KEYS}")
    print(f"flushall.py: {size} keys loaded in {time.monotonic() - begun:.1f} s", flush=True)
    if not wrong:
        wrong = measure(server, connection)
    connection.close()
    status, out = server.stop()
    if status != 0 or "; 0 objects left" not in out:
        wrong.append(f"the server ended with status {status}: {out.strip()}")
    for line in wrong:
        print(f"flushall.py: {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
