#!/usr/bin/python3
"""The OpenAPI document against the running server.

Every answer is checked against the schema of its operation and status; an undocumented member is a
fault.  At the end every operation and every status that the document names must have been seen.
The routes and the arguments of the source must be those of the document.
"""

import json
import os
import re
import signal
import threading
import urllib.parse

from http_client import Http, Stream, faults
from lib import ROOT, Server, cleanup, contains, equal, run, wait_for

with open(os.path.join(ROOT, "src/server/openapi.json"), encoding="utf-8") as _file:
    DOCUMENT = json.load(_file)

SEEN = set()
BODIES = {}


def operations():
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


OPERATIONS = {operation["operationId"]: (p, m, operation) for p, m, operation in operations()}


def resolve(node):
    while "$ref" in node:
        target = DOCUMENT
        for part in node["$ref"].split("/")[1:]:
            target = target[part]
        node = target
    return node


OCTETS = {"Content-Type": "application/octet-stream"}
LINES = {"Content-Type": "application/x-ndjson"}


class Api:
    """Calls operations by their id and checks what comes back."""

    def __init__(self, server):
        self.server = server
        self.http = Http(server)
        cleanup(self.http.close)

    def __call__(self, operation_id, status, name="", body=None, query=None, headers=None):
        path, method, operation = OPERATIONS[operation_id]
        path = path.replace("{name}", urllib.parse.quote(name))
        if query:
            path += "?" + urllib.parse.urlencode(query)
        answer = self.http(method.upper(), path, body, headers)
        check(operation_id, operation, answer)
        if answer.status != status:
            raise AssertionError("%s: not %d but %r" % (operation_id, status, answer))
        return answer


def check(operation_id, operation, answer):
    responses = operation["responses"]
    key = str(answer.status) if str(answer.status) in responses else "default"
    SEEN.add((operation_id, key))
    response = resolve(responses[key])
    if answer.type not in response["content"]:
        raise AssertionError("%s %d: type %r" % (operation_id, answer.status, answer.type))
    schema = response["content"][answer.type]["schema"]
    if answer.type.endswith("json"):
        found = faults(DOCUMENT, schema, answer.json)
        if found:
            raise AssertionError("%s %r: %s" % (operation_id, answer, "; ".join(found)))
        if answer.type == "application/problem+json":
            equal(answer.json["status"], answer.status)
            equal(answer.json["type"], "urn:tenure:error:" + answer.json["code"])
    for header, rule in response.get("headers", {}).items():
        value = answer.headers.get(header.lower())
        if value is None and header == "Retry-After":
            continue
        found = faults(DOCUMENT, rule["schema"], value, header)
        if found:
            raise AssertionError("%s %d: %s" % (operation_id, answer.status, "; ".join(found)))


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


def test_routes_are_those_of_the_source():
    with open(os.path.join(ROOT, "src/server/routes.c"), encoding="utf-8") as file:
        source = file.read()
    rows = re.findall(r'\{ "([^"]+)", (NULL|"[^"]*"), METHOD_([A-Z]+),', source)
    routes = {(p if tail == "NULL" else p + "{name}" + tail[1:-1], m.lower())
              for p, tail, m in rows}
    equal(routes, {(path, method) for path, method, _ in operations()})


def source_args():
    with open(os.path.join(ROOT, "src/server/args.h"), encoding="utf-8") as file:
        return re.findall(r'X\([A-Z0-9_]+,\s+"([a-z0-9_]+)"', file.read())


def body_properties(operation):
    if "requestBody" not in operation:
        return {}
    return resolve(operation["requestBody"]["content"]["application/json"]["schema"])["properties"]


def test_arguments_are_those_of_the_source():
    http = Http(Server())
    for path, method, operation in operations():
        path = path.replace("{name}", "some/name")
        queries = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "query"}
        for name in source_args():
            # A stream has no end; its header has.
            is_stream = path == "/v1/events" or (path, method) == ("/v1/channels/some/name", "get")
            word = "HEAD" if is_stream else method.upper()
            answer = http(word, path + "?%s=" % name)
            if word == "HEAD":
                is_loose = name in ("since", "previous", "pattern")
                equal((name, answer.status == 400), (name, name not in queries or is_loose))
                continue
            is_unknown = b"no such member or parameter" in answer.body
            equal((path, method, name, is_unknown), (path, method, name, name not in queries))
            if method == "get":
                continue
            answer = http(method.upper(), path, b'{"%s":{}}' % name.encode())
            is_unknown = b"no such member or parameter" in answer.body
            known = body_properties(operation)
            equal((path, method, name, is_unknown), (path, method, name, name not in known))


def examples(schema):
    """Values at the limits, and those just outside: (value, is_good)."""
    schema = resolve(schema)
    if "enum" in schema:
        yield from ((value, True) for value in schema["enum"])
        yield "nonsense", False
    elif schema["type"] == "integer":
        is_ttl = "or 0 for until it is released" in schema.get("description", "")
        low = 100 if is_ttl else schema["minimum"]
        yield low, True
        yield schema["maximum"], True
        yield low - 1, False
        yield schema["maximum"] + 1, False
        yield "7", False
        yield 7.5, False
    elif schema["type"] == "string":
        if schema["maxLength"] > 255:
            yield "", True
        yield "x" * schema["maxLength"], True
        yield "x" * (schema["maxLength"] + 1), False
        yield 7, False
        yield None, False


def test_limits_of_bodies_are_kept():
    http = Http(Server())
    for path, method, operation in operations():
        schema = operation.get("requestBody") and resolve(
            operation["requestBody"]["content"]["application/json"]["schema"])
        if not schema:
            continue
        good = {"owner": "o", "token": 1, "names": ["a/b"], "id": "i", "worker": "w",
                "state": "done", "member": "m", "score": 1.5, "by": 1, "schedule": "s",
                "cron": "@daily"}
        base = {key: good[key] for key in schema["required"]}
        for name, rule in schema["properties"].items():
            is_large = name in ("body", "value", "message")
            if resolve(rule)["type"] == "array" or name == "wait_ms" or is_large:
                continue
            if name.endswith("_base64"):  # not every text is
                continue
            for value, is_good in examples(rule):
                answer = http(method.upper(), path.replace("{name}", "a/b"), {**base, name: value})
                is_refused = answer.status == 400 and answer.json.get("field") == name
                equal((path, name, value, not is_refused), (path, name, value, is_good))


def test_limits_of_queries_are_kept():
    http = Http(Server())
    for path, method, operation in operations():
        if path == "/v1/events":
            continue
        rules = {p["name"]: p for p in operation.get("parameters", ()) if p["in"] == "query"}
        base = {"owner": "o", "token": 1, "id": "i", "state": "done", "member": "m"}
        base = {name: base[name] for name, rule in rules.items() if rule["required"]}
        for name, rule in rules.items():
            if name in ("wait_ms", "grace_ms") or resolve(rule["schema"])["type"] != "integer":
                continue
            for value, is_good in examples(rule["schema"]):
                if isinstance(value, str):
                    continue
                query = urllib.parse.urlencode({**base, name: value})
                answer = http(method.upper(), path.replace("{name}", "a/b") + "?" + query)
                if operation["operationId"].startswith("candado"):
                    equal(answer.status, 200)
                    is_refused = answer.json["error"].startswith(name)
                else:
                    is_refused = answer.status == 400 and answer.json.get("field") == name
                equal((path, name, value, not is_refused), (path, name, value, is_good))


def test_locks():
    api = Api(Server())
    hold = api("acquire", 201, "a/b c/ä", {"owner": "me", "meta": "m", "ttl_ms": 60000}).json
    equal(hold["name"], "a/b c/ä")
    api("acquire", 200, "a/b c/ä", {"owner": "me", "meta": "m", "ttl_ms": 60000})
    api("acquire", 201, "nobody", None)
    api("acquire", 423, "a/b c/ä", {"owner": "you"})
    api("acquire", 423, "a/b c/ä", {"owner": "you", "wait_ms": 10})
    api("acquire", 409, "a/b c/ä", {"owner": "you", "slots": 3})
    api("acquire", 400, "a/b c/ä", {"owner": 3})
    api("renew", 200, "a/b c/ä", {"owner": "me", "token": hold["token"]})
    api("renew", 412, "a/b c/ä", {"owner": "me", "token": hold["token"] + 1})
    api("renew", 412, "a/b c/ä", {"owner": "you", "token": hold["token"]})
    etag = {"If-Match": '"%d"' % hold["token"]}
    other = {"If-Match": '"%d"' % (hold["token"] + 1)}
    api("renew", 200, "a/b c/ä", {"owner": "me"}, headers=etag)
    api("renew", 412, "a/b c/ä", {"owner": "me", "token": hold["token"]}, headers=other)
    api("renew", 400, "a/b c/ä", {"owner": "me"}, headers={"If-Match": "*"})
    api("renew", 400, "a/b c/ä", {"owner": "me"})
    query = {"owner": "me", "token": hold["token"]}
    api("release", 412, "a/b c/ä", query=query, headers=other)
    api("inspect", 200, "a/b c/ä")
    api("inspect", 404, "free")
    api("release", 200, "a/b c/ä", query={"owner": "me", "token": hold["token"]})
    again = api("release", 200, "a/b c/ä", query={"owner": "me", "token": hold["token"]})
    equal(again.json["outcome"], "released")
    api("renew", 410, "a/b c/ä", {"owner": "me", "token": hold["token"]})
    api("history", 200, "a/b c/ä")
    api("history", 404, "free")


def test_waiters_and_slots_are_shown():
    server = Server()
    api = Api(server)
    api("acquire", 201, "pool", {"owner": "a", "slots": 2, "ttl_ms": 0})
    api("acquire", 201, "pool", {"owner": "b", "slots": 2, "ttl_ms": 60000})
    wish = {"owner": "c", "slots": 2, "wait_ms": 700, "meta": "why"}
    waiting = in_background(Api(server), "acquire", 423, "pool", wish)
    shown = wait_for(lambda: api("inspect", 200, "pool").json["waiters"], "the waiter")
    equal((shown[0]["owner"], shown[0]["meta"]), ("c", "why"))
    equal([h["slot"] for h in api("inspect", 200, "pool").json["holders"]], [0, 1])
    waiting()
    api("acquire", 201, "readers", {"owner": "a", "mode": "shared"})
    api("acquire", 409, "readers", {"owner": "a", "mode": "exclusive"})
    api("list", 200, query={"owner": "a", "state": "held"})
    page = api("list", 200, query={"limit": 1}).json
    equal(page["cursor"], "pool")
    page = api("list", 200, query={"limit": 1, "cursor": "pool"}).json
    equal(page["locks"][0]["name"], "readers")


def test_many():
    api = Api(Server())
    api("acquireAll", 201, body={"names": ["x", "y"], "owner": "me"})
    api("acquireAll", 200, body={"names": ["x", "y"], "owner": "me"})
    api("acquireAll", 423, body={"names": ["y", "z"], "owner": "you"})
    api("inspect", 404, "z")


def test_break():
    server = Server()
    api = Api(server)
    one = api("acquire", 201, "x", {"owner": "me"}).json
    api("release", 404, "free", query={"break": 1, "token": 1, "reason": "r"})
    api("release", 412, "x", query={"break": 1, "token": 1, "reason": "r"})
    wish = {"break": 1, "token": one["token"], "reason": "r"}
    answer = api("release", 200, "x", query={**wish, "grace_ms": 60000})
    equal(answer.json["outcome"], "breaking")
    answer = api("release", 200, "x", query=wish)
    equal(answer.json["outcome"], "broken")
    api("renew", 410, "x", {"owner": "me", "token": one["token"]})
    api("history", 200, "x")


def test_elections():
    server = Server()
    api = Api(server)
    leader = api("campaign", 201, "boss", {"owner": "a", "value": "here"}).json
    api("campaign", 200, "boss", {"owner": "a", "value": "here"})
    api("campaign", 423, "boss", {"owner": "b"})
    claim = {"owner": "a", "token": leader["token"]}
    api("change", 200, "boss", {**claim, "value": "there"})
    api("change", 200, "boss", claim)
    api("change", 404, "boss", {**claim, "to": "b"})
    api("change", 412, "boss", {**claim, "owner": "b"})
    api("change", 400, "boss", {**claim, "to": "b", "value": "x"})
    waiting = in_background(Api(server), "campaign", 201, "boss", {"owner": "b", "wait_ms": 20000})
    wait_for(lambda: api("observe", 200, "boss").json["candidates"], "the candidate")
    query = {"wait_ms": 20000, "since": api("observe", 200, "boss").json["seq"]}
    watching = in_background(Api(server), "observe", 200, "boss", query=query)
    api("change", 200, "boss", {**claim, "to": "b"})
    second = waiting().json
    equal(watching().json["leader"]["owner"], "b")
    api("change", 410, "boss", claim)
    query = {"owner": "b", "token": second["token"]}
    api("resign", 412, "boss", query=query, headers={"If-Match": '"1"'})
    api("resign", 200, "boss", query={"owner": "b"}, headers={"If-Match": '"%d"' % second["token"]})
    equal(api("observe", 200, "boss").json["leader"], None)


def test_queues():
    server = Server()
    api = Api(server)
    equal(api("put", 201, "a/b", {"body": "hi", "id": "x"}).json["state"], "ready")
    api("put", 200, "a/b", {"body": "hi", "id": "x"})
    api("put", 201, "a/b", b"\0\xff", {"group": "g"}, OCTETS)
    api("put", 201, "a/b", b'{"id":"l"}\n{"id":"m"}', headers=LINES)
    api("put", 200, "a/b", b'{"id":"l"}\n{"id":"m"}', headers=LINES)
    equal(api("put", 400, "a/b", b'{"id":"l"}\n{"no":1}', headers=LINES).json["line"], 2)
    api("put", 400, "a/b", {"body_base64": "A"})
    api("queues", 200)
    api("queues", 404, query={"cursor": "gone"})
    for query in ({}, {"group": "g"}, {"id": "x"}):
        api("stat", 200, "a/b", query=query)
    for query in ({"group": "no"}, {"id": "no"}):
        api("stat", 404, "a/b", query=query)
    api("peek", 200, "a/b")
    api("peek", 200, "a/b", query={"id": "x"})
    api("peek", 404, "a/b", query={"state": "dead"})
    page = api("listItems", 200, "a/b", query={"state": "ready", "limit": 2}).json
    api("listItems", 200, "a/b", query={"state": "ready", "cursor": page["cursor"]})
    taken = api("take", 200, "a/b", {"worker": "w", "count": 4}).json["items"]
    equal(len(taken), 4)
    equal(api("take", 200, "a/b", {"worker": "w", "names": ["c"]}).json["items"], [])
    first, second, third, fourth = ({"id": i["id"], "token": i["token"]} for i in taken)
    other = {"If-Match": '"1"'}
    wrong = {**first, "token": 1}
    api("extend", 200, "a/b", {**first, "progress": "half", "lease_ms": 60000})
    api("listItems", 200, "a/b", query={"state": "taken"})
    for verb in ("extend", "done", "fail", "bury"):
        api(verb, 412, "a/b", first, headers=other)
        equal(api(verb, 410, "a/b", wrong).json["state"], "taken")
        api(verb, 410, "none", wrong)
    api("done", 413, "a/b", b"r" * 65537, first, OCTETS)
    api("done", 200, "a/b", b"\0r", first, OCTETS)
    api("done", 200, "a/b", {"id": second["id"]}, headers={"If-Match": '"%d"' % second["token"]})
    api("fail", 200, "a/b", {**third, "reason": "no", "delay_ms": 60000})
    api("bury", 200, "a/b", {**fourth, "reason": "never"})
    for state in ("delayed", "done", "dead"):
        api("listItems", 200, "a/b", query={"state": state})
    api("await", 200, "a/b", query={"id": "x"})
    api("await", 404, "a/b", query={"id": "no"})
    api("kick", 200, "a/b", {"id": third["id"]})
    api("kick", 404, "a/b", {"id": "no"})
    api("cancel", 200, "a/b", {"id": third["id"], "reason": "why"})
    api("cancel", 404, "a/b", {"id": "no"})
    api("redrive", 200, "a/b", {"interval_ms": 1000})
    api("redrive", 404, "none")
    api("purge", 200, "a/b", {"state": "cancelled"})
    api("purge", 404, "none", {"state": "done"})
    for verb in ("pause", "resume", "limit"):
        api(verb, 200, "a/b", {"group": "g"})
    wish = {"schedule": "nightly", "cron": "30 4 * * *", "zone": "Europe/Berlin", "body": "b"}
    api("schedule", 201, "a/b", wish)
    for bad in ({"cron": "30 4 30 2 *"}, {"zone": "No/Where"}, {"missed": "never"}):
        api("schedule", 400, "a/b", {**wish, **bad})
    equal(api("stat", 200, "@schedules").json["counts"]["delayed"], 1)
    api("limit", 200, "small", {"size_max": 1})
    api("put", 201, "small", {"body": "1"})
    api("put", 429, "small", {"body": "2"})


def test_events():
    server = Server("--window-bytes", "65536")
    api = Api(server)
    stream = Stream(server)
    equal(stream.status, 200)
    SEEN.add(("events", "200"))
    wish = {"owner": "me", "lock_delay_ms": 100, "ttl_ms": 100}
    token = api("acquire", 201, "x", wish).json["token"]
    kinds = []
    while "available" not in kinds:
        kind, data = stream.event()
        kinds.append(kind)
        equal(faults(DOCUMENT, {"$ref": "#/components/schemas/Event"}, data), [])
        equal((data["kind"], str(data["seq"])), (kind, stream.last_id))
    equal(kinds, ["granted", "expired", "available"])
    equal(data["name"], "x")
    assert token > 0
    stream.close()
    for index in range(1200):
        token = api.http.post("/v1/locks/y", owner="me").json["token"]
        api.http.delete("/v1/locks/y", owner="me", token=token)
    api("events", 410, query={"since": 1})
    api("events", 410, query={"since": 999999})
    api("events", 400, query={"types": "nonsense"})
    api("events", 400, headers={"Last-Event-ID": "x"})


def test_server_and_probes():
    api = Api(Server())
    api("server", 200)
    equal(api("openapi", 200).json, DOCUMENT)
    api("health", 200)
    api("ready", 200)
    api("metrics", 200)
    api("root", 200)


def test_candado():
    api = Api(Server())
    api("candadoHeartbeat", 200, "x")
    api("candadoAcquire", 200, "x", query={"ttl_ms": 60000})
    api("candadoAcquire", 200, "x")
    api("candadoHeartbeat", 200, "x")
    api("candadoRelease", 200, "x", query={"owner": "other"})
    api("candadoRelease", 200, "x")
    api("candadoHeartbeat", 200, "x", query={"no": 1})
    api("candadoAcquire", 200, "x", query={"ttl_ms": 1})


def test_limits_of_the_server():
    server = Server("--max-holds", "2")
    api = Api(server)
    api("acquire", 201, "a", {"owner": "o"})
    api("acquire", 201, "b", {"owner": "o"})
    answer = api("acquire", 429, "c", {"owner": "o"})
    equal(answer.headers["retry-after"], "1")


def test_draining():
    server = Server()
    api = Api(server)
    api("acquire", 201, "x", {"owner": "a"})
    waiting = in_background(Api(server), "acquire", 503, "x", {"owner": "b", "wait_ms": 20000})
    wait_for(lambda: api("inspect", 200, "x").json["waiter_count"], "the waiter")
    # A request that has begun to arrive is still answered.
    finish = Http(server).begin(b"GET /readyz HTTP/1.1\r\n")
    api("health", 200)
    server.process.send_signal(signal.SIGTERM)
    equal(waiting().json["code"], "draining")
    answer = finish(b"Host: localhost\r\n\r\n")
    check("ready", OPERATIONS["ready"][2], answer)
    equal((answer.status, answer.json["reason"]), (503, "draining"))
    equal(server.stop(), 0)


def test_problems_that_any_operation_may_answer():
    server = Server()
    for operation_id, (path, method, operation) in OPERATIONS.items():
        http = Http(server)
        answer = http(method.upper(), path.replace("{name}", "x") + "?nonsense=1")
        check(operation_id, operation, answer)
        if operation_id.startswith("candado"):
            equal((answer.status, answer.json["success"]), (200, False))
        else:
            equal((answer.status, answer.json["field"]), (400, "nonsense"))
        marks = {"Sec-Fetch-Site": "cross-site"}
        answer = http(method.upper(), path.replace("{name}", "x"), None, marks)
        check(operation_id, operation, answer)
        equal(answer.status, 403)
        contains(answer.json["detail"], "another site")
        http.close()


def test_registers():
    api = Api(Server())
    first = api("setRegister", 200, "a/b ä", {"value": "one"}).json["version"]
    equal(api("readRegister", 200, "a/b ä").json["value"], "one")
    api("readRegister", 404, "none")
    mismatch = api("setRegister", 412, "a/b ä", {"value": "x", "absent": True}).json
    equal((mismatch["code"], mismatch["register"]["version"]), ("mismatch", first))
    second = api("setRegister", 200, "a/b ä", {"value": "two", "version": first}).json["version"]
    api("setRegister", 200, "bytes", b"\x00\xff", query={"ttl_ms": 60000}, headers=OCTETS)
    view = api("readRegister", 200, "bytes").json
    equal((view["value_base64"], view["ttl_ms"]), ("AP8=", 60000))
    equal(api("growRegister", 200, "n", {"by": -42}).json["value"], "-42")
    api("growRegister", 400, "n", {"by": 1.5})
    api("growRegister", 400, "n", {"by": 1, "value": "x"})
    equal(api("growRegister", 200, "a/b ä", {"value": "+"}).json["value"], "two+")
    api("removeRegister", 412, "a/b ä", query={"version": second})
    equal(api("removeRegister", 200, "a/b ä").json["removed"], True)
    equal(api("removeRegister", 200, "a/b ä").json["removed"], False)
    page = api("listRegisters", 200, query={"limit": 1}).json
    equal((page["registers"][0]["name"], page["next"]), ("bytes", "bytes"))
    page = api("listRegisters", 200, query={"cursor": "bytes"}).json
    equal(([r["name"] for r in page["registers"]], page["next"]), (["n"], None))
    waiting = in_background(api, "readRegister", 200, "w", query={"wait_ms": 10000, "version": 0})
    other = Api(api.server)
    other("setRegister", 200, "w", {"value": "now"})
    equal(waiting().json["register"]["value"], "now")
    equal(api("readRegister", 200, "none", query={"wait_ms": 50}).json["changed"], False)


def test_guards_and_transactions():
    api = Api(Server())
    api("setRegister", 404, "a", {"value": "x", "guard_lock": "l", "guard_token": 7})
    token = api("acquire", 201, "l", {"owner": "me"}).json["token"]
    good = {"guard_lock": "l", "guard_token": token}
    stale = {"guard_lock": "l", "guard_token": token - 1}
    api("setRegister", 200, "a", {"value": "x", **good})
    api("readRegister", 200, "a", query=good)
    api("readRegister", 412, "a", query=stale)
    api("growRegister", 412, "n", {"by": 1, **stale})
    api("setRegister", 400, "a", {"value": "x", "guard_lock": "l"})
    api("setRegister", 200, "here", {"value": "", "bind_lock": "l", "bind_token": token})
    lines = [
        good,
        {"if": "value", "name": "a", "value": "x"},
        {"then": "set", "name": "a", "value": "y"},
        {"then": "increment", "name": "n", "by": 3},
        {"then": "rank_add", "name": "r", "member": "m", "score": 1.5},
        {"else": "get", "name": "a"},
    ]
    body = "\n".join(json.dumps(line) for line in lines).encode()
    done = api("changeState", 200, "", body, headers=LINES).json
    equal((done["held"], done["results"][1]["value"]), (True, "3"))
    equal(done["results"][2], {"name": "r", "changed": True, "score": 1.5})
    done = api("changeState", 200, "", body, headers=LINES).json
    equal((done["held"], done["results"][0]["value"]), (False, "y"))
    api("changeState", 412, "", json.dumps(stale).encode(), headers=LINES)
    api("changeState", 400, "", b'{"then":"get","else":"get","name":"a"}', headers=LINES)
    api("changeState", 412, "", b'{"if":"absent","name":"a"}', headers=LINES)
    done_with_an_effect(api, good, stale)
    api("release", 200, "l", query={"owner": "me", "token": token})
    api("readRegister", 404, "here")


def done_with_an_effect(api, good, stale):
    api("put", 201, "q", {"id": "i"})
    item = api("take", 200, "q", {"worker": "w"}).json["items"][0]
    parts = [{"then": "increment", "name": "n", "by": 1},
             {"then": "rank_remove", "name": "r", "member": "none"}]

    def body(*more):
        lines = [{"id": "i", "token": item["token"]}, *more, *parts]
        return "\n".join(json.dumps(line) for line in lines).encode()

    api("done", 412, "q", body(stale), headers=LINES)
    api("done", 412, "q", body({"if": "absent", "name": "a"}), headers=LINES)
    api("done", 404, "q", body({"guard_lock": "none", "guard_token": 1}), headers=LINES)
    api("done", 400, "q", body({"then": "set"}), headers=LINES)
    done = api("done", 200, "q", body(good), headers=LINES).json
    equal((done["held"], done["results"][0]["value"]), (True, "4"))
    api("done", 200, "q", body(good), headers=LINES)


def test_ranks():
    api = Api(Server())
    token = api("acquire", 201, "l", {"owner": "me"}).json["token"]
    stale = {"guard_lock": "l", "guard_token": token + 1}
    for member, score in (("ann", 3), ("bob", 1e300), ("cat", -0.25)):
        api("rankMember", 200, "r", {"member": member, "score": score})
    equal(api("rankMember", 200, "r", {"member": "ann", "score": 1, "when": "greater"}).json,
          {"name": "r", "changed": False, "score": 3})
    equal(api("incrementScore", 200, "r", {"member": "ann", "by": 0.5}).json["score"], 3.5)
    view = api("readRank", 200, "r", query={"reverse": "true", "first": 1, "limit": 1}).json
    equal(view["members"], [{"member": "ann", "score": 3.5, "position": 1}])
    view = api("readRank", 200, "r", query={"min": "-1", "max": 4}).json
    equal([m["member"] for m in view["members"]], ["cat", "ann"])
    equal(api("readRank", 200, "r", query={"member": "bob"}).json["position"], 2)
    api("readRank", 404, "r", query={"member": "dan"})
    api("rankMember", 400, "r", {"member": "x", "score": "inf"})
    api("rankMember", 412, "r", {"member": "x", "score": 1, **stale})
    api("incrementScore", 412, "r", {"member": "x", "by": 1, **stale})
    api("removeMember", 412, "r", query={"member": "ann", **stale})
    equal(api("removeMember", 200, "r", query={"member": "ann"}).json["score"], None)
    equal(api("listRanks", 200).json["ranks"], [{"name": "r", "count": 2, "seq": 6}])


def test_channels():
    server = Server()
    api = Api(server)
    equal(api("publish", 200, "a/b", {"message": "x"}).json, {"receivers": 0})
    one = Stream(server, path="/v1/channels/a/b")
    many = Stream(server, path="/v1/channels/a%2F%2A?pattern=true")
    for stream in (one, many):
        equal(stream.status, 200)
        stream.block()
    SEEN.add(("listen", "200"))
    equal(api("publish", 200, "a/b", b"\x00", headers=OCTETS).json, {"receivers": 2})
    for stream in (one, many):
        block = stream.block()
        equal((block["event"], json.loads(block["data"])),
              ("message", {"channel": "a/b", "message_base64": "AA=="}))
    one.close()
    wait_for(lambda: api("publish", 200, "a/b", {"message": "x"}).json["receivers"] == 1, "the end")


def test_events_of_registers_have_values():
    server = Server()
    api = Api(server)
    for value in ("one", "two"):
        api("setRegister", 200, "a", {"value": value})
    api("rankMember", 200, "a", {"member": "m", "score": 2})
    api("removeRegister", 200, "a")
    stream = Stream(server, "?since=0&previous=1")
    stream.block()
    events = [json.loads(stream.block()["data"]) for _ in range(4)]
    for event in events:
        equal(faults(DOCUMENT, {"$ref": "#/components/schemas/Event"}, event), [])
    equal([e.get("value") for e in events], ["one", "two", None, None])
    equal([e.get("previous") for e in events], [None, "one", None, "two"])
    equal((events[2]["member"], events[3]["cause"]), ("m", "removed"))


def test_every_documented_status_was_seen():
    wanted = {(o["operationId"], status) for _, _, o in operations() for status in o["responses"]}
    missing = wanted - SEEN
    if missing:
        raise AssertionError("never seen: %s" % sorted(missing))


run()
