#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""One server of `make server-bench` for one repetition of `make compare`.

usage: server.py BUILD_DIRECTORY POLICY KEYS REQUESTS

Starts the server, loads the keys, drives it with redis-benchmark, and prints nanoseconds of a SET, resident bytes, and
name=value for the rest, as bench/compare/run.py wants it. Percentiles in nanoseconds too.
"""
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import server_bench  # noqa: E402

CLIENTS = 50


def main():
    build, policy, keys, requests = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    words, peak = [], 0
    with tempfile.TemporaryDirectory() as directory:
        server = server_bench.Server(build, policy, directory)
        try:
            server_bench.load_keys(server, keys)
            for test in ("set", "get"):
                sample = server_bench.measure(server, test, 1, keys, requests, CLIENTS)
                words += [f"{test}={1e9 / sample['throughput']:.1f}", f"{test}_p999={sample['p999'] * 1e6:.0f}"]
            peak = server.memory()["peak"] * 1024
            server.stop()
        finally:
            server.kill()
    print(words[0].split("=")[1], peak, *words)


if __name__ == "__main__":
    try:
        main()
    except (server_bench.Failure, OSError, IndexError, ValueError) as error:
        sys.exit(f"server.py: {error}")
