#!/usr/bin/python3
"""The examples of docs/protocol.md, executed: a fresh server for each chapter.

Numbers of sixteen digits in the page are tokens: the first answer that shows one says what it is in
this run.  Times, and times left, differ; everything else must be as the page says.
"""

import json
import os
import re
import shlex
import subprocess
import sys

from http_client import Http
from lib import ROOT, RespError, Server, equal, run

TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
VOLATILE = ("remaining_ms", "retry_after_ms", "waited_ms")
FIRST_TOKEN = 10**15

with open(os.path.join(ROOT, "docs/protocol.md"), encoding="utf-8") as _file:
    PAGE = _file.read()


def compare(shown, real, tokens, place="$"):
    """`real` must be what the page shows."""
    key = place.rsplit(".", 1)[-1]
    if isinstance(shown, dict):
        assert isinstance(real, dict), "%s: %r is no object" % (place, real)
        equal((place, sorted(shown)), (place, sorted(real)))
        for name, value in shown.items():
            compare(value, real[name], tokens, place + "." + name)
    elif isinstance(shown, list):
        equal((place, len(shown)), (place, len(real)))
        for index, value in enumerate(shown):
            compare(value, real[index], tokens, "%s[%d]" % (place, index))
    elif isinstance(shown, str) and TIME.match(shown):
        assert TIME.match(real), "%s: %r is no time" % (place, real)
    elif isinstance(shown, int) and shown > FIRST_TOKEN:
        assert isinstance(real, int) and real > FIRST_TOKEN, "%s: %r is no token" % (place, real)
        equal((place, tokens.setdefault(shown, real)), (place, real))
    elif key == "at_ms" or key.endswith("_at_ms"):
        assert isinstance(real, int) and real > 10**12, "%s: %r is no time" % (place, real)
    elif key in VOLATILE and shown not in (None, -1):
        assert isinstance(real, int) and 0 <= real <= 60000, "%s: %r" % (place, real)
    else:
        equal((place, shown), (place, real))


def real_tokens(text, tokens):
    """The text with this run's tokens in the place of the page's."""
    return re.sub(r"\d{16}", lambda m: str(tokens.get(int(m.group()), m.group())), text)


def run_http(server, block, tokens):
    request, _, shown = block.partition("\n\nHTTP/1.1 ")
    line, _, body = request.partition("\n")
    method, path = real_tokens(line, tokens).split(" ")
    http = Http(server)
    body = real_tokens(body, tokens).encode() if body.strip() else None
    answer = http(method, path, body)
    http.close()
    head, brace, rest = shown.partition("\n{")
    lines = head.split("\n")
    equal((line, answer.status), (line, int(lines[0].split(" ")[0])))
    compare(json.loads(brace[1:] + rest), answer.json, tokens)
    for header in lines[1:]:
        name, value = header.split(": ", 1)
        equal((line, answer.headers[name.lower()]), (line, real_tokens(value, tokens)))


def run_sh(server, block, tokens):
    for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
        command, _, shown = part.partition("\n")
        command = command.replace("127.0.0.1:7420", "127.0.0.1:%d" % server.port)
        command = real_tokens(command, tokens)
        done = subprocess.run(["sh", "-c", command], capture_output=True, timeout=20, check=False)
        real = done.stdout.decode().rstrip("\n").split("\n")
        shown = shown.rstrip("\n").split("\n")
        equal((command, len(shown)), (command, len(real)))
        for left, right in zip(shown, real):
            if left.startswith("data: {"):
                compare(json.loads(left[6:]), json.loads(right[6:]), tokens)
            else:
                equal((command, left), (command, right))


def run_resp(server, block, tokens):
    client = server.resp()
    for part in re.split(r"^> ", block, flags=re.M)[1:]:
        command, _, shown = part.partition("\n")
        try:
            answer = client(*shlex.split(real_tokens(command, tokens)))
        except RespError as error:
            equal((command, shown.strip()), (command, "(error) " + error.word))
            continue
        if shown.strip():
            compare(json.loads(shown), answer, tokens)


RUNNERS = {"http": run_http, "sh": run_sh, "resp": run_resp}


def chapter_test(text):
    def test():
        blocks = re.findall(r"^```(\w+)\n(.*?)^```$", text, flags=re.M | re.S)
        assert blocks, "no example"
        server = Server()
        tokens = {}
        for kind, block in blocks:
            RUNNERS[kind](server, block, tokens)

    return test


def test_the_table_of_commands_is_the_servers():
    server = Server()
    rows = re.findall(r"^\| `([A-Z.]+)` \| `(.*?)` \| (.*?) \|$", PAGE, flags=re.M)
    page = {name: (arguments.replace("\\|", "|"), what) for name, arguments, what in rows}
    source = os.path.join(ROOT, "src/server/resp_command.c")
    with open(source, encoding="utf-8") as file:
        text = re.sub(r'"\s*\n\s*"', "", file.read())
    groups = "lock|election|events|queue|state|rank|pubsub"
    row = r'\{ "([A-Z.]+)",[^{}]*?"(?:%s)",\s*"(.*?)",\s*"(.*?)",' % groups
    specs = re.findall(row, text, flags=re.S)
    equal(page, {name: (arguments, what) for name, arguments, what in specs})
    names = {str(c[0]).upper() for c in server.resp()("COMMAND")}
    others = set(re.findall(r"`([A-Z]+)`", PAGE[PAGE.index("\nBesides "):].split("\n\n")[0]))
    equal(names, set(page) | others)


def test_the_table_of_metrics_is_the_servers():
    rows = re.findall(r"^\| `tenure_([a-z_]+)` \| (\w+) \| (.*?) \|$", PAGE, flags=re.M)
    page = {name: (kind, what) for name, kind, what in rows}
    equal(len(page), len(rows))
    text = Http(Server()).get("/metrics").body.decode()
    heads = re.findall(r"^# HELP tenure_(\w+) (.*)\n# TYPE tenure_(\w+) (\w+)$", text, flags=re.M)
    told = {name: (kind, what) for name, what, same, kind in heads if name == same}
    equal(len(told), text.count("# TYPE "))
    equal({name: row for name, row in page.items() if not name.startswith("store_")}, told)
    series = set(re.findall(r"^tenure_(\w+?)(?:_bucket|_sum|_count)?[{ ]", text, flags=re.M))
    equal(series - {name for name, row in told.items()}, set())


for _chapter in re.split(r"^## ", PAGE, flags=re.M)[1:]:
    if "```" in _chapter:
        _title = re.sub(r"\W+", "_", _chapter.split("\n", 1)[0].lower())
        _test = chapter_test(_chapter)
        _test.__name__ = "test_examples_" + _title
        setattr(sys.modules[__name__], _test.__name__, _test)
del _test

run()
