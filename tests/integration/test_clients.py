#!/usr/bin/python3
"""Clients that other people wrote, with their defaults: redis-cli, redis-py, ioredis."""

import os
import shutil
import subprocess

from lib import ROOT, Server, contains, equal, need, pairs, run, skip, wait_for

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
    grant = client.execute_command("LOCK.ACQUIRE", "a", "me", 15000)
    equal(grant[0], "token")
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
    equal(raw.execute_command("QUEUE.PUT", "q", body, "ID", "x")[:2], [b"id", b"x"])
    item = pairs(raw.execute_command("QUEUE.TAKE", "q", "me", "WAIT", 1000)[0])
    equal(item[b"body"], body)
    answer = raw.execute_command("QUEUE.DONE", "q", "x", item[b"token"], "RESULT", body)
    equal(pairs(answer)[b"state"], b"done")
    equal(client.execute_command("QUEUE.TAKE", "q", "me"), [])
    by_socket = redis.Redis(unix_socket_path=server.socket_path)
    equal(by_socket.execute_command("LOCK.RELEASE", "a", "me", grant[1]), [b"released"])


def test_redis_py_listens_and_publishes():
    if redis is None:
        skip("no redis-py")
    server = Server()
    client = redis.Redis("127.0.0.1", server.port, decode_responses=True)
    listener = client.pubsub(ignore_subscribe_messages=True)
    listener.subscribe("news/a")
    listener.psubscribe("news/*")
    wait_for(lambda: client.publish("news/a", "one") == 2, "two subscriptions")
    told = []
    wait_for(lambda: told.append(listener.get_message(timeout=1)) or
             len([m for m in told if m is not None]) >= 2, "the messages")
    equal({m["type"] for m in told if m is not None}, {"message", "pmessage"})
    equal(client.pubsub_numsub("news/a"), [("news/a", 1)])
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
    modules = os.path.join(ROOT, "bench", "node", "node_modules")
    if shutil.which("node") is None or not os.path.isdir(os.path.join(modules, "ioredis")):
        skip("no ioredis; `npm ci` in bench/node brings it")
    server = Server()
    done = subprocess.run(
        ["node", "-e", IOREDIS, "--", str(server.port)],
        capture_output=True, timeout=30, check=False, text=True,
        env=dict(os.environ, NODE_PATH=modules),
    )
    equal(done.stdout.split("\n")[:-1], ["PONG", "token true", "HELD", "100", "released",
                                          "true", "done", "quit"])


def test_ioredis_listens_and_publishes():
    modules = os.path.join(ROOT, "bench", "node", "node_modules")
    if shutil.which("node") is None or not os.path.isdir(os.path.join(modules, "ioredis")):
        skip("no ioredis; `npm ci` in bench/node brings it")
    done = subprocess.run(
        ["node", "-e", IOREDIS_STATE, "--", str(Server().port)],
        capture_output=True, timeout=30, check=False, text=True,
        env=dict(os.environ, NODE_PATH=modules),
    )
    equal(done.stdout.split("\n")[:-1], [
        "2 3", "2", "message a x, pmessage a* a x", "a b", "1 0", "PONG", "5 6", "quit"])


run()
