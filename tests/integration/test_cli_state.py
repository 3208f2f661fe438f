"""tenure get, set, cas, incr, del, rank, publish, subscribe, and what watch tells of them."""

import json

from cli import start, tenure
from lib import Server, contains, equal, run, wait_for

ANY = bytes(range(256)) * 4


def done(answer):
    """It went well; what was printed."""
    equal((answer[0], answer[2]), (0, ""))
    return answer[1]


def fails(answer, code, text):
    equal((answer[0], answer[1]), (code, ""))
    contains(answer[2], text)


def version(answer):
    return int(done(answer))


def hold(server, name="mover"):
    """A hold until it is released: its token, and the words that end it."""
    lease = json.loads(done(tenure(server, "acquire", "--json", "--ttl", "60s", name)))
    token = str(lease["tokens"][0])
    return token, ["release", "--owner", lease["owner"], "--token", token, name]


# ---------------------------------------------------------------------- registers


def test_set_and_get():
    server = Server()
    fails(tenure(server, "get", "a"), 66, "not set")
    first = version(tenure(server, "set", "a", "one"))
    equal(done(tenure(server, "get", "a")), "one")
    second = version(tenure(server, "set", "a", "two"))
    assert second > first
    equal(version(tenure(server, "get", "--version", "a")), second)
    equal(done(tenure(server, "del", "a")), "")
    fails(tenure(server, "del", "a"), 66, "not set")
    fails(tenure(server, "get", "a"), 66, "not set")
    assert version(tenure(server, "set", "a", "")) > second
    equal(done(tenure(server, "get", "a")), "")


def test_values_are_any_bytes():
    server = Server()
    version(tenure(server, "set", "bytes", stdin=ANY))
    reader = start(server, "get", "bytes")
    equal(reader.stdout.read(), ANY)
    equal(reader.wait(10), 0)
    assert "value_base64" in json.loads(done(tenure(server, "get", "--json", "bytes")))
    version(tenure(server, "set", "--append", "log", stdin=b"a\0"))
    version(tenure(server, "set", "--append", "log", stdin=b"b"))
    reader = start(server, "get", "log")
    equal(reader.stdout.read(), b"a\0b")
    equal(reader.wait(10), 0)
    version(tenure(server, "set", "large", stdin=b"x" * 1048576))
    fails(tenure(server, "set", "large", stdin=b"x" * 1048577), 66, "more than 1048576 bytes")


def test_conditions():
    server = Server()
    fails(tenure(server, "set", "--if-present", "a", "x"), 75, "a is not set")
    first = version(tenure(server, "set", "--if-absent", "a", "x"))
    fails(tenure(server, "set", "--if-absent", "a", "y"), 75, "a has version %d\n" % first)
    second = version(tenure(server, "cas", "a", str(first), "y"))
    fails(tenure(server, "cas", "a", str(first), "z"), 75, "a has version %d\n" % second)
    fails(tenure(server, "cas", "a", "0", "z"), 75, "a has version")
    version(tenure(server, "cas", "b", "0", "new"))
    fails(tenure(server, "del", "--version", str(first), "a"), 75, "a has version")
    equal(done(tenure(server, "get", "a")), "y")
    equal(done(tenure(server, "del", "--version", str(second), "a")), "")


def test_numbers():
    server = Server()
    equal(done(tenure(server, "incr", "n")), "1\n")
    equal(done(tenure(server, "incr", "--by", "41", "n")), "42\n")
    equal(done(tenure(server, "incr", "--by=-50", "n")), "-8\n")
    version(tenure(server, "set", "text", "x"))
    fails(tenure(server, "incr", "text"), 64, "no whole number")
    fails(tenure(server, "incr", "--by", "1.5", "n"), 64, "no whole number")
    version(tenure(server, "set", "n", str(2**63 - 1)))
    fails(tenure(server, "incr", "n"), 64, "")
    equal(done(tenure(server, "get", "n")), str(2**63 - 1))


def test_guards_refuse_who_has_lost_the_lock():
    server = Server()
    fails(tenure(server, "set", "--guard=mover=5", "a", "x"), 66, "nothing is known")
    token, release = hold(server)
    guard = "--guard=mover=" + token
    version(tenure(server, "set", guard, "a", "x"))
    equal(done(tenure(server, "get", guard, "a")), "x")
    done(tenure(server, *release))
    fails(tenure(server, "set", guard, "a", "late"), 79, "token")
    fails(tenure(server, "incr", guard, "n"), 79, "token")
    fails(tenure(server, "del", guard, "a"), 79, "token")
    fails(tenure(server, "get", guard, "a"), 79, "token")
    equal(done(tenure(server, "get", "a")), "x")
    fails(tenure(server, "set", "--guard", "a", "x"), 64, "under which hold?")
    fails(tenure(server, "set", "--guard=mover", "a", "x"), 64, "write LOCK=TOKEN")


def test_a_command_of_run_is_guarded_by_its_hold():
    server = Server()
    env = {"TENURE_NAME": "mover", "TENURE_TOKEN": hold(server)[0]}
    version(tenure(server, "set", "--guard", "a", "x", env=env))
    version(tenure(server, "set", "--bind", "here", "x", env=env))
    equal(json.loads(done(tenure(server, "get", "--json", "here")))["lock"], "mover")


def test_what_is_bound_vanishes_with_its_hold():
    server = Server()
    token, release = hold(server)
    version(tenure(server, "set", "--bind=mover=" + token, "here", "x"))
    done(tenure(server, *release))
    fails(tenure(server, "get", "here"), 66, "not set")
    version(tenure(server, "set", "--ttl", "200ms", "short", "x"))
    wait_for(lambda: tenure(server, "get", "short")[0] == 66, "its end")


def test_waiting_for_a_change():
    server = Server()
    waiter = start(server, "get", "-w", "20", "a")
    first = version(tenure(server, "set", "a", "one"))
    equal((waiter.wait(10), waiter.stdout.read()), (0, b"one"))
    waiter = start(server, "get", "-w", "20", "--past", str(first), "a")
    version(tenure(server, "set", "a", "two"))
    equal((waiter.wait(10), waiter.stdout.read()), (0, b"two"))
    fails(tenure(server, "get", "-w", "0.1", "--past", "999", "a"), 75, "has not changed")


def test_lists():
    server = Server()
    for n in range(250):
        version(tenure(server, "set", "x/%03d" % n, str(n))) if n < 3 else None
    client = server.resp()
    for n in range(250):
        client("STATE.SET", "x/%03d" % n, str(n))
    client("STATE.SET", "y", "z")
    lines = done(tenure(server, "get", "--prefix", "x/", "--json")).splitlines()
    equal([json.loads(line)["value"] for line in lines], [str(n) for n in range(250)])
    equal(len(done(tenure(server, "get", "--prefix", "")).splitlines()), 252)


def test_wrong_words():
    cases = (
        (["get"], "which register?"),
        (["get", "a", "b"], "too many"),
        (["get", "a\n"], "control characters"),
        (["set"], "which register?"),
        (["set", "-f", "x", "a", "b"], "the value is given"),
        (["cas", "a"], "which register?"),
        (["cas", "a", "new", "b"], "no version"),
        (["rank", "ad", "r"], "add, incr, del, get or ls"),
        (["rank", "add", "r", "1"], "add, incr, del, get or ls"),
        (["rank", "add", "r", "much", "ann"], "no finite number"),
        (["rank", "add", "r", "nan", "ann"], "no finite number"),
        (["watch", "--exact"], "of which name?"),
        (["publish"], "on which channel?"),
        (["subscribe"], "to which channel?"),
    )
    server = Server()
    for words, text in cases:
        fails(tenure(server, *words), 64, text)


# ---------------------------------------------------------------------- ranks


def test_ranks():
    server = Server()
    equal(done(tenure(server, "rank", "add", "top", "5", "ann", "3", "bob")), "2\n")
    equal(done(tenure(server, "rank", "incr", "top", "4.5", "bob")), "7.5\n")
    equal(done(tenure(server, "rank", "add", "--if-higher", "top", "1", "bob")), "0\n")
    equal(done(tenure(server, "rank", "add", "top", "--", "-1e300", "eve")), "1\n")

    def ls(*words):
        lines = done(tenure(server, "rank", "ls", "--json", *words, "top")).splitlines()
        return [tuple(json.loads(line).values()) for line in lines]

    equal(ls(), [(0, "eve", -1e300), (1, "ann", 5), (2, "bob", 7.5)])
    equal(ls("-r", "-n", "1"), [(0, "bob", 7.5)])
    equal(ls("--min", "5", "--max", "6"), [(None, "ann", 5)])
    equal(json.loads(done(tenure(server, "rank", "get", "-r", "--json", "top", "ann"))),
          {"position": 1, "member": "ann", "score": 5})
    done(tenure(server, "rank", "del", "top", "ann"))
    fails(tenure(server, "rank", "del", "top", "ann"), 66, "no such member")
    fails(tenure(server, "rank", "get", "top", "ann"), 66, "no such member")


# ---------------------------------------------------------------------- watch


def events(server, *words):
    return [json.loads(line)
            for line in done(tenure(server, "watch", "--json", *words)).splitlines()]


def test_a_watch_from_the_first_event_on():
    server = Server()
    watch = start(server, "watch", "--json", "--since", "0", "-n", "2")
    version(tenure(server, "set", "a", "one"))
    version(tenure(server, "set", "b", "two"))
    told = [json.loads(watch.stdout.readline()) for _ in range(2)]
    equal([(event["seq"], event["name"]) for event in told], [(1, "a"), (2, "b")])
    equal(watch.wait(10), 0)


def test_a_watch_tells_what_was_before():
    server = Server()
    first = version(tenure(server, "set", "a", "one"))
    version(tenure(server, "set", "a", stdin=b"\xff"))
    version(tenure(server, "set", "ab", "other"))
    done(tenure(server, "del", "a"))
    (set_, unset) = events(server, "--since", str(first), "--exact", "--previous", "-n", "2", "a")
    equal((set_["kind"], set_["value_base64"], set_["previous"]), ("set", "/w==", "one"))
    equal((unset["kind"], unset["reason"], unset["previous_base64"]), ("unset", "removed", "/w=="))
    equal(events(server, "--since", str(first), "--types", "unset", "-n", "1")[0]["previous"], None)


def test_a_watch_of_what_is_forgotten_says_so():
    server = Server("--window-bytes", "64K")
    client = server.resp()
    for _ in range(400):
        client("STATE.SET", "a", "x" * 1000)
    answer = tenure(server, "watch", "--since", "1")
    fails(answer, 66, "no longer remembered")


def test_channels():
    server = Server()
    equal(done(tenure(server, "publish", "news", "nobody")), "0\n")
    listener = start(server, "subscribe", "-n", "2", "news")
    other = start(server, "subscribe", "--pattern", "--json", "-n", "1", "n*[!-w]s")
    wait_for(lambda: server.resp()("PUBSUB", "NUMPAT") == 1, "the pattern")
    wait_for(lambda: server.resp()("PUBSUB", "NUMSUB", "news")[1] == 1, "the channel")
    equal(done(tenure(server, "publish", "news", stdin=b"\0\xff")), "2\n")
    equal(done(tenure(server, "publish", "news", "second")), "1\n")
    equal((listener.wait(10), listener.stdout.read()), (0, b"\0\xff\nsecond\n"))
    equal(json.loads(other.stdout.readline()), {"channel": "news", "message_base64": "AP8="})
    equal(other.wait(10), 0)


def test_redis_has_none_of_it():
    for words in (["get", "a"], ["set", "a", "b"], ["rank", "ls", "r"], ["publish", "c", "m"],
                  ["subscribe", "c"], ["watch", "--since", "0"]):
        fails(tenure(None, *words, env={"TENURE_URL": "redis://127.0.0.1:1"}), 64, "")


if __name__ == "__main__":
    run()
