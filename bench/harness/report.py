"""report - results as tables and verdicts in Markdown.

A result is a dictionary that can be kept as JSON: name, title, note, rounds, columns, rows,
verdicts, commands, load_before.  A verdict is a target of the project with what was measured.
"""

import datetime
import json
import os

from .servers import CLIENT_CPU, SERVER_CPU


def at_least(text, value, bound):
    return {"text": text, "value": value, "bound": bound, "sense": "≥", "is_met": value >= bound}


def at_most(text, value, bound):
    return {"text": text, "value": value, "bound": bound, "sense": "≤", "is_met": value <= bound}


def number(value):
    """Three significant digits or more; large ones in groups."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and abs(value) < 1000:
        return str(value)
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    if abs(value) >= 100:
        return f"{value:.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}"


def table(columns, rows):
    lines = ["| " + " | ".join(columns) + " |",
             "|" + "|".join([" --- "] + [" ---: "] * (len(columns) - 1)) + "|"]
    lines += ["| " + " | ".join(number(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def section(result):
    """One block of the document."""
    parts = [f"## {result['title']}", result["note"],
             table(result["columns"], result["rows"])]
    if result["verdicts"]:
        rows = [[v["text"], f"{v['sense']} {number(v['bound'])}", v["value"],
                 "yes" if v["is_met"] else "**no**"] for v in result["verdicts"]]
        parts.append(table(["target", "wanted", "measured", "met"], rows))
    runs = f"`./dev bench {result['name']}`, {result['date']}, rounds: {result['rounds']}"
    parts.append(f"{runs}; load average before: {result['load_before']:.2f}.")
    commands = "\n".join(result["commands"])
    parts.append(f"<details><summary>commands</summary>\n\n```\n{commands}\n```\n</details>")
    return "\n\n".join(parts)


# ---- what must be known to read a group of suites, before the first of them that there is

QUEUE_TARGETS = [
    ["queue50", "put, take and done, fifty connections",
     "beanstalkd with its binlog synced at every write; beanstalkd that keeps nothing; the floor",
     "≥ 10 ×; ≥ 0.8 ×; ≥ 0.85 ×"],
    ["queue-put256", "puts, 256 under way on one connection",
     "`RPUSH` of Redis with `appendfsync always`", "≥ 2 ×"],
    ["queue-jobs", "jobs that one Node.js process gets done, fifty at a time",
     "BullMQ on a Redis that keeps nothing", "≥ 2 ×"],
    ["queue-groups", "a take from 10 000 groups that take turns", "a take from one group",
     "≤ 1.5 ×"],
    ["queue-delayed", "p99 of a take beside a million delayed items", "without them", "≤ 1.1 ×"],
    ["queue-wake", "from a put until a worker that waited has the item",
     "one round trip and one commit", "≤ 2 ×"],
    ["queue-memory", "resident bytes an item, a million of them; restart after kill -9", "-",
     "≤ 400; ≤ 3 s"],
    ["state-set50", "set, fifty connections", "`SET` of Redis with `appendfsync always`",
     "≥ 1.2 ×"],
    ["state-watch",
     "how far behind the answer to a set its event comes, a million registers beside it",
     "one commit", "≤ 1 ×"],
    ["state-fanout", "events a second to 1000 watchers of one register", "-", "≥ 500 000"],
]


def queue_introduction():
    rows = [[f"`{name}`", *rest] for name, *rest in QUEUE_TARGETS]
    lines = ["| suite | what is measured | against | wanted |", "| --- | --- | --- | --- |"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    targets = "\n".join(lines)
    return f"""## Queues and shared state

An item has a body of 100 bytes, and so has a value.  A *cycle* of a queue is the put of an item,
and the take and the done of the item that is next; each of the three is on disk before its answer.
The generator numbers what it puts: an item that is taken twice, or was never put, fails the run,
and a watcher that misses a change or sees one twice fails it too.  The floor keeps a plain line of
items: it has no leases, groups, priorities or limits.

{targets}

Resident memory includes the window of recent events (64 MiB by default), which is there whatever
its events are about.  beanstalkd runs on one processor, as the loop of tenured does, and without
its binlog it never waits for a disk.

    ./dev bench queue50 queue-put256 queue-jobs queue-groups queue-delayed queue-wake queue-memory
    ./dev bench state-set50 state-watch state-fanout"""


INTRODUCTIONS = {"queue50": queue_introduction}


def document(place, results):
    machine = "\n".join(f"- {name}: {text}" for name, text in place.machine())
    head = f"""# Benchmarks

Tenure against other lock servers, measured side by side by one load generator
(`bench/load.c`) and repeated by `./dev bench`.  Absolute figures belong to the machine below; the
ratios are what to look at.  The *floor* is `bench/floor.c`: a bare program on the same loop that
parses the same commands, keeps a table, appends a checksummed record, makes groups of records
durable with `fdatasync`, and decides nothing.

{machine}

The server runs on processor {SERVER_CPU}, the load generator on processor {CLIENT_CPU}, unless a
measurement says otherwise.
Each sample gets a fresh server with an empty directory on the disk.  The servers take turns; a
ratio is taken within each round; every figure is the median of the rounds.  Every answer is parsed
and checked, and one wrong answer fails the run.  A *cycle* is the acquire and the release of a lock
that nobody else wants.  Every grant and release of `tenured`, `redis always` (`appendfsync
always`), `etcd` and the floor is on disk before its answer; `redis` keeps nothing on disk."""
    parts = [head]
    for result in results:
        if result["name"] in INTRODUCTIONS:
            parts.append(INTRODUCTIONS[result["name"]]())
        parts.append(section(result))
    return "\n\n".join(parts) + "\n"


def save(place, result):
    path = os.path.join(place.results, result["name"] + ".json")
    with open(path, "w") as out:
        json.dump(result, out, indent=1)


def saved(place, names):
    """The kept results, in the order of `names`."""
    results = []
    for name in names:
        path = os.path.join(place.results, name + ".json")
        if os.path.exists(path):
            with open(path) as kept:
                results.append(json.load(kept))
    return results


def today():
    return datetime.date.today().isoformat()
