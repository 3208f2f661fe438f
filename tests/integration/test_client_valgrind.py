"""The public functions of libtenure under valgrind: a sample of test_client and test_client_random.

The programs are $TEST_CLIENT and $TEST_CLIENT_RANDOM.
"""

import os
import re
import subprocess

from lib import ROOT, need, run, skip

SAMPLE = (
    "client_locks_renews_and_unlocks",
    "client_takes_several_names_or_none",
    "client_is_told_of_a_break",
    "client_is_told_of_a_release_by_another",
    "client_keeps_its_hold_over_connections_that_break",
    "callback_may_call_anything_and_close_the_client",
    "closing_ends_every_operation_once",
    "claims_serve_scripts_that_kept_the_words",
    "observer_sees_each_leader",
)


def check(program, *tests):
    need("no valgrind", "valgrind", "--version")
    with open(program, "rb") as file:
        text = file.read()
    if b"__asan_init" in text or b"__tsan_init" in text:
        skip("valgrind and sanitizers exclude each other")
    try:
        done = subprocess.run(
            [os.path.join(ROOT, "tools", "valgrind"), program, *tests],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=250,
            env={**os.environ, "TENURE_TEST_TIME_FACTOR": "10"},
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise AssertionError("too slow: %s" % (late.output or b"").decode()) from late
    said = done.stdout.decode(errors="replace")
    assert done.returncode == 0, said
    assert re.search(r"(?m)^[1-9]\d* passed, 0 failed", said), said


def test_the_client():
    check(os.environ["TEST_CLIENT"], *SAMPLE)


def test_the_client_with_random_calls():
    check(os.environ["TEST_CLIENT_RANDOM"], "random_calls", "allocations_that_fail")


if __name__ == "__main__":
    run()
