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
    return "\n\n".join([head] + [section(result) for result in results]) + "\n"


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
