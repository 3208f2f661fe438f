"""What the integration tests share: a server of their own, a Redis client of few lines, a runner.

A test is a function named test_*; it gets nothing and fails by raising.  One that lacks a tool or a
right calls skip() or need().  `run()` runs all of the module that calls it (or those that contain
the words of the command line) and ends with the line `N passed, N failed`, to which `, N skipped`
is added when there are such; when there is nothing else the exit status is 77.  The binary is
$TENURED, else build/tenured.
"""

import functools
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TENURED = os.environ.get("TENURED", os.path.join(ROOT, "build", "tenured"))
READY_S = float(os.environ.get("TENURE_TEST_READY_S", "30"))

# Whatever runs the tests may ignore these (nohup, a job in the background): children inherit it.
for _number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, signal.SIG_DFL)

_cleanups = []


def cleanup(function, *arguments):
    """Call `function` when the test is over, whatever comes; the last one first."""
    _cleanups.append((function, arguments))


def clean_up():
    """For who does not use run()."""
    while _cleanups:
        function, arguments = _cleanups.pop()
        function(*arguments)


def scratch():
    """A directory that vanishes with the test."""
    path = tempfile.mkdtemp(prefix="tenured-test-")
    cleanup(shutil.rmtree, path, True)
    return path


def wait_for(condition, what, limit_s=10.0):
    """Until `condition()` is true; what it returned."""
    end = time.monotonic() + limit_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("waited %.0f s in vain for: %s" % (limit_s, what))
        time.sleep(0.005)


def is_readable(file, limit_s):
    """Does something come within that time?  (select would fail with many descriptors.)"""
    poll = select.poll()
    poll.register(file, select.POLLIN)
    return bool(poll.poll(limit_s * 1000))


class Skipped(Exception):
    """The test cannot be run here; the text says why."""


def skip(reason):
    raise Skipped(reason)


@functools.lru_cache(maxsize=None)
def _works(probe):
    try:
        done = subprocess.run(probe, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


def need(reason, *probe):
    """Skip the test for that reason unless the command can be run and ends well."""
    if not _works(probe):
        skip(reason)


def strace(calls, fault):
    """A wrapper that plants a fault in some system calls; `when` counts in each thread."""
    need("no strace, or no right to trace", "strace", "-f", "-qq", "-o", os.devnull, "true")
    words = ["strace", "-f", "-qq", "-o", os.devnull, "-e", "trace=" + calls]
    if "ASAN_OPTIONS" in os.environ:  # who is traced cannot look for its own leaks
        words += ["-E", "ASAN_OPTIONS=%s:detect_leaks=0" % os.environ["ASAN_OPTIONS"]]
    return words + ["-e", "inject=%s:%s" % (calls, fault)]


def _is_gone(pid):
    """Has it closed its files?  A process whose first thread has ended may still have others."""
    try:
        with open("/proc/%s/stat" % pid, encoding="ascii", errors="replace") as file:
            state = file.read().rsplit(")", 1)[1].split()[0]
        return state in "ZX" and len(os.listdir("/proc/%s/task" % pid)) <= 1
    except (FileNotFoundError, ProcessLookupError):
        return True


def own_port():
    """A port that is the caller's until the test is over: nobody else gets it, also while nothing
    listens there."""
    owner = socket.socket()
    cleanup(owner.close)
    owner.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    owner.bind(("127.0.0.1", 0))
    return owner.getsockname()[1]


class Server:
    """A tenured on a port of its own and a Unix socket, with a directory of its own."""

    def __init__(self, *options, data=None, env=None, wrapper=()):
        self.data = data or os.path.join(scratch(), "data")
        self.socket_path = os.path.join(scratch(), "socket")
        self.options = options
        self.env = env
        self.wrapper = list(wrapper)
        self.process = None
        self.port = own_port()
        cleanup(self.kill)
        self.start()

    def start(self):
        """Start (again) and wait until it is ready."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TENURED")}
        # Each start fills three segments with zeros.
        environment["TENURED_SEGMENT_BYTES"] = "1M"
        environment.update(self.env or {})
        if self.process is not None:
            self.process.stdout.close()
            self.log.close()
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            self.wrapper
            + [TENURED, "--data", self.data, "--listen", "127.0.0.1:%d" % self.port]
            + ["--unix", self.socket_path, *self.options],
            stdout=subprocess.PIPE,
            stderr=self.log,
            env=environment,
            start_new_session=True,
        )
        is_told = is_readable(self.process.stdout, READY_S)
        self.ready_line = self.process.stdout.readline().decode() if is_told else ""
        match = re.search(r"ready on 127\.0\.0\.1:(\d+)", self.ready_line)
        if not match:
            self.process.kill()
            self.process.wait()
            raise AssertionError("not ready: %r %s" % (self.ready_line, self.errors()))
        self.port = int(match.group(1))
        return self

    @property
    def pid(self):
        return self.process.pid

    def errors(self):
        """What it has written to standard error."""
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def stop(self, number=signal.SIGTERM, limit_s=20):
        """Send a signal; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(limit_s)

    def kill(self):
        """By SIGKILL; when it returns, the directory is nobody's."""
        if self.process is not None and self.process.poll() is None:
            # The group: a tracer that is killed leaves its tracee running.
            pid = self.process.pid
            with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as file:
                traced = file.read().split()
            os.killpg(pid, signal.SIGCONT)
            os.killpg(pid, signal.SIGKILL)
            self.process.wait()
            wait_for(lambda: all(map(_is_gone, traced)), "what was traced to end")

    def resp(self, version=2, is_unix=False):
        """A connected Redis client."""
        client = Resp(self, is_unix)
        cleanup(client.close)
        if version == 3:
            client("HELLO", "3")
        return client

    def connect(self):
        """A bare socket."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        cleanup(connection.close)
        return connection


class RespError(Exception):
    """An error that the server answered; `word` is its first word."""

    @property
    def word(self):
        return str(self).split(" ", 1)[0]


class Push(list):
    """A push message of RESP3."""


def encode(*words):
    """A command as clients send it."""
    out = b"*%d\r\n" % len(words)
    for word in words:
        data = word if isinstance(word, bytes) else str(word).encode()
        out += b"$%d\r\n%s\r\n" % (len(data), data)
    return out


class Resp:
    """RESP2 and RESP3 in few lines.  Maps are dicts; in RESP2 use pairs().  What is no text stays
    bytes."""

    def __init__(self, server, is_unix=False):
        if is_unix:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(20)
            self.socket.connect(server.socket_path)
        else:
            self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        self.buffer = b""

    def close(self):
        self.socket.close()

    def __call__(self, *words):
        """Send a command, return its answer; errors are raised."""
        self.send(*words)
        return self.read()

    def send(self, *words):
        self.socket.sendall(encode(*words))

    def read(self, limit_s=20):
        """One answer."""
        self.socket.settimeout(limit_s)
        value = self._value()
        if isinstance(value, RespError):
            raise value
        return value

    def is_silent(self, for_s=0.15):
        """Does nothing come?"""
        return not self.buffer and not is_readable(self.socket, for_s)

    def is_closed(self, limit_s=10):
        """Did the server close the connection?"""
        self.socket.settimeout(limit_s)
        try:
            return self.socket.recv(1 << 16) == b""
        except ConnectionResetError:
            return True

    def _more(self):
        data = self.socket.recv(1 << 16)
        if not data:
            raise EOFError("the server closed the connection")
        self.buffer += data

    def _line(self):
        while b"\r\n" not in self.buffer:
            self._more()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def _bytes(self, size):
        while len(self.buffer) < size + 2:
            self._more()
        data, self.buffer = self.buffer[:size], self.buffer[size + 2:]
        try:
            return data.decode()
        except UnicodeDecodeError:
            return data

    def _value(self):
        line = self._line()
        kind, rest = line[:1], line[1:].decode()
        if kind == b"+":
            return rest
        if kind == b"-":
            return RespError(rest)
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == "-1" else self._bytes(int(rest))
        if kind == b"_":
            return None
        if kind == b"#":
            return rest == "t"
        if kind == b",":
            return float(rest)
        if kind == b"*":
            return None if rest == "-1" else [self._value() for _ in range(int(rest))]
        if kind == b">":
            return Push(self._value() for _ in range(int(rest)))
        if kind == b"%":
            return {self._value(): self._value() for _ in range(int(rest))}
        raise AssertionError("not RESP: %r" % line)


def pairs(flat):
    """A map as RESP2 writes it."""
    return dict(zip(flat[::2], flat[1::2]))


def refused(function, *arguments):
    """The error that the server answered."""
    try:
        answer = function(*arguments)
    except RespError as error:
        return error
    raise AssertionError("not refused: %r" % (answer,))


def equal(left, right):
    if left != right:
        raise AssertionError("%r is not %r" % (left, right))


def contains(text, part):
    if part not in text:
        raise AssertionError("%r does not contain %r" % (text, part))


def tenured(*arguments, env=None, limit_s=20):
    """Run the binary to its end: exit code, standard output, standard error."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TENURED")}
    environment.update(env or {})
    done = subprocess.run(
        [TENURED] + [str(a) for a in arguments],
        capture_output=True,
        timeout=limit_s,
        env=environment,
        check=False,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def _run_one(test):
    begun = time.monotonic()
    outcome, text = "ok", None
    try:
        test()
    except Skipped as reason:
        outcome = "skip"
        text = str(reason)
    except Exception:  # pylint: disable=broad-except
        outcome = "FAIL"
        text = traceback.format_exc()
    clean_up()
    if outcome == "skip":
        print("skip %s: %s" % (test.__name__, text))
    else:
        print("%-4s %s (%.2f s)" % (outcome, test.__name__, time.monotonic() - begun))
    if outcome == "FAIL":
        print(text)
    sys.stdout.flush()
    return outcome


def run():
    """Run the tests of the calling module, and exit."""
    module = sys.modules["__main__"]
    words = sys.argv[1:]
    tests = [value for name, value in vars(module).items() if name.startswith("test_")]
    tests = [t for t in tests if not words or any(word in t.__name__ for word in words)]
    outcomes = [_run_one(test) for test in tests]
    passed, failed, skipped = (outcomes.count(o) for o in ("ok", "FAIL", "skip"))
    more = ", %d skipped" % skipped if skipped else ""
    print("%d passed, %d failed%s" % (passed, failed, more))
    if passed == failed == 0 and skipped > 0:
        sys.exit(77)
    sys.exit(0 if passed > 0 and failed == 0 else 1)
