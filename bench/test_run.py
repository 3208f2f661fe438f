#!/usr/bin/python3
"""test_run - do the measurements notice what is wrong?

    bench/test_run.py BENCH_BUILD_DIR

Runs the load generator against servers that answer wrongly, the floor on a small file, and the
arithmetic of the runner on made-up samples.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import types
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from harness import measure, queue_suites, redis_suites, report  # noqa: E402
from harness.servers import (  # noqa: E402
    Beanstalkd, Failure, FaultProxy, Floor, Redis, RedisNodes, Server, ask)

PROGRAMS = None
GRANT = b"*4\r\n$5\r\ntoken\r\n:7\r\n$4\r\nslot\r\n:0\r\n"
RELEASED = b"*1\r\n$8\r\nreleased\r\n"


class FakeServer:
    """Answers each request, told apart by its verb, as `answer(verb)` says; None hangs up."""

    def __init__(self, answer):
        self.answer = answer
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.tcp = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                link, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(link,), daemon=True).start()

    def serve(self, link):
        try:
            with link, link.makefile("rb") as lines:
                while (reply := self.answer_next(lines)) is not None:
                    link.sendall(reply)
        except OSError:
            pass  # the client has given up on us, as some tests want

    def answer_next(self, lines):
        """Read one request; the answer to it, or None to hang up."""
        count = lines.readline()
        if not count:
            return None
        words = []
        for _ in range(int(count[1:])):
            lines.readline()
            words.append(lines.readline().strip())
        return self.answer(words[0])

    def close(self):
        # Before its descriptor is another server's: this thread would accept from that.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()


def run_load(answer, *options):
    """(exit status, result) of the load generator against a fake server."""
    server = FakeServer(answer)
    try:
        done = subprocess.run(
            [os.path.join(PROGRAMS, "bench-load"), "--mode", "tenured-resp", "--tcp", server.tcp,
             "--seconds", "0.1", "--warmup-ms", "10", *options],
            capture_output=True, text=True, timeout=20, check=False)
    finally:
        server.close()
    return done.returncode, json.loads(done.stdout)


class LoadTest(unittest.TestCase):
    def check_fails(self, excerpt, answer):
        status, result = run_load(answer)
        self.assertNotEqual(status, 0)
        self.assertGreater(result["errors"], 0)
        self.assertIn(excerpt, result["first_error"])

    def test_right_answers_are_counted(self):
        seen = []

        def answer(verb):
            seen.append(verb)
            return GRANT if verb == b"LOCK.ACQUIRE" else RELEASED

        status, result = run_load(answer, "--outstanding", "3", "--connections", "2")
        self.assertEqual((status, result["errors"]), (0, 0))
        self.assertGreater(result["cycles"], 0)
        # Nothing is left locked, and what was counted happened.
        self.assertEqual(seen.count(b"LOCK.ACQUIRE"), seen.count(b"LOCK.RELEASE"))
        self.assertLessEqual(result["cycles"], seen.count(b"LOCK.RELEASE"))
        self.assertLessEqual(result["p50_us"], result["p99_us"])

    def test_lockstep_sends_whole_windows(self):
        status, result = run_load(
            lambda verb: GRANT if verb == b"LOCK.ACQUIRE" else RELEASED,
            "--outstanding", "8", "--lockstep")
        self.assertEqual((status, result["errors"]), (0, 0))

    def test_renewals_are_counted_one_by_one(self):
        renewed = b"*6\r\n$7\r\noutcome\r\n$2\r\nok\r\n$6\r\nttl_ms\r\n:9\r\n+x\r\n:9\r\n"
        lost = renewed.replace(b"$2\r\nok", b"$4\r\nlost")

        def answer(batch):
            return lambda verb: GRANT if verb == b"LOCK.ACQUIRE" else b"*100\r\n" + batch

        status, result = run_load(answer(renewed * 100), "--mode", "renew")
        self.assertEqual((status, result["errors"]), (0, 0))
        self.assertAlmostEqual(result["units_per_s"] / result["cycles_per_s"], 100, places=1)
        status, _ = run_load(answer(renewed * 99 + lost), "--mode", "renew")
        self.assertNotEqual(status, 0)

    def test_refused_acquire(self):
        self.check_fails("HELD", lambda verb: b"-HELD somebody else holds the lock\r\n")

    def test_grant_without_token(self):
        self.check_fails("slot", lambda verb: b"*2\r\n$4\r\nslot\r\n:0\r\n")

    def test_release_of_nothing(self):
        self.check_fails("not_owner", lambda verb: GRANT if verb == b"LOCK.ACQUIRE"
                         else b"*1\r\n$9\r\nnot_owner\r\n")

    def test_garbage(self):
        self.check_fails("not an answer", lambda verb: b"hello\r\n")

    def test_hang_up(self):
        self.check_fails("closed", lambda verb: GRANT if verb == b"LOCK.ACQUIRE" else None)

    def test_surplus_answer(self):
        self.check_fails("", lambda verb: GRANT + GRANT)

    def test_nobody_listens(self):
        done = subprocess.run(
            [os.path.join(PROGRAMS, "bench-load"), "--mode", "tenured-resp", "--tcp",
             "127.0.0.1:1"], capture_output=True, text=True, timeout=20, check=False)
        self.assertNotEqual(done.returncode, 0)


def bulk(text):
    return b"$%d\r\n%s\r\n" % (len(text), text)


def flat_map(*pairs):
    """As RESP2 has a map: an array of keys and values in turn."""
    words = [b":%d\r\n" % word if isinstance(word, int) else bulk(word) for word in pairs]
    return b"*%d\r\n" % len(words) + b"".join(words)


def body_of(number):
    return (b"bench/item/%012d" % number).ljust(100, b".")


def taken_item(number, token=7):
    return b"*1\r\n" + flat_map(b"queue", b"bench", b"id", b"_1", b"token", token,
                                b"body", body_of(number))


PUT = flat_map(b"id", b"_1", b"state", b"ready", b"repeat", 0)
DONE = flat_map(b"id", b"", b"state", b"done", b"repeat", 0)


class QueueLoadTest(unittest.TestCase):
    """A queue that loses, repeats or invents items fails the run."""

    def run_queue(self, take, mode="queue", put=PUT, done=DONE, names=None):
        """(exit status, result); `take(n)` is the answer to the n-th take."""
        count = [0]

        def answer(verb):
            if verb == b"QUEUE.TAKE":
                count[0] += 1
                return take(count[0] - 1)
            return put if verb == b"QUEUE.PUT" else done

        options = ["--names", str(names), "--warmup-ms", "0"] if names else []
        return run_load(answer, "--mode", mode, *options)

    def check_fails(self, excerpt, take, **options):
        status, result = self.run_queue(take, **options)
        self.assertNotEqual(status, 0)
        self.assertIn(excerpt, result["first_error"])

    def test_right_answers_are_counted(self):
        status, result = self.run_queue(taken_item)
        self.assertEqual((status, result["errors"]), (0, 0))
        self.assertGreater(result["cycles"], 0)

    def test_item_taken_twice(self):
        self.check_fails("queue", lambda turn: taken_item(0))

    def test_item_that_nobody_put(self):
        self.check_fails("queue", lambda turn: taken_item(turn + 1))

    def test_changed_body(self):
        self.check_fails("queue", lambda turn: taken_item(turn).replace(b"....", b"...!", 1))

    def test_nothing_to_take(self):
        self.check_fails("*0", lambda turn: b"*0\r\n")

    def test_take_without_token(self):
        self.check_fails("queue", lambda turn: taken_item(turn, token=0))

    def test_put_of_what_is_there(self):
        self.check_fails("repeat", taken_item, put=PUT.replace(b":0", b":1"))

    def test_end_that_is_lost(self):
        self.check_fails("LOST", taken_item, done=b"-LOST somebody else has it\r\n")

    def test_everything_is_taken_once(self):
        for mode in ("queue-take", "queue-work"):
            options = {"mode": mode, "names": 5}
            order = [3, 1, 0, 4, 2]
            status, result = self.run_queue(lambda turn: taken_item(order[turn]), **options)
            self.assertEqual((status, result["errors"]), (0, 0))
            self.check_fails("queue", lambda turn: taken_item(min(turn, 3)), **options)
            self.check_fails("queue", lambda turn: taken_item(turn + 1), **options)

    def test_pushes_make_the_list_longer(self):
        for step, is_right in ((1, True), (0, False)):
            length = [0]

            def answer(_, step=step, length=length):
                length[0] += step
                return b":%d\r\n" % max(1, length[0])

            status, _ = run_load(answer, "--mode", "redis-rpush")
            self.assertEqual(status == 0, is_right)

    def test_versions_rise(self):
        version = [0]

        def answer(_):
            version[0] += 1
            return b":%d\r\n" % version[0]

        self.assertEqual(run_load(answer, "--mode", "state-set")[0], 0)
        self.assertNotEqual(run_load(lambda _: b":3\r\n", "--mode", "state-set")[0], 0)
        self.assertNotEqual(run_load(lambda _: b"-STALE no\r\n", "--mode", "redis-set")[0], 0)


class NoticeTest(unittest.TestCase):
    """How soon others are told; what they are told must be right."""

    def notice(self, play, answer):
        server = FakeServer(answer)
        try:
            return subprocess.run(
                [os.path.join(PROGRAMS, "bench-notice"), "--tcp", server.tcp, "--play", play,
                 "--rounds", "2", "--pause-ms-min", "1", "--pause-ms-max", "1"],
                capture_output=True, text=True, timeout=20, check=False)
        finally:
            server.close()

    def test_times_of_an_answer(self):
        begun = time.monotonic()

        def answer(_):
            time.sleep(0.02)
            return b":%d\r\n" % int(1000 * (time.monotonic() - begun))

        done = self.notice("set", answer)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        result = json.loads(done.stdout)
        self.assertEqual(len(result["samples_us"]), 2)
        self.assertGreater(min(result["samples_us"]), 20000)

    def test_wrong_answers_are_noticed(self):
        self.assertIn("not the answer", self.notice("set", lambda _: b"+OK\r\n").stderr)
        self.assertIn("not the answer", self.notice("put", lambda _: b"-FULL no\r\n").stderr)
        self.assertIn("not the answer", self.notice("ping", lambda _: b"+PONG\r\n").stderr)
        self.assertIn("not followed", self.notice("watch", lambda _: b":1\r\n").stderr)

    def test_a_worker_that_gets_something_else(self):
        done = self.notice("wake", lambda verb: taken_item(0) if verb == b"QUEUE.TAKE" else PUT)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("not what was sent", done.stderr)


class FanoutTest(unittest.TestCase):
    """Watchers are told of every change in its order, or the run fails."""

    def run_fanout(self, value_of, watchers=2, welcome=b"*2\r\n$6\r\nfollow\r\n:0\r\n"):
        """Against a server that tells its n-th change as value_of(n)."""
        listener = socket.create_server(("127.0.0.1", 0))
        links = []

        def follow(link):
            link.recv(4096)
            link.sendall(welcome)
            links.append(link)

        def serve():
            try:
                setter, _ = listener.accept()
                for _ in range(watchers):
                    follow(listener.accept()[0])
                count = 0
                while sets := setter.recv(65536).count(b"STATE.SET"):
                    for _ in range(sets):
                        event = b"*2\r\n" + bulk(b"event") + flat_map(
                            b"seq", count + 1, b"kind", b"set", b"value", value_of(count))
                        for link in links:
                            link.sendall(event)
                        count += 1
                        setter.sendall(b":%d\r\n" % count)
            except OSError:
                pass  # the client has given up on us, as some tests want

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            return subprocess.run(
                [os.path.join(PROGRAMS, "bench-fanout"), "--tcp",
                 "127.0.0.1:%d" % listener.getsockname()[1], "--watchers", str(watchers),
                 "--window", "1", "--seconds", "0.1"],
                capture_output=True, text=True, timeout=20, check=False)
        finally:
            # As FakeServer.close: this thread would answer another server's clients.
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            listener.close()
            for link in links:
                link.close()

    def test_every_event_is_counted(self):
        done = self.run_fanout(lambda number: b"%d" % number)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        result = json.loads(done.stdout)
        self.assertGreater(result["changes"], 1)
        self.assertEqual(result["events"], 2 * result["changes"])

    def test_a_watcher_that_is_refused(self):
        done = self.run_fanout(lambda number: b"%d" % number, welcome=b"-INVALID no\r\n")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("refused", done.stderr)

    def test_gaps_and_repeats_are_noticed(self):
        for value_of in (lambda number: b"%d" % (2 * number), lambda number: b"0",
                         lambda number: b"x"):
            done = self.run_fanout(value_of)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("not ", done.stderr)


@unittest.skipUnless(shutil.which("beanstalkd"), "no beanstalkd")
class BeanstalkdTest(unittest.TestCase):
    def test_it_serves_the_load(self):
        with tempfile.TemporaryDirectory() as data:
            for is_durable in (False, True):
                with Beanstalkd(types.SimpleNamespace(data=data), is_durable) as server:
                    place = types.SimpleNamespace(
                        data=data, program=lambda name: os.path.join(PROGRAMS, name))
                    result = measure.load(place, server, "bean", connections=3, seconds=0.2,
                                          warmup_ms=10)
                    self.assertGreater(result["cycles"], 5)
                    self.assertEqual(any(name.startswith("binlog") for name in
                                         os.listdir(server.directory)), is_durable)


class HandoffTest(unittest.TestCase):
    def run_handoff(self, answer):
        server = FakeServer(answer)
        try:
            return subprocess.run(
                [os.path.join(PROGRAMS, "bench-handoff"), "--peer", "tenured", "--tcp", server.tcp,
                 "--waiters", "2", "--rounds", "1", "--hold-ms-min", "200", "--hold-ms-max",
                 "200"],
                capture_output=True, text=True, timeout=20, check=False)
        finally:
            server.close()

    def test_two_holders_are_noticed(self):
        done = self.run_handoff(lambda verb: GRANT)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("granted while held", done.stderr)

    def test_refusal_is_noticed(self):
        done = self.run_handoff(lambda verb: b"-NOTOWNER no\r\n")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("not a grant", done.stderr)


class StartTest(unittest.TestCase):
    def run_start(self, script):
        return subprocess.run(
            [os.path.join(PROGRAMS, "bench-start"), "--rounds", "3", "--", "sh", "-c", script, "-"],
            capture_output=True, text=True, timeout=20, check=False)

    def test_times_are_in_their_order(self):
        done = self.run_start('sleep 0.02; "$@"; sleep 0.02')
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        result = json.loads(done.stdout)
        self.assertEqual(len(result["samples_us"]), 3)
        for started, ended in zip(result["samples_us"], result["ended_us"]):
            self.assertGreater(started, 20000)
            self.assertGreater(ended, started + 20000)

    def test_runners_that_do_not_run_it_are_noticed(self):
        for script in ("true", '"$@"; exit 1', '"$@"; "$@"', "echo 7x"):
            done = self.run_start(script)
            self.assertEqual((done.returncode, done.stdout), (70, ""), script)


class FloorTest(unittest.TestCase):
    def setUp(self):
        self.data = tempfile.mkdtemp()
        self.place = types.SimpleNamespace(
            data=self.data, program=lambda name: os.path.join(PROGRAMS, name))

    def tearDown(self):
        shutil.rmtree(self.data)

    def test_it_serves_the_load(self):
        for is_unix in (False, True):
            # A mebibyte: the log goes round many times.
            with Floor(self.place) as server:
                server.kill()
                server.command = lambda plain=server.command: [*plain(), "--file-mib", "1"]
                os.unlink(server.unix)
                server.start()
                result = measure.load(self.place, server, "tenured-resp", is_unix=is_unix,
                                      outstanding=64, connections=4, seconds=0.3, warmup_ms=10)
                self.assertEqual(result["errors"], 0)
                self.assertGreater(result["cycles"], 100)
                self.assertNotIn(b"Sanitizer", server.log_text())

    def test_it_has_a_queue(self):
        with Floor(self.place) as server:
            for mode, options in (("queue", {"connections": 4}), ("queue-put", {}),):
                result = measure.load(self.place, server, mode, outstanding=8, seconds=0.2,
                                      warmup_ms=10, **options)
                self.assertEqual(result["errors"], 0)
                self.assertGreater(result["cycles"], 50)

    def test_a_lock_is_not_granted_twice(self):
        with Floor(self.place) as server:
            with socket.create_connection(("127.0.0.1", server.port)) as link:
                for owner, start in ((b"a", b"*12"), (b"b", b"-HELD")):
                    link.sendall(b"*4\r\n$12\r\nLOCK.ACQUIRE\r\n$1\r\nx\r\n$1\r\n" + owner +
                                 b"\r\n$4\r\n1000\r\n")
                    self.assertTrue(link.recv(4096).startswith(start))


@unittest.skipUnless(shutil.which("redis-server"), "no redis-server")
class RedisClientTest(unittest.TestCase):
    """The plays of bench-client, and what they are compared with."""

    def setUp(self):
        self.data = tempfile.mkdtemp()
        self.place = types.SimpleNamespace(
            data=self.data, program=lambda name: os.path.join(PROGRAMS, name),
            fault_proxy=lambda: os.path.join(PROGRAMS, "..", "tests", "lib", "fault-proxy"))

    def tearDown(self):
        shutil.rmtree(self.data)

    def play(self, name, nodes, **options):
        return measure.run_json(measure.client_command(
            self.place, name, redis_suites.url_of(nodes.ports), warmup_ms=10, **options))

    def test_cycles_are_what_the_servers_saw(self):
        with RedisNodes(self.place, 3) as nodes:
            result = self.play("cycles", nodes, count=5, seconds=0.3, server_pid=nodes.pids)
            self.assertGreater(result["cycles"], 10)
            self.assertGreater(result["server_cpu_us"], 0)
            self.assertLess(result["acquire_p50_us"], result["p50_us"])
            told = ask(nodes.ports[0], b"INFO commandstats\r\n").decode()
            calls = int(re.search(r"cmdstat_evalsha:calls=(\d+)", told).group(1))
            self.assertGreaterEqual(calls, 2 * result["cycles"])

    def test_a_handoff_takes_no_longer_than_the_hold_that_follows(self):
        with RedisNodes(self.place, 3) as nodes:
            result = self.play("handoff", nodes, rounds=2, hold_ms_min=20, hold_ms_max=30)
            self.assertEqual(len(result["samples_us"]), 2)
            self.assertLess(result["p50_us"], 1e6)

    def test_a_crowd_is_counted_and_listened_to(self):
        with RedisNodes(self.place, 3) as nodes:
            result = self.play("crowd", nodes, count=4, seconds=0.3,
                               monitor=nodes.nodes[2].tcp)
            self.assertGreater(result["grants"], 4)
            self.assertGreater(result["least_share"], 0)
            self.assertLessEqual(result["least_share"], 1)
            self.assertGreaterEqual(result["rounds_seen"], result["grants"])
            # Who waits has asked once before it was told that it is its turn.
            self.assertGreaterEqual(result["rounds_p50"], 2)
            self.assertLessEqual(result["rounds_p50"], result["rounds_max"])

    def test_a_node_that_cannot_be_listened_to_is_a_failure(self):
        with RedisNodes(self.place, 1) as nodes:
            with self.assertRaisesRegex(Failure, "listen"):
                self.play("crowd", nodes, count=1, seconds=0.1, monitor="127.0.0.1:1")

    def test_a_lock_that_somebody_holds_is_a_failure(self):
        with RedisNodes(self.place, 1) as nodes:
            held = b"SET bench/lock/000000000 somebody PX 10000\r\n"
            self.assertTrue(ask(nodes.ports[0], held).startswith(b"+OK"))
            with self.assertRaisesRegex(Failure, "not granted"):
                self.play("cycles", nodes, seconds=0.2)

    def test_the_bare_loop_is_granted_what_it_asks_for(self):
        with RedisNodes(self.place, 1) as nodes:
            result = measure.load(self.place, nodes.nodes[0], "redis-vote", outstanding=8,
                                  seconds=0.2, warmup_ms=10)
            self.assertEqual(result["errors"], 0)
            self.assertGreater(result["cycles"], 10)

    def test_the_proxy_is_late_when_told(self):
        with RedisNodes(self.place, 1) as nodes:
            with FaultProxy(self.place, nodes.ports[0]) as proxy:
                proxy.order("down delay 100")
                begun = time.monotonic()
                self.assertTrue(ask(proxy.port, b"PING\r\n").startswith(b"+PONG"))
                self.assertGreater(time.monotonic() - begun, 0.1)
                with self.assertRaises(Failure):
                    proxy.order("sideways")


class RunnerTest(unittest.TestCase):
    def test_something_can_happen_during_a_run(self):
        done = []
        measure.run_json(["sh", "-c", "sleep 0.1; echo '{\"x\": 1}'"],
                         lambda: done.append(time.monotonic()), 0.01)
        self.assertEqual(len(done), 1)

    def test_the_best_is_another_one_in_each_round(self):
        samples = {label: [{"x": 10}, {"x": 10}, {"x": 10}] for label in redis_suites.PEERS}
        samples["redis-semaphore"] = [{"x": 20}, {"x": 5}, {"x": 5}]
        samples[redis_suites.OURS] = [{"x": 40}, {"x": 30}, {"x": 20}]
        self.assertAlmostEqual(redis_suites.against_best(samples, "x", max), 2)
        self.assertAlmostEqual(redis_suites.against_best(samples, "x", min), 4)

    def test_times_are_compared_within_each_round(self):
        # The last round was four times as slow for all.
        ours, disk, link = [[2, 4, 6], [16]], [[1], [4]], [[1, 1, 1], [4]]
        self.assertAlmostEqual(queue_suites.round_ratio(ours, disk, link), 2)
        with self.assertRaises(ValueError):
            queue_suites.round_ratio(ours, disk[:1])

    def test_what_is_ready_is_read_from_the_statistics(self):
        told = flat_map(b"name", b"bench", b"delayed", 1, b"ready", 42, b"taken", 3)
        for answer, count in ((told, 42), (b"$-1\r\n", 0)):
            with socket.create_server(("127.0.0.1", 0)) as listener:
                def serve(listener=listener, answer=answer):
                    with listener.accept()[0] as link:
                        link.recv(4096)
                        link.sendall(answer)

                threading.Thread(target=serve, daemon=True).start()
                server = types.SimpleNamespace(port=listener.getsockname()[1])
                self.assertEqual(queue_suites.ready_count_of(server), count)

    def test_ratio_is_taken_within_each_round(self):
        # The machine was twice as fast in the last round: the ratio does not care.
        mine = [{"x": 30}, {"x": 33}, {"x": 60}]
        theirs = [{"x": 10}, {"x": 11}, {"x": 20}]
        self.assertAlmostEqual(measure.ratio_of(mine, theirs, "x"), 3)

    def test_rounds_must_match(self):
        with self.assertRaises(ValueError):
            measure.ratio_of([{"x": 1}], [{"x": 1}, {"x": 2}], "x")

    def test_missed_targets_are_missed(self):
        self.assertTrue(report.at_least("", 1.2, 1.2)["is_met"])
        self.assertFalse(report.at_least("", 1.19, 1.2)["is_met"])
        self.assertTrue(report.at_most("", 0.4, 0.4)["is_met"])
        self.assertFalse(report.at_most("", 0.41, 0.4)["is_met"])

    def test_report_says_what_is_missed(self):
        text = report.section({
            "name": "n", "title": "t", "note": "", "columns": ["", "x"], "rows": [["a", 1234.5]],
            "verdicts": [report.at_least("a / b", 1.0, 1.2)], "commands": [], "rounds": 5,
            "date": "", "load_before": 0.0})
        self.assertIn("**no**", text)
        self.assertIn("| a | 1 234 |", text)

    def test_failed_program_is_a_failure(self):
        with self.assertRaises(Failure):
            measure.run_json(["sh", "-c", "echo '{\"errors\": 1}'; exit 1"])
        with self.assertRaises(Failure):
            measure.run_json(["sh", "-c", "echo hello"])

    def test_server_that_does_not_start_is_a_failure(self):
        class Broken(Server):
            label = "broken"

            def command(self):
                return ["sh", "-c", "echo no such luck; exit 1"]

            def is_ready(self):
                return False

        with tempfile.TemporaryDirectory() as data:
            with self.assertRaisesRegex(Failure, "no such luck"):
                Broken(types.SimpleNamespace(data=data)).__enter__()

    @unittest.skipUnless(shutil.which("redis-server"), "no redis-server")
    def test_redis_is_what_it_says(self):
        with tempfile.TemporaryDirectory() as data:
            place = types.SimpleNamespace(
                data=data, program=lambda name: os.path.join(PROGRAMS, name))
            with Redis(place, is_durable=True) as server:
                result = measure.load(place, server, "redis", seconds=0.1, warmup_ms=10)
                self.assertGreater(result["cycles"], 0)
                self.assertTrue(os.path.isdir(os.path.join(server.directory, "appendonlydir")))


def main():
    global PROGRAMS
    PROGRAMS = os.path.abspath(sys.argv[1])
    tests = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    result = unittest.TextTestRunner(stream=sys.stderr).run(tests)
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed} passed, {failed} failed")
    return 1 if failed or not result.testsRun else 0


if __name__ == "__main__":
    sys.exit(main())
