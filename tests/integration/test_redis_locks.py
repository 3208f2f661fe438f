#!/usr/bin/python3
"""Locks on real redis-servers: what survives, what is refused, and what people are told."""

import json
import os
import re
import shutil
import subprocess
import time

from lib import ROOT, contains, equal, is_readable, run, scratch, wait_for
from redis_cli import (
    OPTIONS, QUARANTINE_S, TTL_MAX_S, Child, acquire, await_votes, doctor, must, nodes, refused,
    show, start, tenure, token, took, uptime, verdict)
from redis_nodes import Nodes, Sentinel, tool

TTL_S = 1.5


def rising(*tokens):
    if list(tokens) != sorted(set(tokens)):
        raise AssertionError("tokens do not rise: %r" % (tokens,))


def ready(servers, *options, is_unix=False):
    """Its URL, when everybody votes: what starts here has never held a lock."""
    more = {"is_unix": is_unix} if is_unix else {}
    must(servers.url(OPTIONS, "new=yes", *options, **more), "ls")
    url = servers.url(OPTIONS, *options, **more)
    token(servers.url(OPTIONS, "new=yes", *options, **more), "first/use")
    return url


# ------------------------------------------------------------------ five servers

def test_the_story_of_five_servers():
    servers = Nodes(5)
    url = ready(servers)
    first = token(url, "story")

    servers.kill(3)
    servers.kill(4)
    second, took_s = took(token, url, "story")
    assert took_s < 1.5, "two servers are down, and it takes %.1f s" % took_s

    # The third: what runs cannot be renewed, and is stopped before its lease ends.
    child = Child(url, "story", scratch(), "--ttl", "%dms" % (TTL_S * 1000))
    time.sleep(TTL_S)
    killed_at = uptime()
    servers.kill(2)
    equal(child.wait(), 79)
    assert child.last() < killed_at + TTL_S, "it ran on behind its lease"
    told, took_s = took(refused, url, 69, "run", "--timeout", "1s", "--ttl", "1s", "-n", "story",
                        "--", "true")
    contains(told, "2 of 5 nodes vote")
    assert took_s < 2, "its deadline was 1 s, it took %.1f s" % took_s

    # They come back with nothing: no vote until that is safe.
    for index in (2, 3, 4):
        servers.restart_empty(index)
    restarted_at = time.monotonic()
    refused(url, 69, "run", "--timeout", "300ms", "--ttl", "1s", "-n", "story", "--", "true")
    code, lines = doctor(url, "--timeout", "300ms")
    equal(code, 1)
    standings = [line["standing"] for line in lines if line["check"] == "node"]
    equal(standings, ["admitted"] * 2 + ["quarantined"] * 3)
    for line in [line for line in lines if line["check"] == "node"][2:]:
        assert 0 < line["quarantine_ms"] <= QUARANTINE_S * 1000, line
        contains(line["text"], "may have forgotten")
    equal(verdict(lines, "nodes")["verdict"], "fail")

    # Then they are let in, and a second pair may die.
    third = token(url, "story")
    assert time.monotonic() - restarted_at > TTL_MAX_S, "a restarted server voted too early"
    await_votes(url, 5)
    servers.kill(0)
    servers.kill(1)
    fourth = token(url, "story")
    rising(first, second, third, fourth)


def test_a_hold_outlives_the_death_of_its_minority_and_heals():
    servers = Nodes(5)
    url = ready(servers)
    child = Child(url, "healing", scratch(), "--ttl", "600ms", "--label", "what=heal")
    wait_for(lambda: show(url, "healing")["holders"][0]["votes"] == 5, "all five votes")
    before = show(url, "healing")["holders"][0]
    # As if the clock of a server had jumped: it forgets the hold; the next renewal mends that.
    servers.expire_all(0, "healing")
    servers.cli(1, "DEL", "healing")
    eroded = must(url, "show", "healing")
    if "held on" in eroded:
        contains(eroded, "of 5 nodes")
    wait_for(lambda: show(url, "healing")["holders"][0]["votes"] == 5, "the votes to heal")
    after = show(url, "healing")["holders"][0]
    equal((after["owner"], after["token"]), (before["owner"], before["token"]))
    for index in (2, 3, 4):
        servers.cli(index, "DEL", "healing")
        wait_for(lambda: show(url, "healing")["holders"][0]["votes"] == 5, "the votes to heal")
    equal(show(url, "healing")["holders"][0]["meta"], before["meta"])
    equal(child.process.poll(), None)
    # What a majority has lost is lost.
    for index in (0, 1, 2):
        servers.cli(index, "DEL", "healing")
    equal(child.wait(), 79)


def test_erosion_is_shown():
    servers = Nodes(3)
    url = ready(servers)
    owner, token_held = acquire(url, "eroded", "--ttl", "2s")

    # Two votes are a grant, the third may never have been asked for: renewals mend that.
    def is_whole():
        must(url, "renew", "--owner", owner, "--token", str(token_held), "eroded")
        return show(url, "eroded")["holders"][0]["votes"] == 3

    wait_for(is_whole, "all votes", 2)
    servers.cli(1, "DEL", "eroded")
    contains(must(url, "show", "eroded"), "held on 2 of 3 nodes")
    contains(must(url, "ls"), "held on 2 of 3 nodes")
    equal(show(url, "eroded")["holders"][0]["votes"], 2)


def test_a_holder_that_had_waited_does_not_wait_where_its_vote_is_missing():
    servers = Nodes(3)
    url = ready(servers)
    first = Child(url, "line", scratch(), "--ttl", "600ms")
    waiter = start(url, "acquire", "--json", "--ttl", "2s", "--wait", "20s", "line",
                   stdout=subprocess.PIPE)
    wait_for(lambda: len(show(url, "line")["waiters"]) == 1, "the waiter")
    first.process.terminate()
    grant = json.loads(waiter.communicate(timeout=20)[0])
    equal(show(url, "line")["waiters"], [])
    servers.cli(1, "DEL", "line")
    equal(show(url, "line")["waiters"], [])
    equal(show(url, "line")["holders"][0]["token"], grant["tokens"][0])


def test_a_frozen_server_costs_no_time():
    servers = Nodes(3)
    url = ready(servers)
    token(url, "frozen")
    servers.stop(0)
    took_s = [took(token, url, "frozen")[1] for _ in range(5)]
    assert sorted(took_s)[2] < 0.6, took_s
    servers.cont(0)


def test_waiters_are_handed_the_lock_without_polling():
    servers = Nodes(3)
    url = ready(servers)
    folder = scratch()
    holder = Child(url, "handed", folder, "--ttl", "1s")
    waiter = start(url, "run", "--ttl", "1s", "handed", "--", "true")
    wait_for(lambda: show(url, "handed")["waiter_count"] == 1, "the waiter")
    time.sleep(0.3)
    equal(holder.stop(), 143)
    _, took_s = took(waiter.wait, 5)
    equal(waiter.returncode, 0)
    assert took_s < 0.4, "it took %.2f s" % took_s


# ------------------------------------------------------------------ amnesia

def test_a_server_that_restarts_does_not_vote_at_once():
    """A holds on 0, 1, 2; server 2 restarts with nothing; B must not get 2, 3, 4."""
    servers = Nodes(5)
    url = ready(servers)
    servers.stop(3)
    servers.stop(4)
    _, first = acquire(url, "amnesia", "--ttl", "2s")
    servers.cont(3)
    servers.cont(4)
    servers.restart_empty(2)
    equal(servers.holders("amnesia").count(None), 3)
    begun = time.monotonic()
    while time.monotonic() - begun < 1.0:
        code, _, _ = tenure(url, "run", "--timeout", "300ms", "--ttl", "1s", "-n", "amnesia", "--",
                            "true")
        assert code in (69, 75), "exit %d while somebody else holds it" % code
    rising(first, token(url, "amnesia"))


def test_a_server_that_forgets_nothing_votes_at_once():
    servers = Nodes(1, is_durable=True)
    url = ready(servers)
    owner, first = acquire(url, "durable", "--ttl", "2s")
    servers.restart(0)
    must(url, "renew", "--ttl", "2s", "--owner", owner, "--token", first, "durable")
    refused(url, 75, "run", "-n", "--ttl", "1s", "durable", "--", "true")
    must(url, "release", "--owner", owner, "--token", first, "durable")
    _, took_s = took(token, url, "durable")
    assert took_s < 1, "a server that forgets nothing was in quarantine for %.1f s" % took_s


def test_a_flushed_server_does_not_vote_at_once():
    """FLUSHALL: the process is the same, its memory is gone."""
    servers = Nodes(3)
    url = ready(servers)
    servers.stop(2)
    _, first = acquire(url, "flushed", "--ttl", "2s")
    servers.cont(2)
    servers.cli(1, "FLUSHALL")
    code, _, _ = tenure(url, "run", "--timeout", "300ms", "--ttl", "1s", "-n", "flushed", "--",
                        "true")
    assert code in (69, 75), "exit %d while somebody else holds it" % code
    rising(first, token(url, "flushed"))


# ------------------------------------------------------------------ who may be asked together

def test_two_addresses_of_one_server_are_refused():
    servers = Nodes(2)
    ports = [node.port for node in servers.each()]
    url = "redis://127.0.0.1:%d,localhost:%d,127.0.0.1:%d" % (ports[0], ports[0], ports[1])
    told = refused(url + "?new=yes&" + OPTIONS, 64, "run", "--ttl", "1s", "--timeout", "2s", "x",
                   "--", "true")
    contains(told, "same server")
    told = refused("redis://127.0.0.1:1,127.0.0.1:1,127.0.0.1:2", 64, "ls")
    contains(told, "servers 1 and 2 are the same")


def test_an_even_number_of_servers_is_refused():
    told = refused("redis://127.0.0.1:1,127.0.0.1:2", 64, "ls")
    contains(told, "name 1, 3, 5 or 7")


def test_clients_that_disagree_about_the_servers_are_refused():
    """Three of five, and five of them: two majorities that need not meet."""
    servers = Nodes(5)
    addresses = [node.address for node in servers.each()]
    three = "redis://%s?%s" % (",".join(addresses[:3]), OPTIONS)
    token(three + "&new=yes", "n")
    told = refused(servers.url(OPTIONS, "new=yes"), 64, "run", "--ttl", "1s", "--timeout", "2s",
                   "n", "--", "true")
    contains(told, "another set")
    other = "redis://%s?ttl-max=3s" % ",".join(addresses[:3])
    contains(refused(other, 64, "run", "--ttl", "1s", "--timeout", "2s", "n", "--", "true"),
             "another set")
    token(three, "n")


def test_the_order_of_the_addresses_does_not_matter():
    servers = Nodes(3)
    url = ready(servers)
    addresses = [node.address for node in servers.each()]
    first = token(url, "order")
    other = "redis://%s?%s" % (",".join(reversed(addresses)), OPTIONS)
    rising(first, token(other, "order"))


# ------------------------------------------------------------------ what a store promises

def class_of(url):
    return json.loads(must(url, "server", "--json"))["safety"]


def test_the_class_of_a_store_is_told():
    equal(class_of(Nodes(1).url()), "volatile")
    equal(class_of(Nodes(1, is_durable=True).url()), "durable-single")
    equal(class_of(Nodes(3).url()), "quorum")
    lossy = Nodes(1, is_durable=True, config=["maxmemory-policy allkeys-lru"])
    equal(class_of(lossy.url()), "volatile")


def test_a_policy_that_throws_locks_away_is_warned_of():
    servers = Nodes(3)
    servers.cli(1, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    url = ready(servers)
    verdicts = [(n["verdict"], n["eviction_policy"]) for n in nodes(url)]
    equal(verdicts, [("ok", "noeviction"), ("warn", "allkeys-lru"), ("ok", "noeviction")])
    contains(nodes(url)[1]["text"], "maxmemory-policy noeviction")


def test_more_safety_than_there_is_is_refused():
    url = ready(Nodes(1))
    told = refused(url, 64, "run", "--ttl", "1s", "--min-safety", "quorum", "x", "--", "true")
    contains(told, "volatile")
    must(url, "run", "--ttl", "1s", "--min-safety", "volatile", "x", "--", "true")
    must(ready(Nodes(3)), "run", "--ttl", "1s", "--min-safety", "quorum", "x", "--", "true")


def test_a_unix_socket():
    servers = Nodes(3)
    url = ready(servers, is_unix=True)
    contains(url, "redis+unix:///")
    token(url, "socket")
    single = Nodes(1)
    token("redis+unix://%s?new=yes&%s" % (single[0].server.socket_path, OPTIONS), "socket")


# ------------------------------------------------------------------ TLS, users

def test_tls_and_a_user_with_the_least_rights():
    servers = Nodes(3, is_tls=True, has_user=True, keys=["locks/*"])
    url = ready_for_locks(servers)
    # All that the command line can do.
    child = Child(url, "locks/a", scratch(), "--ttl", "1s")
    waiter = start(url, "run", "--ttl", "1s", "locks/a", "--", "true")
    wait_for(lambda: show(url, "locks/a")["waiter_count"] == 1, "the waiter")
    contains(must(url, "ls"), "locks/a")
    watcher = start(url, "watch", "locks/")
    equal(child.stop(), 143)
    equal(waiter.wait(10), 0)
    _, first = acquire(url, "locks/b", "--ttl", "2s")
    must(url, "break", "--token", first, "--reason", "test", "--grace", "0", "-y", "locks/b")
    # Who watches begins in the background.
    wait_for(lambda: token(url, "locks/c") and is_readable(watcher.stdout, 0.1), "an event")
    contains(watcher.stdout.readline().decode(), "locks/")
    # What its keys do not cover is denied, with advice.
    told = refused(url, 77, "run", "--ttl", "1s", "-n", "--timeout", "2s", "other", "--", "true")
    contains(told, "~NAME")
    for line in nodes(url):
        equal(line["standing"], "admitted")


def ready_for_locks(servers):
    """As ready(), where only some names may be used."""
    token(servers.url(OPTIONS, "new=yes"), "locks/first")
    return servers.url(OPTIONS)


def test_each_right_of_the_user_is_needed():
    """What is called is allowed, and what is allowed is called."""
    servers = Nodes(1, has_user=True)
    url = ready(servers)
    child = Child(url, "a", scratch(), "--ttl", "600ms")
    waiter = start(url, "run", "--ttl", "1s", "a", "--", "true")
    wait_for(lambda: show(url, "a")["waiter_count"] == 1, "the waiter")
    watcher = start(url, "watch")
    time.sleep(0.5)
    must(url, "ls")
    child.stop()
    equal(waiter.wait(10), 0)
    watcher.terminate()
    stats = servers.cli(0, "INFO", "commandstats")
    called = {match for match in re.findall(r"^cmdstat_(\S+?):", stats, re.MULTILINE)}
    allowed = {word[1:] for word in tool.RIGHTS.split() if word.startswith("+")}
    ours = {"auth"}  # of this test
    equal(sorted(called - allowed - ours), [])
    # One that stops to listen but goes on is rare.
    equal(sorted(allowed - called - {"unsubscribe"}), [])


def test_the_rights_are_documented():
    with open(os.path.join(ROOT, "docs", "redis.md"), encoding="utf-8") as file:
        page = file.read()
    for rights in (tool.RIGHTS, tool.SENTINEL_RIGHTS):
        for word in rights.split():
            contains(re.sub(r"\s+", " ", page), " %s " % word)
    shown = re.findall(r"^ {6}(\+\w.*)$", page, re.MULTILINE)
    allowed = (tool.RIGHTS + " " + tool.SENTINEL_RIGHTS).split()
    equal([word for word in " ".join(shown).split() if word not in allowed], [])


def test_rights_that_hosters_refuse_can_be_missing():
    servers = Nodes(1, has_user=True, is_durable=True)
    url = ready(servers)
    equal(class_of(url), "durable-single")
    servers.cli(0, "ACL", "SETUSER", "tenure", "-config|get", "-pubsub|numsub")
    token(url, "x")
    equal(class_of(url), "volatile")


def test_a_right_that_the_scripts_need_may_not():
    # Only a lock that somebody waits for asks for the time; it is found out before.
    servers = Nodes(1, has_user=True)
    url = ready(servers)
    servers.cli(0, "ACL", "SETUSER", "tenure", "-time")
    told = refused(url, 77, "run", "--ttl", "1s", "--timeout", "2s", "x", "--", "true")
    contains(told, "docs/redis.md")


def test_a_wrong_password_is_denied():
    servers = Nodes(3, has_user=True)
    url = servers.url().replace(servers.path("password"), servers.path("wrong"))
    with open(servers.path("wrong"), "w", encoding="ascii") as file:
        file.write("guess\n")
    told = refused(url, 77, "run", "--ttl", "1s", "--timeout", "2s", "x", "--", "true")
    contains(told, "password is wrong")
    bare = "redis://" + ",".join(node.address for node in servers.each())
    told = refused(bare, 77, "run", "--ttl", "1s", "--timeout", "2s", "x", "--", "true")
    contains(told, "wants a password")


def test_a_certificate_of_somebody_else_is_refused():
    servers = Nodes(3, is_tls=True)
    stranger = os.path.join(scratch(), "tls")
    tool.make_certificates(stranger)
    url = servers.url().replace(servers.path("tls", "ca.crt"), os.path.join(stranger, "ca.crt"))
    told = refused(url, 69, "run", "--ttl", "1s", "--timeout", "1s", "x", "--", "true")
    contains(told, "certificate")
    plain = "redis://" + ",".join(node.address for node in servers.each())
    refused(plain, 69, "run", "--ttl", "1s", "--timeout", "1s", "x", "--", "true")


def test_a_certificate_of_the_client_is_shown():
    servers = Nodes(1, is_client_cert=True)
    url = ready(servers)
    token(url, "x")
    bare = url.split("&cert-file")[0]
    refused(bare, 69, "run", "--ttl", "1s", "--timeout", "1s", "x", "--", "true")


def test_no_password_is_shown():
    servers = Nodes(1, has_user=True)
    url = servers.url().split("?")[0].replace("tenure@", "tenure:%s@" % servers.setup.password)
    url += "?new=yes&" + OPTIONS
    _, out, err = tenure(url, "doctor")
    assert servers.setup.password not in out + err
    contains(out, "tenure@127.0.0.1")
    contains(out, "may acquire and release")  # within the longest lease of the URL
    servers.kill(0)
    _, out, err = tenure(url, "run", "--ttl", "1s", "--timeout", "300ms", "x", "--", "true")
    assert servers.setup.password not in out + err


def test_a_password_in_an_argument_is_refused():
    told = refused("redis://127.0.0.1:1", 64, "ls", "--url", "redis://me:secret@127.0.0.1:1")
    contains(told, "?password-file=PATH")
    assert "secret" not in told
    slashed = "redis://me:sec/ret@127.0.0.1:1"
    told = refused("redis://127.0.0.1:1", 64, "ls", "--url", slashed)
    contains(told, "?password-file=PATH")
    assert "ret@" not in told
    bare = "redis://me@127.0.0.1:1"
    refused("redis://127.0.0.1:1", 69, "ls", "--timeout", "300ms", "--url", bare)


# ------------------------------------------------------------------ Sentinel

def test_no_token_falls_in_a_failover():
    """The replica that is promoted has not heard of the last grant."""
    servers = Sentinel()
    url = ready(servers)
    equal(class_of(url), "replicated-async")
    tokens = [token(url, "failover") for _ in range(3)]
    servers.stop("2")
    owner, last = acquire(url, "failover", "--ttl", "2s")
    acquired_at = time.monotonic()
    tokens.append(last)
    servers.kill("1")
    servers.cont("2")
    equal(servers.wait_for_failover("1"), "2")
    # It does not know who holds it, so it does not vote before every lease is over.
    while time.monotonic() - acquired_at < 1.9:
        code, _, _ = tenure(url, "run", "-n", "--timeout", "200ms", "--ttl", "1s", "failover", "--",
                            "true")
        assert code in (69, 75), "exit %d while %s holds it" % (code, owner)
    tokens.append(token(url, "failover"))
    equal(nodes(url)[0]["address"], servers.nodes["2"].address)
    servers.restart("1")
    tokens.append(token(url, "failover"))
    rising(*tokens)


def test_a_run_survives_a_failover_or_is_stopped_in_time():
    servers = Sentinel()
    url = ready(servers)
    child = Child(url, "run", scratch(), "--ttl", "2s")
    killed_at = uptime()
    servers.kill("1")
    servers.wait_for_failover("1")
    equal(child.wait(), 79)
    assert child.last() < killed_at + 2, "it ran on behind its lease"
    token(url, "run")


def test_sentinels_with_users_and_tls():
    servers = Sentinel(is_tls=True, has_user=True)
    url = ready(servers)
    token(url, "x")
    told = refused(url.replace("/tenure?", "/nobody?"), 69, "run", "--ttl", "1s", "--timeout",
                   "1s", "x", "--", "true")
    contains(told, "no master named nobody")


def test_one_sentinel_of_three_is_enough_of_none():
    """A minority of Sentinels is not believed: they may be on the wrong side of a partition."""
    servers = Sentinel()
    url = ready(servers)
    servers.kill("s1")
    token(url, "x")
    servers.kill("s2")
    refused(url, 69, "run", "--ttl", "1s", "--timeout", "500ms", "x", "--", "true")


# ------------------------------------------------------------------ what Redis says

def hurt_one_and_all(hurt, heal, code, advice, name="hurt"):
    """One server of three that says no costs nothing; when all of them do, it is told why."""
    servers = Nodes(3)
    url = ready(servers)
    token(url, name)
    hurt(servers, 1)
    token(url, name)
    for index in (0, 2):
        hurt(servers, index)
    told, took_s = took(refused, url, code, "run", "--ttl", "1s", "--timeout", "700ms", "-n", name,
                        "--", "true")
    contains(told, advice)
    assert took_s < 2.0, "its deadline was 700 ms, it took %.1f s" % took_s
    for index in range(3):
        heal(servers, index)
    token(url, name)


def test_out_of_memory():
    hurt_one_and_all(
        lambda servers, index: servers.cli(index, "CONFIG", "SET", "maxmemory", "1"),
        lambda servers, index: servers.cli(index, "CONFIG", "SET", "maxmemory", "0"),
        69, "maxmemory: raise it")


def test_a_disk_that_cannot_be_written():
    def hurt(servers, index):
        shutil.rmtree(servers.path(str(index + 1), "data"))
        servers.cli(index, "CONFIG", "SET", "save", "1 1")
        servers.cli(index, "BGSAVE")
        wait_for(lambda: "rdb_last_bgsave_status:err" in servers.cli(index, "INFO", "persistence"),
                 "a failed save")

    def heal(servers, index):
        servers.cli(index, "CONFIG", "SET", "stop-writes-on-bgsave-error", "no")

    hurt_one_and_all(hurt, heal, 69, "cannot write to its disk")


def test_a_master_that_becomes_a_replica():
    other = Nodes(1)

    def hurt(servers, index):
        servers.cli(index, "REPLICAOF", "127.0.0.1", other[0].port)

    servers = Nodes(3)
    url = ready(servers)
    token(url, "replica")
    hurt(servers, 1)
    token(url, "replica")
    hurt(servers, 0)
    told = refused(url, 69, "run", "--ttl", "1s", "--timeout", "700ms", "-n", "replica", "--",
                   "true")
    contains(told, "replica")


def test_a_script_that_does_not_end():
    busy = []

    def hurt(servers, index):
        servers.cli(index, "CONFIG", "SET", "busy-reply-threshold", "50")
        other = type(servers[index])(servers.setup, str(index + 1))
        other.process = servers[index].process
        try:
            other.cli("PING")
            other.connection.send("EVAL", "while true do end", "0")
        finally:
            busy.append(other)
        time.sleep(0.15)

    def heal(servers, index):
        servers.cli(index, "SCRIPT", "KILL")

    hurt_one_and_all(hurt, heal, 69, "SCRIPT KILL")
    equal(len(busy), 3)


def test_a_key_that_is_no_lock():
    servers = Nodes(3)
    url = ready(servers)
    for index in range(3):
        servers.cli(index, "RPUSH", "list", "a")
    told = refused(url, 64, "run", "--ttl", "1s", "--timeout", "2s", "-n", "list", "--", "true")
    contains(told, "some other program uses it")
    token(url, "beside")
    equal(servers.cli(0, "LRANGE", "list", 0, -1), ["a"])


def test_scripts_that_were_flushed():
    servers = Nodes(3)
    url = ready(servers)
    child = Child(url, "flush", scratch(), "--ttl", "600ms")
    waiter = start(url, "run", "--ttl", "1s", "flush", "--", "true")
    wait_for(lambda: show(url, "flush")["waiter_count"] == 1, "the waiter")
    for index in range(3):
        servers.cli(index, "SCRIPT", "FLUSH")
    time.sleep(1.5)
    equal(child.process.poll(), None)
    for index in range(3):
        servers.cli(index, "SCRIPT", "FLUSH")
    equal(child.stop(), 143)
    equal(waiter.wait(5), 0)


def test_a_server_that_still_loads_its_data():
    servers = Nodes(1, config=["dbfilename dump.rdb"])
    url = ready(servers)
    for index in range(600):
        servers.cli(0, "SET", "key%d" % index, "x")
    servers.cli(0, "SAVE")
    servers.kill(0)
    with open(servers.path("1", "redis.conf"), "a", encoding="ascii") as file:
        file.write("key-load-delay 3000\nloading-process-events-interval-bytes 1024\n")
    servers[0].spawn()
    wait_for(lambda: "LOADING" in (servers[0].server.ask("PING") or ""), "it to load", 5)
    told = refused(url, 69, "run", "--ttl", "1s", "--timeout", "400ms", "-n", "x", "--", "true")
    contains(told, "reading its data")
    token(url, "x")


def test_no_flood_of_questions_while_a_server_says_no():
    """It is asked again, but not as fast as it can answer."""
    servers = Nodes(1)
    url = ready(servers)
    servers.cli(0, "CONFIG", "SET", "maxmemory", "1")
    servers.cli(0, "CONFIG", "RESETSTAT")
    refused(url, 69, "run", "--ttl", "1s", "--timeout", "1s", "-n", "x", "--", "true")
    count = int(servers.cli(0, "INFO", "stats").split("total_commands_processed:")[1].split()[0])
    assert count < 500, "%d commands in a second" % count


run()
