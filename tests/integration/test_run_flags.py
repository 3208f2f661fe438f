"""tenure run: every flag and exit code, beside flock(1) where letters are shared."""

import os
import re
import shutil
import signal
import subprocess
import time

from cli import TENURE, environment, read_file, report, start, tenure, url
from lib import ROOT, Server, contains, equal, pairs, run, scratch, wait_for

FLOCK = "/usr/bin/flock"


def hold(server, *options, name="x", seconds="30"):
    """Hold a lock with another run."""
    process = start(server, "run", *options, name, "--", "sleep", seconds)
    wait_for(lambda: holder_count(server, name), "the lock to be held")
    return process


def holder_count(server, name="x"):
    answer = server.resp()("LOCK.GET", name)
    return bool(answer)


def check(actual, code, err=None):
    equal(actual[0], code)
    if err is not None:
        contains(actual[2], err)
    return actual


# ---------------------------------------------------------------------- codes of the command


def test_the_command_gives_the_exit_code():
    server = Server()
    for code in (0, 1, 7, 64, 75, 79, 124, 255):
        equal(tenure(server, "run", "x", "-c", "exit %d" % code)[0], code)
    for name in ("KILL", "TERM", "SEGV", "USR1", "INT", "HUP"):
        number = getattr(signal, "SIG" + name)
        equal(tenure(server, "run", "x", "--", "sh", "-c", "kill -%s $$" % name)[0], 128 + number)


def test_commands_that_cannot_be_executed():
    server = Server()
    check(tenure(server, "run", "x", "--", "no-such-command-here"), 127, "No such file")
    check(tenure(server, "run", "x", "--", "/etc/passwd"), 126, "Permission denied")
    check(tenure(server, "run", "x", "--", "/"), 126, "denied")
    # and the lock is free again
    equal(tenure(server, "run", "--try", "x", "--", "true")[0], 0)


def test_not_obtained():
    server = Server()
    hold(server)
    for option in (["--try"], ["-n"], ["--nb"], ["--nonblock"], ["-w", "0"], ["-w", "0.05"]):
        code, out, err = tenure(server, "run", *option, "x", "--", "echo", "ran")
        equal((code, out), (75, ""))
        contains(err, "not obtained: x: held by")
    check(tenure(server, "run", "--try", "-E", "1", "x", "--", "true"), 1)
    check(tenure(server, "run", "--try", "-E", "0", "x", "--", "true"), 0)
    equal(tenure(server, "run", "--try", "-q", "x", "--", "echo", "ran"), (0, "", ""))
    equal(tenure(server, "run", "--try", "-q", "-E", "3", "x", "--", "true"), (3, "", ""))


def test_a_wait_ends_with_the_hold():
    server = Server()
    hold(server, seconds="0.5")
    begun = time.monotonic()
    equal(tenure(server, "run", "-w", "10", "x", "--", "echo", "ran")[:2], (0, "ran\n"))
    assert time.monotonic() - begun < 5


def test_units_of_time():
    server = Server()
    hold(server)
    for text, seconds in (("0.3", 0.3), ("300ms", 0.3), (".3", 0.3), ("0.005m", 0.3)):
        begun = time.monotonic()
        check(tenure(server, "run", "-w", text, "x", "--", "true"), 75)
        took = time.monotonic() - begun
        assert seconds <= took < seconds + 1, (text, took)


def test_usage():
    server = Server()
    for words, what in (
        ([], "which lock?"),
        (["x"], "which command?"),
        (["x", "--"], "which command?"),
        (["x", "-c"], "-c needs a STRING"),
        (["x", "-c", "a", "b"], "quote it"),
        (["x", "-w", "5", "--", "true"], "options come before it"),
        (["-c", "true", "x"], "-c comes behind the name"),
        (["-w", "soon", "x", "--", "true"], "is not a time"),
        (["-w", "-1", "x", "--", "true"], "is not a time"),
        (["-w", "2d", "x", "--", "true"], "out of range"),
        (["-w"], "--wait needs a value"),
        (["-E", "256", "x", "--", "true"], "not a number from 0 to 255"),
        (["-E", "x", "x", "--", "true"], "not a number"),
        (["--ttl", "10ms", "x", "--", "true"], "out of range"),
        (["--ttl", "0", "x", "--", "true"], "out of range"),
        (["--limit", "0", "x", "--", "true"], "from 1 to 4096"),
        (["--priority", "10", "x", "--", "true"], "from 0 to 9"),
        (["--kill-grace", "10", "x", "--", "true"], "raise --ttl"),
        (["--on-lost=run", "x", "--", "true"], "kill, term, warn, exec:CMD"),
        (["--on-lost=exec:", "x", "--", "true"], "kill, term, warn, exec:CMD"),
        (["--label", "team", "x", "--", "true"], "KEY=VALUE"),
        (["--label", "=x", "x", "--", "true"], "KEY=VALUE"),
        (["--quite", "x", "--", "true"], "did you mean --quiet?"),
        (["--quiet=1", "x", "--", "true"], "takes no value"),
        (["-Z", "x", "--", "true"], "unknown option -Z"),
        (["-s", "--limit", "3", "x", "--", "true"], "exclude each other"),
        (["a,,b", "--", "true"], "1 to 255 bytes"),
        (["n" * 256, "--", "true"], "1 to 255 bytes"),
        ([",".join("n%d" % i for i in range(33)), "--", "true"], "at most 32"),
        (["--label", "a=" + "x" * 5000, "x", "--", "true"], "labels are too long"),
        (["--json=99", "x", "--", "true"], None),
    ):
        code, out, err = tenure(server, "run", *words)
        if what is None:
            equal(code, 73)
            continue
        equal((words, code, out), (words, 64, ""))
        contains(err, what)
        equal(err.count("\n"), 1)
        assert err.startswith("tenure run: "), err


def test_unknown_commands():
    for words, what in (
        (["rum"], "did you mean `tenure run`?"),
        (["florble"], "`tenure help` lists them"),
        (["--florble"], "options come behind the command"),
    ):
        code, _, err = tenure(None, *words)
        equal(code, 64)
        contains(err, what)
    code, out, _ = tenure(None, "help")
    equal((code, out.split("\n")[0]), (0, "examples:"))
    code, out, _ = tenure(None, "run", "--help")
    equal((code, out.split("\n")[0]), (0, "examples:"))
    equal(tenure(None, "help", "run"), (0, out, ""))
    equal(tenure(None, "help", "florble")[0], 64)
    equal(tenure(None)[0], 64)
    contains(tenure(None, "--version")[1], "tenure ")


def test_no_server():
    server = Server()
    server.stop()
    begun = time.monotonic()
    for option in ([], ["--try"], ["-w", "30"]):
        code, out, err = tenure(server, "run", "--timeout", "1", *option, "x", "--", "echo", "ran")
        equal((code, out), (69, ""))
        contains(err, "tenure doctor")
    assert time.monotonic() - begun < 12
    equal(tenure(server, "run", "--url", "gopher://x", "x", "--", "true")[0], 64)


# ---------------------------------------------------------------------- modes


def test_shared_and_exclusive():
    server = Server()
    hold(server, "-s")
    check(tenure(server, "run", "--try", "-s", "x", "--", "true"), 0)
    check(tenure(server, "run", "--try", "-x", "x", "--", "true"), 75)
    check(tenure(server, "run", "--try", "-e", "x", "--", "true"), 75)
    # the last letter counts, as in flock
    check(tenure(server, "run", "--try", "-x", "-s", "x", "--", "true"), 0)


def test_slots():
    server = Server()
    hold(server, "--limit", "3")
    show = ("--", "sh", "-c", "echo $TENURE_SLOT")
    equal(tenure(server, "run", "--try", "-L3", "x", *show)[:2], (0, "1\n"))
    hold(server, "--limit", "3")
    hold(server, "--limit", "3")
    wait_for(
        lambda: tenure(server, "run", "--try", "--limit", "3", "x", "--", "true")[0] == 75,
        "three holders",
    )
    code, _, err = tenure(server, "run", "--limit", "2", "x", "--", "true")
    equal(code, 64)
    contains(err, "slots")


def test_several_names():
    server = Server()
    hold(server, name="b")
    code, _, err = tenure(server, "run", "--try", "a,b,c", "--", "true")
    equal(code, 75)
    contains(err, "b: held by")
    show = 'echo "$TENURE_NAME $TENURE_SLOT"; echo "$TENURE_TOKEN"'
    code, out, _ = tenure(server, "run", "a,c", "-c", show)
    equal(code, 0)
    equal(out.split("\n")[0], "a,c 0,0")
    tokens = [int(t) for t in out.split("\n")[1].split(",")]
    equal(len(set(tokens)), 2)


def test_priority():
    server = Server()
    path = os.path.join(scratch(), "order")
    holder = hold(server)
    note = "echo $ORDER >>%s" % path
    waiters = []
    for order, priority in (("low", "0"), ("high", "9")):
        waiters.append(
            start(server, "run", "--priority", priority, "x", "-c", note, env={"ORDER": order})
        )
        wait_for(lambda: waiter_count(server) == len(waiters), "the waiter to wait")
    holder.terminate()
    for waiter in waiters:
        equal(waiter.wait(10), 0)
    equal(read_file(path), "high\nlow\n")


def waiter_count(server):
    answer = server.resp()("LOCK.GET", "x")
    return len(pairs(answer)["waiters"]) if answer else 0


# ---------------------------------------------------------------------- what the command sees


def test_environment():
    server = Server()
    code, out, _ = tenure(
        server,
        "run",
        "--ttl",
        "20",
        "x",
        "--",
        "env",
        env={"TENURE_TOKEN": "old", "TENURE_FD": "77", "TENURE_PID": "1", "KEEP": "this"},
    )
    equal(code, 0)
    found = dict(line.split("=", 1) for line in out.splitlines() if "=" in line)
    equal(found["TENURE_NAME"], "x")
    equal(found["TENURE_SLOT"], "0")
    equal(found["TENURE_TTL_MS"], "20000")
    equal(found["TENURE_URL"], url(server))
    equal(found["KEEP"], "this")
    assert int(found["TENURE_TOKEN"]) > 10**15
    assert "@" in found["TENURE_OWNER"] and "#" in found["TENURE_OWNER"]
    assert "TENURE_PID" not in found
    equal(out.count("TENURE_TOKEN="), 1)
    assert 3 <= int(found["TENURE_FD"]) <= 9


def test_close_passes_no_descriptor_and_waits_for_nobody():
    server = Server()
    begun = time.monotonic()
    code, out, _ = tenure(
        server, "run", "-o", "x", "-c", "sleep 3 >/dev/null 2>&1 & echo ${TENURE_FD-none}"
    )
    equal((code, out), (0, "none\n"))
    equal(tenure(server, "run", "--try", "x", "--", "true")[0], 0)
    assert time.monotonic() - begun < 2


def test_the_lock_is_held_until_the_background_is_gone():
    server = Server()
    begun = time.monotonic()
    code, _, _ = tenure(server, "run", "x", "-c", "sleep 0.6 >/dev/null 2>&1 & exit 5")
    equal(code, 5)
    assert time.monotonic() - begun >= 0.6
    # who leaves the group has left the job
    begun = time.monotonic()
    equal(tenure(server, "run", "x", "-c", "setsid sleep 3 >/dev/null 2>&1 & sleep 0.1")[0], 0)
    assert time.monotonic() - begun < 2


def test_options_of_the_command_are_its_own():
    server = Server()
    equal(tenure(server, "run", "x", "--", "echo", "-v", "--help", "--")[1], "-v --help --\n")
    equal(tenure(server, "run", "x", "echo", "-v", "-w", "5")[1], "-v -w 5\n")
    equal(tenure(server, "run", "x", "--", "printf", "%s|", "a b", "", "c")[1], "a b||c|")


def test_the_shell_is_that_of_flock():
    server = Server()
    shell = os.path.join(scratch(), "shell")
    with open(shell, "w", encoding="utf-8") as file:
        file.write('#!/bin/sh\necho "mine $*"\n')
    os.chmod(shell, 0o755)
    equal(tenure(server, "run", "x", "-c", "a b", env={"SHELL": shell})[1], "mine -c a b\n")
    equal(tenure(server, "run", "x", "-c", "echo $((1+1))", env={"SHELL": ""})[1], "2\n")


def test_streams():
    server = Server()
    data = os.urandom(10 * 1024 * 1024)
    done = subprocess.run(
        [TENURE, "run", "x", "--", "cat"],
        input=data,
        capture_output=True,
        env=environment(server),
        timeout=60,
        check=False,
    )
    equal((done.returncode, done.stderr), (0, b""))
    assert done.stdout == data
    code, out, err = tenure(server, "run", "x", "-c", "echo out; echo err >&2")
    equal((code, out, err), (0, "out\n", "err\n"))


def test_closed_descriptors_stay_closed():
    server = Server()
    path = os.path.join(scratch(), "seen")
    script = os.path.join(scratch(), "look.sh")
    with open(script, "w", encoding="utf-8") as file:
        file.write('for i in 0 1 2; do [ -e /proc/$$/fd/$i ] && n="$n$i"; done\n')
        file.write('echo "$n." >%s\n' % path)
    for closing, seen in (("<&-", "12."), (">&-", "02."), ("2>&-", "01."), ("<&- >&- 2>&-", ".")):
        subprocess.run(
            ["sh", "-c", "exec %s; exec '%s' run x -- sh %s" % (closing, TENURE, script)],
            env=environment(server),
            timeout=20,
            check=True,
        )
        equal((closing, read_file(path)), (closing, seen + "\n"))


def test_descriptors_of_the_caller_are_inherited():
    server = Server()
    line = "exec 7<%s; '%s' run x -c 'cat <&7'" % ("/etc/hostname", TENURE)
    done = subprocess.run(
        ["sh", "-c", line], env=environment(server), capture_output=True, timeout=20, check=True
    )
    equal(done.stdout.decode(), read_file("/etc/hostname"))


def test_a_full_disk():
    server = Server()
    full = open("/dev/full", "wb")  # pylint: disable=consider-using-with
    done = subprocess.run(
        [TENURE, "run", "x", "--", "sh", "-c", "echo much || exit 9"],
        stdout=full,
        stderr=subprocess.PIPE,
        env=environment(server),
        check=False,
    )
    equal(done.returncode, 9)
    code, _, err = tenure(server, "run", "--json=/dev/full", "x", "--", "sh", "-c", "exit 4")
    equal(code, 4)
    contains(err, "cannot write the report")
    done = subprocess.run([TENURE, "help"], stdout=full, stderr=subprocess.PIPE, check=False)
    equal(done.returncode, 74)
    full.close()


# ---------------------------------------------------------------------- other flags


def test_max_hold():
    server = Server()
    begun = time.monotonic()
    code, _, err = tenure(server, "run", "--max-hold", "0.3", "x", "--", "sleep", "20")
    equal(code, 124)
    contains(err, "--max-hold")
    code, _, _ = tenure(
        server,
        "run",
        "--max-hold",
        "0.3",
        "--kill-grace",
        "0.3",
        "x",
        "-c",
        "trap '' TERM; sleep 20",
    )
    equal(code, 124)
    assert time.monotonic() - begun < 5
    equal(tenure(server, "run", "--max-hold", "30", "x", "--", "true")[0], 0)


def test_json():
    server = Server()
    path = os.path.join(scratch(), "log")
    code, out, err = tenure(server, "run", "--json", "x", "--", "sh", "-c", "exit 3")
    equal((code, out), (3, ""))
    line = report(err)
    equal(
        sorted(line),
        sorted(
            "outcome exit_code names tokens slots owner waited_ms held_ms".split()
            + "pid exit signal cause loss end error".split()
        ),
    )
    equal((line["outcome"], line["exit_code"], line["exit"]), ("done", 3, 3))
    equal(line["end"], "released")
    for _ in range(2):
        tenure(server, "run", "--json=" + path, "a,b", "--", "true")
    lines = read_file(path).splitlines()
    equal(len(lines), 2)
    equal(report(lines[1])["names"], ["a", "b"])
    line = report(tenure(server, "run", "--json", "x", "--", "sh", "-c", "kill -9 $$")[2])
    equal(line["signal"], 9)
    line = report(tenure(server, "run", "--json", "x", "--", "no-such")[2])
    equal(line["outcome"], "not_started")
    hold(server)
    line = report(tenure(server, "run", "--json", "--try", "x", "--", "true")[2])
    equal((line["outcome"], line["exit_code"], line["tokens"]), ("not_obtained", 75, []))


def test_labels_and_arguments():
    server = Server()
    hold(server, "--label", "team=web", "--label", "why=a \"b\"\t\x1b[31m")
    err = tenure(server, "run", "--try", "x", "--", "true")[2]
    contains(err, "(sleep, team=web, why=a \"b\" ?[31m)")
    assert "30" not in err.split("(sleep")[1].split(",")[0]
    server2 = Server()
    hold(server2, "--show-args")
    contains(tenure(server2, "run", "--try", "x", "--", "true")[2], "(sleep 30)")


def test_verbose():
    server = Server()
    _, _, err = tenure(server, "run", "-v", "x", "--", "true")
    contains(err, "getting the lock took 0.0")
    contains(err, "executing true")
    hold(server)
    _, _, err = tenure(server, "run", "-v", "-w", "1", "x", "--", "true")
    contains(err, "waiting for x, position 1: held by")


# ---------------------------------------------------------------------- the manual page


def manual(page):
    """A manual page as plain text, its lines joined."""
    path = os.path.join(ROOT, "docs", "man", page)
    done = subprocess.run(
        ["mandoc", "-T", "utf8", "-O", "width=1000", path], capture_output=True, check=True
    )
    text = re.sub("(?s).\x08", "", done.stdout.decode())
    return re.sub(r"[ \n]+", " ", text).replace("...", "…")


def test_the_manual_page_says_what_the_help_says():
    if not shutil.which("mandoc"):
        return
    usage, _, rest = tenure(None, "help", "run")[1].split("usage:\n")[1].partition("\n\n")
    synopsis = manual("tenure-run.1").split(" SYNOPSIS ")[1].split(" DESCRIPTION ")[0]
    equal(synopsis.strip(), re.sub(r"[ \n]+", " ", usage).strip())
    options = re.findall(r"(?m)^ .*?--([a-z-]+)", rest.partition("\n\n")[0])
    assert len(options) > 20, options
    page = manual("tenure-run.1")
    for option in options:
        assert re.search(r"-%s\b" % option, page), option
    listed = re.findall(r"(?m)^  ([a-z]+) {2,}\S", tenure(None, "help")[1].split("commands:")[1])
    assert "run" in listed
    for name in listed:
        contains(manual("tenure.1"), " %s " % name)


# ---------------------------------------------------------------------- beside flock(1)


def test_letters_mean_what_they_mean_in_flock():
    server = Server()
    path = os.path.join(scratch(), "lock")
    cases = [
        (["-x"], ["true"]),
        (["-s"], ["true"]),
        (["-e"], ["false"]),
        (["-E", "9"], ["sh", "-c", "exit 3"]),
        (["-o"], ["sh", "-c", "exit 4"]),
        (["-w", "1.5"], ["echo", "hello"]),
        (["-n"], ["echo", "-n", "x"]),
        (["-x"], ["-c", "echo shell; exit 6"]),
        (["-x"], ["sh", "-c", "kill -TERM $$"]),
        (["-x"], ["sh", "-c", "kill -KILL $$"]),
    ]
    held = [
        (["-n", "-E", "9"], ["true"]),
        (["-w", "0.2", "-E", "9"], ["true"]),
        (["-w", "0", "-E", "9"], ["true"]),
        (["-s", "-n", "-E", "9"], ["true"]),
        (["-x", "-s", "-n", "-E", "9"], ["true"]),
    ]

    def both(options, command):
        theirs = subprocess.run(
            [FLOCK, *options, path, *command], capture_output=True, timeout=20, check=False
        )
        ours = tenure(server, "run", *options, "x", *command)
        expected = (theirs.returncode, theirs.stdout.decode())
        equal((options, command, ours[:2]), (options, command, expected))

    for options, command in cases:
        both(options, command)
    theirs = subprocess.Popen([FLOCK, "-x", "-F", path, "sleep", "30"])
    ours = hold(server)
    wait_for(
        lambda: subprocess.run([FLOCK, "-n", path, "true"], check=False).returncode, "flock to lock"
    )
    for options, command in held:
        both(options, command)
    theirs.kill()
    theirs.wait()
    ours.terminate()
    equal(ours.wait(10), 143)


if __name__ == "__main__":
    run()
