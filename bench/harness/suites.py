"""suites - everything that is measured, one function each.

A suite takes a Bench and gives back a result (see report.py).  The bounds in it are the project's
targets.
"""

import os
import subprocess
import sys

from . import measure, report
from .redis_suites import REDIS_SUITES
from .servers import CLIENT_CPU, SERVER_CPU, Etcd, Failure, Floor, Nginx, Redis, Tenured, ask

SPIN_US = 500  # outlasts an fdatasync and the client's turn
STRING_BYTES = 51  # of one hold of the load generator: name 20, owner 31
DAY_MS = 86_400_000
FILL = {"warmup_ms": 0, "seconds": 3600, "outstanding": 256, "ttl_ms": DAY_MS}


class Bench:
    """How to measure, and the commands that were used."""

    def __init__(self, place, rounds, seconds, scale=1):
        self.place = place
        self.rounds = rounds
        self.seconds = seconds
        self.scale = scale  # divides counts of locks and waiters: 1 for a real run
        # What a server does for its first second, such as filling files, is not what it costs.
        self.pace = {"seconds": seconds, "warmup_ms": 1000 if scale == 1 else 100}
        self.commands = {}
        self.load_before = os.getloadavg()[0]

    def count(self, full):
        return max(1, full // self.scale)

    def note(self, label, command):
        """Remember a command for the report, with paths that mean something elsewhere."""
        text = " ".join(f"'{word}'" if word == "" or " " in word else word for word in command)
        text = text.replace(self.place.build, "build")
        self.commands.setdefault(label, text)

    def note_server(self, server):
        self.note(server.label, server.pinned_command())

    def result(self, name, title, note, columns, rows, verdicts):
        return {
            "name": name, "title": title, "note": note, "columns": columns, "rows": rows,
            "verdicts": verdicts, "rounds": self.rounds, "date": report.today(),
            "load_before": self.load_before,
            "commands": [f"# {label}\n{text}" for label, text in self.commands.items()],
        }


class Case:
    """One contender: a label, how to make its server, what to load it with."""

    def __init__(self, label, make, mode, **options):
        self.label = label
        self.make = make
        self.mode = mode
        self.options = options


def redis(place):
    return Redis(place, is_durable=False)


def redis_always(place):
    return Redis(place, is_durable=True)


def present(bench, cases):
    """The cases whose server is there."""
    return [case for case in cases
            if bench.place.has_tenured() or "tenured" not in case.label]


def take_turns(bench, cases):
    """Samples by label: every round runs every case once, on a fresh server."""
    samples = {case.label: [] for case in cases}
    for _ in range(bench.rounds):
        for case in cases:
            with case.make(bench.place) as server:
                options = {**bench.pace, **case.options}
                bench.note_server(server)
                bench.note(case.label + ", load",
                           measure.load_command(bench.place, server, case.mode, **options))
                samples[case.label].append(
                    measure.load(bench.place, server, case.mode, **options))
    return samples


CYCLE_COLUMNS = ["", "cycles/s", "p50 µs", "p90 µs", "p99 µs", "server CPU µs a cycle",
                 "client CPU µs a cycle"]
CYCLE_KEYS = ["cycles_per_s", "p50_us", "p90_us", "p99_us", "server_cpu_us", "client_cpu_us"]


def cycle_rows(samples):
    return [[label] + [measure.median_of(taken, key) for key in CYCLE_KEYS]
            for label, taken in samples.items()]


def ratios(samples, wanted, key="cycles_per_s"):
    """Verdicts for (mine, theirs, least) whose two sides were measured."""
    return [report.at_least(f"{mine} / {theirs}",
                            measure.ratio_of(samples[mine], samples[theirs], key), least)
            for mine, theirs, least in wanted if mine in samples and theirs in samples]


def run_cycles(bench, name, title, note, cases, wanted):
    """The common form: cycles a second of several contenders, and ratios between them."""
    samples = take_turns(bench, present(bench, cases))
    return bench.result(name, title, note, CYCLE_COLUMNS, cycle_rows(samples),
                        ratios(samples, wanted))


def durable50(bench):
    return run_cycles(
        bench, "durable50", "Fifty connections, one request under way on each",
        "Acquire and release of uncontended locks over TCP.",
        [Case("redis", redis, "redis", connections=50),
         Case("redis always", redis_always, "redis", connections=50),
         Case("etcd", Etcd, "etcd", connections=50),
         Case("floor", Floor, "tenured-resp", connections=50),
         Case("tenured", Tenured, "tenured-resp", connections=50)],
        [("tenured", "redis always", 1.2), ("tenured", "redis", 0.65),
         ("tenured", "etcd", 10), ("tenured", "floor", 0.85)])


def durable256(bench):
    return run_cycles(
        bench, "durable256", "One connection, 256 requests under way",
        "What a client library does that shares one pipelined connection.",
        [Case("redis", redis, "redis", outstanding=256),
         Case("redis always", redis_always, "redis", outstanding=256),
         Case("floor", Floor, "tenured-resp", outstanding=256),
         Case("tenured", Tenured, "tenured-resp", outstanding=256)],
        [("tenured", "redis always", 2), ("tenured", "redis", 0.75), ("tenured", "floor", 0.8)])


def serial(bench):
    return run_cycles(
        bench, "serial", "One request at a time",
        "One connection, one request under way: bound by wake-ups and the disk.",
        [Case("redis", redis, "redis"),
         Case("redis always", redis_always, "redis"),
         Case("floor", Floor, "tenured-resp"),
         Case("tenured", Tenured, "tenured-resp")],
        [("tenured", "redis always", 1.15)])


def serial_spin(bench):
    both = f"{SERVER_CPU},{CLIENT_CPU}"
    spin = ["--spin-us", str(SPIN_US)]
    return run_cycles(
        bench, "serial-spin", "One request at a time, with the spin option",
        f"As before, with `--spin-us {SPIN_US}`: the server stays awake for a moment after work.  "
        "Judged where every server has one processor, as before.  With both processors for every "
        "server, Redis gains too: its clients' wake-ups become cheaper.",
        [Case("redis always", redis_always, "redis"),
         Case("tenured", Tenured, "tenured-resp"),
         Case("tenured spinning", lambda place: Tenured(
             place, spin, "tenured spinning"), "tenured-resp"),
         Case("redis always, both", lambda place: Redis(place, True, cpus=both), "redis"),
         Case("tenured spinning, both", lambda place: Tenured(
             place, spin, "tenured spinning, both", both), "tenured-resp")],
        [("tenured spinning", "redis always", 1.5)])


def unix50(bench):
    return run_cycles(
        bench, "unix50", "Fifty connections over a Unix socket",
        "The same load over TCP and over a Unix socket.",
        [Case("redis always", redis_always, "redis", connections=50),
         Case("redis always, unix", redis_always, "redis", connections=50, is_unix=True),
         Case("floor", Floor, "tenured-resp", connections=50),
         Case("floor, unix", Floor, "tenured-resp", connections=50, is_unix=True),
         Case("tenured", Tenured, "tenured-resp", connections=50),
         Case("tenured, unix", Tenured, "tenured-resp", connections=50, is_unix=True)],
        [("tenured, unix", "tenured", 1.5)])


def http50(bench):
    return run_cycles(
        bench, "http50", "HTTP, fifty keep-alive connections",
        "`POST` and `DELETE` of `/v1/locks/{name}` against the same over RESP, and etcd's JSON "
        "gateway.",
        [Case("etcd", Etcd, "etcd", connections=50),
         Case("tenured", Tenured, "tenured-resp", connections=50),
         Case("tenured, HTTP", Tenured, "tenured-http", connections=50)],
        [("tenured, HTTP", "tenured", 0.7)])


# The page that get-cpu fetches where there is no tenured to take it from.
PAGE = ('{"name":"bench/page","holders":[{"name":"bench/page","owner":"bench","token":'
        '1763712000000000,"mode":"exclusive","slot":0,"ttl_ms":86400000,"remaining_ms":86399999,'
        '"acquired_at":"2026-11-21T08:00:00.000Z"}],"waiters":[]}')


def make_page(server):
    """Hold the lock that will be fetched; its representation."""
    body = f'{{"owner":"bench","ttl_ms":{DAY_MS}}}'
    made = ask(server.port, (f"POST /v1/locks/bench/page HTTP/1.1\r\nHost: localhost\r\n"
                             f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
                             f"\r\n{body}").encode())
    page = ask(server.port, b"GET /v1/locks/bench/page HTTP/1.1\r\nHost: localhost\r\n\r\n")
    if not made.startswith(b"HTTP/1.1 201") or not page.startswith(b"HTTP/1.1 200"):
        raise Failure(f"the lock to fetch could not be made: {made[:200]!r} {page[:200]!r}")
    return page.partition(b"\r\n\r\n")[2].decode()


def get_cpu(bench):
    samples = {"nginx": [], "tenured": []}
    page = PAGE
    options = {**bench.pace, "connections": 50, "path": "/v1/locks/bench/page"}
    for _ in range(bench.rounds):
        if bench.place.has_tenured():
            with Tenured(bench.place) as server:
                page = make_page(server)
                bench.note_server(server)
                samples["tenured"].append(
                    measure.load(bench.place, server, "get-http", **options))
        with Nginx(bench.place, page) as server:
            bench.note_server(server)
            bench.note("load", measure.load_command(bench.place, server, "get-http", **options))
            samples["nginx"].append(measure.load(bench.place, server, "get-http", **options))
    samples = {label: taken for label, taken in samples.items() if taken}
    rows = [[label, *(measure.median_of(taken, key)
                      for key in ("cycles_per_s", "server_cpu_us", "p50_us", "p99_us"))]
            for label, taken in samples.items()]
    verdicts = []
    if "tenured" in samples:
        ratio = measure.ratio_of(samples["tenured"], samples["nginx"], "server_cpu_us")
        verdicts = [report.at_most("server CPU a request, tenured / nginx", ratio, 1.5)]
    return bench.result(
        "get-cpu", "Reading a lock over HTTP",
        "Processor time of `GET /v1/locks/{name}` against nginx returning the same bytes as a "
        "fixed body; fifty keep-alive connections.",
        ["", "requests/s", "server CPU µs a request", "p50 µs", "p99 µs"], rows, verdicts)


HANDOFF_TOTAL = 200
COLD_DISK = "the disk alone"
HOLD_MS = (150, 650)


def handoff_command(place, peer, server, rounds, waiters=1, hold_ms=HOLD_MS):
    return [place.program("bench-handoff"), "--peer", peer, "--tcp", server.tcp,
            "--cpu", CLIENT_CPU, "--rounds", str(rounds), "--waiters", str(waiters),
            "--hold-ms-min", str(hold_ms[0]), "--hold-ms-max", str(hold_ms[1])]


def handoff_node_command(place, peer, server, rounds):
    return measure.node_command(place, "handoff.mjs", peer, [server.port], rounds, *HOLD_MS)


def cold_disk_command(place, rounds, pause_ms=HOLD_MS):
    script = os.path.join(place.root, "bench", "harness", "cold_disk.py")
    return ["taskset", "-c", SERVER_CPU, sys.executable, script, place.data, str(rounds),
            str(pause_ms[0]), str(pause_ms[1])]


def handoff(bench):
    rounds = max(1, bench.count(HANDOFF_TOTAL) // bench.rounds)
    contenders = [
        ("redlock 4.2, Node.js", redis,
         lambda server: handoff_node_command(bench.place, "redlock4", server, rounds)),
        ("etcd lock service", Etcd,
         lambda server: handoff_command(bench.place, "etcd", server, rounds)),
        ("tenured, ioredis, Node.js", Tenured,
         lambda server: handoff_node_command(bench.place, "tenured", server, rounds)),
        ("tenured", Tenured,
         lambda server: handoff_command(bench.place, "tenured", server, rounds)),
        ("tenured, held for 1 to 5 ms", Tenured,
         lambda server: handoff_command(bench.place, "tenured", server, rounds,
                                        hold_ms=(1, 5))),
    ]
    times = {}
    for _ in range(bench.rounds):
        bench.note(COLD_DISK, cold_disk_command(bench.place, rounds))
        times.setdefault(COLD_DISK, []).extend(
            measure.run_json(cold_disk_command(bench.place, rounds))["samples_us"])
        for label, make, command in contenders:
            if "tenured" in label and not bench.place.has_tenured():
                continue
            with make(bench.place) as server:
                bench.note_server(server)
                bench.note(label + ", load", command(server))
                sample = measure.run_json(command(server))
                times.setdefault(label, []).extend(sample["samples_us"])
    rows = [[label, *(measure.quantile(taken, fraction) / 1000 for fraction in (0.5, 0.9, 0.99)),
             len(taken)] for label, taken in times.items()]
    verdicts = []
    if "tenured" in times:
        medians_ms = {label: measure.quantile(taken, 0.5) / 1000
                      for label, taken in times.items()}
        verdicts = [
            report.at_most("median of tenured, ms", medians_ms["tenured"], 0.4),
            report.at_most("median of tenured, held for 1 to 5 ms, ms",
                           medians_ms["tenured, held for 1 to 5 ms"], 0.4)]
    return bench.result(
        "handoff", "Hand-off: from release to the next waiter",
        f"A holder keeps the lock for {HOLD_MS[0]} to {HOLD_MS[1]} ms while one other waits; from "
        "the sending of the release until the waiter has its grant.  redlock with its defaults, "
        "except that it never gives up.  A release and the grant that follows it are one commit; "
        f"*{COLD_DISK}* is a bare write and fdatasync after the same pauses: what a virtual disk "
        "that has fallen asleep takes by itself.",
        ["", "median ms", "p90 ms", "p99 ms", "hand-offs"], rows, verdicts)


def waiters(bench):
    count = bench.count(1000)
    contenders = [("etcd lock service", "etcd", Etcd)]
    if bench.place.has_tenured():
        contenders.append(("tenured", "tenured", Tenured))
    samples = {label: [] for label, _, _ in contenders}
    for _ in range(bench.rounds):
        for label, peer, make in contenders:
            with make(bench.place) as server:
                command = handoff_command(bench.place, peer, server, bench.count(200), count,
                                          (1, 2))
                bench.note_server(server)
                bench.note(label + ", load", command)
                samples[label].append(measure.run_json(command))
    keys = ("p50_us", "p90_us", "p99_us", "wakeups_per_release", "out_of_order")
    rows = [[label, *(measure.median_of(taken, key) for key in keys)]
            for label, taken in samples.items()]
    verdicts = []
    if "tenured" in samples:
        wakeups = max(sample["wakeups_per_release"] for sample in samples["tenured"])
        strangers = max(sample["out_of_order"] for sample in samples["tenured"])
        verdicts = [report.at_most("wake-ups a release, tenured", wakeups, 1),
                    report.at_most("hand-offs out of order, tenured", strangers, 0)]
    return bench.result(
        "waiters", f"{count} waiters on one lock",
        "Each on a connection of its own; the old holder queues again.  A wake-up is whatever "
        "arrives on a waiter's connection.",
        ["", "p50 µs", "p90 µs", "p99 µs", "wake-ups a release", "out of order"], rows, verdicts)


START_TOTAL = 500
START_MS_MOST = 5


def start_command(place, rounds, *runner):
    return [place.program("bench-start"), "--rounds", str(rounds), "--cpu", CLIENT_CPU, "--",
            *runner]


def start(bench):
    rounds = max(1, bench.count(START_TOTAL) // bench.rounds)
    tenure = os.path.join(bench.place.build, "tenure")
    if not os.path.exists(tenure):
        raise Failure(f"{tenure} is missing: run ./dev build")
    contenders = [
        ("flock, one machine only", Floor,
         lambda server: ["flock", os.path.join(server.directory, "lock")]),
        ("etcdctl lock", Etcd,
         lambda server: ["etcdctl", "--endpoints", server.tcp, "lock", "bench/start"]),
        ("tenure run --try", Tenured,
         lambda server: [tenure, "run", "--url", f"tenure://{server.tcp}", "--try",
                         "bench/start", "--"]),
    ]
    started, ended = {}, {}
    for _ in range(bench.rounds):
        for label, make, runner in contenders:
            with make(bench.place) as server:
                command = start_command(bench.place, rounds, *runner(server))
                bench.note_server(server)
                bench.note(label + ", load", command)
                sample = measure.run_json(command)
                started.setdefault(label, []).extend(sample["samples_us"])
                ended.setdefault(label, []).extend(sample["ended_us"])
    rows = [[label,
             *(measure.quantile(taken, fraction) / 1000 for fraction in (0.5, 0.9, 0.99)),
             measure.quantile(ended[label], 0.5) / 1000, len(taken)]
            for label, taken in started.items()]
    median = {label: measure.quantile(taken, 0.5) / 1000 for label, taken in started.items()}
    mine = median["tenure run --try"]
    return bench.result(
        "start", "A command under a lock: from the runner's start to the command's",
        "One run after the other with a lock that is free; the command says the time as soon as it "
        "runs.  `flock` knows nothing of other machines: it is what two processes cost.  The last "
        "time is that of the whole run, with the release.",
        ["", "median ms", "p90 ms", "p99 ms", "whole run, median ms", "runs"], rows,
        [report.at_most("median of tenure run, ms", mine, START_MS_MOST),
         report.at_least("etcdctl lock / tenure run, medians", median["etcdctl lock"] / mine, 2)])


def fill(bench, server, mode, names):
    options = {**FILL, "names": names}
    bench.note_server(server)
    bench.note(f"{server.label}, {names} locks",
               measure.load_command(bench.place, server, mode, **options))
    return measure.load(bench.place, server, mode, **options)


def measure_memory(bench, make, mode, names):
    """(resident before, after, at most, rate of filling)."""
    with make(bench.place) as server:
        before, _ = server.memory_bytes()
        rate = fill(bench, server, mode, names)["cycles_per_s"]
        after, most = server.memory_bytes()
        return before, after, most, rate


def memory(bench):
    small, large = bench.count(1_000_000), bench.count(10_000_000)
    runs = [("redis, 1 M", redis, "redis-hold", small, bench.rounds),
            ("tenured, 1 M", Tenured, "hold", small, bench.rounds),
            ("tenured, 10 M", Tenured, "hold", large, 1)]
    rows, verdicts = [], []
    for label, make, mode, names, rounds in runs:
        if "tenured" in label and not bench.place.has_tenured():
            continue
        taken = [measure_memory(bench, make, mode, names) for _ in range(rounds)]
        before, after, most, rate = (measure.median(column) for column in zip(*taken, strict=True))
        each = (after - before) / names - STRING_BYTES
        rows.append([label, after / 2**20, most / 2**20, each, rate])
        if label == "tenured, 10 M":
            verdicts = [
                report.at_most("bytes a held lock beside its strings, of 10 M", each, 256),
                report.at_most("10 M held locks, GiB at most", most / 2**30, 6)]
    return bench.result(
        "memory", "Memory of held locks",
        f"Resident memory with so many locks held, {STRING_BYTES} bytes of name and owner each; "
        "what was resident before is taken off the figure for one lock.",
        ["", "resident MiB", "at most MiB", "bytes a lock beside its strings", "acquires/s"],
        rows, verdicts)


def renew(bench):
    names = bench.count(100_000)
    case = Case("tenured", Tenured, "renew", outstanding=16, names=max(names, 1600))
    samples = take_turns(bench, [case])
    rows = [[label, *(measure.median_of(taken, key)
                      for key in ("units_per_s", "p50_us", "p99_us", "server_cpu_us"))]
            for label, taken in samples.items()]
    rate = measure.median_of(samples["tenured"], "units_per_s")
    return bench.result(
        "renew", "Renewals",
        "`LOCK.RENEW` of a hundred holds at a time, 100 000 holds, one connection with 16 "
        "requests under way.",
        ["", "renewals/s", "p50 µs a batch", "p99 µs a batch", "server CPU µs a batch"], rows,
        [report.at_least("renewals a second", rate, 500_000)])


def hold_is_there(server, names):
    """Does the server still know the last of the names?"""
    name = f"bench/lock/{names - 1:09d}".encode()
    verb = b"GET" if isinstance(server, Redis) else b"LOCK.GET"
    request = b"*2\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" % (len(verb), verb, len(name), name)
    return b"bench-" in ask(server.port, request, patience_s=10)


def restart(bench):
    names = bench.count(1_000_000)
    contenders = [("redis always", redis_always, "redis-hold"), ("tenured", Tenured, "hold")]
    times = {}
    for label, make, mode in contenders:
        if label == "tenured" and not bench.place.has_tenured():
            continue
        with make(bench.place) as server:
            fill(bench, server, mode, names)
            for _ in range(bench.rounds):
                server.kill()
                times.setdefault(label, []).append(server.start())
                if not hold_is_there(server, names):
                    raise Failure(f"{label} lost a lock over kill -9")
    rows = [[label, measure.median(taken), max(taken)] for label, taken in times.items()]
    verdicts = []
    if "tenured" in times:
        verdicts = [report.at_most("seconds until tenured is ready", measure.median(
            times["tenured"]), 2)]
    return bench.result(
        "restart", "Restart after kill -9",
        f"With {report.number(names)} locks held; from the start of the process until it answers.  "
        "The files are in the page cache, as after the crash of a process.",
        ["", "median s", "most s"], rows, verdicts)


class Followers:
    """Idle followers of the event stream: a context manager."""

    def __init__(self, bench, server, count):
        self.command = [bench.place.program("bench-follow"), "--tcp", server.tcp, "--connections",
                        str(count), "--cpu", CLIENT_CPU, "--path", "/v1/events?prefix=nobody/"]
        bench.note("followers", self.command)
        self.process = None

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
        if "ready" not in self.process.stdout.readline():
            raise Failure(f"the followers ended with status {self.process.wait()}")
        return self

    def check(self):
        if self.process.poll() is not None:
            raise Failure("a follower was dropped under load")

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def sse(bench):
    count = bench.count(10_000)
    options = {**bench.pace, "connections": 50}
    alone, crowded = [], []

    def run(server):
        bench.note("load", measure.load_command(bench.place, server, "tenured-resp", **options))
        return measure.load(bench.place, server, "tenured-resp", **options)

    for turn in range(bench.rounds):
        with Tenured(bench.place) as server:
            bench.note_server(server)
            # Which comes first alternates, so that age of the server favours neither.
            if turn % 2 == 0:
                alone.append(run(server))
            with Followers(bench, server, count) as followers:
                crowded.append(run(server))
                followers.check()
            if turn % 2 == 1:
                alone.append(run(server))
    samples = {"no followers": alone, f"{count} followers": crowded}
    ratio = measure.ratio_of(crowded, alone, "p99_us")
    return bench.result(
        "sse", "Idle followers of the event stream",
        f"Acquire and release on fifty connections, without and with {count} server-sent-event "
        "streams open on a prefix where nothing happens.",
        CYCLE_COLUMNS, cycle_rows(samples),
        [report.at_most("p99 with followers / without", ratio, 1.1)])


def disk(bench):
    contenders = [("redis always", redis_always, "redis"), ("floor", Floor, "tenured-resp"),
                  ("tenured", Tenured, "tenured-resp")]
    options = {"outstanding": 64, "lockstep": True, "warmup_ms": 0, "seconds": bench.seconds}
    samples = {}
    for _ in range(bench.rounds):
        for label, make, mode in contenders:
            if label == "tenured" and not bench.place.has_tenured():
                continue
            with make(bench.place) as server:
                bench.note_server(server)
                bench.note(label + ", load",
                           measure.load_command(bench.place, server, mode, **options))
                before = bench.place.device_written_bytes()
                operations = 2 * measure.load(bench.place, server, mode, **options)["cycles"]
                written = bench.place.device_written_bytes() - before
                samples.setdefault(label, []).append(
                    {"each": written / operations, "operations": operations})
    rows = [[label, measure.median_of(taken, "each"), measure.median_of(taken, "operations")]
            for label, taken in samples.items()]
    verdicts = []
    if "tenured" in samples:
        verdicts = [report.at_most("bytes an operation, tenured", measure.median_of(
            samples["tenured"], "each"), 250)]
    # write_bytes of /proc/PID/io would leave other programs out, but counts whole folios, which
    # are far larger than what is written.
    return bench.result(
        "disk", "Bytes written to the disk",
        "One connection that sends 64 requests, waits for all answers, and sends the next 64.  "
        "Counted by the device (`/proc/diskstats`), so that new segments, snapshots, the file "
        "system's own journal and whatever else ran are in the figure.",
        ["", "bytes an operation", "operations"], rows, verdicts)


# In the order of the report; the flag says whether it is of use without tenured.
SUITES = {
    "durable50": (durable50, True),
    "durable256": (durable256, True),
    "serial": (serial, True),
    "serial-spin": (serial_spin, True),
    "unix50": (unix50, True),
    "http50": (http50, True),
    "get-cpu": (get_cpu, True),
    "handoff": (handoff, True),
    "waiters": (waiters, True),
    "start": (start, False),
    "memory": (memory, True),
    "renew": (renew, False),
    "restart": (restart, True),
    "sse": (sse, False),
    "disk": (disk, True),
    **REDIS_SUITES,
}
