#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The README's tables out of the JSON output of the benchmarks: table.py build/bench.json

Nanoseconds of one operation, the median of the repetitions. A number in brackets is the ratio to another
benchmark of the same run.
"""
import json
import sys

SIZES = (16, 48, 128, 256, 1024)
COPY = "count/copy/shared_ptr"


def counts(what, peer=COPY):
    return [(f"count/{what}/cgc/{n}", f"{peer}/{n}") for n in (1, 64)]


def allocations(shape, size):
    who = ("cgc", "cgc_acyclic", "malloc", "calloc", "shared_ptr", "bdwgc")
    names = [f"alloc/{shape}/{w}/{size}" for w in who]
    return [(names[0], names[2]), (names[1], names[2])] + names[2:]


def field(what, peer=None):
    name = f"field/{what}/cgc/64"
    return [(name, f"field/{peer}/shared_ptr/64"), f"field/{peer}/shared_ptr/64"] if peer else [name, None]


def rings(length):
    names = [f"ring/private/{w}/{length}" for w in ("cgc", "malloc", "bdwgc")]
    return [(names[0], names[1])] + names[1:]


# Title, headings, rows. A row is a label and its cells; a cell is a benchmark, or (benchmark, what it is divided
# by), or None. A "computed_ns " in front: that counter instead of the time.
TABLES = [
    ("Retain and release (ratio to std::shared_ptr: copy and drop)", ["one object", "64 in turn"], [
        ("private object", counts("private")),
        ("published, by its owner", counts("owner")),
        ("published, by its owner, acyclic type", counts("owner_acyclic")),
        ("published, by another thread", counts("foreign")),
        ("published, by another thread, acyclic type", counts("foreign_acyclic")),
        ("immortal", counts("immortal")),
        ("two threads, same object, neither its owner",
         [("count/contended/cgc/1", "count/contended/shared_ptr/1"), None]),
        ("std::shared_ptr", [f"{COPY}/1", f"{COPY}/64"]),
        ("std::shared_ptr, two threads", ["count/contended/shared_ptr/1", None]),
    ]),
    ("Allocate and give back (ratio to malloc and free, jemalloc)",
     ["libcgc", "libcgc, acyclic type", "malloc", "calloc", "std::make_shared", "bdwgc"],
     [(f"{size} bytes, one at a time", allocations("one", size)) for size in SIZES] + [
        ("48 bytes, 1000 at a time", allocations("batch", 48)),
        ("48 bytes, published, one at a time; all threads",
         [("alloc/publish/cgc/48", "alloc/one/malloc/48")] + [None] * 5),
    ]),
    ("Store and load, 64 fields in turn (ratio to std::shared_ptr)", ["libcgc", "std::shared_ptr"], [
        ("store, private; plain shared_ptr", field("store_private", "store_private")),
        ("store, published; std::atomic", field("store_published", "store_published")),
        ("store a new object, published; std::atomic; all threads", field("store_fresh", "store_fresh")),
        ("load, private; std::atomic", field("load_private", "load")),
        ("load, published, by its owner; std::atomic", field("load_owner", "load")),
        ("load, published, by another thread; std::atomic", field("load_foreign", "load")),
        ("the same; std::atomic_load() of a plain shared_ptr", field("load_foreign", "load_locked")),
        ("load, two threads; std::atomic", field("two_load", "two_load")),
        ("borrow in a section each; std::atomic, load", field("section_borrow", "load")),
        ("the same, two threads", field("two_borrow", "two_load")),
        ("borrow, 1024 in a section", field("borrow")),
        ("an empty section", ["field/section/cgc/1", None]),
    ]),
    ("Rings made, dropped and collected by their thread, an object (ratio to malloc and free by hand)",
     ["libcgc", "malloc", "bdwgc"],
     [(f"rings of {length}", rings(length)) for length in (2, 10, 1000)]),
    ("The detector looks at all published objects, an object (ratio to a collection of bdwgc, which stops the program)",
     ["time", "computed, all threads"], [
        ("100,000 garbage, in rings of 10: found and freed",
         ["detector/garbage/cgc/100000", "computed_ns detector/garbage/cgc/100000"]),
        ("1,000,000 alive, in rings of 10",
         [("detector/live/cgc/1000000", "detector/live/bdwgc/1000000"),
          "computed_ns detector/live/cgc/1000000"]),
        ("bdwgc, 1,000,000 alive", ["detector/live/bdwgc/1000000", None]),
    ]),
    ("liburcu's flavours", ["read section", "grace period", "grace period, busy reader"],
     [(flavour, [f"urcu/{what}/{flavour}/1" for what in ("section", "grace_idle", "grace_busy")])
      for flavour in ("memb", "bp", "qsbr")]),
]

# What, benchmark, divided by, at most.
TARGETS = [
    ("retain and release, private / shared_ptr, one object", "count/private/cgc/1", f"{COPY}/1", 0.15),
    ("retain and release, private / shared_ptr, 64 in turn", "count/private/cgc/64", f"{COPY}/64", 0.15),
    ("retain and release, published, owner / shared_ptr, one object", "count/owner/cgc/1", f"{COPY}/1", 0.5),
    ("retain and release, published, owner / shared_ptr, 64 in turn", "count/owner/cgc/64", f"{COPY}/64", 0.5),
    ("allocate and release 48 bytes / malloc and free", "alloc/one/cgc/48", "alloc/one/malloc/48", 1.5),
    ("the same, acyclic type", "alloc/one/cgc_acyclic/48", "alloc/one/malloc/48", 1.5),
    ("the same, 1000 at a time", "alloc/batch/cgc/48", "alloc/batch/malloc/48", 1.5),
    ("the same, 1000 at a time, acyclic type", "alloc/batch/cgc_acyclic/48", "alloc/batch/malloc/48", 1.5),
]


def name_of(run):
    return "/".join(run["run_name"].split("/")[:4])


def read(path):
    """Medians by name, and the largest spread; of a run without repetitions, its numbers."""
    with open(path, encoding="utf-8") as file:
        report = json.load(file)
    failed = [run for run in report["benchmarks"] if run.get("error_occurred")]
    for run in failed:
        print(f"{path}: {run['name']}: {run['error_message']}", file=sys.stderr)
    if failed:
        sys.exit(1)
    kinds = {}
    for run in report["benchmarks"]:
        kinds.setdefault(run.get("aggregate_name", "run"), {})[name_of(run)] = run
    spreads = [(run["items_per_second"], name) for name, run in kinds.get("cv", {}).items()]
    return report["context"], kinds.get("median") or kinds["run"], sorted(spreads, reverse=True)


def nanoseconds(runs, name):
    if name.startswith("computed_ns "):
        return runs[name.split()[1]]["computed_ns"]
    return 1e9 / runs[name]["items_per_second"]


def number(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}" if value >= 0.1 else f"{value:.2f}"


def text_of(runs, cell):
    if cell is None:
        return ""
    name, divisor = cell if isinstance(cell, tuple) else (cell, None)
    try:
        value = nanoseconds(runs, name)
        return number(value) + (f" ({value / nanoseconds(runs, divisor):.2f})" if divisor else "")
    except KeyError:
        return "not run"


def print_table(headings, rows, columns_right=True):
    rows = [headings] + rows
    widths = [max(len(row[i]) for row in rows) for i in range(len(headings))]
    rows.insert(1, [("-" * (width - 1) + ":") if i and columns_right else "-" * width
                    for i, width in enumerate(widths)])
    for row in rows:
        print("| " + " | ".join(cell.rjust(width) if i and columns_right else cell.ljust(width)
                                for i, (cell, width) in enumerate(zip(row, widths))) + " |")


def together(runs):
    """How much of the time the threads of rows with several had processors: more they cannot have contended."""
    return [run["cpu_time"] / (run["threads"] * run["real_time"]) for run in runs.values() if run["threads"] > 1]


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: table.py FILE.json")
    try:
        context, runs, spreads = read(sys.argv[1])
    except (OSError, KeyError, ValueError) as error:
        sys.exit(f"{sys.argv[1]}: not the JSON output of the benchmarks: {error!r}")
    repetitions = max(run.get("repetitions", 1) for run in runs.values())
    print(f"\n{context['num_cpus']} processors of {context['mhz_per_cpu']} MHz; gcc {context['compiler']}, jemalloc "
          f"{context['jemalloc']}, bdwgc {context['bdwgc']}. Header {context['header_bytes']} bytes.\n"
          f"Nanoseconds an operation, median of {repetitions} repetitions in one process. Load average before: "
          f"{context['load_avg'][0]:.1f}.")
    if together(runs):
        print(f"The rows with two threads had both processors {min(1, min(together(runs))):.0%} of the time or more; "
              "with less than 100 % there was less contention than there could be.")
    for title, headings, rows in TABLES:
        print(f"\n{title}\n")
        print_table(["ns"] + headings, [[label] + [text_of(runs, cell) for cell in cells] for label, cells in rows])
    print("\nTargets\n")
    lines = []
    for what, name, divisor, most in TARGETS:
        try:
            ratio = nanoseconds(runs, name) / nanoseconds(runs, divisor)
            lines.append([what, f"{ratio:.2f}", f"{most}", "yes" if ratio <= most else "no"])
        except KeyError:
            lines.append([what, "not run", f"{most}", ""])
    print_table(["", "ratio", "at most", "met"], lines)
    if spreads:
        print("\nLargest spread between repetitions (standard deviation / mean): " +
              ", ".join(f"{name} {spread:.0%}" for spread, name in spreads[:5]))


if __name__ == "__main__":
    main()
