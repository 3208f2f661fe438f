"""`tenure` against Redis servers, for the tests."""

import json
import os
import shlex
import time

import cli
from lib import wait_for

# Leases are short so that quarantine is: a server that restarts does not vote for that long.
TTL_MAX_S = 2.0
OPTIONS = "ttl-max=%dms" % (TTL_MAX_S * 1000)
# From a restart until a node votes again, at the latest: the longest lease, the second by which
# Redis rounds its uptime, and the pauses between looks.
QUARANTINE_S = TTL_MAX_S * 1.02 + 3.5


def tenure(url, *arguments, env=None, **options):
    """Exit code, standard output, standard error."""
    return cli.tenure(None, *arguments, env=dict(env or {}, TENURE_URL=url), **options)


def start(url, *arguments, **options):
    return cli.start(None, *arguments, env={"TENURE_URL": url}, **options)


def must(url, *arguments, **options):
    """Standard output of one that ends well."""
    code, out, err = tenure(url, *arguments, **options)
    if code != 0:
        raise AssertionError("%s: exit %d: %s%s" % (" ".join(map(str, arguments)), code, out, err))
    return out


def refused(url, code, *arguments, **options):
    """Standard error of one that ends with this code."""
    got, out, err = tenure(url, *arguments, **options)
    if got != code:
        raise AssertionError("%s: exit %d instead of %d: %s%s" % (
            " ".join(map(str, arguments)), got, code, out, err))
    return err


def token(url, name, *options, **more):
    """Take the lock, give it back; its token."""
    return int(must(url, "run", "--ttl", "1s", "-w", "15s", "--timeout", "15s", *options, name,
                    "--", "sh", "-c", "echo $TENURE_TOKEN", **more))


def acquire(url, name, *options):
    """(owner, token) of a hold that nobody renews."""
    text = must(url, "acquire", "--json", *options, name)
    grant = json.loads(text)
    return grant["owner"], grant["tokens"][0]


def show(url, name):
    """The lock as `tenure show --json` has it, or None."""
    code, out, err = tenure(url, "show", "--json", name)
    if code == 66:
        return None
    if code != 0:
        raise AssertionError("show: exit %d: %s" % (code, err))
    return json.loads(out)


def doctor(url, *options):
    """Exit code; the lines of `tenure doctor --json`."""
    code, out, _ = tenure(url, "doctor", "--json", *options)
    return code, [json.loads(line) for line in out.splitlines()]


def nodes(url):
    """What doctor says of each node."""
    return [line for line in doctor(url, "--timeout", "1s")[1] if line["check"] == "node"]


def verdict(lines, check):
    return [line for line in lines if line["check"] == check][0]


def await_votes(url, count, limit_s=QUARANTINE_S):
    """Until so many nodes vote."""
    wait_for(lambda: sum(n["voting"] for n in nodes(url)) >= count,
             "%d nodes that vote" % count, limit_s)


class Child:
    """A `tenure run` whose command writes down every 10 ms that it is alive."""

    def __init__(self, url, name, folder, *options):
        self.stamps = os.path.join(folder, name.replace("/", "-") + ".stamps")
        command = "while :; do cut -d' ' -f1 /proc/uptime >>%s; sleep 0.01; done" % (
            shlex.quote(self.stamps))
        self.process = start(url, "run", *options, name, "--", "sh", "-c", command)
        wait_for(self.is_stamping, "the command to run")

    def is_stamping(self):
        return os.path.exists(self.stamps) and os.path.getsize(self.stamps) > 0

    def last(self):
        """When it was last alive, on the clock of uptime()."""
        with open(self.stamps, encoding="ascii") as file:
            return float(file.read().split()[-1])

    def wait(self, limit_s=20):
        return self.process.wait(limit_s)

    def stop(self):
        self.process.terminate()
        return self.process.wait(20)


def uptime():
    with open("/proc/uptime", encoding="ascii") as file:
        return float(file.read().split()[0])


def took(function, *arguments, **options):
    """Its result, and how long it took."""
    begun = time.monotonic()
    result = function(*arguments, **options)
    return result, time.monotonic() - begun
