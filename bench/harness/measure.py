"""measure - run a load, and make figures that can be compared out of several rounds.

The processor of a virtual machine is faster at one minute than at the next.  So the servers take
turns (A B C, A B C, …), a ratio is taken within each round, and what is reported is the median of
the rounds.
"""

import json
import os
import statistics
import subprocess
import time

from .servers import CLIENT_CPU, Failure

LOAD_TIMEOUT_S = 900


def run_json(command, act=None, act_after_s=0):
    """Run a program that prints one line of JSON; the parsed line.  After a while, `act()`."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as process:
        try:
            if act is not None:
                time.sleep(act_after_s)
                act()
            out, err = process.communicate(timeout=LOAD_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            raise Failure(f"{command[0]} did not end in {LOAD_TIMEOUT_S} s") from error
        finally:
            process.kill()
    try:
        result = json.loads(out)
    except ValueError:
        result = {}
    if process.returncode != 0 or not result:
        why = result.get("first_error") or err.strip() or out.strip()
        raise Failure(f"{' '.join(command)}: exit {process.returncode}: {why}")
    return result


def load_command(place, server, mode, is_unix=False, **options):
    """The command line of the load generator."""
    where = ["--unix", server.unix] if is_unix else ["--tcp", server.tcp]
    command = [place.program("bench-load"), "--mode", mode, *where, "--cpu", CLIENT_CPU,
               "--server-pid", str(server.pid)]
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        command += [flag] if value is True else [flag, str(value)]
    return command


def node_command(place, script, client, ports, *words, cpus=CLIENT_CPU):
    """The command line of a program for clients of Node.js."""
    folder = os.path.join(place.root, "bench", "node")
    if not os.path.isdir(os.path.join(folder, "node_modules")):
        raise Failure("bench/node/node_modules is missing: run npm ci in bench/node")
    return ["taskset", "-c", cpus, "node", os.path.join(folder, script), client,
            ",".join(map(str, ports)), *map(str, words)]


def client_command(place, play, url, cpus=CLIENT_CPU, **options):
    """The command line of bench-client."""
    command = ["taskset", "-c", cpus, place.program("bench-client"), "--play", play, "--url", url]
    for name, value in options.items():
        command += ["--" + name.replace("_", "-"), str(value)]
    return command


def load(place, server, mode, **options):
    """Run the load generator against a running server."""
    return run_json(load_command(place, server, mode, **options))


def median(values):
    return statistics.median(values)


def median_of(samples, key):
    """The median of one figure over all rounds."""
    return median([sample[key] for sample in samples])


def ratio_of(samples, over, key):
    """The median of the ratios within each round."""
    return median([mine[key] / theirs[key] for mine, theirs in zip(samples, over, strict=True)])


def quantile(values, fraction):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))]
