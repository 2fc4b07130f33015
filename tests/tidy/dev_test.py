#!/usr/bin/env python3
"""Tests ./dev in a folder of its own, with stand-ins for the commands that change the machine.

usage: dev_test.py ROOT
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(sys.argv.pop(1))

LOG = 'echo "${0##*/} $*" >>"$DEV_TEST_LOG"\n'
STAND_INS = {
    # Everything is installed but the two packages the tests speak of.
    "dpkg-query": 'case ${!#} in meson | libabsl-dev) exit 1 ;; esac\nprintf installed\n',
    "id": 'echo "${DEV_TEST_UID:-0}"\n',
    "apt-get": LOG + "echo chatter\n",
    "sudo": LOG + '[[ ${DEV_TEST_SUDO:-} ]] || exit 1\n[[ $1 == -n ]] || exec "$@"\n',
    "meson": LOG + "echo chatter\n",
    "ninja": LOG + "echo chatter\n",
}
PROGRAM = 'printf "<%s>" "$@"\ncat\n'


class DevTest(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.top = pathlib.Path(holder.name)
        shutil.copy(ROOT / "dev", self.top / "dev")
        for name, text in STAND_INS.items():
            self.script(self.top / "bin" / name, text)
        self.script(self.top / "build/dentree", PROGRAM)

    def script(self, path, text):
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/bash\n" + text)
        path.chmod(0o755)

    def dev(self, *arguments, stdin="", **environment):
        log = self.top / "log"
        log.write_text("")
        done = subprocess.run(
            [self.top / "dev", *arguments], input=stdin, capture_output=True, text=True, check=False,
            env=os.environ | {"PATH": f"{self.top}/bin:{os.environ['PATH']}", "DEV_TEST_LOG": str(log)} | environment)
        self.called = log.read_text().splitlines()
        return done

    def calls(self, command):
        return [line for line in self.called if line.startswith(command + " ")]

    def everything_installed(self):
        self.script(self.top / "bin/dpkg-query", "printf installed\n")

    def test_every_command_in_the_help_has_help(self):
        commands = re.findall(r"^  (\w+) ", self.dev("--help").stdout, re.M)
        self.assertEqual(sorted(commands),
                         ["bench", "build", "coverage", "format", "fuzz", "lint", "run", "sanitize", "test"])
        for command in commands:
            with self.subTest(command):
                done = self.dev(command, "--help")
                self.assertEqual(done.returncode, 0)
                self.assertTrue(done.stdout.startswith(f"usage: ./dev {command}"))
                self.assertEqual(self.called, [])

    def test_a_mistake_exits_with_2_and_touches_nothing(self):
        for arguments in ((), ("biuld",), ("build", "fast"), ("build", "debug", "release"), ("sanitize", "memory"),
                          ("test", "--fast"), ("test", "--suite"), ("bench", "--rounds"), ("bench", "--fast")):
            with self.subTest(arguments):
                self.everything_installed()
                done = self.dev(*arguments)
                self.assertEqual(done.returncode, 2)
                self.assertEqual(self.called, [])

    def test_root_gets_the_missing_packages_installed_by_name(self):
        done = self.dev("build")
        self.assertEqual(done.returncode, 0, done.stderr)
        update, install = self.calls("apt-get")
        self.assertTrue(update.endswith(" update"))
        self.assertTrue(install.endswith(" install -y --no-install-recommends meson libabsl-dev"))
        self.assertIn("installing from Debian: meson libabsl-dev", done.stderr)

    def test_a_user_with_sudo_gets_them_through_it(self):
        done = self.dev("build", DEV_TEST_UID="1000", DEV_TEST_SUDO="1")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(self.calls("apt-get")), 2)
        self.assertIn("sudo env DEBIAN_FRONTEND=noninteractive apt-get", self.called[1])

    def test_a_user_without_sudo_is_told_the_line_and_exits_with_2(self):
        done = self.dev("build", DEV_TEST_UID="1000")
        self.assertEqual(done.returncode, 2)
        self.assertIn("\napt-get update && apt-get install -y --no-install-recommends meson libabsl-dev\n", done.stderr)
        self.assertEqual(self.calls("apt-get") + self.calls("meson") + self.calls("ninja"), [])

    def test_nothing_is_installed_where_nothing_is_missing(self):
        self.everything_installed()
        self.assertEqual(self.dev("build").returncode, 0)
        self.assertEqual(self.calls("apt-get") + self.calls("sudo"), [])

    def test_run_leaves_arguments_and_streams_to_the_program(self):
        done = self.dev("run", "-c", "ls  /", "", stdin="one\ntwo")
        self.assertEqual(done.stdout, "<-c><ls  /><>one\ntwo")
        self.assertEqual(len(self.calls("apt-get")), 2)

    def test_run_drops_one_leading_double_dash(self):
        self.assertEqual(self.dev("run", "--", "--help", "--").stdout, "<--help><-->")

    def test_a_build_that_fails_is_a_failed_test_run_without_old_results(self):
        self.everything_installed()
        self.script(self.top / "bin/ninja", "exit 1\n")
        old = self.top / "build/meson-logs/testlog.json"
        old.parent.mkdir()
        old.write_text("")
        self.assertEqual(self.dev("test").returncode, 1)
        self.assertFalse(old.exists())


if __name__ == "__main__":
    unittest.main()
