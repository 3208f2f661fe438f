#!/usr/bin/python3
"""The Redis protocol: every command, RESP2 and RESP3, and how their answers look."""

import time

from lib import Server, contains, equal, pairs, refused, run, wait_for


def test_grant_is_a_flat_array_in_resp2_and_a_map_in_resp3():
    server = Server()
    two, three = server.resp(), server.resp(3)
    answer = two("LOCK.ACQUIRE", "a", "me", 15000)
    equal(answer[::2], ["token", "slot", "ttl_ms", "remaining_ms", "owner", "mode"])
    again = three("lock.acquire", "a", "me", "15000")
    equal(again["token"], pairs(answer)["token"])
    equal((again["owner"], again["mode"], again["slot"]), ("me", "exclusive", 0))
    assert 0 < again["remaining_ms"] <= 15000


def test_held_names_the_holder():
    client = Server().resp()
    client("LOCK.ACQUIRE", "a", "alice", 15000)
    error = refused(client, "LOCK.ACQUIRE", "a", "bob", 15000)
    equal(error.word, "HELD")
    contains(str(error), "held by alice for ")
    contains(str(error), "position 1")


def test_release_tells_how_the_hold_ended():
    client = Server().resp()
    token = pairs(client("LOCK.ACQUIRE", "a", "me", 15000))["token"]
    equal(client("LOCK.RELEASE", "a", "me", token), ["released"])
    equal(client("LOCK.RELEASE", "a", "me", token), ["released"])
    equal(client("LOCK.RELEASE", "a", "me", token + 1), ["not_owner"])
    short = pairs(client("LOCK.ACQUIRE", "a", "me", 100))["token"]
    wait_for(lambda: client("LOCK.GET", "a") is None, "the expiry")
    equal(client("LOCK.RELEASE", "a", "me", short), ["expired_unclaimed"])
    successor = pairs(client("LOCK.ACQUIRE", "a", "other", 15000))["token"]
    equal(client("LOCK.RELEASE", "a", "me", short), ["expired_taken", successor])
    assert successor > short > token


def test_renew_one_and_many():
    client = Server().resp(3)
    one = client("LOCK.ACQUIRE", "a", "me", 15000)["token"]
    two = client("LOCK.ACQUIRE", "b", "me", 0)
    equal(two["remaining_ms"], -1)
    answer = client("LOCK.RENEW", "a", "me", one, 20000)
    equal((answer["outcome"], answer["ttl_ms"]), ("ok", 20000))
    answers = client("LOCK.RENEW", "a", "me", one, 20000, "b", "me", two["token"] + 1, 20000)
    equal([a["outcome"] for a in answers], ["ok", "stale_token"])
    client("LOCK.RELEASE", "a", "me", one)
    lost = refused(client, "LOCK.RENEW", "a", "me", one, 20000)
    equal(lost.word, "LOST")
    contains(str(lost), "released")
    equal(refused(client, "LOCK.RENEW", "b", "me", one, 20000).word, "STALE")
    equal(refused(client, "LOCK.RENEW", "b", "nobody", one, 20000).word, "NOTOWNER")
    contains(str(refused(client, "LOCK.RENEW", "a", "me", one)), "usage")
    contains(str(refused(client, "LOCK.RENEW", "a", "me", one, 100, "b")), "four arguments")


def test_many_names_all_or_nothing():
    client = Server().resp(3)
    grants = client("LOCK.ACQUIRE", "a", "me", 15000, "AND", "b", "c")
    equal([g["name"] for g in grants], ["a", "b", "c"])
    equal(len({g["token"] for g in grants}), 3)
    error = refused(client, "LOCK.ACQUIRE", "x", "you", 15000, "AND", "b")
    equal(error.word, "HELD")
    contains(str(error), "b: held by me")
    equal(client("LOCK.GET", "x"), None)
    names = ["n%d" % i for i in range(32)]
    contains(str(refused(client, "LOCK.ACQUIRE", "x", "you", 100, "AND", *names)), "at most 32")


def test_shared_and_slots():
    client = Server().resp(3)
    equal(client("LOCK.ACQUIRE", "r", "one", 15000, "SHARED")["mode"], "shared")
    client("LOCK.ACQUIRE", "r", "two", 15000, "SHARED")
    equal(refused(client, "LOCK.ACQUIRE", "r", "three", 15000).word, "HELD")
    equal(refused(client, "LOCK.ACQUIRE", "r", "one", 15000).word, "DEADLOCK")
    slots = [client("LOCK.ACQUIRE", "s", "o%d" % i, 15000, "SLOTS", 3)["slot"] for i in range(3)]
    equal(slots, [0, 1, 2])
    equal(refused(client, "LOCK.ACQUIRE", "s", "o9", 15000, "SLOTS", 3).word, "HELD")
    equal(refused(client, "LOCK.ACQUIRE", "s", "o9", 15000, "SLOTS", 4).word, "LIMITMISMATCH")
    contains(str(refused(client, "LOCK.ACQUIRE", "t", "o", 100, "SHARED", "SLOTS", 2)), "exclude")


def test_break_and_its_grace():
    client = Server().resp(3)
    token = client("LOCK.ACQUIRE", "a", "me", 15000)["token"]
    equal(refused(client, "LOCK.BREAK", "a", token - 1, "wrong").word, "STALE")
    answer = client("LOCK.BREAK", "a", token, "operator", "GRACE", 5000)
    equal((answer["outcome"], answer["token"]), ("breaking", token))
    equal(client("LOCK.GET", "a")["holders"][0]["breaking"], 1)
    equal(client("LOCK.RENEW", "a", "me", token, 15000)["breaking"], 1)
    equal(client("LOCK.BREAK", "a", token, "now")["outcome"], "broken")
    equal(client("LOCK.RELEASE", "a", "me", token), ["broken"])
    equal(client("LOCK.HISTORY", "a")[0]["reason"], "now")


def test_get_list_history():
    server = Server()
    client, waiter = server.resp(3), server.resp(3)
    equal(client("LOCK.GET", "none"), None)
    client("LOCK.ACQUIRE", "dir/a", "me", 15000, "META", "text é")
    client("LOCK.ACQUIRE", "dir/b", "me", 15000)
    client("LOCK.ACQUIRE", "else", "you", 15000)
    waiter.send("LOCK.ACQUIRE", "dir/a", "late", 15000, "WAIT", 10000, "PRIORITY", 3,
                "META", "why é")
    seen = wait_for(
        lambda: (lambda l: l if l["waiter_count"] else None)(client("LOCK.GET", "dir/a")),
        "a waiter",
    )
    equal((seen["state"], seen["holders"][0]["meta"]), ("held", "text é"))
    equal([seen["waiters"][0][key] for key in ("owner", "priority", "meta")], ["late", 3, "why é"])
    listed = client("LOCK.LIST", "PREFIX", "dir/")
    equal([l["name"] for l in listed["locks"]], ["dir/a", "dir/b"])
    equal(listed["cursor"], None)
    equal([l["name"] for l in client("LOCK.LIST", "OWNER", "you")["locks"]], ["else"])
    equal([l["name"] for l in client("LOCK.LIST", "STATE", "waited")["locks"]], ["dir/a"])
    page = client("LOCK.LIST", "LIMIT", 2)
    equal([l["name"] for l in client("LOCK.LIST", "CURSOR", page["cursor"])["locks"]], ["else"])
    history = client("LOCK.HISTORY", "dir/a", "COUNT", 1)
    equal((history[0]["kind"], history[0]["owner"]), ("granted", "me"))


def test_election():
    server = Server()
    client, other, watch = server.resp(3), server.resp(3), server.resp(3)
    equal(client("ELECT.LEADER", "e")["leader"], None)
    token = client("ELECT.CAMPAIGN", "e", "one", 15000, "VALUE", "at:1")["token"]
    leader = watch("ELECT.LEADER", "e")
    equal((leader["leader"]["owner"], leader["leader"]["value"]), ("one", "at:1"))
    watch.send("ELECT.OBSERVE", "e", "SINCE", leader["seq"], "WAIT", 10000)
    assert watch.is_silent()
    equal(client("ELECT.PROCLAIM", "e", "one", token, "at:2"), "OK")
    leader = watch.read()
    equal(leader["leader"]["value"], "at:2")
    other.send("ELECT.CAMPAIGN", "e", "two", 15000, "VALUE", "at:3", "WAIT", 10000)
    wait_for(lambda: client("ELECT.LEADER", "e")["candidates"] == 1, "the candidate")
    answer = client("ELECT.TRANSFER", "e", "one", token, "two")
    granted = other.read()
    equal(answer, ["transferred", granted["token"]])
    equal(client("ELECT.RESIGN", "e", "two", granted["token"]), ["released"])
    begun = time.monotonic()
    seq = client("ELECT.OBSERVE", "e")["seq"]
    quiet = client("ELECT.OBSERVE", "e", "SINCE", seq, "WAIT", 200)
    equal((quiet["leader"], quiet["seq"]), (None, seq))
    assert time.monotonic() - begun >= 0.19


def test_observe_answers_once_and_later_commands_come_after_it():
    server = Server()
    client, watch = server.resp(3), server.resp(3)
    watch.send("ELECT.OBSERVE", "e", "WAIT", 10000)
    watch.send("ECHO", "behind")
    assert watch.is_silent()
    client("ELECT.CAMPAIGN", "e", "one", 15000)
    equal(watch.read()["leader"]["owner"], "one")
    equal(watch.read(), "behind")
    client("ELECT.CAMPAIGN", "e", "one", 15000)
    watch.send("ELECT.OBSERVE", "f", "WAIT", 10000)
    assert watch.is_silent()
    client("ELECT.CAMPAIGN", "f", "two", 15000)
    equal(watch.read()["leader"]["owner"], "two")


def test_follow_pushes_events():
    server = Server()
    client, follower = server.resp(3), server.resp(3)
    first = client("LOCK.ACQUIRE", "x/a", "me", 15000)["token"]
    equal(follower("EVENTS.FOLLOW", "SINCE", 0, "PREFIX", "x/"), ["follow", 0])
    event = follower.read()
    equal(event[0], "event")
    equal((event[1]["kind"], event[1]["name"], event[1]["token"]), ("granted", "x/a", first))
    client("LOCK.ACQUIRE", "y", "me", 15000)
    client("LOCK.RELEASE", "x/a", "me", first)
    event = follower.read()[1]
    equal((event["kind"], event["seq"]), ("released", 3))
    contains(str(refused(follower, "LOCK.GET", "x/a")), "follows events")
    equal(follower("PING"), "PONG")
    equal(follower("RESET"), "RESET")
    equal(follower("LOCK.GET", "none"), None)


def test_follow_in_resp2_by_kind():
    server = Server()
    client, follower = server.resp(), server.resp()
    equal(follower("EVENTS.FOLLOW", "TYPES", "released,expired"), ["follow", 0])
    token = pairs(client("LOCK.ACQUIRE", "a", "me", 15000))["token"]
    client("LOCK.RELEASE", "a", "me", token)
    word, event = follower.read()
    equal((word, pairs(event)["kind"]), ("event", "released"))
    equal(follower("PING"), ["pong", ""])
    error = refused(client, "EVENTS.FOLLOW", "TYPES", "nonsense")
    contains(str(error), "TYPES must be kinds of events")


def test_follow_sends_a_sign_of_life():
    follower = Server("--heartbeat-ms", "100").resp(3)
    follower("EVENTS.FOLLOW")
    equal(follower.read()[0], "heartbeat")


def test_follow_from_too_long_ago_is_told_and_closed():
    server = Server("--window-bytes", "64K")
    client, follower = server.resp(), server.resp(3)
    for index in range(600):
        client.send("LOCK.ACQUIRE", "n%d" % index, "o", 0, "META", "m" * 500)
    for index in range(600):
        client.read()
    follower.send("EVENTS.FOLLOW", "SINCE", 0)
    equal(follower.read(), ["follow", 0])
    equal(follower.read()[0], "compacted")
    assert follower.is_closed()


def test_follow_from_the_future_is_refused():
    client = Server().resp()
    equal(refused(client, "EVENTS.FOLLOW", "SINCE", 5).word, "COMPACTED")
    equal(client("PING"), "PONG")


def test_slow_follower_misses_nothing():
    server = Server()
    client, follower = server.resp(), server.resp(3)
    follower("EVENTS.FOLLOW", "SINCE", 0)
    count = 4000
    for index in range(count):
        client.send("LOCK.ACQUIRE", "n%d" % index, "o", 15000, "META", "m" * 600)
    for index in range(count):
        client.read()
    seqs = []
    while len(seqs) < count:
        word, event = follower.read()
        if word == "event":
            seqs.append(event["seq"])
    equal(seqs, list(range(1, count + 1)))


def test_what_clients_expect():
    client = Server().resp()
    equal(client("PING"), "PONG")
    equal(client("PING", "x"), "x")
    equal(client("ECHO", "x"), "x")
    equal(client("SELECT", "0"), "OK")
    equal(refused(client, "SELECT", "1").word, "ERR")
    equal(refused(client, "AUTH", "p").word, "ERR")
    equal(client("CLIENT", "SETNAME", "me"), "OK")
    equal(client("CLIENT", "GETNAME"), "me")
    equal(client("CLIENT", "SETINFO", "LIB-NAME", "x"), "OK")
    assert client("CLIENT", "ID") > 0
    contains(client("CLIENT", "LIST"), "name=me")
    contains(client("INFO"), "redis_version:")
    contains(client("INFO", "persistence"), "loading:0")
    hello = pairs(client("HELLO"))
    equal((hello["server"], hello["proto"]), ("tenured", 2))
    equal(client("HELLO", "3", "SETNAME", "you")["proto"], 3)
    equal(refused(client, "HELLO", "4").word, "NOPROTO")
    equal(client("RESET"), "RESET")
    equal(client("CLIENT", "GETNAME"), "")
    equal(pairs(client("HELLO", "2"))["proto"], 2)
    equal(client("QUIT"), "OK")
    assert client.is_closed()


def test_command_table():
    client = Server().resp(3)
    names = client("COMMAND", "LIST")
    equal(client("COMMAND", "COUNT"), len(names))
    rows = client("COMMAND")
    equal([row[0] for row in rows], names)
    assert all(len(row) == 10 for row in rows)
    info = client("COMMAND", "INFO", "lock.release", "nonsense")
    equal((info[0][0], info[0][1], info[1]), ("lock.release", 4, None))
    docs = client("COMMAND", "DOCS", "lock.acquire")
    arguments = docs["lock.acquire"]["arguments"]
    equal([a["name"] for a in arguments[:3]], ["name", "owner", "ttl-ms"])
    equal(arguments[3], {"name": "SHARED", "type": "pure-token", "display_text": "SHARED",
                         "token": "SHARED", "flags": ["optional"]})
    equal(arguments[4], {"name": "n", "type": "integer", "display_text": "n", "token": "SLOTS",
                         "flags": ["optional"]})
    equal((arguments[-1]["token"], arguments[-1]["flags"]), ("AND", ["optional", "multiple"]))
    block = client("COMMAND", "DOCS", "lock.renew")["lock.renew"]["arguments"][-1]
    equal((block["type"], len(block["arguments"])), ("block", 4))
    equal(len(client("COMMAND", "DOCS")), len(names))


def test_unix_socket():
    server = Server()
    grant = pairs(server.resp(is_unix=True)("LOCK.ACQUIRE", "a", "me", 15000))
    equal(pairs(server.resp()("LOCK.ACQUIRE", "a", "me", 15000))["token"], grant["token"])


run()
