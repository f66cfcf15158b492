# SPDX-License-Identifier: MIT
"""The table of `make compare`: which programs are run, what is divided by what, and what the ratio may be."""
import os
from dataclasses import dataclass, field

SIZES = (16, 32, 48, 64, 128, 256, 512, 1024)
ORDERS = ("one", "lifo", "fifo", "random")
ALLOCATORS = {"jemalloc": "jemalloc", "mimalloc": "mimalloc", "glibc malloc": "glibc", "bdwgc": "bdwgc"}
COUNTED = {"std::shared_ptr": ("shared_ptr", ""), "boost intrusive_ptr": ("boost", "-intrusive"), "GObject": ("glib", "")}


@dataclass(frozen=True)
class Value:
    """One number that a command prints; `name` is "ns" (nanoseconds per operation), "rss" (peak, bytes) or its own."""
    command: tuple
    name: str = "ns"


@dataclass
class Cell:
    key: str
    cgc: Value
    target_peer: str
    target: float
    peers: dict = field(default_factory=dict)
    is_context: tuple = ()  # peers that are no rivals: libcgc itself in another situation


def value(program, workload, threads, *parameters, name="ns"):
    return Value((program, workload, str(threads)) + tuple(str(p) for p in parameters), name)


def threads_text(threads):
    return f"{threads} thread" + "s" * (threads > 1)


def counting_cells():
    for kind, target in (("private", 0.15), ("published", 0.3)):
        peers = {name: value(program, "count" + suffix, 1) for name, (program, suffix) in COUNTED.items()}
        peers["boost local_shared_ptr"] = value("boost", "count-local", 1)
        yield Cell(f"D1 {kind}", value("cgc", "count", 1, kind), "std::shared_ptr", target, peers)
    for kind, target in (("plain", 1.0), ("immortal", 0.05)):
        peers = {name: value(program, "hot" + suffix, 2) for name, (program, suffix) in COUNTED.items()}
        yield Cell(f"D2 {kind}", value("cgc", "hot", 2, kind), "std::shared_ptr", target, peers)


def allocation_cells():
    for size in SIZES:
        for order in ORDERS:
            for threads in (1, 2):
                peers = {name: value(program, "alloc", threads, order, size) for name, program in ALLOCATORS.items()}
                text = f"{size} B {order if order in ('one', 'random') else order.upper()} {threads_text(threads)}"
                yield Cell(f"D3 {text}", value("cgc", "alloc", threads, order, size), "jemalloc", 1.0, peers)
                if size == 48:
                    yield Cell(f"D3 {text}, with references", value("cgc", "alloc", threads, order, size, "tracked"),
                               "jemalloc", 1.0, peers)
        peers = {name: value(program, "handover", 2, "one", size) for name, program in ALLOCATORS.items()}
        yield Cell(f"D3 {size} B hand-over", value("cgc", "handover", 2, "one", size), "jemalloc", 1.0, peers)


def gcbench_cells(divisor):
    for threads in (1, 2):
        peers = {name: value(program, "gcbench", threads, divisor) for name, program in ALLOCATORS.items()}
        cgc = value("cgc", "gcbench", threads, divisor)
        yield Cell(f"D4 {threads_text(threads)} beside bdwgc", cgc, "bdwgc", 0.9, peers)
        yield Cell(f"D4 {threads_text(threads)} beside malloc", cgc, "jemalloc", 1.0, peers)


def memory_cells(divisor):
    yield Cell("D9 header, bytes", value("cgc", "header", 1, name="header_bytes"), "one byte", 16,
               {"one byte": 1}, ("one byte",))
    for threads in (1, 2):
        peers = {name: value(program, "gcbench", threads, divisor, name="rss") for name, program in ALLOCATORS.items()}
        yield Cell(f"D9 GCBench peak RSS {threads_text(threads)}", value("cgc", "gcbench", threads, divisor, name="rss"),
                   "jemalloc", 1.25, peers)


def ring_cells():
    for length in (2, 10, 1000):
        for kind in ("private", "published"):
            yield Cell(f"D6 rings of {length} {kind}", value("cgc", "rings", 1, length, kind), "CPython gc", 0.5,
                       {"CPython gc": value("cpython", "rings", 1, length)})


def old_cells(few, many, cycles, live):
    for text, name in (("until gone", "ns"), ("work of the detector", "detector_ns"), ("objects looked at", "looked_at")):
        yield Cell(f"D7 {text}", value("cgc", "beside", 1, many, name=name), f"cgc beside {few:,} live", 2.0,
                   {f"cgc beside {few:,} live": value("cgc", "beside", 1, few, name=name)}, (f"cgc beside {few:,} live",))
    command = ("cgc", "self-cycles", "1", str(cycles), str(live))
    yield Cell("D11 RSS at the end", Value(command, "rss_end"), "cgc at half", 1.1,
               {"cgc at half": Value(command, "rss_half")}, ("cgc at half",))
    yield Cell("D11 most trash", Value(command, "trash"), "live objects", None,
               {"live objects": Value(command, "live")}, ("live objects",))


def slot_cells():
    for slots in (10, 100000):
        for stores in (10, 50):
            for threads in (1, 2):
                peers = {"std::atomic<shared_ptr>": value("shared_ptr", "slots", threads, slots, stores),
                         "boost::atomic_shared_ptr": value("boost", "slots", threads, slots, stores)}
                for how, target in (("load", 0.5), ("borrow", 0.25)):
                    yield Cell(f"D8 {slots:,} slots {stores} % stores {threads_text(threads)} {how}",
                               value("cgc", "slots", threads, slots, stores, how), "std::atomic<shared_ptr>", target, peers)


def request_cells():
    for threads in (1, 2):
        peers = {"cgc published": value("cgc", "request", threads, "published"),
                 "jemalloc": value("jemalloc", "request", threads),
                 "std::shared_ptr": value("shared_ptr", "request", threads),
                 "bdwgc": value("bdwgc", "request", threads)}
        yield Cell(f"D10 private {threads_text(threads)}", value("cgc", "request", threads, "private"), "cgc published",
                   1 / 3, peers, ("cgc published",))


def scaling_cells(divisor):
    workloads = [("D1 private", ("count",), ("private",)), ("D1 published", ("count",), ("published",))]
    workloads += [(f"D3 48 B {order}", ("alloc",), (order, 48)) for order in ORDERS]
    workloads += [("D4", ("gcbench",), (divisor,)), ("D10 private", ("request",), ("private",))]
    threads, most = 2, os.cpu_count() or 1
    while threads <= max(2, most):
        for text, (workload,), parameters in workloads:
            yield Cell(f"D12 {text} {threads_text(threads)}", value("cgc", workload, threads, *parameters),
                       "cgc 1 thread", 1.1, {"cgc 1 thread": value("cgc", workload, 1, *parameters)}, ("cgc 1 thread",))
        threads *= 2


def stall_cells(sizes, seconds):
    """Longest call beside the longest hiccup of the same loop without a call, in the same process."""
    commands = {size: ("stall", str(seconds), str(size)) for size in sizes}
    for size, command in commands.items():
        for text, name, spin in (("longest call", "ns", "spin"), ("p99.99", "p9999", "spin_p9999")):
            yield Cell(f"D5 {size:,} live, {text}", Value(command, name), "no call", 2.0, {"no call": Value(command, spin)},
                       ("no call",))
    few, many = commands[sizes[0]], commands[sizes[-1]]
    yield Cell(f"D5 longest call, {sizes[-1]:,} live beside {sizes[0]:,}", Value(many), "cgc with fewer", 2.0,
               {"cgc with fewer": Value(few)}, ("cgc with fewer",))


def server_cells(keys, requests):
    """SET and GET by 50 clients, beside the same server over manual memory and over bdwgc."""
    commands = {policy: ("server", policy, str(keys), str(requests)) for policy in ("cgc", "manual", "bdwgc")}
    for test in ("set", "get"):
        def peers(name):
            return {policy: Value(commands[policy], name) for policy in ("manual", "bdwgc")}
        key = f"D13 {test.upper()} with {keys:,} keys"
        yield Cell(f"{key}, a request", Value(commands["cgc"], test), "manual", 1 / 0.95, peers(test))
        late = test + "_p999"
        yield Cell(f"{key}, p99.9", Value(commands["cgc"], late), "manual", 1.2, peers(late))
        yield Cell(f"{key}, p99.9 beside bdwgc", Value(commands["cgc"], late), "bdwgc", 0.1, peers(late))


def all_cells(is_short):
    divisor = 64 if is_short else 2
    few, many, cycles, live = (10**4, 10**5, 10**5, 10**4) if is_short else (10**5, 10**7, 10**7, 10**5)
    sizes, seconds, keys, requests = ((10**4, 10**5), 1, 10**4, 10**4) if is_short else ((10**5, 10**6, 10**7), 2, 10**6, 10**5)
    return [*counting_cells(), *allocation_cells(), *gcbench_cells(divisor), *stall_cells(sizes, seconds), *ring_cells(),
            *old_cells(few, many, cycles, live), *slot_cells(), *memory_cells(divisor), *request_cells(),
            *scaling_cells(divisor), *server_cells(keys, requests)]
