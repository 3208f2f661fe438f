#!/usr/bin/python3
"""Redlock clients of other people on the same servers: they and Tenure exclude each other."""

import os
import shutil
import subprocess
import time

from lib import ROOT, cleanup, contains, equal, is_readable, run, scratch, skip, wait_for
from redis_cli import OPTIONS, Child, acquire, must, refused, show, start, tenure, token
from redis_nodes import Nodes

try:
    import redis
except ImportError:
    redis = None

FOLDER = os.path.join(ROOT, "tests", "interop")


class Talker:
    """A Redlock client of npm, told what to do line by line."""

    def __init__(self, library, servers):
        if shutil.which("node") is None or not os.path.isdir(os.path.join(FOLDER, "node_modules")):
            skip("no node, or no Redlock clients; `npm ci` in tests/interop brings them")
        ports = ",".join(str(node.port) for node in servers.each())
        self.process = subprocess.Popen(
            ["node", os.path.join(FOLDER, "talk.js"), library, ports], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, cwd=FOLDER)
        cleanup(self.end)
        equal(self.read(), "ready")

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def read(self):
        if not is_readable(self.process.stdout, 20):
            raise AssertionError("it says nothing")
        return self.process.stdout.readline().decode().strip()

    def __call__(self, *words):
        """ "ok VALUE" or "no REASON"."""
        self.process.stdin.write(" ".join(map(str, words)).encode() + b"\n")
        self.process.stdin.flush()
        return self.read()

    def must(self, *words):
        answer = self(*words)
        if not answer.startswith("ok "):
            raise AssertionError("%s: %s" % (words, answer))
        return answer[3:]

    def refused(self, *words):
        answer = self(*words)
        if not answer.startswith("no "):
            raise AssertionError("%s: not refused: %s" % (words, answer))


def first_use(servers):
    token(servers.url(OPTIONS, "new=yes"), "first/use")
    return servers.url(OPTIONS)


def check_foreign_holder(url, name, value, votes):
    """What people see of a lock that is held by a program that is not Tenure."""
    view = show(url, name)["holders"][0]
    equal((view["owner"], view["token"], view["foreign"]), (value, 0, True))
    equal((view["votes"], view["nodes"]), (votes, votes))
    contains(must(url, "show", name), "foreign owner")
    told = refused(url, 75, "run", "-n", "--ttl", "1s", name, "--", "true")
    contains(told, value)


def check_exclusion(library, count):
    servers = Nodes(count)
    url = first_use(servers)
    talker = Talker(library, servers)

    # Theirs keeps Tenure out, who waits gets it when they release, without their saying so.
    value = talker.must("acquire", "shared", 20000)
    equal(servers.holders("shared"), [value] * count)
    check_foreign_holder(url, "shared", value, count)
    waiter = start(url, "run", "--ttl", "1s", "shared", "--", "true")
    wait_for(lambda: show(url, "shared")["waiter_count"] == 1, "the waiter")
    equal(waiter.poll(), None)
    talker.must("release")
    equal(waiter.wait(5), 0)

    # Ours keeps them out.
    child = Child(url, "shared", scratch(), "--ttl", "1s")
    for _ in range(3):
        talker.refused("acquire", "shared", 1000)
        time.sleep(0.2)
    equal(child.process.poll(), None)
    view = show(url, "shared")["holders"][0]
    equal((view["foreign"], view["votes"]), (False, count))
    equal(child.stop(), 143)
    talker.must("acquire", "shared", 1000)
    talker.must("extend", 1000)
    talker.must("release")

    # What they leave behind runs out.
    talker.must("acquire", "shared", 700)
    token(url, "shared")


def test_redlock_4_on_three():
    check_exclusion("redlock4", 3)


def test_redlock_5_on_three():
    check_exclusion("redlock5", 3)


def test_redlock_universal_on_three():
    check_exclusion("universal", 3)


def test_redlock_4_on_five():
    check_exclusion("redlock4", 5)


def test_redlock_5_on_one():
    check_exclusion("redlock5", 1)


def test_redlock_universal_on_one():
    check_exclusion("universal", 1)


def test_the_lock_of_redis_py():
    if redis is None:
        skip("no redis-py")
    servers = Nodes(1)
    url = first_use(servers)
    client = redis.Redis("127.0.0.1", servers[0].port)
    cleanup(client.close)
    theirs = client.lock("shared", timeout=20, blocking=False)
    equal(theirs.acquire(), True)
    check_foreign_holder(url, "shared", theirs.local.token.decode(), 1)
    waiter = start(url, "run", "--ttl", "1s", "shared", "--", "true")
    wait_for(lambda: show(url, "shared")["waiter_count"] == 1, "the waiter")
    theirs.release()
    equal(waiter.wait(5), 0)
    child = Child(url, "shared", scratch(), "--ttl", "1s")
    equal(client.lock("shared", timeout=20, blocking=False).acquire(), False)
    equal(child.stop(), 143)
    equal(client.lock("shared", timeout=20, blocking=False).acquire(), True)


def test_a_foreign_lock_without_end_is_waited_for():
    """SETNX without a ttl, as in old tutorials: it is shown, and never taken."""
    servers = Nodes(1)
    url = first_use(servers)
    servers.cli(0, "SET", "old", "worker-7")
    view = show(url, "old")["holders"][0]
    equal((view["owner"], view["foreign"], view["remaining_ms"]), ("worker-7", True, None))
    code, _, _ = tenure(url, "run", "-w", "1200ms", "--ttl", "1s", "old", "--", "true")
    equal(code, 75)
    equal(servers.cli(0, "GET", "old"), "worker-7")
    servers.cli(0, "DEL", "old")
    token(url, "old")


def test_a_foreign_lock_cannot_be_broken_by_mistake():
    servers = Nodes(3)
    url = first_use(servers)
    for index in range(3):
        servers.cli(index, "SET", "theirs", "worker-7", "PX", 20000)
    _, ours = acquire(url, "ours", "--ttl", "2s")
    code, _, _ = tenure(url, "break", "-y", "--reason", "test", "--token", ours, "theirs")
    assert code in (66, 79), code
    equal(servers.holders("theirs"), ["worker-7"] * 3)


run()
