#!/usr/bin/python3
"""kill -9 under load, again and again: nothing that was acknowledged is lost, tokens only rise, and
who renews in time keeps his lock.

    TENURE_TEST_CRASHES   how often (25)

A thousand take about five minutes:

    TENURE_TEST_CRASHES=1000 python3 tests/integration/test_crash.py
"""

import os
import random
import time

import killed
from lib import RespError, equal, pairs, run

CRASHES = int(os.environ.get("TENURE_TEST_CRASHES", "25"))
WORKERS = 8
NAMES = 12
KEEPERS = 10


class Worker:
    """Takes and gives locks, and writes down what was acknowledged."""

    def __init__(self, number, world):
        self.number = number
        self.world = world
        self.random = random.Random(number)
        self.held = {}  # name -> token, acknowledged and not asked to be released
        self.client = None

    def run(self):
        while not self.world.is_over:
            if not self.world.is_up.wait(0.1):
                continue
            try:
                self.work()
            except (EOFError, OSError):
                self.hang_up()
        self.client = self.world.client()
        self.verify()

    def hang_up(self):
        if self.client is not None:
            self.client.close()
        self.client = None

    def work(self):
        if self.client is None:
            self.client = self.world.server.resp()
            self.verify()
        name = "n%d" % self.random.randrange(NAMES)
        owner = "w%d" % self.number
        if name in self.held:
            token = self.held.pop(name)
            # From here on somebody else may be told that he has it, before we hear of the end.
            self.world.note_end(name, owner, token)
            try:
                outcome = self.client("LOCK.RELEASE", name, owner, token)
            except (EOFError, OSError):
                # It may have happened or not; asking again tells, and makes it so.
                self.hang_up()
                self.client = self.world.client()
                outcome = self.client("LOCK.RELEASE", name, owner, token)
            equal(outcome, ["released"])
            self.world.note_released(name, token)
        else:
            try:
                grant = self.client("LOCK.ACQUIRE", name, owner, 0)
            except RespError as error:
                equal(error.word, "HELD")
                return
            token = pairs(grant)["token"]
            self.world.note_grant(name, owner, token)
            self.held[name] = token

    def verify(self):
        """After a restart: what was acknowledged is still so."""
        for name, token in self.held.items():
            grant = pairs(self.client("LOCK.ACQUIRE", name, "w%d" % self.number, 0))
            equal(grant["token"], token)


class World(killed.World):
    """The server, and what clients were told."""

    def __init__(self):
        super().__init__()
        self.highest = {}
        self.holder = {}
        self.ended = {}  # name -> the highest token whose release was acknowledged
        self.counts = {"grants": 0, "releases": 0, "renewals": 0}

    def note_grant(self, name, owner, token):
        with self.lock:
            if token < self.highest.get(name, 0):
                self.faults.append("%s: token %d after %d" % (name, token, self.highest[name]))
            if self.holder.get(name, owner) != owner:
                self.faults.append("%s: granted to %s and %s" % (name, self.holder[name], owner))
            if token <= self.ended.get(name, 0):
                self.faults.append("%s: the release of %d was lost" % (name, token))
            self.highest[name] = max(token, self.highest.get(name, 0))
            self.holder[name] = owner
            self.counts["grants"] += 1

    def note_end(self, name, owner, token):
        with self.lock:
            if self.holder.get(name) == owner and self.highest[name] == token:
                del self.holder[name]

    def note_released(self, name, token):
        with self.lock:
            self.ended[name] = max(token, self.ended.get(name, 0))
            self.counts["releases"] += 1

    def note_renewal(self):
        with self.lock:
            self.counts["renewals"] += 1


def renew_for_ever(world, number):
    """One client that renews in time, whatever happens."""
    client = world.client()
    name, owner, ttl_ms = "mine%d" % number, "keeper%d" % number, 1000 + 400 * number
    token = None
    while not world.is_over:
        try:
            if token is None:
                token = pairs(client("LOCK.ACQUIRE", name, owner, ttl_ms))["token"]
            equal(pairs(client("LOCK.RENEW", name, owner, token, ttl_ms))["outcome"], "ok")
            world.note_renewal()
            time.sleep(ttl_ms / 3000)
        except RespError as error:
            world.faults.append("%s was lost in spite of its renewals: %s" % (name, error))
            return
        except (EOFError, OSError):
            client.close()
            client = world.client()


def test_nothing_acknowledged_is_lost():
    world = World()
    chance = random.Random(7)
    threads = [killed.guarded(Worker(n, world).run, world.faults) for n in range(WORKERS)]
    threads += [killed.guarded(renew_for_ever, world.faults, world, n) for n in range(KEEPERS)]
    for thread in threads:
        thread.start()
    for _ in range(CRASHES):
        time.sleep(chance.uniform(0.02, 0.25))
        world.kill(chance)
        if world.faults:
            break
    time.sleep(0.2)
    world.is_over = True
    for thread in threads:
        thread.join(20)
    equal(world.faults, [])
    assert not any(thread.is_alive() for thread in threads)
    counts = world.counts
    print("     %d crashes; %d grants, %d releases, %d renewals were acknowledged" % (
        CRASHES, counts["grants"], counts["releases"], counts["renewals"]))
    assert min(counts["grants"], counts["releases"]) > CRASHES * 5


run()
