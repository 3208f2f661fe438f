#!/usr/bin/python3
"""Queues over the Redis protocol: every command, what it answers, and what it refuses."""

import socket
import threading
import time

from http_client import Http, Stream
from lib import RespError, Server, contains, equal, pairs, refused, run, wait_for

BODY_MAX = 1 << 20


def take(client, queue="q", *options, worker="w"):
    """Items of a client that speaks RESP3."""
    return client("QUEUE.TAKE", queue, worker, *options)


def take_one(client, queue="q", *options, worker="w"):
    items = take(client, queue, *options, worker=worker)
    equal(len(items), 1)
    return items[0]


def claim(item):
    return item["queue"], item["id"], item["token"]


def state(client, item_id, queue="q"):
    item = client("QUEUE.STAT", queue, "ID", item_id)
    return item and item["state"]


def counts(client, queue="q"):
    found = client("QUEUE.STAT", queue)
    return {k: v for k, v in found["counts"].items() if v} if found else {}


# ------------------------------------------------------------------ the way of an item


def test_from_put_to_done():
    server = Server()
    two, three = server.resp(), server.resp(3)
    equal(two("QUEUE.PUT", "q", "body"), ["id", "_1", "state", "ready", "repeat", 0])
    equal(three("queue.put", "q", "b2", "id", "x", "Group", "g", "PRIORITY", 0, "HEADERS", "h: é"),
          {"id": "x", "state": "ready", "repeat": 0})
    first = pairs(two("QUEUE.TAKE", "q", "w")[0])
    equal((first["queue"], first["id"], first["body"], first["headers"]), ("q", "_1", "body", ""))
    second = take_one(three)
    equal((second["id"], second["group"], second["headers"]), ("x", "g", "h: é"))
    equal((second["attempts"], second["lapses"], second["lease_ms"]), (0, 0, 30000))
    equal((second["attempts_max"], second["lapses_max"], second["timeout_ms"]), (25, 3, 0))
    assert second["token"] > first["token"] > 10**15
    assert abs(second["put_at_ms"] - time.time() * 1000) < 60000
    equal(three("QUEUE.DONE", *claim(second), "RESULT", "fine"),
          {"id": "x", "state": "done", "attempts": 0, "lapses": 0, "cancelling": 0, "repeat": 0})
    equal(three("QUEUE.DONE", *claim(second), "RESULT", "other")["repeat"], 1)
    equal(three("QUEUE.STAT", "q", "ID", "x")["result"], "fine")
    # One without an id of its own is forgotten when it is done; what was said is not, yet.
    three("QUEUE.DONE", *claim(first))
    equal(three("QUEUE.STAT", "q", "ID", "_1"), None)
    again = three("QUEUE.DONE", *claim(first))
    equal((again["id"], again["state"], again["repeat"]), ("_1", "done", 1))
    equal(take(three), [])


def test_bodies_and_results_are_any_bytes():
    server = Server()
    client = server.resp(3)
    every = bytes(range(256)) * 4
    for body in (every, b"", b"\r\n$3\r\nAND\r\n", b"AND"):
        client("QUEUE.PUT", "q", body)
        item = take_one(client)
        got = item["body"] if isinstance(item["body"], bytes) else item["body"].encode()
        equal(got, body)
        client("QUEUE.DONE", *claim(item))
    client("QUEUE.PUT", "q", "x", "ID", "r")
    client("QUEUE.DONE", *claim(take_one(client)), "RESULT", every)
    equal(client("QUEUE.AWAIT", "q", "r")["result"], every)
    answer = Http(server).get("/v1/queues/q/await?id=r").json
    assert "result" not in answer and answer["result_base64"].startswith("AAECAwQF")


def test_the_largest_body_and_one_more():
    server = Server()
    client = server.resp(3)
    client("QUEUE.PUT", "q", b"x" * BODY_MAX, "ID", "large")
    equal(len(client("QUEUE.PEEK", "q")["body"]), BODY_MAX)
    item = take_one(client)
    equal(len(item["body"]), BODY_MAX)
    equal(refused(client, "QUEUE.DONE", *claim(item), "RESULT", "r" * 65537).word, "TOOLARGE")
    client("QUEUE.DONE", *claim(item), "RESULT", "r" * 65536)
    equal(client("QUEUE.STAT", "q", "ID", "large")["body_bytes"], 0)
    error = refused(client, "QUEUE.PUT", "q", b"x" * (BODY_MAX + 1))
    contains(str(error), "an argument is larger than 1048576 bytes")
    assert client.is_closed()


def test_one_answer_has_a_megabyte_of_bodies_at_most():
    client = Server().resp(3)
    for _ in range(5):
        client("QUEUE.PUT", "q", b"x" * 400000)
    equal([len(take(client, "q", "COUNT", 1024)) for _ in range(4)], [2, 2, 1, 0])


def test_put_again_is_there_once():
    client = Server().resp(3)
    equal(client("QUEUE.PUT", "q", "1", "ID", "x")["repeat"], 0)
    equal(client("QUEUE.PUT", "q", "2", "ID", "x"), {"id": "x", "state": "ready", "repeat": 1})
    equal(client("QUEUE.PUT", "other", "2", "ID", "x")["repeat"], 0)
    item = take_one(client)
    equal(item["body"], "1")
    equal(client("QUEUE.PUT", "q", "2", "ID", "x")["state"], "taken")
    client("QUEUE.DONE", *claim(item))
    equal(client("QUEUE.PUT", "q", "2", "ID", "x")["state"], "done")
    client("QUEUE.PURGE", "q", "done")
    equal(client("QUEUE.PUT", "q", "2", "ID", "x"), {"id": "x", "state": "ready", "repeat": 0})


def test_many_in_one_put():
    client = Server().resp(3)
    answers = client("QUEUE.PUT", "q", "1", "AND", "2", "ID", "x", "DELAY", 60000, "AND", "3",
                     "ID", "_9", "AND", "4", "ID", "x")
    equal([a["outcome"] for a in answers], ["ok", "ok", "invalid", "ok"])
    equal([a.get("id") for a in answers], ["_1", "x", None, "x"])
    equal([a.get("repeat") for a in answers], [0, 0, None, 1])
    contains(answers[2]["reason"], "made ids")
    equal(counts(client), {"ready": 1, "delayed": 1})
    words = ["body"] + ["AND", "body"] * 1023
    equal(len(client("QUEUE.PUT", "many", *words)), 1024)
    contains(str(refused(client, "QUEUE.PUT", "many", *words, "AND", "one more")), "at most 1024")
    equal(len(take(client, "many", "COUNT", 1024)), 1024)
    # One option that is wrong refuses all of them.
    equal(refused(client, "QUEUE.PUT", "none", "1", "AND", "2", "LEASE", 5).word, "INVALID")
    equal(client("QUEUE.STAT", "none"), None)


def test_priority_delay_and_time():
    client = Server().resp(3)
    client("QUEUE.PUT", "q", "low", "ID", "low")
    client("QUEUE.PUT", "q", "high", "ID", "high", "PRIORITY", 9)
    equal([i["id"] for i in take(client, "q", "COUNT", 2)], ["high", "low"])
    client("QUEUE.PUT", "q", "later", "ID", "later", "DELAY", 60000)
    at = int(time.time() * 1000) + 100
    client("QUEUE.PUT", "q", "soon", "ID", "soon", "AT", at)
    client("QUEUE.PUT", "q", "past", "ID", "past", "AT", 1)
    equal(client("QUEUE.STAT", "q", "ID", "soon")["run_at_ms"], at)
    equal([i["id"] for i in take(client, "q", "COUNT", 9)], ["past"])
    item = take_one(client, "q", "WAIT", 5000)
    equal(item["id"], "soon")
    assert time.time() * 1000 >= at - 5
    client("QUEUE.PUT", "q", "gone", "ID", "gone", "EXPIRE", 50)
    wait_for(lambda: state(client, "gone") == "cancelled", "the expiry")


def test_unique_keys():
    client = Server().resp(3)
    put = lambda *words: client("QUEUE.PUT", "q", "b", *words)
    put("ID", "1", "UNIQUE", "k")
    equal(put("ID", "2", "UNIQUE", "k"), {"id": "1", "state": "ready", "repeat": 1})
    equal(put("ID", "3", "UNIQUE", "k", "CONFLICT", "replace")["id"], "3")
    equal((state(client, "1"), state(client, "3")), ("cancelled", "ready"))
    item = take_one(client)
    equal(put("ID", "4", "UNIQUE", "k", "CONFLICT", "REPLACE")["id"], "3")
    equal(put("ID", "5", "UNIQUE", "k", "CONFLICT", "keep_last")["state"], "delayed")
    equal(put("ID", "6", "UNIQUE", "k", "CONFLICT", "keep_last")["state"], "delayed")
    equal((state(client, "5"), state(client, "6")), ("cancelled", "delayed"))
    client("QUEUE.DONE", *claim(item))
    equal(take_one(client)["id"], "6")
    put("ID", "7", "UNIQUE", "s", "UNTIL", "started")
    take_one(client)
    equal(put("ID", "8", "UNIQUE", "s", "UNTIL", "started")["id"], "8")
    put("ID", "9", "UNIQUE", "w", "WINDOW", 80)
    equal(put("ID", "10", "UNIQUE", "w", "WINDOW", 80)["id"], "9")
    wait_for(lambda: put("ID", "11", "UNIQUE", "w", "WINDOW", 80)["id"] == "11", "the window's end")


# ------------------------------------------------------------------ taking and waiting


def test_a_wait_ends_with_the_put():
    server = Server()
    client, worker = server.resp(3), server.resp(3)
    equal(take(worker), [])
    begun = time.monotonic()
    equal(take(worker, "q", "WAIT", 60), [])
    assert time.monotonic() - begun >= 0.055
    worker.send("QUEUE.TAKE", "q", "w", "WAIT", 20000)
    wait_for(lambda: client("QUEUE.STAT", "q")["taker_count"] == 1, "the wait")
    begun = time.monotonic()
    client("QUEUE.PUT", "q", "news")
    equal(worker.read()[0]["body"], "news")
    assert time.monotonic() - begun < 5


def test_who_waits_first_is_served_first():
    server = Server()
    client = server.resp(3)
    workers = [server.resp(3) for _ in range(4)]
    for number, worker in enumerate(workers):
        worker.send("QUEUE.TAKE", "q", "w%d" % number, "WAIT", 20000, "COUNT", 2)
        wait_for(lambda: client("QUEUE.STAT", "q")["taker_count"] == number + 1, "the wait")
    workers[1].close()
    wait_for(lambda: client("QUEUE.STAT", "q")["taker_count"] == 3, "the end of a wait")
    for number in (0, 2, 3):
        client("QUEUE.PUT", "q", "for %d" % number)
        equal(workers[number].read()[0]["body"], "for %d" % number)


def test_several_queues_in_their_order():
    server = Server()
    client, worker = server.resp(3), server.resp(3)
    client("QUEUE.PUT", "low", "l")
    client("QUEUE.PUT", "high", "h")
    items = take(worker, "high", "COUNT", 5, "AND", "middle", "low")
    equal([(i["queue"], i["body"]) for i in items], [("high", "h"), ("low", "l")])
    worker.send("QUEUE.TAKE", "high", "w", "WAIT", 20000, "AND", "AND", "low")
    wait_for(lambda: client("QUEUE.STAT", "low")["taker_count"] == 1, "the wait")
    client("QUEUE.PUT", "AND", "a queue of that name")
    equal(worker.read()[0]["queue"], "AND")
    equal(client("QUEUE.STAT", "low")["taker_count"], 0)
    names = ["n%d" % i for i in range(31)]
    equal(take(client, "n", "AND", *names), [])
    contains(str(refused(client, "QUEUE.TAKE", "n", "w", "AND", *names, "x")), "at most 32")
    contains(str(refused(client, "QUEUE.TAKE", "n", "w", "AND", "n")), "twice")


def test_commands_behind_a_wait_are_answered_behind_it():
    server = Server()
    client, worker = server.resp(3), server.resp(3)
    worker.send("QUEUE.TAKE", "q", "w", "WAIT", 20000)
    worker.send("PING")
    wait_for(lambda: client("QUEUE.STAT", "q")["taker_count"] == 1, "the wait")
    assert worker.is_silent()
    client("QUEUE.PUT", "q", "b")
    equal(len(worker.read()), 1)
    equal(worker.read(), "PONG")


def test_groups_take_turns():
    client = Server().resp(3)
    for number in range(20):
        client("QUEUE.PUT", "q", "a%d" % number, "GROUP", "a")
    for group in ("b", "c"):
        for number in range(2):
            client("QUEUE.PUT", "q", "%s%d" % (group, number), "GROUP", group)
    order = "".join(i["group"] for i in take(client, "q", "COUNT", 8))
    equal(sorted(order[:3]), ["a", "b", "c"])
    equal(sorted(order[3:6]), ["a", "b", "c"])
    equal(order[6:], "aa")
    client("QUEUE.PUT", "q", "b", "GROUP", "b")
    equal(client("QUEUE.LIMIT", "q", "GROUP", "a", "WEIGHT", 3), "OK")
    order = "".join(i["group"] for i in take(client, "q", "COUNT", 5))
    equal(sorted(order), ["a", "a", "a", "a", "b"])


# ------------------------------------------------------------------ leases


def test_who_lost_its_lease_changes_nothing():
    server = Server()
    client = server.resp(3)
    client("QUEUE.PUT", "q", "b", "ID", "x", "LEASE", 100)
    late = take_one(client, worker="late")
    wait_for(lambda: state(client, "x") == "ready", "the lapse")
    for command in ("EXTEND", "DONE", "FAIL", "BURY"):
        error = refused(client, "QUEUE." + command, *claim(late))
        equal((error.word, "the item is ready" in str(error)), ("LOST", True))
    new = take_one(client, "q", "LEASE", 20000, worker="new")
    equal((new["lapses"], new["attempts"], new["lease_ms"]), (1, 0, 20000))
    for command in ("EXTEND", "DONE", "FAIL", "BURY"):
        error = refused(client, "QUEUE." + command, *claim(late))
        contains(str(error), "taken by new, the token is now %d" % new["token"])
    equal(refused(client, "QUEUE.PROGRESS", *claim(late), "50 %").word, "LOST")
    equal(state(client, "x"), "taken")
    client("QUEUE.DONE", *claim(new))
    equal(refused(client, "QUEUE.DONE", *claim(late)).word, "LOST")
    contains(str(refused(client, "QUEUE.DONE", "q", "none", 5)), "is not known")
    contains(str(refused(client, "QUEUE.DONE", "none", "x", 5)), "is not known")


def test_extensions_keep_the_lease():
    client = Server().resp(3)
    for name in ("x", "y"):
        client("QUEUE.PUT", "q", "b", "ID", name, "LEASE", 300)
    one, two = take(client, "q", "COUNT", 2)
    end = time.monotonic() + 0.8
    while time.monotonic() < end:
        answer = client("QUEUE.EXTEND", *claim(one))
        equal((answer["outcome"], answer["lease_ms"], answer["cancelling"]), ("ok", 300, 0))
        time.sleep(0.02)
    equal((state(client, "x"), client("QUEUE.STAT", "q", "ID", "y")["lapses"]), ("taken", 1))
    answer = client("QUEUE.EXTEND", *claim(one), "LEASE", 60000, "PROGRESS", "half", "AND",
                    *claim(two), "AND", "q", "none", 5)
    equal([a["outcome"] for a in answer], ["ok", "lost", "lost"])
    equal([answer[1]["state"], answer[2]["state"], answer[2]["token"]], ["ready", "", 0])
    shown = client("QUEUE.STAT", "q", "ID", "x")
    equal((shown["progress"], shown["lease_ms"], shown["worker"]), ("half", 60000, "w"))
    assert 50000 < shown["remaining_ms"] <= 60000
    client("QUEUE.PROGRESS", *claim(one), "")
    equal(client("QUEUE.STAT", "q", "ID", "x")["progress"], "")


def test_an_item_that_kills_its_workers_dies():
    client = Server().resp(3)
    client("QUEUE.PUT", "q", "poison", "ID", "p", "LEASE", 100, "LAPSES", 2)
    for _ in range(2):
        take_one(client, "q", "WAIT", 5000)
    wait_for(lambda: state(client, "p") == "dead", "its death")
    shown = client("QUEUE.STAT", "q", "ID", "p")
    equal((shown["lapses"], shown["attempts"]), (2, 0))
    equal(client("QUEUE.PEEK", "q", "STATE", "dead")["body"], "poison")


def test_failures_are_counted_and_delayed():
    client = Server().resp(3)
    client("QUEUE.PUT", "q", "b", "ID", "f", "ATTEMPTS", 3, "BACKOFF", 40, "FIXED", "JITTER", 0)
    answer = client("QUEUE.FAIL", *claim(take_one(client)), "REASON", "disk é")
    equal((answer["state"], answer["attempts"]), ("delayed", 1))
    equal(client("QUEUE.STAT", "q", "ID", "f")["reason"], "disk é")
    item = take_one(client, "q", "WAIT", 5000)
    equal(item["attempts"], 1)
    answer = client("QUEUE.FAIL", *claim(item), "DELAY", 0, "UNCOUNTED")
    equal((answer["state"], answer["attempts"]), ("ready", 1))
    equal(client("QUEUE.FAIL", *claim(item))["repeat"], 1)
    answer = client("QUEUE.FAIL", *claim(take_one(client)), "DELAY", 60000)
    equal((answer["state"], answer["attempts"]), ("delayed", 2))
    equal(client("QUEUE.KICK", "q", "f")["state"], "ready")
    answer = client("QUEUE.FAIL", *claim(take_one(client)), "REASON", "again")
    equal((answer["state"], answer["attempts"]), ("dead", 3))
    equal(client("QUEUE.KICK", "q", "f"), {"id": "f", "state": "ready", "attempts": 0, "lapses": 0,
                                           "cancelling": 0, "repeat": 0})


def test_the_longest_run_is_over():
    client = Server().resp(3)
    client("QUEUE.PUT", "q", "b", "ID", "t", "LEASE", 200, "TIMEOUT", 400, "BACKOFF", 60000)
    item = take_one(client)
    with_loss = None
    end = time.monotonic() + 10
    while with_loss is None and time.monotonic() < end:
        try:
            client("QUEUE.EXTEND", *claim(item))
            time.sleep(0.02)
        except RespError as error:
            with_loss = error
    contains(str(with_loss), "delayed")
    shown = client("QUEUE.STAT", "q", "ID", "t")
    equal((shown["attempts"], shown["lapses"]), (1, 0))


def test_cancelled_before_and_while_it_is_done():
    client = Server().resp(3)
    for name in ("wait", "run", "over"):
        client("QUEUE.PUT", "q", "b", "ID", name)
    item = take_one(client)
    equal(item["id"], "wait")
    client("QUEUE.FAIL", *claim(item), "DELAY", 60000)
    equal(client("QUEUE.CANCEL", "q", "wait", "REASON", "no need")["state"], "cancelled")
    equal(client("QUEUE.STAT", "q", "ID", "wait")["reason"], "no need")
    item = take_one(client)
    answer = client("QUEUE.CANCEL", "q", "run")
    equal((answer["state"], answer["cancelling"]), ("taken", 1))
    equal(client("QUEUE.EXTEND", *claim(item))["cancelling"], 1)
    equal(client("QUEUE.FAIL", *claim(item), "REASON", "stopped")["state"], "cancelled")
    item = take_one(client)
    client("QUEUE.CANCEL", "q", "over")
    equal(client("QUEUE.DONE", *claim(item))["state"], "done")
    equal(client("QUEUE.CANCEL", "q", "over")["state"], "done")
    equal(refused(client, "QUEUE.CANCEL", "q", "none").word, "NOTFOUND")


def test_a_bound_lease_ends_soon_after_its_connection():
    server = Server()
    client = server.resp(3)
    for name in ("a", "b", "c"):
        client("QUEUE.PUT", "q", "x", "ID", name)
    worker, other = server.resp(3), server.resp(3)
    first = take_one(worker, "q", "BOUND", 50)
    second = take_one(worker, "q", "BOUND", 50)
    third = take_one(worker)
    # Extended over another connection, it is bound to that one.
    other("QUEUE.EXTEND", *claim(second))
    worker.close()
    wait_for(lambda: state(client, first["id"]) == "ready", "the end of the bound lease")
    equal(client("QUEUE.STAT", "q", "ID", first["id"])["lapses"], 1)
    time.sleep(0.1)
    equal((state(client, second["id"]), state(client, third["id"])), ("taken", "taken"))
    other.close()
    wait_for(lambda: state(client, second["id"]) == "ready", "the end of the other")
    equal(client("QUEUE.DONE", *claim(third))["state"], "done")


def test_a_bound_lease_is_not_bound_to_connections_of_http():
    server = Server()
    client, worker = server.resp(3), server.resp(3)
    client("QUEUE.PUT", "q", "x", "ID", "a")
    item = take_one(worker, "q", "BOUND", 50)
    http = Http(server)
    answer = http("POST", "/v1/queues/q/extend", {"id": "a", "token": item["token"]})
    equal(answer.status, 200)
    http.close()
    time.sleep(0.15)
    equal(state(client, "a"), "taken")
    worker.close()
    wait_for(lambda: state(client, "a") == "ready", "the end of the bound lease")


def test_a_bound_lease_outlives_a_short_break():
    server = Server()
    client, worker = server.resp(3), server.resp(3)
    client("QUEUE.PUT", "q", "x", "ID", "a")
    item = take_one(worker, "q", "BOUND", 3000)
    worker.close()
    again = server.resp(3)
    equal(again("QUEUE.EXTEND", *claim(item))["outcome"], "ok")
    time.sleep(0.1)
    equal(again("QUEUE.DONE", *claim(item))["state"], "done")


# ------------------------------------------------------------------ awaiting


def test_all_who_await_an_end_are_told():
    server = Server()
    client = server.resp(3)
    client("QUEUE.PUT", "q", "report", "ID", "nightly", "RETENTION", 0)
    waiters = [server.resp(3) for _ in range(10)]
    for waiter in waiters:
        waiter.send("QUEUE.AWAIT", "q", "nightly", "WAIT", 20000)
    equal(client("QUEUE.AWAIT", "q", "nightly", "WAIT", 30)["state"], "ready")
    item = take_one(client)
    equal(client("QUEUE.AWAIT", "q", "nightly")["state"], "taken")
    assert all(waiter.is_silent(0.01) for waiter in waiters)
    client("QUEUE.DONE", *claim(item), "RESULT", "42")
    for waiter in waiters:
        answer = waiter.read()
        equal((answer["state"], answer["result"]), ("done", "42"))
    equal(refused(client, "QUEUE.AWAIT", "q", "nightly", "WAIT", 1000).word, "NOTFOUND")


def test_death_and_cancellation_are_ends():
    server = Server()
    client, waiter = server.resp(3), server.resp(3)
    for name in ("dies", "stops", "goes"):
        client("QUEUE.PUT", "q", "x", "ID", name, "DELAY", 60000)
    waiter.send("QUEUE.AWAIT", "q", "dies", "WAIT", 20000)
    client("QUEUE.KICK", "q", "dies")
    client("QUEUE.BURY", *claim(take_one(client)), "REASON", "no use")
    answer = waiter.read()
    equal((answer["state"], answer["reason"]), ("dead", "no use"))
    waiter.send("QUEUE.AWAIT", "q", "stops", "WAIT", 20000)
    client("QUEUE.CANCEL", "q", "stops", "REASON", "why not")
    answer = waiter.read()
    equal((answer["state"], answer["reason"]), ("cancelled", "why not"))
    waiter.send("QUEUE.AWAIT", "q", "goes", "WAIT", 20000)
    time.sleep(0.05)
    client("QUEUE.PURGE", "q", "delayed")
    equal(refused(waiter.read).word, "NOTFOUND")


# ------------------------------------------------------------------ looking


def test_lists_go_on_where_they_ended():
    client = Server().resp(3)
    for number in range(25):
        client("QUEUE.PUT", "q", "body", "ID", "n%02d" % number, "HEADERS", "h")
    seen, cursor, pages = [], "", 0
    while cursor is not None:
        page = client("QUEUE.LIST", "q", "ready", "LIMIT", 10, "CURSOR", cursor)
        seen += [i["id"] for i in page["items"]]
        cursor, pages = page["cursor"], pages + 1
        if pages == 1:  # what leaves does not disturb the rest
            take(client, "q", "COUNT", 10)
    equal(seen, ["n%02d" % number for number in range(25)])
    equal(pages, 3)
    item = client("QUEUE.LIST", "q", "TAKEN", "LIMIT", 1)["items"][0]
    equal((item["worker"], item["body_bytes"], "body" in item, "headers" in item),
          ("w", 4, False, False))
    equal(client("QUEUE.LIST", "none", "dead"), {"items": [], "cursor": None})
    for cursor in ("x", "5", "-a", "99999999999999999999999-a", "0-a"):
        equal(refused(client, "QUEUE.LIST", "q", "ready", "CURSOR", cursor).word, "INVALID")


def test_queues_are_listed():
    client = Server().resp(3)
    equal(client("QUEUE.QUEUES"), {"queues": [], "cursor": None})
    for name in ("b", "a/1", "a/2", "c"):
        client("QUEUE.PUT", name, "x")
    equal([q["name"] for q in client("QUEUE.QUEUES")["queues"]], ["b", "a/1", "a/2", "c"])
    equal([q["name"] for q in client("QUEUE.QUEUES", "PREFIX", "a/")["queues"]], ["a/1", "a/2"])
    page = client("QUEUE.QUEUES", "LIMIT", 3)
    equal((len(page["queues"]), page["cursor"]), (3, "a/2"))
    page = client("QUEUE.QUEUES", "LIMIT", 3, "CURSOR", page["cursor"])
    equal(([q["name"] for q in page["queues"]], page["cursor"]), (["c"], None))
    equal(refused(client, "QUEUE.QUEUES", "CURSOR", "never").word, "NOTFOUND")


def test_stat_of_queue_group_and_item():
    client = Server().resp(3)
    client("QUEUE.PUT", "q", "body", "ID", "x", "GROUP", "g", "UNIQUE", "k", "TIMEOUT", 5000,
           "RETENTION", 7000, "EXPIRE", 60000)
    client("QUEUE.PUT", "q", "b", "DELAY", 60000)
    found = client("QUEUE.STAT", "q")
    equal((found["name"], found["paused"], found["group_count"]), ("q", 0, 2))
    equal((found["counts"]["ready"], found["counts"]["delayed"]), (1, 1))
    assert found["oldest_ms"] >= 0
    item = client("QUEUE.STAT", "q", "ID", "x")
    equal((item["group"], item["unique"], item["seq"], item["token"]), ("g", "k", 1, 0))
    terms = item["terms"]
    equal((terms["timeout_ms"], terms["retention_ms"], terms["backoff"]),
          (5000, 7000, "exponential"))
    equal(terms["expires_at_ms"] - item["put_at_ms"], 60000)
    take_one(client)
    group = client("QUEUE.STAT", "q", "GROUP", "g")
    equal((group["waiting"], group["running"], group["own_limits"]), (0, 1, 0))
    equal(client("QUEUE.STAT", "q", "GROUP", "")["waiting"], 1)
    equal(client("QUEUE.STAT", "q")["oldest_ms"], -1)
    for words in (["none"], ["q", "GROUP", "none"], ["q", "ID", "none"], ["none", "ID", "x"]):
        equal(client("QUEUE.STAT", *words), None)
    equal(client("QUEUE.PEEK", "q", "ID", "x")["body"], "body")
    equal(client("QUEUE.PEEK", "q"), None)


# ------------------------------------------------------------------ administration


def test_pause_and_resume():
    server = Server()
    client, worker = server.resp(3), server.resp(3)
    equal(client("QUEUE.PAUSE", "q"), "OK")
    equal(client("QUEUE.PAUSE", "q"), "OK")
    client("QUEUE.PUT", "q", "1", "GROUP", "g")
    client("QUEUE.PUT", "q", "2", "GROUP", "h")
    equal((take(client), client("QUEUE.PEEK", "q")["body"]), ([], "1"))
    client("QUEUE.PAUSE", "q", "GROUP", "g")
    worker.send("QUEUE.TAKE", "q", "w", "WAIT", 20000)
    wait_for(lambda: client("QUEUE.STAT", "q")["taker_count"] == 1, "the wait")
    client("QUEUE.RESUME", "q")
    equal(worker.read()[0]["body"], "2")
    equal(take(client), [])
    client("QUEUE.RESUME", "q", "GROUP", "g")
    equal(take_one(client)["body"], "1")


def test_limits_of_groups():
    client = Server().resp(3)
    client("QUEUE.LIMIT", "q", "RUNNING", 1, "SIZE", 3)
    for number in range(3):
        client("QUEUE.PUT", "q", "g%d" % number, "GROUP", "g")
    error = refused(client, "QUEUE.PUT", "q", "more", "GROUP", "g")
    equal(error.word, "TOOMANY")
    client("QUEUE.PUT", "q", "h", "GROUP", "h")
    first, second = take(client, "q", "COUNT", 9)
    equal({first["group"], second["group"]}, {"g", "h"})
    client("QUEUE.LIMIT", "q", "GROUP", "g", "RUNNING", 2)
    equal(len(take(client, "q", "COUNT", 9)), 1)
    equal(client("QUEUE.STAT", "q", "GROUP", "g")["limits"]["running_max"], 2)
    client("QUEUE.LIMIT", "q", "GROUP", "g")
    equal(client("QUEUE.STAT", "q", "GROUP", "g")["own_limits"], 0)
    client("QUEUE.LIMIT", "q")
    equal(len(take(client, "q", "COUNT", 9)), 1)
    client("QUEUE.LIMIT", "r", "RATE", 10, "PER", 1000, "BURST", 2)
    for number in range(4):
        client("QUEUE.PUT", "r", str(number))
    begun = time.monotonic()
    equal(len(take(client, "r", "COUNT", 9)), 2)
    for _ in range(2):
        take_one(client, "r", "WAIT", 5000)
    assert time.monotonic() - begun > 0.15
    equal(refused(client, "QUEUE.LIMIT", "r", "RATE", 10).word, "INVALID")


def test_limits_of_the_server():
    server = Server("--max-items", "3", "--max-item-bytes", "64K")
    client = server.resp(3)
    equal(refused(client, "QUEUE.PUT", "q", "x" * 65537).word, "TOOMANY")
    client("QUEUE.PUT", "q", "x" * 65000, "ID", "large")
    equal(refused(client, "QUEUE.PUT", "q", "x" * 1000).word, "TOOMANY")
    client("QUEUE.PUT", "q", "1")
    client("QUEUE.PUT", "other", "2")
    answers = client("QUEUE.PUT", "q", "3", "AND", "x", "ID", "large")
    equal([a["outcome"] for a in answers], ["too_many", "ok"])
    for _ in range(2):
        client("QUEUE.DONE", *claim(take_one(client)))
    client("QUEUE.PURGE", "q", "done")
    client("QUEUE.PUT", "q", "y" * 65000)
    limits = Http(server).get("/v1/server").json["limits"]
    equal((limits["items"], limits["item_bytes"]), (3, 65536))


def bury_all(client, names, reason="r"):
    for name in names:
        client("QUEUE.PUT", "q", "x", "ID", name, "GROUP", name[0])
        client("QUEUE.BURY", *claim(take_one(client)), "REASON", "%s %s" % (reason, name))


def sweep(client, *words):
    answer = client(*words)
    equal(answer["cursor"] is None, answer["more"] == 0)
    del answer["cursor"]
    return answer


def test_the_dead_come_back():
    client = Server().resp(3)
    bury_all(client, ["a1", "a2", "b1", "b2", "c1"])
    equal(counts(client), {"dead": 5})
    equal(sweep(client, "QUEUE.REDRIVE", "q", "GROUP", "a", "LIMIT", 1), {"count": 1, "more": 1})
    equal(sweep(client, "QUEUE.REDRIVE", "q", "GROUP", "a"), {"count": 1, "more": 0})
    equal(sweep(client, "QUEUE.REDRIVE", "q", "REASON", "r b2"), {"count": 1, "more": 0})
    equal([i["id"] for i in take(client, "q", "COUNT", 9)], ["a1", "b2", "a2"])
    equal(sweep(client, "QUEUE.REDRIVE", "q", "INTERVAL", 60000), {"count": 2, "more": 0})
    equal(counts(client), {"taken": 3, "ready": 1, "delayed": 1})
    equal(sweep(client, "QUEUE.REDRIVE", "q"), {"count": 0, "more": 0})
    equal(refused(client, "QUEUE.REDRIVE", "none").word, "NOTFOUND")


def test_purges():
    client = Server().resp(3)
    bury_all(client, ["a1", "b1"])
    for number in range(5):
        client("QUEUE.PUT", "q", "x", "GROUP", "ab"[number % 2])
    equal(sweep(client, "QUEUE.PURGE", "q", "ready", "GROUP", "b", "LIMIT", 1),
          {"count": 1, "more": 1})
    equal(sweep(client, "QUEUE.PURGE", "q", "READY"), {"count": 4, "more": 0})
    equal(sweep(client, "QUEUE.PURGE", "q", "dead", "REASON", "r a"), {"count": 1, "more": 0})
    equal(refused(client, "QUEUE.PURGE", "q", "taken").word, "INVALID")
    equal(counts(client), {"dead": 1})


def test_sweeps_go_on_where_they_were():
    client = Server().resp(3)
    bury_all(client, ["a1", "b1", "a2", "b2", "a3"])
    first = client("QUEUE.REDRIVE", "q", "GROUP", "a", "LIMIT", 1, "INTERVAL", 60000)
    equal((first["count"], first["more"]), (1, 1))
    # What dies in between is left for the next time.
    client("QUEUE.BURY", *claim(take_one(client)))
    second = client("QUEUE.REDRIVE", "q", "GROUP", "a", "LIMIT", 5, "INTERVAL", 60000,
                    "CURSOR", first["cursor"])
    equal((second["count"], second["more"], second["cursor"]), (2, 0, None))
    late = client("QUEUE.LIST", "q", "delayed")["items"]
    equal([item["id"] for item in late], ["a2", "a3"])
    assert 50000 < late[1]["run_at_ms"] - late[0]["run_at_ms"] < 70000
    equal([item["id"] for item in client("QUEUE.LIST", "q", "dead")["items"]], ["b1", "b2", "a1"])
    purged = client("QUEUE.PURGE", "q", "dead", "LIMIT", 1)
    purged = client("QUEUE.PURGE", "q", "dead", "CURSOR", purged["cursor"])
    equal((purged["count"], purged["more"]), (2, 0))
    for bad in ("x", "1-2-x", "0-1-1-a", "1-0-1-a", "1-1-1"):
        equal(refused(client, "QUEUE.PURGE", "q", "dead", "CURSOR", bad).word, "INVALID")


# ------------------------------------------------------------------ bad input


BAD = [
    (["QUEUE.PUT", "", "b"], "queue must have 1 to 255 bytes"),
    (["QUEUE.PUT", "q" * 256, "b"], "queue must have 1 to 255 bytes"),
    (["QUEUE.PUT", "q\n", "b"], "without control characters"),
    (["QUEUE.PUT", "q"], "usage: QUEUE.PUT queue body"),
    (["QUEUE.PUT", "q", "b", "ID", ""], "ID must have 1 to 255 bytes"),
    (["QUEUE.PUT", "q", "b", "ID", "i" * 256], "ID must have 1 to 255 bytes"),
    (["QUEUE.PUT", "q", "b", "ID", "_1"], "made ids"),
    (["QUEUE.PUT", "q", "b", "ID", b"\xff"], "ID must be UTF-8"),
    (["QUEUE.PUT", "q", "b", "ID"], "ID is missing"),
    (["QUEUE.PUT", "q", "b", "GROUP", "g" * 256], "GROUP must have 0 to 255 bytes"),
    (["QUEUE.PUT", "q", "b", "HEADERS", "h" * 4097], "HEADERS must have 0 to 4096 bytes"),
    (["QUEUE.PUT", "q", "b", "HEADERS", b"\xff"], "HEADERS must be UTF-8"),
    (["QUEUE.PUT", "q", "b", "PRIORITY", 10], "PRIORITY must be a whole number from 0 to 9"),
    (["QUEUE.PUT", "q", "b", "PRIORITY", -1], "PRIORITY must be a whole number"),
    (["QUEUE.PUT", "q", "b", "LEASE", 99], "LEASE must be a whole number from 100 to 86400000"),
    (["QUEUE.PUT", "q", "b", "DELAY", 1, "AT", 5], "exclude each other"),
    (["QUEUE.PUT", "q", "b", "AT", 253402300800000], "AT must be a whole number"),
    (["QUEUE.PUT", "q", "b", "JITTER", 101], "JITTER must be"),
    (["QUEUE.PUT", "q", "b", "ATTEMPTS", 10001], "ATTEMPTS must be"),
    (["QUEUE.PUT", "q", "b", "LAPSES", 256], "LAPSES must be"),
    (["QUEUE.PUT", "q", "b", "UNTIL", "done"], "rules for a unique key, but none"),
    (["QUEUE.PUT", "q", "b", "UNIQUE", "k", "UNTIL", "never"], 'until must be "done" or "started"'),
    (["QUEUE.PUT", "q", "b", "UNIQUE", "k", "UNTIL", "x" * 20],
     'until must be "done" or "started"'),
    (["QUEUE.PUT", "q", "b", "UNIQUE", "k", "UNTIL", "done", "WINDOW", 5], "not both"),
    (["QUEUE.PUT", "q", "b", "UNIQUE", ""], "UNIQUE must have 1 to 255 bytes"),
    (["QUEUE.PUT", "q", "b", "nonsense"], "unexpected argument 'nonsense'"),
    (["QUEUE.PUT", "q", "b", "AND"], "body is missing"),
    (["QUEUE.TAKE", "q", ""], "worker must have 1 to 255 bytes"),
    (["QUEUE.TAKE", "q", "w", "COUNT", 0], "COUNT must be a whole number from 1 to 1024"),
    (["QUEUE.TAKE", "q", "w", "WAIT", 86400001], "WAIT must be"),
    (["QUEUE.TAKE", "q", "w", "AND"], "queue is missing"),
    (["QUEUE.TAKE", "q", "w", "LEASE", 1], "LEASE must be"),
    (["QUEUE.EXTEND", "q", "x", 0], "token must be"),
    (["QUEUE.EXTEND", "q", "x", "abc"], "token must be"),
    (["QUEUE.EXTEND", "q", "x", 5, "AND", "q"], "id is missing"),
    (["QUEUE.EXTEND", "q", "x", 5, "PROGRESS", "p" * 256], "PROGRESS must have 0 to 255 bytes"),
    (["QUEUE.PROGRESS", "q", "x", 5], "usage"),
    (["QUEUE.FAIL", "q", "x", 5, "REASON", "r" * 256], "REASON must have 1 to 255 bytes"),
    (["QUEUE.FAIL", "q", "x", 5, "DELAY", 2592000001], "DELAY must be"),
    (["QUEUE.LIST", "q", "nonsense"], 'state must be "delayed", "ready"'),
    (["QUEUE.LIST", "q", "dead", "LIMIT", 1001], "LIMIT must be a whole number from 1 to 1000"),
    (["QUEUE.PEEK", "q", "ID", "x", "STATE", "dead"], "exclude each other"),
    (["QUEUE.STAT", "q", "ID", "x", "GROUP", "g"], "exclude each other"),
    (["QUEUE.PURGE", "q", "all"], 'state must be "delayed", "ready"'),
    (["QUEUE.LIMIT", "q", "WEIGHT", 0], "WEIGHT must be"),
    (["QUEUE.LIMIT", "q", "BURST", 0], "BURST must be"),
    (["QUEUE.LIMIT", "q", "RATE", 1], "a rate is a count and the time"),
    (["QUEUE.AWAIT", "q", "x", "WAIT", "soon"], "WAIT must be"),
    (["QUEUE.NONSENSE"], "unknown command"),
]


def test_bad_input_changes_nothing():
    client = Server().resp(3)
    for words, text in BAD:
        error = refused(client, *words)
        if text != "unknown command":
            equal((words, error.word), (words, "INVALID"))
        contains(str(error), text)
    equal(client("QUEUE.QUEUES")["queues"], [])


def test_commands_are_documented():
    client = Server().resp(3)
    docs = client("COMMAND", "DOCS", "queue.put", "QUEUE.TAKE")
    equal(docs["queue.put"]["group"], "queue")
    flags = {c[0]: c[2] for c in client("COMMAND", "INFO", "QUEUE.TAKE", "QUEUE.LIST")}
    equal(flags, {"queue.take": ["write", "blocking"], "queue.list": ["readonly"]})


# ------------------------------------------------------------------ what lasts


def test_a_restart_keeps_everything():
    server = Server()
    client = server.resp(3)
    for number in range(30):
        client("QUEUE.PUT", "q", b"\x00\xff%d" % number, "ID", "n%d" % number, "GROUP", "g")
    client("QUEUE.LIMIT", "q", "GROUP", "g", "RUNNING", 9)
    client("QUEUE.PAUSE", "paused")
    taken = take(client, "q", "COUNT", 3)
    client("QUEUE.DONE", *claim(taken[0]), "RESULT", "r")
    client("QUEUE.FAIL", *claim(taken[1]), "DELAY", 60000, "REASON", "why")
    for is_orderly in (True, False):
        before = [client("QUEUE.STAT", "q", "ID", "n%d" % n) for n in range(30)]
        if is_orderly:
            equal(server.stop(), 0)
        else:
            server.kill()
        server.start()
        client = server.resp(3)
        after = [client("QUEUE.STAT", "q", "ID", "n%d" % n) for n in range(30)]
        for item in before + after:
            item.pop("remaining_ms", None)
        equal(after, before)
        equal(client("QUEUE.STAT", "q", "GROUP", "g")["limits"]["running_max"], 9)
        equal(client("QUEUE.STAT", "paused")["paused"], 1)
    # The worker goes on with the lease that it had.
    equal(client("QUEUE.EXTEND", *claim(taken[2]))["outcome"], "ok")
    equal(client("QUEUE.DONE", *claim(taken[2]))["state"], "done")
    equal(client("QUEUE.PUT", "q", "b", "ID", "n0")["state"], "done")
    equal(take_one(client)["body"], b"\x00\xff3")


def test_who_waits_is_told_that_the_server_stops():
    server = Server()
    client = server.resp(3)
    taker, waiter = server.resp(3), server.resp(3)
    client("QUEUE.PUT", "other", "b", "ID", "x")
    taker.send("QUEUE.TAKE", "q", "w", "WAIT", 20000)
    waiter.send("QUEUE.AWAIT", "other", "x", "WAIT", 20000)
    wait_for(lambda: Http(server).get("/v1/server").json["takers"] == 2, "both to wait")
    server.process.terminate()
    for one in (taker, waiter):
        try:
            raise AssertionError("answered: %r" % one.read())
        except RespError as error:
            equal(error.word, "DRAINING")
    equal(server.stop(), 0)


def test_events_tell_of_queues():
    server = Server()
    client, follower = server.resp(3), server.resp(3)
    stream = Stream(server, "?prefix=q")
    follower("EVENTS.FOLLOW", "PREFIX", "q", "TYPES", "put,taken,done,paused")
    client("QUEUE.PUT", "q", "body", "ID", "x", "GROUP", "g")
    item = take_one(client)
    client("QUEUE.EXTEND", *claim(item), "PROGRESS", "half")
    client("QUEUE.DONE", *claim(item), "RESULT", "four")
    client("QUEUE.PAUSE", "q", "GROUP", "g")
    events = [follower.read()[1] for _ in range(4)]
    equal([e["kind"] for e in events], ["put", "taken", "done", "paused"])
    equal((events[0]["id"], events[0]["group"], events[0]["body_bytes"]), ("x", "g", 4))
    equal((events[1]["worker"], events[1]["token"], events[1]["lease_ms"]),
          ("w", item["token"], 30000))
    equal((events[2]["result_bytes"], events[3]["group"]), (4, "g"))
    seen = [stream.event()[1] for _ in range(5)]
    equal([e["kind"] for e in seen], ["put", "taken", "progressed", "done", "paused"])
    equal((seen[2]["reason"], seen[3]["result_bytes"]), ("half", 4))
    stream.close()


def test_a_queue_does_not_disturb_an_election_of_its_name():
    server = Server()
    client, watcher = server.resp(3), server.resp(3)
    watcher.send("ELECT.OBSERVE", "n", "SINCE", 0, "WAIT", 20000)
    time.sleep(0.05)
    client("QUEUE.PUT", "n", "b")
    assert watcher.is_silent()
    client("ELECT.CAMPAIGN", "n", "me", 5000)
    equal(watcher.read()["leader"]["owner"], "me")
    equal(client("QUEUE.STAT", "n")["counts"]["ready"], 1)


def test_numbers_are_told():
    server = Server()
    client = server.resp(3)
    for number in range(3):
        client("QUEUE.PUT", "q", "12345", "GROUP", str(number))
    client("QUEUE.FAIL", *claim(take_one(client)), "DELAY", 0)
    take_one(client)
    told = Http(server).get("/v1/server").json
    equal((told["queues"], told["groups"], told["items"], told["takers"]), (1, 3, 3, 0))
    equal((told["item_bytes"], told["limits"]["batch"]), (15, 1024))
    text = Http(server).get("/metrics").body.decode()
    for line in ('tenure_items{state="ready"} 2', 'tenure_items{state="taken"} 1',
                 "tenure_queues 1", "tenure_queue_groups 3", "tenure_item_bytes 15",
                 'tenure_events_total{kind="put"} 3', "tenure_item_wait_seconds_count 2",
                 "tenure_item_run_seconds_count 1"):
        contains(text, line + "\n")


def test_who_does_not_read_is_not_written_to_for_ever():
    server = Server()
    client = server.resp(3)
    client("QUEUE.PUT", "q", b"x" * BODY_MAX)
    greedy = socket.create_connection(("127.0.0.1", server.port))
    greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    greedy.settimeout(0.3)
    request = b"*2\r\n$10\r\nQUEUE.PEEK\r\n$1\r\nq\r\n"
    try:
        for _ in range(10000):
            greedy.sendall(request * 1000)
        raise AssertionError("310 MB of requests were taken")
    except socket.timeout:
        pass
    with open("/proc/%d/status" % server.pid, encoding="ascii") as file:
        size_kb = int(file.read().split("VmRSS:")[1].split()[0])
    assert size_kb < 100 * 1024, size_kb
    equal(client("PING"), "PONG")
    greedy.close()


def test_many_workers_share_a_queue():
    server = Server()
    client = server.resp(3)
    done, faults = [], []

    def work():
        worker = server.resp(3)
        try:
            while True:
                items = take(worker, "q", "COUNT", 3, "WAIT", 1000)
                if not items:
                    return
                for item in items:
                    done.append(item["body"])
                    worker("QUEUE.DONE", *claim(item))
        except Exception as error:  # pylint: disable=broad-except
            faults.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for number in range(300):
        client("QUEUE.PUT", "q", str(number), "GROUP", str(number % 7))
    for thread in threads:
        thread.join(30)
    equal(faults, [])
    equal(sorted(done, key=int), [str(number) for number in range(300)])
    equal(counts(client), {})


run()
