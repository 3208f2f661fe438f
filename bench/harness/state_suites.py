"""state_suites - what is measured of shared state.  See suites.py."""

from . import measure, report
from .queue_suites import (
    PAUSE_MS, TIME_COLUMNS, WAKE_TOTAL, commit_times, flat, notice, round_ratio, time_rows)
from .servers import CLIENT_CPU, Tenured
from .suites import FILL, Case, present, ratios, redis_always, take_turns

WATCHERS = 1000
WINDOW = 64


def state_set50(bench):
    names = max(bench.count(100_000), 50)
    cases = [Case("redis always", redis_always, "redis-set", connections=50, names=names),
             Case("tenured", Tenured, "state-set", connections=50, names=names)]
    samples = take_turns(bench, present(bench, cases))
    keys = ("cycles_per_s", "p50_us", "p90_us", "p99_us", "server_cpu_us", "client_cpu_us")
    rows = [[label, *(measure.median_of(taken, key) for key in keys)]
            for label, taken in samples.items()]
    return bench.result(
        "state-set50", "State: set on fifty connections",
        f"`STATE.SET` and `SET` of a hundred bytes, {report.number(names)} names in turn; one "
        "request under way on each connection.",
        ["", "sets/s", "p50 µs", "p90 µs", "p99 µs", "server CPU µs a set", "client CPU µs a set"],
        rows, ratios(samples, [("tenured", "redis always", 1.2)]))


def fill_state(bench, server, count):
    options = {**FILL, "names": count}
    del options["ttl_ms"]
    bench.note("fill", measure.load_command(bench.place, server, "state-fill", **options))
    return measure.load(bench.place, server, "state-fill", **options)


def state_watch(bench):
    count = max(bench.count(1_000_000), FILL["outstanding"])
    rounds = max(2, bench.count(WAKE_TOTAL) // bench.rounds)
    disk, empty, events, answers = [], [], [], []
    for _ in range(bench.rounds):
        disk.append(commit_times(bench, rounds))
        with Tenured(bench.place) as server:
            bench.note_server(server)
            empty.append(notice(bench, "watch", "watch", server, rounds)[0])
            fill_state(bench, server, count)
            server.settle()
            seen, answered = notice(bench, "watch", "watch", server, rounds)
            events.append(seen)
            answers.append(answered)
    behind = [[event - answer for event, answer in zip(seen, answered, strict=True)]
              for seen, answered in zip(events, answers, strict=True)]
    return bench.result(
        "state-watch", "State: a watcher gets its event",
        f"A watcher of one prefix, beside {report.number(count)} other registers; after a pause of "
        f"{PAUSE_MS[0]} to {PAUSE_MS[1]} ms a register under it is set.  From the sending of the "
        "set until the event is there, or until the set is answered.",
        TIME_COLUMNS,
        time_rows({"the disk alone": flat(disk), "event, nothing else is set": flat(empty),
                   "event": flat(events), "answer to the set": flat(answers)}),
        [report.at_most("an event comes behind the answer, in commits, medians",
                        round_ratio(behind, disk), 1),
         report.at_most("an event beside many registers / beside none, medians",
                        round_ratio(events, empty), 1.1)])


def fanout_command(bench, server, watchers, window):
    return [bench.place.program("bench-fanout"), "--tcp", server.tcp, "--cpu", CLIENT_CPU,
            "--watchers", str(watchers), "--window", str(window), "--server-pid",
            str(server.pid), "--seconds", str(bench.seconds)]


def state_fanout(bench):
    watchers = max(bench.count(WATCHERS), 10)
    samples = {}
    for _ in range(bench.rounds):
        for window in (1, WINDOW):
            label = f"{window} change{'s' if window > 1 else ''} under way"
            with Tenured(bench.place) as server:
                command = fanout_command(bench, server, watchers, window)
                bench.note_server(server)
                bench.note(label, command)
                samples.setdefault(label, []).append(measure.run_json(command))
    keys = ("events_per_s", "changes_per_s", "server_cpu_us", "client_cpu_us")
    rows = [[label, *(measure.median_of(taken, key) for key in keys)]
            for label, taken in samples.items()]
    rate = max(measure.median_of(taken, "events_per_s") for taken in samples.values())
    return bench.result(
        "state-fanout", "State: many watchers of one register",
        f"{report.number(watchers)} watchers, each on a connection of its own; the register is "
        "set again when all of them have seen all but the last few changes, and every event must "
        "be the next one.  One process reads them all.",
        ["", "events/s", "changes/s", "server CPU µs an event", "client CPU µs an event"], rows,
        [report.at_least("events a second", rate, 500_000)])


STATE_SUITES = {
    "state-set50": (state_set50, True),
    "state-watch": (state_watch, False),
    "state-fanout": (state_fanout, False),
}
