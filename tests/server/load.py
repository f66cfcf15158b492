#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The server under load from many clients, and afterwards nothing may be left.

    load.py [--seconds N] [--clients N] [--threads N] [--benchmark] [--benchmark-keys N]
            [--no-flushall] [--seed N] [--memory OPTIONS] SERVER

SERVER is the executable. Each client is a process that sends random commands of all kinds in pipelines; with
--benchmark redis-benchmark runs too, again and again. Every reply must be well-formed. At the end FLUSHALL, and the
collector must come to exactly zero objects; SIGTERM must end the server with status 0; and it must not have
complained, which under ThreadSanitizer says that there was no race.
"""

import argparse
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(__file__))
from compare import Generator  # noqa: E402
from process import Server, check_empty, numbers  # noqa: E402
from resp import Client, Error  # noqa: E402

NAMES = 6000  # enough for the tables of the shards to grow again after each FLUSHALL
BENCHMARK = "ping,set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,zadd,zpopmin,mset"


class LoadGenerator(Generator):
    """compare.py's commands, those that Redis does not have, or whose replies depend on time or on other clients."""

    def __init__(self, seed, flushes=True):
        super().__init__(seed)
        self.flushes = flushes

    def name(self):
        return f"name{self.random.randrange(NAMES)}"

    def path(self):
        labels = [self.one(["root1", "root2", "root3"])] + [self.one("abcdef") for _ in range(self.random.randrange(4))]
        return "/".join(labels)

    def command(self):
        kind = self.random.random()
        if kind < 0.4:
            words = super().command()
            # Too many of these, and there is never anything to flush or to walk over.
            is_rare = words[0] in (b"flushall", b"keys")
            if (is_rare and self.random.random() < 0.9) or (words[0] == b"flushall" and not self.flushes):
                return [b"dbsize"]
            return words
        n, p, value = self.name, self.path, lambda: "v" * self.random.randrange(100)
        strings = [
            lambda: ["set", n(), value()], lambda: ["set", n(), value()], lambda: ["get", n()], lambda: ["get", n()],
            lambda: ["set", n(), value(), "px", self.random.randrange(1, 300)],
            lambda: ["pexpire", n(), self.random.randrange(1, 300)],
            lambda: ["mset", *self.many(1, 20, lambda: [n(), value()])], lambda: ["del", *self.many(1, 5,
            lambda: [n()])],
            lambda: ["mget", *self.many(1, 20, lambda: [n()])], lambda: ["getset", n(), value()],
            lambda: ["append", n(), "more"],
            lambda: ["scan", self.random.randrange(256), "count", 50], lambda: ["info", "collector"],
            lambda: ["pttl", n()],
            lambda: ["sadd", "large set", *self.many(1, 20, lambda: [n()])], lambda: ["spop", "large set", 15],
            lambda: ["zadd", "large zset", *self.many(1, 10, lambda: [self.random.randrange(1000), n()])],
            lambda: ["zpopmin", "large zset", 8], lambda: ["hset", "large hash", *self.many(1, 10,
            lambda: [n(), value()])],
            lambda: ["hdel", "large hash", *self.many(1, 20, lambda: [n()])],
            lambda: ["rpush", "large list", *self.many(1, 20, lambda: [value()])],
            lambda: ["lpop", "large list", 15], lambda: ["lrange", "large list", 0, 20],
        ]
        graph = [
            lambda: ["gadd", p()], lambda: ["gadd", p()], lambda: ["gadd", p()], lambda: ["glink", p(), p()],
            lambda: ["glink", p(), p()],
            lambda: ["gunlink", p(), p()], lambda: ["gneighbors", p(), self.one(["in", "out"])],
            lambda: ["gbfs", p(), 100],
            lambda: ["gpath", p(), p()], lambda: ["gdrop", p()], lambda: ["del", self.one(["root1", "root2", "root3"])],
        ]
        words = self.one(strings if kind < 0.8 else graph)()
        return [str(w).encode("latin-1") for w in words]


class GraphGenerator(LoadGenerator):
    """Only the graph, so that it grows, falls apart, and leaves rings behind."""

    def command(self):
        while True:
            words = super().command()
            if words[0] in (b"gadd", b"glink", b"gunlink", b"gneighbors", b"gbfs", b"gpath", b"gdrop"):
                return words


def is_wrong(command, reply):
    """Errors that no command of the generators may cause; those about types and numbers are theirs to make."""
    return isinstance(reply, Error) and (
        b"Protocol error" in reply or (b"unknown command" in reply and command[0] not in (b"nosuch", b"")))


def client(port, generator, until, queue):
    """Runs in a process of its own; puts what it has sent, and what was wrong, or None."""
    sent, wrong = 0, None
    try:
        connection = Client(port, timeout=120)
        while wrong is None and time.monotonic() < until:
            batch = [generator.command() for _ in range(generator.random.randrange(1, 40))]
            for command, reply in zip(batch, connection.pipeline(batch)):
                sent += 1
                if is_wrong(command, reply):
                    wrong = f"{command!r}: {reply!r}"
        connection.close()
    except (OSError, ValueError, EOFError) as error:
        wrong = f"after {sent} commands: {error!r}"
    queue.put((sent, wrong))


def run_benchmark(port, until, queue, keys):
    """redis-benchmark again and again."""
    sent, wrong = 0, None
    while wrong is None and time.monotonic() < until:
        requests = 5000
        result = subprocess.run(["redis-benchmark", "-p", str(port), "-q", "-n", str(requests), "-r", str(keys),
                                 "-P", "16", "-c", "20", "-t", BENCHMARK], capture_output=True, text=True, check=False)
        sent += requests * (BENCHMARK.count(",") + 1)
        if result.returncode != 0 or "rror" in result.stdout + result.stderr:
            wrong = f"redis-benchmark: {result.returncode}, {result.stdout[-500:]}{result.stderr[-500:]}"
    queue.put((sent, wrong))


def load(port, options):
    """All clients at once; returns how many commands they sent, and the first thing that was wrong."""
    until, queue = time.monotonic() + options.seconds, multiprocessing.Queue()
    kinds = [LoadGenerator] * (options.clients - options.clients // 4) + [GraphGenerator] * (options.clients // 4)
    generators = [kind(options.seed + i, not options.no_flushall) for i, kind in enumerate(kinds)]
    processes = [multiprocessing.Process(target=client, args=(port, generator, until, queue))
                 for generator in generators]
    if options.benchmark:
        processes.append(multiprocessing.Process(target=run_benchmark,
                                                 args=(port, until, queue, options.benchmark_keys)))
    for process in processes:
        process.start()
    results = [queue.get() for _ in processes]
    for process in processes:
        process.join()
    return sum(sent for sent, _ in results), [wrong for _, wrong in results if wrong is not None]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("SECONDS_OF_LOAD") or 10))
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--threads", type=int, default=4, help="of the server")
    parser.add_argument("--benchmark", action="store_true")
    parser.add_argument("--benchmark-keys", type=int, default=10000)
    parser.add_argument("--no-flushall", action="store_true", help="but for the one at the end")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED") or random.randrange(1 << 32)))
    parser.add_argument("--memory", help="the library's options, name=value,...")
    parser.add_argument("server")
    options = parser.parse_args()
    print(f"load.py: {options.clients} clients, {options.seconds:g} s, seed {options.seed}", flush=True)
    with tempfile.TemporaryFile("w+") as log:
        memory = ["--memory", options.memory] if options.memory else []
        server = Server(options.server, "--threads", str(options.threads), *memory, log=log)
        sent, wrong = load(server.port, options)
        try:
            connection = server.client(timeout=120)
            before = numbers(connection)
            connection.call("flushall")
            wrong += check_empty(connection)
            after = numbers(connection)
            connection.close()
            print(f"load.py: {sent} commands; {before['objects_live']} objects before FLUSHALL, "
                  f"{after['objects_live']} after; "
                  f"{after['objects_allocated']} made, {after['objects_freed_by_count']} freed by count, "
                  f"{after['objects_freed_locally']} locally, {after['objects_freed_by_detector']} by the detector, "
                  f"{after['freed_unpublished_permille'] / 10} % of all before anybody else could see them")
        except (OSError, ValueError, EOFError) as error:
            wrong.append(f"after the load: {error!r}")
        status, out = server.stop()
        if status != 0 or "; 0 objects left" not in out:
            wrong.append(f"the server ended with status {status}: {out.strip()}")
        log.seek(0)
        complaints = log.read()
    if complaints:
        wrong.append("the server complained:\n" + complaints[:20000])
    for line in wrong:
        print(f"load.py: seed {options.seed}: {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
