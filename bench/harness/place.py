"""place - where the programs and the data are, and on what machine."""

import os
import platform
import re
import shutil
import subprocess

from .servers import Failure

MEMORY_FILE_SYSTEMS = ("tmpfs", "ramfs", "overlay")


def first_line(*command):
    """The first line that a command prints, or a dash."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except OSError:
        return "-"
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0].strip() if lines else "-"


class Place:
    """The build directory, and the scratch directory in it."""

    def __init__(self, root, build):
        self.root = root
        self.build = os.path.abspath(build)
        self.data = os.path.join(self.build, "bench-data")
        self.results = os.path.join(self.build, "bench-results")
        self.tenured = os.path.join(self.build, "tenured")
        os.makedirs(self.data, exist_ok=True)
        os.makedirs(self.results, exist_ok=True)
        kind = self.file_system()[0]
        if kind in MEMORY_FILE_SYSTEMS:
            raise Failure(f"{self.data} is on {kind}: durable writes must go to a real disk; "
                          "choose another directory with --build")

    def program(self, name):
        path = os.path.join(self.build, "bench", name)
        if not os.path.exists(path):
            raise Failure(f"{path} is missing: run ./dev build")
        return path

    def fault_proxy(self):
        path = os.path.join(self.build, "tests", "lib", "fault-proxy")
        if not os.path.exists(path):
            raise Failure(f"{path} is missing: run ./dev build")
        return path

    def has_tenured(self):
        return os.path.exists(self.tenured)

    def file_system(self):
        """(type, device) of the file system that holds the data."""
        best = ("", "?", "?")
        with open("/proc/self/mounts") as mounts:
            for line in mounts:
                device, point, kind = line.split()[:3]
                inside = self.data == point or self.data.startswith(point.rstrip("/") + "/")
                if inside and len(point) >= len(best[0]):
                    best = (point, kind, device)
        return best[1], best[2]

    def device_written_bytes(self):
        """What has been written to the device since the machine started, by everybody."""
        name = os.path.basename(os.path.realpath(self.file_system()[1]))
        with open("/proc/diskstats") as table:
            for line in table:
                fields = line.split()
                if fields[2] == name:
                    return int(fields[9]) * 512
        return None

    def machine(self):
        """What the figures depend on, as (name, text) pairs."""
        model, memory = "?", 0
        with open("/proc/cpuinfo") as info:
            found = re.search(r"^model name\s*:\s*(.*)$", info.read(), re.MULTILINE)
            model = found.group(1) if found else model
        with open("/proc/meminfo") as info:
            memory = int(info.readline().split()[1]) // 1024
        kind, device = self.file_system()
        system = first_line("sh", "-c", ". /etc/os-release && echo $PRETTY_NAME")
        commit = first_line("git", "-C", self.root, "describe", "--always", "--dirty")
        redis = re.search(r"v=(\S+)", first_line("redis-server", "--version"))
        return [
            ("processors", f"{os.cpu_count()} × {model}"),
            ("memory", f"{memory} MiB"),
            ("disk", f"{kind} on {os.path.basename(device)}"),
            ("system", f"{system}, Linux {platform.release()}"),
            ("Tenure", commit),
            ("Redis", redis.group(1) if redis else "-"),
            ("etcd", first_line("etcd", "--version").removeprefix("etcd Version: ")),
            ("beanstalkd", first_line("beanstalkd", "-v").removeprefix("beanstalkd ")),
            ("nginx", first_line("nginx", "-v").rpartition("/")[2]),
            ("Node.js", first_line("node", "--version")),
            ("libuv", first_line("pkg-config", "--modversion", "libuv")),
        ]

    def clear(self):
        shutil.rmtree(self.data, ignore_errors=True)
        os.makedirs(self.data, exist_ok=True)
