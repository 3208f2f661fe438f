"""What the tests of `tenure` share: running it against a server of their own.

The binary is $TENURE, else build/tenure.
"""

import json
import os
import signal
import socket
import subprocess
import threading
import time

from lib import ROOT, cleanup, wait_for

TENURE = os.environ.get("TENURE", os.path.join(ROOT, "build", "tenure"))


def environment(server, extra=None):
    """Ours, without what an outer run has left in it."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("TENURE_")}
    if server is not None:
        env["TENURE_URL"] = url(server)
    env.update(extra or {})
    return env


def url(server):
    return "tenure://127.0.0.1:%d" % server.port


def tenure(server, *arguments, env=None, stdin=b"", limit_s=30, prefix=(), **options):
    """Run it to its end: exit code (negative: signal), standard output, standard error."""
    done = subprocess.run(
        list(prefix) + [TENURE] + [str(a) for a in arguments],
        input=stdin,
        capture_output=True,
        timeout=limit_s,
        env=environment(server, env),
        check=False,
        **options,
    )
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(
        errors="replace"
    )


def start(server, *arguments, env=None, **options):
    """Start it and go on; it is killed when the test is over."""
    options.setdefault("stdin", subprocess.DEVNULL)
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    process = subprocess.Popen(
        [TENURE] + [str(a) for a in arguments], env=environment(server, env), **options
    )
    cleanup(end, process)
    return process


def end(process):
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def report(text):
    """The line of --json in a standard error."""
    return json.loads([line for line in text.splitlines() if line.startswith("{")][-1])


def boottime():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def stat_fields(pid):
    """The fields of /proc/PID/stat behind the name, or None."""
    try:
        with open("/proc/%d/stat" % pid, encoding="ascii", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def state(pid):
    """R, S, T, Z …; None: there is no such process."""
    fields = stat_fields(pid)
    return fields[0] if fields else None


def is_alive(pid):
    return state(pid) not in (None, "Z", "X")


def children(pid):
    """The live children of a process."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            fields = stat_fields(int(entry))
            if fields and int(fields[1]) == pid and fields[0] not in "ZX":
                found.append(int(entry))
    return found


def name_of(pid):
    return read_file("/proc/%d/comm" % pid).strip()


def guardian_of(runner_pid):
    """The process id of a run's guardian, once it is there."""

    def look():
        for pid in children(runner_pid):
            if name_of(pid) == "tenure-guard":
                return pid
        return None

    return wait_for(look, "the guardian")


def read_file(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def stop_listening(listener, thread):
    """Before the descriptor is another server's: the thread would accept from that."""
    try:
        listener.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it was stopped before
    thread.join()
    listener.close()


class Proxy:
    """Between a client and a server; stall() stops forwarding and keeps the connections open."""

    def __init__(self, server):
        self.server = server
        self.is_stalled = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.is_over = False
        cleanup(self.close)
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def stall(self):
        self.is_stalled.set()

    def close(self):
        self.is_over = True
        stop_listening(self.listener, self.thread)

    def _accept(self):
        while not self.is_over:
            try:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.server.port))
            except OSError:
                return
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def _pump(self, source, target):
        try:
            while data := source.recv(65536):
                while self.is_stalled.is_set() and not self.is_over:
                    time.sleep(0.01)
                target.sendall(data)
        except OSError:
            pass
        for side in (source, target):
            try:
                side.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
