#!/usr/bin/python3
"""Schedules: what they put, once, whatever becomes of the server.  A schedule is an item of a
queue, so a test can put one that was due long ago instead of waiting for a minute to end."""

import time

from lib import Server, equal, refused, run, wait_for

QUEUE = "@schedules"
DAY_S = 86400


def number(value):
    encoded = b""
    while value >= 0x80:
        encoded += bytes([value & 0x7F | 0x80])
        value >>= 7
    return encoded + bytes([value])


def text(value):
    return number(len(value)) + value.encode()


SKIP, ONCE, ALL = range(3)


def schedule(line, zone, missed, count, queue, body):
    """The body of a schedule, as src/engine/schedule.c writes it."""
    terms = [0, 0, 30000, 0, 0, 1000, 3600000, 0, 25, 3, 0, 1, 20, 0, 0]
    return (number(1) + text(line) + text(zone) + number(missed) + number(count) + text(queue) +
            text("") + text("") + text("") + b"".join(map(number, terms)) + text(body))


def midnight(days_ago):
    return (int(time.time()) // DAY_S - days_ago) * DAY_S


def put_overdue(client, name, missed, count, days, zone="UTC"):
    body = schedule("0 0 * * *", zone, missed, count, "reports", name)
    due = midnight(days)
    client("QUEUE.PUT", QUEUE, body, "ID", "%s@%d-1" % (name, due), "UNIQUE", name,
           "UNTIL", "started", "RETENTION", 60000)
    return due


def ids(client, queue, state):
    return sorted(item["id"] for item in client("QUEUE.LIST", queue, state)["items"])


def test_a_schedule_waits_for_its_time():
    server = Server()
    client = server.resp(3)
    made = client("QUEUE.SCHEDULE", "reports", "nightly", "0 3 * * *", "Europe/Berlin", "once",
                  "make it", "GROUP", "g")
    assert made["id"].startswith("nightly@") and made["state"] == "delayed", made
    # Anew: it takes the place of the old one.
    again = client("QUEUE.SCHEDULE", "reports", "nightly", "0 4 * * *", "UTC", "all:3", "make it")
    equal(ids(client, QUEUE, "delayed"), [again["id"]])
    due = int(again["id"].split("@")[1].split("-")[0])
    assert time.time() < due <= time.time() + DAY_S and due % DAY_S == 4 * 3600, due
    client("QUEUE.CANCEL", QUEUE, again["id"])
    equal(ids(client, QUEUE, "delayed"), [])


def test_what_cannot_be_is_refused():
    client = Server().resp(3)
    for line, zone, missed in (("0 0 30 2 *", "UTC", "once"), ("* * * *", "UTC", "once"),
                               ("@daily", "Mars/Base", "once"), ("@daily", "../passwd", "once"),
                               ("@daily", "UTC", "never"), ("@daily", "UTC", "all:0"),
                               ("@daily", "UTC", "all:101")):
        error = refused(client, "QUEUE.SCHEDULE", "q", "n", line, zone, missed, "b")
        equal(error.word, "INVALID")
    equal(client("QUEUE.STAT", QUEUE), None)


def test_runs_that_were_missed():
    server = Server()
    client = server.resp(3)
    put_overdue(client, "skip", SKIP, 1, 5)
    put_overdue(client, "once", ONCE, 1, 5)
    put_overdue(client, "all", ALL, 3, 5)
    put_overdue(client, "berlin", ONCE, 1, 5, "Europe/Berlin")
    wait_for(lambda: client("QUEUE.STAT", QUEUE)["counts"]["done"] == 4, "four schedules")
    found = ids(client, "reports", "ready")
    equal([i for i in found if not i.startswith("berlin")],
          ["all@%d" % midnight(days) for days in (2, 1, 0)] + ["once@%d" % midnight(0)])
    equal(len([i for i in found if i.startswith("berlin")]), 1)
    # Each of them stands there again, for the next midnight.
    waiting = ids(client, QUEUE, "delayed")
    equal([i.split("@")[0] for i in waiting], ["all", "berlin", "once", "skip"])
    assert all(int(i.split("@")[1].split("-")[0]) > time.time() for i in waiting), waiting


def test_a_run_is_put_once_over_crashes():
    server = Server()
    client = server.resp(3)
    for round_number in range(6):
        name = "n%d" % round_number
        run_id = "%s@%d" % (name, midnight(0))
        put_overdue(client, name, ONCE, 1, 1)
        if round_number % 2:
            wait_for(lambda: client("QUEUE.STAT", "reports", "ID", run_id), "a run")
        server.kill()
        server.start()
        client = server.resp(3)
        wait_for(lambda: client("QUEUE.STAT", "reports", "ID", run_id), "a run", 60)
    equal(ids(client, "reports", "ready"), ["n%d@%d" % (n, midnight(0)) for n in range(6)])


def test_a_schedule_kicked_before_its_time_waits_on():
    client = Server().resp(3)
    made = client("QUEUE.SCHEDULE", "reports", "yearly", "0 0 1 1 *", "UTC", "once", "b")
    due = made["id"].rsplit("-", 1)[0]
    kicked = made["id"]
    for round_number in range(1, 3):
        client("QUEUE.KICK", QUEUE, kicked)
        wait_for(lambda: client("QUEUE.STAT", QUEUE)["counts"]["done"] == round_number, "an end")
        waiting = ids(client, QUEUE, "delayed")
        equal([i.rsplit("-", 1)[0] for i in waiting], [due])
        kicked = waiting[0]
    equal(client("QUEUE.STAT", "reports"), None)
    # It is still the one of its name.
    again = client("QUEUE.SCHEDULE", "reports", "yearly", "0 0 1 1 *", "UTC", "once", "c")
    equal(ids(client, QUEUE, "delayed"), [again["id"]])


def test_what_is_no_schedule_is_buried():
    client = Server().resp(3)
    client("QUEUE.PUT", QUEUE, "anything", "ID", "junk")
    client("QUEUE.PUT", QUEUE, b"\x01" * 500, "ID", "n@1-1")
    wait_for(lambda: ids(client, QUEUE, "dead") == ["junk", "n@1-1"], "both are dead")


run()
