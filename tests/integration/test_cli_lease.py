"""The commands that take and give: acquire, renew, release, hold, elect, resign, transfer."""

import json
import signal
import subprocess

from cli import TENURE, environment, start, tenure
from lib import Server, contains, equal, run, wait_for


def shell(server, script, limit_s=30):
    """Run a script of sh that finds the binary as $T: exit code, output, errors."""
    done = subprocess.run(
        ["/bin/sh", "-c", script],
        capture_output=True,
        timeout=limit_s,
        env=environment(server, {"T": TENURE}),
        check=False,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def holder(server, name):
    """The first holder of a lock, or None."""
    code, out, _ = tenure(server, "show", "--json", name)
    holders = json.loads(out)["holders"] if code == 0 else []
    return holders[0] if holders else None


def lease(server, *arguments):
    code, out, err = tenure(server, "acquire", "--json", *arguments)
    equal((code, err), (0, ""))
    return json.loads(out)


# ---------------------------------------------------------------------- acquire, renew, release


def test_a_script_takes_renews_and_gives_back():
    server = Server()
    code, out, err = shell(
        server,
        """lease=$($T acquire --ttl 30 backup) || exit 1
           eval "$lease"
           $T renew && $T renew --ttl 1m && $T release; echo $?
           $T release; echo $?
           $T renew; echo $?""",
    )
    equal(code, 0)
    equal(
        out.splitlines(),
        [
            "renewed backup, 30s left",
            "renewed backup, 1m00s left",
            "released backup",
            "0",
            "released backup",
            "0",
            "79",
        ],
    )
    contains(err, "backup is not held: ")


def test_names_are_quoted_for_a_shell():
    server = Server()
    for name in ("it's", "$(touch /tmp/x)`id`", 'a"b\\c d', "-x"):
        code, out, err = shell(
            server, "eval \"$($T acquire -- '%s')\"; printf %%s \"$TENURE_NAME\"; $T release >&2"
            % name.replace("'", "'\\''")
        )
        equal((code, out, err), (0, name, "released %s\n" % name))


def test_a_lease_outlives_the_command_and_is_not_renewed():
    server = Server()
    lease(server, "--ttl", "1s", "a")
    assert holder(server, "a")
    wait_for(lambda: holder(server, "a") is None, "the end of the lease", 5)


def test_a_lease_without_end():
    server = Server()
    taken = lease(server, "--unlimited", "--owner", "me", "a")
    equal((taken["ttl_ms"], holder(server, "a")["remaining_ms"]), (0, None))
    words = ["--owner", "me", "--token", taken["tokens"][0]]
    equal(tenure(server, "renew", *words, "a"), (0, "renewed a, until released\n", ""))
    code, out, _ = tenure(server, "renew", "--json", *words, "a")
    equal((code, json.loads(out)["remaining_ms"]), (0, None))
    equal(tenure(server, "renew", "--ttl", "30", *words, "a"), (0, "renewed a, 30s left\n", ""))
    equal(tenure(server, "release", *words, "a"), (0, "released a\n", ""))
    code, out, err = shell(server, 'eval "$($T acquire --unlimited b)" && echo $TENURE_TTL_MS')
    equal((code, out, err), (0, "0\n", ""))
    server.stop()
    server.start()
    equal(holder(server, "b")["remaining_ms"], None)


def test_try_and_wait():
    server = Server()
    lease(server, "--owner", "me", "--label", "team=web", "a")
    for flags in (["--try"], ["-n"], ["--nb"], ["-w", "0"], ["-w", "0.1"]):
        code, out, err = tenure(server, "acquire", *flags, "a")
        equal((code, out), (75, ""))
        contains(err, "held by me")
        contains(err, "(team=web)")
    # The same owner is answered the same.
    again = lease(server, "--owner", "me", "--try", "a")
    equal(again["tokens"][0], holder(server, "a")["token"])


def test_many_names_at_once():
    server = Server()
    taken = lease(server, "--owner", "me", "a,b")
    equal((taken["names"], len(taken["tokens"])), (["a", "b"], 2))
    tokens = ",".join(str(token) for token in taken["tokens"])
    code, out, _ = tenure(server, "release", "--owner", "me", "--token", tokens, "a,b")
    equal((code, out), (0, "released a\nreleased b\n"))
    code, _, err = tenure(server, "release", "--owner", "me", "--token", "1", "a,b")
    equal(code, 64)
    contains(err, "each name needs one token")


def test_modes():
    server = Server()
    lease(server, "-s", "a")
    lease(server, "--try", "-s", "a")
    equal(tenure(server, "acquire", "--try", "a")[0], 75)
    equal([lease(server, "--try", "-L", "2", "b")["slots"] for _ in "ab"], [[0], [1]])
    equal(tenure(server, "acquire", "--try", "--limit", "2", "b")[0], 75)
    equal(tenure(server, "acquire", "--try", "--limit", "3", "b")[0], 64)
    equal(tenure(server, "acquire", "-s", "--limit", "3", "c")[0], 64)


def test_how_a_release_ends():
    server = Server()
    token = lease(server, "--owner", "me", "--ttl", "100ms", "a")["tokens"][0]
    wait_for(lambda: holder(server, "a") is None, "the end of the lease")
    words = ["release", "--json", "--owner", "me", "--token", token, "a"]
    code, out, _ = tenure(server, *words)
    equal((code, json.loads(out)["outcome"]), (79, "expired_unclaimed"))
    successor = lease(server, "a")["tokens"][0]
    code, out, _ = tenure(server, *words)
    equal((code, json.loads(out)["outcome"]), (79, "expired_taken"))
    assert successor > token
    code, out, _ = tenure(server, "release", "--owner", "you", "--token", successor, "a")
    equal((code, out), (77, "not_owner a\n"))


def test_usage():
    for words in (
        ["acquire"],
        ["acquire", "a", "b"],
        ["acquire", "--print", "xml", "a"],
        ["acquire", "--ttl", "0", "a"],
        ["acquire", "--ttl", "1m", "--unlimited", "a"],
        ["hold", "--unlimited", "a"],
        ["acquire", "--priority", "10", "a"],
        ["acquire", "--label", "x", "a"],
        ["acquire", "a,"],
        ["renew"],
        ["release", "a"],
        ["release", "--owner", "me", "--token", "x", "a"],
        ["hold"],
        ["elect"],
        ["elect", "--observe", "a", "b"],
        ["elect", "--observe", "a", "--", "true"],
        ["elect", "a", "--"],
        ["transfer", "a"],
    ):
        code, out, err = tenure(None, *words)
        equal((words, code, out), (words, 64, ""))
        contains(err, "tenure %s: " % words[0])


def test_no_store():
    env = {"TENURE_URL": "tenure://127.0.0.1:1"}
    for words in (
        ["acquire", "--timeout", "0.2", "a"],
        ["release", "--timeout", "0.2", "--owner", "me", "--token", "1", "a"],
        ["ls", "--timeout", "0.2"],
        ["server", "--timeout", "0.2"],
    ):
        code, out, err = tenure(None, *words, env=env)
        equal((words, code, out), (words, 69, ""))
        contains(err, "tenure doctor")


# ---------------------------------------------------------------------- hold


def test_hold_until_a_signal():
    server = Server()
    for number in (signal.SIGTERM, signal.SIGINT):
        process = start(server, "hold", "a", "--ttl", "1s")
        contains(process.stdout.readline().decode(), "holding a, token ")
        process.send_signal(number)
        equal(process.wait(10), 0)
        equal(holder(server, "a"), None)


def test_hold_notices_a_break():
    server = Server()
    process = start(server, "hold", "--ttl", "600ms", "--json", "a")
    held = json.loads(process.stdout.readline())
    equal((held["state"], held["names"]), ("held", ["a"]))
    words = ["--token", held["tokens"][0], "--reason", "a test", "--yes"]
    equal(tenure(server, "break", *words, "a")[0], 0)
    equal(process.wait(10), 79)
    equal(json.loads(process.stdout.readline())["loss"], "broken")


def test_hold_notices_that_it_slept():
    server = Server()
    process = start(server, "hold", "--ttl", "300ms", "a")
    process.stdout.readline()
    process.send_signal(signal.SIGSTOP)
    wait_for(lambda: holder(server, "a") is None, "the end of the lease", 5)
    process.send_signal(signal.SIGCONT)
    equal(process.wait(10), 79)


def test_hold_is_renewed():
    server = Server()
    process = start(server, "hold", "--ttl", "300ms", "--owner", "me", "a")
    process.stdout.readline()
    token = holder(server, "a")["token"]
    equal(tenure(server, "acquire", "-w", "1s", "a")[0], 75)
    equal(holder(server, "a")["token"], token)


# ---------------------------------------------------------------------- elections


def test_election():
    server = Server()
    watcher = start(server, "elect", "--observe", "--json", "e")
    equal(json.loads(watcher.stdout.readline())["owner"], None)
    first = start(server, "elect", "--owner", "a", "--ttl", "1s", "e", "http://a")
    contains(first.stdout.readline().decode(), "leading e, token ")
    seen = json.loads(watcher.stdout.readline())
    equal((seen["owner"], seen["value"]), ("a", "http://a"))
    second = start(server, "elect", "--owner", "b", "--json", "e", "http://b")
    wait_for(
        lambda: json.loads(tenure(server, "show", "--json", "e")[1])["waiter_count"] == 1,
        "the second candidate",
    )
    equal(tenure(server, "transfer", "e", "--to", "nobody")[0], 66)
    code, out, err = tenure(server, "transfer", "--json", "e", "--to", "b")
    contains(err, "the old leader was not asked")
    term = json.loads(second.stdout.readline())["tokens"][0]
    equal((code, json.loads(out)["token"]), (0, term))
    assert term > seen["token"]
    equal(json.loads(watcher.stdout.readline())["owner"], "b")
    equal(first.wait(10), 79)
    code, out, _ = tenure(server, "resign", "--owner", "b", "--token", term, "e")
    equal((code, out), (0, "released e\n"))
    equal(json.loads(watcher.stdout.readline())["owner"], None)
    equal(second.wait(10), 79)
    end = json.loads(second.stdout.readline())
    equal((end["state"], end["loss"], end["end"]), ("lost", "ended", "released"))


def test_a_leader_runs_a_command():
    server = Server()
    script = "echo $TENURE_NAME; $T show --json e; exit 3"
    code, out, _ = tenure(
        server, "elect", "e", "http://a", "--", "sh", "-c", script, env={"T": TENURE}
    )
    equal(code, 3)
    name, shown = out.splitlines()
    equal((name, json.loads(shown)["holders"][0]["meta"]), ("e", "http://a"))
    equal(holder(server, "e"), None)
    lease(server, "e")
    equal(tenure(server, "elect", "-n", "e", "--", "true")[0], 75)
    equal(tenure(server, "elect", "-n", "e")[0], 75)


if __name__ == "__main__":
    run()
