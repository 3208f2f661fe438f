"""tenure queue: its words for people and for programs, and what they do."""

import json
import os
import re
import shutil
import time

from cli import start, tenure
from http_client import Http
from lib import ROOT, Server, contains, equal, run, scratch, skip, wait_for
from test_cli_look import manual


def queue(server, *words, **options):
    return tenure(server, "queue", *words, **options)


def done(answer):
    """It went well; what was printed."""
    equal((answer[0], answer[2]), (0, ""))
    return answer[1]


def fails(answer, code, text):
    equal((answer[0], answer[1]), (code, ""))
    contains(answer[2], text)


def put(server, *words):
    return done(queue(server, "put", *words)).strip()


def items(server, *words):
    return [json.loads(line) for line in done(queue(server, "ls", "--json", *words)).splitlines()]


def take(server, *words):
    """The assignments that a script gets."""
    out = done(queue(server, "take", *words))
    return dict(re.findall(r"(?m)^(TENURE_\w+)='(.*)'$", out))


# ---------------------------------------------------------------------- put


def test_put_and_look():
    server = Server()
    equal(put(server, "--id", "a", "--group", "acme", "--priority", "9", "q", "hello"), "a")
    equal(put(server, "q"), "_2")
    (first, second) = items(server, "q")
    equal((first["id"], first["state"], first["group"], first["priority"]),
          ("a", "ready", "acme", 9))
    equal((second["id"], second["group"], second["attempts"]), ("_2", None, 0))
    equal(done(queue(server, "peek", "--body", "q", "a")), "hello")
    contains(done(queue(server, "peek", "q")), "id        a\nstate     ready\ngroup     acme\n")
    equal(json.loads(done(queue(server, "put", "--json", "--id", "a", "q", "other"))),
          {"id": "a", "state": "ready", "repeat": True})
    equal(done(queue(server, "peek", "--body", "q", "a")), "hello")
    fails(queue(server, "peek", "q", "nobody"), 66, "there is no such item")
    fails(queue(server, "peek", "empty"), 66, "there is no such item")
    fails(queue(server, "wait", "q", "nobody"), 66, "q has no item nobody: there never was one")
    fails(queue(server, "kick", "q", "nobody"), 66, "nobody: there is no such item")
    fails(queue(server, "purge", "-y", "--state", "dead", "empty"), 66,
          "nothing is known of a queue empty")


def test_bodies_from_files_and_lines():
    server = Server()
    path = os.path.join(scratch(), "body")
    with open(path, "wb") as file:
        file.write(b"a\0\xff")
    put(server, "-f", path, "q")
    equal(json.loads(done(queue(server, "peek", "--json", "q")))["body_base64"], "YQD/")
    text = "".join("line %d\n" % n for n in range(2500)) + "last"
    out = done(queue(server, "put", "--lines", "many", stdin=text.encode()))
    equal(len(set(out.split())), 2501)
    equal(done(queue(server, "peek", "--body", "many", out.split()[-1])), "last")
    equal(len(items(server, "--limit", "0", "--state", "ready", "many")), 2501)
    equal(len(items(server, "--limit", "7", "--state", "ready", "many")), 7)
    fails(queue(server, "put", "-f", "/nowhere", "q"), 66, "No such file")
    big = "x" * 300000 + "\n"
    done(queue(server, "put", "--lines", "big", stdin=(big * 9).encode()))
    equal(len(items(server, "big")), 9)


def test_times_to_begin():
    server = Server()
    put(server, "--delay", "1h", "q", "x")
    put(server, "--at", "2999-01-01T00:00:00Z", "q", "x")
    put(server, "--at", "1", "q", "x")
    states = sorted((i["state"], (i["run_at"] or "")[:4]) for i in items(server, "q"))
    equal(states[1:], [("delayed", "2999"), ("ready", "")])
    equal(states[0][0], "delayed")
    id = next(i["id"] for i in items(server, "--state", "delayed", "q"))
    done(queue(server, "kick", "q", id))
    equal(len(items(server, "--state", "ready", "q")), 2)
    fails(queue(server, "put", "--at", "soon", "q", "x"), 64, "'soon' is no time")
    put(server, "--expire", "100ms", "q2", "x")
    wait_for(lambda: not items(server, "--state", "ready", "q2"), "its expiry")


def test_unique_keys():
    server = Server()
    first = put(server, "--unique", "k", "q", "1")
    equal(put(server, "--unique", "k", "q", "2"), first)
    other = put(server, "--unique", "k", "--on-conflict", "replace", "q", "3")
    assert other != first
    equal([i["id"] for i in items(server, "--state", "ready", "q")], [other])
    env = take(server, "q")
    equal(put(server, "--unique", "k", "q", "4"), other)
    kept = put(server, "--unique", "k", "--on-conflict", "keep-last", "q", "5")
    assert kept not in (first, other)
    equal(done(queue(server, "done", env=env)), "")
    equal(done(queue(server, "peek", "--body", "q")), "5")
    started = put(server, "--unique", "s", "--until", "started", "r", "1")
    take(server, "r")
    assert put(server, "--unique", "s", "--until", "started", "r", "2") != started
    window = put(server, "--unique", "w", "--window", "1h", "t", "1")
    equal(put(server, "--unique", "w", "--window", "1h", "t", "2"), window)


def test_wrong_words():
    cases = (
        (["put"], "into which queue?"),
        (["put", "q", "a", "b"], "too many"),
        (["put", "-f", "-", "q", "a"], "one of them"),
        (["put", "--lines", "--id", "x", "q"], "--lines puts many"),
        (["put", "--lines", "--wait", "1", "q"], "--wait waits for one"),
        (["put", "--until", "done", "q", "x"], "go with --unique"),
        (["put", "--unique", "k", "--until", "x", "q", "x"], "none of done, started"),
        (["put", "--unique", "k", "--until", "done", "--window", "1", "q", "x"], "exclude"),
        (["put", "--on-conflict", "x", "q", "x"], "none of ignore"),
        (["put", "--delay", "1", "--at", "5", "q", "x"], "exclude"),
        (["put", "--priority", "10", "q", "x"], "from 0 to 9"),
        (["take"], "from which queue?"),
        (["done", "q"], "an item has a queue and an id"),
        (["done"], "which item?"),
        (["done", "q", "i"], "which take of it?"),
        (["done", "--token", "x", "q", "i"], "which take of it?"),
        (["ls", "--state", "busy", "q"], "none of delayed, ready"),
        (["ls", "--state", "dead"], "of which queue?"),
        (["purge", "q"], "which state?"),
        (["purge", "--state", "taken", "q"], "which state?"),
        (["purge", "--state", "dead", "q"], "give --yes"),
        (["limit", "--per", "1", "q"], "--per and --burst go with --rate"),
        (["stat", "--check", "old=1", "q"], "write oldest=60s"),
        (["stat", "--check", "oldest=x", "q"], "write oldest=60s"),
        (["kick", "q"], "which item?"),
        (["putt"], "did you mean `tenure queue put`?"),
        (["florble"], "`tenure help queue` lists them"),
    )
    for words, text in cases:
        code, out, err = queue(None, *words)
        equal((words, code, out), (words, 64, ""))
        contains(err, text)
    equal(queue(None)[0], 64)


# ---------------------------------------------------------------------- by hand


def test_a_script_takes_and_ends():
    server = Server()
    put(server, "--retain", "1h", "--headers", "it's", "q", "body")
    out = done(queue(server, "take", "--lease", "1m", "q"))
    env = dict(re.findall(r"(?m)^(TENURE_\w+)='(.*)'$", out))
    equal((env["TENURE_QUEUE"], env["TENURE_ID"], env["TENURE_LEASE_MS"]), ("q", "_1", "60000"))
    contains(out, "TENURE_HEADERS='it'\\''s'\n")
    env.pop("TENURE_HEADERS")
    equal(done(queue(server, "extend", "--progress", "half", env=env)), "")
    equal(items(server, "q")[0]["note"], "half")
    remaining = json.loads(done(queue(server, "extend", "--json", "--lease", "5m", env=env)))
    assert 299000 < remaining["remaining_ms"] <= 300000, remaining
    equal(done(queue(server, "done", "--result", "-", env=env, stdin=b"it worked")), "")
    equal(done(queue(server, "wait", "q", "_1")), "it worked")
    equal(done(queue(server, "peek", "--result", "q", "_1")), "it worked")
    # Said again it is answered as it was.
    equal(queue(server, "done", env=env)[0], 0)
    fails(queue(server, "fail", env=env), 79, "")


def test_who_has_lost_an_item_changes_nothing():
    server = Server()
    put(server, "--lease", "200ms", "q", "x")
    first = take(server, "q")
    wait_for(lambda: items(server, "q")[0]["state"] == "ready", "the lapse")
    second = take(server, "--lease", "1m", "q")
    assert int(second["TENURE_TOKEN"]) > int(first["TENURE_TOKEN"])
    for word in ("done", "fail", "extend"):
        code, out, err = queue(server, word, env=first)
        equal((word, code), (word, 79))
    equal(items(server, "q")[0]["state"], "taken")
    equal(queue(server, "done", env=second)[0], 0)


def test_take_waits():
    server = Server()
    fails(queue(server, "take", "q"), 75, "nothing to take")
    begun = time.monotonic()
    fails(queue(server, "take", "-w", "0.3", "q", "r"), 75, "nothing to take")
    assert time.monotonic() - begun > 0.25
    taking = start(server, "queue", "take", "-w", "20", "--json", "q", "r")
    wait_for(lambda: '"waiting":1' in queue(server, "stat", "--json", "r")[1], "the take")
    put(server, "r", "x")
    equal(taking.wait(20), 0)
    item = json.loads(taking.stdout.read())
    equal((item["queue"], item["body"], item["state"]), ("r", "x", "taken"))


def test_an_item_that_cannot_be_told_is_given_back():
    server = Server()
    put(server, "q", "x")
    fails(queue(server, "take", "--body", "/nowhere/at/all", "q"), 74, "given back")
    wait_for(lambda: items(server, "q")[0]["state"] == "ready", "the item")
    equal(items(server, "q")[0]["attempts"], 0)


def test_failing():
    server = Server()
    put(server, "q", "x")
    code = queue(server, "fail", "--reason", "no luck", "--delay", "1h", env=take(server, "q"))[0]
    equal(code, 0)
    (item,) = items(server, "q")
    equal((item["state"], item["attempts"], item["note"]), ("delayed", 1, "no luck"))
    done(queue(server, "kick", "q", item["id"]))
    equal(queue(server, "fail", "--uncounted", "--delay", "0", env=take(server, "q"))[0], 0)
    equal(items(server, "q")[0]["attempts"], 1)
    equal(queue(server, "fail", "--dead", "--reason", "broken", env=take(server, "q"))[0], 0)
    (item,) = items(server, "q")
    equal((item["state"], item["note"]), ("dead", "broken"))
    fails(queue(server, "wait", "q", item["id"]), 1, "is dead: broken")


def test_cancelling():
    server = Server()
    id = put(server, "--retain", "1h", "q", "x")
    done(queue(server, "cancel", "--reason", "not now", "q", id))
    equal((items(server, "q")[0]["state"], items(server, "q")[0]["note"]), ("cancelled", "not now"))
    code, _, err = queue(server, "cancel", "q", "nobody", "none")
    equal(code, 66)
    equal(len(err.splitlines()), 2)
    put(server, "--retain", "1h", "r", "x")
    env = take(server, "r")
    done(queue(server, "cancel", "r", env["TENURE_ID"]))
    code, _, err = queue(server, "extend", env=env)
    equal(code, 75)
    contains(err, "cancelled the item")
    equal(queue(server, "fail", env=env)[0], 0)
    equal(items(server, "r")[0]["state"], "cancelled")


# ---------------------------------------------------------------------- administer


def dead(server, reason, name="q"):
    put(server, name, "x")
    equal(queue(server, "fail", "--dead", "--reason", reason, env=take(server, name))[0], 0)


def test_redrive_and_purge():
    server = Server()
    for reason in ("disk full", "disk broken", "other"):
        dead(server, reason)
    equal(done(queue(server, "redrive", "--reason", "disk", "--limit", "1", "q")), "1\n")
    equal(done(queue(server, "redrive", "--reason", "disk", "q")), "1\n")
    equal(len(items(server, "--state", "dead", "q")), 1)
    equal(len(items(server, "--state", "ready", "q")), 2)
    equal(done(queue(server, "purge", "-y", "--state", "dead", "q")), "1\n")
    equal(done(queue(server, "purge", "-y", "--state", "dead", "q")), "0\n")
    text = "x\n" * 2500
    done(queue(server, "put", "--lines", "many", stdin=text.encode()))
    equal(done(queue(server, "purge", "-y", "--state", "ready", "--limit", "1200", "many")),
          "1200\n")
    equal(done(queue(server, "purge", "-y", "--state", "ready", "many")), "1300\n")


def test_redrive_one_by_one_has_no_end_at_a_thousand():
    server = Server()
    client = server.resp(3)
    count = 1100
    done(queue(server, "put", "--lines", "q", stdin=b"x\n" * count))
    while True:
        taken = client("QUEUE.TAKE", "q", "w", "COUNT", 1000)
        if not taken:
            break
        for item in taken:
            client.send("QUEUE.BURY", "q", item["id"], item["token"])
        for _ in taken:
            client.read()
    equal(done(queue(server, "redrive", "--interval", "1m", "q")), "%d\n" % count)
    first, last = (client("QUEUE.STAT", "q", "ID", "_%d" % n)["run_at_ms"] for n in (2, count))
    assert abs(last - first - (count - 2) * 60000) < 20000


def test_who_waits_for_what_is_purged_is_told():
    server = Server()
    put(server, "--id", "a", "q", "x")
    waiting = start(server, "queue", "wait", "q", "a")
    wait_for(lambda: Http(server).get("/v1/server").json["takers"] == 1, "the wait")
    done(queue(server, "purge", "-y", "--state", "ready", "q"))
    equal(waiting.wait(20), 66)


def test_pause_resume_limit():
    server = Server()
    for group in ("a", "a", "b"):
        put(server, "--group", group, "q", group)
    done(queue(server, "pause", "q"))
    equal(queue(server, "take", "q")[0], 75)
    contains(done(queue(server, "ls")), "q (paused)")
    contains(done(queue(server, "stat", "q")), "paused       yes\n")
    done(queue(server, "resume", "q"))
    done(queue(server, "pause", "--group", "a", "q"))
    equal(take(server, "q")["TENURE_GROUP"], "b")
    equal(queue(server, "take", "q")[0], 75)
    done(queue(server, "resume", "--group", "a", "q"))
    done(queue(server, "limit", "--running", "1", "q"))
    equal(take(server, "q")["TENURE_GROUP"], "a")
    equal(queue(server, "take", "q")[0], 75)
    told = json.loads(done(queue(server, "stat", "--json", "q")))
    equal((told["ready"], told["taken"], told["limits"]["running_max"]), (1, 2, 1))
    told = json.loads(done(queue(server, "stat", "--json", "--group", "a", "q")))
    equal((told["group"], told["taken"]), ("a", 1))
    done(queue(server, "limit", "q"))
    equal(take(server, "q")["TENURE_GROUP"], "a")
    done(queue(server, "limit", "--waiting", "1", "w"))
    put(server, "w", "x")
    equal(queue(server, "put", "w", "x")[0], 69)
    fails(queue(server, "stat", "nobody"), 66, "nothing is known of nobody")


def test_checks_of_monitors():
    server = Server()
    put(server, "q", "x")
    equal(queue(server, "stat", "--check", "oldest=1h,ready=1,dead=0", "q"), (0, "", ""))
    fails(queue(server, "stat", "--check", "ready=0", "q"), 1, "1 are ready")
    wait_for(lambda: queue(server, "stat", "--check", "oldest=50ms", "q")[0] == 1, "its age")


def test_schedules():
    server = Server()
    done(queue(server, "schedule", "--zone", "Europe/Berlin", "reports", "nightly", "30 4 * * *"))
    done(queue(server, "schedule", "--group", "g", "reports", "hourly", "@hourly", "a body"))
    names = [line.split()[0] for line in done(queue(server, "schedule", "--list")).splitlines()]
    equal(sorted(names), ["hourly", "nightly"])
    # Set anew it takes the place.
    done(queue(server, "schedule", "--missed", "all", "reports", "hourly", "0 * * * *"))
    equal(len(done(queue(server, "schedule", "--list")).splitlines()), 2)
    done(queue(server, "schedule", "--remove", "hourly"))
    contains(done(queue(server, "schedule", "--list")), "nightly  ")
    fails(queue(server, "schedule", "--remove", "hourly"), 66, "there is no schedule hourly")
    for line in ("30 4 * *", "0 0 30 2 *", "61 * * * *", "nonsense"):
        equal((line, queue(server, "schedule", "q", "n", line)[0]), (line, 64))
    equal(queue(server, "schedule", "--zone", "Europe/Atlantis", "q", "n", "@daily")[0], 64)
    fails(queue(server, "schedule", "q", "n"), 64, "when, and what?")
    fails(queue(server, "schedule", "--missed", "x", "q", "n", "@daily"), 64, "none of once")


# ---------------------------------------------------------------------- help


def parts():
    usage = tenure(None, "help", "queue")[1].split("usage:\n")[1].partition("\n\n")[0]
    return re.findall(r"(?m)^  tenure queue ([a-z]+) ", usage)


def test_the_manual_page_says_what_the_help_of_each_part_says():
    if not shutil.which("mandoc"):
        skip("no mandoc")
    page = manual("tenure-queue.1")
    assert len(parts()) > 12
    for part in parts():
        text = queue(None, part, "--help")[1]
        equal(tenure(None, "help", "queue", part)[1], text)
        equal((part, [line for line in text.splitlines() if len(line) > 80]), (part, []))
        usage, _, rest = text.split("usage:\n")[1].partition("\n\n")
        contains(usage, "tenure queue %s " % part)
        for option in re.findall(r"(?m)^ .*?--([a-z-]+)", rest.partition("\n\n")[0]):
            assert re.search(r"--%s\b" % option, page), (part, option)


def test_the_examples_of_the_help_are_commands_there_are():
    for part in parts():
        text = queue(None, part, "--help")[1]
        for line in re.findall(r"(?m)^  (tenure queue .*)$", text.split("usage:")[0]):
            assert line.split()[2] in parts(), line


if __name__ == "__main__":
    run()
