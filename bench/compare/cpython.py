#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""CPython's cyclic garbage collector as a peer of `make compare`.

usage: cpython.py rings THREADS LENGTH: one repetition, as the programs of harness.h do it; only the collection is timed.
"""
import gc
import os
import sys
import time

OBJECTS = 100000


class Node:
    __slots__ = ("next", "other")


def make_rings(length):
    for _ in range(OBJECTS // length):
        first = last = Node()
        for _ in range(length - 1):
            node = Node()
            last.next = node
            last = node
        last.next = first


def batch(length):
    """Nanoseconds and objects of one collection of everything."""
    make_rings(length)
    began = time.monotonic_ns()
    freed = gc.collect()
    elapsed = time.monotonic_ns() - began
    if freed != OBJECTS // length * length:
        sys.exit(f"cpython.py: {freed} objects were collected")
    return elapsed, freed


def peak_bytes():
    with open("/proc/self/status", encoding="ascii") as file:
        return next(1024 * int(line.split()[1]) for line in file if line.startswith("VmHWM:"))


def main():
    if len(sys.argv) != 4 or sys.argv[1] != "rings":
        sys.exit(__doc__)
    length = int(sys.argv[3])
    limit = int(os.environ.get("COMPARE_MILLISECONDS", "100")) * 1000000
    gc.disable()
    gc.collect()
    gc.freeze()  # the interpreter's own objects are none of the question
    batch(length)
    elapsed = operations = 0
    began = time.monotonic_ns()
    while elapsed < limit and time.monotonic_ns() - began < 5 * limit:
        one, freed = batch(length)
        elapsed += one
        operations += freed
    print(f"{elapsed / operations:.4f} {peak_bytes()}")


if __name__ == "__main__":
    main()
