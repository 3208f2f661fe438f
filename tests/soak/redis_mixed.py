#!/usr/bin/python3
"""redis_mixed - fifty contenders of three kinds on five Redis servers to which everything happens.

    tests/soak/redis_mixed.py [--seconds N] [--seed N] [--keep DIR] [--plant deaf|forger]

The contenders want one lock: `tenure run`, a C program with libtenure, and Redlock clients of npm.
Meanwhile servers are killed and restarted with nothing, stopped, and made to forget their locks as
if their clocks had jumped; no more than two of the five are hurt at a time, and one is hurt until
every lease of before is over and it votes again.  Now and then, when none is, three are stopped at
once, so that holders lose what they have.  Some `tenure run` are killed, too.  Each contender
writes down from when until when it believed to have the lock.

Then it is checked that

    nobody believed while somebody else did, inside the promise (judge.py says what that is)
    tokens rise in the order of the holds, always
    a server with nothing is let in no earlier than a lease after its start
    no contender ended in a way that it must not
    everybody got it, and everything happened
    when it is over, all servers vote again

How long anything takes is told and not judged.  --plant adds a contender that is not good; then it
must fail.  $CONTENDER, $TENURE: the programs.
"""

import argparse
import collections
import os
import random
import shutil
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

# pylint: disable=wrong-import-position
import cli
import judge
import lib
from redis_cli import OPTIONS, TTL_MAX_S, await_votes, start, token
from redis_nodes import Nodes, die_with_parent

CONTENDER = os.environ.get(
    "CONTENDER", os.path.join(lib.ROOT, "build", "tests", "soak", "contender"))
INTEROP = os.path.join(lib.ROOT, "tests", "interop")
NAME = "soak/mixed"
NODE_COUNT = 5
HURT_MAX = 2
COUNTS = {"run": 15, "library": 20, judge.FOREIGN: 15}
# A run ends with that of its command, or: the store was not there, not obtained, lost.
RUN_ENDS = (0, 69, 75, 79)
PATIENCE_S = 120  # after which it hangs
SHOWN_MAX = 10


# ------------------------------------------------------------------ faults

class Faults:
    """What happens to the servers, one after the other, by a single thread: a server that is
    started is a child of that thread, and ends with it."""

    def __init__(self, nodes, url, seed):
        self.nodes = nodes
        self.url = url
        self.last = None  # who lets servers in when all others have gone
        self.random = random.Random(seed)
        self.past = []  # of judge.Fault
        self.early = []  # servers that were let in too early, in words
        self.hurt = {}  # node -> what is next for it: (when, function), or None to be let in
        self.started_s = [0.0] * NODE_COUNT
        self.plan = [self.jump, self.outage, self.freeze, self.empty]  # first each of them

    def note(self, what, node, start_ns):
        self.past.append(judge.Fault(what, node, start_ns, time.monotonic_ns()))

    def later(self, node, wait_s, function):
        self.hurt[node] = (time.monotonic() + wait_s, function)

    def jump(self, node):
        """All its locks run out at once."""
        start_ns = time.monotonic_ns()
        self.nodes.expire_all(node)
        self.note("jumped", node, start_ns)
        self.later(node, TTL_MAX_S, self.recover)

    def freeze(self, node, for_s=None):
        start_ns = time.monotonic_ns()
        self.nodes.stop(node)
        self.later(node, for_s or self.random.uniform(0.1, 2.5), lambda n: self.thaw(n, start_ns))

    def outage(self, first):
        """A majority stands still, most times for longer than a lease."""
        start_ns = time.monotonic_ns()
        for_s = self.random.uniform(1.5, 3)
        for step in range(NODE_COUNT // 2 + 1):
            self.freeze((first + step) % NODE_COUNT, for_s)
        self.note("outage", first, start_ns)

    def thaw(self, node, start_ns):
        self.nodes.cont(node)
        self.note("stopped", node, start_ns)
        self.later(node, TTL_MAX_S, self.recover)

    def empty(self, node):
        """Killed, away for a while or not, and back with nothing."""
        start_ns = time.monotonic_ns()
        self.nodes.kill(node)
        away_s = self.random.choice([0, self.random.uniform(0.1, 1.5)])
        self.later(node, away_s, lambda n: self.restart(n, start_ns))

    def restart(self, node, start_ns):
        self.started_s[node] = time.monotonic()
        self.nodes.restart_empty(node)
        self.note("emptied", node, start_ns)
        self.hurt[node] = None

    def recover(self, node):
        del self.hurt[node]

    def look_for_admission(self, node):
        """A server that was empty is whole when somebody has let it in, which is not soon."""
        if self.nodes.cli(node, "HGET", "tenure:node", "pass") is None:
            return
        after_s = time.monotonic() - self.started_s[node]
        self.note("let in", node, int(self.started_s[node] * 1e9))
        if after_s < TTL_MAX_S:
            self.early.append("server %d was let in %.3f s after its start" % (node + 1, after_s))
        self.recover(node)

    def go_on(self):
        for node, next_ in list(self.hurt.items()):
            if next_ is None:
                self.look_for_admission(node)
            elif next_[0] <= time.monotonic():
                next_[1](node)

    def hurt_another(self):
        """The next one of the plan, if it is possible now."""
        if not self.plan:
            self.plan.append(self.random.choices(
                [self.jump, self.freeze, self.empty, self.outage], [3, 6, 6, 2])[0])
        sound = [node for node in range(NODE_COUNT) if node not in self.hurt]
        hurt_max = 0 if self.plan[0] == self.outage else HURT_MAX - 1
        if NODE_COUNT - len(sound) <= hurt_max:
            self.plan.pop(0)(self.random.choice(sound))

    def keep_somebody(self):
        """When all contenders have gone, nobody would let a server in."""
        if self.last is None or self.last.poll() is not None:
            self.last = start(self.url, "run", "-q", "--ttl", "1s", "-w", "1s", "--timeout", "1s",
                              "last", "--", "true", stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)

    def run(self, seconds):
        end = time.monotonic() + seconds
        next_ = time.monotonic()
        while time.monotonic() < end or self.hurt:
            if time.monotonic() > end + PATIENCE_S:
                raise AssertionError("servers are still hurt: %s" % sorted(self.hurt))
            self.go_on()
            if time.monotonic() >= end:
                self.keep_somebody()
            elif next_ <= time.monotonic():
                self.hurt_another()
                next_ = time.monotonic() + self.random.uniform(0.1, 1.0)
            time.sleep(0.01)

    def count(self, what):
        return sum(1 for fault in self.past if fault.what == what)


# ------------------------------------------------------------------ contenders

class Runs:
    """Some who call `tenure run` again and again."""

    def __init__(self, url, folder, end, seed):
        self.words = ["run", "-q", "-E", "75", "--ttl", "2s", "-w", "3s", "--timeout", "2s", NAME,
                      "--", CONTENDER, "child", os.path.join(folder, "run")]
        self.url = url
        self.end = end
        self.ends = collections.Counter()
        self.killed = 0
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.one, args=(seed + index,), daemon=True)
                        for index in range(COUNTS["run"])]
        for thread in self.threads:
            thread.start()

    def one(self, seed):
        choose = random.Random(seed)
        wanted_ns = time.monotonic_ns()
        while time.monotonic() < self.end:
            stay_ms = 2500 if choose.random() < 0.03 else choose.randrange(15)
            kill_after_s = choose.uniform(0, 3) if choose.random() < 0.02 else None
            code = self.call(wanted_ns, stay_ms, kill_after_s)
            if code != 75:
                wanted_ns = time.monotonic_ns()

    def call(self, wanted_ns, stay_ms, kill_after_s):
        words = self.words + [wanted_ns, time.monotonic_ns(), stay_ms]
        # pylint: disable-next=consider-using-with
        process = subprocess.Popen([cli.TENURE] + [str(word) for word in words],
                                   stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   env=cli.environment(None, {"TENURE_URL": self.url}))
        try:
            code = process.wait(kill_after_s or PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            code = "killed" if kill_after_s else "hung"
        with self.lock:
            self.ends[code] += 1
        return code

    def join(self):
        """True: all ended as they may."""
        for thread in self.threads:
            thread.join(2 * PATIENCE_S)
        print("run: " + ", ".join("exit %s %d" % (code, self.ends[code])
                                  for code in sorted(self.ends, key=str)))
        is_over = not any(thread.is_alive() for thread in self.threads)
        return is_over and all(code in RUN_ENDS + ("killed",) for code in self.ends)


class Program:
    """A process with many contenders."""

    def __init__(self, *words):
        # pylint: disable-next=consider-using-with
        self.process = subprocess.Popen([str(word) for word in words], cwd=INTEROP,
                                        preexec_fn=die_with_parent)
        lib.cleanup(self.process.kill)

    def join(self):
        return self.process.wait(PATIENCE_S) == 0


def start_contenders(nodes, url, folder, given):
    ports = ",".join(str(node.port) for node in nodes.each())

    def library(kind, count):
        return Program(CONTENDER, kind, url, NAME, given.seconds, os.path.join(folder, kind), count)

    contenders = [
        library("library", COUNTS["library"]),
        Program("node", "contend.js", ports, NAME, given.seconds, os.path.join(folder, "foreign"),
                COUNTS[judge.FOREIGN]),
        Runs(url, folder, time.monotonic() + given.seconds, given.seed),
    ]
    return contenders + ([library(given.plant, 1)] if given.plant else [])


# ------------------------------------------------------------------ the check

def show_pairs(what, pairs, faults):
    for first, second in pairs[:SHOWN_MAX]:
        print("%s:\n    %s\n    %s" % (what, first, second))
        for fault in faults.past:
            if fault.end_ns > first.from_ns - 3e9 and fault.start_ns < second.until_ns + 1e9:
                print("        %s" % fault)


def report(holds, faults, seconds):
    """True: all is well."""
    inside, outside = judge.find_overlaps(holds, faults.past)
    inversions, undecided = judge.find_inversions(holds, faults.past)
    counts = {kind: sum(hold.kind == kind for hold in holds) for kind in COUNTS}
    happened = {what: faults.count(what) for what in ("emptied", "stopped", "jumped", "outage")}
    print("%d s, %d holds: %s" % (
        seconds, len(holds), ", ".join("%s %d" % pair for pair in counts.items())))
    print("longest wait: " + ", ".join("%s %.1f s" % (kind, max(
        [hold.from_ns - hold.wanted_ns for hold in holds if hold.kind == kind] or [0]) / 1e9)
        for kind in COUNTS))
    print("servers: " + ", ".join("%s %d" % pair for pair in happened.items()))
    print("overlaps: %d inside the promise, %d outside" % (len(inside), len(outside)))
    print("tokens that do not rise: %d; asked for before, and a jump: %d" % (
        len(inversions), len(undecided)))
    show_pairs("overlap", inside, faults)
    show_pairs("overlap outside the promise", outside[:1], faults)
    show_pairs("tokens", inversions, faults)
    for text in faults.early:
        print(text)
    is_full = all(counts.values()) and all(happened.values())
    if not is_full:
        print("somebody never got it, or something never happened: this run proves nothing")
    return is_full and not inside and not inversions and not faults.early


def soak(given):
    if shutil.which("node") is None or not os.path.isdir(os.path.join(INTEROP, "node_modules")):
        lib.skip("no node, or no Redlock clients; `npm ci` in tests/interop brings them")
    nodes = Nodes(NODE_COUNT)
    url = nodes.url(OPTIONS)
    token(nodes.url(OPTIONS, "new=yes"), NAME)
    folder = os.path.join(given.keep or lib.scratch(), "holds")
    os.makedirs(folder)
    faults = Faults(nodes, url, given.seed)
    contenders = start_contenders(nodes, url, folder, given)
    faults.run(given.seconds - 1)
    # In a list: all are waited for.
    are_good = all([contender.join() for contender in contenders])
    if not are_good:
        print("a contender ended in a way that it must not")
    await_votes(url, NODE_COUNT, PATIENCE_S)
    token(url, NAME)
    return report(judge.read_holds(folder), faults, given.seconds) and are_good


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--keep", help="leave what the contenders wrote there")
    parser.add_argument("--plant", choices=["deaf", "forger"])
    given = parser.parse_args()
    print("seed %d" % given.seed)
    wrong = judge.misjudged()
    if wrong:
        print("the judge is wrong:\n" + "\n".join(wrong))
        return 1
    try:
        is_good = soak(given)
    except lib.Skipped as reason:
        print("skip redis_mixed: %s\n0 passed, 0 failed, 1 skipped" % reason)
        return 77
    finally:
        lib.clean_up()
    print("%d passed, %d failed" % (is_good, not is_good))
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
