#!/usr/bin/python3
"""judge - were two in at once, and did tokens rise?  From what contenders and faults have left.

    tests/soak/judge.py     judge stories of which it is known what is wrong with them

A hold is known by when it was asked for and from when until when it was believed in; the belief may
have been longer at both ends, never shorter.  So who is found to overlap did overlap.

Whether that broke the promise depends on what happened since the vote of the first.  A vote is at
most a lease older than the belief in it, and not older than the call that got it.  Outside the
promise is what the clock of a server decides, and what Redlock clients do not know:

    somebody came in after a server had been made to forget its locks
    a Redlock client came in after a server was restarted with nothing: it takes its vote

Tokens rise whatever happened, between a hold that was begun and one that was asked for later.  Who
asked before may come later with a lower token, where the promise of exclusion does not hold; where
it does, the order of the holds is that of the tokens, whoever asked when.
"""

import bisect
import os
import sys

LEASE_NS = 2_000_000_000
FOREIGN = "foreign"


class Hold:
    """One line of a contender."""

    def __init__(self, kind, *numbers):
        self.kind = kind
        self.token, self.wanted_ns, self.asked_ns, self.from_ns, self.until_ns = map(int, numbers)

    def vote_ns(self):
        """No vote for it is older."""
        return max(self.asked_ns, self.from_ns - LEASE_NS)

    def __str__(self):
        return "%s token %d asked %.6f from %.6f until %.6f" % (
            self.kind, self.token, self.asked_ns / 1e9, self.from_ns / 1e9, self.until_ns / 1e9)


class Fault:
    """Something happened to a server, within that time."""

    def __init__(self, what, node, start_ns, end_ns):
        self.what = what
        self.node = node
        self.start_ns = start_ns
        self.end_ns = end_ns

    def __str__(self):
        return "server %d %s from %.6f until %.6f" % (
            self.node + 1, self.what, self.start_ns / 1e9, self.end_ns / 1e9)


def read_holds(folder):
    """All lines of all files, in the order in which the holds began."""
    holds = []
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), encoding="ascii") as file:
            holds += [Hold(*line.split()) for line in file]
    return sorted(holds, key=lambda hold: hold.from_ns)


def happened(faults, what, start_ns, end_ns):
    return any(f.what == what and f.start_ns <= end_ns and f.end_ns >= start_ns for f in faults)


def is_outside(first, second, faults):
    """May the second come in while the first is there?"""
    if happened(faults, "jumped", first.vote_ns(), second.from_ns):
        return True
    return second.kind == FOREIGN and happened(
        faults, "emptied", first.vote_ns(), second.from_ns)


def find_overlaps(holds, faults):
    """Pairs inside the promise, and outside."""
    inside, outside = [], []
    active = []
    for hold in holds:
        active = [first for first in active if first.until_ns > hold.from_ns]
        for first in active:
            (outside if is_outside(first, hold, faults) else inside).append((first, hold))
        active.append(hold)
    return inside, outside


def find_inversions(holds, faults):
    """Pairs of holds of Tenure whose tokens do not rise, and those of which nobody can say."""
    ours = [hold for hold in holds if hold.kind != FOREIGN]
    begins = [hold.from_ns for hold in ours]
    highest = []  # so far, of the holds until there
    wrong, open_ = [], []
    for index, hold in enumerate(ours):
        begun = bisect.bisect_right(begins, hold.asked_ns, 0, index)
        if begun > 0 and highest[begun - 1].token >= hold.token:
            wrong.append((highest[begun - 1], hold))
        elif index > 0 and highest[-1].token >= hold.token:
            is_same = any(other.token == hold.token for other in ours[:index])
            is_open = not is_same and happened(faults, "jumped", hold.vote_ns(), hold.from_ns)
            (open_ if is_open else wrong).append((highest[-1], hold))
        before = highest[-1:] if index > 0 else []
        highest.append(max(before + [hold], key=lambda each: each.token))
    return wrong, open_


# ------------------------------------------------------------------ the judge is judged

S = 1_000_000_000


def _run(token, asked, start, end, kind="run"):
    return Hold(kind, token, asked * S, asked * S, start * S, end * S)


def _jumped(at):
    return Fault("jumped", 0, at * S, at * S)


def _emptied(at):
    return Fault("emptied", 0, at * S, at * S)


# What was there, what happened: overlaps inside and outside; inversions and open questions.
STORIES = {
    "one after the other": ([_run(1, 0, 1, 2), _run(2, 1, 2, 3)], [], (0, 0, 0, 0)),
    "two at once": ([_run(1, 0, 1, 3), _run(2, 1, 2, 4)], [], (1, 0, 0, 0)),
    "one within a longer one": (
        [_run(1, 0, 1, 9), _run(2, 1, 2, 3), _run(3, 1, 4, 5)], [], (2, 0, 0, 0)),
    "with a foreign one": (
        [_run(1, 0, 1, 3), _run(0, 1, 2, 4, FOREIGN)], [], (1, 0, 0, 0)),
    "after a jump": ([_run(1, 0, 1, 3), _run(2, 1, 2, 4)], [_jumped(1)], (0, 1, 0, 0)),
    "a jump before the vote": ([_run(1, 8, 9, 12), _run(2, 9, 10, 14)], [_jumped(7)], (1, 0, 0, 0)),
    "a jump longer ago than a lease": (
        [_run(1, 0, 9, 12), _run(2, 9, 10, 14)], [_jumped(6)], (1, 0, 0, 0)),
    "a jump afterwards": ([_run(1, 0, 1, 3), _run(2, 1, 2, 4)], [_jumped(3)], (1, 0, 0, 0)),
    "a foreign one after a restart": (
        [_run(1, 0, 1, 3), _run(0, 1, 2, 4, FOREIGN)], [_emptied(1)], (0, 1, 0, 0)),
    "one of ours after a restart": (
        [_run(0, 0, 1, 3, FOREIGN), _run(1, 1, 2, 4)], [_emptied(1)], (1, 0, 0, 0)),
    "a token that falls": ([_run(2, 0, 1, 2), _run(1, 2, 3, 4)], [], (0, 0, 1, 0)),
    "a token that falls, asked for before": (
        [_run(2, 2, 3, 4), _run(1, 1, 5, 6)], [], (0, 0, 1, 0)),
    "a token that falls under a jump": (
        [_run(2, 0, 1, 2), _run(1, 3, 4, 5)], [_jumped(3)], (0, 0, 1, 0)),
    "asked for before, and a jump": (
        [_run(2, 2, 3, 4), _run(1, 1, 5, 6)], [_jumped(4)], (0, 0, 0, 1)),
    "the same token, and a jump": (
        [_run(2, 2, 3, 4), _run(2, 1, 5, 6)], [_jumped(4)], (0, 0, 1, 0)),
    "a token below one of long ago": (
        [_run(9, 0, 1, 2), _run(3, 2, 3, 4), _run(4, 4, 5, 6)], [], (0, 0, 2, 0)),
    "a foreign one has none": (
        [_run(2, 0, 1, 2), _run(0, 2, 3, 4, FOREIGN), _run(3, 4, 5, 6)], [], (0, 0, 0, 0)),
}


def misjudged():
    """The stories that are judged wrongly."""
    wrong = []
    for name, (holds, faults, expected) in STORIES.items():
        found = find_overlaps(holds, faults) + find_inversions(holds, faults)
        counts = tuple(map(len, found))
        if counts != expected:
            wrong.append("%s: %s instead of %s" % (name, counts, expected))
    return wrong


def main():
    wrong = misjudged()
    for line in wrong:
        print(line)
    print("%d passed, %d failed" % (len(STORIES) - len(wrong), len(wrong)))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
