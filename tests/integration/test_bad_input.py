#!/usr/bin/python3
"""What programs get wrong about queues and shared state, over each way in: RESP, HTTP and `tenure`.
It is refused in words that say what to do, and nothing has changed.

Of the same kind, elsewhere: test_work.py has commands that do not exist and items that kill their
workers under `tenure work`, test_disk.py the disk that fills up in the middle of a take.
"""

import base64
import json
import os

from cli import tenure
from http_client import Http
from lib import Server, cleanup, contains, equal, pairs, refused, run, scratch, wait_for

OCTETS = {"Content-Type": "application/octet-stream"}
LINES = {"Content-Type": "application/x-ndjson"}
MIB = 1 << 20


class Ways:
    """A server, and the three ways in."""

    def __init__(self, *options):
        self.server = Server(*options)
        self.resp = self.server.resp(3)
        self.http = Http(self.server)
        cleanup(self.http.close)

    def refused_by_resp(self, word, text, *words):
        error = refused(self.resp, *words)
        equal((words[:3], error.word), (words[:3], word))
        contains(str(error), text)

    def refused_by_http(self, status, code, method, path, body=None, headers=None):
        answer = self.http(method, path, body, headers)
        equal((path, answer.status, answer.json["code"]), (path, status, code))
        return answer.json

    def refused_by_tenure(self, code, text, *words, **options):
        found, out, err = tenure(self.server, *words, **options)
        equal((words[:3], found, out), (words[:3], code, ""))
        contains(err, text)

    def post(self, path, **members):
        answer = self.http("POST", path, members)
        assert answer.status < 300, answer
        return answer.json

    def is_empty(self):
        equal(self.resp("QUEUE.QUEUES")["queues"], [])
        equal(self.resp("STATE.LIST")[1], [])


def lines(*objects):
    return b"\n".join(json.dumps(one).encode() for one in objects)


def test_a_body_over_the_limit():
    ways = Ways()
    large = b"x" * (MIB + 1)
    for words in (["QUEUE.PUT", "q", large], ["STATE.SET", "a", large], ["PUBLISH", "c", large]):
        other = ways.server.resp()
        error = refused(other, *words)
        contains(str(error), "Protocol error")
        assert other.is_closed(), "what stands behind it is not looked at"
    for method, path in (("POST", "queues/q/put"), ("PUT", "state/a"), ("POST", "channels/c")):
        http = Http(ways.server)
        answer = http(method, "/v1/" + path, large, OCTETS)
        equal((path, answer.status, answer.json["code"]), (path, 413, "too_large"))
        http.close()
    text = base64.b64encode(large).decode()
    for method, path, member in (("POST", "queues/q/put", "body"), ("PUT", "state/a", "value"),
                                 ("POST", "channels/c", "message")):
        ways.refused_by_http(413, "too_large", method, "/v1/" + path, {member + "_base64": text})
    path = os.path.join(scratch(), "body")
    with open(path, "wb") as file:
        file.write(large)
    ways.refused_by_tenure(66, "more than 1048576 bytes", "queue", "put", "q", stdin=large)
    ways.refused_by_tenure(66, "more than 1048576 bytes", "queue", "put", "-f", path, "q")
    ways.refused_by_tenure(66, "more than 1048576 bytes", "set", "a", stdin=large)
    ways.is_empty()
    # One byte less is taken by each, and a value does not grow past it.
    ways.resp("QUEUE.PUT", "q", large[1:])
    ways.http("POST", "/v1/queues/q/put", large[1:], OCTETS)
    equal(tenure(ways.server, "queue", "put", "q", stdin=large[1:])[0], 0)
    equal(ways.resp("QUEUE.STAT", "q")["counts"]["ready"], 3)
    ways.resp("STATE.SET", "a", large[1:])
    ways.refused_by_resp("TOOLARGE", "up to 1048576 bytes", "STATE.APPEND", "a", "x")
    ways.refused_by_http(413, "too_large", "POST", "/v1/state/a", {"value": "x"})


def test_a_result_over_the_limit():
    ways = Ways()
    ways.resp("QUEUE.PUT", "q", "b", "ID", "i")
    [item] = ways.resp("QUEUE.TAKE", "q", "w")
    large = "r" * 65537
    ways.refused_by_resp("TOOLARGE", "up to 65536 bytes",
                         "QUEUE.DONE", "q", "i", item["token"], "RESULT", large)
    ways.refused_by_http(413, "too_large", "POST",
                         "/v1/queues/q/done?id=i&token=%d" % item["token"], large.encode(), OCTETS)
    ways.refused_by_tenure(66, "more than 65536 bytes", "queue", "done", "--token",
                           item["token"], "--result", "-", "q", "i", stdin=large.encode())
    equal(ways.resp("QUEUE.STAT", "q", "ID", "i")["state"], "taken")


def test_an_unknown_state():
    ways = Ways()
    ways.refused_by_resp("INVALID", 'state must be "delayed"', "QUEUE.LIST", "q", "busy")
    ways.refused_by_resp("INVALID", 'state must be "delayed"', "QUEUE.PEEK", "q", "STATE", "busy")
    ways.refused_by_resp("INVALID", 'state must be "delayed"', "QUEUE.PURGE", "q", "busy")
    for method, path, body in (("GET", "list?state=busy", None), ("GET", "peek?state=busy", None),
                               ("POST", "purge", {"state": "busy"})):
        told = ways.refused_by_http(400, "invalid", method, "/v1/queues/q/" + path, body)
        equal(told["field"], "state")
        contains(told["detail"], '"delayed"')
    ways.refused_by_tenure(64, "none of delayed", "queue", "ls", "--state", "busy", "q")
    ways.refused_by_tenure(64, "none of delayed", "queue", "purge", "--state", "busy", "--yes", "q")
    ways.is_empty()


def test_a_cron_line_that_never_fires():
    ways = Ways()
    for line in ("0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "0 0 32 1 *", "* * * *", "@never", ""):
        error = refused(ways.resp, "QUEUE.SCHEDULE", "q", "n", line, "UTC", "once", "b")
        equal((line, error.word), (line, "INVALID"))
        wish = {"schedule": "n", "cron": line, "body": "b"}
        answer = ways.http("POST", "/v1/queues/q/schedule", wish)
        equal((line, answer.status, answer.json["code"]), (line, 400, "invalid"))
        code, out, err = tenure(ways.server, "queue", "schedule", "q", "n", line, "b")
        equal((line, code, out), (line, 64, ""))
        assert err.startswith("tenure"), err
    ways.is_empty()
    # The rarest one that does.
    made = ways.resp("QUEUE.SCHEDULE", "q", "n", "0 0 29 2 *", "UTC", "once", "b")
    equal(made["state"], "delayed")


def test_a_unique_key_that_is_taken():
    ways = Ways()
    ways.resp("QUEUE.PUT", "q", "b", "ID", "first", "UNIQUE", "k")
    # An item of its own is not put: the other one stands for it, and that is told.
    equal(ways.resp("QUEUE.PUT", "q", "b", "ID", "x", "UNIQUE", "k")["id"], "first")
    answer = ways.http("POST", "/v1/queues/q/put", {"body": "b", "id": "x", "unique": "k"})
    equal((answer.status, answer.json), (200, {"id": "first", "state": "ready", "repeat": True}))
    equal(tenure(ways.server, "queue", "put", "--unique", "k", "q", "b")[1], "first\n")
    batch = b'{"unique":"k"}\n{"unique":"other"}\n{"unique":"other"}'
    items = ways.http("POST", "/v1/queues/q/put", batch, LINES).json["items"]
    equal([items[0]["id"], items[1]["id"] == items[2]["id"]], ["first", True])
    equal(ways.resp("QUEUE.STAT", "q")["counts"]["ready"], 2)
    # One that has begun is not replaced.
    ways.resp("QUEUE.TAKE", "q", "w")
    for answer in (ways.resp("QUEUE.PUT", "q", "b", "UNIQUE", "k", "CONFLICT", "replace"),
                   ways.post("/v1/queues/q/put", unique="k", conflict="replace")):
        equal((answer["id"], answer["state"]), ("first", "taken"))
    put = ["queue", "put", "--unique", "k", "--on-conflict", "replace", "q", "b"]
    equal(tenure(ways.server, *put)[1], "first\n")


def test_a_transaction_over_its_limits():
    ways = Ways()
    sets = [word for n in range(129) for word in ("SET", "n%d" % n, "v")]
    ifs = [word for n in range(129) for word in ("IF", "ABSENT", "n%d" % n)]
    guards = ["GUARD", "l", 5] * 17
    ways.resp("QUEUE.PUT", "q", "b", "ID", "i")
    [item] = ways.resp("QUEUE.TAKE", "q", "w")
    for parts in (["THEN", *sets], [*ifs, "THEN", "GET", "a"], [*guards, "THEN", "GET", "a"]):
        text = "at most 128 operations"
        ways.refused_by_resp("INVALID", text, "STATE.TXN", *parts)
        ways.refused_by_resp("INVALID", text, "QUEUE.DONE", "q", "i", item["token"], *parts)
    for parts in ([{"then": "set", "name": "n%d" % n} for n in range(129)],
                  [{"if": "absent", "name": "n%d" % n} for n in range(129)],
                  [{"guard_lock": "l", "guard_token": 5}] * 17):
        told = ways.refused_by_http(400, "invalid", "POST", "/v1/state", lines(*parts), LINES)
        contains(told["detail"], "at most 128 operations")
        first = {"id": "i", "token": item["token"]}
        ways.refused_by_http(400, "invalid", "POST", "/v1/queues/q/done", lines(first, *parts),
                             LINES)
    equal(ways.resp("QUEUE.STAT", "q", "ID", "i")["state"], "taken")
    equal(ways.resp("STATE.LIST")[1], [])
    ways.resp("STATE.TXN", "THEN", *sets[3:])


def test_a_guard_on_an_unknown_lock():
    ways = Ways()
    text = "nobody holds this lock, and nothing is known of it"
    for words in (["STATE.SET", "a", "x"], ["STATE.GET", "a"], ["STATE.DEL", "a"],
                  ["STATE.INCR", "a"], ["STATE.APPEND", "a", "x"]):
        ways.refused_by_resp("NOTFOUND", text, *words, "GUARD", "unknown", 5)
    ways.refused_by_resp("NOTFOUND", text, "STATE.TXN", "GUARD", "unknown", 5, "THEN", "GET", "a")
    guard = {"guard_lock": "unknown", "guard_token": 5}
    for method, path, body in (("PUT", "state/a", {"value": "x"}), ("POST", "state/a", {"by": 1}),
                               ("PUT", "ranks/r", {"member": "m", "score": 1}),
                               ("POST", "ranks/r", {"member": "m", "by": 1})):
        told = ways.refused_by_http(404, "not_found", method, "/v1/" + path, {**body, **guard})
        contains(told["detail"], text)
    query = "?guard_lock=unknown&guard_token=5"
    for method, path in (("GET", "state/a"), ("DELETE", "state/a")):
        told = ways.refused_by_http(404, "not_found", method, "/v1/" + path + query)
        contains(told["detail"], text)
    for words in (["set", "a", "x"], ["get", "a"], ["del", "a"], ["incr", "a"]):
        ways.refused_by_tenure(66, "nothing is known of it", *words[:1], "--guard=unknown=5",
                               *words[1:])
    ways.is_empty()


def test_an_item_that_kills_every_worker():
    """Whoever takes it is gone: by RESP its connection ends, by HTTP it is never heard of again."""
    ways = Ways()
    ways.resp("QUEUE.PUT", "q", "poison", "ID", "p", "LAPSES", 3)
    for lapses in range(3):
        worker = ways.server.resp(3)
        [item] = worker("QUEUE.TAKE", "q", "w", "BOUND", 50, "WAIT", 5000)
        equal((item["id"], item["lapses"]), ("p", lapses))
        worker.close()
    stat = lambda: ways.http.get("/v1/queues/q/stat?id=p").json
    wait_for(lambda: stat()["state"] == "dead", "its death")
    equal((stat()["lapses"], stat()["attempts"]), (3, 0))
    ways.post("/v1/queues/r/put", id="p", body="poison", lapses_max=2, lease_ms=100)
    ways.post("/v1/queues/r/put", id="good", body="good")
    for lapses in range(2):
        take = {"worker": "w", "wait_ms": 5000, "count": 9}
        taken = {i["id"]: i for i in ways.post("/v1/queues/r/take", **take)["items"]}
        equal((taken["p"]["lapses"], "good" in taken), (lapses, lapses == 0))
        if "good" in taken:
            ways.post("/v1/queues/r/done", id="good", token=taken["good"]["token"])
    peek = lambda: json.loads(tenure(ways.server, "queue", "peek", "--json", "r", "p")[1])
    wait_for(lambda: peek()["state"] == "dead", "its death")
    # It stays for people to look at, and is not given to anybody.
    equal(ways.resp("QUEUE.TAKE", "r", "w"), [])
    equal(pairs(ways.server.resp()("QUEUE.PEEK", "r", "STATE", "dead"))["body"], "poison")
    equal(tenure(ways.server, "queue", "take", "r")[0], 75)


run()
