#!/usr/bin/python3
"""kill -9 under load, again and again: nothing that was acknowledged is lost, tokens only rise, and
who renews in time keeps his lock.

    TENURE_TEST_CRASHES   how often (25)
"""

import os
import random
import threading
import time

from lib import RespError, Server, equal, pairs, run

CRASHES = int(os.environ.get("TENURE_TEST_CRASHES", "25"))
WORKERS = 8
NAMES = 12


class Worker(threading.Thread):
    """Takes and gives locks, and writes down what was acknowledged."""

    def __init__(self, number, world):
        super().__init__(daemon=True)
        self.number = number
        self.world = world
        self.random = random.Random(number)
        self.held = {}  # name -> token, acknowledged and not asked to be released
        self.count = 0
        self.client = None

    def run(self):
        while not self.world.is_over:
            if not self.world.is_up.wait(0.1):
                continue
            try:
                self.work()
            except (EOFError, OSError):
                self.hang_up()

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
                self.client = self.world.server_client()
                outcome = self.client("LOCK.RELEASE", name, owner, token)
            equal(outcome, ["released"])
        else:
            try:
                grant = self.client("LOCK.ACQUIRE", name, owner, 0)
            except RespError as error:
                equal(error.word, "HELD")
                return
            token = pairs(grant)["token"]
            self.world.note_grant(name, owner, token)
            self.held[name] = token
        self.count += 1

    def verify(self):
        """After a restart: what was acknowledged is still so."""
        for name, token in self.held.items():
            grant = pairs(self.client("LOCK.ACQUIRE", name, "w%d" % self.number, 0))
            equal(grant["token"], token)


class World:
    """The server, and what clients were told."""

    def __init__(self):
        self.server = Server("--snapshot-bytes", "256K", "--segment-bytes", "64K")
        self.is_up = threading.Event()
        self.is_up.set()
        self.is_over = False
        self.lock = threading.Lock()
        self.highest = {}
        self.holder = {}
        self.faults = []

    def server_client(self):
        end = time.monotonic() + 30
        while time.monotonic() < end:
            if self.is_up.wait(0.1):
                try:
                    return self.server.resp()
                except OSError:
                    time.sleep(0.01)
        raise AssertionError("the server did not come back")

    def note_grant(self, name, owner, token):
        with self.lock:
            if token < self.highest.get(name, 0):
                self.faults.append("%s: token %d after %d" % (name, token, self.highest[name]))
            if self.holder.get(name, owner) != owner:
                self.faults.append("%s: granted to %s and %s" % (name, self.holder[name], owner))
            self.highest[name] = max(token, self.highest.get(name, 0))
            self.holder[name] = owner

    def note_end(self, name, owner, token):
        with self.lock:
            if self.holder.get(name) == owner and self.highest[name] == token:
                del self.holder[name]


def renew_for_ever(world, faults):
    """One client that renews in time, whatever happens."""
    client = world.server_client()
    token = pairs(client("LOCK.ACQUIRE", "mine", "keeper", 5000))["token"]
    while not world.is_over:
        try:
            equal(pairs(client("LOCK.RENEW", "mine", "keeper", token, 5000))["outcome"], "ok")
            time.sleep(0.02)
        except RespError as error:
            faults.append("the renewed lock was lost: %s" % error)
            return
        except (EOFError, OSError):
            client.close()
            client = world.server_client()


def guarded(worker, faults):
    """A thread that fails must fail the test."""
    inner = worker.run

    def outer():
        try:
            inner()
        except Exception as error:  # pylint: disable=broad-except
            faults.append("%s: %r" % (worker.name, error))

    worker.run = outer
    return worker


def test_nothing_acknowledged_is_lost():
    world = World()
    chance = random.Random(7)
    workers = [guarded(Worker(number, world), world.faults) for number in range(WORKERS)]
    keeper = threading.Thread(target=renew_for_ever, args=(world, world.faults), daemon=True)
    for thread in workers + [keeper]:
        thread.start()
    for _ in range(CRASHES):
        time.sleep(chance.uniform(0.02, 0.25))
        world.is_up.clear()
        world.server.process.kill()
        world.server.process.wait()
        world.server.start()
        world.is_up.set()
        if world.faults:
            break
    time.sleep(0.2)
    world.is_over = True
    for thread in workers + [keeper]:
        thread.join(20)
    equal(world.faults, [])
    total = sum(worker.count for worker in workers)
    print("     %d crashes, %d acknowledged changes" % (CRASHES, total))
    assert total > CRASHES * 10


run()
