#!/usr/bin/python3
"""Bytes: splits, pipelines, garbage, lengths that nobody can mean, and clients that go away."""

import os
import socket
import struct
import time

from http_client import Http
from lib import RespError, Server, contains, encode, equal, pairs, refused, run, wait_for


def read_all(connection, limit_s=5):
    """Everything until the server closes."""
    connection.settimeout(limit_s)
    out = b""
    while True:
        try:
            data = connection.recv(1 << 16)
        except ConnectionResetError:
            return out
        if not data:
            return out
        out += data


def test_a_command_split_at_every_byte_is_the_same_command():
    server = Server()
    whole = encode("ECHO", "hello") + encode("PING") + b"ping inline\r\n"
    for cut in range(1, len(whole)):
        connection = server.connect()
        connection.sendall(whole[:cut])
        time.sleep(0.001)
        connection.sendall(whole[cut:])
        connection.shutdown(socket.SHUT_WR)
        equal(read_all(connection), b"$5\r\nhello\r\n+PONG\r\n$6\r\ninline\r\n")
        connection.close()


def test_pipelined_commands_are_answered_in_order():
    client = Server().resp()
    count = 5000
    commands = [
        encode("LOCK.ACQUIRE", "n%d" % i, "o", 15000) + encode("ECHO", i) for i in range(count)
    ]
    client.socket.sendall(b"".join(commands))
    tokens = []
    for index in range(count):
        tokens.append(pairs(client.read())["token"])
        equal(client.read(), str(index))
    equal(tokens, sorted(set(tokens)))


def test_commands_behind_a_wait_are_answered_after_it():
    server = Server()
    holder, waiter = server.resp(), server.resp()
    token = pairs(holder("LOCK.ACQUIRE", "a", "one", 15000))["token"]
    waiter.send("LOCK.ACQUIRE", "a", "two", 15000, "WAIT", 10000)
    waiter.send("ECHO", "behind")
    waiter.send("LOCK.ACQUIRE", "b", "two", 15000)
    assert waiter.is_silent()
    equal(holder("LOCK.GET", "b"), None)
    equal(holder("LOCK.RELEASE", "a", "one", token), ["released"])
    first = pairs(waiter.read())
    equal((first["owner"], first["token"] > token), ("two", True))
    equal(waiter.read(), "behind")
    assert pairs(waiter.read())["token"] > first["token"]


def test_much_pipelined_behind_a_wait_is_kept_in_order():
    server = Server()
    holder, waiter = server.resp(), server.resp()
    token = pairs(holder("LOCK.ACQUIRE", "a", "one", 15000))["token"]
    waiter.send("LOCK.ACQUIRE", "a", "two", 15000, "WAIT", 20000)
    payload = "x" * 60000
    waiter.socket.settimeout(0.5)
    sent = 0
    try:
        while sent < 60:
            waiter.socket.sendall(encode("ECHO", "%d %s" % (sent, payload)))
            sent += 1
    except socket.timeout:
        raise AssertionError("the server should take what fits the kernel's buffers and its bound")
    equal(holder("LOCK.RELEASE", "a", "one", token), ["released"])
    pairs(waiter.read())
    for index in range(sent):
        equal(waiter.read().split(" ")[0], str(index))


def test_a_wait_ends_in_time_and_says_so():
    server = Server()
    holder, waiter = server.resp(), server.resp()
    holder("LOCK.ACQUIRE", "a", "one", 15000)
    begun = time.monotonic()
    error = refused(waiter, "LOCK.ACQUIRE", "a", "two", 15000, "WAIT", 300)
    took = time.monotonic() - begun
    equal(error.word, "TIMEOUT")
    contains(str(error), "held by one")
    assert 0.29 <= took < 2, took


def test_the_lock_goes_past_a_dead_waiter():
    server = Server()
    holder, dead, living = server.resp(), server.resp(), server.resp()
    token = pairs(holder("LOCK.ACQUIRE", "a", "one", 15000))["token"]
    dead.send("LOCK.ACQUIRE", "a", "dead", 15000, "WAIT", 60000)
    wait_for(lambda: pairs(holder("LOCK.GET", "a"))["waiter_count"] == 1, "the first waiter")
    living.send("LOCK.ACQUIRE", "a", "living", 15000, "WAIT", 60000)
    wait_for(lambda: pairs(holder("LOCK.GET", "a"))["waiter_count"] == 2, "the second waiter")
    dead.close()
    wait_for(lambda: pairs(holder("LOCK.GET", "a"))["waiter_count"] == 1, "the end of the dead one")
    holder("LOCK.RELEASE", "a", "one", token)
    equal(pairs(living.read())["owner"], "living")


def wait_with_much_behind(server, is_unix, size):
    """A waiter with `size` bytes of commands behind its wait; None = until the server takes no
    more."""
    waiter = server.resp(is_unix=is_unix)
    waiter.send("LOCK.ACQUIRE", "a", "dead", 15000, "WAIT", 60000)
    waiter.socket.settimeout(0.5)
    block = encode("ECHO", "x" * 50000)
    sent = 0
    try:
        while size is None or sent < size:
            sent += waiter.socket.send(block)
    except socket.timeout:
        pass
    return waiter


def test_the_hang_up_of_a_waiter_with_commands_behind_is_seen():
    server = Server()
    holder = server.resp()
    holder("LOCK.ACQUIRE", "a", "one", 15000)
    reset = struct.pack("ii", 1, 0)
    for is_unix, size, linger in [(False, 1000000, None), (True, None, None), (False, None, reset)]:
        dead = wait_with_much_behind(server, is_unix, size)
        wait_for(lambda: pairs(holder("LOCK.GET", "a"))["waiter_count"] == 1, "the waiter")
        if linger is not None:
            dead.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        dead.close()
        wait_for(lambda: pairs(holder("LOCK.GET", "a"))["waiter_count"] == 0, "the end of the dead")


def test_half_a_connection_still_gets_its_answers():
    server = Server()
    connection = server.connect()
    connection.sendall(encode("LOCK.ACQUIRE", "a", "me", 15000))
    connection.shutdown(socket.SHUT_WR)
    contains(read_all(connection), b"token")


GARBAGE = [
    b"*1\r\n$4294967296\r\n",
    b"*4294967296\r\n",
    b"*-1\r\n",
    b"*2\r\n$-1\r\n",
    b"*1\r\n$18446744073709551617\r\n",
    b"*1\r\n:1\r\n",
    b"*1\r\n$3\r\nabcd\r\n",
    b"*01\r\n",
    b"*\r\n",
    b"a" * 20000,
    b"ping \x01\r\n",
]


def test_broken_framing_is_told_and_closed():
    server = Server()
    for garbage in GARBAGE:
        connection = server.connect()
        connection.sendall(garbage)
        answer = read_all(connection)
        assert answer.startswith(b"-ERR Protocol error:"), (garbage[:40], answer)
        equal(answer.count(b"\r\n"), 1)
        connection.close()
    equal(server.resp()("PING"), "PONG")


def test_who_sends_too_much_is_told_and_not_cut_off():
    server = Server()
    begun = time.monotonic()
    for is_unix in (False, True):
        client = server.resp(is_unix=is_unix)
        client.socket.sendall(encode("LOCK.ACQUIRE", "a", "o", 0, "META", "x" * (8 << 20)))
        try:
            raise AssertionError("taken: %r" % client.read())
        except RespError as error:
            contains(str(error), "an argument is larger than 1048576 bytes")
        assert client.is_closed()
        http = Http(server)
        answer = http("POST", "/v1/locks/a", b" " * (8 << 20))
        equal((answer.status, answer.json["code"]), (413, "too_large"))
    # Who goes on sending does not keep the place for ever.
    connection = server.connect()
    connection.sendall(b"*x\r\n")
    wait_for(lambda: Http(server).get("/v1/server").json["connections"] <= 4, "the end of all")
    assert time.monotonic() - begun < 10


def test_bytes_of_no_protocol_are_closed_without_a_word():
    server = Server()
    for garbage in [b"\x16\x03\x01\x02\x00", b"\x00" * 100, b"\xff" * 5000, b"$5\r\n", b"\r\n"]:
        connection = server.connect()
        connection.sendall(garbage)
        equal(read_all(connection), b"")
    equal(server.resp()("PING"), "PONG")


INVALID = [
    (["LOCK.ACQUIRE", "", "o", 100], "name must have 1 to 255 bytes"),
    (["LOCK.ACQUIRE", "n" * 256, "o", 100], "name must have 1 to 255 bytes"),
    (["LOCK.ACQUIRE", "a\nb", "o", 100], "name must be UTF-8 without control characters"),
    (["LOCK.ACQUIRE", b"\xff\xfe", "o", 100], "name must be UTF-8"),
    (["LOCK.ACQUIRE", "a", "o" * 256, 100], "owner must have 1 to 255 bytes"),
    (["LOCK.ACQUIRE", "a", "o", 99], "must be 0 (until released) or a whole number from 100"),
    (["LOCK.ACQUIRE", "a", "o", "-1"], "ttl-ms must be"),
    (["LOCK.ACQUIRE", "a", "o", "1e3"], "ttl-ms must be"),
    (["LOCK.ACQUIRE", "a", "o", "100.5"], "ttl-ms must be"),
    (["LOCK.ACQUIRE", "a", "o", 86400001], "to 86400000"),
    (["LOCK.ACQUIRE", "a", "o", "9" * 40], "ttl-ms must be"),
    (["LOCK.ACQUIRE", "a", "o", 100, "WAIT"], "WAIT is missing"),
    (["LOCK.ACQUIRE", "a", "o", 100, "WAIT", 86400001], "WAIT must be a whole number from 0"),
    (["LOCK.ACQUIRE", "a", "o", 100, "PRIORITY", 10], "must be a whole number from 0 to 9"),
    (["LOCK.ACQUIRE", "a", "o", 100, "SLOTS", 0], "SLOTS must be a whole number from 1 to 4096"),
    (["LOCK.ACQUIRE", "a", "o", 100, "META", "m" * 4097], "META must have 0 to 4096 bytes"),
    (["LOCK.ACQUIRE", "a", "o", 100, "META", b"\xff"], "META must be UTF-8"),
    (["LOCK.ACQUIRE", "a", "o", 100, "NONSENSE"], "unexpected argument 'NONSENSE'"),
    (["LOCK.RELEASE", "a", "o", 0], "token must be a whole number from 1"),
    (["LOCK.RELEASE", "a", "o", 1 << 53], "token must be"),
    (["LOCK.RELEASE", "a", "o"], "wrong number of arguments"),
    (["LOCK.BREAK", "a", 1, ""], "reason must have 1 to 255 bytes"),
    (["LOCK.LIST", "LIMIT", 1001], "LIMIT must be a whole number from 1 to 1000"),
    (["LOCK.LIST", "STATE", "x"], "STATE must be held or waited"),
    (["LOCK.HISTORY", "a", "COUNT", 65], "COUNT must be a whole number from 1 to 64"),
]


def test_invalid_arguments_are_named_and_change_nothing():
    client = Server().resp()
    for words, text in INVALID:
        error = refused(client, *words)
        equal(error.word, "INVALID")
        contains(str(error), text)
        equal(client("PING"), "PONG")
    equal(pairs(client("LOCK.LIST"))["locks"], [])
    error = refused(client, "NO.SUCH\r\nCOMMAND")
    equal(error.word, "ERR")
    contains(str(error), "unknown command 'NO.SUCH  COMMAND'")


def test_limits_just_met_are_taken():
    client = Server().resp()
    client("LOCK.ACQUIRE", "n" * 255, "o" * 255, 100, "META", "m" * 4096, "PRIORITY", 9)
    client("LOCK.ACQUIRE", "b", "o", 86400000, "SLOTS", 4096, "WAIT", 86400000, "DELAY", 3600000)


def test_a_client_that_never_reads_is_not_buffered_for():
    server = Server()
    client = server.resp()
    for index in range(1000):
        client.send("LOCK.ACQUIRE", "%03d%s" % (index, "n" * 250), "o", 0)
    for index in range(1000):
        client.read()
    greedy = server.connect()
    greedy.setblocking(False)
    request = encode("LOCK.LIST", "LIMIT", 1000) * 1000
    sent = 0
    end = time.monotonic() + 2
    while time.monotonic() < end and sent < 40:
        try:
            greedy.send(request)
            sent += 1
        except BlockingIOError:
            time.sleep(0.01)
    with open("/proc/%d/statm" % server.pid, encoding="ascii") as statm:
        resident = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    assert resident < 200 << 20, resident
    equal(client("PING"), "PONG")


def is_served(server):
    """Is there room for a new client?"""
    client = server.resp()
    try:
        return client("PING") == "PONG"
    except (EOFError, OSError):
        return False


def test_too_many_connections_are_refused_and_places_come_back():
    server = Server("--max-connections", "20")
    clients = [server.resp() for _ in range(20)]
    for client in clients:
        equal(client("PING"), "PONG")
    late = server.resp()
    assert late.is_closed()
    clients[0].close()

    wait_for(lambda: is_served(server), "a free place")


def test_no_descriptors_left_is_survived():
    server = Server(wrapper=["prlimit", "--nofile=64:64"])
    holder = server.resp()
    token = pairs(holder("LOCK.ACQUIRE", "a", "me", 15000))["token"]
    flood = []
    for _ in range(200):
        flood.append(socket.create_connection(("127.0.0.1", server.port)))
    with open("/proc/%d/stat" % server.pid, encoding="ascii") as stat:
        before = sum(int(n) for n in stat.read().split()[13:15])
    time.sleep(1)
    with open("/proc/%d/stat" % server.pid, encoding="ascii") as stat:
        used = sum(int(n) for n in stat.read().split()[13:15]) - before
    assert used < 20, "%d ticks of a hundred in a second" % used
    equal(pairs(holder("LOCK.RENEW", "a", "me", token, 15000))["outcome"], "ok")
    for connection in flood:
        connection.close()
    wait_for(lambda: is_served(server), "a free descriptor", 5)


run()
