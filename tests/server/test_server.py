#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a user of the server would expect of it, tried with real clients and broken ones.

    test_server.py BUILD_DIRECTORY

SERVER= names another executable.
"""

import os
import random
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(__file__))
import process  # noqa: E402
from process import info  # noqa: E402
from resp import Client, Error  # noqa: E402

BUILD = "build/release"


def executable():
    return os.environ.get("SERVER") or os.path.join(BUILD, "cgc-server")


def start(*arguments):
    return process.Server(executable(), *arguments)


class Test(unittest.TestCase):
    arguments = ()

    def setUp(self):
        self.server = start(*self.arguments)
        self.client = self.server.client()

    def tearDown(self):
        self.client.close()
        status, out = self.server.stop()
        self.assertEqual(status, 0, out)
        self.assertIn("0 objects left", out)

    def closes(self, client):
        """The server has closed the connection."""
        try:
            return client.file.read() is not None
        except ConnectionResetError:
            return True


class Basics(Test):
    def test_the_start_up_line_says_version_and_address(self):
        self.assertRegex(self.server.start_line, r"^cgc-server \d+\.\d+\.\d+, .* listening on 127\.0\.0\.1:\d+$")

    def test_redis_cli_works_unchanged(self):
        def cli(*words):
            return subprocess.run(["redis-cli", "-p", str(self.server.port), *words], capture_output=True, text=True,
                                  check=True).stdout.strip()
        self.assertEqual(cli("ping"), "PONG")
        self.assertEqual(cli("set", "greeting", "hello world", "EX", "1000"), "OK")
        self.assertEqual(cli("get", "greeting"), "hello world")
        self.assertIn("memory_policy:", cli("info", "collector"))

    def test_redis_benchmark_works_unchanged(self):
        tests = "ping,set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,zadd,zpopmin,lrange,mset"
        result = subprocess.run(["redis-benchmark", "-p", str(self.server.port), "-q", "-n", "2000", "-r", "100", "-P", "8", "-t", tests],
                                capture_output=True, text=True, timeout=120)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertNotIn("Error", result.stdout + result.stderr)
        self.assertGreaterEqual(result.stdout.count("requests per second"), 15)

    def test_inline_commands(self):
        self.client.send(b"SET key 'two words'\r\nGET key\n  \r\nPING\r\nECHO \"a b\"\r\n")
        self.assertEqual([self.client.reply() for _ in range(4)], [b"OK", b"two words", b"PONG", b"a b"])

    def test_inline_and_arrays_can_alternate(self):
        for _ in range(300):
            self.client.send(b"PING\r\n" + Client.encode(["echo", "x" * 30]) + b"PING\r\n")
        for _ in range(300):
            self.assertEqual([self.client.reply() for _ in range(3)], [b"PONG", b"x" * 30, b"PONG"])

    def test_a_request_may_come_in_pieces(self):
        data = Client.encode(["set", "pieces", "value\r\n$3\r\n"]) + Client.encode(["get", "pieces"])
        for i in range(len(data)):
            self.client.send(data[i:i + 1])
        self.assertEqual([self.client.reply(), self.client.reply()], [b"OK", b"value\r\n$3\r\n"])

    def test_a_pipeline_of_many_requests(self):
        replies = self.client.pipeline([["set", f"key{i}", i] for i in range(5000)] + [["get", f"key{i}"] for i in range(5000)])
        self.assertEqual(replies, [b"OK"] * 5000 + [str(i).encode() for i in range(5000)])

    def test_large_values_come_back(self):
        value = os.urandom(8 << 20)
        self.assertEqual(self.client.call("set", "large", value), b"OK")
        self.assertEqual(self.client.call("get", "large"), value)

    def test_keys_expire(self):
        self.client.call("set", "soon", "1", "px", "20")
        self.client.call("set", "later", "1", "ex", "1000")
        deadline = time.time() + 30
        while self.client.call("get", "soon") is not None:
            self.assertLess(time.time(), deadline)
        while self.client.call("dbsize") != 1:
            self.assertLess(time.time(), deadline)
        self.assertGreater(self.client.call("ttl", "later"), 900)
        self.assertEqual(self.client.call("ttl", "soon"), -2)

    def test_scan_finds_every_key_once_while_nothing_changes(self):
        names = {f"key{i}".encode() for i in range(5000)}
        self.client.pipeline([["set", name, 1] for name in names])
        found, cursor = [], 0
        while True:
            cursor, part = self.client.call("scan", cursor, "count", 100)
            found += part
            if int(cursor) == 0:
                break
        self.assertEqual(len(found), len(names))
        self.assertEqual(set(found), names)

    def test_scan_finds_what_is_there_all_the_time_while_the_table_grows(self):
        names = {f"key{i}".encode() for i in range(1000)}
        self.client.pipeline([["set", name, 1] for name in names])
        found, cursor, more = set(), 0, 0
        while True:
            cursor, part = self.client.call("scan", cursor, "count", 10)
            found.update(part)
            if int(cursor) == 0:
                break
            if more < 20000: # faster than the scan, for a while
                self.client.pipeline([["set", f"more{more + i}", 1] for i in range(500)])
                more += 500
        self.assertLessEqual(names, found)

    def test_what_falls_off_the_graph_is_collected(self):
        self.client.call("gadd", "root")
        for i in range(50):
            self.client.call("gadd", f"root/{i}")
            self.client.call("gadd", f"root/{i}/leaf")
            self.client.call("glink", f"root/{i}/leaf", f"root/{i}")
        self.assertEqual(len(self.client.call("gbfs", "root")), 101)
        self.assertEqual(self.client.call("gpath", "root", "root/7/leaf"), [b"root", b"7", b"leaf"])
        self.assertEqual(self.client.call("gdrop", "root"), 50)
        self.assertEqual(self.client.call("exists", "root"), 0)

    def test_shutdown(self):
        self.client.send(Client.encode(["shutdown", "nosave"]))
        self.assertTrue(self.closes(self.client))
        self.assertEqual(self.server.process.wait(60), 0)


class Collector(Test):
    """INFO's section about the collector, by numbers that are known."""

    def setUp(self):
        super().setUp()
        if info(self.client, "collector")["memory_policy"] != "libcgc":
            self.tearDown()
            self.skipTest("another memory manager has other numbers")

    def waits_for(self, is_reached):
        """The numbers, once they are as expected, or the last ones."""
        deadline = time.time() + 60
        while True:
            found = process.numbers(self.client)
            if is_reached(found) or time.time() > deadline:
                return found

    def test_it_has_every_number(self):
        names = """objects_allocated objects_live bytes_live bytes_reserved objects_published objects_freed objects_freed_by_count
            objects_freed_locally objects_freed_by_detector objects_freed_unpublished freed_unpublished_permille objects_waiting
            bytes_waiting suspects windows windows_aborted window_candidates window_nanoseconds young_collections grace_periods
            yields paced_nanoseconds longest_stall_nanoseconds threads_attached"""
        self.assertEqual(set(names.split()), set(process.numbers(self.client)))

    def test_an_empty_store_has_no_objects(self):
        before = self.waits_for(lambda found: found["threads_attached"] == 2)
        self.assertEqual(before["threads_attached"], 2, "two loops")
        self.assertEqual([before[name] for name in ("objects_allocated", "objects_live", "objects_freed", "objects_waiting", "suspects")],
                         [0] * 5)
        self.assertEqual(self.client.pipeline([["get", "a"], ["exists", "a"], ["keys", "*"], ["scan", 0, "count", 1000], ["dbsize"]]),
                         [None, 0, [], [b"0", []], 0])
        self.assertEqual(self.client.call("flushall"), b"OK")
        self.assertEqual(process.numbers(self.client)["objects_allocated"], 0)

    def test_what_dies_published_is_told_from_what_does_not(self):
        self.client.call("gadd", "node")  # a table, an entry, a node
        first = process.numbers(self.client)
        self.assertEqual((first["objects_allocated"], first["objects_published"], first["objects_live"]), (3, 3, 3))
        self.client.call("gadd", "node")  # a node for nothing
        second = process.numbers(self.client)
        self.assertEqual((second["objects_allocated"], second["objects_published"], second["objects_freed"]), (4, 3, 1))
        self.assertEqual((second["objects_freed_unpublished"], second["freed_unpublished_permille"]), (1, 1000))
        self.client.call("flushall")
        last = self.waits_for(lambda found: found["objects_live"] == 0)
        self.assertEqual((last["objects_live"], last["bytes_live"], last["objects_waiting"], last["objects_freed"]), (0, 0, 0, 4))
        self.assertEqual((last["objects_freed_unpublished"], last["freed_unpublished_permille"]), (1, 250))

    def test_rings_are_freed_by_the_detector_and_the_rest_by_count(self):
        self.client.pipeline([["gadd", "a"], ["gadd", "a/b"], ["glink", "a/b", "a"], ["set", "string", "1"], ["del", "string", "a"]])
        last = self.waits_for(lambda found: found["objects_freed_by_detector"] > 0 and found["objects_waiting"] == 0)
        self.assertEqual(last["objects_freed_by_detector"], 6, "two nodes, and each one's edges out and in")
        self.assertGreaterEqual(last["windows"], 1)
        self.assertGreaterEqual(last["window_candidates"], 6)
        self.assertGreater(last["window_nanoseconds"], 0)
        self.assertEqual(last["objects_freed"], last["objects_freed_by_count"] + last["objects_freed_by_detector"])

    def test_the_longest_stall_begins_anew(self):
        self.client.pipeline([["set", f"key{i}", i] for i in range(20000)])
        self.client.call("config", "resetstat")
        self.assertEqual(process.numbers(self.client)["longest_stall_nanoseconds"], 0)


class Limits(Test):
    arguments = ("--maxclients", "5", "--maxoutput", "1000000")

    def test_one_connection_too_many_gets_an_error(self):
        others = [self.server.client() for _ in range(4)]
        self.assertEqual([c.call("ping") for c in others], [b"PONG"] * 4)
        late = self.server.client()
        self.assertRegex(late.reply(), b"max number of clients")
        self.assertTrue(self.closes(late))
        self.assertEqual(int(info(self.client, "stats")["rejected_connections"]), 1)
        for client in [*others, late]:
            client.close()

    def test_a_client_that_does_not_read_is_closed_and_counted(self):
        self.client.call("set", "large", "x" * 100000)
        slow = socket.create_connection(("127.0.0.1", self.server.port))
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        try:
            for _ in range(1000):
                slow.sendall(Client.encode(["get", "large"]))
        except OSError:
            pass
        deadline = time.time() + 30
        while int(info(self.client, "stats")["slow_readers_closed"]) == 0:
            self.assertLess(time.time(), deadline)
        slow.close()


class Eviction(Test):
    arguments = ("--maxmemory", "1000000")

    def test_old_keys_go_when_memory_is_short(self):
        for i in range(0, 20000, 100):
            self.client.pipeline([["set", f"key{j}", "x" * 100] for j in range(i, i + 100)] + [["get", "key0"]])
        memory = info(self.client, "memory")
        self.assertLess(int(memory["used_memory"]), 1100000)
        self.assertGreater(int(info(self.client, "stats")["evicted_keys"]), 10000)
        self.assertEqual(self.client.call("get", "key0"), b"x" * 100, "what is used all the time stays")


class Broken(Test):
    """Whatever is wrong gets an error reply, and the connection is closed where nothing after it can be read."""

    def refuses(self, data, message):
        client = self.server.client()
        client.send(data)
        reply = client.reply()
        self.assertIsInstance(reply, Error)
        self.assertRegex(reply.decode("latin-1"), message)
        self.assertTrue(self.closes(client))
        client.close()

    def test_protocol_errors(self):
        self.refuses(b"*1\r\n:1\r\n", "Protocol error: expected '\\$'")
        self.refuses(b"*x\r\n", "Protocol error: invalid multibulk length")
        self.refuses(b"*2000000\r\n", "Protocol error: invalid multibulk length")
        self.refuses(b"*1\r\n$-5\r\n", "Protocol error: invalid bulk length")
        self.refuses(b"*1\r\n$600000000\r\n", "Protocol error: invalid bulk length")
        self.refuses(b"*1\r\n*1\r\n$1\r\nx\r\n", "Protocol error")
        self.refuses(b"GET 'a\r\n", "Protocol error: unbalanced quotes")
        self.refuses(b"x" * 100000, "Protocol error: too big inline request")
        self.assertGreaterEqual(int(info(self.client, "stats")["protocol_errors"]), 8)

    def test_errors_do_not_close(self):
        for words, message in [(["get"], "wrong number of arguments"), (["nosuch"], "unknown command"),
                               (["incrby", "a", "x"], "not an integer"), (["select", "7"], "out of range"),
                               (["hello", "3"], "NOPROTO")]:
            reply = self.client.call(*words)
            self.assertIsInstance(reply, Error)
            self.assertIn(message, reply.decode())
        self.assertEqual(self.client.call("ping"), b"PONG")

    def test_random_bytes_never_end_the_server(self):
        seed = int(os.environ.get("SEED", random.randrange(1 << 32)))
        print(f"# SEED={seed}", file=sys.stderr)
        rng = random.Random(seed)
        pieces = [b"*", b"$", b"\r\n", b"1", b"3", b"-1", b"0", b"SET", b"GET", b"key", b"\x00", b"'", b'"', b" ", b":", b"+",
                  b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n", b"LPUSH l 1 2\r\n", b"FLUSHALL\r\n", b"*1\r\n", b"$5\r\n", b"99999999999"]
        for _ in range(300):
            client = self.server.client()
            data = b"".join(rng.choice(pieces) if rng.random() < 0.9 else bytes([rng.randrange(256)])
                            for _ in range(rng.randrange(1, 60)))
            try:
                client.send(data)
                client.socket.shutdown(socket.SHUT_WR)
                client.file.read()
            except OSError:
                pass
            client.close()
        self.assertEqual(self.client.call("ping"), b"PONG")


class Arguments(unittest.TestCase):
    def run_with(self, *arguments):
        return subprocess.run([executable(), *arguments], capture_output=True, text=True, timeout=60)

    def test_bad_arguments_are_refused(self):
        for arguments in [("--port", "x"), ("--port", "70000"), ("--threads", "0"), ("--bind", "nowhere"), ("--what",), ("more",)]:
            result = self.run_with(*arguments)
            self.assertEqual(result.returncode, 1, arguments)
            self.assertNotEqual(result.stderr, "")

    def test_a_port_in_use_is_refused(self):
        server = start()
        result = self.run_with("--port", str(server.port))
        self.assertEqual(result.returncode, 1)
        self.assertIn(str(server.port), result.stderr)
        server.stop()


if __name__ == "__main__":
    if len(sys.argv) > 1 and os.path.isdir(sys.argv[1]):
        BUILD = sys.argv.pop(1)
    unittest.main(verbosity=1)
