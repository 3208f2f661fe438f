#!/usr/bin/python3
"""run - the conformance suite on a store of one kind, or of several, started for it.

    tests/conformance/run.py [KIND...] [-- OPTION-OR-TEXT...]

KIND: embedded (tenured over TCP), unix (tenured over a Unix socket), redis1, sentinel, redis3,
redis5, relay (a tenured in front of three Redis servers).  All of them when none is named.  What
stands behind `--` goes to the program: --verbose, or texts of names of tests.

The stores keep what they were told: crashes are part of the suite, amnesia is not.

$CONFORMANCE is the program, else build/tests/conformance/conformance; $TENURED the server.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

# pylint: disable=wrong-import-position
import lib
from redis_nodes import Nodes, Sentinel, die_with_parent, tool

PROGRAM = os.environ.get(
    "CONFORMANCE", os.path.join(lib.ROOT, "build", "tests", "conformance", "conformance"))


class Tenured:
    """A store that is a tenured; with `store`, one in front of that."""

    def __init__(self, is_unix=False, store=None):
        self.folder = lib.scratch()
        self.port = tool.free_port()
        self.process = None
        self.options = ["--listen", "127.0.0.1:%d" % self.port]
        self.options += ["--unix", os.path.join(self.folder, "socket")]
        self.options += ["--store", store] if store else ["--data", os.path.join(self.folder, "d")]
        self.url = "tenure://127.0.0.1:%d" % self.port
        if is_unix:
            self.url = "tenure+unix://" + os.path.join(self.folder, "socket")
        lib.cleanup(self.down)
        self.up()

    def up(self):
        self.process = subprocess.Popen(
            [lib.TENURED] + self.options, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent)
        is_told = lib.is_readable(self.process.stdout, lib.READY_S)
        line = self.process.stdout.readline().decode() if is_told else ""
        if "ready on" not in line:
            raise AssertionError("tenured did not start: %r" % line)

    def down(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)


class Redis:
    """Redis servers.  What is done to none of them by its number is done to all."""

    def __init__(self, servers, *options):
        self.servers = servers
        self.url = servers.url(*options)
        self.first_url = servers.url("new=yes", *options)
        self.nodes = [n for n in servers.each() if not n.server.is_sentinel]

    def these(self, number):
        return self.nodes if number is None else [self.nodes[int(number)]]

    def up(self, number=None):
        for node in self.these(number):
            node.spawn()
        for node in self.these(number):
            node.await_ready()

    def down(self, number=None):
        for node in self.these(number):
            node.kill()

    def empty(self, number):
        """Restart it with nothing."""
        self.servers.restart_empty(int(number))

    def delete(self, number, name):
        """As if it had expired there, and only there."""
        self.nodes[int(number)].cli("DEL", name)

    def freeze(self, number=None):
        for node in self.these(number):
            node.signal(signal.SIGSTOP)

    def thaw(self, number=None):
        for node in self.these(number):
            node.signal(signal.SIGCONT)


def redis(count):
    return Redis(Nodes(count, is_durable=True))


def sentinel():
    # No failover while a test keeps the master down: that is another story.
    return Redis(Sentinel(is_durable=True, down_after_ms=60000))


def relay():
    behind = redis(3)
    prime("redis3", behind.first_url)
    return Tenured(store=behind.url)


KINDS = {
    "embedded": Tenured,
    "unix": lambda: Tenured(is_unix=True),
    "redis1": lambda: redis(1),
    "sentinel": sentinel,
    "redis3": lambda: redis(3),
    "redis5": lambda: redis(5),
    "relay": relay,
}


class Control:
    """A Unix socket on which the tests ask for harm."""

    def __init__(self, store):
        self.store = store
        self.path = os.path.join(lib.scratch(), "control")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        lib.cleanup(self.listener.close)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            line = b""
            while data := connection.recv(1024):
                line += data
            connection.sendall(self.obey(line.decode()).encode()[:200])
            connection.close()

    def obey(self, line):
        """A verb, and perhaps the number of one server and more words."""
        verb, *words = line.split()
        try:
            if verb not in ("up", "down", "freeze", "thaw", "empty", "delete"):
                raise ValueError(verb)
            getattr(self.store, verb)(*words)
        except Exception:  # pylint: disable=broad-except
            traceback.print_exc()
            return "failed: " + line
        return "ok"


def run_program(kind, url, control, options, program=PROGRAM):
    """Its exit status and its words."""
    environment = dict(os.environ, CONFORMANCE_KIND=kind, CONFORMANCE_URL=url,
                       CONFORMANCE_CONTROL=control)
    done = subprocess.run([program] + options, env=environment, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout.decode(errors="replace")


def prime(kind, url, program=PROGRAM, test="a_free_lock_is_granted"):
    """The very first use of new servers: they need not be waited for."""
    status, words = run_program(kind, url, "/nonexistent", [test], program)
    if status != 0:
        raise AssertionError("the first use failed: " + words)


class Run:
    """The suite on one store; all of them run at the same time, for they mostly wait."""

    def __init__(self, kind):
        self.kind = kind
        self.status = 1
        self.words = ""
        self.store = None
        try:
            self.store = KINDS[kind]()
            if isinstance(self.store, Redis):
                prime(kind, self.store.first_url)
            self.control = Control(self.store)
        except lib.Skipped as reason:
            self.store = None
            self.status = 0
            self.words = "skip %s: %s" % (kind, reason)
        except Exception:  # pylint: disable=broad-except
            self.store = None
            self.words = traceback.format_exc()

    def run(self, options):
        if self.store is not None:
            self.status, self.words = run_program(
                self.kind, self.store.url, self.control.path, options)

    def report(self, is_verbose):
        """(passed, failed)."""
        if self.store is None and self.status == 0:
            print(self.words)
            return 0, 0
        counts = re.findall(r"^(\d+) passed, (\d+) failed$", self.words, re.MULTILINE)
        passed, failed = map(int, counts[-1]) if counts else (0, 1)
        if failed or self.status or is_verbose:
            print(self.words.rstrip())
        print("%s: %d passed, %d failed" % (self.kind, passed, failed))
        sys.stdout.flush()
        return passed, max(failed, 1 if self.status else 0)


def main():
    words = sys.argv[1:]
    options = []
    if "--" in words:
        options = words[words.index("--") + 1:]
        words = words[: words.index("--")]
    if set(words) - set(KINDS):
        print(__doc__, file=sys.stderr)
        return 64
    try:
        runs = [Run(kind) for kind in words or KINDS]
        threads = [threading.Thread(target=run.run, args=(options,)) for run in runs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        results = [run.report("--verbose" in options) for run in runs]
    finally:
        lib.clean_up()
    passed = sum(result[0] for result in results)
    failed = sum(result[1] for result in results)
    skipped = sum(1 for run in runs if run.store is None and run.status == 0)
    print("%d passed, %d failed%s" % (passed, failed, ", %d skipped" % skipped if skipped else ""))
    if passed == failed == 0:
        return 77
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
