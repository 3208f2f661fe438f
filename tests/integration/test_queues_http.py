#!/usr/bin/python3
"""Queues over HTTP: what the schema of the answers does not say (test_openapi.py has that)."""

import base64
import json
import threading
import time
import urllib.parse

from http_client import Http, exchange
from lib import Server, cleanup, contains, equal, run, wait_for

OCTETS = {"Content-Type": "application/octet-stream"}
LINES = {"Content-Type": "application/x-ndjson"}


def open_http(server):
    http = Http(server)
    cleanup(http.close)
    return http


def post(http, verb, queue="q", **members):
    answer = http("POST", "/v1/queues/%s/%s" % (queue, verb), members)
    if answer.status >= 300:
        raise AssertionError("%s: %r" % (verb, answer))
    return answer.json


def take_one(http, queue="q", **members):
    items = post(http, "take", queue, worker="w", **members)["items"]
    equal(len(items), 1)
    return items[0]


def claim(item):
    return {"id": item["id"], "token": item["token"]}


def state(http, item_id, queue="q"):
    return http.get("/v1/queues/%s/stat?id=%s" % (queue, item_id)).json.get("state")


def in_background(function, *arguments, **options):
    """Start a call; what it returns is what join() gives."""
    result = []
    thread = threading.Thread(target=lambda: result.append(function(*arguments, **options)))
    thread.start()

    def join():
        thread.join(20)
        assert result, "the call in the background failed"
        return result[0]

    return join


def test_bytes_come_back_as_they_were():
    server = Server()
    http = open_http(server)
    every = bytes(range(256))
    for body in (every, b"", b"text", "tëxt".encode(), b"nul\0", b'{"id": 5}', b"\xed\xa0\x80"):
        path = "/v1/queues/q/put"
        equal(http("POST", path, body, OCTETS).status, 201)
        post(http, "put", body_base64=base64.b64encode(body).decode())
        for _ in range(2):
            peeked = http.get("/v1/queues/q/peek").json
            item = take_one(http)
            for shown in (peeked, item):
                is_text = "body" in shown
                equal(is_text, "body_base64" not in shown)
                got = shown["body"].encode() if is_text else base64.b64decode(shown["body_base64"])
                equal(got, body)
            post(http, "done", **claim(item))
    post(http, "put", id="r")
    item = take_one(http)
    query = urllib.parse.urlencode(claim(item))
    equal(http("POST", "/v1/queues/q/done?" + query, every, OCTETS).status, 200)
    shown = http.get("/v1/queues/q/await?id=r").json
    equal(base64.b64decode(shown["result_base64"]), every)


def test_both_protocols_are_one():
    server = Server()
    http, client = open_http(server), server.resp(3)
    http("POST", "/v1/queues/a/b/put?id=x&group=g&priority=4&headers=h", b"\xff", OCTETS)
    item = client("QUEUE.TAKE", "a/b", "w")[0]
    equal((item["body"], item["group"], item["priority"], item["headers"]), (b"\xff", "g", 4, "h"))
    answer = post(http, "done", "a/b", id="x", token=item["token"], result="fine")
    equal(answer["state"], "done")
    equal(client("QUEUE.STAT", "a/b", "ID", "x")["result"], "fine")


def test_names_keep_their_slashes():
    server = Server()
    http = open_http(server)
    for name in ("a/put", "put/put", "take", "a%2Fput", "ä é", "a//b"):
        path = "/v1/queues/%s" % urllib.parse.quote(name, safe="/%")
        equal(http("POST", path + "/put", {"body": "b"}).status, 201)
        equal(http.get(path + "/stat").json["name"], urllib.parse.unquote(name))
    names = {q["name"] for q in http.get("/v1/queues").json["queues"]}
    equal(names, {"a/put", "put/put", "take", "ä é", "a//b"})
    for path in ("/v1/queues/put", "/v1/queues//put"):
        answer = http("POST", path, {})
        equal((answer.status, answer.json["field"]), (400, "name"))
    equal(http.get("/v1/queues/a").status, 404)
    answer = http("DELETE", "/v1/queues/a/stat")
    equal((answer.status, answer.headers["allow"]), (405, "GET, HEAD"))


def test_a_batch_is_lines():
    server = Server()
    http = open_http(server)
    lines = [{"id": "i%d" % i, "body": "line\n%d \\u" % i, "priority": i % 10} for i in range(1000)]
    text = "\n".join(json.dumps(line) for line in lines).encode()
    answer = http("POST", "/v1/queues/q/put", text, LINES)
    equal((answer.status, len(answer.json["items"])), (201, 1000))
    equal(http("POST", "/v1/queues/q/put", text + b"\r\n\r\n", LINES).status, 200)
    equal(http.get("/v1/queues/q/peek?id=i7").json["body"], "line\n7 \\u")
    for bad, where in ((b'{"id":"x"}\n\n{"id":5}', 3), (b"nonsense", 1), (b"{}\n[]", 2),
                       (b'{"body":"a","body_base64":"YQ=="}', 1), (b'{"delay_ms":-1}', 1),
                       (b'{"until":"done"}', 1)):
        answer = http("POST", "/v1/queues/none/put", bad, LINES)
        equal((bad, answer.status, answer.json["line"]), (bad, 400, where))
    for bad in (b"\n\n", b"{}\n" * 1025):
        equal(http("POST", "/v1/queues/none/put", bad, LINES).status, 400)
    equal(http("POST", "/v1/queues/none/put?id=x", b"{}", LINES).status, 400)
    equal(http.get("/v1/queues/none/stat").status, 404)
    many = http("POST", "/v1/queues/many/put", b"{}\n" * 1024, LINES).json["items"]
    equal(len({item["id"] for item in many}), 1024)
    refused = http("POST", "/v1/queues/q/put", b'{"id":"_1"}\n{"id":"i1"}', LINES)
    equal([i["outcome"] for i in refused.json["items"]], ["invalid", "ok"])


def test_bodies_of_the_wrong_kind_are_refused():
    server = Server()
    http = open_http(server)
    for path, kind in (("put", "text/plain"), ("put", "application/x-www-form-urlencoded"),
                       ("take", "application/octet-stream"), ("take", "application/x-ndjson"),
                       ("put", "")):
        answer = http("POST", "/v1/queues/q/" + path, b"{}", {"Content-Type": kind})
        equal((path, kind, answer.status), (path, kind, 415))
    large = open_http(server)
    answer = large("POST", "/v1/queues/q/put", b"x" * ((1 << 20) + 1), OCTETS)
    equal((answer.status, answer.json["code"]), (413, "too_large"))
    equal(http("POST", "/v1/queues/q/put?id=x", b"x" * (1 << 20), OCTETS).status, 201)
    equal(len(take_one(http)["body"]), 1 << 20)
    for text in ("A", "AB==", "A===", "QQ", "QQ=", "QQ==\n", "Q Q=", "====", "QUI=QUI="):
        answer = http.post("/v1/queues/q/put", body_base64=text)
        equal((text, answer.status, answer.json.get("field")), (text, 400, "body_base64"))


def test_a_take_waits_and_hangs_up():
    server = Server()
    http, other = open_http(server), open_http(server)
    begun = time.monotonic()
    equal(post(http, "take", worker="w", wait_ms=60)["items"], [])
    assert time.monotonic() - begun >= 0.055
    waiting = in_background(post, other, "take", "low", worker="w", wait_ms=20000, names=["q"])
    wait_for(lambda: http.get("/v1/queues/q/stat").json.get("taker_count") == 1, "the wait")
    post(http, "put", body="news")
    equal(waiting()["items"][0]["body"], "news")
    connection = server.connect()
    text = b'{"worker":"gone","wait_ms":20000}'
    connection.sendall(b"POST /v1/queues/q/take HTTP/1.1\r\nHost: localhost\r\n"
                       b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                       % (len(text), text))
    wait_for(lambda: http.get("/v1/queues/q/stat").json["taker_count"] == 1, "the wait")
    connection.close()
    wait_for(lambda: http.get("/v1/server").json["takers"] == 0, "its end")
    post(http, "put", id="kept", body="kept")
    equal(state(http, "kept"), "ready")


def test_an_end_is_awaited():
    server = Server()
    http, other = open_http(server), open_http(server)
    post(http, "put", id="x", retention_ms=0)
    waiting = in_background(other.get, "/v1/queues/q/await?id=x&wait_ms=20000")
    wait_for(lambda: http.get("/v1/server").json["takers"] == 1, "the wait")
    post(http, "done", **claim(take_one(http)), result="42")
    answer = waiting().json
    equal((answer["state"], answer["result"]), ("done", "42"))
    equal(http.get("/v1/queues/q/await?id=x").status, 404)
    post(http, "put", id="y")
    equal(http.get("/v1/queues/q/await?id=y&wait_ms=30").json["state"], "ready")


def test_the_end_of_what_is_purged_is_not_there():
    server = Server()
    http, other = open_http(server), open_http(server)
    post(http, "put", id="x")
    waiting = in_background(other.get, "/v1/queues/q/await?id=x&wait_ms=20000")
    wait_for(lambda: http.get("/v1/server").json["takers"] == 1, "the wait")
    equal(post(http, "purge", state="ready"), {"count": 1, "more": False, "cursor": None})
    equal((waiting().status, waiting().json["code"]), (404, "not_found"))


def test_sweeps_go_on_where_they_were():
    server = Server()
    http = open_http(server)
    for name in ("a", "b", "c"):
        post(http, "put", id=name)
        post(http, "bury", **claim(take_one(http)))
    first = post(http, "redrive", limit=1)
    equal((first["count"], first["more"]), (1, True))
    second = post(http, "redrive", cursor=first["cursor"])
    equal(second, {"count": 2, "more": False, "cursor": None})
    answer = http("POST", "/v1/queues/q/redrive", {"cursor": "nonsense"})
    equal((answer.status, answer.json["code"]), (400, "invalid"))


def lines(*objects):
    return b"\n".join(json.dumps(one).encode() for one in objects)


def test_an_item_is_done_together_with_its_effect():
    server = Server()
    http = open_http(server)
    token = http.post("/v1/locks/l", owner="me", ttl_ms=60000).json["token"]
    http("PUT", "/v1/state/text", {"value": "no number"})
    post(http, "put", id="i")
    item = claim(take_one(http))
    guard = {"guard_lock": "l", "guard_token": token}
    write = {"then": "set", "name": "a", "value_base64": base64.b64encode(b"\0").decode()}
    path = "/v1/queues/q/done"

    def refusal(*parts):
        answer = http("POST", path, lines({**item, "result": "r"}, *parts), LINES)
        equal(state(http, "i"), "taken")
        equal(http.get("/v1/state/a").status, 404)
        told = answer.json
        return answer.status, told["code"], told.get("part"), told.get("number"), told.get("name")

    stale = {"guard_lock": "l", "guard_token": token - 1}
    unknown = {"guard_lock": "unknown", "guard_token": token}
    equal(refusal(guard, stale, write), (412, "stale_token", "guard", 2, "l"))
    equal(refusal(unknown, write), (404, "not_found", "guard", 1, "unknown"))
    equal(refusal({"if": "present", "name": "gone"}, write), (412, "mismatch", "if", 1, "gone"))
    equal(refusal(write, {"then": "increment", "name": "text", "by": 1}),
          (400, "invalid", "then", 2, "text"))
    answer = http("POST", path, lines(item, {"if": "version", "name": "text", "version": 9}), LINES)
    equal(answer.json["register"]["value"], "no number")
    answer = http("POST", path, lines(item, write, {"then": "set"}), LINES)
    equal((answer.status, answer.json["line"], answer.json["field"]), (400, 3, "name"))
    answer = http("POST", path, lines(item, {"result": "r"}), LINES)
    equal((answer.status, answer.json["line"], answer.json["field"]), (400, 2, "result"))
    answer = http("POST", path, lines({"id": "i"}, write), LINES)
    equal((answer.status, answer.json["field"]), (400, "token"))
    many = [{"then": "set", "name": "n%d" % n} for n in range(129)]
    answer = http("POST", path, lines(item, *many), LINES)
    equal((answer.status, "128 operations" in answer.json["detail"]), (400, True))
    equal(state(http, "i"), "taken")

    whole = lines({**item, "result": "r"}, guard, {"if": "absent", "name": "a"}, write,
                  {"then": "rank_add", "name": "top", "member": "ann", "score": 7.5},
                  {"else": "get", "name": "a"})
    done = http("POST", path, whole, LINES).json
    version = http.get("/v1/state/a").json["version"]
    equal((done["id"], done["state"], done["held"], done["repeat"]), ("i", "done", True, False))
    equal(done["results"], [{"name": "a", "version": version, "value_base64": "AA=="},
                            {"name": "top", "changed": True, "score": 7.5}])
    equal(http.get("/v1/queues/q/await?id=i").json["result"], "r")
    again = http("POST", path, whole, LINES).json
    equal((again["repeat"], "held" in again, "results" in again), (True, False, False))
    equal(http.get("/v1/state/a").json["version"], version)
    late = http("POST", path, lines({"id": "i", "token": item["token"] - 1}, write), LINES)
    equal((late.status, late.json["code"], late.json["state"]), (410, "lost", "done"))
    # Id and token may be in the query, as they are with a body of bytes.
    post(http, "put", id="j")
    token = take_one(http)["token"]
    answer = http("POST", path + "?id=j&token=%d" % token, b"{}\n" + lines(write), LINES)
    equal((answer.status, answer.json["held"]), (200, True))


def test_lost_leases_are_told_apart():
    server = Server()
    http = open_http(server)
    post(http, "put", id="x", lease_ms=100, lapses_max=5)
    late = take_one(http)
    wait_for(lambda: state(http, "x") == "ready", "the lapse")
    answer = http.post("/v1/queues/q/done", **claim(late))
    equal((answer.status, answer.json["code"], answer.json["state"]), (410, "lost", "ready"))
    new = take_one(http, lease_ms=20000)
    answer = http.post("/v1/queues/q/extend", **claim(late))
    equal((answer.json["state"], answer.json["token"]), ("taken", new["token"]))
    contains(answer.json["detail"], "taken by w")
    answer = http.post("/v1/queues/q/fail", id="none", token=5)
    equal((answer.status, answer.json["state"], answer.json["token"]), (410, None, None))
    etag = {"If-Match": '"%d"' % new["token"]}
    equal(http("POST", "/v1/queues/q/extend", {"id": "x"}, etag).status, 200)
    equal(http("POST", "/v1/queues/q/done", {"id": "x"}, etag).json["state"], "done")


def test_pages_of_another_site_are_refused():
    server = Server()
    http = open_http(server)
    for verb, body in (("put", b""), ("pause", b""), ("redrive", b"")):
        marks = {"Sec-Fetch-Site": "cross-site"}
        answer = http("POST", "/v1/queues/q/" + verb, body, {**marks, **OCTETS})
        equal(answer.status, 403)
    equal(http.get("/v1/queues").json["queues"], [])


def test_chunked_bodies_are_put_whole():
    server = Server()
    http = open_http(server)
    body = b"\x00\xff" * 70000
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part)
                      for part in (body[at:at + 9999] for at in range(0, len(body), 9999)))
    answer = exchange(server, b"POST /v1/queues/q/put?id=c HTTP/1.1\r\nHost: localhost\r\n"
                      b"Content-Type: application/octet-stream\r\nConnection: close\r\n"
                      b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
    contains(answer, b"201 Created")
    equal(base64.b64decode(take_one(http)["body_base64"]), body)


run()
