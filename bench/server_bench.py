#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The server over its three ways to manage memory, beside redis-server, driven by redis-benchmark.

    server_bench.py BUILD_DIRECTORY

For each size, without and with a graph that churns: all servers are started and loaded, then each test goes to one
server after the other, in an order that turns, so that they share whatever else the machine does. Of each number the
median of all rounds counts. Raw data go to build/server-bench.json, the picture, by gnuplot, to docs/server-bench.svg.

A size is the number of keys: that many strings of 64 bytes are loaded, and the tests pick keys among them at random.
With the graph, each server also holds size / 10 nodes, in rings of 10 that stay, and a client adds RINGS= more a second
(500): 10 nodes, linked to a ring and to a node that stays; after 1000 more rings it is dropped, and 9 nodes of it
are garbage that only its own edges refer to. It does so only while a test runs on that server.
To the library a key is two objects (entry, string) and a node three (node, edges out, edges in).

SIZES= (100000,1000000) SERVERS= (cgc,manual,bdwgc,redis) REPETITIONS= (3) REQUESTS= of each test (100000; 5 times as
many when pipelined) CLIENTS= (50). SHORT=1: once, and small, to see that all works; the picture goes to build/.
"""

import json
import os
import platform
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../tests/server"))
from resp import Client, Error  # noqa: E402

# Name in the tables, test of redis-benchmark, pipeline. LPOP takes what LPUSH left.
TESTS = [("SET", "set", 1), ("GET", "get", 1), ("INCR", "incr", 1), ("LPUSH", "lpush", 1), ("LPOP", "lpop", 1),
         ("HSET", "hset", 1), ("ZADD", "zadd", 1), ("SET, 16 at a time", "set", 16), ("GET, 16 at a time", "get", 16)]
THREADS = 2
VALUE = 64
RING, RINGS_KEPT = 10, 1000
METRICS = ("throughput", "p50", "p99", "p999", "max", "cpu_us", "background_us")
JSON_FILE, DATA_FILE = "build/server-bench.json", "build/server-bench.data"


class Failure(Exception):
    pass


def setting(name, default, short=None):
    return int(os.environ.get(name) or (short if short is not None and os.environ.get("SHORT") else default))


def first_line(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[0]


# ---- servers ----------------------------------------------------------------------------------------------------


class Server:
    """A server process: started, with its address known."""

    def __init__(self, build, policy, directory):
        self.policy = policy
        self.churn = None
        if policy == "redis":
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
            self.command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                            "--appendonly", "no", "--dir", directory]
        else:
            self.command = [f"{build}/{policy}-server", "--port", "0", "--threads", str(THREADS)]
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
        if policy == "redis":
            # Its log is not of interest; without a reader it would block on it.
            threading.Thread(target=self.process.stdout.read, daemon=True).start()
        else:
            line = self.process.stdout.readline()
            found = re.search(r"listening on [\d.]+:(\d+)$", line.strip())
            if not found:
                raise Failure(f"{self.command[0]}: no start-up line but {line!r}")
            self.port = int(found.group(1))
        self.loops = self.find_loops()

    def client(self):
        deadline = time.monotonic() + 30
        while True:
            try:
                return Client(self.port, timeout=300)
            except ConnectionRefusedError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise Failure(f"{self.policy}: does not listen on port {self.port}") from None
                time.sleep(0.05)

    def threads(self):
        return os.listdir(f"/proc/{self.process.pid}/task")

    def find_loops(self):
        """The threads that wait for clients; the others work in the background. None where the kernel does not say."""
        self.client().close()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            loops = set()
            for thread in self.threads():
                try:
                    with open(f"/proc/{self.process.pid}/task/{thread}/wchan", encoding="ascii") as file:
                        if re.search("epoll|ep_poll", file.read()):
                            loops.add(thread)
                except OSError:
                    pass
            if len(loops) == (1 if self.policy == "redis" else THREADS):
                return loops
        return None

    def cpu(self):
        """Nanoseconds of processor time: of all threads, and of those that serve no clients."""
        total = background = 0
        for thread in self.threads():
            try:
                with open(f"/proc/{self.process.pid}/task/{thread}/schedstat", encoding="ascii") as file:
                    spent = int(file.read().split()[0])
            except OSError:  # the thread has ended
                continue
            total += spent
            background += spent if self.loops and thread not in self.loops else 0
        return total, background

    def memory(self):
        """Resident KiB now and at most."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            fields = dict(line.split(":", 1) for line in file)
        return {"now": int(fields["VmRSS"].split()[0]), "peak": int(fields["VmHWM"].split()[0])}

    def collector(self):
        """The memory manager's own numbers."""
        if self.policy == "redis":
            return {}
        client = self.client()
        lines = client.call("info", "collector").decode().split("\r\n")
        client.close()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def stop(self):
        """SIGTERM; returns seconds and how many objects were left (None where nobody knows)."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(300)
        seconds = time.monotonic() - begun
        if status != 0:
            raise Failure(f"{self.command[0]}: exit status {status}")
        if self.policy != "cgc":
            return seconds, None
        found = re.search(r"stopped; (\d+) objects left", self.process.stdout.read())
        if not found or int(found.group(1)) != 0:
            raise Failure(f"{self.command[0]}: {found.group(0) if found else 'did not say what was left'}")
        return seconds, 0

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def exchange(client, data, replies):
    """Sends commands whose replies are one line each; a reply that is an error is one too many."""
    client.send(data)
    for _ in range(replies):
        reply = client.reply()
        if isinstance(reply, Error):
            raise Failure(f"a command failed: {reply.decode()}")


def load_keys(server, count):
    """The keys that redis-benchmark uses."""
    client, value = server.client(), b"x" * VALUE
    for begin in range(0, count, 1000):
        words = [b"MSET"]
        for number in range(begin, min(begin + 1000, count)):
            words += [b"key:%012d" % number, value]
        exchange(client, Client.encode(words), 1)
    client.close()


# ---- the graph --------------------------------------------------------------------------------------------------


def ring_commands(key):
    """Of a new ring: the key's node, a path of nodes from there on, and the edge that closes it."""
    paths = ["/".join([key] + [str(i) for i in range(1, length)]) for length in range(1, RING + 1)]
    return b"".join([Client.encode(["gadd", path]) for path in paths] + [Client.encode(["glink", paths[-1], key])])


NUMBER = "00000000"
NEW_RING = ring_commands("ring:" + NUMBER)
KEPT_RING = ring_commands("kept:" + NUMBER)
LINK_RING = Client.encode(["glink", "kept:" + "1" * 8, "ring:" + NUMBER])
DROP_RING = Client.encode(["gdrop", "ring:" + NUMBER])


def numbered(commands, number):
    return commands.replace(NUMBER.encode(), b"%08d" % number)


class Churn:
    """A client that adds and drops rings at a steady rate while it is not paused."""

    def __init__(self, server, nodes, rate):
        self.client = server.client()
        self.kept, self.rate = max(nodes // RING, 1), rate
        self.number, self.rings, self.slowest, self.error = 0, 0, 0.0, None
        for first in range(0, self.kept, 20):
            part = range(first, min(first + 20, self.kept))
            exchange(self.client, b"".join(numbered(KEPT_RING, i) for i in part), (RING + 1) * len(part))
        for _ in range(RINGS_KEPT):
            self.turn()

    def turn(self):
        """One ring comes, the oldest one goes."""
        to = b"%08d" % (self.number % self.kept)
        link = numbered(LINK_RING, self.number).replace(b"kept:11111111", b"kept:" + to)
        data = numbered(NEW_RING, self.number) + link
        replies = RING + 2
        if self.number >= RINGS_KEPT:
            data += numbered(DROP_RING, self.number - RINGS_KEPT)
            replies += 1
        exchange(self.client, data, replies)
        self.number += 1

    def run(self):
        try:
            begun = now = time.monotonic()
            while not self.ending:
                due = begun + self.rings / self.rate
                if due > now:
                    time.sleep(due - now)
                before = time.monotonic()
                self.turn()
                now = time.monotonic()
                self.slowest = max(self.slowest, now - before)
                self.rings += 1
            self.seconds = now - begun
        except (OSError, EOFError, Failure) as error:
            self.error = error

    def begin(self):
        self.ending, self.rings, self.slowest, self.seconds = False, 0, 0.0, 0.0
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def end(self):
        self.ending = True
        self.thread.join()
        if self.error is not None:
            raise Failure(f"the graph's client: {self.error}")
        return {"rings_per_second": self.rings / self.seconds, "slowest_ms": 1000 * self.slowest}


# ---- measuring --------------------------------------------------------------------------------------------------


def parse(text):
    """The summary of redis-benchmark, and the first percentile at or above 99.9 that it knows."""
    rate = re.search(r"throughput summary: ([\d.]+) requests", text)
    row = re.search(r"avg +min +p50 +p95 +p99 +max\s+([\d. ]+)", text)
    spectrum = re.findall(r"^([\d.]+)% <= ([\d.]+) milliseconds \(cumulative", text.split("Cumulative dist")[0], re.M)
    beyond = [float(latency) for percent, latency in spectrum if float(percent) >= 99.9]
    if not rate or not row or not beyond:
        raise Failure(f"redis-benchmark said: {text[-500:]}")
    _, _, p50, _, p99, most = (float(value) for value in row.group(1).split())
    return {"throughput": float(rate.group(1)), "p50": p50, "p99": p99, "p999": beyond[0], "max": most}


def measure(server, test, pipeline, size, requests, clients):
    command = ["redis-benchmark", "-p", str(server.port), "-t", test, "-n", str(requests), "-c", str(clients),
               "-r", str(size), "-d", str(VALUE), "-P", str(pipeline)]
    if server.churn:
        server.churn.begin()
    total, background = server.cpu()
    result = subprocess.run(command, capture_output=True, text=True, timeout=600)
    total_after, background_after = server.cpu()
    churn = server.churn.end() if server.churn else None
    text = result.stdout.replace("\r", "\n")
    if result.returncode != 0 or "rror" in text + result.stderr:
        raise Failure(f"{' '.join(command)}: {result.stderr}{text[-500:]}")
    sample = parse(text)
    sample["cpu_us"] = (total_after - total) / 1000 / requests
    sample["background_us"] = (background_after - background) / 1000 / requests if server.loops else None
    sample["churn"] = churn
    return sample


def round_of(build, policies, size, with_graph, repetition, settings, samples, memory):
    """All tests once on each server."""
    servers = []
    try:
        with tempfile.TemporaryDirectory() as directory:
            for policy in policies:
                server = Server(build, policy, directory)
                servers.append(server)
                load_keys(server, size)
                if with_graph:
                    server.churn = Churn(server, size // 10, settings["rings"])
                server.loaded = server.memory()
            for index, (name, test, pipeline) in enumerate(TESTS):
                turn = (index + repetition) % len(servers)
                for server in servers[turn:] + servers[:turn]:
                    requests = settings["requests"] * (5 if pipeline > 1 else 1)
                    sample = measure(server, test, pipeline, size, requests, settings["clients"])
                    samples.append({"size": size, "graph": with_graph, "server": server.policy, "test": name,
                                    "repetition": repetition, "load": os.getloadavg()[0], **sample})
            for server in servers:
                final, collector = server.memory(), server.collector()
                seconds, left = server.stop()
                memory.append({"size": size, "graph": with_graph, "server": server.policy, "repetition": repetition,
                               "loaded_kib": server.loaded["now"], "final_kib": final["now"], "peak_kib": final["peak"],
                               "stop_seconds": seconds, "objects_left": left, "collector": collector})
    finally:
        for server in servers:
            server.kill()


def grouped(rows, keys, metrics):
    """{key values: {metric: median}}"""
    groups = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)

    def median(part, metric):
        values = [row[metric] for row in part if row[metric] is not None]
        return statistics.median(values) if values else None
    return {key: {metric: median(part, metric) for metric in metrics} for key, part in groups.items()}


# ---- results ----------------------------------------------------------------------------------------------------


def text_of(value):
    return "?" if value is None else f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def print_table(heading, rows):
    rows = [heading] + rows
    widths = [max(len(row[i]) for row in rows) for i in range(len(heading))]
    rows.insert(1, ["-" * (width - (i > 0)) + (":" if i else "") for i, width in enumerate(widths)])
    for row in rows:
        print("| " + " | ".join(cell.rjust(width) if i else cell.ljust(width)
                                for i, (cell, width) in enumerate(zip(row, widths))) + " |")


def title_of(size, with_graph):
    return f"{size:,} keys, " + ("a graph churning" if with_graph else "no graph")


def print_results(report, medians, memory):
    settings, machine = report["settings"], report["machine"]
    print(f"\n{machine['cores']} cores, {machine['cpu']}, Linux {machine['kernel']}; {machine['benchmark']}; "
          f"{machine['redis']}.\n{settings['requests']:,} requests a test by {settings['clients']} clients, "
          f"{THREADS} threads (redis: 1), medians of {settings['repetitions']}; load average "
          f"{machine['load_before']:.1f} before, {machine['load_after']:.1f} after.")
    for size in settings["sizes"]:
        for with_graph in (False, True):
            servers = [s for s in settings["servers"] if (size, with_graph, s, TESTS[0][0]) in medians]
            if not servers:
                continue
            names = [test for test, _, _ in TESTS]
            cells = {(test, server): medians[size, with_graph, server, test] for test in names for server in servers}
            print(f"\n{title_of(size, with_graph)}: thousand requests a second "
                  "(µs of processor time a request, in brackets those of background threads)\n")
            print_table([""] + servers, [[test] + [
                f"{c['throughput'] / 1000:.1f} ({text_of(c['cpu_us'])} ({text_of(c['background_us'])}))"
                for c in (cells[test, server] for server in servers)] for test in names])
            print(f"\n{title_of(size, with_graph)}: p50 / p99 / p99.9 / max, ms\n")
            print_table([""] + servers, [[test] + [" / ".join(text_of(c[m]) for m in ("p50", "p99", "p999", "max"))
                        for c in (cells[test, server] for server in servers)] for test in names])
    print("\nResident MiB: loaded / at most / at the end; seconds from SIGTERM to the end\n")
    rows = []
    for size in settings["sizes"]:
        for with_graph in (False, True):
            cells = [memory.get((size, with_graph, server)) for server in settings["servers"]]
            if any(cells):
                rows.append([title_of(size, with_graph)] + [
                    "" if c is None else f"{c['loaded_kib'] / 1024:.0f} / {c['peak_kib'] / 1024:.0f} / "
                    f"{c['final_kib'] / 1024:.0f}; {c['stop_seconds']:.2f}" for c in cells])
    print_table([""] + settings["servers"], rows)


def draw(report, medians, picture):
    """Throughput and p99.9, a row of each for every size; without the graph on the left."""
    settings = report["settings"]
    sizes, servers = settings["sizes"], settings["servers"]
    with open(DATA_FILE, "w", encoding="ascii") as file:
        for size in sizes:
            for with_graph in (False, True):
                for name, _, pipeline in TESTS:
                    # Pipelined throughput would make the rest too small to be seen.
                    label, part = (f"{name.split(',')[0]} x{pipeline}", 1 / 8) if pipeline > 1 else (name, 1)
                    row = [f'"{label}"']
                    for metric, scale in (("throughput", 0.001 * part), ("p999", 1)):
                        for server in servers:
                            median = medians.get((size, with_graph, server, name))
                            row.append(f"{median[metric] * scale:.4f}" if median else "NaN")
                    file.write(" ".join(row) + "\n")
                file.write("\n\n")
    colours = {"cgc": "#d62728", "manual": "#1f77b4", "bdwgc": "#2ca02c", "redis": "#7f7f7f"}
    plots = []
    for block, size in enumerate(sizes):
        for first, label, scale in ((2, "thousand requests a second (x16: / 8)", "unset logscale y; set yrange [0:*]"),
                                    (2 + len(servers), "p99.9, ms", "set logscale y; set yrange [0.1:*]")):
            for graph in (0, 1):
                bars = ", ".join(
                    f"'{DATA_FILE}' index {2 * block + graph} using {first + i}:xtic(1) title '{server}' "
                    f"linecolor rgb '{colours[server]}'" for i, server in enumerate(servers)
                    if (size, bool(graph), server, TESTS[0][0]) in medians)
                plots.append(f"{scale}\nset title '{title_of(size, graph)}'\nset ylabel '{label}'\n"
                             + (f"plot {bars}\n" if bars else "set multiplot next\n"))
    script = f"""
set terminal svg size 1200,{320 * 2 * len(sizes)} dynamic background 'white' font ',11'
set output '{picture}'
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.9 noborder
set grid ytics
set xtics rotate by -30 nomirror
set key top left horizontal
set multiplot layout {2 * len(sizes)},2
{''.join(plots)}
"""
    subprocess.run(["gnuplot"], input=script, text=True, check=True)


def write(report):
    with open(JSON_FILE, "w", encoding="utf-8") as file:
        json.dump(report, file, indent=1)


def this_machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = re.findall(r"^model name\s*: (.*)$", file.read(), re.M)
    return {"cpu": models[0] if models else platform.machine(), "cores": os.cpu_count(), "kernel": platform.release(),
            "benchmark": first_line("redis-benchmark", "--version"), "redis": first_line("redis-server", "--version"),
            "load_before": os.getloadavg()[0]}


def run(build):
    settings = {
        "sizes": [int(s) for s in (os.environ.get("SIZES") or
                                   ("10000" if os.environ.get("SHORT") else "100000,1000000")).split(",")],
        "servers": (os.environ.get("SERVERS") or "cgc,manual,bdwgc,redis").split(","),
        "repetitions": setting("REPETITIONS", 3, 1),
        "requests": setting("REQUESTS", 100000, 4000),
        "clients": setting("CLIENTS", 50),
        "rings": setting("RINGS", 500),
    }
    unknown = set(settings["servers"]) - {"cgc", "manual", "bdwgc", "redis"}
    if unknown:
        raise Failure(f"SERVERS={os.environ['SERVERS']}: no such server: {', '.join(sorted(unknown))}")
    report = {"command": sys.argv, "settings": settings, "machine": this_machine(), "samples": [], "memory": []}
    os.makedirs("build", exist_ok=True)
    begun = time.monotonic()
    for repetition in range(settings["repetitions"]):
        for size in settings["sizes"]:
            for with_graph in (False, True):
                policies = [p for p in settings["servers"] if not (with_graph and p == "redis")]
                if not policies:
                    continue
                round_of(build, policies, size, with_graph, repetition, settings, report["samples"], report["memory"])
                print(f"server_bench.py: {time.monotonic() - begun:.0f} s, round {repetition + 1} of "
                      f"{settings['repetitions']}: {title_of(size, with_graph)}", file=sys.stderr, flush=True)
                write(report)
    report["machine"]["load_after"] = os.getloadavg()[0]
    report["seconds"] = time.monotonic() - begun
    medians = grouped(report["samples"], ("size", "graph", "server", "test"), METRICS)
    memory = grouped(report["memory"], ("size", "graph", "server"),
                     ("loaded_kib", "peak_kib", "final_kib", "stop_seconds"))
    report["medians"] = [dict(zip(("size", "graph", "server", "test"), key)) | value
                         for key, value in medians.items()]
    write(report)
    print_results(report, medians, memory)
    picture = "build/server-bench.svg" if os.environ.get("SHORT") else "docs/server-bench.svg"
    draw(report, medians, picture)
    print(f"\nserver_bench.py: {report['seconds']:.0f} s; {JSON_FILE}, {picture}")


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: server_bench.py BUILD_DIRECTORY")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("server_bench.py: ended by SIGTERM"))
    try:
        run(sys.argv[1])
    except (Failure, OSError, EOFError, subprocess.SubprocessError) as error:
        sys.exit(f"server_bench.py: {error}")


if __name__ == "__main__":
    main()
