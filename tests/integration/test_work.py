"""tenure work: what becomes of items, of workers and of commands, whatever goes wrong."""

import json
import os
import re
import signal
import time

from cli import Proxy, children, guardian_of, is_alive, read_file, start, stat_fields, tenure, url
from lib import Server, contains, equal, run, scratch, wait_for


def put(server, *options, queue="q", body="x", **others):
    code, out, err = tenure(server, "queue", "put", *options, queue, body, **others)
    equal((code, err), (0, ""))
    return out.strip()


def item(server, id, queue="q"):
    """What is known of it; {} when it is forgotten."""
    code, out, _ = tenure(server, "queue", "peek", "--json", queue, id)
    return json.loads(out) if code == 0 else {}


def stat(server, queue="q"):
    code, out, _ = tenure(server, "queue", "stat", "--json", queue)
    return json.loads(out) if code == 0 else {}


def work(server, *words, **options):
    """To its end."""
    return tenure(server, "work", *words, **options)


def sh(script):
    return ["--", "/bin/sh", "-c", script]


def zombies_of(pid):
    """Children of a process that have ended and were not reaped."""
    found = []
    for entry in os.listdir("/proc"):
        fields = stat_fields(int(entry)) if entry.isdigit() else None
        if fields and int(fields[1]) == pid and fields[0] == "Z":
            found.append(int(entry))
    return found


def lines(path):
    return read_file(path).splitlines()


# ---------------------------------------------------------------------- how the command ends


def test_how_a_command_ends_says_what_becomes_of_the_item():
    server = Server()
    keep = ["--retain", "1h"]
    cases = [
        # what it does, state, failed attempts, reason
        ("exit 0", "done", 0, None),
        ("exit 65", "dead", 0, "exit 65"),
        ("exit 78", "dead", 0, "exit 78"),
        ("exit 75", "delayed", 0, "exit 75"),
        ("echo one >&2; echo no such file >&2; exit 3", "delayed", 1, "exit 3: no such file"),
        ("exit 125", "delayed", 1, "exit 125"),
        ("kill -TERM $$", "delayed", 1, "signal 15"),
        ("kill -SEGV $$", "delayed", 1, "signal 11"),
        ("echo retry 5m later on >&$TENURE_CONTROL_FD; exit 1", "delayed", 1, "exit 1: later on"),
        ("echo retry >&$TENURE_CONTROL_FD; exit 65", "delayed", 1, "exit 65"),
        ("echo dead of old age >&$TENURE_CONTROL_FD; exit 1", "dead", 0, "exit 1: of old age"),
        ("echo dead >&$TENURE_CONTROL_FD", "done", 0, None),
        ("printf 'dead of haste' >&$TENURE_CONTROL_FD; exit 1", "dead", 0, "exit 1: of haste"),
        ("echo one >&2; printf two >&2; exit 3", "delayed", 1, "exit 3: two"),
    ]
    for number, (script, became, attempts, reason) in enumerate(cases):
        queue = "q%d" % number
        id = put(server, *keep, queue=queue)
        code, _, _ = work(server, "--drain", queue, *sh(script))
        equal((script, code), (script, 0))
        now = item(server, id, queue)
        told = (now["state"], now["attempts"], now["note"])
        equal((script, told), (script, (became, attempts, reason)))
        if "5m" in script:
            left = now["run_at"]
            assert left is not None, now


def test_an_item_that_fails_too_often_is_dead():
    server = Server()
    id = put(server, "--attempts", "3", "--backoff", "10ms")
    work(server, "--idle", "1", "q", *sh("exit 4"))
    now = item(server, id)
    equal((now["state"], now["attempts"]), ("dead", 3))
    equal(tenure(server, "queue", "redrive", "q")[1], "1\n")
    equal(item(server, id)["state"], "ready")


def test_a_command_that_somebody_killed_counts_as_a_lost_worker():
    server = Server()
    for script in ("kill -KILL $$", "exit 137", "sh -c 'kill -KILL $$'; exit $?"):
        id = put(server, "--lease", "1h", "--lapses", "2", "--attempts", "1")
        begun = time.monotonic()
        code, _, err = work(server, "--once", "q", *sh(script))
        equal((script, code), (script, 137))
        contains(err, "q/%s: killed: " % id)
        contains(err, "it counts as a lost worker")
        wait_for(lambda: item(server, id)["lapses"] == 1, "the lapse")
        assert time.monotonic() - begun < 5
        now = item(server, id)
        equal((now["state"], now["attempts"]), ("ready", 0))
        work(server, "--once", "q", *sh(script))
        wait_for(lambda: item(server, id)["state"] == "dead", "the end")
        equal((item(server, id)["lapses"], item(server, id)["attempts"]), (2, 0))


def test_the_word_of_the_command_counts_more_than_its_exit_137():
    server = Server()
    id = put(server)
    work(server, "--once", "q", *sh("echo dead of age >&$TENURE_CONTROL_FD; exit 137"))
    equal((item(server, id)["state"], item(server, id)["note"]), ("dead", "exit 137: of age"))


def test_once_ends_as_its_command_does():
    server = Server()
    for script, expected in (("exit 0", 0), ("exit 7", 7), ("exit 65", 65), ("kill -9 $$", 137),
                             ("exit 75", 75), ("exit 126", 126), ("exit 127", 127)):
        put(server)
        equal((script, work(server, "--once", "q", *sh(script))[0]), (script, expected))
        tenure(server, "queue", "purge", "-y", "--state", "delayed", "q")
        tenure(server, "queue", "purge", "-y", "--state", "ready", "q")
        tenure(server, "queue", "purge", "-y", "--state", "dead", "q")
    code, _, err = work(server, "--once", "--drain", "q", *sh("exit 0"))
    equal(code, 75)
    put(server)
    equal(work(server, "--once", "q", "--", "no-such-command")[0], 127)
    equal(work(server, "--once", "q", "--", "/etc/passwd")[0], 126)
    equal(item(server, "_1"), {})


def test_wrong_words():
    cases = (
        ([], "which queue?"),
        (["q"], "which command?"),
        (["q", "--"], "which command?"),
        (["-c", "true", "q", "--", "true"], "exclude each other"),
        (["--once", "-j", "2", "q", "--", "true"], "--once"),
        (["-j", "0", "q", "--", "true"], "--jobs"),
        (["--worker", "", "q", "--", "true"], "--worker"),
        (["--lease", "1ms", "q", "--", "true"], "--lease"),
        (["--florble", "q", "--", "true"], "unknown option"),
    )
    for words, err in cases:
        code, out, told = tenure(None, "work", *words)
        equal((words, code, out), (words, 64, ""))
        contains(told, err)


def test_no_server():
    for jobs in ("1", "3"):
        code, _, err = tenure(None, "work", "--timeout", "0.3", "-j", jobs, "q", "--", "true",
                              env={"TENURE_URL": "tenure://127.0.0.1:1"})
        equal(code, 69)
        contains(err, "is the server up?")


def test_a_store_without_queues():
    code, _, err = tenure(None, "work", "--timeout", "0.5", "q", "--", "true",
                          env={"TENURE_URL": "redis://127.0.0.1:1"})
    equal(code, 64)
    contains(err, "Redis cannot do that")


# ---------------------------------------------------------------------- what the command gets


def test_the_command_gets_the_item():
    server = Server()
    put(server, "--group", "acme", "--headers", "kind=video", "--priority", "7", "--lease", "20",
        "--attempts", "9", "--id", "film-1", body="holiday.mp4")
    path = os.path.join(scratch(), "env")
    code, _, _ = work(server, "--once", "--worker", "ann", "q",
                      *sh('cat; env | grep ^TENURE_ | sort >"%s"; '
                          'test -r /dev/fd/$TENURE_FD && echo open' % path))
    equal(code, 0)
    told = dict(line.split("=", 1) for line in lines(path))
    token = told.pop("TENURE_TOKEN")
    assert re.fullmatch(r"\d{16}", token), token
    assert told.pop("TENURE_FD").isdigit() and told.pop("TENURE_CONTROL_FD").isdigit()
    equal(told, {
        "TENURE_QUEUE": "q", "TENURE_ID": "film-1", "TENURE_GROUP": "acme",
        "TENURE_HEADERS": "kind=video", "TENURE_PRIORITY": "7", "TENURE_ATTEMPT": "1",
        "TENURE_ATTEMPTS_MAX": "9", "TENURE_LAPSES": "0", "TENURE_OWNER": "ann",
        "TENURE_LEASE_MS": "20000", "TENURE_URL": url(server),
    })


def test_bodies_come_as_they_are():
    server = Server()
    folder = scratch()
    for number, body in enumerate((b"", b"\n", bytes(range(256)) * 10, os.urandom(1 << 20))):
        path = os.path.join(folder, "in%d" % number)
        with open(path, "wb") as file:
            file.write(body)
        equal(tenure(server, "queue", "put", "-f", path, "q")[0], 0)
        copy = os.path.join(folder, "out")
        equal(work(server, "--once", "q", *sh('cat >"%s"' % copy))[0], 0)
        with open(copy, "rb") as file:
            assert file.read() == body, number
    with open(os.path.join(folder, "big"), "wb") as file:
        file.write(b"x" * ((1 << 20) + 1))
    code, _, err = tenure(server, "queue", "put", "-f", os.path.join(folder, "big"), "q")
    assert code != 0, err
    contains(err, "1048576")


def test_a_command_that_does_not_read_its_body():
    server = Server()
    equal(tenure(server, "queue", "put", "q", stdin=b"x" * 1000000)[0], 0)
    equal(work(server, "--once", "q", "--", "true")[0], 0)


def test_results():
    server = Server()
    for script, result in (("printf 'a result\\n'", "a result\n"), ("true", ""),
                           ("head -c 100000 /dev/zero | tr '\\0' z", "z" * 65536)):
        id = put(server, "--retain", "1h")
        code, out, err = work(server, "--once", "--result", "q", *sh(script))
        equal((code, out), (0, ""))
        equal("cut at 65536" in err, len(result) == 65536)
        code, out, _ = tenure(server, "queue", "wait", "q", id)
        equal((code, out == result), (0, True))


def test_those_who_wait_get_the_result():
    server = Server()
    asking = start(server, "queue", "put", "--wait", "20", "q", "6*7")
    equal(work(server, "--once", "--result", "q", *sh("expr 6 \\* 7"))[0], 0)
    equal(asking.wait(20), 0)
    equal(asking.stdout.read(), b"42\n")
    asking = start(server, "queue", "put", "--wait", "20", "q", "x")
    equal(work(server, "--once", "q", *sh("exit 65"))[0], 65)
    equal(asking.wait(20), 1)
    contains(asking.stderr.read().decode(), "is dead: exit 65")
    equal(tenure(server, "queue", "put", "--wait", "0.1", "q", "x")[0], 75)


def test_progress_is_seen():
    server = Server()
    id = put(server)
    worker = start(server, "work", "--once", "q",
                   *sh('echo progress 40 % of it >&$TENURE_CONTROL_FD; sleep 60'))
    wait_for(lambda: item(server, id).get("note") == "40 % of it", "the progress")
    equal(item(server, id)["state"], "taken")
    worker.kill()


def test_unknown_words_on_the_control_descriptor():
    server = Server()
    put(server)
    code, _, err = work(server, "--once", "q", *sh("echo florble >&$TENURE_CONTROL_FD"))
    equal(code, 0)
    contains(err, "'florble' is none of progress, retry, dead")


# ---------------------------------------------------------------------- whose fault is it?


def test_a_command_that_does_not_exist_burns_nothing():
    server = Server()
    ids = [put(server) for _ in range(5)]
    for command, expected in ((["no-such-command"], 127), (["/etc/passwd"], 126),
                              (["/bin/sh", "-c", "exec no-such-command"], 127)):
        code, _, err = work(server, "q", "--", *command)
        equal((command, code), (command, expected))
        contains(err, "3 times in a row")
        for id in ids:
            now = item(server, id)
            equal((now["state"], now["attempts"], now["lapses"]), ("ready", 0, 0))
    # Several slots end as one does.
    equal(work(server, "-j", "3", "q", "--", "no-such-command")[0], 127)
    equal({item(server, id)["attempts"] for id in ids}, {0})
    equal(work(server, "--drain", "q", "--", "true")[0], 0)
    equal(stat(server)["ready"], 0)


def test_a_poison_item_is_dead_after_its_lapses():
    server = Server()
    folder = scratch()
    poison = put(server, "--lease", "500ms", "--lapses", "3", body="poison")
    good = put(server, "--retain", "1h", body="good")
    # It kills its worker: the parent of its guardian.
    script = ('read body; [ "$body" = good ] && exit 0; echo "$TENURE_LAPSES" >>"%s/ran"; '
              'guard=$(awk "{print \\$4}" /proc/$$/stat); slot=$(awk "{print \\$4}" '
              '/proc/$guard/stat); kill -9 $slot; sleep 60') % folder
    worker = start(server, "work", "-j", "2", "q", *sh(script))
    wait_for(lambda: item(server, poison).get("state") == "dead", "its death", 30)
    equal(lines(folder + "/ran"), ["0", "1", "2"])
    equal(item(server, poison)["lapses"], 3)
    wait_for(lambda: item(server, good)["state"] == "done", "the other one")
    worker.terminate()
    equal(worker.wait(20), 0)
    contains(worker.stderr.read().decode(), "a slot was killed by signal 9")


# ---------------------------------------------------------------------- signals


def running(server, *options, script="sleep 60", count=1, **others):
    """A worker whose commands have begun."""
    path = os.path.join(scratch(), "pids")
    worker = start(server, "work", *options, "q",
                   *sh('echo $$ >>"%s"; %s' % (path, script)), **others)
    wait_for(lambda: len(lines(path)) >= count, "the command")
    return worker, [int(line) for line in lines(path)]


def test_an_idle_worker_ends_at_once():
    server = Server()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        for jobs in ("1", "3"):
            worker = start(server, "work", "-j", jobs, "q", "--", "true")
            wait_for(lambda: stat(server).get("waiting", 0) == int(jobs), "the take")
            begun = time.monotonic()
            worker.send_signal(number)
            equal(worker.wait(20), 0)
            assert time.monotonic() - begun < 3
            equal(worker.stderr.read(), b"")
            wait_for(lambda: stat(server).get("waiting", 0) == 0, "the end of the takes")


def test_told_to_end_it_lets_the_command_finish():
    server = Server()
    id = put(server, "--retain", "1h")
    put(server)
    worker, (pid,) = running(server, script="sleep 1; exit 0")
    worker.terminate()
    time.sleep(0.2)
    assert is_alive(pid)
    equal(worker.wait(20), 0)
    equal(item(server, id)["state"], "done")
    equal(stat(server)["ready"], 1)  # nothing more was taken


def test_behind_the_grace_it_stops_the_command_and_gives_the_item_back():
    server = Server()
    id = put(server)
    worker, (pid,) = running(server, "--grace", "0.3", script="sleep 60 & wait")
    begun = time.monotonic()
    worker.terminate()
    equal(worker.wait(20), 0)
    assert 0.25 < time.monotonic() - begun < 5
    assert not is_alive(pid)
    now = item(server, id)
    equal((now["state"], now["attempts"], now["note"]), ("ready", 0, "the worker was stopped"))


def test_the_second_signal_stops_and_the_third_kills():
    server = Server()
    id = put(server)
    worker, (pid,) = running(server, script='trap "" TERM; while :; do sleep 0.1; done')
    worker.terminate()
    time.sleep(0.3)
    worker.terminate()
    time.sleep(0.3)
    assert is_alive(pid)
    worker.terminate()
    equal(worker.wait(20), 0)
    assert not is_alive(pid)
    equal(item(server, id)["attempts"], 0)


def test_a_command_that_ignores_term_is_killed():
    server = Server()
    put(server)
    worker, (pid,) = running(server, "--grace", "0", "--kill-grace", "0.3",
                             script='trap "" TERM; while :; do sleep 0.1; done')
    worker.terminate()
    equal(worker.wait(20), 0)
    assert not is_alive(pid)


def test_other_signals_are_the_commands():
    server = Server()
    id = put(server, "--retain", "1h")
    worker, _ = running(server, script='trap "exit 0" USR1; while :; do sleep 0.05; done')
    time.sleep(0.2)
    worker.send_signal(signal.SIGUSR1)
    wait_for(lambda: item(server, id)["state"] == "done", "the end")
    worker.terminate()
    equal(worker.wait(20), 0)


# ---------------------------------------------------------------------- stopped by others


def test_an_item_that_is_cancelled_stops():
    server = Server()
    id = put(server, "--lease", "600ms", "--retain", "1h")
    worker, (pid,) = running(server, "--once", script="sleep 60 & wait")
    equal(tenure(server, "queue", "cancel", "--reason", "not needed", "q", id)[0], 0)
    equal(worker.wait(20), 75)
    assert not is_alive(pid)
    equal(item(server, id)["state"], "cancelled")


def test_a_run_that_takes_too_long_has_failed():
    server = Server()
    id = put(server, "--max-run", "1", "--backoff", "1h")
    begun = time.monotonic()
    code, _, err = work(server, "--once", "q", *sh("sleep 60 & wait"))
    equal(code, 124)
    assert 0.3 < time.monotonic() - begun < 3
    now = item(server, id)
    equal((now["state"], now["attempts"], now["lapses"]), ("delayed", 1, 0))
    contains(now["note"], "timeout")
    contains(err, "its time is over")


# ---------------------------------------------------------------------- the lease is lost


def first_run(server, folder, *options, port=None):
    """A worker, by way of `port`, whose command writes down when it is there."""
    script = ('echo "$TENURE_TOKEN begin $(date +%%s%%N)" >>"%s/a"; '
              'while :; do echo "$TENURE_TOKEN $(cut -d" " -f1 /proc/uptime)" >>"%s/beats"; '
              'sleep 0.02; done') % (folder, folder)
    env = {"TENURE_URL": "tenure://127.0.0.1:%d" % port} if port else None
    worker = start(server, "work", "--timeout", "1", *options, "q", *sh(script), env=env)
    wait_for(lambda: len(lines(folder + "/beats")) > 3, "the command")
    return worker


def beats(folder, token):
    return [float(line.split()[1]) for line in lines(folder + "/beats")
            if line.startswith(token + " ")]


def second_run(server, folder):
    """Another worker takes the item when the first has lost it; when its command began."""
    path = folder + "/second"
    code, _, _ = work(server, "--once", "q",
                      *sh('cut -d" " -f1 /proc/uptime >"%s"; echo $TENURE_TOKEN >>"%s"'
                          % (path, path)), limit_s=60)
    equal(code, 0)
    began, token = lines(path)
    return float(began), int(token)


def check_no_overlap(server, folder, id):
    began, token = second_run(server, folder)
    first = lines(folder + "/beats")[0].split()[0]
    last = beats(folder, first)[-1]
    assert token > int(first)
    assert last <= began + 0.011, (last, began)
    equal(item(server, id)["state"], "done")


def test_a_command_may_take_longer_than_its_lease():
    server = Server()
    id = put(server, "--lease", "300ms", "--retain", "1h")
    equal(work(server, "--once", "q", "--", "sleep", "1.5"), (0, "", ""))
    now = item(server, id)
    equal((now["state"], now["lapses"]), ("done", 0))


def test_the_connection_is_cut():
    server = Server()
    folder = scratch()
    proxy = Proxy(server)
    id = put(server, "--lease", "1", "--retain", "1h")
    worker = first_run(server, folder, "--once", port=proxy.port)
    proxy.stall()
    check_no_overlap(server, folder, id)
    equal(worker.wait(20), 79)
    contains(worker.stderr.read().decode(), "lost q/%s while the command ran" % id)


def test_the_server_is_stopped():
    server = Server()
    folder = scratch()
    id = put(server, "--lease", "1", "--retain", "1h")
    worker = first_run(server, folder, "--once")
    os.kill(server.pid, signal.SIGSTOP)
    equal(worker.wait(20), 79)
    equal(children(worker.pid), [])
    count = len(lines(folder + "/beats"))
    time.sleep(0.2)
    equal(len(lines(folder + "/beats")), count)
    os.kill(server.pid, signal.SIGCONT)
    check_no_overlap(server, folder, id)


def test_a_worker_goes_on_after_a_loss():
    server = Server()
    path = os.path.join(scratch(), "ran")
    id = put(server, "--lease", "600ms", "--retain", "1h")
    worker = start(server, "work", "--timeout", "1", "-v", "q",
                   *sh('echo x >>"%s"; [ "$TENURE_LAPSES" = 1 ] || sleep 60' % path))
    wait_for(lambda: lines(path), "the command")
    os.kill(server.pid, signal.SIGSTOP)
    wait_for(lambda: not children(worker.pid), "the loss")
    os.kill(server.pid, signal.SIGCONT)
    wait_for(lambda: item(server, id).get("state") == "done", "the second run", 20)
    equal(len(lines(path)), 2)
    worker.terminate()
    equal(worker.wait(20), 0)


def test_the_worker_is_killed():
    server = Server()
    folder = scratch()
    id = put(server, "--lease", "1", "--retain", "1h")
    worker = first_run(server, folder)
    guardian = guardian_of(worker.pid)
    worker.kill()
    check_no_overlap(server, folder, id)
    wait_for(lambda: not is_alive(guardian), "the end of the guardian")
    equal(item(server, id)["lapses"], 1)


def test_the_worker_is_stopped():
    server = Server()
    folder = scratch()
    id = put(server, "--lease", "1", "--retain", "1h")
    worker = first_run(server, folder, "--once")
    worker.send_signal(signal.SIGSTOP)
    check_no_overlap(server, folder, id)
    worker.send_signal(signal.SIGCONT)
    equal(worker.wait(20), 79)


def test_the_guardian_is_killed():
    server = Server()
    id = put(server, "--backoff", "1h")
    worker, (pid,) = running(server, "--once")
    os.kill(guardian_of(worker.pid), signal.SIGKILL)
    equal(worker.wait(20), 70)
    assert not is_alive(pid)
    wait_for(lambda: item(server, id)["lapses"] == 1, "what counts as a lost worker")
    equal(item(server, id)["attempts"], 0)


def test_an_item_that_kills_its_guardian_is_dead_after_its_lapses():
    server = Server()
    folder = scratch()
    id = put(server, "--lapses", "3")
    worker = start(server, "work", "q", *sh('echo >>"%s/ran"; kill -9 $PPID; sleep 60' % folder))
    wait_for(lambda: item(server, id).get("state") == "dead", "its death", 30)
    equal(len(lines(folder + "/ran")), 3)
    worker.terminate()
    equal(worker.wait(20), 0)


def test_a_restart_of_the_server_loses_nothing():
    server = Server()
    id = put(server, "--lease", "5", "--retain", "1h")
    worker, _ = running(server, "-v", script="sleep 2")
    server.kill()
    time.sleep(0.3)
    server.start()
    wait_for(lambda: item(server, id).get("state") == "done", "its end", 20)
    equal(item(server, id)["lapses"], 0)
    worker.terminate()
    equal(worker.wait(20), 0)


def test_done_is_said_until_the_server_hears_it():
    server = Server()
    id = put(server, "--lease", "8", "--retain", "1h")
    worker, _ = running(server, "--timeout", "0.5", script="sleep 0.4")
    os.kill(server.pid, signal.SIGSTOP)
    time.sleep(2.5)
    os.kill(server.pid, signal.SIGCONT)
    wait_for(lambda: item(server, id).get("state") == "done", "its end", 20)
    equal(item(server, id)["lapses"], 0)
    worker.terminate()
    equal(worker.wait(20), 0)
    equal(worker.stderr.read(), b"")  # it has heard that it counts


def unheard(server, *options):
    """A worker whose command ends when it is told, and whose lease does not."""
    put(server, "--lease", "1h")
    path = os.path.join(scratch(), "over")
    worker, (pid,) = running(server, "--timeout", "0.5", *options,
                             script='until [ -e "%s" ]; do sleep 0.05; done' % path)

    def finish():
        with open(path, "w", encoding="ascii"):
            pass
        wait_for(lambda: not is_alive(pid), "the end of the command")
        time.sleep(0.3)
        equal(worker.poll(), None)  # it is said again and again

    return worker, finish


def test_an_end_that_nobody_hears_holds_up_no_worker():
    for take_away in (lambda server: os.kill(server.pid, signal.SIGSTOP), Server.kill):
        server = Server()
        worker, finish = unheard(server, "--grace", "1")
        take_away(server)
        finish()
        begun = time.monotonic()
        worker.terminate()
        equal(worker.wait(20), 0)
        assert 0.9 < time.monotonic() - begun < 5, time.monotonic() - begun
        contains(worker.stderr.read().decode(), "its end was not heard: the worker was told to end")


def test_the_second_signal_gives_up_an_end_that_nobody_hears():
    for jobs in ("1", "2"):
        server = Server()
        worker, finish = unheard(server, "--grace", "60", "-j", jobs)
        wait_for(lambda: stat(server).get("waiting", 0) == int(jobs) - 1, "the other takes")
        os.kill(server.pid, signal.SIGSTOP)
        finish()
        begun = time.monotonic()
        worker.send_signal(signal.SIGINT)
        time.sleep(0.3)
        equal(worker.poll(), None)
        worker.terminate()
        equal(worker.wait(20), 0)
        assert time.monotonic() - begun < 5, time.monotonic() - begun
        contains(worker.stderr.read().decode(), "its end was not heard")


def test_once_does_not_claim_an_end_that_nobody_heard():
    server = Server()
    worker, finish = unheard(server, "--once", "--grace", "0")
    server.kill()
    finish()
    worker.terminate()
    equal(worker.wait(20), 69)


# ---------------------------------------------------------------------- many


def test_jobs_run_side_by_side_and_never_twice():
    server = Server()
    folder = scratch()
    bodies = "".join("%d\n" % n for n in range(60))
    code, out, _ = tenure(server, "queue", "put", "--lines", "q", stdin=bodies.encode())
    equal((code, len(out.splitlines())), (0, 60))
    script = ('read n; ln "%s/file" "%s/$n" || exit 65; touch "%s/running.$n"; sleep 0.05; '
              'ls "%s" | grep -c "^running" >>"%s/width"; rm "%s/running.$n"; '
              'echo "$n" >>"%s/done"') % ((folder,) * 7)
    with open(folder + "/file", "w", encoding="ascii"):
        pass
    code, _, err = work(server, "-j", "4", "--drain", "q", *sh(script), limit_s=60)
    equal((code, err), (0, ""))
    equal(sorted(map(int, lines(folder + "/done"))), list(range(60)))
    width = max(map(int, lines(folder + "/width")))
    assert 2 <= width <= 4, width
    equal({k: v for k, v in stat(server).items() if v and k in ("ready", "taken", "dead")}, {})


def test_max_items_counts_those_of_all_slots():
    server = Server()
    bodies = b"x\n" * 20
    tenure(server, "queue", "put", "--lines", "q", stdin=bodies)
    equal(work(server, "-j", "3", "--max-items", "7", "q", "--", "true")[0], 0)
    equal(stat(server)["ready"], 13)
    equal(work(server, "--max-items", "3", "q", "--", "true")[0], 0)
    equal(stat(server)["ready"], 10)


def test_an_earlier_queue_is_served_first():
    server = Server()
    path = os.path.join(scratch(), "order")
    for queue in ("late", "soon", "late", "soon"):
        put(server, queue=queue, body=queue)
    equal(work(server, "--drain", "soon", "late", *sh('cat >>"%s"; echo >>"%s"' % (path, path)))[0],
          0)
    equal(lines(path), ["soon", "soon", "late", "late"])


def test_nothing_is_left_behind():
    server = Server()
    tenure(server, "queue", "put", "--lines", "q", stdin=b"x\n" * 40)
    # Each leaves a process behind that has left the group, and soon ends.
    worker = start(server, "work", "--idle", "30", "q",
                   *sh("setsid sh -c 'sleep 0.3' >/dev/null 2>&1 & exit 0"))

    def fds():
        return len(os.listdir("/proc/%d/fd" % worker.pid))

    wait_for(lambda: stat(server)["ready"] <= 30, "a few items")
    before = fds()
    wait_for(lambda: stat(server)["ready"] + stat(server)["taken"] == 0, "all of them", 60)
    wait_for(lambda: not zombies_of(worker.pid), "no zombies")
    time.sleep(0.6)
    equal(zombies_of(worker.pid), [])
    equal(children(worker.pid), [])
    assert fds() <= before + 2, (before, fds())
    worker.terminate()
    equal(worker.wait(20), 0)


def test_no_slot_outlives_its_crew():
    server = Server()
    id = put(server, "--retain", "1h")
    worker, (pid,) = running(server, "-j", "2", script="sleep 1")
    slots = children(worker.pid)
    equal(len(slots), 2)
    worker.kill()
    worker.wait()
    # The one that works finishes its item first.
    wait_for(lambda: item(server, id)["state"] == "done", "its end")
    wait_for(lambda: not any(map(is_alive, slots)), "the end of the slots")


if __name__ == "__main__":
    run()
