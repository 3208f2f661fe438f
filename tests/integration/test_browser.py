#!/usr/bin/python3
"""A real browser: its EventSource misses nothing over a thousand cut connections."""

import json
import os
import shutil
import subprocess

from lib import ROOT, Server, equal, run, skip

CUTS = 1000


def test_an_event_source_resumes_without_gap_or_repeat():
    directory = os.path.join(ROOT, "tests/browser")
    browser = os.environ.get("CHROMIUM") or shutil.which("chromium")
    has_modules = os.path.isdir(os.path.join(directory, "node_modules"))
    if not browser or not shutil.which("node") or not has_modules:
        skip("needs chromium, node, and `npm ci` in tests/browser")
    server = Server()
    done = subprocess.run(
        ["node", os.path.join(directory, "resume.js"), str(server.port), str(CUTS)],
        capture_output=True, timeout=280, check=False, env={**os.environ, "CHROMIUM": browser})
    assert done.returncode == 0, done.stderr.decode()
    result = json.loads(done.stdout)
    print("     %s" % result)
    assert result["isExact"], result
    assert result["cuts"] >= CUTS and result["opened"] >= CUTS, result
    equal(result["status"], 404)  # what the foreign page asked for was refused


run()
