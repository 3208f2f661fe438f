#!/usr/bin/python3
"""run_flaws - the tests of flaws.c, on three Redis servers that forget everything.

    tests/conformance/run_flaws.py [OPTION-OR-TEXT...]

$FLAWS is the program, else build/tests/conformance/majority-redis-flaws.
"""

import os
import sys

from run import Control, Nodes, Redis, lib, prime, run_program

PROGRAM = os.environ.get(
    "FLAWS", os.path.join(lib.ROOT, "build", "tests", "conformance", "majority-redis-flaws"))


def main():
    try:
        store = Redis(Nodes(3), "ttl-max=2s")
        prime("redis3", store.first_url, PROGRAM, "l1_the_same_process")
        status, words = run_program(
            "redis3", store.url, Control(store).path, sys.argv[1:], PROGRAM)
    except lib.Skipped as reason:
        print("skip redis3: %s" % reason)
        status, words = 77, "0 passed, 0 failed, 1 skipped"
    finally:
        lib.clean_up()
    print(words.rstrip())
    return status


if __name__ == "__main__":
    sys.exit(main())
