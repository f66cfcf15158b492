#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""All stress programs at once, for a long time: memory and live objects must stay flat.

    soak.py BUILD_DIRECTORY

DURATION= seconds (1800), THREADS= of each program (2), SEED=. Samples go to build/soak.csv, one line for each program and
second, and the picture, drawn by gnuplot, to build/soak.svg.

Flat: of each program's samples, the first sixth is warming up; of the rest, the median of the last third may exceed the
median of the first third by a tenth and 16 MiB of resident or reserved memory, or a tenth and 20,000 objects. A
program that fails, or is still at work two minutes after its time, fails the soak.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time

FIELDS = ("resident_bytes", "objects_live", "bytes_reserved", "bytes_waiting")
ALLOWED = {"resident_bytes": 16 << 20, "bytes_reserved": 16 << 20, "objects_live": 20000}


def resident_bytes(pid):
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    except (OSError, IndexError):
        return None


def last_sample(name):
    """The newest whole line of a program's own samples."""
    with open(name, encoding="ascii") as file:
        lines = file.read().split("\n")[:-1]
    return lines[-1].split(",")[1:] if lines else None


def run(build, duration, threads, csv):
    """Runs the programs; returns the names of those that failed."""
    programs = sorted(p for p in os.listdir(f"{build}/stress") if p.startswith("stress_"))
    with tempfile.TemporaryDirectory() as directory:
        running, failed = {}, []
        for name in programs:
            samples = f"{directory}/{name}.csv"
            with open(samples, "w", encoding="ascii"):
                pass
            log = open(f"build/{name}.soak.log", "w", encoding="utf-8")  # closed with the process
            environment = dict(os.environ, DURATION=str(duration), THREADS=str(threads), SAMPLE=samples)
            running[name] = (subprocess.Popen([f"{build}/stress/{name}"], stdout=log, stderr=log, env=environment), samples)
            log.close()
        begun = time.monotonic()
        while running:
            time.sleep(1)
            seconds = time.monotonic() - begun
            for name, (process, samples) in list(running.items()):
                status = process.poll()
                if status is not None or seconds > duration + 120:
                    process.kill()
                    del running[name]
                    if status != 0:
                        failed.append(name)
                    continue
                resident, sample = resident_bytes(process.pid), last_sample(samples)
                if resident is not None and sample is not None and seconds <= duration:
                    csv.write(f"{seconds:.0f},{name},{resident},{','.join(sample)}\n")
                    csv.flush()
    return programs, failed


def read(csv_name):
    """{program: {field: [values]}}"""
    samples = {}
    with open(csv_name, encoding="ascii") as file:
        next(file)
        for line in file:
            _, name, *values = line.strip().split(",")
            of_program = samples.setdefault(name, {field: [] for field in FIELDS})
            for field, value in zip(FIELDS, values):
                of_program[field].append(int(value))
    return samples


def growth(values):
    """Medians of the first and of the last third, without the warming up."""
    values = values[len(values) // 6:]
    third = len(values) // 3
    if third < 5:
        return None
    return statistics.median(values[:third]), statistics.median(values[-third:])


def check(samples, programs):
    flat = True
    print(f"{'program':26}{'field':18}{'first third':>14}{'last third':>14}")
    for name in programs:
        for field, allowed in ALLOWED.items():
            medians = growth(samples.get(name, {}).get(field, []))
            if medians is None:
                print(f"{name:26}{field:18}{'too few samples':>28}")
                flat = False
                continue
            is_flat = medians[1] <= medians[0] * 1.1 + allowed
            flat &= is_flat
            print(f"{name:26}{field:18}{medians[0]:14.0f}{medians[1]:14.0f}{'' if is_flat else '  GROWS'}")
    return flat


def draw(csv_name, picture, programs):
    """One line for each program: resident memory above, live objects below."""
    def plot(column, factor):
        return ", ".join(f"'{csv_name}' using 1:(strcol(2) eq '{name}' ? ${column}*{factor} : NaN) with points pt 7 ps 0.25 "
                         f"title '{name[7:].replace('_', ' ')}'" for name in programs)
    script = f"""
set terminal svg size 1000,700 dynamic background 'white'
set output '{picture}'
set datafile separator ','
set key outside right
set xlabel 'seconds'
set yrange [0:*]
set multiplot layout 2,1
set ylabel 'resident MiB'
plot {plot(3, 1 / 1048576)}
set ylabel 'objects alive, thousands'
plot {plot(4, 0.001)}
"""
    subprocess.run(["gnuplot"], input=script, text=True, check=True)


def main():
    build = sys.argv[1]
    duration, threads = int(os.environ.get("DURATION") or 1800), int(os.environ.get("THREADS") or 2)
    csv_name, picture = "build/soak.csv", "build/soak.svg"
    with open(csv_name, "w", encoding="ascii") as csv:
        csv.write("seconds,program," + ",".join(FIELDS) + "\n")
        programs, failed = run(build, duration, threads, csv)
    for name in failed:
        print(f"soak.py: {name} failed:")
        with open(f"build/{name}.soak.log", encoding="utf-8") as log:
            print("    " + "    ".join(log.readlines()[-10:]))
    flat = check(read(csv_name), programs)
    draw(csv_name, picture, programs)
    print(f"soak.py: {len(programs)} programs, {duration} s, {threads} threads each: "
          f"{'flat' if flat else 'NOT FLAT'}, {len(failed)} failed; {csv_name}, {picture}")
    return 0 if flat and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
