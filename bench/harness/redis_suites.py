"""redis_suites - locks on Redis: libtenure against the lock clients of Node.js.

All of them use the same fresh Redis servers, which keep nothing on disk.  See suites.py.
"""

import os
import signal

from . import measure, report
from .servers import CLIENT_CPU, SERVER_CPU, FaultProxy, RedisNodes

PEERS = {
    "node-redlock 4.2": "redlock4",
    "node-redlock 5 beta": "redlock5",
    "redlock-universal": "universal",
    "redis-semaphore": "semaphore",
}
OURS = "tenure"
BARE = "bare loop, same commands"
HANDOFF_TOTAL = 200
HOLD_MS = (150, 650)
CROWD_S = 60
MONITOR_S = 20
DELAY_MS = 200
BOTH = f"{SERVER_CPU},{CLIENT_CPU}"
PINNED = ", servers on one processor"
BOTH_NOTE = ("Servers and client share both processors: where all five servers have to share "
             "one, it is that one which is measured.")


def url_of(ports):
    # Nothing was ever locked on these nodes: they may vote at once.
    return "redis://" + ",".join(f"127.0.0.1:{port}" for port in ports) + "?new=yes"


def note_nodes(bench, nodes):
    for node in nodes.nodes:
        bench.note(node.label, node.pinned_command())


def cycle_command(bench, label, nodes, concurrency, cpus):
    """What a contender runs."""
    if label == BARE:
        return measure.load_command(
            bench.place, nodes.nodes[0], "redis-vote", outstanding=concurrency, **bench.pace)
    if label == OURS:
        return measure.client_command(
            bench.place, "cycles", url_of(nodes.ports), cpus, count=concurrency,
            server_pid=nodes.pids, **bench.pace)
    return measure.node_command(
        bench.place, "cycles.mjs", PEERS[label], nodes.ports, concurrency, bench.pace["seconds"],
        bench.pace["warmup_ms"], nodes.pids, cpus=cpus)


def take_cycles(bench, node_count, concurrency, labels, is_shared=False):
    """Samples by label: every round runs everybody once, on fresh servers."""
    samples = {}
    server_cpus, client_cpus = (BOTH, BOTH) if is_shared else (SERVER_CPU, CLIENT_CPU)
    for _ in range(bench.rounds):
        for label in labels:
            with RedisNodes(bench.place, node_count, server_cpus) as nodes:
                command = cycle_command(bench, label, nodes, concurrency, client_cpus)
                note_nodes(bench, nodes)
                bench.note(label, command)
                samples.setdefault(label, []).append(measure.run_json(command))
    return samples


def take_shared_and_pinned(bench, concurrency):
    """Samples of five nodes: (with both processors for all, those and the pinned ones)."""
    shared = take_cycles(bench, 5, concurrency, [*PEERS, OURS], is_shared=True)
    pinned = take_cycles(bench, 5, concurrency, [*PEERS, OURS])
    return shared, {**shared, **{label + PINNED: taken for label, taken in pinned.items()}}


def against_best(samples, key, best):
    """The median of the ratios to the best peer of each round."""
    peers = [samples[label] for label in PEERS]
    return measure.median([mine[key] / best(other[key] for other in others)
                           for mine, *others in zip(samples[OURS], *peers, strict=True)])


COLUMNS = ["", "cycles/s", "p50 µs", "p90 µs", "p99 µs", "acquire p50 µs",
           "servers' CPU µs a cycle", "client CPU µs a cycle"]
KEYS = ["cycles_per_s", "p50_us", "p90_us", "p99_us", "acquire_p50_us", "server_cpu_us",
        "client_cpu_us"]


def cycle_rows(samples):
    return [[label, *(measure.median_of(taken, key) if key in taken[0] else "-" for key in KEYS)]
            for label, taken in samples.items()]


def redis5_50(bench):
    samples, rows = take_shared_and_pinned(bench, 50)
    return bench.result(
        "redis5-50", "Five Redis nodes, fifty callers",
        "A majority of five independent Redis servers; one process with fifty callers, each of "
        "which acquires and releases a lock of its own.  " + BOTH_NOTE,
        COLUMNS, cycle_rows(rows),
        [report.at_least(f"{OURS} / the best of the others, cycles/s",
                         against_best(samples, "cycles_per_s", max), 2),
         report.at_most(f"{OURS} / the least of the others, client CPU a cycle",
                        against_best(samples, "client_cpu_us", min), 0.1)])


def redis5_1(bench):
    samples, rows = take_shared_and_pinned(bench, 1)
    return bench.result(
        "redis5-1", "Five Redis nodes, one caller", "As before, one lock at a time.",
        COLUMNS, cycle_rows(rows),
        [report.at_least(f"{OURS} / the best of the others, cycles/s",
                         against_best(samples, "cycles_per_s", max), 1)])


def redis1_64(bench):
    samples = take_cycles(bench, 1, 64, [*PEERS, BARE, OURS])
    return bench.result(
        "redis1-64", "One Redis node, 64 callers over one connection",
        "Each client has one connection.  The *bare loop* (`bench-load --mode redis-vote`) sends "
        "the scripts, keys and arguments that Tenure sends, and does nothing else.",
        COLUMNS, cycle_rows(samples),
        [report.at_least(f"{OURS} / the best of the others, cycles/s",
                         against_best(samples, "cycles_per_s", max), 2),
         report.at_least(f"{OURS} / {BARE}, cycles/s", measure.ratio_of(
             samples[OURS], samples[BARE], "cycles_per_s"), 0.8)])


def redis1_1(bench):
    samples = take_cycles(bench, 1, 1, [*PEERS, OURS])
    return bench.result(
        "redis1-1", "One Redis node, one caller", "As before, one lock at a time.",
        COLUMNS, cycle_rows(samples), [])


def redis_handoff(bench):
    rounds = max(1, bench.count(HANDOFF_TOTAL) // bench.rounds)
    times = {}
    for _ in range(bench.rounds):
        for label in [*PEERS, OURS]:
            with RedisNodes(bench.place, 5, BOTH) as nodes:
                command = (measure.client_command(
                    bench.place, "handoff", url_of(nodes.ports), BOTH, rounds=rounds,
                    hold_ms_min=HOLD_MS[0], hold_ms_max=HOLD_MS[1])
                    if label == OURS else measure.node_command(
                        bench.place, "handoff.mjs", PEERS[label], nodes.ports, rounds, *HOLD_MS,
                        cpus=BOTH))
                note_nodes(bench, nodes)
                bench.note(label, command)
                times.setdefault(label, []).extend(measure.run_json(command)["samples_us"])
    rows = [[label, *(measure.quantile(taken, fraction) / 1000 for fraction in (0.5, 0.9, 0.99)),
             len(taken)] for label, taken in times.items()]
    return bench.result(
        "redis-handoff", "Five Redis nodes: from release to the next waiter",
        f"A holder keeps the lock for {HOLD_MS[0]} to {HOLD_MS[1]} ms while one other waits; from "
        "the call that releases it until the waiter has it.  The clients of Node.js have their "
        "defaults, except that they never give up: they ask again after a pause.",
        ["", "median ms", "p90 ms", "p99 ms", "hand-offs"], rows,
        [report.at_most(f"median of {OURS}, ms",
                        measure.quantile(times[OURS], 0.5) / 1000, 3)])


def take_crowd(bench, label, count, seconds, is_monitored=False):
    with RedisNodes(bench.place, 5, BOTH) as nodes:
        options = {"count": count, "seconds": seconds, "warmup_ms": bench.pace["warmup_ms"]}
        if is_monitored:
            options["monitor"] = nodes.nodes[-1].tcp
        command = measure.client_command(bench.place, "crowd", url_of(nodes.ports), BOTH,
                                         **options)
        note_nodes(bench, nodes)
        bench.note(label, command)
        return measure.run_json(command)


def redis_crowd(bench):
    crowd_s, monitor_s = (CROWD_S, MONITOR_S) if bench.scale == 1 else (1, 1)
    two = take_crowd(bench, "2 contenders", 2, crowd_s)
    fifty = take_crowd(bench, "50 contenders", 50, crowd_s)
    told = take_crowd(bench, "50 contenders, listened to", 50, monitor_s, is_monitored=True)
    samples = {"2 contenders": two, "50 contenders": fifty, "50 contenders, listened to": told}
    keys = ("grants_per_s", "p50_us", "p99_us", "max_us", "least_share")
    rows = [[label, *(sample[key] / (1000 if key.endswith("_us") else 1) for key in keys),
             sample.get("rounds_p50", "-"), sample.get("rounds_p99", "-")]
            for label, sample in samples.items()]
    return bench.result(
        "redis-crowd", "Five Redis nodes: a crowd that wants one lock",
        f"Each contender is a client of its own; it releases the lock at once and asks again, for "
        f"{crowd_s} s.  The *least share* is what the unluckiest of them was granted, of an equal "
        "share.  A *round* asks all nodes for their votes; the last run counts them by listening "
        "to one node (`MONITOR`), which slows it down.",
        ["", "grants/s", "wait p50 ms", "wait p99 ms", "wait max ms", "least share",
         "rounds p50", "rounds p99"], rows,
        [report.at_most("rounds to a grant, p99", told["rounds_p99"], 4),
         report.at_least("grants/s, 50 contenders / 2", fifty["grants_per_s"] /
                         two["grants_per_s"], 0.5),
         report.at_least("least share of 50 contenders", fifty["least_share"], 0.5)])


def freeze(node):
    os.kill(node.pid, signal.SIGSTOP)


def redis_slow(bench):
    """One node of five is late, or stands still: once the client knows it."""
    faults = {
        "all well": lambda proxy, node: None,
        f"one node {DELAY_MS} ms late": lambda proxy, node: proxy.order(f"down delay {DELAY_MS}"),
        "one node frozen": lambda proxy, node: freeze(node),
    }
    warmup_ms = 2 * bench.pace["warmup_ms"]
    samples = {}
    for _ in range(bench.rounds):
        for concurrency in (1, 50):
            for fault, strike in faults.items():
                label = f"{fault}, {concurrency} at a time"
                with RedisNodes(bench.place, 5, BOTH) as nodes:
                    victim = nodes.nodes[-1]
                    with FaultProxy(bench.place, victim.port) as proxy:
                        ports = [*nodes.ports[:-1], proxy.port]
                        command = measure.client_command(
                            bench.place, "cycles", url_of(ports), BOTH, count=concurrency,
                            seconds=bench.seconds, warmup_ms=warmup_ms)
                        note_nodes(bench, nodes)
                        bench.note("proxy", proxy.command)
                        bench.note(label, command)
                        samples.setdefault(label, []).append(measure.run_json(
                            command, lambda: strike(proxy, victim), warmup_ms / 2000))
    keys = ("acquire_p50_us", "acquire_p99_us", "p50_us", "p99_us", "cycles_per_s")
    rows = [[label, *(measure.median_of(taken, key) for key in keys)]
            for label, taken in samples.items()]
    verdicts = [
        report.at_most(f"acquire median, {fault}, {concurrency} at a time / all well",
                       measure.ratio_of(samples[f"{fault}, {concurrency} at a time"],
                                        samples[f"all well, {concurrency} at a time"],
                                        "acquire_p50_us"), 1.2)
        for concurrency in (1, 50) for fault in list(faults)[1:]]
    return bench.result(
        "redis-slow", "Five Redis nodes, one of them slow",
        "The fifth node is behind a proxy in all runs.  In the middle of the warm-up its answers "
        f"become {DELAY_MS} ms late, or it is stopped (SIGSTOP).",
        ["", "acquire p50 µs", "acquire p99 µs", "cycle p50 µs", "cycle p99 µs", "cycles/s"],
        rows, verdicts)


# In the order of the report; none of them needs tenured.
REDIS_SUITES = {
    "redis5-50": (redis5_50, True),
    "redis5-1": (redis5_1, True),
    "redis1-64": (redis1_64, True),
    "redis1-1": (redis1_1, True),
    "redis-handoff": (redis_handoff, True),
    "redis-crowd": (redis_crowd, True),
    "redis-slow": (redis_slow, True),
}
