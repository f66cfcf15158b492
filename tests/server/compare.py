#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The same random commands to the server and to redis-server; every reply must be the same.

    compare.py SERVER [COMMANDS [SEED]]

SERVER is the executable. Where Redis promises no order (sets, hashes, keys), replies are compared sorted. What was
sent before the first difference is printed, with the seed.
"""

import os
import random
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(__file__))
from resp import Client, Error  # noqa: E402

UNORDERED = {"hgetall", "hkeys", "hvals", "smembers", "keys"}
KEYS = [f"key{i}" for i in range(24)] + ["", "with space", "\x00\xff\n"]
VALUES = ["", "0", "1", "-1", "10", "007", "1.5", "9223372036854775807", "-9223372036854775808", " 1", "text", "a b",
          "\r\n", "x" * 300, "\x00\x01\xfe"]


class Generator:
    """Commands, most of them sensible; some with a wrong type, number or arity."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def one(self, words):
        return self.random.choice(words)

    def key(self):
        return self.one(KEYS)

    def value(self):
        return self.one(VALUES) if self.random.random() < 0.5 else f"v{self.random.randrange(50)}"

    def number(self):
        return self.one([0, 1, 2, 3, -1, -2, 5, 100, -100, self.random.randrange(-20, 20), "x", "", "1.0"])

    def index(self):
        return self.one([0, 1, 2, -1, -2, 5, 100, -100])

    def score(self):
        return self.one([0, 1, 2.5, -3, 1e3, 7, "inf", "-inf", "nan", "x", 4])

    def many(self, least, most, make):
        return [w for _ in range(self.random.randint(least, most)) for w in make()]

    def command(self):
        k, v, n, i = self.key, self.value, self.number, self.index
        field = lambda: f"f{self.random.randrange(12)}"  # noqa: E731
        member = lambda: f"m{self.random.randrange(12)}"  # noqa: E731
        choices = [
            lambda: ["set", k(), v()],
            lambda: ["set", k(), v(), *self.one([["nx"], ["xx"], ["get"], ["nx", "xx"], ["ex", 1000], ["px", 100000],
                                                 ["ex", 0], ["ex", "x"], ["keepttl"], ["ex", 10, "keepttl"], ["what"],
                                                 ["nx", "get"], ["exat", 99999999999], ["px", -5], ["ex"]])],
            lambda: ["get", k()], lambda: ["mget", *self.many(1, 4, lambda: [k()])],
            lambda: ["setnx", k(), v()], lambda: ["setex", k(), n(), v()], lambda: ["psetex", k(), 100000, v()],
            lambda: ["getset", k(), v()], lambda: ["getdel", k()], lambda: ["mset", *self.many(1, 3, lambda: [k(), v()])],
            lambda: ["mset", k()], lambda: ["incr", k()], lambda: ["decr", k()], lambda: ["incrby", k(), n()],
            lambda: ["decrby", k(), n()], lambda: ["append", k(), v()], lambda: ["strlen", k()],
            lambda: ["del", *self.many(1, 3, lambda: [k()])], lambda: ["unlink", k()],
            lambda: ["exists", *self.many(1, 3, lambda: [k()])], lambda: ["type", k()],
            lambda: ["expire", k(), self.one([1000, 0, -1, "x", 9223372036854775807])], lambda: ["persist", k()],
            lambda: ["ttl", k()], lambda: ["dbsize"], lambda: ["keys", self.one(["*", "key1*", "key?", "nothing", "key[12]"])],
            lambda: [self.one(["lpush", "rpush", "lpushx", "rpushx"]), k(), *self.many(1, 4, lambda: [v()])],
            lambda: [self.one(["lpop", "rpop"]), k()], lambda: [self.one(["lpop", "rpop"]), k(), n()],
            lambda: ["llen", k()], lambda: ["lrange", k(), i(), i()], lambda: ["lindex", k(), i()],
            lambda: ["hset", k(), *self.many(1, 4, lambda: [field(), v()])], lambda: ["hset", k(), field()],
            lambda: ["hmset", k(), field(), v()], lambda: ["hsetnx", k(), field(), v()], lambda: ["hget", k(), field()],
            lambda: ["hmget", k(), *self.many(1, 3, lambda: [field()])], lambda: ["hgetall", k()], lambda: ["hkeys", k()],
            lambda: ["hvals", k()], lambda: ["hdel", k(), *self.many(1, 3, lambda: [field()])], lambda: ["hlen", k()],
            lambda: ["hexists", k(), field()],
            lambda: ["sadd", k(), *self.many(1, 4, lambda: [member()])],
            lambda: ["srem", k(), *self.many(1, 3, lambda: [member()])], lambda: ["smembers", k()], lambda: ["scard", k()],
            lambda: ["sismember", k(), member()], lambda: ["spop", k(), 1000], lambda: ["spop", k(), self.one([0, -1, "x"])],
            lambda: ["zadd", k(), *self.many(1, 4, lambda: [self.score(), member()])],
            lambda: ["zadd", k(), self.one(["nx", "xx", "ch"]), self.score(), member()], lambda: ["zadd", k(), "nx", "xx", 1, "a"],
            lambda: ["zadd", k(), 1], lambda: ["zrem", k(), *self.many(1, 2, lambda: [member()])],
            lambda: ["zrange", k(), i(), i()], lambda: ["zrange", k(), i(), i(), "withscores"], lambda: ["zpopmin", k()],
            lambda: ["zpopmin", k(), n()], lambda: ["zcard", k()], lambda: ["zscore", k(), member()],
            lambda: ["ping"], lambda: ["ping", v()], lambda: ["ping", "a", "b"], lambda: ["echo", v()], lambda: ["select", self.one([0, "x"])],
            lambda: ["get"], lambda: ["set", k()], lambda: ["nosuch", v()], lambda: ["GeT", k()], lambda: [""],
        ]
        words = self.one(choices)()
        if self.random.random() < 0.002:
            words = ["flushall"]
        return [w if isinstance(w, bytes) else str(w).encode("latin-1") for w in words]


def normal(command, reply):
    name = command[0].decode("latin-1").lower()
    if isinstance(reply, list) and (name in UNORDERED or name == "spop"):
        if name == "hgetall":
            return sorted(zip(reply[::2], reply[1::2]))
        return sorted(reply)
    return reply


def wait_for(port, process):
    for _ in range(600):
        if process.poll() is not None:
            sys.exit(f"compare.py: {process.args[0]} ended with status {process.returncode}")
        try:
            return Client(port)
        except OSError:
            time.sleep(0.05)
    sys.exit(f"compare.py: {process.args[0]} does not answer on port {port}")


def free_port():
    import socket
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def main():
    executable = sys.argv[1]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 20000
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(1 << 32)
    print(f"compare.py: {count} commands, seed {seed}", flush=True)
    ports = [free_port(), free_port()]
    with tempfile.TemporaryDirectory() as directory:
        processes = [
            subprocess.Popen([executable, "--port", str(ports[0])], stdout=subprocess.DEVNULL),
            subprocess.Popen(["redis-server", "--port", str(ports[1]), "--save", "", "--dir", directory],
                             stdout=subprocess.DEVNULL),
        ]
        try:
            ours, theirs = (wait_for(port, process) for port, process in zip(ports, processes))
            generator, sent = Generator(seed), []
            while len(sent) < count:
                batch = [generator.command() for _ in range(min(50, count - len(sent)))]
                for command, a, b in zip(batch, ours.pipeline(batch), theirs.pipeline(batch)):
                    sent.append(command)
                    if (normal(command, a), type(a) is Error) != (normal(command, b), type(b) is Error):
                        print(f"compare.py: seed {seed}, command {len(sent)}: {command!r}\n  ours:  {a!r}\n  redis: {b!r}")
                        key = command[1] if len(command) > 1 else None
                        for earlier in [c for c in sent[:-1] if key in c[1:]][-12:]:
                            print(f"  before: {earlier!r}")
                        return 1
            print(f"compare.py: {len(sent)} replies, all the same")
        finally:
            for process in processes:
                process.terminate()
            status = [process.wait() for process in processes][0]
    if status != 0:
        print(f"compare.py: the server ended with status {status}")
    return status


if __name__ == "__main__":
    sys.exit(main())
