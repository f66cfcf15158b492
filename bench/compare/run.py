#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`make compare`: libcgc beside its peers.

usage: run.py BUILD_DIRECTORY

Each program does one repetition of one workload in a fresh process. All programs take turns, so that what else the
machine does hits all of them; after the last repetition the medians are divided by each other. The environment:
REPETITIONS=7, ONLY=regular expression of cells, SHORT=1 (tiny and once: whether it works, no figures).
Writes build/compare.json, every repetition to build/compare-raw.json, a table to stdout and pictures to docs/ (with
SHORT or ONLY to build/).
"""
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import time

import cells
import pictures

RESULT_FILE, RAW_FILE = "build/compare.json", "build/compare-raw.json"
LONGEST = 300  # seconds for one repetition of one workload


class Failure(Exception):
    pass


# ---- measuring --------------------------------------------------------------------------------------------------


def command_line(build, command):
    here = os.path.dirname(os.path.abspath(__file__))
    if command[0] == "cpython":
        return [sys.executable, os.path.join(here, "cpython.py"), *command[1:]]
    if command[0] == "server":
        return [sys.executable, os.path.join(here, "server.py"), build, *command[1:]]
    if command[0] == "stall":
        return [os.path.join(build, "stall"), "--line", *command[1:]]
    return [os.path.join(build, "compare", command[0]), *command[1:]]


def measure(build, command, environment):
    line = command_line(build, command)
    result = subprocess.run(line, capture_output=True, text=True, timeout=LONGEST, env=environment, check=False)
    if result.returncode != 0:
        raise Failure(f"{' '.join(line)}: status {result.returncode}: {result.stderr.strip()}")
    words = result.stdout.split()
    try:
        numbers = {"ns": float(words[0]), "rss": float(words[1])}
        numbers.update((name, float(text)) for name, text in (word.split("=") for word in words[2:]))
    except (IndexError, ValueError):
        raise Failure(f"{' '.join(line)}: said {result.stdout!r}") from None
    return numbers


def commands_of(table):
    """Each command once, in the order of the table: what is divided by each other is measured close together."""
    found = {}
    for cell in table:
        for value in (cell.cgc, *cell.peers.values()):
            if isinstance(value, cells.Value):
                found[value.command] = None
    return list(found)


def measure_all(build, table, repetitions, environment, raw):
    commands, begun = commands_of(table), time.monotonic()
    for repetition in range(repetitions):
        for command in commands:
            raw["samples"].append({"command": command, "repetition": repetition, "load": os.getloadavg()[0],
                                   **measure(build, command, environment)})
        write(RAW_FILE, raw)
        print(f"run.py: {time.monotonic() - begun:.0f} s, repetition {repetition + 1} of {repetitions}, "
              f"{len(commands)} programs", file=sys.stderr, flush=True)


# ---- results ----------------------------------------------------------------------------------------------------


def all_numbers(samples):
    """{(command, name): one number of each repetition}"""
    numbers = {}
    for sample in samples:
        for name, number in sample.items():
            if name not in ("command", "repetition", "load"):
                numbers.setdefault((tuple(sample["command"]), name), []).append(number)
    return numbers


def result_of(cell, numbers):
    def series(value):
        return numbers[value.command, value.name] if isinstance(value, cells.Value) else [value]

    medians = {name: statistics.median(series(value)) for name, value in {"cgc": cell.cgc, **cell.peers}.items()}
    rivals = {name: median for name, median in medians.items() if name != "cgc" and name not in cell.is_context}
    mine, other = series(cell.cgc), series(cell.peers[cell.target_peer])
    ratios = [a / b for a, b in zip(mine, other if len(other) == len(mine) else other * len(mine))]
    ratio = medians["cgc"] / medians[cell.target_peer]
    return {**medians, "best_peer": min(rivals, key=rivals.get) if rivals else cell.target_peer, "ratio": ratio,
            "ratio_lowest": min(ratios), "ratio_highest": max(ratios), "target": cell.target,
            "target_peer": cell.target_peer, "repetitions": len(mine)}


def text_of(number):
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e5, "k")):
        if number >= limit:
            scale = {"G": 1e9, "M": 1e6, "k": 1e3}[unit]
            return f"{number / scale:.3g} {unit}"
    return f"{number:.3g}" if number < 1000 else f"{number:.0f}"


def verdict(result):
    if result["target"] is None:
        return ""
    return "met" if result["ratio"] <= result["target"] else "missed"


def print_table(results):
    heading = ["workload", "cgc", "peer", "", "ratio", "lowest - highest", "target", "", "best peer", ""]
    rows = [[key, text_of(r["cgc"]), r["target_peer"], text_of(r[r["target_peer"]]), f"{r['ratio']:.2f}",
             f"{r['ratio_lowest']:.2f} - {r['ratio_highest']:.2f}", "" if r["target"] is None else f"{r['target']:.3g}",
             verdict(r), r["best_peer"], text_of(r[r["best_peer"]])] for key, r in results.items()]
    rows.insert(0, heading)
    widths = [max(len(row[i]) for row in rows) for i in range(len(heading))]
    left = {0, 2, 7, 8}
    rows.insert(1, ["-" * (width - (i not in left)) + ("" if i in left else ":") for i, width in enumerate(widths)])
    for row in rows:
        print("| " + " | ".join(text.ljust(width) if i in left else text.rjust(width)
                                for i, (text, width) in enumerate(zip(row, widths))) + " |")


def write(path, what):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(what, file, indent=1)
        file.write("\n")


def packages():
    names = ["g++", "libc6", "libjemalloc2", "libmimalloc2.0", "libgc1", "libboost-dev", "libglib2.0-0"]
    try:
        result = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version}\n", *names], capture_output=True,
                                text=True, check=False)
    except OSError:
        return {}
    return dict(line.split(" ", 1) for line in result.stdout.splitlines() if " " in line)


def this_machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = re.findall(r"^model name\s*: (.*)$", file.read(), re.M)
    return {"cpu": models[0] if models else platform.machine(), "cores": os.cpu_count(), "kernel": platform.release(),
            "python": platform.python_version(), "packages": packages(), "load_before": os.getloadavg()[0]}


def repetitions_of(text, is_short):
    if not text:
        return 1 if is_short else 7
    if not re.fullmatch("[1-9][0-9]*", text):
        raise Failure(f"REPETITIONS={text}: not a number above 0")
    return int(text)


def chosen(table, pattern):
    try:
        table = [cell for cell in table if re.search(pattern, cell.key)]
    except re.error as error:
        raise Failure(f"ONLY={pattern}: {error}") from None
    if not table:
        raise Failure(f"ONLY={pattern}: no such cell")
    return table


def run(build):
    is_short, only = bool(os.environ.get("SHORT")), os.environ.get("ONLY", "")
    repetitions = repetitions_of(os.environ.get("REPETITIONS", ""), is_short)
    table = chosen(cells.all_cells(is_short), only)
    environment = dict(os.environ)
    if is_short:
        environment["COMPARE_MILLISECONDS"] = "4"
    raw = {"machine": this_machine(), "repetitions": repetitions, "short": is_short, "samples": []}
    os.makedirs("build", exist_ok=True)
    begun = time.monotonic()
    measure_all(build, table, repetitions, environment, raw)
    raw["machine"]["load_after"] = os.getloadavg()[0]
    raw["seconds"] = time.monotonic() - begun
    write(RAW_FILE, raw)
    numbers = all_numbers(raw["samples"])
    results = {cell.key: result_of(cell, numbers) for cell in table}
    write(RESULT_FILE, results)
    machine = raw["machine"]
    print(f"\n{machine['cores']} cores, {machine['cpu']}, Linux {machine['kernel']}, load average "
          f"{machine['load_before']:.1f} before, {machine['load_after']:.1f} after; medians of {repetitions}; ns per "
          "operation of one thread, where no unit is named.\n")
    print_table(results)
    drawn = pictures.draw(results, raw["samples"], "build" if is_short or only else "docs")
    met = [verdict(result) for result in results.values()]
    print(f"\nrun.py: {met.count('met')} targets met, {met.count('missed')} missed, {raw['seconds']:.0f} s; "
          f"{', '.join([RESULT_FILE, RAW_FILE, *drawn])}")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("run.py: ended by SIGTERM"))
    try:
        run(sys.argv[1])
    except (Failure, OSError, subprocess.SubprocessError) as error:
        sys.exit(f"run.py: {error}")


if __name__ == "__main__":
    main()
