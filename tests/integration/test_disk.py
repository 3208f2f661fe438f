#!/usr/bin/python3
"""Disks that fail under the real server: killed at the n-th call to the system, calls that fail, a
disk that is full or read-only, files that are damaged, copied or restored.

    TENURE_TEST_ROUNDS    calls of each kind at which a fault is planted (3); 0: at every one until
                          the fault is planted behind the last
"""

import os
import random
import re
import shutil
import signal
import subprocess
import time

from cli import start, tenure
from http_client import Http
from lib import (
    TENURED, RespError, Server, contains, equal, need, pairs, refused, run, scratch, strace,
    tenured, wait_for,
)

ROUNDS = int(os.environ.get("TENURE_TEST_ROUNDS", "3"))
STEPS = 150
SMALL = ("--segment-bytes", "8K", "--snapshot-bytes", "64K")


class Story:
    """What a client was told in a life of the server."""

    def __init__(self):
        self.held = {}  # name -> token: granted, and not asked to be released
        self.released = {}  # name -> token: the release was acknowledged
        self.highest = 0
        self.is_cut = False  # the server went away in the middle
        self.wrong = []

    def live(self, server):
        """Acquire and release until all is done or the server is gone."""
        try:
            client = server.resp()
            for index in range(STEPS):
                name = "n%d" % index
                grant = pairs(client("LOCK.ACQUIRE", name, "o", 0, "META", "m" * 900))
                if grant["token"] <= self.highest:
                    self.wrong.append("token %d after %d" % (grant["token"], self.highest))
                self.highest = grant["token"]
                self.held[name] = grant["token"]
                if index % 3 == 2:
                    name = "n%d" % (index - 2)
                    token = self.held.pop(name)
                    equal(client("LOCK.RELEASE", name, "o", token), ["released"])
                    self.released[name] = token
        except (EOFError, OSError):
            self.is_cut = True

    def check(self, server):
        """After a restart, all of it is still so."""
        equal(self.wrong, [])
        client = server.resp()
        for name, token in self.held.items():
            lock = client("LOCK.GET", name)
            assert lock is not None, "the grant of %s was lost" % name
            equal(pairs(pairs(lock)["holders"][0])["token"], token)
        for name in self.released:
            equal(client("LOCK.GET", name), None)
        fresh = pairs(client("LOCK.ACQUIRE", "fresh", "o", 0))["token"]
        assert fresh > self.highest
        equal(client("LOCK.RELEASE", "fresh", "o", fresh), ["released"])


def live_with(fault):
    """A life with a fault planted in it, and one after it: the story, the exit code of the first
    (None: it survived)."""
    data = os.path.join(scratch(), "data")
    story = Story()
    server, code = None, None
    try:
        server = Server(*SMALL, data=data, wrapper=strace(*fault.split(":", 1)))
    except AssertionError as error:
        code = "no start: %s" % error
    if server is not None:
        story.live(server)
        if story.is_cut:
            code = server.process.wait(20)
        server.kill()
    after = wait_for(lambda: start_again(data), "the end of the killed server")
    story.check(after)
    equal(after.stop(), 0)
    shutil.rmtree(data)
    return story, code


def start_again(data):
    """A server on that directory; None while the one before is still on its way out: its tracer may
    be gone while one of its threads is still in a call."""
    try:
        return Server(*SMALL, data=data)
    except AssertionError as error:
        if "another server uses this directory" not in str(error):
            raise
        return None


def points(call, limit):
    """At which calls to plant a fault: some, or all of them."""
    chance = random.Random(call)
    if ROUNDS == 0:
        return range(1, limit + 1)
    return sorted(chance.sample(range(1, limit + 1), min(ROUNDS, limit)))


# The calls that change a disk, and how many of each a life makes in its busiest thread, at least.
CALLS = [("pwrite64", 200), ("fdatasync", 200), ("fsync", 22), ("renameat", 22), ("openat", 60)]


def test_killed_at_the_nth_call():
    count, cut = 0, 0
    for call, limit in CALLS:
        for number in points(call, limit):
            _, code = live_with("%s:signal=SIGKILL:when=%d" % (call, number))
            count += 1
            cut += code is not None
    print("     killed at %d of %d calls" % (cut, count))
    assert cut * 2 > count


def test_the_nth_call_fails():
    """EIO: what is said was done, and a failed sync is the end of the server."""
    codes = {}
    count = 0
    for call, limit in CALLS[:4]:
        for number in points(call, limit):
            story, code = live_with("%s:error=EIO:when=%d" % (call, number))
            count += 1
            codes.setdefault(call, []).append(code)
            if code is None:
                assert not story.is_cut
            elif not isinstance(code, str):
                equal((call, number, code), (call, number, 74))
    failed = [code for code in codes["fdatasync"] if code is not None]
    assert len(failed) * 2 > len(codes["fdatasync"]), codes
    print("     %d calls failed; the server ended after %d" % (
        count, sum(code is not None for each in codes.values() for code in each)))


def test_a_failed_sync_is_told_in_one_sentence():
    server = Server(*SMALL, wrapper=strace("fdatasync", "error=EIO:when=8+"))
    story = Story()
    story.live(server)
    assert story.is_cut
    equal(server.process.wait(10), 74)
    lines = [line for line in server.errors().strip().split("\n") if "I/O error" in line
             or "Input/output error" in line]
    equal(len(lines), 1)


def test_writes_without_room():
    """ENOSPC from write: nothing is told that is not durable, renewals go on, and when there is
    room again all goes on by itself."""
    server = Server(*SMALL, wrapper=strace("pwrite64", "error=ENOSPC:when=12..16"))
    client, holder = server.resp(), server.resp()
    token = pairs(holder("LOCK.ACQUIRE", "mine", "me", 15000))["token"]
    granted, refusals = {}, 0
    for index in range(2000):
        name = "n%d" % index
        # However slow the machine is: so many grants can take longer than the ttl.
        equal(pairs(holder("LOCK.RENEW", "mine", "me", token, 15000))["outcome"], "ok")
        client.send("LOCK.ACQUIRE", name, "o", 0)
        while client.is_silent(0.1):
            equal(pairs(holder("LOCK.RENEW", "mine", "me", token, 15000))["outcome"], "ok")
        try:
            granted[name] = pairs(client.read())["token"]
        except RespError as error:
            equal(error.word, "NOSPACE")
            refusals += 1
            client.is_silent(0.02)
            equal(pairs(holder("LOCK.RENEW", "mine", "me", token, 15000))["outcome"], "ok")
        if refusals and len(granted) > 30:
            break
    assert refusals > 0 and len(granted) > 30, (refusals, len(granted))
    server.kill()
    server.wrapper = []
    server.start()
    client = server.resp()
    for name, token in granted.items():
        equal(pairs(client("LOCK.ACQUIRE", name, "o", 0))["token"], token)


def test_a_stop_without_room_ends_and_says_so():
    server = Server(*SMALL, wrapper=strace("pwrite64", "error=ENOSPC:when=12+"))
    client = server.resp()
    granted = {}
    for index in range(2000):
        client.send("LOCK.ACQUIRE", "n%d" % index, "o", 0)
        if client.is_silent(1):
            break
        granted["n%d" % index] = pairs(client.read())["token"]
    with open("/proc/%d/task/%d/children" % (server.pid, server.pid), encoding="ascii") as file:
        os.kill(int(file.read().split()[0]), signal.SIGTERM)
    equal(server.process.wait(20), 74)
    contains(server.errors(), "No space left on device")
    assert client.is_closed()
    server.wrapper = []
    server.start()
    client = server.resp()
    for name, token in granted.items():
        equal(pairs(client("LOCK.ACQUIRE", name, "o", 0))["token"], token)


def test_a_new_directory_is_as_durable_as_what_is_in_it():
    trace = os.path.join(scratch(), "trace")
    need("no strace, or no right to trace", "strace", "-f", "-qq", "-o", os.devnull, "true")
    server = Server(wrapper=["strace", "-f", "-qq", "-y", "-o", trace, "-e", "trace=mkdir,fsync"])
    with open(trace, encoding="utf-8") as file:
        calls = file.read()
    made = calls.index("mkdir(\"%s\"" % server.data)
    contains(calls[made:], "<%s>) = 0" % os.path.realpath(os.path.dirname(server.data)))


class SmallDisk:
    """A tmpfs in a mount namespace of its own, kept by a process that sleeps."""

    def __init__(self, size):
        need("no right to mount", "unshare", "-m", "true")
        self.path = scratch()
        script = "mount -t tmpfs -o size=%s none %s && echo ready && exec sleep 1000" % (
            size, self.path)
        self.keeper = subprocess.Popen(["unshare", "-m", "sh", "-c", script],
                                       stdout=subprocess.PIPE)
        equal(self.keeper.stdout.readline(), b"ready\n")
        self.wrapper = ["nsenter", "-m", "-t", str(self.keeper.pid)]

    def inside(self, name):
        return "/proc/%d/root%s/%s" % (self.keeper.pid, self.path, name)

    def fill(self):
        try:
            with open(self.inside("filler"), "ab", buffering=0) as file:
                while True:
                    file.write(b"x" * 4096)
        except OSError:
            pass

    def make_room(self):
        os.unlink(self.inside("filler"))

    def close(self):
        self.keeper.kill()
        self.keeper.wait()
        self.keeper.stdout.close()


def acquire_until_refused(client):
    tokens = []
    for index in range(20000):
        try:
            grant = pairs(client("LOCK.ACQUIRE", "n%d" % index, "o", 0, "META", "m" * 500))
        except RespError as error:
            equal(error.word, "NOSPACE")
            return tokens
        tokens.append(grant["token"])
    raise AssertionError("never full")


def test_a_full_disk_on_both_protocols_and_over_a_crash():
    disk = SmallDisk("4m")
    try:
        server = Server("--segment-bytes", "256K", "--snapshot-bytes", "1G",
                        data=disk.path + "/data", wrapper=disk.wrapper)
        full_disk(disk, server)
        server.kill()
    finally:
        disk.close()


def full_disk(disk, server):
    client, waiter = server.resp(), server.resp()
    mine = pairs(client("LOCK.ACQUIRE", "mine", "me", 2000))["token"]
    disk.fill()
    tokens = acquire_until_refused(client)
    http = Http(server)
    answer = http.post("/v1/locks/other", owner="o")
    equal((answer.status, answer.json["code"]), (503, "no_space"))
    assert "retry-after" in answer.headers
    equal(http.get("/readyz").status, 503)
    equal(http.get("/healthz").status, 200)
    waiter.send("LOCK.ACQUIRE", "n0", "next", 0, "WAIT", 60000)
    for _ in range(10):
        equal(pairs(client("LOCK.RENEW", "mine", "me", mine, 2000))["outcome"], "ok")
        equal(http.put("/v1/locks/mine", owner="me", token=mine, ttl_ms=2000).status, 200)
    for index in range(50):
        equal(client("LOCK.RELEASE", "n%d" % index, "o", tokens[index]), ["released"])
    http.close()

    # kill -9 and a start on the full disk: it must come up, and still take releases.
    server.kill()
    server.start()
    client = server.resp()
    equal(pairs(client("LOCK.RENEW", "mine", "me", mine, 2000))["outcome"], "ok")
    for index in range(50, 60):
        equal(client("LOCK.RELEASE", "n%d" % index, "o", tokens[index]), ["released"])
    for index in range(60, len(tokens)):
        lock = pairs(client("LOCK.GET", "n%d" % index))
        equal(pairs(lock["holders"][0])["token"], tokens[index])

    disk.make_room()

    def is_granted():
        equal(pairs(client("LOCK.RENEW", "mine", "me", mine, 2000))["outcome"], "ok")
        try:
            return client("LOCK.ACQUIRE", "again", "o", 0)
        except RespError as error:
            equal(error.word, "NOSPACE")
            return None

    begun = time.monotonic()
    grant = wait_for(is_granted, "grants after there is room again", 10)
    assert pairs(grant)["token"] > max(tokens)
    print("     grants again %.1f s after there was room" % (time.monotonic() - begun))


def put_until_refused(client):
    for index in range(20000):
        try:
            client("QUEUE.PUT", "q", "b" * 1000, "ID", "n%d" % index)
        except RespError as error:
            equal(error.word, "NOSPACE")
            return index
    raise AssertionError("never full")


def test_a_disk_that_is_full_between_takes():
    disk = SmallDisk("4m")
    try:
        server = Server("--segment-bytes", "256K", "--snapshot-bytes", "1G",
                        data=disk.path + "/data", wrapper=disk.wrapper)
        full_disk_of_queues(disk, server)
        server.kill()
    finally:
        disk.close()


def full_disk_of_queues(disk, server):
    client, worker = server.resp(3), server.resp(3)
    for index in range(20):
        client("QUEUE.PUT", "work", str(index), "ID", "w%d" % index)
    taken = client("QUEUE.TAKE", "work", "w", "COUNT", 12)
    disk.fill()
    count = put_until_refused(client)
    equal(refused(client, "QUEUE.TAKE", "work", "w").word, "NOSPACE")
    equal(refused(client, "QUEUE.TAKE", "work", "w", "WAIT", 60000).word, "NOSPACE")
    # Who has something goes on with it, and gives it back.
    for index, item in enumerate(taken):
        claim = ("work", item["id"], item["token"])
        equal(client("QUEUE.EXTEND", *claim)["outcome"], "ok")
        if index < 4:
            equal(client("QUEUE.DONE", *claim)["state"], "done")
        elif index < 8:
            equal(client("QUEUE.FAIL", *claim, "DELAY", 0)["state"], "ready")
    server.kill()
    server.start()
    client, worker = server.resp(3), server.resp(3)
    counts = client("QUEUE.STAT", "work")["counts"]
    equal([counts[state] for state in ("ready", "taken", "done")], [12, 4, 4])
    equal(client("QUEUE.STAT", "q")["counts"]["ready"], count)
    item = taken[8]
    equal(client("QUEUE.DONE", "work", item["id"], item["token"])["state"], "done")
    # A worker that comes now waits for the room.
    late = start(server, "work", "--once", "work", "--", "true", stderr=subprocess.PIPE)
    contains(late.stderr.readline().decode(), "it is asked again until it answers")
    assert late.poll() is None
    disk.make_room()

    def is_given():
        try:
            return worker("QUEUE.TAKE", "work", "w")
        except RespError as error:
            equal(error.word, "NOSPACE")
            return None

    again = wait_for(is_given, "takes after there is room again", 10)[0]
    assert again["token"] > taken[-1]["token"]
    equal(late.wait(20), 0)


def taken_without_room(when):
    """A server on which a take is on its way that cannot be written down: the server, who asked, a
    worker that waits at the queue "jobs", and the items that were given before.  Of the first
    thread not that many writes are made: three segments."""
    server = Server("--segment-bytes", "64K",
                    wrapper=strace("pwrite64", "error=ENOSPC:when=%s" % when))
    client, taker = server.resp(3), server.resp(3)
    worker = start(server, "work", "--max-items", "1", "jobs", "--", "true")
    wait_for(lambda: client("QUEUE.STAT", "jobs"), "a worker that waits")
    words = ["ID", "i0", "LEASE", 60000]
    for index in range(1, 40):
        words += ["AND", "body", "ID", "i%d" % index, "LEASE", 60000]
    client("QUEUE.PUT", "q", "body", *words)
    for _ in range(60):
        client("STATE.INCR", "n")
    given = []
    while True:
        taker.send("QUEUE.TAKE", "q", "w", "WAIT", 60000)
        if taker.is_silent(0.3):
            return server, taker, worker, given
        given += taker.read()
        assert len(given) < 40, "never without room"


def test_a_take_that_cannot_be_written():
    """The disk is full in the middle of it: it is told when it is written, or never was."""
    server, taker, worker, given = taken_without_room("70..74")
    # Who comes now is told at once; who has something goes on with it.
    client, http = server.resp(3), Http(server)
    equal(refused(client, "QUEUE.TAKE", "q", "w", "WAIT", 60000).word, "NOSPACE")
    answer = http.post("/v1/queues/q/take", worker="w", wait_ms=60000)
    equal((answer.status, answer.json["code"], "retry-after" in answer.headers),
          (503, "no_space", True))
    code, out, err = tenure(server, "queue", "take", "--wait", "0", "q")
    equal((code, out), (69, ""))
    contains(err, "disk is full")
    for item in given:
        equal(client("QUEUE.EXTEND", "q", item["id"], item["token"])["outcome"], "ok")
    # There is room again: all of them get something, each something else.
    given += taker.read(30)
    is_open = lambda: http.get("/readyz").status == 200
    wait_for(is_open, "takes after there is room again")
    given += client("QUEUE.TAKE", "q", "w")
    given += http.post("/v1/queues/q/take", worker="w").json["items"]
    client("QUEUE.PUT", "jobs", "for the worker")
    equal(worker.wait(30), 0)
    equal(len({item["id"] for item in given}), len(given))
    equal(len({item["token"] for item in given}), len(given))
    counts = client("QUEUE.STAT", "q")["counts"]
    equal((counts["taken"], counts["ready"]), (len(given), 40 - len(given)))
    http.close()


def test_a_take_that_was_never_written_did_not_happen():
    server, taker, _, given = taken_without_room("70+")
    server.kill()
    assert taker.is_closed()
    server.wrapper = []
    server.start()
    client = server.resp(3)
    counts = client("QUEUE.STAT", "q")["counts"]
    equal((counts["taken"], counts["ready"]), (len(given), 40 - len(given)))
    [item] = client("QUEUE.TAKE", "q", "w")
    equal((item["id"], item["lapses"], item["attempts"]), ("i%d" % len(given), 0, 0))
    assert item["token"] > given[-1]["token"]
    for item in given:
        equal(client("QUEUE.DONE", "q", item["id"], item["token"])["state"], "done")


def test_a_directory_that_cannot_be_written():
    disk = SmallDisk("4m")
    try:
        command = disk.wrapper + [
            "sh", "-c", "mkdir %s/data && mount -o remount,ro %s" % (disk.path, disk.path)]
        subprocess.run(command, check=True)
        done = subprocess.run(
            disk.wrapper + [TENURED, "--data", disk.path + "/data", "--listen", "127.0.0.1:0"],
            capture_output=True, timeout=20, check=False)
        errors = done.stderr.decode()
        contains(errors, "Read-only file system")
        equal(len(errors.strip().split("\n")), 1)
        assert done.returncode in (73, 74, 77), done.returncode
    finally:
        disk.close()


def granted_and_stopped(count, *options):
    server = Server(*(options or SMALL))
    client = server.resp()
    for index in range(count):
        client("LOCK.ACQUIRE", "n%d" % index, "o", 0, "META", "m" * 300)
    equal(server.stop(), 0)
    return server


def looks(path):
    """Exit codes of --check, --dump and a start, and what the start said."""
    code_check = tenured("--check", path)[0]
    code_dump = tenured("--dump", path)[0]
    code, _, errors = tenured("--data", path, "--listen", "127.0.0.1:0")
    return (code_check, code_dump, code), errors


def flip(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 0x10]))


def test_damage_to_each_segment_is_refused_with_file_and_offset():
    server = granted_and_stopped(60)
    names = sorted(f for f in os.listdir(server.data) if f.startswith("segment-"))
    assert len(names) > 2, names
    for name in names[:-1] + ["identity"]:
        path = os.path.join(server.data, name)
        for offset in [3, 20, 31] + ([40, 90, 120, 700, 3000] if name != "identity" else []):
            flip(path, offset)
            codes, errors = looks(server.data)
            equal((name, offset, codes), (name, offset, (65, 65, 65)))
            contains(errors, name)
            assert re.search(r"offset \d+|header|no segment", errors), errors
            contains(errors, "nothing was changed")
            flip(path, offset)
    server.start()
    contains(server.ready_line, "60 holds")


def contents(path):
    """Every file below, with its bytes."""
    found = {}
    for folder, _, names in os.walk(path):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                found[os.path.relpath(os.path.join(folder, name), path)] = file.read()
    return found


def journal_files(path):
    return {name: data for name, data in contents(path).items()
            if re.match(r"(segment|snapshot)-[0-9a-f]{16}$", name)}


def test_a_repair_keeps_the_sound_part_and_sets_the_rest_aside():
    server = granted_and_stopped(60)
    client_tokens = [lock for lock in tenured("--dump", server.data)[1].splitlines()]
    equal(len(client_tokens), 60)
    names = sorted(f for f in os.listdir(server.data) if f.startswith("segment-"))
    equal(tenured("--repair", server.data)[0], 0)
    contains(tenured("--repair", server.data)[1], "a start accepts this journal")

    flip(os.path.join(server.data, names[1]), 700)
    before = contents(server.data)
    codes, errors = looks(server.data)
    equal(codes, (65, 65, 65))
    contains(errors, "tenured --repair %s" % server.data)

    code, text, _ = tenured("--repair", server.data)
    equal(code, 65)
    kept = int(re.search(r"would keep: the state after event (\d+),", text).group(1))
    assert 0 < kept < 60, text
    contains(text, "%s: damaged at offset" % names[1])
    contains(text, "of %s\n" % names[1])
    contains(text, "would lose: events %d to 60 at least" % (kept + 1))
    contains(text, "tenured --repair %s --accept-loss" % server.data)
    for name in names[1:]:
        contains(text, "  %s\n" % name)
    equal(contents(server.data), before)

    code, text, errors = tenured("--repair", server.data, "--accept-loss")
    equal((code, errors), (0, ""))
    contains(text, "kept: the state after event %d," % kept)
    folder = re.search(r"set aside in (\S+):", text).group(1)
    assert re.match(r"damaged-\d{8}T\d{6}Z$", os.path.basename(folder)), folder
    old = {name: before[name] for name in names}
    aside = contents(folder)
    for name, data in aside.items():
        equal(data, old[name])
    for name, data in old.items():
        assert name in aside or contents(server.data)[name] == data, name

    equal(tenured("--repair", server.data, "--accept-loss")[0], 0)
    equal(tenured("--check", server.data)[0], 0)
    server.start()
    contains(server.ready_line, "%d holds at event %d" % (kept, kept))
    last = max(int(token) for token in re.findall(r'"token":(\d+)', "".join(client_tokens)))
    client = server.resp()
    assert pairs(client("LOCK.ACQUIRE", "new", "o", 0))["token"] > last
    assert pairs(client("LOCK.ACQUIRE", "n59", "o", 0))["token"] > last
    equal(server.stop(), 0)
    server.start()
    contains(server.ready_line, "%d holds" % (kept + 2))
    equal(contents(folder), aside)


def test_a_repair_refuses_a_directory_in_use_and_one_without_identity():
    server = granted_and_stopped(20)
    server.start()
    code, _, errors = tenured("--repair", server.data, "--accept-loss")
    equal(code, 69)
    contains(errors, "another server uses this directory")
    equal(server.stop(), 0)
    flip(os.path.join(server.data, "identity"), 20)
    before = contents(server.data)
    for words in [["--repair", server.data], ["--repair", server.data, "--accept-loss"]]:
        code, _, errors = tenured(*words)
        equal(code, 65)
        contains(errors, "put back this file from any backup")
    equal(contents(server.data), before)
    equal(tenured("--repair", os.path.join(server.data, "nothing"))[0], 66)
    equal(tenured("--repair", scratch())[0], 66)
    equal(tenured("--accept-loss")[0], 64)


def test_a_repair_cut_short_at_the_nth_call_is_repeated():
    """Killed at each call that changes the directory: a start refuses, or has all that is kept."""
    server = granted_and_stopped(60)
    names = sorted(f for f in os.listdir(server.data) if f.startswith("segment-"))
    flip(os.path.join(server.data, names[1]), 700)
    before = journal_files(server.data)
    kept = int(re.search(r"after event (\d+)", tenured("--repair", server.data)[1]).group(1))
    command = [TENURED, "--repair", None, "--accept-loss"]
    count = 0
    for call, limit in [("mkdirat", 1), ("linkat", len(names) - 1), ("fsync", 4), ("pwrite64", 1),
                        ("fdatasync", 1), ("renameat", 1), ("unlinkat", len(names) - 1)]:
        for number in range(1, limit + 1):
            data = os.path.join(scratch(), "data")
            shutil.copytree(server.data, data)
            command[2] = data
            wrapper = strace(call, "signal=SIGKILL:when=%d" % number)
            done = subprocess.run(wrapper + command, capture_output=True, timeout=20, check=False)
            assert done.returncode != 0, (call, number)
            count += 1
            code, text, _ = tenured("--check", data)
            assert code in (0, 65), (call, number, code)
            if code == 0:
                contains(text, "last event %d," % kept)
            code, _, errors = tenured("--repair", data, "--accept-loss")
            equal((call, number, code, errors), (call, number, 0, ""))
            contains(tenured("--check", data)[1], "last event %d," % kept)
            everything = set(contents(data).values())
            for name, file in before.items():
                assert file in everything, (call, number, name)
            shutil.rmtree(data)
    print("     killed at %d calls" % count)


def test_a_missing_segment_is_refused():
    server = granted_and_stopped(60)
    names = sorted(f for f in os.listdir(server.data) if f.startswith("segment-"))
    for name in names[:-1]:
        os.rename(os.path.join(server.data, name), os.path.join(server.data, "away"))
        codes, errors = looks(server.data)
        equal((name, codes), (name, (65, 65, 65)))
        contains(errors, "missing")
        os.rename(os.path.join(server.data, "away"), os.path.join(server.data, name))
    server.start()
    contains(server.ready_line, "60 holds")


def test_a_damaged_snapshot_is_said_and_not_needed():
    server = Server(*SMALL)
    client = server.resp()
    index = 0

    def snapshots():
        return sorted(f for f in os.listdir(server.data)
                      if f.startswith("snapshot-") and not f.endswith(".tmp"))

    while len(snapshots()) < 2:
        client("LOCK.ACQUIRE", "n%d" % index, "o", 0, "META", "m" * 300)
        index += 1
        assert index < 20000, "no snapshots"
    equal(server.stop(), 0)
    flip(os.path.join(server.data, snapshots()[-1]), 200)
    server.start()
    contains(server.ready_line, "%d holds" % index)
    contains(server.errors(), "snapshot")


def test_a_lock_that_is_larger_than_a_piece_of_a_snapshot():
    server = Server("--snapshot-bytes", "1M")
    client = server.resp()
    slots = 4096
    for index in range(slots):  # with the meta, more than 16 MiB
        client.send("LOCK.ACQUIRE", "a", "o%d" % index, 0, "SLOTS", slots, "META", "m" * 4096)
        if index % 64 == 63:
            for _ in range(64):
                client.read()

    def is_written():
        return any(f.startswith("snapshot-") and not f.endswith(".tmp")
                   for f in os.listdir(server.data))

    wait_for(is_written, "a snapshot", 30)
    server.kill()
    server.start()
    contains(server.ready_line, "%d holds" % slots)


def test_tokens_rise_over_a_restored_backup_and_in_a_clone():
    server = Server(*SMALL)
    client = server.resp()
    first = pairs(client("LOCK.ACQUIRE", "a", "o", 0))["token"]
    client("LOCK.RELEASE", "a", "o", first)
    backup = os.path.join(scratch(), "backup")
    shutil.copytree(server.data, backup)  # of a server that runs, as backups are
    last = first
    for _ in range(200):
        last = pairs(client("LOCK.ACQUIRE", "a", "o", 0))["token"]
        client("LOCK.RELEASE", "a", "o", last)
    clone = Server(*SMALL, data=backup)
    token = pairs(clone.resp()("LOCK.ACQUIRE", "a", "you", 0))["token"]
    assert token > last, (token, last)
    clone.kill()
    server.kill()
    shutil.rmtree(server.data)
    shutil.copytree(backup, server.data)
    server.start()
    again = server.resp()
    equal(refused(again, "LOCK.ACQUIRE", "a", "o", 0).word, "HELD")
    equal(again("LOCK.RELEASE", "a", "you", token), ["released"])
    assert pairs(again("LOCK.ACQUIRE", "a", "o", 0))["token"] > token


run()
