#!/usr/bin/python3
"""kill -9 under queue load, again and again: no acknowledged put is lost, nothing that was done is
done again, no item is with two workers at a time, and no group has more workers than it may.

    TENURE_TEST_ROUNDS   how often (25)

Five hundred take about three minutes:

    TENURE_TEST_ROUNDS=500 python3 tests/integration/test_queues_crash.py
"""

import os
import random
import time

import killed
from lib import RespError, equal, pairs, run, wait_for

ROUNDS = int(os.environ.get("TENURE_TEST_ROUNDS", "25"))
PRODUCERS = 3
WORKERS = 6
GROUPS = 8
RUNNING_MAX = 3  # of a group
LEASE_MS = 1500
BACKLOG = 300  # producers rest while more than so many are not done


class World(killed.World):
    """The server, and what clients were told."""

    def __init__(self):
        super().__init__()
        self.is_done = False  # nothing more is taken; when it is over, nothing more is put
        self.put = {}  # id -> group, acknowledged
        self.asked = {}  # id -> group, perhaps there
        self.done = set()  # acknowledged
        self.live = {}  # id -> (token, until when its worker may count on it)
        self.tokens = {}  # id -> the highest token seen
        self.counts = {"takes": 0, "failures": 0, "lost": 0, "repeats": 0}

    def note_take(self, item, asked_at):
        name, token, now = item["id"], item["token"], time.monotonic()
        with self.lock:
            self.counts["takes"] += 1
            if name not in self.asked:
                self.faults.append("%s was never put" % name)
                return
            if name in self.done:
                self.faults.append("%s is done and was taken again, as %d" % (name, token))
            if token <= self.tokens.get(name, 0):
                self.faults.append("%s: token %d after %d" % (name, token, self.tokens[name]))
            if name in self.live and self.live[name][1] > now:
                self.faults.append("%s is with two: %d and %r" % (name, token, self.live[name]))
            self.tokens[name] = max(token, self.tokens.get(name, 0))
            self.live[name] = (token, asked_at + item["remaining_ms"] / 1000)
            group = self.asked[name]
            running = [n for n, (_, until) in self.live.items()
                       if until > now and self.asked[n] == group]
            if len(running) > RUNNING_MAX:
                self.faults.append("group %s has %d workers" % (group, len(running)))

    def note_end(self, item):
        """From here on somebody else may have it before we hear of the end."""
        with self.lock:
            if self.live.get(item["id"], (0, 0))[0] == item["token"]:
                return self.live.pop(item["id"])[1]
            return 0

    def note_outcome(self, item, verb, is_lost, until, is_repeated):
        with self.lock:
            if is_lost:
                self.counts["lost"] += 1
                # It may be lost when its time was over before the answer; and one that failed,
                # whose answer was lost, when somebody else has it since.  Only then.
                is_again = verb == "QUEUE.FAIL" and is_repeated
                if time.monotonic() < until and not is_again:
                    self.faults.append("%s was lost too early" % item["id"])
            elif verb == "QUEUE.DONE":
                if item["id"] in self.done:
                    self.faults.append("%s was done twice" % item["id"])
                self.done.add(item["id"])
            else:
                self.counts["failures"] += 1


class Client:
    """A connection that comes back, and asks again until it is answered."""

    def __init__(self, world, number):
        self.world = world
        self.random = random.Random(number)
        self.number = number
        self.connection = world.client()
        self.is_unsure = False
        self.is_repeated = False  # the last question was asked again

    def ask(self, *words):
        self.is_repeated = False
        while True:
            try:
                return self.connection(*words)
            except (EOFError, OSError):
                self.hang_up()
                self.is_repeated = True

    def hang_up(self):
        self.connection.close()
        self.connection = self.world.client()


class Producer(Client):
    def run(self):
        count = 0
        while not self.world.is_over:
            if len(self.world.put) - len(self.world.done) > BACKLOG:
                time.sleep(0.005)
                continue
            batch = []
            for _ in range(self.random.choice((1, 1, 1, 2, 10))):
                count += 1
                batch.append(("p%d-%d" % (self.number, count),
                              "g%d" % self.random.randrange(GROUPS)))
            self.put(batch)

    def put(self, batch):
        with self.world.lock:
            self.world.asked.update(batch)
        words = []
        for name, group in batch:
            body = name + "." * self.random.choice((0, 10, 100, 2000))
            words += ["AND", body, "ID", name, "GROUP", group, "LEASE", LEASE_MS, "LAPSES", 0,
                      "ATTEMPTS", 0, "PRIORITY", self.random.randrange(3)]
        answers = self.ask("QUEUE.PUT", "q", *words[1:])
        answers = [pairs(a) for a in (answers if len(batch) > 1 else [answers])]
        for (name, _), answer in zip(batch, answers):
            equal((answer["id"], answer.get("outcome", "ok")), (name, "ok"))
            self.world.counts["repeats"] += answer["repeat"]
        with self.world.lock:
            self.world.put.update(batch)


class Worker(Client):
    def run(self):
        while not self.world.is_done:
            asked_at = time.monotonic()
            try:
                items = self.take()
            except (EOFError, OSError):
                self.hang_up()
                self.is_unsure = True
                continue
            for item in items:
                self.world.note_take(item, asked_at)
            for item in items:
                self.work(item)

    def take(self):
        name = "w%d" % self.number
        if self.is_unsure:
            # The last answer was lost: what it gave is found in the list.
            found = pairs(self.connection("QUEUE.LIST", "q", "taken", "LIMIT", 1000))["items"]
            self.is_unsure = False
            return [item for item in map(pairs, found) if item["worker"] == name]
        items = [pairs(item) for item in self.connection(
            "QUEUE.TAKE", "q", name, "COUNT", self.random.choice((1, 1, 3)), "WAIT", 50)]
        for item in items:
            assert item["body"].startswith(item["id"])
        return items

    def work(self, item):
        claim = ("q", item["id"], item["token"])
        chance = self.random.random()
        try:
            if chance < 0.1:
                self.ask("QUEUE.PROGRESS", *claim, "half")
            if chance < 0.2:
                time.sleep(0.01)
        except RespError as error:
            equal(error.word, "LOST")
        until = self.world.note_end(item)
        verb = "QUEUE.FAIL" if chance > 0.9 else "QUEUE.DONE"
        words = ["DELAY", self.random.choice((0, 20)), "UNCOUNTED"] if chance > 0.9 else []
        try:
            self.ask(verb, *claim, *words)
            is_lost = False
        except RespError as error:
            equal(error.word, "LOST")
            is_lost = True
        self.world.note_outcome(item, verb, is_lost, until, self.is_repeated)


def test_nothing_acknowledged_is_lost_or_done_twice():
    world = World()
    world.server.resp()("QUEUE.LIMIT", "q", "RUNNING", RUNNING_MAX)
    chance = random.Random(11)
    producers = [killed.guarded(Producer(world, n).run, world.faults) for n in range(PRODUCERS)]
    workers = [killed.guarded(Worker(world, 100 + n).run, world.faults) for n in range(WORKERS)]
    for thread in producers + workers:
        thread.start()
    for _ in range(ROUNDS):
        time.sleep(chance.uniform(0.02, 0.25))
        world.kill(chance)
        if world.faults:
            break
    world.is_over = True
    for thread in producers:
        thread.join(20)
    if not world.faults:
        # Items whose take was never heard of come back when their lease has ended.
        wait_for(lambda: world.faults or set(world.put) == world.done, "all to be done", 60)
    world.is_done = True
    for thread in workers:
        thread.join(20)
    equal(world.faults, [])
    assert not any(thread.is_alive() for thread in producers + workers)
    equal(set(world.put), world.done)
    left = pairs(pairs(world.server.resp()("QUEUE.STAT", "q"))["counts"])
    equal([left[state] for state in ("delayed", "ready", "taken", "dead")], [0, 0, 0, 0])
    counts = world.counts
    print("     %d kills; %d items put and done, %d takes, %d failures, %d leases lost, %d puts "
          "repeated" % (ROUNDS, len(world.done), counts["takes"], counts["failures"],
                        counts["lost"], counts["repeats"]))
    assert len(world.done) > ROUNDS


run()
