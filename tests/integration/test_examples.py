"""The programs of examples/, several processes of each, as on several hosts.

Their directory is $EXAMPLES, else build/examples.
"""

import json
import os
import signal
import subprocess
import threading
import time
import urllib.request

from cli import TENURE, environment, start, tenure
from lib import ROOT, Server, cleanup, equal, run, scratch, wait_for

EXAMPLES = os.environ.get("EXAMPLES", os.path.join(ROOT, "build", "examples"))
# A lease, and what a busy machine takes beside it.
SLACK_S = 3.0
REQUESTS = 'tenure_requests_total{protocol="resp"}'


class Program:
    """One process of an example; `lines` grows with what it says."""

    def __init__(self, server, name, *arguments, stdin=os.devnull):
        file = open(stdin, encoding="ascii")
        cleanup(file.close)
        self.process = subprocess.Popen(
            [os.path.join(EXAMPLES, name)] + [str(a) for a in arguments],
            stdin=file,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment(server),
        )
        cleanup(self.end)
        self.lines = []
        self.times = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.times.append(time.monotonic())
            self.lines.append(line.decode().rstrip("\n"))

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait()

    def signal(self, number):
        self.process.send_signal(number)

    def said(self, start):
        """The lines that begin so."""
        return [line for line in self.lines if line.startswith(start)]

    def first_said_at(self, start):
        return next((at for at, line in zip(self.times, self.lines) if line.startswith(start)),
                    None)


def working(programs):
    """Those that work now: the last thing they said."""
    return [p for p in programs if p.lines and p.lines[-1].startswith("working")]


def metric(server, start):
    with urllib.request.urlopen("http://127.0.0.1:%d/metrics" % server.port, timeout=20) as page:
        lines = [line for line in page.read().decode().splitlines() if line.startswith(start)]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def break_lock(server, prefix):
    """End the one hold that there is."""
    lock = json.loads(tenure(server, "ls", "--json", prefix)[1])
    token = lock["holders"][0]["token"]
    words = ["--yes", "--reason", "test", "--token", token, lock["name"]]
    equal(tenure(server, "break", *words)[0], 0)


# ---- singleton-service


def three_services(server, ttl_ms):
    services = [Program(server, "singleton-service", "scheduler", ttl_ms) for _ in range(3)]
    wait_for(lambda: working(services) and all(s.said("waiting") for s in services), "one at work")
    return services


def test_a_singleton_service_is_restarted_elsewhere_within_its_lease():
    server = Server()
    services = three_services(server, 2000)
    for _ in range(2):
        (first,) = working(services)
        rest = [s for s in services if s is not first]
        equal([s for s in rest if s.said("working")], [])
        first.signal(signal.SIGKILL)
        killed_at = time.monotonic()
        wait_for(lambda: working(rest), "another at work")
        took_s = time.monotonic() - killed_at
        assert took_s < 2 + SLACK_S, took_s
        services = rest
        (second,) = working(services)
        old, new = (int(s.said("working")[-1].split()[1]) for s in (first, second))
        assert new > old, (old, new)


def test_a_singleton_service_that_ends_hands_over_at_once():
    server = Server()
    services = three_services(server, 60000)
    (first,) = working(services)
    rest = [s for s in services if s is not first]
    first.signal(signal.SIGTERM)
    equal(first.process.wait(20), 0)
    ended_at = time.monotonic()
    wait_for(lambda: working(rest), "another at work")
    assert time.monotonic() - ended_at < SLACK_S
    equal(first.lines[-1], "stopped")
    for service in rest:
        service.signal(signal.SIGTERM)
        equal(service.process.wait(20), 0)


def test_a_singleton_service_that_stood_still_does_not_work_on():
    server = Server()
    services = three_services(server, 1000)
    (first,) = working(services)
    rest = [s for s in services if s is not first]
    first.signal(signal.SIGSTOP)
    wait_for(lambda: working(rest), "another at work")
    time.sleep(0.3)
    count = len(first.said("working"))
    first.signal(signal.SIGCONT)
    wait_for(lambda: first.said("lost"), "the loss")
    equal(len(first.said("working")), count)
    equal(first.process.poll(), None)


def test_singleton_services_that_wait_ask_for_nothing():
    server = Server()
    services = three_services(server, 60000)
    time.sleep(0.5)
    before = metric(server, REQUESTS)
    time.sleep(3)
    after = metric(server, REQUESTS)
    # The holder listens for those who end its hold, and says now and then that it is there.
    assert 0 < before <= after < before + 3, (before, after)
    equal(len(working(services)), 1)


# ---- role-assignment


def roles(programs):
    """Who plays what, by what they said last."""
    return {p: p.lines[-1].split()[1] for p in programs
            if p.lines and p.lines[-1].startswith("playing")}


def test_each_role_is_played_by_one_process():
    server = Server()
    cast = [Program(server, "role-assignment", "cast", "hamlet", "ophelia") for _ in range(4)]
    wait_for(lambda: len(roles(cast)) == 2, "two roles")
    time.sleep(0.3)
    equal(sorted(roles(cast).values()), ["hamlet", "ophelia"])
    victim = next(p for p, role in roles(cast).items() if role == "hamlet")
    victim.signal(signal.SIGKILL)
    killed_at = time.monotonic()
    cast.remove(victim)
    wait_for(lambda: sorted(roles(cast).values()) == ["hamlet", "ophelia"], "another Hamlet")
    took_s = time.monotonic() - killed_at
    assert took_s < 2 + SLACK_S, took_s
    leaver = next(p for p, role in roles(cast).items() if role == "ophelia")
    leaver.signal(signal.SIGTERM)
    equal(leaver.process.wait(20), 0)
    wait_for(lambda: sorted(roles(cast).values()) == ["hamlet", "ophelia"], "another Ophelia")
    equal(len(roles(cast)), 2)


# ---- cron-once


def run_slot(server, path, period_s):
    """Two hosts at the same time, a third one late; None when the slot was over before."""
    begun = int(time.time()) // period_s
    command = ["-p", period_s, "report", "sh", "-c", 'echo "$TENURE_TOKEN" >>"$0"; sleep 0.2', path]
    hosts = [Program(server, "cron-once", *command) for _ in range(2)]
    equal([host.process.wait(20) for host in hosts], [0, 0])
    late = Program(server, "cron-once", *command)
    equal(late.process.wait(20), 0)
    return begun if int(time.time()) // period_s == begun else None


def test_a_slot_of_cron_is_one_hosts():
    server = Server()
    path = os.path.join(scratch(), "ran")
    period_s = 4
    slots = set()
    while len(slots) < 2:
        before = len(open(path, encoding="ascii").readlines()) if os.path.exists(path) else 0
        slot = run_slot(server, path, period_s)
        with open(path, encoding="ascii") as file:
            ran = len(file.readlines()) - before
        if slot is not None:
            equal(ran, 1)
            slots.add(slot)
        # The next slot.
        now = time.time()
        time.sleep(period_s - now % period_s + 0.05)


def test_cron_once_ends_as_its_command_does():
    server = Server()
    failing = Program(server, "cron-once", "a", "sh", "-c", "exit 7")
    equal(failing.process.wait(20), 7)
    missing = Program(server, "cron-once", "b", "/nowhere/at/all")
    equal(missing.process.wait(20), 127)
    long = Program(server, "cron-once", "-p", 3600, "d", "sleep", 60)

    wait_for(lambda: tenure(server, "ls", "d/")[1], "the lock")
    break_lock(server, "d/")
    equal(long.process.wait(20), 79)


# ---- async-libuv


def test_a_loop_works_under_the_lock():
    server = Server()
    first = Program(server, "async-libuv", "loop", 8)
    wait_for(lambda: first.said("working"), "the first at work")
    second = Program(server, "async-libuv", "loop", 2)
    third = Program(server, "async-libuv", "loop", 2)
    wait_for(lambda: third.said("waiting"), "the third")
    third.signal(signal.SIGTERM)
    equal(third.process.wait(20), 75)
    equal(first.process.wait(20), 0)
    equal(second.process.wait(20), 0)
    wait_for(lambda: second.said("released"), "the end")
    equal(len(first.said("working")), 8)
    equal(first.lines[-1], "released: released")
    assert first.first_said_at("released") <= second.first_said_at("working") + 0.1
    equal(len(second.said("working")), 2)


def test_a_loop_is_told_of_the_loss():
    server = Server()
    loop = Program(server, "async-libuv", "loop", 1000)
    wait_for(lambda: loop.said("working"), "it at work")
    break_lock(server, "loop")
    equal(loop.process.wait(20), 79)
    wait_for(lambda: loop.said("released"), "the end")
    equal(loop.said("lost"), ["lost: broken"])
    # Whoever breaks gives a moment; it may be given back within it.
    assert loop.said("released")[0] in ("released: broken", "released: released"), loop.lines


# ---- encoders


def script(name):
    return os.path.join(ROOT, "examples", name)


def encoder(server, log):
    """A worker, as on a host of its own."""
    path = os.path.dirname(TENURE) + ":" + os.environ["PATH"]
    return start(server, "work", "videos", "--", script("encode.sh"),
                 env={"ENCODE_LOG": log, "ENCODE_STEP_S": "0.1", "PATH": path})


def words_of(path):
    with open(path, encoding="utf-8") as file:
        return [line.split() for line in file]


def film(folder, customer, number):
    os.makedirs(os.path.join(folder, customer), exist_ok=True)
    path = os.path.join(folder, customer, "film%d.mp4" % number)
    with open(path, "w", encoding="ascii"):
        pass
    return path


def manage(server, videos, folder):
    """The manager, with its list of videos."""
    with open(os.path.join(folder, "list"), "w", encoding="ascii") as file:
        file.write("".join(video + "\n" for video in videos))
    manager = Program(server, "encoders", "videos", stdin=file.name)
    wait_for(lambda: set(videos) <= set(queued(server)), "all to be queued")
    return manager


def queued(server):
    """The ids of all that there are, in whatever state."""
    lines = tenure(server, "queue", "ls", "--json", "videos")[1].splitlines()
    return [json.loads(line)["id"] for line in lines]


def test_encoders_do_each_video_once_though_one_is_killed():
    server = Server()
    folder = scratch()
    log = os.path.join(folder, "log")
    open(log, "w", encoding="ascii").close()
    videos = [film(folder, "acme", n) for n in range(8)]
    videos += [film(folder, customer, n) for customer in ("bolt", "coco") for n in range(2)]
    manager = manage(server, videos, folder)
    encoders = [encoder(server, log) for _ in range(3)]
    # Three customers, three encoders: nobody waits behind acme's eight.
    wait_for(lambda: len(words_of(log)) >= 3, "three at work")
    equal(sorted(words[2] for words in words_of(log)[:3]), ["acme", "bolt", "coco"])
    wait_for(lambda: len(manager.said("busy")) >= 3, "the manager to see it")
    wait_for(lambda: manager.said("progress"), "the progress")

    victim = encoders.pop()
    victim.kill()
    equal(manager.process.wait(60), 0)
    wait_for(lambda: len(manager.said("complete")) == len(videos), "its words")
    equal(sorted(line.split()[1] for line in manager.said("complete")), sorted(videos))
    equal(len(manager.said("lost")), 1)
    for video in videos:
        with open(video + ".encoded", encoding="utf-8") as file:
            equal(len(file.readlines()), 5)
    check_log(words_of(log), videos)
    # The first six that are taken are two of each; what begins is written down a little later.
    begun = [(int(words[1]), words[2]) for words in words_of(log) if words[0] == "begin"]
    equal([customer for _, customer in sorted(begun)[:6]].count("acme"), 2)
    for process in encoders:
        process.terminate()
        equal(process.wait(20), 0)
    equal([name for _, _, names in os.walk(folder) for name in names if ".part." in name], [])


def check_log(log, videos):
    """Each video is ended once; one that begins again has a higher token."""
    ended = [words[3] for words in log if words[0] == "end"]
    equal(sorted(ended), sorted(videos))
    tokens = {}
    for kind, token, _, video in log:
        if kind == "begin":
            assert int(token) > tokens.get(video, 0)
            tokens[video] = int(token)
        else:
            equal(tokens[video], int(token))  # nobody has begun it in between
    begun = [words[3] for words in log if words[0] == "begin"]
    equal(len(begun), len(videos) + 1)  # that of the one that was killed, twice


def test_a_manager_asks_for_nothing_while_encoders_work():
    server = Server()
    folder = scratch()
    log = os.path.join(folder, "log")
    manager = manage(server, [film(folder, "acme", 1)], folder)
    time.sleep(0.3)
    before = metric(server, REQUESTS)
    time.sleep(2)
    equal(metric(server, REQUESTS), before)
    worker = encoder(server, log)
    equal(manager.process.wait(20), 0)
    # What is not there cannot be encoded.
    missing = manage(server, [os.path.join(folder, "acme", "none.mp4")], folder)
    equal(missing.process.wait(20), 1)
    wait_for(lambda: missing.said("buried"), "its words")
    worker.terminate()
    equal(worker.wait(20), 0)


# ---- report


def ask_for_report(server, day):
    path = os.path.dirname(TENURE) + ":" + os.environ["PATH"]
    process = subprocess.Popen([script("report.sh"), day], stdout=subprocess.PIPE,
                               env=environment(server, {"PATH": path}))
    cleanup(process.stdout.close)
    return process


def test_ten_who_ask_for_the_report_get_the_same_one():
    server = Server()
    log = os.path.join(scratch(), "log")
    asking = [ask_for_report(server, "2026-11-21") for _ in range(10)]
    wait_for(lambda: tenure(server, "queue", "stat", "reports")[0] == 0, "the item")
    workers = [start(server, "work", "--result", "reports", "--", script("make-report.sh"),
                     env={"REPORT_LOG": log, "REPORT_S": "0.5"}) for _ in range(3)]
    reports = [process.communicate(timeout=30)[0] for process in asking]
    equal([process.returncode for process in asking], [0] * 10)
    equal(len(set(reports)), 1)
    assert reports[0].startswith(b"Report of 2026-11-21, made by process "), reports
    # Who comes later gets it, too; another day has another one.
    late = ask_for_report(server, "2026-11-21")
    equal(late.communicate(timeout=30)[0], reports[0])
    other = ask_for_report(server, "2026-11-22")
    assert other.communicate(timeout=30)[0].startswith(b"Report of 2026-11-22")
    equal([words[0] for words in words_of(log)], ["2026-11-21", "2026-11-22"])
    for worker in workers:
        worker.terminate()
        equal(worker.wait(20), 0)


if __name__ == "__main__":
    run()
