"""The commands that look, and those about the store: their words for people and for programs.

The lines of JSON are held to tests/golden/cli-*.json; TENURE_GOLDEN_WRITE=1 writes these anew.
"""

import fcntl
import json
import os
import pty
import re
import shutil
import signal
import socket
import struct
import subprocess
import termios
import threading
import time

from cli import TENURE, environment, start, stop_listening, tenure
from lib import ROOT, Server, cleanup, contains, equal, is_readable, need, run, scratch, skip
from lib import wait_for

GOLDEN = os.path.join(ROOT, "tests", "golden")
CHANGING = re.compile(
    r"^(seq|tokens?|at|acquired_at|url|node_id|version|text|stall_count|.*_(ms|us|bytes|max))$"
)


def normal(value, key=""):
    """Without what differs from run to run: the kind of value stands in its place."""
    if isinstance(value, dict):
        return {k: normal(v, k) for k, v in value.items()}
    if isinstance(value, list) and not CHANGING.match(key):
        return [normal(v, key) for v in value]
    if value is not None and CHANGING.match(key):
        return "a %s" % type(value).__name__
    return value


def golden(name, out):
    """Lines of JSON are what they were."""
    lines = [json.dumps(normal(json.loads(line))) for line in out.splitlines()]
    path = os.path.join(GOLDEN, "cli-%s.json" % name)
    if os.environ.get("TENURE_GOLDEN_WRITE"):
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    with open(path, encoding="utf-8") as file:
        equal(lines, file.read().splitlines())


def lease(server, *arguments):
    code, out, err = tenure(server, "acquire", "--print", "json", *arguments)
    equal((code, err), (0, ""))
    return json.loads(out)["tokens"][0]


def on_terminal(server, *arguments, answers=(), env=None, columns=80):
    """Run it on a terminal; exit code and what stands there.  Each answer is given when the words
    before it have come."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(TENURE, [TENURE] + [str(a) for a in arguments], environment(server, env))
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    text = b""
    answers = list(answers)
    while is_readable(fd, 20):
        try:
            data = os.read(fd, 65536)
        except OSError:
            break
        text += data
        while answers and answers[0][0].encode() in text:
            os.write(fd, answers.pop(0)[1].encode() + b"\n")
    _, status = os.waitpid(pid, 0)
    os.close(fd)
    return os.waitstatus_to_exitcode(status), text.decode().replace("\r\n", "\n")


def crowd(server):
    """Somebody holds deploy/prod, one waits for it, and two of three hold builds."""
    token = lease(server, "--owner", "ann", "--label", "team=web", "--ttl", "1h", "deploy/prod")
    start(server, "hold", "--owner", "bob", "--label", "why=rollback", "deploy/prod")
    lease(server, "--owner", "ci-1", "--limit", "3", "--ttl", "1h", "builds")
    lease(server, "--owner", "ci-2", "--limit", "3", "--ttl", "1h", "builds")
    wait_for(lambda: "bob" in tenure(server, "show", "--json", "deploy/prod")[1], "the waiter")
    return token


def without_host(out):
    """Our own labels name the host, which differs."""
    return re.sub(r'"meta":"(\\.|[^"\\])*"', '"meta":"…"', out)


# ---------------------------------------------------------------------- ls, show


def test_ls():
    server = Server()
    equal(tenure(server, "ls"), (0, "", ""))
    crowd(server)
    code, out, err = tenure(server, "ls")
    equal((code, err), (0, ""))
    lines = out.splitlines()
    equal(lines[0].split(), ["NAME", "HOLDER", "HELD", "LEFT", "WAITING", "LABEL"])
    assert re.match(r"builds +ci-1 \+1 +\S+ +\S+ +0 +-$", lines[1]), lines[1]
    assert re.match(r"deploy/prod +ann +\S+ +\S+ +1 +team=web$", lines[2]), lines[2]
    golden("ls", without_host(tenure(server, "ls", "--json")[1]))


def test_ls_selects():
    server = Server()
    crowd(server)

    def names(*words):
        return [json.loads(x)["name"] for x in tenure(server, "ls", "--json", *words)[1].split("\n")
                if x]

    equal(names("deploy/"), ["deploy/prod"])
    equal(names("--waiters"), ["deploy/prod"])
    equal(names("--owner", "ann"), ["deploy/prod"])
    equal(names("none"), [])


def test_ls_fits_the_terminal():
    server = Server()
    name = "a/" + "long/" * 30 + "ü"
    lease(server, "--owner", "o" * 90, "--label", "x=" + "y" * 90, name)
    code, text = on_terminal(server, "ls", env={"NO_COLOR": "1", "TERM": "xterm"})
    equal(code, 0)
    equal([len(line) for line in text.splitlines() if len(line) > 80], [])
    contains(text, "…")
    assert "\033" not in text
    contains(tenure(server, "ls")[1], name)
    code, text = on_terminal(server, "ls", env={"TERM": "xterm", "NO_COLOR": ""})
    contains(text, "\033[1m")
    assert "\033" not in on_terminal(server, "ls", env={"TERM": "dumb"})[1]


def test_strangers_words_do_no_harm_on_a_terminal():
    server = Server()
    server.resp()("LOCK.ACQUIRE", "a", "o", "60000", "META", "\033]0;x\007\033[2J")
    for words in (["ls"], ["show", "a"], ["history", "a"]):
        code, text = on_terminal(server, *words, env={"NO_COLOR": "1"})
        equal(code, 0)
        assert "\033" not in text and "\007" not in text, text


def test_show():
    server = Server()
    token = crowd(server)
    code, out, _ = tenure(server, "show", "deploy/prod")
    equal(code, 0)
    equal(out.splitlines()[0], "deploy/prod  exclusive, 1 waiting")
    contains(out, str(token))
    assert re.search(r"(?m)^1 +bob +exclusive +0 .* why=rollback$", out), out
    waiter = json.loads(tenure(server, "show", "--json", "deploy/prod")[1])["waiters"][0]
    equal(json.loads(waiter["meta"])["labels"], {"why": "rollback"})
    equal(tenure(server, "show", "builds")[1].splitlines()[0],
          "builds  2 of 3 slots held, 0 waiting")
    golden("show", without_host(tenure(server, "show", "--json", "deploy/prod")[1]))
    code, out, err = tenure(server, "show", "nothing")
    equal((code, out), (66, ""))
    contains(err, "nobody holds nothing")


# ---------------------------------------------------------------------- history, watch, break


def test_history_and_break():
    server = Server()
    token = lease(server, "--owner", "ann", "a")
    equal(tenure(server, "break", "a", "--token", token, "--reason", "x")[0], 64)
    code, out, err = tenure(server, "break", "a", "--token", 5, "--reason", "x", "-y")
    equal((code, out), (79, ""))
    words = ["--grace", "0", "--token", token, "--reason", "host is gone", "--yes"]
    code, out, err = tenure(server, "break", "--json", *words, "a")
    equal(code, 0)
    # Somebody else may be in before the holder knows: that is said even to who is sure.
    equal(err, "tenure break: without a grace the lock is granted again at once, beside what its "
               "holder still does\n")
    golden("break", out)
    lines = tenure(server, "history", "a")[1].splitlines()
    assert re.match(r"\S+ +broken +ann +%d +host is gone$" % token, lines[1]), lines
    assert re.match(r"\S+ +granted +ann +%d " % token, lines[2]), lines
    golden("history", without_host(tenure(server, "history", "--json", "a")[1]))
    equal(len(tenure(server, "history", "-n", "1", "--json", "a")[1].splitlines()), 1)
    equal(tenure(server, "history", "b")[0], 66)


def test_break_asks_on_a_terminal():
    server = Server()
    token = lease(server, "--owner", "ann", "a")
    dialogue = [("to end: ", str(token)), ("reason: ", "stuck"), ("[y/N] ", "n")]
    code, text = on_terminal(server, "break", "a", answers=dialogue)
    equal(code, 1)
    contains(text, "token %d: ann, held for" % token)
    contains(tenure(server, "ls")[1], "ann")
    dialogue[2] = ("[y/N] ", "y")
    code, text = on_terminal(server, "break", "a", answers=dialogue)
    equal(code, 0)
    contains(text, "The holder is told now, and loses the lock in 4.0s.")
    contains(text, "breaking a: over in 4.0s")
    contains(tenure(server, "history", "a")[1], "stuck")
    equal(on_terminal(server, "break", "b")[0], 66)


def test_break_with_grace():
    server = Server()
    token = lease(server, "--owner", "ann", "--ttl", "1h", "a")
    words = ["--token", token, "--reason", "x", "--yes"]
    equal(tenure(server, "break", *words, "--grace", "30s", "a"),
          (0, "breaking a: over in 30s\n", ""))
    contains(tenure(server, "show", "a")[1], "(breaking)")
    code, _, err = tenure(server, "break", *words, "--grace", "2h", "a")
    equal(code, 64)
    contains(err, "it may be 0ms to 1h00m")


def test_the_grace_of_a_break_is_that_of_the_holder():
    """Time for TERM, for KILL, and for the news to arrive."""
    server = Server()

    def grace(*words):
        code, out, err = tenure(server, "break", "--json", "--reason", "x", "--yes", *words)
        equal((code, err), (0, ""))
        return json.loads(out)["grace_ms"]

    def of_run(*words):
        name = "run%d" % len(words)
        start(server, "run", *words, name, "--", "sleep", "60")
        held = wait_for(lambda: server.resp(3)("LOCK.GET", name), "the lock")
        return grace("--token", held["holders"][0]["token"], name)

    # A fifth of the ttl of 15 s, 2 % for clocks, and a second.
    equal(of_run(), 4060)
    equal(of_run("--ttl", "1h", "--kill-grace", "10s"), 11200)
    # Of who does not say it, what `tenure run` would do with its ttl.
    equal(grace("--token", lease(server, "--ttl", "1s", "s"), "s"), 1204)
    equal(grace("--token", lease(server, "--ttl", "1d", "l"), "l"), 6100)
    server.resp()("LOCK.ACQUIRE", "e", "o", "0", "META", '{"cmd":"x","kill_grace_ms":99999999999}')
    held = server.resp(3)("LOCK.GET", "e")
    equal(grace("--token", held["holders"][0]["token"], "e"), 3600000)


def test_break_tells_who_may_not_hear_of_it():
    server = Server()
    token = lease(server, "--owner", "ann", "--ttl", "10m", "a")
    dialogue = [("to end: ", str(token)), ("reason: ", "stuck"), ("[y/N] ", "n")]
    _, text = on_terminal(server, "break", "a", answers=dialogue)
    said = r"it goes on for (9m|10m)\S+, beside the next holder;\n--grace (599|600) would wait"
    assert re.search(said, text), text
    token = lease(server, "--owner", "ann", "--ttl", "1s", "b")
    dialogue[0] = ("to end: ", str(token))
    _, text = on_terminal(server, "break", "b", answers=dialogue)
    assert "beside" not in text, text


def test_watch():
    server = Server()
    token = lease(server, "--owner", "ann", "x/a")
    watch = start(server, "watch", "--json", "--since", "1", "x/")
    words = start(server, "watch", "--since", "1")
    tenure(server, "release", "--owner", "ann", "--token", token, "x/a")
    lease(server, "--owner", "bob", "y")
    released = watch.stdout.readline().decode()
    equal(json.loads(released)["kind"], "released")
    golden("watch", released)
    contains(words.stdout.readline().decode(), "  released   x/a  ann  %d" % token)
    contains(words.stdout.readline().decode(), "  granted    y  bob  ")
    # Over a restart, without a gap.
    server.stop()
    server.start()
    client = server.resp()
    client("LOCK.ACQUIRE", "x/b", "me", "60000")
    assert is_readable(watch.stdout, 20)
    equal(json.loads(watch.stdout.readline())["name"], "x/b")


# ---------------------------------------------------------------------- the store


def test_server():
    server = Server()
    lease(server, "a")
    out = tenure(server, "server", "--json")[1]
    golden("server", out)
    contains(tenure(server, "server")[1], "durable-single")


def test_doctor():
    server = Server()
    code, out, err = tenure(server, "doctor")
    equal((code, err), (0, ""))
    checks = [line[5:19].strip() for line in out.splitlines()]
    equal(checks, ["url", "connection", "round trip", "version", "safety", "more safety",
                   "disk space", "connections", "stalls", "clock rate", "clock step",
                   "clock rates", "permission", "disk", "wall clocks"])
    assert not re.search("(?m)^(warn|fail) +clock", out), out
    equal(tenure(server, "ls"), (0, "", ""))
    code, out, _ = tenure(server, "doctor", "--timeout", "0.3", "--url", "tenure://127.0.0.1:1")
    equal(code, 1)
    assert re.search("(?m)^fail connection ", out), out
    code, out, _ = tenure(server, "doctor", "--url", "gopher://x")
    equal(code, 1)
    assert re.search("(?m)^fail url ", out), out
    code, out, _ = tenure(server, "doctor", "--json")
    equal(json.loads(out.splitlines()[0])["check"], "url")


class Pretender:
    """Says that it is a server, and that it is badly off; grants nothing."""

    def __init__(self, info):
        self.info = info
        self.started_at = time.monotonic()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        thread = threading.Thread(target=self._accept, daemon=True)
        thread.start()
        cleanup(lambda: stop_listening(self.listener, thread))

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _answer(self, word):
        if word == b"HELLO":
            return b"%1\r\n$6\r\nserver\r\n$7\r\ntenured\r\n"
        if word == b"INFO":
            uptime_us = int((time.monotonic() - self.started_at) * 1e6 * self.info["rate"])
            lines = dict(self.info, uptime_us=uptime_us, run_id="x", tenured_version="0.2.0")
            text = "".join("%s:%s\r\n" % line for line in lines.items()).encode()
            return b"$%d\r\n%s\r\n" % (len(text), text)
        return b"-NOSPACE the disk is full\r\n"

    def _serve(self, connection):
        with connection, connection.makefile("rb") as stream:
            while head := stream.readline():
                words = []
                for _ in range(int(head[1:])):
                    words.append(stream.read(int(stream.readline()[1:]) + 2)[:-2])
                connection.sendall(self._answer(words[0]))


def test_doctor_tells_what_the_server_knows():
    bad = {
        "rate": 1.02, "journal_bytes": 123456789, "disk_free_bytes": 4096, "disk_full": 0,
        "disk_slow": 0, "stalls": 3, "stalled_ms": 12000, "damaged_files": 2,
        "connected_clients": 95, "maxclients": 100,
    }
    code, out, err = tenure(Pretender(bad), "doctor")
    equal((code, err), (1, ""))
    for line in (
        "warn version       server 0.2.0",
        "warn disk space    4.0 kB are free, the journal has 123.4 MB: make room",
        "warn journal       2 damaged files",
        "warn connections   95 of 100: raise --max-connections",
        "warn stalls        the server stood still 3 times, for 12s in all",
        "warn clock rates   the store's and this one's differ by ",
        "fail disk          the disk is full",
    ):
        contains(out, line)
    code, out, _ = tenure(Pretender(dict(bad, rate=1, disk_full=1, disk_slow=1)), "doctor")
    equal(code, 1)
    contains(out, "fail disk space    the server's disk is full")
    contains(out, "fail disk answers  ")
    assert not re.search("(?m)^warn clock rates", out), out


def test_bench():
    server = Server()
    code, out, err = tenure(server, "bench", "-n", "2", "-t", "0.2", "--json")
    equal((code, err), (0, ""))
    result = json.loads(out)
    assert result["cycles"] > 0 and result["acquire_us"]["p50"] > 0, result
    assert result["acquire_us"]["p50"] <= result["acquire_us"]["p99"], result
    words = tenure(server, "bench", "-n", "1", "-t", "0.1")[1].splitlines()
    equal(words[2].split(), ["microseconds", "p50", "p90", "p99", "p999", "max"])
    equal(tenure(server, "ls"), (0, "", ""))
    equal(tenure(server, "bench", "-n", "0")[0], 64)


def test_completion():
    server = Server()
    lease(server, "--", "deploy/$(x)")
    script = tenure(None, "completion", "bash")[1]
    path = os.path.join(scratch(), "tenure")
    os.symlink(TENURE, path)

    def complete(*words):
        ask = 'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _tenure; printf "%s\\n" "${COMPREPLY[@]}"'
        done = subprocess.run(
            ["bash", "-c", script + ask, "bash", "tenure", *words],
            capture_output=True,
            check=True,
            env=environment(server, {"PATH": os.path.dirname(path) + ":" + os.environ["PATH"]}),
        )
        equal(done.stderr, b"")
        return done.stdout.decode().split("\n")[:-1]

    equal(complete("re"), ["renew", "release", "resign"])
    equal(complete("show", "--js"), ["--json"])
    equal(complete("show", "de"), ["deploy/\\$\\(x\\)"])
    equal(complete("completion", ""), ["bash"])
    contains(complete("help", ""), "doctor")
    equal(complete("queue", "pu"), ["put", "purge"])
    equal(complete("queue", "take", "--bo"), ["--body"])
    equal(tenure(server, "queue", "put", "my videos", "x")[0], 0)
    equal(complete("queue", "put", "my"), ["my\\ videos"])
    equal(complete("work", "m"), ["my\\ videos"])
    equal(complete("work", "n"), [""])
    equal(tenure(server, "set", "config/my colour", "x")[0], 0)
    equal(complete("get", "conf"), ["config/my\\ colour"])
    equal(complete("del", "de"), [""])  # a lock is no register
    equal(complete("show", "conf"), [""])
    equal(tenure(server, "rank", "add", "high scores", "1", "ann")[0], 0)
    equal(complete("rank", "a"), ["add"])
    equal(complete("rank", "incr", "h"), ["high\\ scores"])
    equal(complete("publish", ""), [""])
    equal(tenure(None, "completion", "fish")[0], 64)


def test_the_completion_is_sound_shell():
    need("no shellcheck", "shellcheck", "--version")
    script = tenure(None, "completion", "bash")[1].encode()
    done = subprocess.run(["shellcheck", "-s", "bash", "-"], input=script, check=False)
    equal(done.returncode, 0)


def test_output_that_does_not_arrive():
    server = Server()
    lease(server, "a")
    with open("/dev/full", "w", encoding="ascii") as full:
        for words in (["ls"], ["ls", "--json"], ["show", "a"], ["server"], ["help"]):
            done = subprocess.run([TENURE, *words], stdout=full, stderr=subprocess.PIPE,
                                  env=environment(server), check=False)
            equal((words, done.returncode), (words, 74))
        done = subprocess.run([TENURE, "acquire", "b"], stdout=full, stderr=subprocess.PIPE,
                              env=environment(server), check=False)
    equal(done.returncode, 74)
    # A lease that nobody has been told of does not stay.
    equal(tenure(server, "show", "b")[0], 66)


# ---------------------------------------------------------------------- help, manual pages


def test_help_fits_a_terminal():
    for name, _ in commands():
        lines = tenure(None, "help", name)[1].splitlines()
        equal((name, [line for line in lines if len(line) > 80]), (name, []))


def commands():
    """Names and summaries."""
    listed = re.findall(r"(?m)^  ([a-z]+) {2,}(\S.*)$",
                        tenure(None, "help")[1].split("commands:")[1])
    assert len(listed) > 10, listed
    return listed


def manual(page):
    """The manual page as plain text, its lines joined."""
    path = os.path.join(ROOT, "docs", "man", page)
    done = subprocess.run(
        ["mandoc", "-T", "utf8", "-O", "width=1000", path], capture_output=True, check=True
    )
    text = re.sub("(?s).\x08", "", done.stdout.decode())
    return re.sub(r"[ \n]+", " ", text).replace("...", "…")


def test_manual_pages_say_what_the_help_says():
    if not shutil.which("mandoc"):
        skip("no mandoc")
    for name, summary in commands():
        usage, _, rest = tenure(None, "help", name)[1].split("usage:\n")[1].partition("\n\n")
        page = manual("tenure-%s.1" % name)
        synopsis = page.split(" SYNOPSIS ")[1].split(" DESCRIPTION ")[0]
        equal(synopsis.strip(), re.sub(r"[ \n]+", " ", usage).strip())
        contains(page, summary.replace("`", ""))
        for option in re.findall(r"(?m)^ .*?--([a-z-]+)", rest.partition("\n\n")[0]):
            assert re.search(r"--%s\b" % option, page), (name, option)


def members(value):
    """The names of all members, of those inside too."""
    if isinstance(value, list):
        return set().union(*map(members, value))
    if isinstance(value, dict):
        return set(value) | set().union(*map(members, value.values()))
    return set()


def documented(name):
    """The members that the chapter JSON of a manual page tells of."""
    path = os.path.join(ROOT, "docs", "man", "tenure-%s.1" % name)
    with open(path, encoding="utf-8") as file:
        chapters = file.read().split("\n.Sh ")
    (chapter,) = [chapter for chapter in chapters if chapter.startswith("JSON\n")]
    elsewhere = re.search(r"(?m)^The members are those of\n\.Xr tenure-(\w+) 1", chapter)
    if elsewhere:
        return documented(elsewhere[1])
    return {word for line in re.findall(r"(?m)^\.It Cm (.*)$", chapter)
            for word in re.findall(r"\w+", line)}


def test_manual_pages_tell_every_member():
    server = Server()
    token = crowd(server)
    owner = ["--owner", "ann", "--token", token]
    lead = start(server, "elect", "--json", "--owner", "x", "e", "v")
    term = json.loads(lead.stdout.readline())["tokens"][0]
    candidate = start(server, "elect", "--owner", "y", "e")
    wait_for(lambda: "y" in tenure(server, "show", "--json", "e")[1], "the candidate")
    observer = start(server, "elect", "--observe", "--json", "e")
    watch = start(server, "watch", "--json", "--since", "1")
    said = {
        "ls": tenure(server, "ls", "--json")[1],
        "show": tenure(server, "show", "--json", "deploy/prod")[1],
        "history": tenure(server, "history", "--json", "deploy/prod")[1],
        "watch": watch.stdout.readline(),
        "elect": observer.stdout.readline(),
        "server": tenure(server, "server", "--json")[1],
        "doctor": tenure(server, "doctor", "--json")[1],
        "bench": tenure(server, "bench", "-n", "1", "-t", "0.05", "--json")[1],
        "acquire": tenure(server, "acquire", "--json", "j")[1],
        "renew": tenure(server, "renew", "--json", *owner, "deploy/prod")[1],
        "release": tenure(server, "release", "--json", *owner, "deploy/prod")[1],
        "transfer": tenure(server, "transfer", "--json", "--to", "y", "e")[1],
        "run": tenure(server, "run", "--json", "r", "--", "true")[2],
        "set": tenure(server, "set", "--json", "colour", "green")[1],
        "get": tenure(server, "get", "--json", "colour")[1],
        "rank": tenure(server, "rank", "add", "top", "1", "ann")[1][:0]
        + tenure(server, "rank", "ls", "--json", "top")[1],
    }
    said["cas"] = tenure(server, "cas", "--json", "new", "0", "value")[1]
    subscriber = start(server, "subscribe", "--json", "-n", "1", "news")
    wait_for(lambda: tenure(server, "publish", "news", "x")[1] == "1\n", "the subscriber")
    said["subscribe"] = subscriber.stdout.readline().decode()
    equal(lead.wait(20), 79)
    said["elect"] = said["elect"].decode() + '{"names":0,"tokens":0,"slots":0,"ttl_ms":0,"url":0}\n'
    said["elect"] += lead.stdout.readline().decode()
    candidate.send_signal(signal.SIGTERM)
    equal(candidate.wait(20), 0)
    assert term
    hold = start(server, "hold", "--json", "h")
    said["hold"] = hold.stdout.readline().decode()
    held = json.loads(said["hold"])["tokens"][0]
    words = ["--token", held, "--reason", "x", "--yes"]
    said["break"] = tenure(server, "break", "--json", *words, "h")[1]
    equal(hold.wait(20), 79)
    said["hold"] += hold.stdout.readline().decode()
    said["resign"] = said["release"]
    for name, _ in commands():
        takes_it = "--json" in tenure(None, "help", name)[1]
        equal((name, name in said), (name, takes_it))
    for name, lines in said.items():
        told = members([json.loads(line) for line in lines.splitlines()])
        equal((name, sorted(told)), (name, sorted(documented(name))))


if __name__ == "__main__":
    run()
