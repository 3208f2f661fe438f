#!/usr/bin/python3
"""The process: start, stop, crash, stalls, what it refuses to start on, --check and --dump."""

import json
import os
import signal
import socket
import time

from http_client import Http
from lib import (
    RespError, Server, cleanup, contains, equal, need, pairs, refused, run, scratch, strace,
    tenured, wait_for,
)


def test_kill_9_loses_no_acknowledged_grant():
    server = Server()
    client = server.resp()
    kept = [pairs(client("LOCK.ACQUIRE", "n%d" % i, "o", 15000))["token"] for i in range(50)]
    equal(client("LOCK.RELEASE", "n0", "o", kept[0]), ["released"])
    server.process.kill()
    server.process.wait()
    server.start()
    client = server.resp()
    contains(server.ready_line, "49 holds")
    equal(client("LOCK.GET", "n0"), None)
    for index in range(1, 50):
        again = pairs(client("LOCK.ACQUIRE", "n%d" % index, "o", 15000))
        equal(again["token"], kept[index])
    assert pairs(client("LOCK.ACQUIRE", "n0", "o", 15000))["token"] > max(kept)


def test_a_restart_gives_every_hold_its_full_ttl():
    server = Server()
    client = server.resp()
    token = pairs(client("LOCK.ACQUIRE", "a", "me", 1500))["token"]
    server.process.kill()
    server.process.wait()
    time.sleep(1.6)
    server.start()
    client = server.resp()
    equal(refused(client, "LOCK.ACQUIRE", "a", "you", 1500).word, "HELD")
    equal(pairs(client("LOCK.RENEW", "a", "me", token, 1500))["outcome"], "ok")
    wait_for(lambda: client("LOCK.GET", "a") is None, "the expiry")


def test_sigterm_tells_waiters_flushes_and_exits_0():
    server = Server()
    holder, waiter, idle = server.resp(), server.resp(), server.resp()
    token = pairs(holder("LOCK.ACQUIRE", "a", "one", 15000))["token"]
    waiter.send("LOCK.ACQUIRE", "a", "two", 15000, "WAIT", 60000)
    wait_for(lambda: pairs(holder("LOCK.GET", "a"))["waiter_count"] == 1, "the waiter")
    server.process.send_signal(signal.SIGTERM)
    equal(refused(waiter.read).word, "DRAINING")
    assert waiter.is_closed() and idle.is_closed()
    equal(server.process.wait(10), 0)
    contains(server.errors(), "everything is on the disk")
    assert not os.path.exists(server.socket_path)
    server.start()
    equal(pairs(server.resp()("LOCK.ACQUIRE", "a", "one", 15000))["token"], token)


def begin_request(server, text):
    """A connection on which a request has begun to arrive, and that the server has seen."""
    connection = server.connect()
    connection.sendall(text)
    probe = server.resp()  # accepted later, and answered: the one before has been read by then
    equal(probe("PING"), "PONG")
    probe.close()
    return connection


def is_listening(server):
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=5).close()
        return True
    except ConnectionRefusedError:
        return False


def read_all(connection):
    """All that comes until the server closes."""
    data = b""
    while True:
        more = connection.recv(65536)
        if not more:
            return data.decode()
        data += more


def test_a_request_under_way_at_sigterm_is_answered_and_told_of_the_drain():
    server = Server()
    token = pairs(server.resp()("LOCK.ACQUIRE", "a", "one", 15000))["token"]
    head = b"%s HTTP/1.1\r\nHost: localhost\r\n"
    ready = begin_request(server, head % b"GET /readyz")
    acquire = begin_request(server, head % b"POST /v1/locks/b")
    release = begin_request(server, head % b"DELETE /v1/locks/a?owner=one&token=%d" % token)
    events = begin_request(server, head % b"GET /v1/events")
    slow = begin_request(server, head % b"GET /healthz")
    server.process.send_signal(signal.SIGTERM)
    wait_for(lambda: not is_listening(server), "the port to close")
    assert server.process.poll() is None
    for connection in (ready, acquire, release, events):
        connection.sendall(b"\r\n")
    answer = read_all(ready)
    assert answer.startswith("HTTP/1.1 503 "), answer
    contains(answer, '"reason":"draining"')
    contains(answer, "\r\nConnection: close\r\n")
    answer = read_all(acquire)
    assert answer.startswith("HTTP/1.1 503 "), answer
    contains(answer, '"code":"draining"')
    contains(read_all(release), '"outcome":"released"')
    contains(read_all(events), '"code":"draining"')
    # Who never finishes is cut off, and keeps nobody for long.
    begun = time.monotonic()
    equal(server.process.wait(10), 0)
    assert time.monotonic() - begun > 1, "the slow one was not waited for"
    try:
        equal(read_all(slow), "")
    except ConnectionResetError:
        pass
    server.start()
    equal(server.resp()("LOCK.GET", "a"), None)


def test_who_waits_for_a_change_at_sigterm_is_answered():
    server = Server()
    client, observer = server.resp(3), server.resp(3)
    client("ELECT.CAMPAIGN", "e", "me", 15000)
    observer.send("ELECT.OBSERVE", "e", "WAIT", 60000)
    request = b"GET /v1/elections/e?wait_ms=60000 HTTP/1.1\r\nHost: localhost\r\n\r\n"
    poll = server.connect()
    poll.sendall(request)
    info = Http(server)
    wait_for(lambda: info.get("/v1/server").json["followers"] == 2, "both")
    server.process.send_signal(signal.SIGTERM)
    equal(observer.read()["leader"]["owner"], "me")
    assert observer.is_closed()
    answer = read_all(poll)
    assert answer.startswith("HTTP/1.1 200 "), answer
    contains(answer, '"owner":"me"')
    contains(answer, "\r\nConnection: close\r\n")
    equal(server.process.wait(10), 0)


def test_sigterm_does_not_wait_for_a_client_that_reads_nothing():
    server = Server()
    client = server.resp()
    for index in range(200):
        client("LOCK.ACQUIRE", "%03d%s" % (index, "n" * 250), "o", 0)
    stuck = server.connect()
    stuck.sendall(b"LOCK.LIST LIMIT 1000\r\n".lower() * 200)
    time.sleep(0.3)
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    assert server.process.poll() is None
    server.process.send_signal(signal.SIGTERM)
    equal(server.process.wait(3), 0)


def test_a_stopped_server_expires_nobody():
    server = Server()
    client = server.resp()
    tokens = [pairs(client("LOCK.ACQUIRE", "n%d" % i, "me", 600))["token"] for i in range(20)]
    os.kill(server.pid, signal.SIGSTOP)
    time.sleep(1.5)
    # What a client that renews in time would have sent while nobody listened.
    for index, token in enumerate(tokens):
        client.send("LOCK.RENEW", "n%d" % index, "me", token, 600)
    time.sleep(0.2)
    os.kill(server.pid, signal.SIGCONT)
    for _ in tokens:
        equal(pairs(client.read())["outcome"], "ok")
    contains(server.errors(), "could not receive for")
    wait_for(lambda: client("LOCK.GET", "n0") is None, "the expiry of what nobody renews")


def test_a_stopped_server_gives_late_renewals_their_time():
    server = Server()
    client = server.resp()
    token = pairs(client("LOCK.ACQUIRE", "a", "me", 1000))["token"]
    os.kill(server.pid, signal.SIGSTOP)
    time.sleep(2)
    os.kill(server.pid, signal.SIGCONT)
    time.sleep(0.3)
    equal(pairs(client("LOCK.RENEW", "a", "me", token, 1000))["outcome"], "ok")


def test_a_stalled_disk_expires_nobody_who_renews():
    wrapper = strace("fdatasync", "delay_enter=2500000:when=9+40")
    server = Server("--segment-bytes", "64K", wrapper=wrapper)
    client, other = server.resp(), server.resp()
    token = pairs(client("LOCK.ACQUIRE", "a", "me", 1000))["token"]
    end = time.monotonic() + 6
    stalled = 0.0
    index = 0
    while time.monotonic() < end:
        begun = time.monotonic()
        index += 1
        other.send("LOCK.ACQUIRE", "x%d" % index, "o", 0)
        while other.is_silent(0.2):
            equal(pairs(client("LOCK.RENEW", "a", "me", token, 1000))["outcome"], "ok")
        other.read()
        stalled = max(stalled, time.monotonic() - begun)
        equal(pairs(client("LOCK.RENEW", "a", "me", token, 1000))["outcome"], "ok")
        time.sleep(0.05)
    assert stalled > 2, "the disk never stalled: %.2f s" % stalled


def test_a_failed_fsync_ends_the_server_at_once():
    server = Server("--segment-bytes", "64K", wrapper=strace("fdatasync", "error=EIO:when=12+"))
    client = server.resp()
    granted = []
    try:
        for index in range(40):
            granted.append(pairs(client("LOCK.ACQUIRE", "n%d" % index, "o", 0))["token"])
    except (EOFError, ConnectionResetError):
        pass
    assert 0 < len(granted) < 40, granted
    equal(server.process.wait(10), 74)
    server.wrapper = []
    server.start()
    client = server.resp()
    for index, token in enumerate(granted):
        equal(pairs(client("LOCK.ACQUIRE", "n%d" % index, "o", 0))["token"], token)


def test_a_full_disk_refuses_grants_takes_releases_and_recovers():
    mount = scratch()
    script = (
        "mount -t tmpfs -o size=4m none %s && mkdir -p %s/data && "
        "exec \"$0\" \"$@\"" % (mount, mount)
    )
    need("no right to mount", "unshare", "-m", "true")
    server = Server(
        "--segment-bytes", "256K", "--snapshot-bytes", "1G",
        data=os.path.join(mount, "data"), wrapper=["unshare", "-m", "sh", "-c", script],
    )
    filler = "/proc/%d/root%s/filler" % (server.pid, mount)
    try:
        with open(filler, "wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
    except OSError:
        pass
    client = server.resp()
    tokens = []
    error = None
    for index in range(20000):
        try:
            answer = client("LOCK.ACQUIRE", "n%d" % index, "o", 0, "META", "m" * 500)
        except RespError as refusal:
            error = refusal
            break
        tokens.append(pairs(answer)["token"])
    assert error is not None, "never full"
    equal(error.word, "NOSPACE")
    contains(server.errors(), "disk is full")
    equal(pairs(client("LOCK.RENEW", "n0", "o", tokens[0], 0))["outcome"], "ok")
    for index in range(100):
        equal(client("LOCK.RELEASE", "n%d" % index, "o", tokens[index]), ["released"])
    os.unlink(filler)

    def is_granted():
        try:
            return client("LOCK.ACQUIRE", "again", "o", 0)
        except RespError as refusal:
            equal(refusal.word, "NOSPACE")
            return None

    wait_for(is_granted, "grants after there is room again", 10)
    contains(server.errors(), "there is room on the disk again")


def test_two_servers_on_one_directory():
    server = Server()
    code, _, errors = tenured("--data", server.data, "--listen", "127.0.0.1:0")
    equal(code, 69)
    equal(len(errors.strip().split("\n")), 1)
    equal(server.resp()("PING"), "PONG")


def test_a_taken_port_and_a_taken_socket():
    server = Server()
    code, _, errors = tenured("--data", scratch(), "--listen", "127.0.0.1:%d" % server.port)
    equal(code, 69)
    contains(errors, "another program does")
    code, _, errors = tenured("--data", scratch(), "--listen", "none", "--unix", server.socket_path)
    equal(code, 69)
    equal(server.resp(is_unix=True)("PING"), "PONG")


def test_a_stale_socket_is_replaced_and_another_file_is_not():
    server = Server()
    server.process.kill()
    server.process.wait()
    assert os.path.exists(server.socket_path)
    server.start()
    equal(server.resp(is_unix=True)("PING"), "PONG")
    equal(os.stat(server.socket_path).st_mode & 0o777, 0o600)
    path = os.path.join(scratch(), "file")
    with open(path, "w", encoding="ascii") as file:
        file.write("precious")
    code, _, errors = tenured("--data", scratch(), "--listen", "none", "--unix", path)
    equal(code, 77)
    contains(errors, "no socket")
    with open(path, encoding="ascii") as file:
        equal(file.read(), "precious")


def test_wider_than_loopback_is_refused():
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:7420"]:
        code, _, errors = tenured("--data", scratch(), "--listen", address)
        equal(code, 78)
        contains(errors, "--allow-insecure")
    code, _, errors = tenured("--data", scratch(), "--listen", "192.0.2.1:0", "--allow-insecure")
    equal(code, 78)
    contains(errors, "does not have that address")
    for address in ["7420", "localhost", ":7420", "example.org:1", "127.0.0.1:65536", "[::1:1"]:
        code, _, errors = tenured("--data", scratch(), "--listen", address)
        equal(code, 64)
        contains(errors, "--listen: must be a numeric address and a port")
    code, _, errors = tenured("--data", scratch(), "--listen", "none")
    contains(errors, "nothing to listen on")
    equal(code, 78)


def test_directories_that_will_not_do():
    base = scratch()
    nowhere = os.path.join(base, "no", "where")
    code, _, errors = tenured("--data", nowhere, "--listen", "127.0.0.1:0")
    equal(code, 73)
    contains(errors, "make its parent")
    path = os.path.join(base, "file")
    with open(path, "w", encoding="ascii") as file:
        file.write("x")
    code, _, errors = tenured("--data", path, "--listen", "127.0.0.1:0")
    equal(code, 73)
    equal(tenured("--check", os.path.join(base, "none"))[0], 66)
    if os.getuid() != 0:
        os.chmod(base, 0o500)
        cleanup(os.chmod, base, 0o700)
        code, _, errors = tenured("--data", base, "--listen", "127.0.0.1:0")
        equal(code, 77)


def test_usage_and_configuration_errors():
    code, _, errors = tenured("--nonsense")
    equal(code, 64)
    contains(errors, "--nonsense: there is no such option")
    equal(tenured("--spin-us")[0], 64)
    equal(tenured("stray")[0], 64)
    equal(tenured("--spin-us", "x")[0], 64)
    code, _, errors = tenured(env={"TENURED_SPIN_US": "x"})
    equal(code, 78)
    contains(errors, "TENURED_SPIN_US: must be a number")
    code, _, errors = tenured(env={"TENURED_NONSENSE": "x"})
    equal(code, 78)
    path = os.path.join(scratch(), "conf")
    with open(path, "w", encoding="ascii") as file:
        file.write("# a comment\n[tenured]\nspin-us = 5\nnonsense = 1\n")
    code, _, errors = tenured("--config", path)
    equal(code, 78)
    contains(errors, "conf:4: there is no option 'nonsense'")


def test_help_and_version():
    code, out, _ = tenured("--help")
    equal(code, 0)
    contains(out, "usage: tenured")
    contains(out, "--allow-insecure")
    assert all(len(line) <= 100 for line in out.split("\n"))
    equal(tenured("--version")[0], 0)


def test_a_flag_wins_over_the_environment_and_that_over_the_file():
    path = os.path.join(scratch(), "conf")
    with open(path, "w", encoding="ascii") as file:
        file.write("max-connections = 5\nmax_waiters = 7\nlog-level = debug\n")
    environment = {"TENURED_MAX_CONNECTIONS": "8"}
    server = Server("--config", path, "--max-connections", "9", env=environment)
    contains(server.resp()("INFO"), "maxclients:9")
    server.stop()
    server.options = ("--config", path)
    server.start()
    contains(server.resp()("INFO"), "maxclients:8")
    server.stop()
    server.env = None
    server.start()
    contains(server.resp()("INFO"), "maxclients:5")


def test_check_and_dump():
    server = Server("--snapshot-bytes", "64K", "--segment-bytes", "64K")
    client = server.resp()
    for index in range(900):
        token = pairs(client("LOCK.ACQUIRE", "n%d" % index, "o", 0, "META", "m" * 300))["token"]
    wait_for(lambda: any(f.startswith("snapshot-") for f in os.listdir(server.data)), "a snapshot")
    client("LOCK.RELEASE", "n899", "o", token)
    equal(server.stop(), 0)
    code, out, _ = tenured("--check", server.data)
    equal(code, 0)
    contains(out, "sound: last event 901, 899 holds")
    code, out, _ = tenured("--dump", server.data)
    equal(code, 0)
    lines = [json.loads(line) for line in out.strip().split("\n")]
    equal([line["seq"] for line in lines], list(range(1, 902)))
    equal((lines[-1]["kind"], lines[-1]["name"], lines[-1]["token"]), ("released", "n899", token))


def test_damage_is_refused_with_file_and_offset():
    server = Server()
    client = server.resp()
    for index in range(100):
        client("LOCK.ACQUIRE", "n%d" % index, "o", 0)
    equal(server.stop(), 0)
    segment = sorted(f for f in os.listdir(server.data) if f.startswith("segment-"))[0]
    path = os.path.join(server.data, segment)
    with open(path, "r+b") as file:
        file.seek(1000)
        byte = file.read(1)
        file.seek(1000)
        file.write(bytes([byte[0] ^ 1]))
    for arguments in [("--check", server.data), ("--dump", server.data),
                      ("--data", server.data, "--listen", "127.0.0.1:0")]:
        code, _, errors = tenured(*arguments)
        equal(code, 65)
        contains(errors, segment)
    with open(path, "rb") as file:
        file.seek(1000)
        equal(file.read(1), bytes([byte[0] ^ 1]))


def test_it_tells_the_service_manager():
    path = os.path.join(scratch(), "notify")
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    cleanup(manager.close)
    manager.bind(path)
    manager.settimeout(5)
    server = Server(env={"NOTIFY_SOCKET": path})
    equal(manager.recv(100), b"READY=1")
    equal(server.stop(), 0)
    equal(manager.recv(100), b"STOPPING=1")


def test_spinning_and_idle():
    server = Server("--spin-us", "500")
    client = server.resp()
    for index in range(200):
        client("LOCK.ACQUIRE", "n%d" % index, "o", 15000)
    time.sleep(0.5)
    with open("/proc/%d/stat" % server.pid, encoding="ascii") as stat:
        before = sum(int(n) for n in stat.read().split()[13:15])
    time.sleep(1)
    with open("/proc/%d/stat" % server.pid, encoding="ascii") as stat:
        used = sum(int(n) for n in stat.read().split()[13:15]) - before
    assert used < 15, "%d ticks of a hundred in an idle second" % used


run()
