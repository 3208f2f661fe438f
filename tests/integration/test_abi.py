#!/usr/bin/python3
"""What libtenure shows to the programs that are linked with it.

    LIBTENURE_SO=... LIBTENURE_A=... test_abi.py

A symbol that is gone breaks programs; one that came by mistake can never go again.  What is meant
to change changes tests/golden/abi-symbols.txt too.
"""

import os
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SHARED = os.environ["LIBTENURE_SO"]
STATIC = os.environ["LIBTENURE_A"]

# With names of its own that the library uses inside.
C_PROGRAM = """
#include <stdio.h>
#include <tenure/tenure.h>
int buffer_append(void);
int buffer_append(void) { return 1; }
int tni_hold_create(void);
int tni_hold_create(void) { return 2; }
int main(void)
{
    struct tenure_client_options options = { .size = sizeof(options), .url = "nonsense" };
    struct tenure_client client;
    if (tenure_client_open(&options, &client, NULL) != TENURE_INVALID) return 1;
    if (tenure_version_number() != TENURE_VERSION_NUMBER) return 2;
    printf("%s %d\\n", tenure_version(), buffer_append() + tni_hold_create());
    return 0;
}
"""

CXX_PROGRAM = """
#include <cstdio>
#include <tenure/tenure.h>
int main()
{
    tenure_client_options options{};
    options.size = sizeof options;
    options.url = "nonsense";
    tenure_client client;
    if (tenure_client_open(&options, &client, nullptr) != TENURE_INVALID) return 1;
    std::printf("%s 3\\n", tenure_version());
    return 0;
}
"""


def run(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.decode()


def defined(path, *options):
    words = (line.split() for line in run("nm", "--defined-only", *options, path).splitlines())
    return sorted({re.sub("@.*", "", word[2]) for word in words if len(word) == 3})


def declared():
    names = set()
    for header in os.listdir(os.path.join(ROOT, "include", "tenure")):
        if not header.endswith(".h"):  # the adapters have nothing but inline functions
            continue
        with open(os.path.join(ROOT, "include", "tenure", header), encoding="utf-8") as file:
            text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
        for part in text.split("TENURE_API")[1:]:
            if match := re.search(r"\b(tenure_\w+)\s*\(", part):
                names.add(match.group(1))
    return sorted(names)


class Abi(unittest.TestCase):
    def golden(self):
        path = os.path.join(ROOT, "tests", "golden", "abi-symbols.txt")
        with open(path, encoding="utf-8") as file:
            return file.read().split()

    def test_shared_library_shows_what_it_showed(self):
        shown = [name for name in defined(SHARED, "-D") if name != "TENURE_0"]
        self.assertEqual(shown, self.golden())

    def test_what_is_declared_is_there(self):
        self.assertEqual(declared(), self.golden())

    def test_the_manual_page_has_every_function(self):
        path = os.path.join(ROOT, "docs", "man", "libtenure.3")
        with open(path, encoding="utf-8") as file:
            synopsis = file.read().split(".Sh DESCRIPTION")[0]
        told = re.findall(r"(?m)^\.Fn (\w+)", synopsis)
        self.assertEqual(sorted(told), self.golden())

    def test_static_library_shows_the_same(self):
        self.assertEqual(defined(STATIC, "-g"), self.golden())

    def test_library_has_its_name(self):
        dynamic = run("readelf", "-d", SHARED)
        self.assertIn("[libtenure.so.0]", dynamic)

    def build(self, compiler, suffix, program, *libraries):
        with tempfile.TemporaryDirectory() as folder:
            source = os.path.join(folder, "program" + suffix)
            target = os.path.join(folder, "program")
            with open(source, "w", encoding="utf-8") as file:
                file.write(program)
            include = "-I" + os.path.join(ROOT, "include")
            run(*compiler, "-Wall", "-Wextra", "-Werror", include, source, "-o", target, *libraries)
            os.environ["LD_LIBRARY_PATH"] = os.path.dirname(SHARED)
            return run(target)

    def sanitizers(self):
        """What a library that was built with sanitizers needs."""
        text = run("nm", "-D", "--undefined-only", SHARED)
        options = []
        if "__asan_" in text:
            options.append("-fsanitize=address,undefined")
        if "__tsan_" in text:
            options.append("-fsanitize=thread")
        return options

    def test_c_program_with_shared_library(self):
        link = self.sanitizers() + ["-L" + os.path.dirname(SHARED), "-ltenure"]
        self.assertEqual(self.build(["cc", "-std=c17"], ".c", C_PROGRAM, *link), "0.1.0 3\n")

    def test_c_program_with_static_library(self):
        link = self.sanitizers() + [STATIC, "-luv", "-lssl", "-lcrypto", "-lpthread"]
        self.assertEqual(self.build(["cc", "-std=c17"], ".c", C_PROGRAM, *link), "0.1.0 3\n")

    def test_cxx_program(self):
        link = self.sanitizers() + ["-L" + os.path.dirname(SHARED), "-ltenure"]
        self.assertEqual(self.build(["c++", "-std=c++17"], ".cc", CXX_PROGRAM, *link), "0.1.0 3\n")


if __name__ == "__main__":
    outcome = unittest.main(exit=False, verbosity=0).result
    failed = len(outcome.failures) + len(outcome.errors)
    print(f"{outcome.testsRun - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)
