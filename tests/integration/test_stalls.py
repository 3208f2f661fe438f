#!/usr/bin/python3
"""Time that goes wrong: a server that is stopped, a disk that stalls, processors that are busy, and
clocks near the ends of their numbers.  Who renews in time is never expired; nothing is told before
it is durable; who does not renew is expired nevertheless.

    TENURE_TEST_ROUNDS    how often the server is stopped (2)
    TENURE_TEST_STALL_S   for how long the disk stalls (2.5)
"""

import os
import signal
import subprocess
import threading
import time

from lib import RespError, Server, cleanup, contains, encode, equal, pairs, run, wait_for

ROUNDS = int(os.environ.get("TENURE_TEST_ROUNDS", "2"))
STALL_S = float(os.environ.get("TENURE_TEST_STALL_S", "2.5"))
TIME_FACTOR = float(os.environ.get("TENURE_TEST_TIME_FACTOR", "1"))


class Holders(threading.Thread):
    """Many holds on one connection, renewed in one command, whether the last one was answered or
    not: a client that renews in time does not wait for a server that is silent."""

    def __init__(self, server, first, count, ttl_ms):
        super().__init__(daemon=True)
        self.client = server.resp()
        self.ttl_ms = ttl_ms
        self.holds = []
        for index in range(first, first + count):
            self.client.send("LOCK.ACQUIRE", "n%d" % index, "me", ttl_ms)
        for index in range(first, first + count):
            self.holds.append(("n%d" % index, pairs(self.client.read())["token"]))
        self.is_over = False
        self.lost = []
        self.sent = 0
        self.reader = threading.Thread(target=self.read_all, daemon=True)
        self.answered = 0

    def run(self):
        words = []
        for name, token in self.holds:
            words += [name, "me", token, self.ttl_ms]
        command = encode("LOCK.RENEW", *words)
        self.reader.start()
        while not self.is_over:
            self.client.socket.sendall(command)
            self.sent += 1
            time.sleep(self.ttl_ms / 4000)

    def read_all(self):
        while not self.is_over or self.answered < self.sent:
            if self.client.is_silent(0.1):
                continue
            results = self.client.read(60)
            # One hold: the pairs; many: a list of them.
            for result in results if isinstance(results[0], list) else [results]:
                outcome = result if isinstance(result, RespError) else pairs(result)["outcome"]
                if outcome != "ok":
                    self.lost.append(str(outcome))
            self.answered += 1

    def finish(self):
        self.is_over = True
        self.join(60)
        self.reader.join(60)
        assert not self.reader.is_alive(), "renewals without an answer"
        equal((len(self.lost), self.lost[:3]), (0, []))


def many_holders(server, count, ttl_ms):
    """`count` holds on ten connections."""
    holders = []
    for number in range(10):
        holders.append(Holders(server, number * count // 10, count // 10, ttl_ms))
        holders[-1].start()
    return holders


def all_are_there(server, count):
    """Every hold is still there, as the server itself sees it."""
    client = server.resp()
    names, cursor = [], None
    while True:
        words = ["LIMIT", 1000] + (["CURSOR", cursor] if cursor else [])
        page = pairs(client("LOCK.LIST", *words))
        names += [pairs(lock)["name"] for lock in page["locks"]]
        cursor = page["cursor"]
        if not cursor:
            break
    equal(len([name for name in names if name.startswith("n")]), count)


def test_a_stopped_server_and_a_thousand_holders():
    server = Server()
    ttl_ms = int(1000 * TIME_FACTOR)
    holders = many_holders(server, 1000, ttl_ms)
    for _ in range(ROUNDS):
        time.sleep(ttl_ms / 1000 / 2)
        os.kill(server.pid, signal.SIGSTOP)
        time.sleep(ttl_ms / 1000 * 2.5)
        os.kill(server.pid, signal.SIGCONT)
    time.sleep(ttl_ms / 1000)
    for holder in holders:
        holder.finish()
    contains(server.errors(), "could not receive for")
    client = server.resp()
    wait_for(lambda: pairs(client("LOCK.LIST"))["locks"] == [], "the expiry of all", 30)


def stalling(*options, at):
    """A server whose `at`-th fdatasync, of each thread, takes STALL_S."""
    trace = ["strace", "-f", "-qq", "-o", os.devnull, "-e", "trace=fdatasync", "-e"]
    inject = "inject=fdatasync:delay_enter=%d:when=%s" % (STALL_S * 1e6, at)
    return Server("--segment-bytes", "64K", *options, wrapper=trace + [inject])


def until_it_stalls(server):
    """Acquire until there is no answer for a while; the connection, and the name asked for."""
    client = server.resp()
    for index in range(1000):
        client.send("LOCK.ACQUIRE", "x%d" % index, "o", 0)
        if client.is_silent(STALL_S / 4):
            return client, "x%d" % index, time.monotonic()
        client.read()
    raise AssertionError("the disk never stalled")


def test_a_stalled_disk_and_a_thousand_holders():
    server = stalling(at="80+40")  # not before all have their locks
    ttl_ms = int(min(STALL_S * 400, 1000) * TIME_FACTOR)
    holders = many_holders(server, 1000, ttl_ms)
    for _ in range(2):
        client, _, _ = until_it_stalls(server)
        client.read(60)
    for holder in holders:
        holder.finish()


def test_nothing_is_told_before_it_is_durable():
    server = stalling(at="9")
    reader, waiter, follower = server.resp(), server.resp(), server.resp(3)
    held = pairs(reader("LOCK.ACQUIRE", "held", "o", 0))["token"]
    waiter.send("LOCK.ACQUIRE", "held", "next", 0, "WAIT", 60000)
    wait_for(lambda: pairs(reader("LOCK.GET", "held"))["waiter_count"] == 1, "the waiter")
    follower("EVENTS.FOLLOW")
    client, name, begun = until_it_stalls(server)
    while not follower.is_silent(0):
        equal(pairs_or_dict(follower.read()).get("name") == name, False)
    # It is granted in memory and not on the disk: nobody may hear of it, in whatever way.
    reader.send("LOCK.GET", name)
    releaser = server.resp()
    releaser.send("LOCK.RELEASE", "held", "o", held)
    while time.monotonic() < begun + STALL_S * 0.7:
        for connection, what in [(client, "the grant"), (reader, "a read of it"),
                                 (follower, "its event"), (releaser, "a release"),
                                 (waiter, "the grant to a waiter")]:
            assert connection.is_silent(0.01), "%s left before it was durable" % what
    equal(pairs(client.read(60))["owner"], "o")
    equal(len(pairs(reader.read(60))["holders"]), 1)
    equal(releaser.read(60), ["released"])
    assert pairs(waiter.read(60))["token"] > held


def pairs_or_dict(push):
    """The fields of a push of EVENTS.FOLLOW."""
    for part in push:
        if isinstance(part, dict):
            return part
    return {}


def test_a_kill_while_the_disk_stalls():
    server = stalling(at="9")
    client = server.resp()
    kept = {}
    while True:
        name = "k%d" % len(kept)
        client.send("LOCK.ACQUIRE", name, "o", 0)
        if client.is_silent(STALL_S / 4):
            break
        kept[name] = pairs(client.read())["token"]
    os.killpg(server.pid, signal.SIGKILL)
    server.process.wait()
    server.wrapper = []
    server.start()
    client = server.resp()
    for name, token in kept.items():
        equal(pairs(client("LOCK.ACQUIRE", name, "o", 0))["token"], token)
    fresh = pairs(client("LOCK.ACQUIRE", "fresh", "o", 0))["token"]
    assert fresh > max(kept.values())


def test_processors_that_are_busy():
    server = Server()
    holders = many_holders(server, 200, int(3000 * TIME_FACTOR))
    hogs = []
    for _ in range(8):
        hogs.append(subprocess.Popen(["sh", "-c", "while :; do :; done"]))
        cleanup(hogs[-1].wait)
        cleanup(hogs[-1].kill)
    time.sleep(4 * TIME_FACTOR)
    all_are_there(server, 200)
    for holder in holders:
        holder.finish()


# Where 32 signed and unsigned bits of milliseconds end, 49.7 days being the second, and those of
# seconds.
CLOCK_ENDS_S = [(1 << 31) // 1000, (1 << 32) // 1000, 1 << 31, 1 << 32]


def in_time_namespace(uptime_s):
    """A wrapper in which the machine has been up for that long."""
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    offset = int(uptime_s - now)
    return ["unshare", "-T", "--boottime", str(offset), "--monotonic", str(offset)]


def can_have_a_time_namespace():
    probe = in_time_namespace(1 << 31) + ["true"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def test_clocks_near_the_ends_of_their_numbers():
    if not can_have_a_time_namespace():
        print("skipped: no right to a time namespace")
        return
    ttl_ms = int(800 * TIME_FACTOR)
    servers = []
    for end_s in CLOCK_ENDS_S:
        servers.append((end_s, Server(wrapper=in_time_namespace(end_s - 2 * TIME_FACTOR))))
    lives = []
    for _, server in servers:
        client, waiter = server.resp(), server.resp()
        kept = pairs(client("LOCK.ACQUIRE", "kept", "me", ttl_ms))["token"]
        lives.append((client, waiter, kept))
    begun = time.monotonic()
    while time.monotonic() < begun + 4 * TIME_FACTOR:
        for client, _, kept in lives:
            equal(pairs(client("LOCK.RENEW", "kept", "me", kept, ttl_ms))["outcome"], "ok")
        time.sleep(0.1)
    for client, waiter, kept in lives:
        waiter.send("LOCK.ACQUIRE", "kept", "you", ttl_ms, "WAIT", 20000)
    stopped = time.monotonic()
    for client, waiter, kept in lives:
        grant = pairs(waiter.read())
        assert grant["token"] > kept
        took = time.monotonic() - stopped
        assert ttl_ms * 0.7 < took * 1000 < ttl_ms + 2000, took
    for end_s, server in servers:
        with open("/proc/%d/timens_offsets" % server.pid, encoding="ascii") as file:
            offset = [int(line.split()[1]) for line in file if line.startswith("boottime")][0]
        assert time.clock_gettime(time.CLOCK_BOOTTIME) + offset > end_s, "too early"


run()
