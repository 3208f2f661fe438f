#!/usr/bin/python3
"""What `meson install` puts where, and whether it works there.

    BUILD=... test_install.py

Everything goes below a directory of its own, as for a package.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ["BUILD"]

PROGRAM = """
#include <stdio.h>
#include <tenure/tenure.h>
int main(void)
{
    puts(tenure_version());
    return tenure_version_number() == TENURE_VERSION_NUMBER ? 0 : 1;
}
"""


def run(*command, **options):
    done = subprocess.run(
        command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options
    )
    if done.returncode != 0:
        raise AssertionError("%r: %d: %s" % (command, done.returncode, done.stdout.decode()))
    return done.stdout.decode()


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.destination = os.path.join(cls.folder.name, "root")
        run("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet",
            "--destdir", cls.destination)
        cls.files = sorted(
            "/" + os.path.relpath(os.path.join(folder, name), cls.destination)
            for folder, _, names in os.walk(cls.destination)
            for name in names
        )

    def find(self, end):
        """Where the one file is whose path ends so."""
        found = [path for path in self.files if path.endswith("/" + end)]
        self.assertEqual(len(found), 1, (end, found))
        return found[0]

    def read(self, end):
        with open(self.destination + self.find(end), encoding="utf-8") as file:
            return file.read()

    def libraries(self):
        """The environment in which programs find the library where it is now."""
        folder = os.path.dirname(self.find("libtenure.so"))
        return {**os.environ, "LD_LIBRARY_PATH": self.destination + folder}

    def test_programs_run_where_they_are(self):
        for program in ("bin/tenure", "sbin/tenured"):
            out = run(self.destination + self.find(program), "--version", env=self.libraries())
            self.assertRegex(out, r"^tenured? \d")

    def test_every_manual_page_is_there(self):
        for page in sorted(os.listdir(os.path.join(ROOT, "docs", "man"))):
            self.assertEqual(self.find("man%s/%s" % (page[-1], page)).count("/man/"), 1, page)

    def test_every_public_header_is_there_and_no_other(self):
        installed = [p for p in self.files if p.endswith(".h")]
        top = os.path.join(ROOT, "include")
        public = sorted(os.path.relpath(os.path.join(folder, name), top)
                        for folder, _, names in os.walk(top) for name in names)
        self.assertEqual([path.rpartition("/include/")[2] for path in installed], public)

    def test_a_program_is_built_with_pkg_config(self):
        source = os.path.join(self.folder.name, "program.c")
        target = os.path.join(self.folder.name, "program")
        with open(source, "w", encoding="ascii") as file:
            file.write(PROGRAM)
        env = {
            **self.libraries(),
            "PKG_CONFIG_LIBDIR": self.destination + os.path.dirname(self.find("libtenure.pc")),
            "PKG_CONFIG_SYSROOT_DIR": self.destination,
        }
        flags = run("pkg-config", "--cflags", "--libs", "libtenure", env=env).split()
        run("cc", "-Wall", "-Werror", source, *flags, "-o", target)
        version = run("pkg-config", "--modversion", "libtenure", env=env)
        self.assertEqual(run(target, env=env), version)

    def test_the_examples_are_built_with_nothing_but_an_installed_library(self):
        folder = os.path.join(self.folder.name, "examples")
        shutil.copytree(os.path.join(ROOT, "examples"), folder)
        wrapper = os.path.join(self.folder.name, "pkg-config")
        pc = os.path.dirname(self.find("libtenure.pc"))
        # Ours lies elsewhere than it says; that of libuv does not.
        with open(wrapper, "w", encoding="ascii") as file:
            file.write("#!/bin/sh\nset -e\nif [ \"$3\" = libuv ]; then pkg-config $1 libuv; fi\n"
                       "PKG_CONFIG_LIBDIR=%s%s PKG_CONFIG_SYSROOT_DIR=%s pkg-config $1 $2\n"
                       % (self.destination, pc, self.destination))
        os.chmod(wrapper, 0o755)
        env = {**self.libraries(), "PKG_CONFIG": wrapper, "CFLAGS": "-O2 -Wall -Wextra -Werror"}
        run("make", "-C", folder, env=env)
        for program in ("async-libuv", "cron-once", "role-assignment", "singleton-service"):
            done = subprocess.run([os.path.join(folder, program)], env=env, check=False,
                                  stderr=subprocess.PIPE)
            self.assertEqual(done.returncode, 64)
            self.assertIn(b"usage: " + program.encode(), done.stderr)

    def test_units_are_sound_and_name_what_was_installed(self):
        unit = self.read("system/tenured.service")
        words = re.search(r"(?m)^ExecStart=(\S+)", unit)
        self.assertEqual(words[1], self.find("sbin/tenured"))
        self.assertNotIn("@", re.sub("@[a-z]+[-a-z]*", "", unit))
        self.assertIn(self.find("bin/tenure"), self.read("examples/nightly.service"))
        self.find("examples/nightly.timer")
        self.find("examples/tenured.conf")
        self.assertNotIn("/etc/", " ".join(self.files))

    def test_systemd_takes_the_units(self):
        try:
            run("systemd-analyze", "--version")
        except FileNotFoundError:
            self.skipTest("no systemd")
        for end in ("system/tenured.service", "examples/nightly.service"):
            words = self.read(end)
            path = os.path.join(self.folder.name, os.path.basename(end))
            # The programs, and this directory, are elsewhere than they will be.
            for program in ("sbin/tenured", "bin/tenure"):
                words = words.replace(self.find(program) + " ", "/bin/true ")
            words = words.replace("%s/nightly" % "/usr/local/bin", "/bin/true")
            with open(path, "w", encoding="utf-8") as file:
                file.write(words)
            run("systemd-analyze", "verify", "--man=no", path)

    def test_the_completion_is_that_of_the_program(self):
        tenure = self.destination + self.find("bin/tenure")
        said = run(tenure, "completion", "bash", env=self.libraries())
        self.assertEqual(self.read("bash-completion/completions/tenure"), said)


if __name__ == "__main__":
    outcome = unittest.main(exit=False, verbosity=0).result
    failed = len(outcome.failures) + len(outcome.errors)
    for case, reason in outcome.skipped:
        print("skip %s: %s" % (case.id().rsplit(".", 1)[1], reason))
    skipped = len(outcome.skipped)
    passed = outcome.testsRun - failed - skipped
    print("%d passed, %d failed, %d skipped" % (passed, failed, skipped))
    sys.exit(1 if failed else 0)
