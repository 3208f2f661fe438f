"""The examples of README.md that are about `tenure`, executed."""

import os
import re
import subprocess

from cli import TENURE, environment, end
from lib import ROOT, Server, cleanup, equal, is_readable, run

with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as _file:
    BLOCKS = re.findall(r"(?ms)^```console\n(\$ build/tenure.*?)^```$", _file.read())


def plain(lines):
    """Without what differs from run to run: who, when, how long."""
    text = re.sub(r"\S+@\S+:\d+", "WHO", "\n".join(lines))
    return re.sub(r" +", " ", re.sub(r"\d[\d.]*(ms|s\b)?", "N", text)).split("\n")


def test_examples():
    server = Server()
    assert BLOCKS
    for block in BLOCKS:
        for part in re.split(r"(?m)^\$ ", block)[1:]:
            command, _, shown = part.partition("\n")
            shown = shown.rstrip("\n").split("\n")
            words = command.rstrip("& ").replace("build/tenure", TENURE)
            process = subprocess.Popen(
                ["sh", "-c", "exec " + words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environment(server),
            )
            cleanup(end, process)
            if command.endswith("&"):
                assert is_readable(process.stdout, 20)
                real = [process.stdout.readline().decode().rstrip("\n") for _ in shown]
            else:
                real = process.communicate(timeout=20)[0].decode().rstrip("\n").split("\n")
            equal((command, plain(real)), (command, plain(shown)))


if __name__ == "__main__":
    run()
