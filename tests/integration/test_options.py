#!/usr/bin/python3
"""The table of options against --help, tenured(8) and tenured.conf(5)."""

import os
import re

from lib import ROOT, contains, equal, run, tenured

OPTION = re.compile(
    r"^    X\((?P<type>\w+),\s*\w+,\s*"
    r'"(?P<name>[^"]+)",\s*"(?P<argument>[^"]*)",(?P<limits>[^"]*)"(?P<default>[^"]*)",\s*\\\s*'
    r'"(?P<help>[^"]*)"',
    re.MULTILINE,
)


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def options():
    """The rows of CONFIG_MAP."""
    rows = [match.groupdict() for match in OPTION.finditer(read("src/server/config.h"))]
    equal(len(rows), read("src/server/config.h").count("\n    X("))
    return rows


def test_help_has_every_option_with_its_default():
    code, text, _ = tenured("--help")
    equal(code, 0)
    for row in options():
        line = "--%s %s" % (row["name"], row["argument"])
        match = re.search(r"^  %s\s+(.*)$" % re.escape(line.strip()), text, re.MULTILINE)
        assert match, line
        contains(match.group(1), row["help"])
        if row["default"]:
            assert match.group(1).endswith("[%s]" % row["default"]), match.group(1)


def test_the_manual_has_every_flag_and_no_other():
    page = read("docs/man/tenured.8")
    described = dict(re.findall(r"^\.It Fl -([a-z-]+)(?: Ar (\S+))?$", page, re.MULTILINE))
    known = {row["name"]: row["argument"] for row in options()}
    known.update({"config": "FILE", "check": "DIR", "dump": "DIR", "version": "", "help": ""})
    known.update({"repair": "DIR", "accept-loss": ""})
    equal(described, known)
    for row in options():
        entry = page.split(".It Fl -%s" % row["name"], 1)[1].split(".It Fl", 1)[0]
        if row["default"] not in ("", "no"):
            contains(entry, row["default"])


def test_the_page_of_the_file_has_every_name_with_its_default():
    page = read("docs/man/tenured.conf.5")
    described = dict(re.findall(r"^\.It Cm ([a-z-]+) Ta (?:(\S+) )?Ta ", page, re.MULTILINE))
    equal(described, {row["name"]: row["default"] for row in options()})


def test_exit_codes_are_the_same_everywhere():
    page = read("docs/man/tenured.8").split(".Sh EXIT STATUS")[1].split(".Sh EXAMPLES")[0]
    described = re.findall(r"^\.It (\d+)$", page, re.MULTILINE)
    told = re.findall(r"\b(\d+) ", tenured("--help")[1].split("Exit codes:")[1])
    equal(told, described)


run()
