"""servers - start, measure and stop each server that is compared.

Every sample gets a fresh server with an empty directory on the real disk, pinned to one processor,
so that no sample inherits another one's log, caches or background work.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

SERVER_CPU = "0"
CLIENT_CPU = "1"
READY_TIMEOUT_S = 60


class Failure(Exception):
    """A measurement that could not be made; says why in one sentence."""


def free_port():
    """A TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(port, request, patience_s=1.0):
    """The first bytes of the answer to `request`, or b"" when there is none."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=patience_s) as link:
            link.sendall(request)
            return link.recv(65536)
    except OSError:
        return b""


class Server:
    """One server process.  A context manager: started on entry, gone on exit."""

    label = ""

    def __init__(self, place, flags=(), label=None, cpus=SERVER_CPU):
        self.place = place
        self.flags = list(flags)
        self.cpus = cpus
        self.label = label or self.label
        self.port = free_port()
        self.process = None
        self.directory = os.path.join(place.data, self.label)
        self.sockets = None
        self.log_path = os.path.join(place.data, self.label + ".log")

    # What each kind of server says.

    def command(self):
        """The command line, without the pinning."""
        raise NotImplementedError

    def pinned_command(self):
        return ["taskset", "-c", self.cpus, *self.command()]

    def is_ready(self):
        """Does it serve?"""
        raise NotImplementedError

    def prepare(self):
        """Write what must be there before the start."""

    # The same for all.

    @property
    def tcp(self):
        return f"127.0.0.1:{self.port}"

    @property
    def unix(self):
        return os.path.join(self.sockets, "s")

    @property
    def pid(self):
        return self.process.pid

    def __enter__(self):
        shutil.rmtree(self.directory, ignore_errors=True)
        os.makedirs(self.directory)
        # Socket paths are short by law; the data directory's may be long.
        self.sockets = tempfile.mkdtemp(prefix="bench-")
        os.sync()
        try:
            self.prepare()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self):
        """Start on what the directory holds; returns the seconds until it serves."""
        log = open(self.log_path, "wb")
        begun = time.monotonic()
        self.process = subprocess.Popen(
            self.pinned_command(),
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        log.close()
        while not self.is_ready():
            if self.process.poll() is not None:
                raise Failure(f"{self.label} did not start: {self.log_tail()}")
            if time.monotonic() - begun > READY_TIMEOUT_S:
                raise Failure(f"{self.label} was not ready in {READY_TIMEOUT_S} s: "
                              f"{self.log_tail()}")
            time.sleep(0.002)
        return time.monotonic() - begun

    def kill(self):
        """As a power cut does it to a process."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def __exit__(self, *_):
        if self.process is not None and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
        if self.sockets:
            shutil.rmtree(self.sockets, ignore_errors=True)

    def log_tail(self):
        with open(self.log_path, "rb") as log:
            return log.read()[-400:].decode(errors="replace").strip().replace("\n", " | ")

    def log_text(self):
        with open(self.log_path, "rb") as log:
            return log.read()

    def cpu_ticks(self):
        """Processor time of all its threads so far."""
        with open(f"/proc/{self.pid}/stat") as stat:
            fields = stat.read().rpartition(") ")[2].split()
        return int(fields[11]) + int(fields[12])

    def settle(self, patience_s=60):
        """Wait until it does nothing any more, such as write a snapshot."""
        deadline = time.monotonic() + patience_s
        before = self.cpu_ticks()
        while True:
            time.sleep(0.5)
            now = self.cpu_ticks()
            if now - before <= 1:
                return
            if time.monotonic() > deadline:
                raise Failure(f"{self.label} was not at rest in {patience_s} s")
            before = now

    def memory_bytes(self):
        """(resident now, the most it has been)."""
        found = {}
        with open(f"/proc/{self.pid}/status") as status:
            for line in status:
                name, _, value = line.partition(":")
                if name in ("VmRSS", "VmHWM"):
                    found[name] = int(value.split()[0]) * 1024
        return found["VmRSS"], found["VmHWM"]


class Redis(Server):
    """Redis; with `is_durable`, every command on disk before its answer."""

    def __init__(self, place, is_durable, cpus=SERVER_CPU, label=None):
        label = label or ("redis always" if is_durable else "redis")
        super().__init__(place, label=label, cpus=cpus)
        self.is_durable = is_durable

    def command(self):
        # No rewriting of the log while it is measured: that is only kind to Redis.
        persistence = (["--appendonly", "yes", "--appendfsync", "always",
                        "--auto-aof-rewrite-percentage", "0"]
                       if self.is_durable else ["--appendonly", "no"])
        return ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port),
                "--unixsocket", self.unix, "--dir", self.directory, "--save", "", *persistence]

    def is_ready(self):
        return ask(self.port, b"*1\r\n$4\r\nPING\r\n").startswith(b"+PONG")


class RedisNodes:
    """Several independent Redis servers, which know nothing of each other."""

    def __init__(self, place, count, cpus=SERVER_CPU):
        self.nodes = [Redis(place, is_durable=False, cpus=cpus, label=f"redis {number}")
                      for number in range(1, count + 1)]
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            for node in self.nodes:
                stack.enter_context(node)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    @property
    def ports(self):
        return [node.port for node in self.nodes]

    @property
    def pids(self):
        return ",".join(str(node.pid) for node in self.nodes)


class FaultProxy:
    """A proxy in front of one port, which can be told to be late.  A context manager."""

    def __init__(self, place, server_port):
        self.command = [place.fault_proxy(), str(server_port)]
        self.process = None
        self.port = None

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        word, _, port = self.process.stdout.readline().partition(" ")
        if word != "PORT":
            self.__exit__()
            raise Failure("the proxy did not start")
        self.port = int(port)
        return self

    def order(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        if self.process.stdout.readline().strip() != "ok":
            raise Failure(f"the proxy did not obey: {text}")

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Etcd(Server):
    label = "etcd"

    def __init__(self, place):
        super().__init__(place)
        self.peer_port = free_port()

    def command(self):
        client = f"http://127.0.0.1:{self.port}"
        peer = f"http://127.0.0.1:{self.peer_port}"
        return ["etcd", "--data-dir", self.directory, "--log-level", "error",
                "--listen-client-urls", client, "--advertise-client-urls", client,
                "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                "--initial-cluster", f"default={peer}"]

    def is_ready(self):
        return b'"true"' in ask(self.port, b"GET /health HTTP/1.0\r\n\r\n")


class Floor(Server):
    label = "floor"

    def command(self):
        return [self.place.program("bench-floor"), "--tcp", self.tcp, "--unix", self.unix,
                "--file", os.path.join(self.directory, "log")]

    def is_ready(self):
        return b"ready" in self.log_text()


class Tenured(Server):
    label = "tenured"

    def command(self):
        return [self.place.tenured, "--data", self.directory, "--listen", self.tcp,
                "--unix", self.unix, *self.flags]

    def is_ready(self):
        return ask(self.port, b"*1\r\n$4\r\nPING\r\n").startswith(b"+PONG")


class Beanstalkd(Server):
    """beanstalkd; with `is_durable`, its binlog is on disk after every write."""

    def __init__(self, place, is_durable):
        super().__init__(place, label="beanstalkd -f 0" if is_durable else "beanstalkd")
        self.is_durable = is_durable

    def command(self):
        binlog = ["-b", self.directory, "-f", "0"] if self.is_durable else []
        return ["beanstalkd", "-l", "127.0.0.1", "-p", str(self.port), *binlog]

    def is_ready(self):
        return ask(self.port, b"stats\r\n").startswith(b"OK ")


class Nginx(Server):
    """Answers everything with one fixed body."""

    label = "nginx"

    def __init__(self, place, body):
        super().__init__(place)
        self.body = body

    def prepare(self):
        text = self.body.replace("\\", "\\\\").replace("'", "\\'").replace("$", "")
        with open(os.path.join(self.directory, "nginx.conf"), "w") as out:
            out.write(f"""
daemon off;
master_process off;
pid {self.directory}/pid;
error_log stderr error;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {self.directory}/body;
    proxy_temp_path {self.directory}/proxy;
    fastcgi_temp_path {self.directory}/fastcgi;
    uwsgi_temp_path {self.directory}/uwsgi;
    scgi_temp_path {self.directory}/scgi;
    server {{
        listen {self.tcp};
        default_type application/json;
        location / {{ return 200 '{text}'; }}
    }}
}}
""")

    def command(self):
        return ["nginx", "-p", self.directory, "-c", os.path.join(self.directory, "nginx.conf"),
                "-g", ""]

    def is_ready(self):
        return ask(self.port, b"GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200")
