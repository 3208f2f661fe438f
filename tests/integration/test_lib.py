#!/usr/bin/python3
"""The runner of these tests: what passed, failed and was skipped is told, and counted by others."""

import os
import re
import socket
import subprocess
import sys

from lib import ROOT, Server, contains, equal, need, own_port, run, scratch

HERE = os.path.join(ROOT, "tests", "integration")

PASSES = "def test_good():\n    pass\n"
FAILS = "def test_bad():\n    equal(1, 2)\n"
SKIPS = "def test_picky():\n    need('no such tool', '/no/such/tool')\n    equal(1, 2)\n"
TIDIES = """
def test_tidy():
    cleanup(print, 'cleaned up')
    skip('nothing to do')
"""


def outcome(*parts):
    """Exit status and output of a script made of these tests."""
    path = os.path.join(scratch(), "script.py")
    with open(path, "w", encoding="ascii") as file:
        tests = "\n".join(parts)
        file.write("from lib import cleanup, equal, need, run, skip\n%s\nrun()\n" % tests)
    done = subprocess.run([sys.executable, path], capture_output=True, check=False, timeout=30,
                          env={**os.environ, "PYTHONPATH": HERE})
    equal(done.stderr, b"")
    return done.returncode, done.stdout.decode()


def last_line(text):
    return text.rstrip("\n").rsplit("\n", 1)[-1]


def test_what_passes_and_fails_is_counted():
    code, text = outcome(PASSES)
    equal((code, last_line(text)), (0, "1 passed, 0 failed"))
    code, text = outcome(PASSES, FAILS)
    equal((code, last_line(text)), (1, "1 passed, 1 failed"))
    contains(text, "1 is not 2")
    code, text = outcome()
    equal((code, last_line(text)), (1, "0 passed, 0 failed"))


def test_what_is_skipped_has_a_reason_and_did_not_pass():
    code, text = outcome(PASSES, SKIPS)
    equal((code, last_line(text)), (0, "1 passed, 0 failed, 1 skipped"))
    contains(text, "\nskip test_picky: no such tool\n")
    code, text = outcome(FAILS, SKIPS)
    equal((code, last_line(text)), (1, "0 passed, 1 failed, 1 skipped"))
    code, text = outcome(SKIPS, TIDIES)
    equal((code, last_line(text)), (77, "0 passed, 0 failed, 2 skipped"))
    contains(text, "cleaned up\nskip test_tidy: nothing to do\n")


def test_a_suite_sums_up_what_its_programs_say():
    need("no meson", "meson", "--version")
    base = scratch()
    lines = ["project('suites')", "sh = find_program('sh')"]
    scripts = {
        "plain": 'echo "2 passed, 0 failed"',
        "picky": 'echo "skip test_a: no tool"; echo "3 passed, 0 failed, 1 skipped"',
        "shirker": 'echo "skip test_b: no right"; echo "0 passed, 0 failed, 1 skipped"; exit 77',
        "mute": "exit 77",
    }
    for name, script in scripts.items():
        lines.append("test('%s', sh, args: ['-c', '%s'], suite: 's')" % (name, script))
    with open(os.path.join(base, "meson.build"), "w", encoding="ascii") as file:
        file.write("\n".join(lines) + "\n")
    build = os.path.join(base, "build")
    subprocess.run(["meson", "setup", build, base], capture_output=True, check=True)
    done = subprocess.run([os.path.join(ROOT, "tools", "suite"), build, "s"],
                          capture_output=True, check=False, text=True)
    equal((done.returncode, last_line(done.stdout)), (0, "5 passed, 0 failed, 3 skipped"))
    contains(done.stdout, "skipped: picky: test_a: no tool\n")
    contains(done.stdout, "skipped: shirker: test_b: no right\n")
    contains(done.stdout, "skipped: mute: does not say why\n")


def test_dev_reads_every_form_of_the_last_line():
    with open(os.path.join(ROOT, "dev"), encoding="utf-8") as file:
        expression = re.search(r"counts=\$\(sed -n -E '([^']+)'", file.read()).group(1)
    for line, counts in (
        ("12 passed, 0 failed", "12 0"),
        ("12 passed, 3 failed, 4 skipped", "12 3"),
        ("0 passed, 0 failed, 1 skipped", "0 0"),
        ("    12 passed, 3 failed", ""),
        ("12 passed, 3 failed, some skipped", ""),
    ):
        done = subprocess.run(["sed", "-n", "-E", expression], input=line + "\n", text=True,
                              capture_output=True, check=True)
        equal((line, done.stdout.strip()), (line, counts))


def test_a_port_is_a_servers_own_while_it_is_down():
    server = Server()
    port = server.port
    server.kill()
    for taken in (port, own_port()):
        with socket.socket() as other:
            try:
                other.bind(("127.0.0.1", taken))
            except OSError:
                continue
            raise AssertionError("somebody else got port %d" % taken)
    server.start()
    equal((server.port, server.resp()("PING")), (port, "PONG"))


run()
