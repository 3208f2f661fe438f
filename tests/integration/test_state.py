#!/usr/bin/python3
"""Shared state over the Redis protocol: registers, transactions, ranks, watching, channels."""

import base64
import json

from http_client import Http
from lib import Push, Server, contains, equal, pairs, refused, run, wait_for


def lock(client, name, owner, ttl_ms=15000):
    return pairs(client("LOCK.ACQUIRE", name, owner, ttl_ms))["token"]


def test_registers_have_versions():
    client = Server().resp()
    first = client("STATE.SET", "a", "one")
    second = client("STATE.SET", "a", b"\xff\x00two")
    assert second > first > 0
    view = pairs(client("STATE.GET", "a"))
    equal((view["version"], view["name"]), (second, "a"))
    equal(client("STATE.GET", "none"), None)
    equal(client("STATE.DEL", "a"), 1)
    equal(client("STATE.DEL", "a"), 0)
    equal(client("STATE.GET", "a"), None)
    assert client("STATE.SET", "a", "three") > second


def test_conditions_are_told_exactly():
    client = Server().resp()
    equal(refused(client, "STATE.SET", "a", "x", "XX").word, "MISMATCH")
    version = client("STATE.SET", "a", "one", "NX")
    error = refused(client, "STATE.SET", "a", "x", "NX")
    equal(error.word, "MISMATCH")
    contains(str(error), "a has version %d" % version)
    equal(refused(client, "STATE.CAS", "a", version + 1, "x").word, "MISMATCH")
    newer = client("STATE.CAS", "a", version, "two")
    equal(refused(client, "STATE.DEL", "a", "VERSION", version).word, "MISMATCH")
    equal(client("STATE.DEL", "a", "VERSION", newer), 1)
    assert client("STATE.CAS", "a", 0, "again") > newer


def test_numbers_and_texts_grow():
    client = Server().resp()
    equal(client("STATE.INCR", "n"), 1)
    equal(client("STATE.INCR", "n", "BY", "-43"), -42)
    client("STATE.APPEND", "t", "ab")
    client("STATE.APPEND", "t", "cd")
    equal(pairs(client("STATE.GET", "t"))["value"], "abcd")
    equal(refused(client, "STATE.INCR", "t").word, "INVALID")
    equal(refused(client, "STATE.INCR", "n", "BY", "x").word, "INVALID")
    contains(str(refused(client, "STATE.SET", "a", "b", "C")), "unexpected argument 'C'")


def test_a_register_lives_for_its_ttl_or_with_a_hold():
    client = Server().resp()
    client("STATE.SET", "short", "x", "TTL", 100)
    token = lock(client, "l", "me")
    client("STATE.SET", "here/me", "x", "BIND", "l", token)
    view = pairs(client("STATE.GET", "here/me"))
    equal((view["lock"], view["token"]), ("l", token))
    equal(pairs(client("STATE.LIST", "PREFIX", "here/")[1][0])["name"], "here/me")
    answer = client("STATE.WAIT", "short", pairs(client("STATE.GET", "short"))["version"], 5000)
    equal((answer[0], pairs(answer[2])["version"]), (1, 0))
    client("LOCK.RELEASE", "l", "me", token)
    equal(client("STATE.GET", "here/me"), None)
    equal(refused(client, "STATE.SET", "here/me", "x", "BIND", "l", token).word, "STALE")


def test_a_guard_keeps_out_who_has_lost_the_lock():
    client = Server().resp()
    old = lock(client, "l", "a", 100)
    client("STATE.SET", "a", "1", "GUARD", "l", old)
    equal(client("STATE.WAIT", "none", 0, 200)[0], 0)
    new = lock(client, "l", "b")
    equal(refused(client, "STATE.SET", "a", "2", "GUARD", "l", old).word, "STALE")
    equal(refused(client, "STATE.GET", "a", "GUARD", "l", old).word, "STALE")
    client("STATE.SET", "a", "3", "GUARD", "l", new)
    equal(pairs(client("STATE.GET", "a", "GUARD", "l", new))["value"], "3")
    equal(refused(client, "STATE.SET", "a", "4", "GUARD", "unknown", new).word, "NOTFOUND")


def test_a_guard_is_not_forgotten_where_it_cannot_be():
    server = Server()
    client = server.resp()
    token = lock(client, "l", "ann")
    client("STATE.SET", "a", "1")
    http = Http(server)
    stale = "/v1/state/a?guard_lock=l&guard_token=%d" % (token - 1)
    equal(http("GET", stale).status, 412)
    equal(http("GET", stale + "&wait_ms=0").status, 400)
    http.close()


def test_a_transaction_is_all_or_nothing():
    client = Server().resp(3)
    client("STATE.SET", "from", "100")
    move = ["THEN", "INCR", "from", "-30", "INCR", "to", "30", "RANKADD", "r", "1.5", "m",
            "ELSE", "GET", "from"]
    held, results = client("STATE.TXN", "IF", "VALUE", "from", "100", "IF", "ABSENT", "to", *move)
    equal(held, True)
    equal([results[0]["value"], results[1]["value"], results[2]], ["70", "30", "1.5"])
    held, results = client("STATE.TXN", "IF", "VALUE", "from", "100", *move)
    equal((held, results[0]["value"]), (False, "70"))
    client("STATE.SET", "to", "no number")
    equal(refused(client, "STATE.TXN", *move).word, "INVALID")
    equal(client("STATE.GET", "from")["value"], "70")
    equal(refused(client, "STATE.TXN", "THEN", "SET", "a", "1", "SET", "a", "2").word, "INVALID")
    many = [word for n in range(129) for word in ("SET", "n%d" % n, "v")]
    equal(refused(client, "STATE.TXN", "THEN", *many).word, "INVALID")
    client("STATE.TXN", "THEN", *many[:-3])


def test_the_values_of_a_transaction_have_one_limit_on_all_ways():
    server = Server()
    client = server.resp(3)
    http = Http(server)
    names = ["%03d" % n + "n" * 252 for n in range(128)]
    limit, share = 1 << 20, (1 << 20) // 128

    def values(more):
        return ["v" * share] * 127 + ["v" * (share + more)]

    def over_resp(more):
        words = [word for pair in zip(names, values(more)) for word in ("SET", *pair)]
        locks = [word for _ in range(16) for word in ("IF", "ABSENT", "x" * 255)]
        return client("STATE.TXN", *locks, "THEN", *words)

    def over_http(more, is_base64=False):
        lines = [{"then": "set", "name": name, "value": value}
                 for name, value in zip(names, values(more))]
        if is_base64:
            for line in lines:
                line["value_base64"] = base64.b64encode(line.pop("value").encode()).decode()
        text = "\n".join(json.dumps(line) for line in lines)
        return http("POST", "/v1/state", text.encode(), {"Content-Type": "application/x-ndjson"})

    held, results = over_resp(0)
    equal((held, len(results), sum(len(one["value"]) for one in results)), (True, 128, limit))
    error = refused(over_resp, 1)
    equal(error.word, "TOOLARGE")
    contains(str(error), "all values: up to 1048576 bytes")
    for is_base64 in (False, True):
        equal(over_http(0, is_base64).status, 200)
        answer = over_http(1, is_base64)
        equal((answer.status, answer.json["code"]), (413, "too_large"))
        contains(answer.json["detail"], "all values: up to 1048576 bytes")
    equal(client("PING"), "PONG")
    # A body of the largest size that there is may be said in JSON, too.
    body = base64.b64encode(bytes(limit)).decode()
    equal(http("POST", "/v1/queues/q/put", json.dumps({"body_base64": body}).encode()).status, 201)


def test_an_item_is_done_together_with_its_effect():
    client = Server().resp(3)
    client("QUEUE.PUT", "q", "body", "ID", "i")
    token = client("QUEUE.TAKE", "q", "w")[0]["token"]
    effect = ["IF", "PRESENT", "go", "THEN", "INCR", "done", "1"]
    equal(refused(client, "QUEUE.DONE", "q", "i", token, *effect).word, "MISMATCH")
    client("STATE.SET", "go", "")
    client("QUEUE.DONE", "q", "i", token, "RESULT", "r", *effect)
    equal(client("STATE.GET", "done")["value"], "1")
    client("QUEUE.DONE", "q", "i", token, "RESULT", "r", *effect)
    equal(refused(client, "QUEUE.DONE", "q", "i", token + 1, *effect).word, "LOST")
    equal(client("STATE.GET", "done")["value"], "1")


def test_what_comes_of_the_effect_is_told_with_the_end():
    client = Server().resp(3)
    for number in range(3):
        client("QUEUE.PUT", "q", "body", "ID", "i%d" % number, "RETENTION", 60000)
    items = client("QUEUE.TAKE", "q", "w", "COUNT", 3)
    claims = [("q", item["id"], item["token"]) for item in items]
    effect = ["IF", "ABSENT", "seen", "THEN", "SET", "seen", "yes", "INCR", "n", "2",
              "RANKADD", "top", "1.5", "ann", "DEL", "none", "ELSE", "GET", "seen"]
    done = client("QUEUE.DONE", *claims[0], "RESULT", "r", *effect)
    equal((done["id"], done["state"], done["held"], done["repeat"]), ("i0", "done", 1, 0))
    version = client("STATE.GET", "seen")["version"]
    equal(done["results"], [
        {"name": "seen", "version": version, "value": "yes"},
        {"name": "n", "version": version + 1, "value": "2"}, "1.5", {"name": "none", "version": 0}])
    other = client("QUEUE.DONE", *claims[1], *effect)
    equal((other["held"], other["results"]), (0, done["results"][:1]))
    # What is said again is not done again, and was told the first time.
    again = client("QUEUE.DONE", *claims[0], "RESULT", "r", *effect)
    equal((again["repeat"], "held" in again, "results" in again), (1, False, False))
    plain = client("QUEUE.DONE", *claims[2])
    equal("results" in plain, False)


def test_an_effect_that_cannot_be_leaves_the_item_taken():
    server = Server("--max-items", "10")
    client = server.resp(3)
    token = client("LOCK.ACQUIRE", "l", "me", 15000)["token"]
    client("STATE.SET", "text", "no number")
    client("QUEUE.PUT", "q", "body", "ID", "i")
    claim = ("q", "i", client("QUEUE.TAKE", "q", "w")[0]["token"])
    many = [word for n in range(129) for word in ("SET", "n%d" % n, "v")]
    for word, told, effect in (
            ("MISMATCH", "text has version 2 (if 2: text)",
             ["IF", "PRESENT", "text", "IF", "VERSION", "text", "1", "THEN", "SET", "a", "1"]),
            ("MISMATCH", "gone is not set (if 1: gone)",
             ["IF", "PRESENT", "gone", "THEN", "SET", "a", "1"]),
            ("STALE", "any more (guard 2: l)",
             ["GUARD", "l", token, "GUARD", "l", token - 1, "THEN", "SET", "a", "1"]),
            ("NOTFOUND", "nothing is known of it (guard 1: unknown)",
             ["GUARD", "unknown", token, "THEN", "SET", "a", "1"]),
            ("INVALID", "no whole number of 64 bits (then 2: text)",
             ["THEN", "SET", "a", "1", "INCR", "text", "1"]),
            ("INVALID", "no whole number of 64 bits (else 1: text)",
             ["IF", "ABSENT", "text", "THEN", "SET", "a", "1", "ELSE", "INCR", "text", "1"]),
            ("INVALID", "changes a register or member once (then 2: a)",
             ["THEN", "SET", "a", "1", "DEL", "a"]),
            ("STALE", "bind: this token is not that of a hold of the lock any more (then 1: a)",
             ["THEN", "SET", "a", "1", "BIND", "l", token + 1]),
            ("INVALID", "at most 128 operations", ["THEN", *many]),
            ("INVALID", "THEN is missing", ["IF", "PRESENT", "text"]),
            ("INVALID", "RESULT", ["THEN", "SET", "a", "1", "RESULT", "r"])):
        error = refused(client, "QUEUE.DONE", *claim, *effect)
        equal(error.word, word)
        contains(str(error), told)
        equal(client("QUEUE.STAT", "q", "ID", "i")["state"], "taken")
    equal(client("STATE.GET", "a"), None)
    # The same is told of a transaction alone; of a single operation there is no more to say.
    error = refused(client, "STATE.TXN", "GUARD", "l", token - 1, "THEN", "SET", "a", "1")
    contains(str(error), "any more (guard 1: l)")
    error = refused(client, "STATE.SET", "a", "1", "GUARD", "l", token - 1)
    assert str(error).endswith("any more"), error
    done = client("QUEUE.DONE", *claim, "GUARD", "l", token, "THEN", "SET", "a", "1")
    equal((done["state"], done["held"], done["results"][0]["value"]), ("done", 1, "1"))


def test_limits_of_the_server():
    server = Server("--max-keys", "3", "--max-key-bytes", "64K")
    client = server.resp(3)
    client("STATE.SET", "a", "x" * 65000)
    equal(refused(client, "STATE.SET", "b", "x" * 1000).word, "TOOMANY")
    client("STATE.SET", "b", "1")
    equal(client("RANK.ADD", "r", "1", "ann"), 1)
    error = refused(client, "STATE.SET", "c", "1")
    equal(error.word, "TOOMANY")
    contains(str(error), "the limit of the server for shared state is reached")
    equal(refused(client, "RANK.ADD", "r", "2", "bob").word, "TOOMANY")
    # What does not grow goes on, and so does what makes room.
    client("STATE.SET", "b", "2")
    equal(client("RANK.ADD", "r", "CH", "3", "ann"), 1)
    http = Http(server)
    answer = http("PUT", "/v1/state/c", {"value": "1"})
    equal((answer.status, answer.json["code"]), (429, "too_many"))
    told = http.get("/v1/server").json
    equal((told["limits"]["keys"], told["limits"]["key_bytes"]), (3, 65536))
    equal((told["registers"], told["ranks"], told["members"], told["key_bytes"]),
          (2, 1, 1, 65004))
    client("STATE.DEL", "a")
    client("STATE.SET", "c", "1" * 1000)


def test_numbers_are_told():
    server = Server()
    client, waiter, listener = server.resp(3), server.resp(3), server.resp(3)
    client("STATE.SET", "a", "one")
    client("STATE.SET", "a", "three")
    client("STATE.SET", "b", "")
    client("RANK.ADD", "r", "1", "ann", "2", "bob")
    client("RANK.ADD", "s", "1", "ann")
    client("RANK.REM", "s", "ann")
    listener("SUBSCRIBE", "news")
    listener("PSUBSCRIBE", "n*")
    watcher = server.resp(3)
    watcher("EVENTS.FOLLOW", "PREFIX", "a")
    waiter.send("STATE.WAIT", "b", client("STATE.GET", "b")["version"], 20000)
    equal((client("PUBLISH", "news", "m"), client("PUBLISH", "other", "m")), (2, 0))
    http = Http(server)
    has_wait = "tenure_register_waiters 1\n"
    wait_for(lambda: has_wait in http.get("/metrics").body.decode(), "the wait")
    text = http.get("/metrics").body.decode()
    for line in ("tenure_registers 2", "tenure_ranks 1", "tenure_rank_members 2",
                 "tenure_key_bytes 11", "tenure_followers 1",
                 "tenure_channels 1", "tenure_patterns 1", "tenure_subscriptions 2",
                 "tenure_messages_published_total 2", "tenure_messages_delivered_total 2",
                 "tenure_listeners_overflowed_total 0", 'tenure_events_total{kind="set"} 3',
                 'tenure_events_total{kind="ranked"} 3', 'tenure_events_total{kind="unranked"} 1'):
        contains(text, line + "\n")
    assert int(text.split("\ntenure_key_history_bytes ")[1].split()[0]) >= len("one"), text
    client("RANK.REM", "r", "ann", "bob")
    contains(http.get("/metrics").body.decode(), "tenure_ranks 0\n")


def test_ranks_are_in_order():
    client = Server().resp()
    equal(client("RANK.ADD", "r", "10", "ann", "7.5", "bob", "-1", "cat"), 3)
    equal(client("RANK.ADD", "r", "CH", "8", "bob", "10", "ann"), 1)
    equal(client("RANK.ADD", "r", "GT", "3", "bob"), 0)
    equal(client("RANK.RANGE", "r", 0, -1), ["cat", "-1", "bob", "8", "ann", "10"])
    equal(client("RANK.RANGE", "r", 0, 0, "REV"), ["ann", "10"])
    equal(client("RANK.INCR", "r", "2.25", "bob"), "10.25")
    equal(client("RANK.POSITION", "r", "bob"), 2)
    equal(client("RANK.POSITION", "r", "bob", "REV"), 0)
    equal(client("RANK.POSITION", "r", "nobody"), None)
    equal(client("RANK.SCORE", "r", "ann"), "10")
    equal(client("RANK.BYSCORE", "r", "(10", "inf"), ["bob", "10.25"])
    equal(client("RANK.BYSCORE", "r", "-inf", "inf", "REV", "LIMIT", 1, 1), ["ann", "10"])
    equal(client("RANK.COUNT", "r"), 3)
    equal(client("RANK.COUNT", "r", "0", "10"), 1)
    equal(client("RANK.REM", "r", "ann", "nobody"), 1)
    equal(client("RANK.TRIM", "r", 0, 0), 1)
    equal(client("RANK.RANGE", "r", 0, -1), ["bob", "10.25"])
    equal(refused(client, "RANK.ADD", "r", "inf", "x").word, "INVALID")
    equal(refused(client, "RANK.ADD", "r", "NX", "GT", "1", "x").word, "INVALID")


def test_state_is_there_after_a_crash():
    server = Server()
    client = server.resp()
    for number in range(200):
        client("STATE.SET", "k%d" % number, "v%d" % number)
        client("RANK.ADD", "r", number % 7, "m%d" % number)
    client("STATE.DEL", "k3")
    client("STATE.APPEND", "k4", "+")
    version = pairs(client("STATE.GET", "k5"))["version"]
    server.kill()
    server.start()
    client = server.resp()
    equal(client("STATE.GET", "k3"), None)
    equal(pairs(client("STATE.GET", "k4"))["value"], "v4+")
    equal(pairs(client("STATE.GET", "k5"))["version"], version)
    equal(client("RANK.COUNT", "r"), 200)
    names = [pairs(view)["name"] for view in client("STATE.LIST", "LIMIT", 1000)[1]]
    equal(len(names), 199)
    equal(names, sorted(names))


def test_a_watch_has_no_gap_and_goes_on_where_it_was():
    server = Server()
    writer, watcher = server.resp(), server.resp()
    equal(watcher("EVENTS.FOLLOW", "SINCE", 0, "PREFIX", "job/", "PREVIOUS")[0], "follow")
    for number in range(50):
        writer("STATE.SET", "job/1", "v%d" % number)
        writer("STATE.SET", "other", "x")
    last = None
    for number in range(50):
        event = pairs(watcher.read()[1])
        equal(event["value"], "v%d" % number)
        equal(event.get("previous"), None if number == 0 else "v%d" % (number - 1))
        last = event["seq"]
    watcher.close()
    writer("STATE.DEL", "job/1")
    writer("STATE.SET", "job/2", "x", "TTL", 100)
    again = server.resp()
    again("EVENTS.FOLLOW", "SINCE", last, "PREFIX", "job/", "TYPES", "set,unset")
    events = [pairs(again.read()[1]) for _ in range(3)]
    equal([e["kind"] for e in events], ["unset", "set", "unset"])
    equal([e.get("cause") for e in events], ["removed", None, "expired"])


def test_a_watcher_that_reads_late_misses_nothing():
    server = Server()
    writer, watcher = server.resp(), server.resp()
    watcher("EVENTS.FOLLOW", "SINCE", 0)
    filler = "x" * 20000
    # More than the server keeps for a connection, and than fits on the way.
    for number in range(800):
        writer("STATE.SET", "a", "%d %s" % (number, filler))
    for number in range(800):
        event = pairs(watcher.read()[1])
        equal((event["seq"], event["value"].split(" ")[0]), (number + 1, str(number)))


def test_what_is_no_longer_remembered_is_said():
    server = Server("--window-bytes", "65536")
    client = server.resp()
    for _ in range(40):
        client("STATE.SET", "a", "x" * 10000)
    follower = server.resp()
    follower("EVENTS.FOLLOW", "SINCE", 1)
    equal(follower.read()[0], "compacted")


def test_channels_in_resp2():
    server = Server()
    listener, speaker = server.resp(), server.resp()
    equal(listener("SUBSCRIBE", "a", "b"), ["subscribe", "a", 1])
    equal(listener.read(), ["subscribe", "b", 2])
    equal(listener("PSUBSCRIBE", "a*"), ["psubscribe", "a*", 3])
    equal(speaker("PUBLISH", "a", b"\x00\xff"), 2)
    equal(listener.read()[:2], ["message", "a"])
    equal(listener.read()[:3], ["pmessage", "a*", "a"])
    equal(speaker("PUBLISH", "nobody", "x"), 0)
    equal(listener("PING"), ["pong", ""])
    contains(str(refused(listener, "STATE.GET", "a")), "only (P|S)SUBSCRIBE")
    equal(sorted(speaker("PUBSUB", "CHANNELS")), ["a", "b"])
    equal(speaker("PUBSUB", "CHANNELS", "[a]"), ["a"])
    equal(speaker("PUBSUB", "NUMSUB", "a", "c"), ["a", 1, "c", 0])
    equal(speaker("PUBSUB", "NUMPAT"), 1)
    equal(listener("UNSUBSCRIBE", "a"), ["unsubscribe", "a", 2])
    equal(listener("UNSUBSCRIBE"), ["unsubscribe", "b", 1])
    equal(listener("UNSUBSCRIBE"), ["unsubscribe", None, 1])
    equal(listener("PUNSUBSCRIBE"), ["punsubscribe", "a*", 0])
    equal(listener("STATE.GET", "a"), None)
    listener("SUBSCRIBE", "a")
    listener.close()
    wait_for(lambda: speaker("PUBLISH", "a", "x") == 0, "the end of a listener")


def test_channels_in_resp3():
    client = Server().resp(3)
    client.send("SUBSCRIBE", "a")
    answer = client.read()
    equal((type(answer), list(answer)), (Push, ["subscribe", "a", 1]))
    client.send("PUBLISH", "a", "x")
    equal(list(client.read()), ["message", "a", "x"])
    equal(client.read(), 1)
    equal(client("PUBSUB", "NUMSUB", "a", "b"), ["a", 1, "b", 0])  # no map: so does Redis
    equal(client("PING"), "PONG")
    equal(client("STATE.INCR", "n"), 1)


def test_a_listener_that_does_not_read_is_cut_off():
    server = Server()
    listener, speaker = server.resp(), server.resp()
    listener("SUBSCRIBE", "a")
    told = 0
    for _ in range(200):
        told = speaker("PUBLISH", "a", "x" * 1000000)
        if told == 0:
            break
    equal(told, 0)
    contains(Http(server).get("/metrics").body.decode(), "tenure_listeners_overflowed_total 1\n")


def test_a_server_that_goes_down_answers_who_waits():
    server = Server()
    client = server.resp()
    client.send("STATE.WAIT", "none", 0, 60000)
    other = server.resp()
    other("PING")
    server.stop()
    equal(refused(client.read).word, "DRAINING")


run()
