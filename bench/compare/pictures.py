# SPDX-License-Identifier: MIT
"""The pictures of `make compare`, by gnuplot: ratios beside their targets, allocation by size, latencies."""
import os
import re
import subprocess

COLOURS = {"cgc": "#d62728", "jemalloc": "#1f77b4", "mimalloc": "#2ca02c", "glibc malloc": "#7f7f7f",
           "bdwgc": "#9467bd"}
DATA_FILE = "build/compare.dat"


def gnuplot(script):
    subprocess.run(["gnuplot"], input=script, text=True, check=True)


def draw_ratios(results, path):
    """A point each, with the range of the repetitions: what is left of the line is met."""
    chosen = [(key, r) for key, r in results.items() if r["target"] is not None and not key.startswith("D3")]
    if not chosen:
        return []
    with open(DATA_FILE, "w", encoding="ascii") as file:
        for row, (key, result) in enumerate(reversed(chosen)):
            target = result["target"]
            label = f"{key} / {result['target_peer']} ({result['ratio']:.2f}, may be {target:.3g})"
            file.write(f"{row} {result['ratio'] / target:.5f} {result['ratio_lowest'] / target:.5f} "
                       f"{result['ratio_highest'] / target:.5f} \"{label}\"\n")
    gnuplot(f"""
set terminal svg size 1100,{120 + 22 * len(chosen)} dynamic background 'white' font ',11' noenhanced
set output '{path}'
set title 'ratio / target, lowest to highest'
set logscale x
set xrange [0.02:100]
set yrange [-1:{len(chosen)}]
set grid xtics
set lmargin 72
set arrow from 1,-1 to 1,{len(chosen)} nohead linewidth 2 linecolor rgb '#2ca02c'
unset key
plot '{DATA_FILE}' using 2:1:3:4:ytic(5) with xerrorbars pointtype 7 linecolor rgb '#d62728'
""")
    return [path]


def sizes_of(results):
    """{(order, threads): {peer: [(size, ns)]}}"""
    panels = {}
    for key, result in results.items():
        found = re.fullmatch(r"D3 (\d+) B (?:(one|LIFO|FIFO|random) (\d+) threads?|(hand-over))", key)
        if found:
            panel = f"{found[4] or found[2]}, {found[3] or 2} threads".replace("1 threads", "1 thread")
            for name, number in result.items():
                if name in COLOURS:
                    panels.setdefault(panel, {}).setdefault(name, []).append((int(found[1]), number))
    return panels


def draw_sizes(results, path):
    panels = sizes_of(results)
    if not panels:
        return []
    plots, blocks = [], []
    for panel, series in sorted(panels.items()):
        parts = []
        for name, points in series.items():
            parts.append(f"'{DATA_FILE}' index {len(blocks)} using 1:2 with linespoints pointtype 7 pointsize 0.4 "
                         f"linewidth 2 linecolor rgb '{COLOURS[name]}' title '{name}'")
            blocks.append("".join(f"{size} {number:.4f}\n" for size, number in points))
        plots.append(f"set title '{panel}'\nplot {', '.join(parts)}\n")
    with open(DATA_FILE, "w", encoding="ascii") as file:
        file.write("\n\n".join(blocks))
    rows = (len(panels) + 2) // 3
    gnuplot(f"""
set terminal svg size 1200,{280 * rows} dynamic background 'white' font ',11' noenhanced
set output '{path}'
set logscale xy
set xrange [12:1400]
set xtics (16, 32, 64, 128, 256, 512, 1024)
set grid
set xlabel 'bytes of payload'
set ylabel 'ns for one object'
set key top left Left reverse samplen 2 spacing 0.9 font ',9'
set yrange [1:10000]
set multiplot layout {rows},3
{''.join(plots)}
""")
    return [path]


def tail_of(samples, kind):
    """[(nanoseconds, share of the calls that take that long or longer)] of bench/stall.c's histograms."""
    counts = {power: sum(s[f"{kind}{power}"] for s in samples) for power in range(10, 26)}
    total = sum(counts.values())
    return [(2 ** power, sum(counts[p] for p in range(power + 1, 26)) / total) for power in range(10, 25)]


def draw_stalls(samples, path):
    sizes = sorted({int(s["command"][2]) for s in samples if s["command"][0] == "stall"})
    if not sizes:
        return []
    plots, blocks = [], []
    for size in sizes:
        chosen = [s for s in samples if s["command"][0] == "stall" and int(s["command"][2]) == size]
        parts = []
        for kind, name, colour in (("call", "calls", COLOURS["cgc"]), ("spin", "no call", COLOURS["glibc malloc"])):
            parts.append(f"'{DATA_FILE}' index {len(blocks)} using 1:2 with linespoints pointtype 7 pointsize 0.4 "
                         f"linewidth 2 linecolor rgb '{colour}' title '{name}'")
            blocks.append("".join(f"{duration} {share:.3e}\n" for duration, share in tail_of(chosen, kind) if share > 0))
        plots.append(f"set title '{size:,} objects live'\nplot {', '.join(parts)}\n")
    with open(DATA_FILE, "w", encoding="ascii") as file:
        file.write("\n\n".join(blocks))
    gnuplot(f"""
set terminal svg size 1200,320 dynamic background 'white' font ',11' noenhanced
set output '{path}'
set logscale xy
set xrange [1e3:2e7]
set yrange [1e-9:1]
set format y '%.0e'
set grid
set xlabel 'ns'
set ylabel 'share that takes longer'
set multiplot layout 1,{len(sizes)}
{''.join(plots)}
""")
    return [path]


def draw(results, samples, directory):
    """Returns the files written."""
    return (draw_stalls(samples, os.path.join(directory, "compare-stalls.svg")) + draw_ratios(results, os.path.join(directory, "compare-ratios.svg"))
            + draw_sizes(results, os.path.join(directory, "compare-sizes.svg")))
