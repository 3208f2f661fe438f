#!/usr/bin/python3
"""HTTP on real sockets: order, hang-ups, slow clients, streams."""

import json
import signal
import socket
import time

from http_client import Http, Stream, exchange, read_all
from lib import Server, cleanup, contains, equal, run, wait_for

HOST = b"Host: localhost\r\n"


def get(path):
    return b"GET %s HTTP/1.1\r\n%s\r\n" % (path.encode(), HOST)


def post(path, **members):
    body = json.dumps(members).encode()
    head = b"POST %s HTTP/1.1\r\n%sContent-Type: application/json\r\n" % (path.encode(), HOST)
    return head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


def closing(request):
    return request.replace(HOST, HOST + b"Connection: close\r\n")


def resident_kib(server):
    with open("/proc/%d/status" % server.pid, encoding="ascii") as file:
        return int([line for line in file if line.startswith("VmRSS")][0].split()[1])


def is_sanitized(server):
    """Sanitizers keep freed memory for a while: what is resident says nothing then."""
    with open("/proc/%d/maps" % server.pid, encoding="ascii") as file:
        maps = file.read()
    return "libasan" in maps or "libtsan" in maps or "libclang_rt" in maps


def test_pipelined_requests_are_answered_in_order():
    server = Server()
    names = ["n%d" % index for index in range(200)]
    out = b"".join(post("/v1/locks/" + name, owner="o") for name in names[:-1])
    answer = exchange(server, out + closing(post("/v1/locks/" + names[-1], owner="o")))
    found = [json.loads(part.split(b"\n", 1)[0])["name"] for part in answer.split(b"\r\n\r\n")[1:]
             for part in [part.split(b"HTTP/1.1")[0]]]
    equal(found, names)


def test_a_request_in_single_bytes():
    server = Server()
    with server.connect() as connection:
        for byte in post("/v1/locks/x", owner="o"):
            connection.sendall(bytes([byte]))
            time.sleep(0.0005)
        contains(connection.recv(4096), b"HTTP/1.1 201 Created\r\n")


def test_behind_a_wait_the_next_request_waits():
    server = Server()
    http = Http(server)
    token = http.post("/v1/locks/x", owner="a").json["token"]
    connection = server.connect()
    connection.sendall(post("/v1/locks/x", owner="b", wait_ms=20000) + closing(get("/healthz")))
    wait_for(lambda: http.get("/v1/locks/x").json["waiter_count"], "the waiter")
    connection.settimeout(0.1)
    try:
        raise AssertionError("answered too early: %r" % connection.recv(100))
    except socket.timeout:
        connection.settimeout(10)
    http.delete("/v1/locks/x", owner="a", token=token)
    answer = read_all(connection)
    assert answer.index(b"201 Created") < answer.index(b'"status":"ok"')


def waiters(http):
    return [waiter["owner"] for waiter in http.get("/v1/locks/x").json["waiters"]]


def test_a_client_that_never_reads_is_not_buffered_for():
    server = Server()
    http = Http(server)
    held = http.post("/v1/locks/x", owner="me", ttl_ms=60000).json
    greedy = server.connect()
    request = get("/v1/openapi.json")
    count = 15000
    greedy.sendall(post("/v1/locks/x", owner="you", wait_ms=60000) + request * count)
    wait_for(lambda: waiters(http) == ["you"], "the wait")
    http.delete("/v1/locks/x", owner="me", token=held["token"])
    wait_for(lambda: waiters(http) == [], "the grant")
    equal(http.get("/healthz").status, 200)
    if not is_sanitized(server):
        assert resident_kib(server) < 100 << 10, resident_kib(server)
    greedy.settimeout(20)
    answered = 0
    tail = b""
    while answered < count:
        data = greedy.recv(1 << 20)
        assert data, "only %d answers" % answered
        answered += (tail + data).count(b"HTTP/1.1 200 OK")
        tail = data[-14:]


def test_a_waiter_that_hangs_up_is_gone():
    server = Server()
    http = Http(server)
    token = http.post("/v1/locks/x", owner="a").json["token"]
    for owner in ("b", "c"):
        connection = server.connect()
        connection.sendall(post("/v1/locks/x", owner=owner, wait_ms=20000))
        wait_for(lambda: owner in waiters(http), owner)
        if owner == "b":
            dead = connection
    dead.close()
    wait_for(lambda: http.get("/v1/locks/x").json["waiter_count"] == 1, "the end of b")
    http.delete("/v1/locks/x", owner="a", token=token)
    contains(connection.recv(4096), b'"owner":"c"')


def test_an_observer_that_hangs_up_is_gone():
    server = Server()
    http = Http(server)
    connection = server.connect()
    connection.sendall(get("/v1/elections/e?wait_ms=60000"))
    wait_for(lambda: http.get("/v1/server").json["followers"] == 1, "the observer")
    connection.close()
    wait_for(lambda: http.get("/v1/server").json["followers"] == 0, "its end")


def test_a_wait_for_a_change_ends_in_time():
    http = Http(Server())
    begun = time.monotonic()
    equal(http.get("/v1/elections/e?wait_ms=300").status, 200)
    took = time.monotonic() - begun
    assert 0.29 <= took < 1.0, took


def test_expect_continue():
    server = Server()
    with server.connect() as connection:
        request = post("/v1/locks/x", owner="o").replace(HOST, HOST + b"Expect: 100-continue\r\n")
        head, body = request.split(b"\r\n\r\n")
        connection.sendall(head + b"\r\n\r\n")
        equal(connection.recv(4096), b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.sendall(body)
        contains(connection.recv(4096), b"HTTP/1.1 201 Created\r\n")


def test_a_body_over_the_limit_is_refused_unread():
    server = Server()
    with server.connect() as connection:
        head = b"POST /v1/locks/x HTTP/1.1\r\n" + HOST + b"Content-Length: 1572865\r\n\r\n"
        connection.sendall(head)
        answer = read_all(connection)
    contains(answer, b"HTTP/1.1 413 ")
    contains(answer, b"Connection: close\r\n")
    big = b'{"meta":"' + b"x" * 1572800 + b'"}'
    http = Http(server)
    equal(http("POST", "/v1/locks/x", big).json["field"], "meta")
    equal(http.get("/healthz").status, 200)


def test_what_is_ambiguous_closes_the_connection():
    server = Server()
    smuggled = get("/acquire/smuggled")
    answer = exchange(
        server,
        b"POST /v1/locks/x HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n" % (5 + len(smuggled))
        + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled)
    contains(answer, b"HTTP/1.1 400 ")
    equal(answer.count(b"HTTP/1.1 "), 1)
    equal(Http(server).get("/v1/locks/smuggled").status, 404)


def test_the_unix_socket_speaks_http():
    server = Server()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(server.socket_path)
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: whatever\r\n\r\n")
        contains(connection.recv(4096), b"HTTP/1.1 200 OK")


def test_a_client_that_says_no_more_still_gets_its_answer():
    server = Server()
    with server.connect() as connection:
        connection.sendall(get("/healthz"))
        connection.shutdown(socket.SHUT_WR)
        contains(read_all(connection), b"HTTP/1.1 200 OK")


def test_a_header_that_dribbles_is_cut_off():
    server = Server()
    with server.connect() as connection:
        connection.settimeout(20)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: local")
        begun = time.monotonic()
        contains(read_all(connection), b"HTTP/1.1 408 ")
        assert 9 < time.monotonic() - begun < 14


def test_a_name_for_the_host():
    server = Server("--host", "locks.example")
    for host, status in ((b"locks.example:80", b" 200 "), (b"evil.example", b" 403 ")):
        request = b"GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % host
        contains(exchange(server, request), status)


def churn(http, count, name="x"):
    for _ in range(count):
        token = http.post("/v1/locks/" + name, owner="o").json["token"]
        http.delete("/v1/locks/" + name, owner="o", token=token)


def test_a_stream_goes_on_after_a_restart():
    server = Server()
    http = Http(server)
    stream = Stream(server)
    churn(http, 3)
    equal([stream.event()[0] for _ in range(6)], ["granted", "released"] * 3)
    last = stream.last_id
    server.stop(signal.SIGKILL)
    server.start()
    http = Http(server)
    stream = Stream(server, last_id=last)
    equal(stream.status, 200)
    churn(http, 1)
    kind, data = stream.event()
    equal((kind, data["seq"]), ("granted", int(last) + 1))


def test_streams_are_kept_alive_and_their_resume_point_moves():
    server = Server("--heartbeat-ms", "200")
    http = Http(server)
    stream = Stream(server, "?prefix=nothing/")
    equal(stream.block()["id"], "0")
    churn(http, 2)
    wait_for(lambda: stream.block().get("id") == "4", "the resume point")


def test_a_reader_that_sleeps_costs_nothing_and_is_told():
    server = Server("--window-bytes", "65536")
    http = Http(server)
    sleeper = socket.socket()
    cleanup(sleeper.close)
    sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sleeper.connect(("127.0.0.1", server.port))
    sleeper.settimeout(20)
    sleeper.sendall(get("/v1/events"))
    wait_for(lambda: http.get("/v1/server").json["followers"] == 1, "the stream")
    churn(http, 500, "warm")
    before = resident_kib(server)
    with server.connect() as fast:
        # Pipelined, since it takes thousands of events to overtake what the kernel holds for it.
        for _ in range(100):
            pairs = (get("/acquire/%d" % n) + get("/release/%d" % n) for n in range(200))
            fast.sendall(b"".join(pairs))
            seen = 0
            while seen < 400:
                seen += fast.recv(1 << 20).count(b"HTTP/1.1 200")
    grown_kib = resident_kib(server) - before
    assert is_sanitized(server) or grown_kib < 4096, grown_kib
    stream = read_all(sleeper)
    ids = [int(line[4:]) for line in stream.split(b"\n") if line.startswith(b"id: ")]
    equal(ids, list(range(ids[0], ids[0] + len(ids))))
    contains(stream, b"\nevent: overflow\n")
    equal(Http(server).get("/v1/server").json["followers"], 0)


def test_events_reach_many_streams():
    server = Server()
    http = Http(server)
    streams = [Stream(server, "?prefix=s%d/" % index) for index in range(50)]
    streams += [Stream(server) for _ in range(50)]
    for index in range(50):
        http.post("/v1/locks/s%d/x" % index, owner="o")
    for index, stream in enumerate(streams[:50]):
        equal(stream.event()[1]["name"], "s%d/x" % index)
    for stream in streams[50:]:
        equal([stream.event()[1]["seq"] for _ in range(50)], list(range(1, 51)))


def test_metrics_count():
    server = Server()
    http = Http(server)
    churn(http, 5)
    text = http.get("/metrics").body.decode()
    contains(text, '\ntenure_events_total{kind="granted"} 5\n')
    contains(text, '\ntenure_replies_total{outcome="ok"} 10\n')
    contains(text, "\ntenure_hold_seconds_count 5\n")
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(values["tenure_commit_seconds_count"]) >= 5
    assert float(values["tenure_connections"]) >= 1
    assert float(values["tenure_sent_bytes_total"]) > 1000
    for line in text.splitlines():
        assert line.startswith("# ") or len(line.rsplit(" ", 1)) == 2, line


run()
