#!/usr/bin/python3
"""Move rows from shared state into a SQLite database: each once, whoever dies, and when.

    tenure run -w 1d mover -- ./transfer.py rows.sqlite

Started like this on any number of hosts, one of them moves and the others wait; when it dies, the
next one goes on at once.  Three things make that safe, each against another fault:

  the database    remembers the highest token that has written, and refuses lower ones: a mover that
                  stood still for a minute and believes that it still has the lock changes nothing
  one transaction holds the token and the rows: who dies in the middle of it has done nothing
  the guard       `tenure del --guard` is refused when the hold has ended.  Who dies between the
                  transaction and the removal leaves rows that are there already, and the next mover
                  does not count them twice

A row is a register whose name begins with "row/".  It ends when there are none.
"""

import json
import os
import sqlite3
import subprocess
import sys

BATCH = 50
ABSENT, LOST = 66, 79  # exit codes of tenure


def tenure(*words, accept=()):
    """What it prints; whoever has lost the lock goes no further."""
    done = subprocess.run(["tenure", *words], stdout=subprocess.PIPE, check=False)
    if done.returncode == LOST:
        sys.exit(LOST)
    if done.returncode not in (0, *accept):
        sys.exit(done.returncode)
    return done.stdout.decode()


def open_database(path):
    database = sqlite3.connect(path, timeout=30, isolation_level=None)
    database.execute("PRAGMA synchronous = FULL")
    database.execute("BEGIN IMMEDIATE")
    database.execute("CREATE TABLE IF NOT EXISTS fence (token INTEGER)")
    database.execute("CREATE TABLE IF NOT EXISTS rows (id TEXT PRIMARY KEY, amount INTEGER)")
    database.execute("CREATE TABLE IF NOT EXISTS total (count INTEGER, amount INTEGER)")
    for table, zero in (("fence", "(0)"), ("total", "(0, 0)")):
        if not database.execute("SELECT 1 FROM %s" % table).fetchone():
            database.execute("INSERT INTO %s VALUES %s" % (table, zero))
    database.execute("COMMIT")
    return database


def write(database, rows, token):
    """All of them, and our token; or nothing."""
    database.execute("BEGIN IMMEDIATE")
    (highest,) = database.execute("SELECT token FROM fence").fetchone()
    if token < highest:
        sys.exit(LOST)
    database.execute("UPDATE fence SET token = ?", (token,))
    for row in rows:
        amount = int(row["value"])
        new = database.execute("INSERT OR IGNORE INTO rows VALUES (?, ?)", (row["name"], amount))
        if new.rowcount == 1:
            database.execute("UPDATE total SET count = count + 1, amount = amount + ?", (amount,))
    database.execute("COMMIT")


def main(path):
    token = int(os.environ["TENURE_TOKEN"])
    database = open_database(path)
    while True:
        lines = tenure("get", "--json", "--prefix", "row/").splitlines()
        rows = [json.loads(line) for line in lines[:BATCH]]
        if not rows:
            return
        write(database, rows, token)
        for row in rows:
            version = str(row["version"])
            tenure("del", "--guard", "--version", version, row["name"], accept=(ABSENT,))


if __name__ == "__main__":
    if len(sys.argv) != 2 or "TENURE_TOKEN" not in os.environ:
        sys.exit("usage: tenure run -w 1d mover -- transfer.py DATABASE")
    main(sys.argv[1])
