"""tenure run loses its lock: is the old command gone before the next one starts?

Each case is played several times at once, each time with a lock of its own: $TENURE_LOSS_COUNT,
else 5.  The old command leaves the numbers of all its processes; the new one, which waits for the
same lock, looks at its very start whether one of them still lives.
"""

import os
import signal
import time

from cli import Proxy, children, guardian_of, is_alive, read_file, report, start, tenure
from lib import Server, equal, run, scratch, wait_for

COUNT = int(os.environ.get("TENURE_LOSS_COUNT", "5"))
AT_ONCE = 10
TTL_S = 1.2
CLOCK_SHARE = 0.02  # of a lease is left for clocks that disagree

# A process, its child, and a child of that; all in one group.
OLD = """
%(trap)s
echo $$ >>%(pids)s
sh -c 'echo $$ >>%(pids)s; sleep 60 & echo $! >>%(pids)s; wait' &
%(more)s
echo ready >%(ready)s
while :; do sleep 60; done
"""

NEW = """
n=0
while read -r pid; do
    if [ -r /proc/$pid/stat ] && read -r a b state rest </proc/$pid/stat; then
        case $state in Z | X) ;; *) echo "$pid $b $state" >>%(alive)s ;; esac
    fi
    n=$((n + 1))
done <%(pids)s
read -r up rest </proc/uptime
echo "$n $up" >%(verdict)s
"""


class Trial:
    """An old and a new run, and what they leave."""

    def __init__(self, server, index, *options, trap="", more="", via=None):
        folder = scratch()
        self.paths = {n: os.path.join(folder, n) for n in ("pids", "ready", "alive", "verdict")}
        self.name = "x%d" % index
        self.server = server
        old = OLD % dict(self.paths, trap=trap, more=more % self.paths)
        env = {"TENURE_URL": "tenure://127.0.0.1:%d" % via.port} if via else None
        words = ["--json", "--ttl", TTL_S, *options, self.name, "--", "sh", "-c", old]
        self.runner = start(server, "run", *words, env=env)
        wait_for(lambda: read_file(self.paths["ready"]), "the old command")
        wait_for(lambda: len(self.pids()) >= 3, "its processes")
        self.guardian = guardian_of(self.runner.pid)
        self.next = start(
            server, "run", "--ttl", TTL_S, self.name, "--", "sh", "-c", NEW % self.paths
        )
        wait_for(lambda: server.resp()("LOCK.GET", self.name), "the lock")

    def pids(self):
        return [int(line) for line in read_file(self.paths["pids"]).split()]

    def living(self):
        return [pid for pid in self.pids() if is_alive(pid)]

    def judge(self, limit_s=15):
        """The new command has run, and saw nobody."""
        equal(self.next.wait(limit_s), 0)
        equal(read_file(self.paths["alive"]), "")
        equal(int(read_file(self.paths["verdict"]).split()[0]), len(self.pids()))
        wait_for(lambda: not is_alive(self.guardian), "the guardian to end")
        equal(self.living(), [])

    def judge_runner(self, code=79, loss=None, cause=None):
        """What the runner says of it."""
        err = self.runner.communicate(timeout=15)[1].decode()
        equal((self.runner.returncode, err), (code, err))
        line = report(err)
        equal(line["outcome"], "lost")
        if loss is not None:
            equal(line["loss"], loss)
        if cause is not None:
            equal(line["cause"], cause)


def trials(fault, *options, after=None, is_proxied=False, **more):
    """Play COUNT times: start all, let `fault(server, proxy, trials)` happen, judge."""
    done = 0
    while done < COUNT:
        count = min(AT_ONCE, COUNT - done)
        server = Server()
        proxy = Proxy(server) if is_proxied else None
        played = [Trial(server, i, *options, via=proxy, **more) for i in range(count)]
        time.sleep(0.1 + 0.1 * (done % 7))
        fault(server, proxy, played)
        for trial in played:
            trial.judge()
            if after:
                after(trial)
        done += count


def lost(trial):
    trial.judge_runner()


def test_the_network_is_cut():
    trials(lambda server, proxy, played: proxy.stall(), is_proxied=True, after=lost)


def test_the_network_is_cut_and_the_command_ignores_term():
    trials(
        lambda server, proxy, played: proxy.stall(),
        is_proxied=True,
        after=lost,
        trap="trap '' TERM HUP INT",
    )


def test_the_network_is_cut_and_there_are_daemons():
    """Processes that have left the group, orphaned or not, are found, too."""
    trials(
        lambda server, proxy, played: proxy.stall(),
        is_proxied=True,
        after=lost,
        more="setsid sh -c 'echo $$ >>%(pids)s; sleep 60 & echo $! >>%(pids)s; wait' &\n"
        "(setsid sh -c 'trap \"\" TERM; echo $$ >>%(pids)s; sleep 60; sleep 60' &)\n"
        "while [ $(wc -l <%(pids)s) -lt 6 ]; do sleep 0.01; done",
    )


def test_the_network_is_cut_and_the_command_is_stopped():
    def fault(_, proxy, played):
        for trial in played:
            for pid in trial.pids():
                os.kill(pid, signal.SIGSTOP)
        proxy.stall()

    trials(fault, is_proxied=True, after=lost)


def test_the_server_is_stopped_and_continued():
    def fault(server, _, played):
        os.kill(server.pid, signal.SIGSTOP)
        time.sleep(2 * TTL_S)
        for trial in played:
            equal(trial.living(), [])
        os.kill(server.pid, signal.SIGCONT)

    trials(fault, after=lost)


def test_the_server_is_killed():
    def fault(server, _, played):
        server.process.kill()
        server.process.wait()
        killed_at = time.monotonic()
        wait_for(lambda: not any(trial.living() for trial in played), "all to end", TTL_S)
        assert time.monotonic() - killed_at < TTL_S
        server.start()

    trials(fault, after=lost)


def test_the_runner_is_stopped():
    def fault(_, __, played):
        for trial in played:
            os.kill(trial.runner.pid, signal.SIGSTOP)
        time.sleep(2 * TTL_S)
        for trial in played:
            equal(trial.living(), [])
            os.kill(trial.runner.pid, signal.SIGCONT)

    trials(fault, after=lost)


def test_the_runner_is_killed():
    def fault(_, __, played):
        for trial in played:
            os.kill(trial.runner.pid, signal.SIGKILL)

    trials(fault)


def test_the_runner_is_killed_and_the_command_ignores_term():
    def fault(_, __, played):
        for trial in played:
            os.kill(trial.runner.pid, signal.SIGKILL)

    trials(fault, trap="trap '' TERM")


def test_runner_and_guardian_are_killed():
    """The kernel kills the command itself; what it had started is what nobody is left to find."""
    server = Server()
    trial = Trial(server, 0)
    command = trial.pids()[0]
    os.kill(trial.runner.pid, signal.SIGSTOP)
    os.kill(trial.guardian, signal.SIGKILL)
    os.kill(trial.runner.pid, signal.SIGKILL)
    wait_for(lambda: not is_alive(command), "the command to end", 1)
    for pid in trial.living():
        os.kill(pid, signal.SIGKILL)


def test_the_guardian_is_killed():
    for _ in range(COUNT):
        server = Server()
        trial = Trial(server, 0)
        os.kill(trial.guardian, signal.SIGKILL)
        trial.judge()
        err = trial.runner.communicate(timeout=10)[1].decode()
        equal((trial.runner.returncode, "guardian" in err), (70, True))


def lease_end(trial):
    """When the server will take the lock away, by time.monotonic()."""
    now = time.monotonic()
    holder = trial.server.resp(3)("LOCK.GET", trial.name)["holders"][0]
    return now + holder["remaining_ms"] / 1000


def test_the_guardian_is_stopped_and_the_network_cut():
    """The runner kills by itself, an eighth of a second before the lease is over, by our clock."""
    ttl_s = 6

    def fault(_, proxy, played):
        for trial in played:
            os.kill(trial.guardian, signal.SIGSTOP)
        proxy.stall()
        time.sleep(0.05)  # a renewal that was on its way counts
        kill_at = {t: lease_end(t) - CLOCK_SHARE * ttl_s - 0.125 for t in played}
        running = played
        while running:
            now = time.monotonic()
            running = [trial for trial in running if trial.living()]
            equal([trial.name for trial in running if now > kill_at[trial] + 0.06], [])
            time.sleep(0.002)
        for trial in played:
            os.kill(trial.guardian, signal.SIGCONT)

    def lost_by_lease(trial):
        trial.judge_runner(cause="lease")

    trials(fault, "--ttl", ttl_s, is_proxied=True, after=lost_by_lease)


def test_an_administrator_breaks_the_lock():
    def fault(server, _, played):
        for trial in played:
            token = server.resp(3)("LOCK.GET", trial.name)["holders"][0]["token"]
            server.resp()("LOCK.BREAK", trial.name, token, "test", "GRACE", "1000")

    trials(fault, after=lost)


def test_an_administrator_breaks_a_long_lease():
    """The notice shortens a lease that was to last for long."""
    def fault(server, _, played):
        for trial in played:
            token = server.resp(3)("LOCK.GET", trial.name)["holders"][0]["token"]
            server.resp()("LOCK.BREAK", trial.name, token, "test", "GRACE", "1000")

    def told(trial):
        trial.judge_runner()
        equal(read_file(trial.paths["ready"]), "tidy\n")

    trap = "trap 'echo tidy >\"$READY\"; exit 0' TERM"
    words = ("--ttl", "30", "--kill-grace", "0.5")
    trials(fault, *words, after=told, trap=trap, more="READY=%(ready)s")


def test_an_administrator_breaks_the_lock_without_saying_how():
    """The grace that `tenure break` finds by itself is enough, for a command that ignores TERM."""
    def fault(server, _, played):
        for trial in played:
            token = server.resp(3)("LOCK.GET", trial.name)["holders"][0]["token"]
            words = ("--token", token, "--reason", "test", "--yes", trial.name)
            code, _, err = tenure(server, "break", *words)
            equal((code, err), (0, ""))

    words = ("--ttl", "30", "--kill-grace", "1")
    trials(fault, *words, after=lost, trap="trap '' TERM")


def test_a_killed_runner_stops_the_command_at_once():
    """Long before the lease is over, and after a TERM."""
    server = Server()
    trap = "trap 'echo tidy >\"$READY\"; exit 0' TERM"
    trial = Trial(server, 0, "--ttl", "30", trap=trap, more="READY=%(ready)s")
    os.kill(trial.runner.pid, signal.SIGKILL)
    wait_for(lambda: not trial.living(), "all to end", 4)
    equal(read_file(trial.paths["ready"]), "tidy\n")
    wait_for(lambda: not is_alive(trial.guardian), "the guardian to end")


def test_a_stopped_command_hears_the_term():
    server = Server()
    trap = "trap 'echo tidy >\"$READY\"; exit 0' TERM"
    trial = Trial(server, 0, "--kill-grace", "0.5", trap=trap, more="READY=%(ready)s")
    for pid in trial.pids():
        os.kill(pid, signal.SIGSTOP)
    os.kill(trial.runner.pid, signal.SIGKILL)
    trial.judge()
    equal(read_file(trial.paths["ready"]), "tidy\n")


def test_a_lease_is_renewed_for_as_long_as_it_takes():
    server = Server()
    process = start(server, "run", "--json", "--ttl", "0.5", "x", "-c", "sleep 2.5; exit 3")
    err = process.communicate(timeout=20)[1].decode()
    equal(process.returncode, 3)
    equal(report(err)["cause"], None)


def test_a_command_that_ends_in_the_grace():
    """TERM comes in time for it to tidy up."""
    def ended(trial):
        trial.judge_runner()
        equal(read_file(trial.paths["ready"]), "tidy\n")

    trials(
        lambda server, proxy, played: proxy.stall(),
        is_proxied=True,
        after=ended,
        trap="trap 'echo tidy >%(ready)s; exit 0' TERM" % {"ready": '"$READY"'},
        more="READY=%(ready)s",
    )


# ---------------------------------------------------------------------- --on-lost


def lose(server, *options, command):
    proxy = Proxy(server)
    env = {"TENURE_URL": "tenure://127.0.0.1:%d" % proxy.port}
    process = start(server, "run", "--json", "--ttl", "0.8", *options, "x", "-c", command, env=env)
    wait_for(lambda: server.resp()("LOCK.GET", "x"), "the lock")
    guardian_of(process.pid)
    proxy.stall()
    out, err = process.communicate(timeout=15)
    return process.returncode, out.decode(), report(err.decode())


def test_on_lost_term_leaves_the_rest_to_the_command():
    command = "trap 'echo told' TERM; sleep 2 & wait; sleep 1; echo end"
    code, out, line = lose(Server(), "--on-lost=term", command=command)
    equal((code, out, line["exit"]), (79, "told\nend\n", 0))


def test_on_lost_warn_only_closes_the_descriptor():
    code, out, line = lose(
        Server(),
        "--on-lost=warn",
        "--lost-exit-code=5",
        command='read -r line <&"$TENURE_FD"; echo "closed $?"; sleep 0.5; echo end',
    )
    equal((code, out, line["outcome"]), (5, "closed 1\nend\n", "lost"))


def test_on_lost_exec_calls_the_hook():
    path = os.path.join(scratch(), "hook")
    code, _, line = lose(
        Server(),
        "--on-lost=exec:echo $TENURE_NAME $TENURE_PID >%s" % path,
        command="sleep 30",
    )
    equal((code, line["signal"]), (79, int(signal.SIGKILL)))
    equal(read_file(path), "x %d\n" % line["pid"])


def test_the_descriptor_closes_before_the_term():
    path = os.path.join(scratch(), "seen")
    reader = "sh -c 'trap \"\" TERM; read -r l <&$TENURE_FD; echo closed >%s'" % path
    code, _, _ = lose(Server(), command="trap '' TERM; %s & sleep 30" % reader)
    equal(code, 79)
    equal(read_file(path), "closed\n")


# ---------------------------------------------------------------------- nothing is lost


def test_a_restart_of_the_server_loses_nothing():
    server = Server()
    code = "sleep 5.5; exit 3"
    process = start(server, "run", "--json", "--ttl", "15", "x", "-c", code)
    wait_for(lambda: server.resp()("LOCK.GET", "x"), "the lock")
    time.sleep(0.3)
    equal(server.stop(signal.SIGKILL), -9)
    time.sleep(3)
    server.start()
    err = process.communicate(timeout=20)[1].decode()
    equal(process.returncode, 3)
    equal(report(err)["end"], "released")


def test_nothing_is_left():
    server = Server()
    before = set(children(os.getpid()))
    for _ in range(COUNT):
        process = start(server, "run", "x", "--", "sh", "-c", "sleep 0.05")
        guardian = None
        for pid in children(process.pid):
            guardian = pid
        equal(process.wait(10), 0)
        assert guardian is None or not is_alive(guardian)
    equal(set(children(os.getpid())) - before, set())
    assert not server.resp()("LOCK.GET", "x")


if __name__ == "__main__":
    run()
