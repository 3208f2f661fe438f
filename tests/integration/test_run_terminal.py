"""tenure run on a terminal: jobs, keys, the line that tells who is in the way.

Each test has a pseudo-terminal with bash on it, as a person has.
"""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

from cli import TENURE, children, environment, is_alive, name_of, read_file, start, state
from lib import Server, cleanup, contains, equal, run, scratch, wait_for


class Terminal:
    """A shell on a terminal; or another program."""

    def __init__(self, server, command=None, columns=80, env=None):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.clear()
            os.environ.update(environment(server, {"PS1": "$ ", "TERM": "xterm", "TENURE": TENURE}))
            os.environ.update(env or {})
            argv = command or ["bash", "--norc", "--noprofile", "-i"]
            os.execvp(argv[0], argv)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.text = ""
        self.mark = 0
        cleanup(self.close)

    def close(self):
        try:
            os.kill(self.pid, signal.SIGHUP)
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.close(self.fd)
        try:
            os.waitpid(self.pid, 0)
        except ChildProcessError:
            pass

    def type(self, keys):
        os.write(self.fd, keys.encode())

    def pump(self, for_s=0.05):
        if select.select([self.fd], [], [], for_s)[0]:
            try:
                self.text += os.read(self.fd, 65536).decode(errors="replace")
            except OSError:
                pass

    def expect(self, pattern, limit_s=10):
        """Until this was printed behind what was expected last; the match."""
        end = time.monotonic() + limit_s
        while True:
            match = re.search(pattern, self.text[self.mark:])
            if match:
                self.mark += match.end()
                return match
            if time.monotonic() > end:
                raise AssertionError("no %r in %r" % (pattern, self.text[self.mark:]))
            self.pump()

    def foreground(self):
        """The foreground group."""
        return os.tcgetpgrp(self.fd)

    def wait(self):
        """The wait status of the program, when it has ended."""
        def poll():
            self.pump(0.01)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            return [status] if pid else None

        return wait_for(poll, "the program on the terminal to end")[0]


def shell(server, **options):
    terminal = Terminal(server, **options)
    terminal.expect(r"\$ ")
    return terminal


def test_the_command_has_the_terminal():
    terminal = shell(Server())
    terminal.type("$TENURE run x -- sh -c 'read a; echo got-$a; ps -o tpgid= -p $$; echo pg $$'\n")
    terminal.type("word\n")
    terminal.expect("got-word")
    match = terminal.expect(r"(\d+)\s+pg (\d+)")
    equal(match.group(1), match.group(2))
    terminal.expect(r"\$ ")
    terminal.type("echo $?-$((1+1))\n")
    terminal.expect("0-2")


def test_interrupt_ends_the_command_and_the_loop_around_it():
    server = Server()
    terminal = shell(server)
    body = "echo round-$((i+6)); $TENURE run x -- sleep 30"
    terminal.type("for i in 1 2 3; do %s; done; echo s$?\n" % body)
    terminal.expect("round-7")
    wait_for(lambda: server.resp()("LOCK.GET", "x"), "the lock to be held")
    time.sleep(0.2)
    terminal.type("\x03")
    terminal.expect(r"\$ ")
    terminal.type("echo end-$((2+2))\n")
    terminal.expect("end-4")
    assert "round-8" not in terminal.text
    wait_for(lambda: not server.resp()("LOCK.GET", "x"), "the lock to be free")


def test_interrupt_ends_a_script_around_it():
    server = Server()
    script = os.path.join(scratch(), "script")
    with open(script, "w", encoding="utf-8") as file:
        file.write("echo begun\n$TENURE run x -- sleep 30\necho went-on\n")
    terminal = shell(server)
    terminal.type("bash %s\n" % script)
    terminal.expect("begun")
    wait_for(lambda: server.resp()("LOCK.GET", "x"), "the lock to be held")
    time.sleep(0.2)
    terminal.type("\x03")
    terminal.expect(r"\$ ")
    terminal.type("echo $?-$((1+1))\n")
    terminal.expect("130-2")
    assert "went-on" not in terminal.text


def test_a_command_that_handles_interrupts_goes_on():
    server = Server()
    terminal = shell(server)
    body = 'trap "echo caught-it" INT; echo rea\'\'dy; sleep 1; sleep 1; exit 9'
    terminal.type("$TENURE run x -c '%s'\n" % body)
    terminal.expect("ready")
    time.sleep(0.2)
    terminal.type("\x03")
    terminal.expect("caught-it")
    terminal.expect(r"\$ ")
    terminal.type("echo $?-$((1+1))\n")
    terminal.expect("9-2")


def test_stop_and_continue():
    server = Server()
    path = os.path.join(scratch(), "pids")
    terminal = shell(server)
    body = "echo $$ >%s; echo go''ing; sleep 2; read a; echo got-$a" % path
    terminal.type("$TENURE run --ttl 60 x -c '%s'\n" % body)
    terminal.expect("going")
    command = int(wait_for(lambda: read_file(path), "the command's number"))
    # A ^Z between the vfork and the exec of a shell stops the child, and leaves the shell waiting
    # for it in the kernel, where nothing can stop it.
    wait_for(lambda: "sleep" in [name_of(pid) for pid in children(command)], "the sleep")
    terminal.type("\x1a")
    terminal.expect("Stopped")
    wait_for(lambda: state(command) == "T", "the command to be stopped")
    terminal.expect(r"\$ ")
    equal(terminal.foreground(), terminal.pid)
    # In the background it runs until it wants to read.
    terminal.type("bg\n")
    terminal.expect(r"\$ ")
    wait_for(lambda: state(command) != "T", "the command to go on")
    terminal.type("\n")
    wait_for(lambda: state(command) == "T", "the command to be stopped by its read")
    runner = children(terminal.pid)[0]
    wait_for(lambda: state(runner) == "T", "its runner to stop, too")
    terminal.type("jobs\n")
    terminal.expect("Stopped")
    terminal.type("fg\n")
    wait_for(lambda: terminal.foreground() == command, "the command to have the terminal")
    terminal.type("word\n")
    terminal.expect("got-word")
    terminal.expect(r"\$ ")
    equal(terminal.foreground(), terminal.pid)
    terminal.type("echo $?-$((1+1))\n")
    terminal.expect("0-2")


def test_stop_while_waiting():
    server = Server()
    start(server, "run", "x", "--", "sleep", "3")
    wait_for(lambda: server.resp()("LOCK.GET", "x"), "the lock to be held")
    terminal = shell(server)
    terminal.type("$TENURE run x -- echo in''side\n")
    terminal.expect("waiting for x")
    terminal.type("\x1a")
    terminal.expect("Stopped")
    terminal.type("fg\n")
    terminal.expect("inside")
    terminal.expect(r"\$ ")


def test_interrupt_while_waiting():
    server = Server()
    start(server, "run", "x", "--", "sleep", "30")
    wait_for(lambda: server.resp()("LOCK.GET", "x"), "the lock to be held")
    terminal = shell(server)
    terminal.type("$TENURE run x -- echo in''side\n")
    terminal.expect("waiting for x")
    begun = time.monotonic()
    terminal.type("\x03")
    terminal.expect(r"\$ ")
    assert time.monotonic() - begun < 2
    terminal.type("echo $?-$((1+1))\n")
    terminal.expect("130-2")
    assert "inside" not in terminal.text


def test_a_pipeline_keeps_the_terminal():
    server = Server()
    terminal = shell(server)
    terminal.type("$TENURE run x -- sh -c 'echo begun; sleep 30' | tee /dev/null\n")
    terminal.expect("begun\r\n")
    time.sleep(0.2)
    terminal.type("\x03")
    terminal.expect(r"\$ ")
    wait_for(lambda: not server.resp()("LOCK.GET", "x"), "the lock to be free")
    # One that wants to read gets it.
    terminal.type("$TENURE run x -- sh -c 'read a; echo got-$a' | cat\n")
    time.sleep(0.3)
    terminal.type("word\n")
    terminal.expect("got-word")
    terminal.expect(r"\$ ")


def test_as_the_session_leader():
    """As under script(1), ssh -t, tmux new COMMAND: nobody could continue a stopped job."""
    body = "echo begun; read a; echo got-$a"
    terminal = Terminal(Server(), [TENURE, "run", "x", "--", "sh", "-c", body])
    terminal.expect("begun")
    time.sleep(0.2)
    terminal.type("\x1a")
    time.sleep(0.2)
    terminal.type("word\n")
    terminal.expect("got-word")
    equal(terminal.wait(), 0)


def test_closing_the_terminal_ends_the_command():
    server = Server()
    path = os.path.join(scratch(), "pid")
    body = "echo $$ >%s; sleep 60" % path
    terminal = Terminal(server, [TENURE, "run", "x", "--", "sh", "-c", body])
    pid = int(wait_for(lambda: read_file(path), "the command"))
    os.close(terminal.fd)
    terminal.fd = os.open("/dev/null", os.O_RDONLY)
    wait_for(lambda: not is_alive(pid), "the command to end")
    wait_for(lambda: not server.resp()("LOCK.GET", "x"), "the lock to be free")


def test_the_line_of_a_wait():
    server = Server()
    labels = ["--label", "team=web", "--label", "long=" + "y" * 200]
    holder = start(server, "run", *labels, "x", "--", "sleep", "30")
    wait_for(lambda: server.resp()("LOCK.GET", "x"), "the lock to be held")
    terminal = shell(server)
    terminal.type("$TENURE run --timeout 1 x -- echo in''side\n")
    match = terminal.expect(r"\r(waiting for x, position 1: held by [^\x1b]*)\x1b\[K")
    contains(match.group(1), "for ")
    equal(len(match.group(1)), 79)
    equal(match.group(1)[-1], "…")
    first = match.group(1)
    second = terminal.expect(r"\r(waiting for x, position 1: held by [^\x1b]*)\x1b\[K", 5).group(1)
    assert first != second
    equal(re.findall(r"\x1b\[[0-9;]*m", terminal.text), [])
    os.kill(server.pid, signal.SIGSTOP)
    terminal.expect(r"\r(waiting for x: the store does not answer; [^\x1b]*)\x1b\[K", 20)
    os.kill(server.pid, signal.SIGCONT)
    terminal.expect(r"\r(waiting for x, position 1: held by [^\x1b]*)\x1b\[K", 20)
    holder.terminate()
    terminal.expect(r"\r\x1b\[K")
    terminal.expect("inside")


def test_hangup_that_is_ignored_is_not_forwarded():
    server = Server()
    path = os.path.join(scratch(), "pid")
    process = subprocess.Popen(
        ["nohup", TENURE, "run", "x", "--", "sh", "-c", "echo $$ >%s; sleep 1; exit 6" % path],
        env=environment(server),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    wait_for(lambda: read_file(path), "the command")
    process.send_signal(signal.SIGHUP)
    equal(process.wait(10), 6)


if __name__ == "__main__":
    run()
