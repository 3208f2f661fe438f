"""Stories of shared state, with real processes: a transfer whose mover is killed again and again, a
scoreboard with a hundred watchers, and a watch whose connection breaks all the time.

TENURE_TEST_ROUNDS: how often the mover is killed (20).  TENURE_TEST_CHANGES: how much the watch is
told (100000).
"""

import json
import os
import random
import socket
import sqlite3
import subprocess
import sys
import threading
import time

from cli import TENURE, environment, start, tenure
from lib import ROOT, Server, cleanup, equal, run, scratch, wait_for

EXAMPLES = os.environ.get("EXAMPLES", os.path.join(ROOT, "build", "examples"))
SCRIPT = os.path.join(ROOT, "examples", "transfer.py")
ROUNDS = int(os.environ.get("TENURE_TEST_ROUNDS", "20"))
CHANGES = int(os.environ.get("TENURE_TEST_CHANGES", "100000"))


def ask(client, commands):
    """Many at once; the answers."""
    answers = []
    for first in range(0, len(commands), 500):
        part = commands[first : first + 500]
        for words in part:
            client.send(*words)
        answers += [client.read() for _ in part]
    return answers


# ---------------------------------------------------------------------- transfer


class Host(threading.Thread):
    """Starts a mover again whenever it has died, until one has ended well."""

    def __init__(self, server, path):
        super().__init__(daemon=True)
        self.server, self.path = server, path
        self.is_over = False
        self.process = None

    def run(self):
        env = environment(self.server)
        env["PATH"] = os.path.dirname(TENURE) + ":" + env["PATH"]
        words = [TENURE, "run", "-w", "60", "--ttl", "1s", "mover", "--", sys.executable, SCRIPT]
        while not self.is_over:
            self.process = subprocess.Popen(
                words + [self.path], env=env, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            if self.process.wait() == 0:
                return

    def stop(self):
        self.is_over = True
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
        self.join(20)


def read_process(pid, name):
    try:
        with open("/proc/%s/%s" % (pid, name), "rb") as file:
            return file.read().decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def parent_of(pid):
    fields = read_process(pid, "stat").rpartition(")")[2].split()
    return int(fields[1]) if fields else 0


def find_mover(hosts):
    """What runs it, and the command itself; None: nobody moves at the moment."""
    runs = {host.process.pid for host in hosts if host.process is not None}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        words = read_process(pid, "cmdline").split("\0")
        if words[1:2] != [SCRIPT] or words[2:3] != [hosts[0].path]:
            continue
        above = int(pid)
        while above > 1 and above not in runs:
            above = parent_of(above)
        if above in runs:
            return above, int(pid)
    return None


def kill_mover(hosts, chance, is_run):
    """A death at a random moment, of the command or of what runs it; false: it had just ended."""
    wait_for(lambda: find_mover(hosts) is not None, "a mover", 20)
    time.sleep(chance.uniform(0, 0.25))
    pids = find_mover(hosts)
    if pids is None:
        return False
    try:
        os.kill(pids[0] if is_run else pids[1], 9)
    except ProcessLookupError:
        return False
    wait_for(lambda: find_mover(hosts) != pids, "its end", 20)
    return True


def test_a_transfer_loses_and_doubles_nothing_however_often_it_is_killed():
    server = Server()
    client = server.resp()
    path = os.path.join(scratch(), "rows.sqlite")
    hosts = [Host(server, path) for _ in range(3)]
    for host in hosts:
        cleanup(host.stop)
    # There is always more to move than a mover can before it is killed.
    fed = 0

    def feed(count):
        nonlocal fed
        ask(client, [("STATE.SET", "row/%07d" % n, n) for n in range(fed, fed + count)])
        fed += count

    feed(400)
    for host in hosts:
        host.start()
    chance = random.Random(5)
    kill_count = 0
    for number in range(ROUNDS):
        kill_count += kill_mover(hosts, chance, number % 4 == 3)
        feed(30)
    for host in hosts:
        host.join(200)
        assert not host.is_alive()
    database = sqlite3.connect(path)
    names = [name for (name,) in database.execute("SELECT id FROM rows ORDER BY id")]
    equal(len(names), fed)
    equal(names, ["row/%07d" % n for n in range(fed)])
    equal(database.execute("SELECT count, amount FROM total").fetchone(),
          (fed, fed * (fed - 1) // 2))
    equal(tenure(server, "get", "--prefix", "row/"), (0, "", ""))
    print("     %d kills, %d rows moved once each" % (kill_count, fed))


def test_a_mover_that_has_lost_the_lock_changes_nothing():
    server = Server()
    path = os.path.join(scratch(), "rows.sqlite")
    equal(tenure(server, "set", "row/1", "5")[0], 0)
    lease = json.loads(tenure(server, "acquire", "--json", "--ttl", "60s", "mover")[1])
    token = str(lease["tokens"][0])
    tenure(server, "release", "--owner", lease["owner"], "--token", token, "mover")
    env = environment(server, {"TENURE_NAME": "mover", "TENURE_TOKEN": token})
    env["PATH"] = os.path.dirname(TENURE) + ":" + env["PATH"]
    late = subprocess.run([sys.executable, SCRIPT, path], env=env, stderr=subprocess.PIPE,
                          check=False, timeout=30)
    equal(late.returncode, 79)
    equal(tenure(server, "get", "row/1")[1], "5")
    # A database that a newer one has written to does not even take the rows.
    database = sqlite3.connect(path)
    database.execute("UPDATE fence SET token = ?", (int(token) + 1,))
    database.execute("DELETE FROM rows")
    database.commit()
    late = subprocess.run([sys.executable, SCRIPT, path], env=env, stderr=subprocess.PIPE,
                          check=False, timeout=30)
    equal(late.returncode, 79)
    equal(database.execute("SELECT count(*) FROM rows").fetchone(), (0,))


# ---------------------------------------------------------------------- scoreboard


def test_a_hundred_watchers_see_the_same_scoreboard():
    server = Server()
    client = server.resp()
    client("RANK.ADD", "top", "7", "ann")
    program = os.path.join(EXAMPLES, "scoreboard")
    watchers = []
    for _ in range(100):
        watcher = subprocess.Popen([program, "top"], env=environment(server),
                                   stdout=subprocess.PIPE)
        cleanup(end, watcher)
        watchers.append(watcher)
    for watcher in watchers:
        equal(watcher.stdout.readline(), b"watching\n")
    chance = random.Random(7)
    names = ["ann", "bob", "eve", "kim"]
    ask(client, [("RANK.INCR", "top", chance.choice([1, 2, -1, 0.5]), chance.choice(names))
                 for _ in range(2000)])
    client("RANK.ADD", "top", "-1000000", "end")
    flat = client("RANK.RANGE", "top", "0", "-1", "REV")
    expected = ["%g %s" % (float(flat[i + 1]), flat[i]) for i in range(0, len(flat), 2)]
    for watcher in watchers:
        lines = watcher.communicate(timeout=60)[0].decode().splitlines()
        equal(watcher.returncode, 0)
        equal(lines.index("final"), 2001)
        equal(lines[2002:], expected)


def end(process):
    if process.poll() is None:
        process.kill()
    process.communicate()


# ---------------------------------------------------------------------- watch


class BreakingProxy:
    """Cuts each connection after a random number of bytes."""

    def __init__(self, port, least, most):
        self.target, self.least, self.most = port, least, most
        self.chance = random.Random(11)
        self.cut_count = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        cleanup(self.listener.close)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.target))
            limit = self.chance.randint(self.least, self.most)
            threading.Thread(target=self.pump, args=(client, server, None), daemon=True).start()
            threading.Thread(target=self.pump, args=(server, client, limit), daemon=True).start()

    def pump(self, source, sink, limit):
        try:
            while limit is None or limit > 0:
                data = source.recv(65536 if limit is None else min(limit, 65536))
                if not data:
                    break
                sink.sendall(data)
                if limit is not None:
                    limit -= len(data)
        except OSError:
            pass
        if limit == 0:
            self.cut_count += 1
        for each in (source, sink):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def follow(server, proxy, since, count):
    """Values told, seqs told, and how it ended."""
    watch = start(server, "watch", "--json", "--exact", "--types", "set", "--since", str(since),
                  "-n", str(count), "n", env={"TENURE_URL": "tenure://127.0.0.1:%d" % proxy.port})
    values, seqs = [], []
    for line in watch.stdout:
        event = json.loads(line)
        values.append(int(event["value"]))
        seqs.append(event["seq"])
    return values, seqs, watch.wait(20)


def test_a_watch_has_no_gap_and_no_repeat_however_often_it_is_cut():
    server = Server()
    proxy = BreakingProxy(server.port, 1, max(20000, CHANGES * 2))
    changer = threading.Thread(
        target=lambda: ask(server.resp(), [("STATE.INCR", "n")] * CHANGES), daemon=True
    )
    changer.start()
    values, seqs, code = follow(server, proxy, 0, CHANGES)
    changer.join(200)
    equal(values, list(range(1, len(values) + 1)))
    equal(seqs, sorted(set(seqs)))
    assert code == 66 or (code, len(values)) == (0, CHANGES), (code, len(values))
    assert CHANGES > 200000 or code == 0
    assert proxy.cut_count > 10, proxy.cut_count
    print("     %d changes, %d seen, %d cuts%s" % (
        CHANGES, len(values), proxy.cut_count, ", compacted" if code == 66 else ""))


def test_a_watch_from_the_past_catches_up_at_once():
    server = Server()
    ask(server.resp(), [("STATE.INCR", "n")] * 20000)
    begin = time.monotonic()
    values, _, code = follow(server, server, 0, 20000)
    equal((values, code), (list(range(1, 20001)), 0))
    assert time.monotonic() - begin < 10


def test_a_watch_that_falls_behind_says_so():
    server = Server("--window-bytes", "256K")
    client = server.resp()
    ask(client, [("STATE.INCR", "n")] * 100)
    proxy = BreakingProxy(server.port, 2000, 20000)
    told = {}
    reader = threading.Thread(
        target=lambda: told.update(
            zip(("values", "seqs", "code"), follow(server, proxy, 1, 10**6))
        ),
        daemon=True,
    )
    reader.start()
    for _ in range(200):
        if not reader.is_alive():
            break
        ask(client, [("STATE.INCR", "n")] * 2000)
    reader.join(30)
    assert not reader.is_alive()
    equal(told["code"], 66)
    equal(told["values"], list(range(2, len(told["values"]) + 2)))


if __name__ == "__main__":
    run()
