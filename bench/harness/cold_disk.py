"""What one commit costs a disk that has been idle: a write into a file, and fdatasync.

    cold_disk.py DIRECTORY ROUNDS PAUSE_MS_MIN PAUSE_MS_MAX

Prints one line of JSON.  Nothing that is durable can answer sooner after such a pause.
"""

import json
import os
import random
import sys
import time

BLOCK_SIZE = 4096
RECORD_SIZE = 200


def main(directory, rounds, pause_ms_min, pause_ms_max):
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, "cold")
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    for block in range(1 + rounds * RECORD_SIZE // BLOCK_SIZE):
        os.pwrite(file, bytes(BLOCK_SIZE), block * BLOCK_SIZE)
    os.fsync(file)
    samples_us = []
    for number in range(rounds):
        time.sleep(random.uniform(pause_ms_min, pause_ms_max) / 1000)
        begin = time.perf_counter()
        os.pwrite(file, b"x" * RECORD_SIZE, number * RECORD_SIZE)
        os.fdatasync(file)
        samples_us.append((time.perf_counter() - begin) * 1e6)
    os.close(file)
    os.unlink(path)
    print(json.dumps({"samples_us": samples_us}))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]))
