"""queue_suites - what is measured of queues.  See suites.py."""

import re

from . import measure, report
from .servers import CLIENT_CPU, Beanstalkd, Failure, Floor, Tenured, ask
from .suites import (
    COLD_DISK, FILL, Case, cold_disk_command, present, ratios, redis, redis_always, run_cycles,
    take_turns)

BODY_BYTES = 100  # of every item of the load generator
PAUSE_MS = (1, 5)
WAKE_TOTAL = 1000
JOB_CONCURRENCY = 50


def beanstalkd(place):
    return Beanstalkd(place, is_durable=False)


def beanstalkd_always(place):
    return Beanstalkd(place, is_durable=True)


def put_all(bench, server, count, label="fill", **options):
    """Put so many items of a hundred bytes."""
    options = {**FILL, "names": count, **options}
    del options["ttl_ms"]
    bench.note(label, measure.load_command(bench.place, server, "queue-fill", **options))
    return measure.load(bench.place, server, "queue-fill", **options)


def take_all(bench, server, count, mode="queue-take", **options):
    """Take so many items, each of which must have been put."""
    options = {"warmup_ms": 0, "seconds": 3600, "names": count, **options}
    bench.note("take", measure.load_command(bench.place, server, mode, **options))
    return measure.load(bench.place, server, mode, **options)


def queue50(bench):
    return run_cycles(
        bench, "queue50", "Queue: put, take and done on fifty connections",
        f"An item of {BODY_BYTES} bytes is put, the next one is taken and done; one request under "
        "way on each connection.  beanstalkd: put, reserve, delete; with `-f 0` its binlog is on "
        "disk after every write, without it keeps nothing on disk.",
        [Case("beanstalkd", beanstalkd, "bean", connections=50),
         Case("beanstalkd -f 0", beanstalkd_always, "bean", connections=50),
         Case("floor", Floor, "queue", connections=50),
         Case("tenured", Tenured, "queue", connections=50)],
        [("tenured", "beanstalkd -f 0", 10), ("tenured", "beanstalkd", 0.8),
         ("tenured", "floor", 0.85)])


UNSNAPPED = "tenured, no snapshots"


def unsnapped(place):
    return Tenured(place, flags=("--snapshot-bytes", "8G"), label=UNSNAPPED)


def queue_put256(bench):
    cases = [Case("redis always, RPUSH", redis_always, "redis-rpush", outstanding=256),
             Case("floor", Floor, "queue-put", outstanding=256),
             Case("tenured", Tenured, "queue-put", outstanding=256),
             Case(UNSNAPPED, unsnapped, "queue-put", outstanding=256)]
    samples = take_turns(bench, present(bench, cases))
    keys = ("cycles_per_s", "p50_us", "p99_us", "server_cpu_us", "client_cpu_us")
    rows = [[label, *(measure.median_of(taken, key) for key in keys)]
            for label, taken in samples.items()]
    return bench.result(
        "queue-put256", "Queue: put, 256 under way",
        f"One connection that always has 256 puts of {BODY_BYTES} bytes under way.  Redis does not "
        "rewrite its log meanwhile; tenured writes snapshots, but where it says so.",
        ["", "puts/s", "p50 µs", "p99 µs", "server CPU µs a put", "client CPU µs a put"], rows,
        ratios(samples, [("tenured", "redis always, RPUSH", 2),
                         (UNSNAPPED, "redis always, RPUSH", 2)]))


def jobs_command(bench, client, server, count):
    return measure.node_command(
        bench.place, "jobs.mjs", client, [server.port], JOB_CONCURRENCY, count)


def run_jobs(bench, label, client, make, count):
    with make(bench.place) as server:
        command = jobs_command(bench, client, server, count)
        bench.note_server(server)
        bench.note(label, command)
        return measure.run_json(command)


def run_bare_jobs(bench, count):
    """Fifty bare workers, each with a connection of its own."""
    with Tenured(bench.place) as server:
        put_all(bench, server, count)
        sample = take_all(bench, server, count, "queue-work", connections=JOB_CONCURRENCY)
        return {"jobs_per_s": sample["cycles_per_s"], "client_cpu_us": sample["client_cpu_us"]}


BULLMQ = "BullMQ on redis"
NODE = "tenured, ioredis, Node.js"


def queue_jobs(bench):
    count = bench.count(100_000)
    contenders = [(BULLMQ, "bullmq", redis), (BULLMQ + " always", "bullmq", redis_always),
                  (NODE, "tenured", Tenured)]
    samples = {}
    for _ in range(bench.rounds):
        for label, client, make in contenders:
            samples.setdefault(label, []).append(run_jobs(bench, label, client, make, count))
        samples.setdefault("tenured, load generator", []).append(run_bare_jobs(bench, count))
    rows = [[label, *(measure.median_of(taken, key) for key in ("jobs_per_s", "client_cpu_us"))]
            for label, taken in samples.items()]
    return bench.result(
        "queue-jobs", "Queue: jobs processed a second, fifty at a time",
        f"{report.number(count)} jobs of {BODY_BYTES} bytes are there; one worker process of "
        "Node.js does nothing with each, fifty at a time, and each must be done once.  The next "
        "are asked for with the done of the last: by BullMQ in a script, of tenured in one write.  "
        "tenured is durable at every step, `redis` keeps nothing on disk.  The load generator: "
        "fifty bare connections, take and done.",
        ["", "jobs/s", "client CPU µs a job"], rows,
        ratios(samples, [(NODE, BULLMQ, 2)], "jobs_per_s"))


def queue_groups(bench):
    count, group_count = bench.count(1_000_000), bench.count(10_000)
    cases = {"one group": {}, f"{report.number(group_count)} groups": {"groups": group_count}}
    samples = {}
    for _ in range(bench.rounds):
        for label, options in cases.items():
            with Tenured(bench.place) as server:
                bench.note_server(server)
                put_all(bench, server, count, "fill, " + label, **options)
                samples.setdefault(label, []).append(
                    take_all(bench, server, count, outstanding=min(64, count)))
    keys = ("cycles_per_s", "server_cpu_us", "p50_us", "p99_us")
    rows = [[label, *(measure.median_of(taken, key) for key in keys)]
            for label, taken in samples.items()]
    one, many = samples.values()
    return bench.result(
        "queue-groups", "Queue: take from many groups that take turns",
        f"{report.number(count)} items are there, in one group or equally many in each; all are "
        "taken, over one connection with 64 requests under way.",
        ["", "takes/s", "server CPU µs a take", "p50 µs", "p99 µs"], rows,
        [report.at_most("server CPU a take, many groups / one",
                        measure.ratio_of(many, one, "server_cpu_us"), 1.5),
         report.at_most("time a take, many groups / one",
                        1 / measure.ratio_of(many, one, "cycles_per_s"), 1.5)])


def queue_delayed(bench):
    count, ready_count = bench.count(1_000_000), bench.count(200_000)
    cases = {"none delayed": 0, f"{report.number(count)} delayed": count}
    samples = {}
    for turn in range(bench.rounds):
        # Which comes first alternates, so that the machine's mood favours neither.
        for label, delayed_count in list(cases.items())[::1 if turn % 2 == 0 else -1]:
            with Tenured(bench.place) as server:
                bench.note_server(server)
                if delayed_count > 0:
                    put_all(bench, server, delayed_count, "fill, delayed", delay_ms=86_000_000)
                put_all(bench, server, ready_count)
                server.settle()
                samples.setdefault(label, []).append(
                    take_all(bench, server, ready_count, connections=50))
    keys = ("p50_us", "p90_us", "p99_us", "server_cpu_us", "cycles_per_s")
    rows = [[label, *(measure.median_of(samples[label], key) for key in keys)] for label in cases]
    plain, delayed = (samples[label] for label in cases)
    return bench.result(
        "queue-delayed", "Queue: take beside delayed items",
        f"{report.number(ready_count)} items are taken over fifty connections, without and with "
        f"{report.number(count)} others in the same queue that are delayed until tomorrow.",
        ["", "p50 µs", "p90 µs", "p99 µs", "server CPU µs a take", "takes/s"], rows,
        [report.at_most("p99 of a take, with delayed items / without",
                        measure.ratio_of(delayed, plain, "p99_us"), 1.1)])


def notice_command(bench, play, server, rounds):
    return [bench.place.program("bench-notice"), "--play", play, "--tcp", server.tcp,
            "--cpu", CLIENT_CPU, "--rounds", str(rounds),
            "--pause-ms-min", str(PAUSE_MS[0]), "--pause-ms-max", str(PAUSE_MS[1])]


def notice(bench, label, play, server, rounds):
    """The times in µs from the sending to the notice, and to the sender's own answer."""
    command = notice_command(bench, play, server, rounds)
    bench.note(label, command)
    sample = measure.run_json(command)
    return sample["samples_us"], sample["answers_us"]


def commit_times(bench, rounds):
    command = cold_disk_command(bench.place, rounds, PAUSE_MS)
    bench.note(COLD_DISK, command)
    return measure.run_json(command)["samples_us"]


TIME_COLUMNS = ["", "median µs", "p90 µs", "p99 µs", "rounds"]


def time_rows(times):
    return [[label, *(measure.quantile(taken, fraction) for fraction in (0.5, 0.9, 0.99)),
             len(taken)] for label, taken in times.items()]


def round_ratio(ours, *others):
    """The median over rounds of our median against the sum of the others' medians."""
    return measure.median([
        measure.median(mine) / sum(map(measure.median, theirs))
        for mine, *theirs in zip(ours, *others, strict=True)])


def flat(rounds):
    return [value for taken in rounds for value in taken]


def queue_wake(bench):
    count = max(2, bench.count(WAKE_TOTAL) // bench.rounds)
    times = {COLD_DISK: [], "PING of tenured": [], "put, the floor": [], "put": [],
             "a put reaches a waiting worker": []}
    disk, ping, floor_put, put, wake = times.values()
    for _ in range(bench.rounds):
        disk.append(commit_times(bench, count))
        with Floor(bench.place) as server:
            bench.note_server(server)
            floor_put.append(notice(bench, "put", "put", server, count)[0])
        with Tenured(bench.place) as server:
            bench.note_server(server)
            ping.append(notice(bench, "ping", "ping", server, count)[0])
            woken, answered = notice(bench, "wake", "wake", server, count)
            wake.append(woken)
            put.append(answered)
    return bench.result(
        "queue-wake", "Queue: a put reaches a worker that waits",
        f"After a pause of {PAUSE_MS[0]} to {PAUSE_MS[1]} ms an item is put, for which a worker on "
        "another connection waits; from the sending of the put until the worker has the item, or "
        f"until the put is answered.  The put and the take are one commit.  *{COLD_DISK}* is a "
        "bare write and fdatasync after the same pauses.",
        TIME_COLUMNS, time_rows({label: flat(taken) for label, taken in times.items()}),
        [report.at_most("a put reaches a worker / (round trip + one commit), medians",
                        round_ratio(wake, ping, disk), 2)])


def ready_count_of(server):
    """How many items are ready, as the server says."""
    told = ask(server.port, b"QUEUE.STAT bench\r\n", patience_s=10)
    found = re.search(rb"\$5\r\nready\r\n:(\d+)\r\n", told)
    return int(found.group(1)) if found else 0


def queue_memory(bench):
    count = bench.count(1_000_000)
    each, most, rate, times = [], [], [], []
    for _ in range(bench.rounds):
        with Tenured(bench.place) as server:
            bench.note_server(server)
            before, _ = server.memory_bytes()
            rate.append(put_all(bench, server, count)["cycles_per_s"])
            after, at_most = server.memory_bytes()
            each.append((after - before) / count)
            most.append(at_most / 2**20)
            server.kill()
            times.append(server.start())
            if ready_count_of(server) != count:
                raise Failure(f"of {count} items {ready_count_of(server)} are there after kill -9")
    return bench.result(
        "queue-memory", "Queue: memory, and restart after kill -9",
        f"{report.number(count)} items of {BODY_BYTES} bytes; resident memory, from which what was "
        "resident before is taken off, and the time from the start of the process on their "
        "journal until it answers.  The files are in the page cache, as after the crash of a "
        "process.",
        ["", "bytes an item, with its body", "at most MiB", "puts/s", "restart s"],
        [["tenured", *map(measure.median, (each, most, rate, times))]],
        [report.at_most("bytes an item", measure.median(each), 400),
         report.at_most("seconds until tenured is ready", measure.median(times), 3)])


QUEUE_SUITES = {
    "queue50": (queue50, True),
    "queue-put256": (queue_put256, True),
    "queue-jobs": (queue_jobs, False),
    "queue-groups": (queue_groups, False),
    "queue-delayed": (queue_delayed, False),
    "queue-wake": (queue_wake, False),
    "queue-memory": (queue_memory, False),
}
