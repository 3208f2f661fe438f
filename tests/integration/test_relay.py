#!/usr/bin/python3
"""tenured in front of another store: what sessions see is what they see of the embedded engine.

Most tests run in front of a second tenured, which can do everything; those named *_redis* in front
of Redis servers.
"""

import json
import os
import re
import signal
import socket
import threading
import time

from cli import tenure
from http_client import Http, Stream, exchange
from lib import (
    Server, cleanup, contains, encode, equal, is_readable, own_port, refused, run, scratch, tenured,
    wait_for,
)
from redis_nodes import Nodes, need_redis


def upstream():
    return Server()


def relay(store, *options, env=None):
    """A tenured in front of a store (a server, or a URL), that can grant."""
    url = store if isinstance(store, str) else "tenure://127.0.0.1:%d" % store.port
    server = Server("--store", url, *options, env=env)
    await_ready(server)
    return server


def http(server):
    client = Http(server)
    cleanup(client.close)
    return client


def is_ready(server):
    client = Http(server)
    try:
        return client.get("/readyz").status == 200
    finally:
        client.close()


def await_ready(server):
    wait_for(lambda: is_ready(server), "readiness", 20)
    # The watch begins by itself, at about the same time.
    wait_for(lambda: can_follow(server), "events", 20)


def can_follow(server):
    client = server.resp()
    try:
        return client("EVENTS.FOLLOW")[0] == "follow"
    except Exception as error:  # pylint: disable=broad-except
        contains(str(error), "UN")
        return False
    finally:
        client.close()


def in_background(function, *arguments, **options):
    result = []

    def call():
        try:
            result.append(function(*arguments, **options))
        except Exception as error:  # pylint: disable=broad-except
            result.append(error)

    thread = threading.Thread(target=call)
    thread.start()

    def join(limit_s=20):
        thread.join(limit_s)
        assert result, "the call in the background has not ended"
        return result[0]

    return join


def waiter_count(server, name):
    answer = http(server).get("/v1/locks/" + name)
    return answer.json["waiter_count"] if answer.status == 200 else 0


def await_waiters(server, name, count):
    wait_for(lambda: waiter_count(server, name) == count, "%d waiters" % count)


def await_metric(server, name, value):
    line = "tenure_%s %d\n" % (name, value)
    wait_for(lambda: line in http(server).get("/metrics").body.decode(), line)


# ---------------------------------------------------------------- HTTP


def test_http_says_what_the_engine_says():
    """The same requests to both; the answers differ in numbers and times only."""
    behind = upstream()
    front = relay(behind)
    asked = [
        ("POST", "/v1/locks/NAME", {"owner": "a", "ttl_ms": 60000, "meta": "why"}),
        ("POST", "/v1/locks/NAME", {"owner": "b"}),
        ("POST", "/v1/locks/NAME", {"owner": "b", "wait_ms": 30}),
        ("GET", "/v1/locks/NAME", None),
        ("GET", "/v1/locks?prefix=NAME", None),
        ("PUT", "/v1/locks/NAME", {"owner": "a", "token": "TOKEN"}),
        ("PUT", "/v1/locks/NAME", {"owner": "a", "token": "TOKEN", "ttl_ms": 30000}),
        ("PUT", "/v1/locks/NAME", {"owner": "b", "token": "TOKEN"}),
        ("PUT", "/v1/locks/NAME", {"owner": "a", "token": 1}),
        ("DELETE", "/v1/locks/NAME?owner=a&token=TOKEN", None),
        ("DELETE", "/v1/locks/NAME?owner=a&token=TOKEN", None),
        ("PUT", "/v1/locks/NAME", {"owner": "a", "token": "TOKEN"}),
        ("GET", "/v1/locks/NAME", None),
        ("POST", "/v1/locks/NAME", {"owner": "c", "mode": "shared"}),
        ("POST", "/v1/locks/NAME", {"owner": "d", "mode": "shared"}),
        ("POST", "/v1/locks/NAME", {"owner": "e", "slots": 3}),
        ("POST", "/v1/locks/NAME", {"owner": "e", "mode": "shared", "slots": 2}),
        ("GET", "/v1/locks/NAME", None),
        ("POST", "/v1/locks/slots-NAME", {"owner": "e", "slots": 2}),
        ("POST", "/v1/locks/slots-NAME", {"owner": "f", "slots": 2}),
        ("POST", "/v1/locks/slots-NAME", {"owner": "g", "slots": 2}),
        ("POST", "/v1/locks", {"owner": "m", "names": ["NAME/1", "NAME/2"], "ttl_ms": 0}),
        ("POST", "/v1/locks", {"owner": "n", "names": ["NAME/3", "NAME/2"]}),
        ("DELETE", "/v1/locks/NAME/1?break=1&token=7&reason=no", None),
        ("POST", "/v1/elections/NAME/e", {"owner": "a", "value": "here"}),
        ("PUT", "/v1/elections/NAME/e", {"owner": "a", "token": "TOKEN", "value": "there"}),
        ("PUT", "/v1/elections/NAME/e", {"owner": "a", "token": "TOKEN", "to": "nobody"}),
        ("GET", "/v1/elections/NAME/e", None),
        ("DELETE", "/v1/elections/NAME/e?owner=a&token=TOKEN", None),
        ("GET", "/v1/elections/NAME/e", None),
        ("GET", "/v1/history/NAME/e", None),
        ("POST", "/v1/locks/NAME", {"ttl_ms": 5}),
        ("GET", "/acquire/NAME-c", None),
        ("GET", "/acquire/NAME-c", None),
        ("GET", "/heartbeat/NAME-c", None),
        ("GET", "/release/NAME-c?owner=somebody", None),
        ("GET", "/release/NAME-c", None),
        ("GET", "/heartbeat/NAME-c", None),
        ("GET", "/acquire/NAME-c?ttl_ms=5", None),
    ]
    told = []
    for server, name in ((behind, "direct"), (front, "through")):
        client, token, answers = http(server), 0, []
        for method, path, body in asked:
            path = path.replace("NAME", name).replace("TOKEN", str(token))
            text = json.dumps(body).replace("NAME", name).replace('"TOKEN"', str(token))
            answer = client(method, path, None if body is None else text.encode(),
                            {"Content-Type": "application/json"})
            token = answer.json.get("token") or token
            equal(answer.headers["tenure-safety"], "durable-single")
            text = re.sub(name, "NAME", answer.body.decode())
            answers.append((method, path, answer.status, blur(json.loads(text))))
        told.append(answers)
    for direct, through in zip(*told):
        equal(through[2:], direct[2:])


def blur(value):
    """Without what differs from time to time, and from server to server."""
    if isinstance(value, list):
        return [blur(item) for item in value]
    if not isinstance(value, dict):
        return value
    vague = {"token", "successor_token", "remaining_ms", "acquired_at", "retry_after_ms", "seq",
             "waited_ms", "at"}
    return {k: (type(v).__name__ if k in vague else blur(v)) for k, v in value.items()}


def test_http_serves_the_next_request_of_a_connection():
    front = relay(upstream())
    request = b"GET /v1/locks/a HTTP/1.1\r\nHost: localhost\r\n%s\r\n"
    answer = exchange(front, request % b"" * 3 + request % b"Connection: close\r\n")
    equal(answer.count(b"HTTP/1.1 404"), 4)


def test_http_made_up_owners_are_told():
    front = relay(upstream())
    one = http(front).post("/v1/locks/a").json
    equal(len(one["owner"]), 32)
    equal(http(front).delete("/v1/locks/a", owner=one["owner"], token=one["token"]).json["outcome"],
          "released")


def test_http_grace_is_what_is_left():
    behind = upstream()
    front = relay(behind)
    held = http(front).post("/v1/locks/a", owner="a", ttl_ms=60000).json
    answer = http(front).delete(
        "/v1/locks/a", **{"break": 1}, token=held["token"], reason="because", grace_ms=400)
    equal(answer.json["outcome"], "breaking")
    assert 0 < answer.json["hold"]["remaining_ms"] <= 400, answer
    equal(answer.json["hold"]["owner"], "a")
    equal(http(front).get("/v1/locks/a").json["holders"][0]["owner"], "a")
    wait_for(lambda: http(behind).get("/v1/locks/a").status == 404, "the end of the grace")


def test_lists_are_paged():
    behind = upstream()
    front = relay(behind)
    client = http(front)
    for index in range(25):
        client.post("/v1/locks/n/%02d" % index, owner="o%d" % (index % 2))
    client.post("/v1/locks/other", owner="o0")
    seen, cursor = [], ""
    while cursor is not None:
        page = client.get("/v1/locks?prefix=n/&limit=10&cursor=" + cursor).json
        assert len(page["locks"]) <= 10, page
        seen += [lock["name"] for lock in page["locks"]]
        cursor = page["cursor"]
    equal(seen, ["n/%02d" % index for index in range(25)])
    equal(len(client.get("/v1/locks?owner=o1").json["locks"]), 12)
    equal(client.get("/v1/locks?state=waited").json["locks"], [])
    equal(len(client.get("/v1/locks?state=held&limit=1000").json["locks"]), 26)
    resp = front.resp(3)
    equal([lock["name"] for lock in resp("LOCK.LIST", "PREFIX", "o")["locks"]], ["other"])


# ---------------------------------------------------------------- RESP


def test_resp_answers_in_order():
    """Commands behind a slow one are taken, and each answer has its place."""
    front = relay(upstream())
    client = front.resp(3)
    words = []
    for index in range(50):
        words += [("LOCK.ACQUIRE", "n%d" % index, "me", 60000), ("PING", str(index)),
                  ("LOCK.GET", "n%d" % index), ("NONSENSE",), ("LOCK.ACQUIRE", "n%d" % index)]
    client.socket.sendall(b"".join(encode(*w) for w in words))
    for index in range(50):
        equal(client.read()["owner"], "me")
        equal(client.read(), str(index))
        equal(client.read()["name"], "n%d" % index)
        contains(str(refused(client.read)), "unknown command")
        contains(str(refused(client.read)), "wrong number")


def test_resp_more_commands_than_may_be_on_their_way():
    front = relay(upstream())
    client = front.resp()
    sender = threading.Thread(
        target=lambda: client.socket.sendall(
            b"".join(encode("LOCK.GET", "n%d" % index) for index in range(3000))))
    sender.start()
    for _ in range(3000):
        equal(client.read(), None)
    sender.join()


def test_resp_what_changes_the_connection_waits_for_what_is_before_it():
    front = relay(upstream())
    client = front.resp()
    http(front).post("/v1/locks/a", owner="a", ttl_ms=0)
    client.socket.sendall(
        encode("LOCK.GET", "a") + encode("HELLO", "3") + encode("LOCK.GET", "a")
        + encode("ELECT.OBSERVE", "a", "WAIT", "200") + encode("ELECT.LEADER", "a")
        + encode("RESET") + encode("LOCK.GET", "a"))
    equal(type(client.read()), list)
    equal(client.read()["proto"], 3)
    equal(client.read()["name"], "a")
    equal(client.read()["leader"]["owner"], "a")
    equal(client.read()["leader"]["owner"], "a")
    equal(client.read(), "RESET")
    equal(type(client.read()), list)


def test_resp_hello_and_info_tell_what_it_is():
    behind = upstream()
    front = relay(behind)
    client = front.resp()
    hello = client("HELLO", "3")
    equal(hello["safety"], "durable-single")
    client("LOCK.ACQUIRE", "a", "a", 60000)
    info = dict(line.split(":", 1) for line in client("INFO").split("\r\n") if ":" in line)
    equal(info["store"], "tenure://127.0.0.1:%d" % behind.port)
    equal(info["holds"], "1")
    equal(info["store_up"], "1")
    assert int(info["disk_free_bytes"]) > 0, info


def test_resp_renews_many_with_their_own_ttls():
    front = relay(upstream())
    client = front.resp(3)
    words = ["LOCK.RENEW"]
    for index in range(20):
        token = client("LOCK.ACQUIRE", "n%d" % index, "me", 60000)["token"]
        words += ["n%d" % index, "me", token, 10000 + 1000 * (index % 3)]
    words += ["gone", "me", 17, 10000]
    answers = client(*words)
    equal(len(answers), 21)
    for index, answer in enumerate(answers[:20]):
        equal((answer["outcome"], answer["ttl_ms"]), ("ok", 10000 + 1000 * (index % 3)))
    equal(answers[20]["outcome"], "not_owner")


def test_resp_several_names_are_told_apart():
    front = relay(upstream())
    client = front.resp(3)
    holds = client("LOCK.ACQUIRE", "b", "me", 60000, "AND", "a")
    equal([hold["name"] for hold in holds], ["b", "a"])
    error = refused(client, "LOCK.ACQUIRE", "c", "you", 60000, "AND", "a")
    equal(error.word, "HELD")
    contains(str(error), "a: held by me")


def test_a_client_that_ends_its_side_is_answered():
    front = relay(upstream())
    connection = front.connect()
    connection.sendall(encode("LOCK.ACQUIRE", "a", "me", "60000") + encode("LOCK.GET", "a"))
    connection.shutdown(socket.SHUT_WR)
    data = b""
    while more := connection.recv(65536):
        data += more
    equal(data.count(b"\r\nme\r\n"), 2)


# ---------------------------------------------------------------- waiting


def test_waiters_are_served_in_order():
    behind = upstream()
    front, other = relay(behind), relay(behind)
    held = http(front).post("/v1/locks/a", owner="first", ttl_ms=60000).json
    joins = []
    for index in range(6):
        server = (front, other)[index % 2]
        joins.append(in_background(
            http(server).post, "/v1/locks/a", owner="w%d" % index, wait_ms=20000, ttl_ms=60000))
        await_waiters(behind, "a", index + 1)
    token, owner = held["token"], "first"
    for index in range(6):
        http(other).delete("/v1/locks/a", owner=owner, token=token)
        answer = joins[index]()
        equal((answer.status, answer.json["owner"]), (201, "w%d" % index))
        assert answer.json["token"] > token, answer
        token, owner = answer.json["token"], answer.json["owner"]


def test_a_wait_ends_in_time():
    front = relay(upstream())
    client = front.resp(3)
    client("LOCK.ACQUIRE", "a", "a", 60000)
    begun = time.monotonic()
    error = refused(client, "LOCK.ACQUIRE", "a", "b", 60000, "WAIT", 400)
    took = time.monotonic() - begun
    equal(error.word, "TIMEOUT")
    contains(str(error), "held by a")
    assert 0.39 <= took < 2, took


def test_a_lost_connection_takes_its_waiter_away():
    behind = upstream()
    front = relay(behind)
    http(front).post("/v1/locks/a", owner="a", ttl_ms=60000)
    lost = front.connect()
    lost.sendall(encode("LOCK.ACQUIRE", "a", "b", "60000", "WAIT", "60000"))
    half = front.connect()
    half.sendall(b"POST /v1/locks/a HTTP/1.1\r\nHost: localhost\r\n"
                 b"Content-Type: application/json\r\nContent-Length: 29\r\n\r\n"
                 b'{"owner":"c","wait_ms":60000}')
    await_waiters(behind, "a", 2)
    lost.close()
    await_waiters(behind, "a", 1)
    half.shutdown(socket.SHUT_WR)
    await_waiters(behind, "a", 0)
    metrics = http(front).get("/metrics").body.decode()
    contains(metrics, "tenure_waiters 0\n")
    contains(metrics, "tenure_store_pending 0\n")


def test_the_same_owner_asks_again():
    behind = upstream()
    front = relay(behind)
    held = http(front).post("/v1/locks/a", owner="a", ttl_ms=60000).json
    older = in_background(http(front).post, "/v1/locks/a", owner="b", wait_ms=20000)
    await_waiters(behind, "a", 1)
    newer = in_background(http(front).post, "/v1/locks/a", owner="b", wait_ms=20000)
    answer = older()
    equal((answer.status, answer.json["code"]), (409, "canceled"))
    await_waiters(behind, "a", 1)
    newest = in_background(http(front).post, "/v1/locks/a", owner="b", wait_ms=20000)
    equal(newer().json["code"], "canceled")
    await_waiters(behind, "a", 1)
    http(front).delete("/v1/locks/a", owner="a", token=held["token"])
    equal(newest().status, 201)


def test_the_same_owner_holds_it_already():
    front = relay(upstream())
    one = http(front).post("/v1/locks/a", owner="a", ttl_ms=60000).json
    two = http(front).post("/v1/locks/a", owner="a", ttl_ms=60000, wait_ms=5000).json
    equal(two["token"], one["token"])


def test_more_waiters_than_allowed():
    behind = upstream()
    front = relay(behind, "--max-waiters", "2")
    http(front).post("/v1/locks/a", owner="a", ttl_ms=60000)
    for owner in "bc":
        connection = front.connect()
        connection.sendall(encode("LOCK.ACQUIRE", "a", owner, "60000", "WAIT", "60000"))
    await_waiters(behind, "a", 2)
    answer = http(front).post("/v1/locks/a", owner="d", wait_ms=1000)
    equal((answer.status, answer.json["code"]), (429, "too_many"))
    equal(http(front).post("/v1/locks/a", owner="d").status, 423)


# ---------------------------------------------------------------- several, and the command line


def test_two_relays_exclude_each_other():
    behind = upstream()
    one, two = relay(behind), relay(behind)
    counter, holders, wrong = [0], set(), []

    def contend(server, owner):
        client = http(server)
        for _ in range(10):
            hold = client.post("/v1/locks/a", owner=owner, wait_ms=20000, ttl_ms=10000).json
            holders.add(owner)
            if len(holders) > 1:
                wrong.append(set(holders))
            counter[0] += 1
            holders.discard(owner)
            client.delete("/v1/locks/a", owner=owner, token=hold["token"])

    threads = [threading.Thread(target=contend, args=((one, two)[i % 2], "o%d" % i))
               for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal((counter[0], wrong), (60, []))


def test_the_command_line_through_a_relay():
    behind = upstream()
    front = relay(behind)
    script = "echo $TENURE_NAME $TENURE_TOKEN"
    code, out, err = tenure(front, "run", "job", "--", "sh", "-c", script)
    equal((code, out.split()[0]), (0, "job"))
    assert int(out.split()[1]) > 0, (out, err)
    http(behind).post("/v1/locks/x", owner="me", ttl_ms=60000)
    contains(tenure(front, "ls")[1], "x")
    contains(tenure(front, "show", "x")[1], "me")
    contains(tenure(front, "history", "job")[1], "granted")
    contains(tenure(front, "server")[1], "durable-single")
    equal(tenure(front, "run", "--nonblock", "x", "--", "true")[0], 75)


# ---------------------------------------------------------------- events


def test_streams_say_that_they_are_best_effort():
    behind = upstream()
    front = relay(behind)
    stream = Stream(front, "?prefix=a/")
    cleanup(stream.close)
    contains(stream.head, "Tenure-Events: best-effort")
    contains(stream.block()[""], "best effort")
    held = http(behind).post("/v1/locks/a/b", owner="a").json
    http(front).post("/v1/locks/other", owner="a")
    http(front).delete("/v1/locks/a/b", owner="a", token=held["token"])
    kind, data = stream.event()
    equal((kind, data["name"], data["owner"]), ("granted", "a/b", "a"))
    equal(data["token"], held["token"])
    first = int(stream.last_id)
    equal(stream.event()[0], "released")
    assert int(stream.last_id) > first
    answer = http(front).get("/v1/events", **{"Last-Event-ID": str(first)})
    equal((answer.status, answer.json["code"]), (410, "compacted"))
    contains(answer.json["detail"], "keeps no events")
    equal(http(front).get("/v1/events?since=0").status, 410)


def test_resp_follows():
    behind = upstream()
    front = relay(behind)
    client = front.resp(3)
    word, seq, note = client("EVENTS.FOLLOW", "TYPES", "released")
    equal((word, note), ("follow", "best-effort"))
    held = http(front).post("/v1/locks/a", owner="a").json
    http(front).delete("/v1/locks/a", owner="a", token=held["token"])
    push = client.read()
    equal((push[0], push[1]["kind"], push[1]["name"]), ("event", "released", "a"))
    assert push[1]["seq"] > seq
    equal(refused(front.resp(), "EVENTS.FOLLOW", "SINCE", 0).word, "COMPACTED")


def test_observers_are_told_of_a_change():
    behind = upstream()
    front = relay(behind)
    seq = http(front).get("/v1/elections/e").json["seq"]
    join = in_background(http(front).get, "/v1/elections/e?wait_ms=15000&since=%d" % seq)
    client = front.resp(3)
    client.send("ELECT.OBSERVE", "e", "SINCE", seq, "WAIT", 15000)
    await_metric(front, "followers", 2)
    http(behind).post("/v1/elections/e", owner="a", value="v")
    answer = join().json
    equal(answer["leader"]["value"], "v")
    equal(client.read()["leader"]["value"], "v")
    begun = time.monotonic()
    quiet = http(front).get("/v1/elections/e?wait_ms=300&since=%d" % answer["seq"]).json
    equal(quiet["leader"]["value"], "v")
    assert time.monotonic() - begun > 0.25
    http(behind).post("/v1/locks/other", owner="a")


# ---------------------------------------------------------------- the store's ups and downs


def test_the_store_is_down():
    behind = upstream()
    front = relay(behind)
    client = front.resp()
    stream = Stream(front)
    cleanup(stream.close)
    behind.kill()
    answer = http(front).post("/v1/locks/a", owner="a")
    equal((answer.status, answer.json["code"]), (503, "unavailable"))
    assert int(answer.headers["retry-after"]) >= 1, answer.headers
    equal(http(front).get("/v1/locks/a").status, 503)
    equal(http(front).get("/v1/locks").status, 503)
    equal(http(front).get("/acquire/a").json["success"], False)
    equal(refused(client, "LOCK.ACQUIRE", "a", "a", 60000).word, "UNAVAILABLE")
    begun = time.monotonic()
    equal(refused(client, "LOCK.ACQUIRE", "a", "a", 60000, "WAIT", 60000).word, "UNAVAILABLE")
    assert time.monotonic() - begun < 5
    wait_for(lambda: not is_ready(front), "unreadiness")
    answer = http(front).get("/readyz")
    equal(answer.json["reason"], "store")
    contains(answer.json["detail"], "127.0.0.1")
    equal(http(front).get("/healthz").status, 200)
    equal(http(front).get("/v1/server").status, 200)
    contains(client("INFO"), "store_up:0")
    contains(http(front).get("/metrics").body.decode(), "tenure_store_up 0\n")
    Server(data=behind.data)  # on another port: it stays away
    equal(is_ready(front), False)


def test_the_store_comes_back():
    behind = Server("--listen", "none")
    front = relay("tenure+unix://" + behind.socket_path)
    hold = http(front).post("/v1/locks/a", owner="a", ttl_ms=60000).json
    behind.kill()
    wait_for(lambda: not is_ready(front), "unreadiness")
    behind.start()
    await_ready(front)
    answer = http(front).put("/v1/locks/a", owner="a", token=hold["token"])
    equal(answer.status, 200)
    stream = Stream(front)
    cleanup(stream.close)
    http(front).delete("/v1/locks/a", owner="a", token=hold["token"])
    equal(stream.event()[0], "released")


def test_it_starts_before_its_store():
    port = own_port()
    front = Server("--store", "tenure://127.0.0.1:%d" % port)
    equal(http(front).get("/readyz").json["reason"], "store")
    behind = Server("--listen", "127.0.0.1:%d" % port)
    await_ready(front)
    equal(http(front).post("/v1/locks/a", owner="a").status, 201)
    equal(waiter_count(behind, "a"), 0)


def test_an_answer_comes_before_clients_lose_patience():
    """A store that takes connections and says nothing."""
    listener = socket.create_server(("127.0.0.1", 0))
    cleanup(listener.close)
    front = Server("--store", "tenure://127.0.0.1:%d" % listener.getsockname()[1])
    begun = time.monotonic()
    answer = http(front).post("/v1/locks/a", owner="a")
    took = time.monotonic() - begun
    equal(answer.status, 503)
    assert 1.9 < took < 2.6, took  # and not only when something else wakes the loop
    code, _, err = tenure(front, "run", "--nonblock", "a", "--", "true")
    equal(code, 69)
    contains(err, "a")


# ---------------------------------------------------------------- stopping


def test_waiters_are_told_when_it_stops():
    behind = upstream()
    front = relay(behind)
    http(front).post("/v1/locks/a", owner="a", ttl_ms=60000)
    join = in_background(http(front).post, "/v1/locks/a", owner="b", wait_ms=60000)
    client = front.resp()
    client.send("LOCK.ACQUIRE", "a", "c", 60000, "WAIT", 60000)
    watching = in_background(http(front).get, "/v1/elections/e?wait_ms=60000")
    await_waiters(behind, "a", 2)
    await_metric(front, "followers", 1)
    begun = time.monotonic()
    equal(front.stop(), 0)
    assert time.monotonic() - begun < 4
    equal(join().json["code"], "draining")
    equal(refused(client.read).word, "DRAINING")
    equal(watching().status, 200)
    await_waiters(behind, "a", 0)
    equal(os.path.exists(front.data), False)


def test_what_is_under_way_is_answered_when_it_stops():
    """The store is slow; the answer still comes."""
    behind = upstream()
    front = relay(behind)
    client, web = front.resp(), http(front)
    client("PING")
    behind.process.send_signal(signal.SIGSTOP)
    client.send("LOCK.ACQUIRE", "a", "a", 60000)
    join = in_background(web.post, "/v1/locks/b", owner="b")
    await_metric(front, "store_pending", 2)
    front.process.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    behind.process.send_signal(signal.SIGCONT)
    equal(len(client.read()), 12)
    equal(join().status, 201)
    equal(front.stop(), 0)


def test_it_stops_while_its_store_hangs():
    behind = upstream()
    front = relay(behind)
    client = front.resp()
    client("PING")
    behind.process.send_signal(signal.SIGSTOP)
    client.send("LOCK.ACQUIRE", "a", "a", 60000)
    client.send("LOCK.RELEASE", "x", "a", 17)
    begun = time.monotonic()
    equal(front.stop(), 0)
    assert time.monotonic() - begun < 8


# ---------------------------------------------------------------- options


def test_a_password_on_the_command_line_is_refused():
    for argument in (["--store", "redis://:sesame@127.0.0.1"],
                     ["--store=redis://user:sesame@127.0.0.1,127.0.0.2"]):
        code, out, err = tenured(*argument)
        equal((code, out), (64, ""))
        contains(err, "--store: its password would be seen")
        contains(err, "password-file")
        assert "sesame" not in err, err


def test_a_password_shows_nowhere():
    path = os.path.join(scratch(), "conf")
    with open(path, "w", encoding="utf-8") as file:
        file.write("store = redis://me:sesame@127.0.0.1:%d\n" % own_port())
    front = Server("--config", path, "--log-level", "debug")
    contains(front.ready_line, "in front of redis://me@127.0.0.1:")
    told = front.ready_line + http(front).get("/v1/server").body.decode()
    told += http(front).get("/readyz").body.decode() + front.resp()("INFO")
    told += http(front).get("/v1/locks/a").body.decode() + http(front).get("/metrics").body.decode()
    equal(front.stop(), 0)
    told += front.errors()
    assert "sesame" not in told, told
    contains(told, "redis://me@127.0.0.1:")


def test_a_store_has_no_journal():
    for action in ("--check", "--dump", "--repair"):
        code, _, err = tenured(action, "/tmp", "--store", "tenure://127.0.0.1:1")
        equal(code, 64)
        contains(err, "--store: has no journal")


def test_a_url_that_is_wrong():
    for url in ("nonsense", "ftp://x", "tenure://", "redis://a,b"):
        code, out, err = tenured("--store", url, "--listen", "127.0.0.1:0")
        equal((code, out), (78, ""))
        contains(err, "--store: ")


def test_the_environment_names_the_store():
    behind = upstream()
    front = Server(env={"TENURED_STORE": "tenure://127.0.0.1:%d" % behind.port})
    await_ready(front)
    equal(http(front).get("/v1/server").json["store"], "tenure://127.0.0.1:%d" % behind.port)


# ---------------------------------------------------------------- in front of Redis


def redis_relay(count, *options):
    need_redis()
    nodes = Nodes(count)
    return nodes, relay(nodes.url("new=yes", *options))


def test_redis_acquire_renew_release():
    _, front = redis_relay(3)
    client = http(front)
    info = client.get("/v1/server").json
    equal((info["safety"], info["events"]), ("quorum", "best-effort"))
    for word in ("history", "transfer", "names", "shared", "slots", "priority", "lock_delay",
                 "no_ttl", "resume"):
        assert word in info["unsupported"], info
    answer = client.post("/v1/locks/a", owner="a", ttl_ms=20000, meta="why")
    equal(answer.status, 201)
    equal(answer.headers["tenure-safety"], "quorum")
    token = answer.json["token"]
    refusal = client.post("/v1/locks/a", owner="b")
    equal((refusal.status, refusal.json["holder"]["owner"]), (423, "a"))
    equal(refusal.json["holder"]["token"], token)
    seen = client.get("/v1/locks/a").json["holders"][0]
    equal((seen["owner"], seen["token"], seen["meta"]), ("a", token, "why"))
    equal(client.put("/v1/locks/a", owner="a", token=token).json["ttl_ms"], 20000)
    renewed = client.put("/v1/locks/a", owner="a", token=token, ttl_ms=10000)
    equal((renewed.status, renewed.json["ttl_ms"], renewed.json["meta"]), (200, 10000, "why"))
    equal([lock["name"] for lock in client.get("/v1/locks").json["locks"]], ["a"])
    equal(client.delete("/v1/locks/a", owner="a", token=token).json["outcome"], "released")
    equal(client.get("/v1/locks/a").status, 404)
    equal(client.get("/v1/locks").json["locks"], [])
    equal(front.resp()("HELLO", 3)["safety"], "quorum")


def test_queues_are_refused():
    _, front = redis_relay(1)
    client, resp = http(front), front.resp()
    info = client.get("/v1/server").json
    equal(info["unsupported"].count("queues"), 1)
    assert "queues" not in info and "items" not in info
    for method, path in (("POST", "q/put"), ("POST", "q/take"), ("GET", "q/stat")):
        answer = client(method, "/v1/queues/" + path, {} if method == "POST" else None)
        equal((path, answer.status, answer.json["code"]), (path, 501, "unsupported"))
    equal(client.get("/v1/queues").status, 501)
    for words in (["PUT", "q", "b"], ["TAKE", "q", "w"], ["STAT", "q"], ["QUEUES"],
                  ["DONE", "q", "i", 1]):
        equal(refused(resp, "QUEUE." + words[0], *words[1:]).word, "UNSUPPORTED")
    assert "tenure_items" not in client.get("/metrics").body.decode()


def test_redis_refuses_what_it_cannot_do():
    _, front = redis_relay(1)
    client = http(front)
    for body in ({"mode": "shared"}, {"slots": 2}, {"priority": 3}, {"lock_delay_ms": 500},
                 {"ttl_ms": 0}):
        answer = client("POST", "/v1/locks/a", dict(body, owner="a"))
        equal((body, answer.status, answer.json["code"]), (body, 501, "unsupported"))
        assert len(answer.json["detail"]) > 20, answer
    equal(client.post("/v1/locks", owner="a", names=["a", "b"]).status, 501)
    equal(client.get("/v1/history/a").status, 501)
    equal(client.post("/v1/locks/a", owner="a", ttl_ms=24 * 3600 * 1000).status, 400)
    equal(refused(front.resp(), "LOCK.HISTORY", "a").word, "UNSUPPORTED")


def test_candado_on_redis_holds_as_long_as_it_can():
    nodes, front = redis_relay(3, "ttl-max=3s")
    client = http(front)
    longest_ms = client.get("/v1/server").json["limits"]["ttl_ms_max"]
    equal(longest_ms, 3000)
    answer = client.get("/acquire/a").json
    equal((answer["success"], answer["state"]), (True, 1))
    equal(http(relay(nodes.url("ttl-max=3s"))).get("/acquire/a").json["success"], False)
    held = client.get("/v1/locks/a").json["holders"][0]
    equal(held["ttl_ms"], longest_ms)
    time.sleep(0.5)
    equal(client.get("/heartbeat/a").json["state"], 1)
    renewed = client.get("/v1/locks/a").json["holders"][0]
    equal(renewed["token"], held["token"])
    assert renewed["remaining_ms"] > longest_ms - 400, renewed
    equal(client.get("/release/a").json["state"], 0)
    equal(client.get("/acquire/a?ttl_ms=1000").json["success"], True)
    equal(client.get("/v1/locks/a").json["holders"][0]["ttl_ms"], 1000)
    # What is not said is never more than what the store gives.
    equal(client.post("/v1/locks/b", owner="a").json["ttl_ms"], 3000)


def test_redis_hands_off_in_order():
    nodes, front = redis_relay(3)
    other = relay(nodes.url())
    token = http(front).post("/v1/locks/a", owner="first", ttl_ms=20000).json["token"]
    owner, joins = "first", []
    for index in range(4):
        server = (front, other)[index % 2]
        joins.append(in_background(
            http(server).post, "/v1/locks/a", owner="w%d" % index, wait_ms=20000, ttl_ms=20000))
        await_waiters(front, "a", index + 1)
    for index in range(4):
        http(front).delete("/v1/locks/a", owner=owner, token=token)
        answer = joins[index]()
        equal((answer.status, answer.json["owner"]), (201, "w%d" % index))
        assert answer.json["token"] > token, answer
        token, owner = answer.json["token"], answer.json["owner"]


def test_redis_a_lost_connection_takes_its_waiter_away():
    _, front = redis_relay(3)
    http(front).post("/v1/locks/a", owner="a", ttl_ms=20000)
    lost = front.connect()
    lost.sendall(encode("LOCK.ACQUIRE", "a", "b", "20000", "WAIT", "60000"))
    await_waiters(front, "a", 1)
    lost.close()
    await_waiters(front, "a", 0)


def test_redis_without_a_majority():
    nodes, front = redis_relay(3)
    client = http(front)
    hold = client.post("/v1/locks/a", owner="a", ttl_ms=20000).json
    nodes.kill(0)
    equal(client.put("/v1/locks/a", owner="a", token=hold["token"]).status, 200)
    equal(is_ready(front), True)
    nodes.kill(1)
    answer = client.post("/v1/locks/b", owner="a")
    assert answer.status in (503, 504), answer
    assert int(answer.headers["retry-after"]) >= 1, answer.headers
    wait_for(lambda: not is_ready(front), "unreadiness")
    equal(client.get("/readyz").json["reason"], "store")


def test_redis_events_are_told_between_relays():
    nodes, front = redis_relay(3)
    other = relay(nodes.url())
    stream = Stream(other, "?prefix=a")
    cleanup(stream.close)
    contains(stream.head, "Tenure-Events: best-effort")
    contains(stream.head, "Tenure-Safety: quorum")
    # Whoever acts tells only when he knows that somebody listens.
    def told():
        hold = http(front).post("/v1/locks/a", owner="a", ttl_ms=20000).json
        http(front).delete("/v1/locks/a", owner="a", token=hold["token"])
        return is_readable(stream.socket, 0.3)
    wait_for(told, "an event", 20)
    kind, data = stream.event()
    assert kind in ("granted", "released"), (kind, data)
    equal(data["name"], "a")


def test_redis_waiters_are_told_when_it_stops():
    _, front = redis_relay(3)
    http(front).post("/v1/locks/a", owner="a", ttl_ms=20000)
    join = in_background(http(front).post, "/v1/locks/a", owner="b", wait_ms=60000)
    await_waiters(front, "a", 1)
    equal(front.stop(), 0)
    equal(join().json["code"], "draining")


def test_redis_through_the_command_line():
    _, front = redis_relay(3)
    code, out, err = tenure(front, "run", "--ttl", "10s", "job", "--", "sh", "-c",
                            "echo $TENURE_TOKEN")
    equal(code, 0)
    assert int(out) > 0, (out, err)
    contains(tenure(front, "server")[1], "quorum")


if __name__ == "__main__":
    run()
