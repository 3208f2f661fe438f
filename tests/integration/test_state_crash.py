#!/usr/bin/python3
"""kill -9 under a load of sets, transactions and ranks, again and again: no acknowledged write is
lost, no version goes back, a transaction is there as a whole or not at all, and watchers that come
back see no gap and no repeat, or are told `compacted`.

    TENURE_TEST_ROUNDS   how often (25)

Two hundred take about a minute:

    TENURE_TEST_ROUNDS=200 python3 tests/integration/test_state_crash.py
"""

import os
import random
import time

import killed
from lib import equal, pairs, run, wait_for

ROUNDS = int(os.environ.get("TENURE_TEST_ROUNDS", "25"))
WRITERS = 5
KINDS = "set,appended,unset,ranked,unranked"


class World(killed.World):
    """The server, what writers were told, and what watchers saw."""

    def __init__(self):
        # A window that big values push out now and then.
        super().__init__("--window-bytes", "256K")
        self.events = {}  # seq -> what it told, to whoever saw it first
        self.acked = {}  # version -> (name, value), of acknowledged sets
        self.highest = {}  # name -> the highest version that anybody was told
        self.counts = {"writes": 0, "unsure": 0, "events": 0, "resumed": 0, "compacted": 0}

    def note_version(self, name, version, value):
        """An answer told it: it can never be taken back."""
        with self.lock:
            self.counts["writes"] += 1
            if version <= self.highest.get(name, 0):
                self.faults.append("%s: version %d after %d" % (name, version, self.highest[name]))
            self.highest[name] = version
            self.acked[version] = (name, value)

    def note_event(self, event):
        what = (event["kind"], event["name"], event.get("value"), event.get("previous"),
                event.get("cause"), event.get("member"), event.get("score"))
        with self.lock:
            self.counts["events"] += 1
            if self.events.setdefault(event["seq"], what) != what:
                self.faults.append("event %d is %r and %r" % (
                    event["seq"], self.events[event["seq"]], what))


LOST = object()  # the answer


class Writer:
    """Only it writes its registers, so that it knows what has to be there."""

    def __init__(self, world, number):
        self.world, self.number = world, number
        self.random = random.Random(number)
        self.client = world.client()
        self.values = {}  # name -> (version, value) as acknowledged; version 0: not set
        self.count = 0  # of transactions
        self.written = 0
        self.token = None  # of the hold that here/N is bound to

    def ask(self, *words):
        try:
            return self.client(*words)
        except (EOFError, OSError):
            self.client.close()
            self.client = self.world.client()
            self.world.counts["unsure"] += 1
            return LOST

    def sure(self, *words):
        """Of what may be asked again."""
        while True:
            answer = self.ask(*words)
            if answer is not LOST:
                return answer

    def run(self):
        while not self.world.is_over:
            chance = self.random.random()
            if chance < 0.45:
                self.set()
            elif chance < 0.55:
                self.remove()
            elif chance < 0.92:
                self.transact()
            else:
                self.stay()
        self.verify()

    def name(self):
        return "w%d/%d" % (self.number, self.random.randrange(6))

    def read(self, name):
        view = self.sure("STATE.GET", name)
        if view is None:
            return 0, None
        view = pairs(view)
        return view["version"], view["value"]

    def set(self):
        name = self.name()
        version, _ = self.values.get(name, (0, None))
        self.written += 1
        value = "%d-%d" % (self.number, self.written)
        value += "." * self.random.choice((0, 0, 10, 100, 5000))
        told = self.ask("STATE.CAS", name, version, value)
        if told is LOST:
            now = self.read(name)
            assert now in (self.values.get(name, (0, None)), (now[0], value)), (name, now[0])
            told = now[0]
            if now[1] != value:
                return
        self.world.note_version(name, told, value)
        self.values[name] = (told, value)

    def remove(self):
        name = self.name()
        before = self.values.get(name, (0, None))
        told = self.ask("STATE.DEL", name)
        if told is LOST:
            now = self.read(name)
            assert now in (before, (0, None)), (name, now[0], before[0])
            self.values[name] = now
            return
        equal(told, 1 if before[0] > 0 else 0)
        self.values[name] = (0, None)

    def transact(self):
        """The sum, its own part of it, and its place in the rank."""
        mine = "mine/%d" % self.number
        told = self.ask("STATE.TXN", "THEN", "INCR", "sum", 1, "INCR", mine, 1,
                        "RANKINCR", "board", 1, "m%d" % self.number)
        if told is LOST:
            count = int(self.read(mine)[1] or 0)
            assert count in (self.count, self.count + 1), (mine, count, self.count)
            self.count = count
            return
        self.count += 1
        view = pairs(told[1][1])
        equal((int(view["value"]), told[1][2]), (self.count, str(self.count)))
        self.world.note_version(mine, view["version"], str(self.count))

    def stay(self):
        """A register that is bound to a hold."""
        lock, owner, name = "lock%d" % self.number, "o", "here/%d" % self.number
        if self.token is None:
            self.token = pairs(self.sure("LOCK.ACQUIRE", lock, owner, 0))["token"]
            self.sure("STATE.SET", name, "here", "BIND", lock, self.token)
            return
        equal(self.read(name)[1], "here")
        self.sure("LOCK.RELEASE", lock, owner, self.token)
        equal(self.read(name)[1], None)
        self.token = None

    def verify(self):
        for name, known in self.values.items():
            equal(self.read(name), known)
        equal(int(self.read("mine/%d" % self.number)[1] or 0), self.count)
        equal(self.read("here/%d" % self.number)[1], None if self.token is None else "here")


class Watcher:
    """Follows a prefix from what it saw last, over every death of the server and of its own."""

    def __init__(self, world, prefix, number, is_slow=False):
        self.world, self.prefix = world, prefix
        self.random = random.Random(100 + number)
        self.is_slow = is_slow
        self.last = 0
        self.values = {}  # name -> value, where it is known
        self.scores = {}
        self.seen = []  # seqs
        self.gaps = []  # (first, last) that it was told to have missed
        self.is_done = False
        self.end = None  # it is over when it has seen this

    def run(self):
        while not self.is_done:
            client = self.world.client()
            try:
                client("EVENTS.FOLLOW", "SINCE", self.last, "PREFIX", self.prefix,
                       "TYPES", KINDS, "PREVIOUS")
                self.world.counts["resumed"] += self.last > 0
                self.read(client)
            except (EOFError, OSError):
                pass
            client.close()

    def read(self, client):
        for _ in range(self.random.choice((5, 200, 3000))):
            word, told = client.read()
            if word == "heartbeat":
                continue
            if word in ("compacted", "overflow"):
                self.world.counts["compacted"] += 1
                assert told > self.last + 1, (told, self.last)
                self.gaps.append((self.last + 1, told - 1))
                self.last = told - 1
                self.values, self.scores = {}, {}
                return
            self.see(pairs(told))
            if self.is_done:
                return
        if self.is_slow:
            time.sleep(self.random.uniform(0, 2))

    def see(self, event):
        seq, name = event["seq"], event["name"]
        assert seq > self.last, "event %d after %d" % (seq, self.last)
        self.last = seq
        self.seen.append(seq)
        self.world.note_event(event)
        if event["kind"] in ("ranked", "unranked"):
            before = event.get("previous_score")
            key = (name, event["member"])
            if key in self.scores and event["kind"] == "ranked":
                equal((seq, before), (seq, self.scores[key]))
            self.scores[key] = event["score"] if event["kind"] == "ranked" else None
        else:
            if name in self.values:
                equal((seq, event.get("previous")), (seq, self.values[name]))
            self.values[name] = None if event["kind"] == "unset" else event["value"]
            if event["kind"] != "unset":
                self.compare(seq, name, event["value"])
        self.is_done = name == "end" or (self.end is not None and seq >= self.end)

    def compare(self, seq, name, value):
        """With what its writer was told, if that has come already."""
        with self.world.lock:
            known = self.world.acked.get(seq, (name, value))
        equal((seq, known), (seq, (name, value)))

    def has_missed(self, seq):
        return any(first <= seq <= last for first, last in self.gaps)


def check_watchers(world, watchers):
    """Nobody may lack what another saw, or what was acknowledged."""
    acked = {seq: (None, *what) for seq, what in world.acked.items()}
    for watcher in watchers:
        seen = set(watcher.seen)
        for seq, what in list(world.events.items()) + list(acked.items()):
            is_its = what[1].startswith(watcher.prefix) and seq <= watcher.last
            if is_its and seq not in seen and not watcher.has_missed(seq):
                world.faults.append("%r has not seen %d, %s" % (watcher.prefix, seq, what[1]))
                return


def test_nothing_acknowledged_is_lost_and_watchers_see_all():
    world = World()
    chance = random.Random(13)
    writers = [Writer(world, n) for n in range(WRITERS)]
    watchers = [Watcher(world, "", 0), Watcher(world, "w1/", 1), Watcher(world, "mine/", 2),
                Watcher(world, "board", 3), Watcher(world, "", 4, is_slow=True)]
    writing = [killed.guarded(writer.run, world.faults) for writer in writers]
    watching = [killed.guarded(watcher.run, world.faults) for watcher in watchers]
    for thread in writing + watching:
        thread.start()
    for _ in range(ROUNDS):
        time.sleep(chance.uniform(0.02, 0.25))
        world.kill(chance)
        if world.faults:
            break
    time.sleep(0.2)
    world.is_over = True
    for thread in writing:
        thread.join(30)
    equal(world.faults, [])
    # The last events of all, one for each prefix.
    client = world.server.resp()
    for prefix in ("w1/", "mine/"):
        client("STATE.SET", prefix + "end", "end")
    client("RANK.ADD", "board", -1, "end")
    last = client("STATE.SET", "end", "end")
    for watcher in watchers:
        watcher.end = last - 3
    # Some have seen their last before they knew that it was.
    client("STATE.SET", "w1/end", "again")
    client("STATE.SET", "mine/end", "again")
    client("RANK.ADD", "board", -2, "end")
    wait_for(
        lambda: world.faults or not any(t.is_alive() for t in watching), "watchers to see all", 60
    )
    equal(world.faults, [])
    check_watchers(world, watchers)
    equal(world.faults, [])
    total = sum(writer.count for writer in writers)
    equal(int(pairs(client("STATE.GET", "sum"))["value"]), total)
    scores = pairs(client("RANK.RANGE", "board", 0, -1))
    equal({m: int(s) for m, s in scores.items() if m != "end"},
          {"m%d" % writer.number: writer.count for writer in writers if writer.count > 0})
    counts = world.counts
    print("     %d kills; %d writes acknowledged, %d answers lost, %d transactions; %d events "
          "seen, watches resumed %d times, compacted %d times" % (
              ROUNDS, counts["writes"], counts["unsure"], total, counts["events"],
              counts["resumed"], counts["compacted"]))
    assert counts["writes"] > ROUNDS and counts["resumed"] > ROUNDS


run()
