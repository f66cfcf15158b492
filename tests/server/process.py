# SPDX-License-Identifier: MIT
"""A server to test: started on a free port, asked by INFO, stopped by SIGTERM."""

import atexit
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))
from resp import Client  # noqa: E402


class Server:
    """A running server, with its start-up line read. What it complains about goes to `log`, if that is a file."""

    def __init__(self, executable, *arguments, log=None):
        self.process = subprocess.Popen([executable, "--port", "0", *arguments], stdout=subprocess.PIPE, stderr=log,
                                        text=True)
        atexit.register(self.process.kill)  # if the test breaks off
        self.start_line = self.process.stdout.readline()
        found = re.search(r"listening on ([\d.]+):(\d+)$", self.start_line.strip())
        if not found:
            raise RuntimeError(f"no start-up line but {self.start_line!r}")
        self.address, self.port = found.group(1), int(found.group(2))

    def client(self, timeout=20):
        return Client(self.port, timeout=timeout)

    def stop(self):
        """Its exit status and what it printed."""
        self.process.send_signal(signal.SIGTERM)
        try:
            out, _ = self.process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, _ = self.process.communicate()
            out += "(did not end within two minutes of SIGTERM)\n"
        return self.process.returncode, out


def info(client, section):
    lines = client.call("info", section).decode().split("\r\n")
    return dict(line.split(":", 1) for line in lines if ":" in line)


def numbers(client, section="collector"):
    return {name: int(value) for name, value in info(client, section).items() if value.isdigit()}


def wait_until_empty(client, seconds):
    """After FLUSHALL: until the library has no object left, or that many seconds have passed, which ends a hung test
    only. Returns the last numbers of the collector."""
    deadline = time.monotonic() + seconds
    while True:
        last = numbers(client)
        if (last["objects_live"] == 0 and last["objects_waiting"] == 0) or time.monotonic() > deadline:
            return last
        time.sleep(0.01)  # leaves the processor to the collector; nothing depends on it


def check_empty(client, seconds=120):
    """What is wrong with a server that has just been told FLUSHALL, in lines; nothing if nothing is."""
    collector = wait_until_empty(client, seconds)
    wrong = [f"{name} is {collector[name]} after FLUSHALL, not 0"
             for name in ("objects_live", "bytes_live", "objects_waiting") if collector[name] != 0]
    used = numbers(client, "memory")["used_memory"]
    if used != 0:
        wrong.append(f"used_memory is {used} after FLUSHALL, not 0")
    if collector["objects_freed"] != collector["objects_allocated"]:
        wrong.append(f"{collector['objects_allocated']} objects were made and {collector['objects_freed']} freed")
    return wrong
