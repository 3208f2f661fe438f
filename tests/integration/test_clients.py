#!/usr/bin/python3
"""Clients that other people wrote, with their defaults: redis-cli, redis-py, ioredis.

redis-py speaks RESP3 from version 5 on; $TENURE_TEST_REDIS_PY is where to find one that is not
installed (`pip install --target DIR redis`).  ioredis speaks RESP2.
"""

import json
import os
import shutil
import subprocess
import sys

from lib import (
    ROOT, RespError, Server, cleanup, contains, equal, need, pairs, run, skip, wait_for,
)

if "TENURE_TEST_REDIS_PY" in os.environ:
    sys.path.insert(0, os.environ["TENURE_TEST_REDIS_PY"])

try:
    import redis
except ImportError:
    redis = None


def redis_cli(server, *arguments, stdin=None):
    done = subprocess.run(
        ["redis-cli", "-p", str(server.port)] + list(arguments),
        input=stdin, capture_output=True, timeout=20, check=False, text=True,
    )
    return done.stdout


# ------------------------------------------------------------------ every command, by any client


def map_of(answer):
    """A map of RESP3, or the flat array that it is in RESP2."""
    return answer if isinstance(answer, dict) else pairs(answer)


class Words:
    """What a client is asked; `call` answers, or raises RespError."""

    def __init__(self, call):
        self.call = call
        self.used = set()

    def __call__(self, *words):
        self.used.add(words[0])
        return self.call(*words)

    def map(self, *words):
        return map_of(self(*words))

    def refusal(self, *words):
        try:
            answer = self(*words)
        except RespError as error:
            return error.word
        raise AssertionError("%r was not refused: %r" % (words, answer))


def all_of_queues(ask):
    equal(ask.map("QUEUE.PUT", "q", "body", "ID", "x", "GROUP", "g")["state"], "ready")
    many = ask("QUEUE.PUT", "q", "b1", "ID", "y", "AND", "b2", "ID", "z", "DELAY", 60000)
    equal([map_of(one)["outcome"] for one in many], ["ok", "ok"])
    counts = map_of(ask.map("QUEUE.STAT", "q")["counts"])
    equal((counts["ready"], counts["delayed"]), (2, 1))
    equal(ask.map("QUEUE.PEEK", "q", "ID", "x")["body"], "body")
    equal(ask("QUEUE.PEEK", "q", "STATE", "dead"), None)
    equal([map_of(i)["id"] for i in ask.map("QUEUE.LIST", "q", "ready")["items"]], ["x", "y"])
    equal([map_of(q)["name"] for q in ask.map("QUEUE.QUEUES", "PREFIX", "q")["queues"]], ["q"])
    equal(ask("QUEUE.TAKE", "none", "w", "WAIT", 20), [])
    [item] = [map_of(i) for i in ask("QUEUE.TAKE", "q", "w", "WAIT", 1000)]
    claim = ("q", item["id"], item["token"])
    equal((item["id"], item["body"]), ("x", "body"))
    equal(ask.map("QUEUE.EXTEND", *claim, "LEASE", 20000)["lease_ms"], 20000)
    equal(ask.map("QUEUE.PROGRESS", *claim, "half")["outcome"], "ok")
    equal(ask.map("QUEUE.FAIL", *claim, "REASON", "r", "DELAY", 0)["state"], "ready")
    equal(ask.refusal("QUEUE.DONE", *claim), "LOST")
    taken = [map_of(i) for i in ask("QUEUE.TAKE", "q", "w", "COUNT", 2)]
    claims = {i["id"]: ("q", i["id"], i["token"]) for i in taken}
    equal(set(claims), {"x", "y"})
    effect = ["IF", "ABSENT", "seen", "THEN", "INCR", "seen", "2", "RANKADD", "best", "1.5", "m"]
    done = ask.map("QUEUE.DONE", *claims["x"], "RESULT", "r", *effect)
    equal((done["state"], done["held"]), ("done", 1))
    equal((map_of(done["results"][0])["value"], done["results"][1]), ("2", "1.5"))
    equal(ask.refusal("QUEUE.DONE", *claims["y"], *effect), "MISMATCH")
    equal(ask.map("QUEUE.AWAIT", "q", "x", "WAIT", 1000)["result"], "r")
    equal(ask.map("QUEUE.BURY", *claims["y"], "REASON", "bad")["state"], "dead")
    equal(ask.map("QUEUE.KICK", "q", "z")["state"], "ready")
    equal(ask.map("QUEUE.CANCEL", "q", "z")["state"], "cancelled")
    equal(ask.map("QUEUE.REDRIVE", "q", "REASON", "ba"), {"count": 1, "more": 0, "cursor": None})
    equal(ask("QUEUE.PAUSE", "q"), "OK")
    equal(ask("QUEUE.TAKE", "q", "w"), [])
    equal(ask("QUEUE.RESUME", "q"), "OK")
    equal(ask("QUEUE.LIMIT", "q", "RUNNING", 3), "OK")
    equal(ask.map("QUEUE.PURGE", "q", "ready"), {"count": 1, "more": 0, "cursor": None})
    nightly = ask.map("QUEUE.SCHEDULE", "q", "nightly", "0 3 * * *", "UTC", "once", "report")
    equal(nightly["state"], "delayed")
    equal(ask.refusal("QUEUE.SCHEDULE", "q", "never", "0 0 30 2 *", "UTC", "once", "b"), "INVALID")


def all_of_state(ask):
    version = ask("STATE.SET", "a", "one", "NX")
    equal(ask.map("STATE.GET", "a"), {"name": "a", "version": version, "value": "one"})
    equal(ask("STATE.GET", "none"), None)
    equal(ask.refusal("STATE.CAS", "a", version + 1, "two"), "MISMATCH")
    version = ask("STATE.CAS", "a", version, "two")
    equal((ask("STATE.INCR", "n", "BY", 5), ask("STATE.INCR", "n", "BY", -6)), (5, -1))
    ask("STATE.APPEND", "a", "+three")
    changed, _, register = ask("STATE.WAIT", "a", version, 1000)
    equal((changed, map_of(register)["value"]), (1, "two+three"))
    held, results = ask("STATE.TXN", "IF", "PRESENT", "a", "THEN", "GET", "n", "RANKGET", "t", "m")
    equal((held, map_of(results[0])["value"], results[1]), (1, "-1", None))
    following, registers = ask("STATE.LIST", "PREFIX", "a")
    equal((following, [map_of(r)["name"] for r in registers]), ("", ["a"]))
    equal((ask("STATE.DEL", "a"), ask("STATE.DEL", "a")), (1, 0))


def all_of_ranks(ask):
    equal(ask("RANK.ADD", "r", "2", "b", "1.5", "a", "-1", "c"), 3)
    equal(ask("RANK.INCR", "r", "0.25", "a"), "1.75")
    equal((ask("RANK.SCORE", "r", "a"), ask("RANK.SCORE", "r", "z")), ("1.75", None))
    equal((ask("RANK.POSITION", "r", "a"), ask("RANK.POSITION", "r", "a", "REV")), (1, 1))
    equal(ask("RANK.RANGE", "r", 0, -1), ["c", "-1", "a", "1.75", "b", "2"])
    equal(ask("RANK.BYSCORE", "r", "(1.75", "inf"), ["b", "2"])
    equal(ask("RANK.COUNT", "r"), 3)
    equal(ask("RANK.LIST"), ["", ["best", 1, "r", 3]])
    equal(ask("RANK.LIST", "LIMIT", 1), ["best", ["best", 1]])
    equal((ask("RANK.REM", "r", "b", "z"), ask("RANK.TRIM", "r", 0, 0)), (1, 1))


def every_command(server, call):
    """What can be asked of queues and state is asked; nothing is left out."""
    ask = Words(call)
    all_of_queues(ask)
    all_of_state(ask)
    all_of_ranks(ask)
    names = {str(command[0]).upper() for command in server.resp()("COMMAND")}
    wanted = {name for name in names if name.split(".")[0] in ("QUEUE", "STATE", "RANK")}
    equal(ask.used, wanted)


def test_every_command_by_the_clients_of_these_tests():
    for version in (2, 3):
        server = Server()
        every_command(server, server.resp(version))


def redis_py(server, version, **options):
    """A client of redis-py that speaks this version of the protocol."""
    if redis is None:
        skip("no redis-py")
    if redis.VERSION >= (5,):
        options["protocol"] = version
    elif version == 3:
        skip("redis-py %s speaks RESP2 only" % redis.__version__)
    client = redis.Redis("127.0.0.1", server.port, **options)
    cleanup(client.close)
    return client


def every_command_by_redis_py(version):
    server = Server()
    client = redis_py(server, version, decode_responses=True)

    def call(*words):
        try:
            return client.execute_command(*words)
        except redis.ResponseError as error:
            raise RespError(str(error)) from error

    every_command(server, call)


def test_every_command_by_redis_py():
    every_command_by_redis_py(2)


def test_every_command_by_redis_py_in_resp3():
    every_command_by_redis_py(3)


# Reads a command a line, and writes the answer.
IOREDIS_CALLER = """
const Redis = require('ioredis');
const redis = new Redis(Number(process.argv[1]), '127.0.0.1');
require('readline').createInterface({ input: process.stdin }).on('line', line => {
  redis.call(...JSON.parse(line)).then(
    answer => console.log(JSON.stringify({ answer })),
    error => console.log(JSON.stringify({ error: error.message })));
}).on('close', () => redis.disconnect());
"""


def ioredis(server, script, **options):
    """Node runs the script with ioredis at hand."""
    modules = os.path.join(ROOT, "bench", "node", "node_modules")
    if shutil.which("node") is None or not os.path.isdir(os.path.join(modules, "ioredis")):
        skip("no ioredis; `npm ci` in bench/node brings it")
    process = subprocess.Popen(
        ["node", "-e", script, "--", str(server.port)],
        stdout=subprocess.PIPE, text=True, env=dict(os.environ, NODE_PATH=modules), **options)
    cleanup(process.stdout.close)
    cleanup(process.wait)
    cleanup(process.kill)
    return process


def test_every_command_by_ioredis():
    server = Server()
    node = ioredis(server, IOREDIS_CALLER, stdin=subprocess.PIPE)
    cleanup(node.stdin.close)

    def call(*words):
        node.stdin.write(json.dumps(words) + "\n")
        node.stdin.flush()
        told = json.loads(node.stdout.readline())
        if "error" in told:
            raise RespError(told["error"])
        return told["answer"]

    every_command(server, call)


# ------------------------------------------------------------------ each as it is used


def test_redis_cli():
    need("no redis-cli", "redis-cli", "--version")
    server = Server()
    equal(redis_cli(server, "ping").strip(), "PONG")
    lines = redis_cli(server, "lock.acquire", "a", "me", "15000").split("\n")
    equal(lines[0], "token")
    token = lines[1]
    equal(redis_cli(server, "lock.release", "a", "me", token).strip(), "released")
    contains(redis_cli(server, "-3", "lock.acquire", "a", "me", "15000"), "token")
    refusal = redis_cli(server, "--no-raw", "lock.acquire", "a", "you", "100")
    contains(refusal, "(error) HELD held by me")
    contains(redis_cli(server, "info"), "tenured_version")
    contains(redis_cli(server, "help", "lock.acquire"), "[SLOTS n]")
    equal(redis_cli(server, "queue.put", "q", "body", "id", "x").split("\n")[1], "x")
    contains(redis_cli(server, "-3", "queue.take", "q", "me"), "body")
    contains(redis_cli(server, "help", "queue.put"), "[ID id]")
    contains(redis_cli(server, stdin="ping\nlock.get none\necho behind\n"), "behind")


def test_redis_py():
    if redis is None:
        skip("no redis-py")
    server = Server()
    client = redis.Redis("127.0.0.1", server.port, decode_responses=True)
    equal(client.ping(), True)
    token = map_of(client.execute_command("LOCK.ACQUIRE", "a", "me", 15000))["token"]
    try:
        client.execute_command("LOCK.ACQUIRE", "a", "you", 15000)
        raise AssertionError("not refused")
    except redis.ResponseError as error:
        contains(str(error), "HELD held by me")
    pipeline = client.pipeline(transaction=False)
    for index in range(100):
        pipeline.execute_command("LOCK.ACQUIRE", "n%d" % index, "me", 15000)
    equal(len(pipeline.execute()), 100)
    contains(client.info(), "redis_version")
    equal(client.client_setname("worker"), True)
    equal(client.client_getname(), "worker")
    body = bytes(range(256))
    raw = redis.Redis("127.0.0.1", server.port)
    equal(map_of(raw.execute_command("QUEUE.PUT", "q", body, "ID", "x"))[b"id"], b"x")
    item = map_of(raw.execute_command("QUEUE.TAKE", "q", "me", "WAIT", 1000)[0])
    equal(item[b"body"], body)
    answer = raw.execute_command("QUEUE.DONE", "q", "x", item[b"token"], "RESULT", body)
    equal(map_of(answer)[b"state"], b"done")
    equal(client.execute_command("QUEUE.TAKE", "q", "me"), [])
    by_socket = redis.Redis(unix_socket_path=server.socket_path)
    equal(by_socket.execute_command("LOCK.RELEASE", "a", "me", token), [b"released"])


def test_redis_py_listens_and_publishes():
    listens_and_publishes(2)


def test_redis_py_listens_and_publishes_in_resp3():
    listens_and_publishes(3)


def listens_and_publishes(version):
    server = Server()
    client = redis_py(server, version, decode_responses=True)
    confirmed = client.pubsub()
    confirmed.subscribe("news/a", "news/b")
    confirmed.psubscribe("news/*")
    confirmed.unsubscribe("news/b")
    confirmed.unsubscribe("never")
    confirmed.punsubscribe()
    told = []
    wait_for(lambda: told.append(confirmed.get_message(timeout=1)) or len(told) >= 6, "all words")
    equal([(m["type"], m["channel"], m["data"]) for m in told], [
        ("subscribe", "news/a", 1), ("subscribe", "news/b", 2), ("psubscribe", "news/*", 3),
        ("unsubscribe", "news/b", 2), ("unsubscribe", "never", 2), ("punsubscribe", "news/*", 1)])
    equal((client.pubsub_channels(), client.pubsub_numpat()), (["news/a"], 0))
    if version == 2:  # in RESP3 it takes the text PONG for a message, letter by letter
        confirmed.ping()
        wait_for(lambda: (confirmed.get_message(timeout=1) or {}).get("type") == "pong", "a pong")
    confirmed.close()
    wait_for(lambda: client.pubsub_channels("news/*") == [], "the end")
    listener = client.pubsub(ignore_subscribe_messages=True)
    listener.subscribe("news/a")
    listener.psubscribe("news/*")
    wait_for(lambda: client.publish("news/a", "one") == 2, "two subscriptions")
    told = []
    wait_for(lambda: told.append(listener.get_message(timeout=1)) or
             len([m for m in told if m is not None]) >= 2, "the messages")
    messages = {m["type"]: (m["pattern"], m["channel"], m["data"]) for m in told if m is not None}
    equal(messages, {"message": (None, "news/a", "one"), "pmessage": ("news/*", "news/a", "one")})
    equal(client.pubsub_numsub("news/a", "none"), [("news/a", 1), ("none", 0)])
    equal(client.pubsub_numpat(), 1)
    listener.unsubscribe("news/a")
    listener.punsubscribe()
    listener.close()
    wait_for(lambda: client.publish("news/a", "x") == 0, "the end")


def test_redis_py_reads_and_writes_state():
    if redis is None:
        skip("no redis-py")
    client = redis.Redis("127.0.0.1", Server().port, decode_responses=True)
    version = client.execute_command("STATE.SET", "a", "one")
    try:
        client.execute_command("STATE.CAS", "a", version + 1, "two")
        raise AssertionError("not refused")
    except redis.ResponseError as error:
        contains(str(error), "MISMATCH a has version %d" % version)
    equal(client.execute_command("RANK.ADD", "r", 2, "b", 1.5, "a"), 2)
    equal(client.execute_command("RANK.RANGE", "r", 0, -1), ["a", "1.5", "b", "2"])


IOREDIS_STATE = """
const Redis = require('ioredis');
const make = () => new Redis(Number(process.argv[1]), '127.0.0.1');
(async () => {
  const speaker = make(), listener = make();
  const heard = [];
  const done = new Promise(resolve => {
    const hear = word => (...what) => {
      heard.push(word + ' ' + what.join(' '));
      if (heard.length === 2) resolve();
    };
    listener.on('message', hear('message'));
    listener.on('pmessage', hear('pmessage'));
  });
  console.log(await listener.subscribe('a', 'b'), await listener.psubscribe('a*'));
  console.log(await speaker.publish('a', 'x'));
  await done;
  console.log(heard.join(', '));
  console.log((await speaker.pubsub('CHANNELS')).sort().join(' '));
  console.log((await speaker.pubsub('NUMSUB', 'a', 'c')).join(' '), await speaker.pubsub('NUMPAT'));
  console.log(await listener.unsubscribe('a', 'b'), await listener.punsubscribe());
  console.log(await listener.ping());
  const five = await speaker.call('STATE.INCR', 'n', 'BY', 5);
  console.log(five, await listener.call('STATE.INCR', 'n'));
  await speaker.quit();
  await listener.quit();
  console.log('quit');
})();
"""


IOREDIS = """
const Redis = require('ioredis');
const redis = new Redis(Number(process.argv[1]), '127.0.0.1');
redis.on('error', e => { console.log('error', e.message); process.exit(1); });
(async () => {
  console.log(await redis.ping());
  const grant = await redis.call('LOCK.ACQUIRE', 'a', 'me', 15000);
  console.log(grant[0], Number.isSafeInteger(grant[1]));
  await redis.call('LOCK.ACQUIRE', 'a', 'you', 15000)
    .catch(e => console.log(e.message.split(' ')[0]));
  const take = i => redis.call('LOCK.ACQUIRE', 'n' + i, 'me', 15000);
  const all = await Promise.all([...Array(100).keys()].map(take));
  console.log(all.length);
  console.log((await redis.call('LOCK.RELEASE', 'a', 'me', grant[1]))[0]);
  await redis.call('QUEUE.PUT', 'q', Buffer.from([0, 255]), 'ID', 'x');
  const [item] = await redis.callBuffer('QUEUE.TAKE', 'q', 'me', 'WAIT', 1000);
  console.log(item[7].equals(Buffer.from([0, 255])));
  console.log((await redis.call('QUEUE.DONE', 'q', 'x', item[5]))[3]);
  await redis.quit();
  console.log('quit');
})();
"""


def test_ioredis():
    told, _ = ioredis(Server(), IOREDIS).communicate(timeout=30)
    equal(told.split("\n")[:-1], ["PONG", "token true", "HELD", "100", "released",
                                          "true", "done", "quit"])


def test_ioredis_listens_and_publishes():
    told, _ = ioredis(Server(), IOREDIS_STATE).communicate(timeout=30)
    equal(told.split("\n")[:-1], [
        "2 3", "2", "message a x, pmessage a* a x", "a b", "a 1 c 0 1", "1 0", "PONG", "5 6",
        "quit"])


run()
