"""tenure run in numbers: many at once, many in a row.

$TENURE_RUN_COUNT: how many runs in a row, else 200.
"""

import os
import signal
import subprocess
import threading
import time

from cli import TENURE, children, environment, is_alive, read_file, start, tenure
from lib import Server, contains, equal, need, run, scratch, skip, wait_for

RUNNER_COUNT = 20
ROUND_COUNT = int(os.environ.get("TENURE_ROUND_COUNT", "50"))
ROW_COUNT = int(os.environ.get("TENURE_RUN_COUNT", "200"))
TIME_FACTOR = float(os.environ.get("TENURE_TEST_TIME_FACTOR", "1"))


def test_many_contend_for_one_lock():
    server = Server()
    path = os.path.join(scratch(), "log")
    env = environment(server)
    # The shell's own numbers of the start and the end stand around what it does between.
    body = 'echo "in $TENURE_TOKEN" >>%s; echo "out $TENURE_TOKEN" >>%s' % (path, path)
    codes = []

    def play():
        for _ in range(ROUND_COUNT):
            done = subprocess.run(
                [TENURE, "run", "x", "--", "sh", "-c", body],
                env=env,
                capture_output=True,
                timeout=120,
                check=False,
            )
            codes.append((done.returncode, done.stderr))

    threads = [threading.Thread(target=play) for _ in range(RUNNER_COUNT)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(set(codes), {(0, b"")})
    lines = read_file(path).splitlines()
    equal(len(lines), 2 * RUNNER_COUNT * ROUND_COUNT)
    last = 0
    for entry, leave in zip(lines[::2], lines[1::2]):
        word, token = entry.split()
        equal((word, leave), ("in", "out " + token))
        assert int(token) > last, (token, last)
        last = int(token)
    equal(children(os.getpid()), [server.pid])


def test_many_in_a_row():
    """No zombie and no process is left, and the server's descriptors do not grow."""
    server = Server()
    equal(tenure(server, "run", "x", "--", "true")[0], 0)

    def descriptors():
        return len(os.listdir("/proc/%d/fd" % server.pid))

    wait_for(lambda: descriptors() < 40, "the connection to close")
    before = descriptors()
    last = 0
    for i in range(ROW_COUNT):
        body = "echo $TENURE_TOKEN; exit %d" % (i % 3)
        code, out, err = tenure(server, "run", "x", "--", "sh", "-c", body)
        equal((code, err), (i % 3, ""))
        assert int(out) > last
        last = int(out)
    wait_for(lambda: descriptors() <= before, "the connections to close")
    equal(children(os.getpid()), [server.pid])


def test_the_runner_leaks_no_descriptor_to_the_command():
    server = Server()
    listing = "ls /proc/self/fd"
    bare = subprocess.run(["sh", "-c", listing], capture_output=True, check=True).stdout
    code, out, _ = tenure(server, "run", "-o", "x", "--", "sh", "-c", listing)
    equal((code, out), (0, bare.decode()))
    code, out, _ = tenure(server, "run", "x", "--", "sh", "-c", listing)
    equal(len(out.split()), len(bare.split()) + 1)


def test_valgrind_finds_nothing():
    need("no valgrind", "valgrind", "--version")
    with open(TENURE, "rb") as program:
        text = program.read()
    if b"__asan_init" in text or b"__tsan_init" in text:
        skip("valgrind and sanitizers exclude each other")
    server = Server()
    wrapper = ["valgrind", "-q", "--error-exitcode=99", "--leak-check=full"]
    wrapper += ["--child-silent-after-fork=yes"]
    wrapper += ["--errors-for-leak-kinds=definite,indirect", "--show-leak-kinds=definite,indirect"]
    for words, code in (
        (["run", "--json", "--label", "a=b", "x,y", "--", "sh", "-c", "exit 3"], 3),
        (["run", "--max-hold", "0.3", "x", "--", "sleep", "20"], 124),
        (["run", "x", "--", "no-such-command"], 127),
        (["run", "-w", "soon", "x", "--", "true"], 64),
    ):
        found, _, err = tenure(server, *words, prefix=wrapper, limit_s=60)
        equal((words, found), (words, code))
        assert "==" not in err, err
    holder = start(server, "run", "x", "--", "sleep", "60")
    wait_for(lambda: server.resp()("LOCK.GET", "x"), "the lock")
    for words, code in (
        (["run", "-v", "-w", "1", "x", "--", "true"], 75),
        (["acquire", "--json", "--label", "a=b", "y"], 0),
        (["ls"], 0),
        (["show", "--json", "x"], 0),
        (["history", "y"], 0),
        (["break", "--token", "5", "--reason", "why", "-y", "x"], 79),
        (["elect", "-n", "z", "value", "--", "true"], 0),
        (["doctor"], 0),
        (["bench", "-n", "2", "-t", "0.2"], 0),
    ):
        found, _, err = tenure(server, *words, prefix=wrapper, limit_s=60)
        equal((words, found, "==" in err), (words, code, False))
    holder.terminate()


def test_signals_are_forwarded():
    server = Server()
    path = os.path.join(scratch(), "got")
    names = ("HUP", "USR1", "USR2", "WINCH", "QUIT", "INT", "TERM")
    traps = "".join("trap 'echo %s >>%s' %s; " % (name, path, name) for name in names)
    process = start(server, "run", "x", "-c", traps + "echo ready; while :; do sleep 0.02; done")
    equal(process.stdout.readline(), b"ready\n")
    for count, name in enumerate(names, 1):
        process.send_signal(getattr(signal, "SIG" + name))
        wait_for(lambda count=count: len(read_file(path).split()) == count, name)
    equal(read_file(path).split(), list(names))
    equal(process.poll(), None)
    # The second TERM is not asked for, it is done.
    process.send_signal(signal.SIGTERM)
    equal(process.wait(10), 137)
    equal(tenure(server, "run", "--try", "x", "--", "true")[0], 0)


def test_a_signal_ends_the_wait():
    server = Server()
    start(server, "run", "x", "--", "sleep", "60")
    wait_for(lambda: server.resp()("LOCK.GET", "x"), "the lock")
    for name in ("TERM", "INT", "HUP", "USR1"):
        process = start(server, "run", "x", "--", "true")
        time.sleep(0.5)
        process.send_signal(getattr(signal, "SIG" + name))
        equal((name, process.wait(5)), (name, 128 + getattr(signal, "SIG" + name)))


def test_release_comes_when_all_are_gone():
    server = Server()
    path = os.path.join(scratch(), "pid")
    process = start(
        server, "run", "x", "-c", "sh -c 'trap \"\" TERM; echo $$ >%s; sleep 2.5; :' & wait" % path
    )
    pid = int(wait_for(lambda: read_file(path), "the grandchild"))
    process.terminate()
    time.sleep(0.2)
    assert is_alive(pid)
    equal(tenure(server, "run", "--try", "x", "--", "true")[0], 75)
    equal(process.wait(10), 143)
    assert not is_alive(pid)


def test_guardian_survives_what_hits_the_groups():
    server = Server()
    path = os.path.join(scratch(), "pid")
    end = os.path.join(scratch(), "end")
    script = "trap 'echo TERM >%s; :' TERM; echo $$ >%s; while :; do sleep 0.05; done" % (end, path)
    process = start(server, "run", "--ttl", "2", "x", "-c", script, start_new_session=True)
    pid = int(wait_for(lambda: read_file(path), "the command"))
    os.killpg(process.pid, signal.SIGKILL)
    wait_for(lambda: not is_alive(pid), "the command to be killed", 3)
    # Without a guardian the kernel would have killed it, without a word.
    equal(read_file(end), "TERM\n")


def test_a_start_costs_little():
    """Loose, since others may need the processors: it bites when a start waits for something."""
    server = Server()
    tenure(server, "run", "x", "--", "true")
    best = 99
    for _ in range(20):
        begun = time.monotonic()
        equal(tenure(server, "run", "--try", "x", "--", "true")[0], 0)
        best = min(best, time.monotonic() - begun)
    assert best < 0.05 * TIME_FACTOR, best


def test_help_mentions_the_manual_pages_facts():
    out = tenure(None, "help", "run")[1]
    for word in ("TENURE_FD", "exit codes", "--on-lost", "--kill-grace"):
        contains(out, word)


if __name__ == "__main__":
    run()
