#!/usr/bin/env python3
"""Tests how .ci/tally.py counts.

usage: tally_test.py ROOT
"""

import contextlib
import io
import json
import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(sys.argv.pop(1)) / ".ci"))
import tally

PASSED = '<testcase name="a" status="run" result="completed"/>'
FAILED = '<testcase name="b" status="run" result="completed"><failure message="m"/></testcase>'
SKIPPED = '<testcase name="c" status="run" result="skipped"><skipped message="m"/></testcase>'
DISABLED = '<testcase name="d" status="notrun" result="suppressed"/>'


class TallyTest(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.build = pathlib.Path(holder.name)
        (self.build / "meson-logs").mkdir()
        (self.build / "tests").mkdir()
        self.log = []

    def ran(self, name, result, *cases):
        """A program of suite unit with its result, and its report if it has cases."""
        self.log.append(json.dumps({"name": f"dentree:unit / {name}", "result": result, "duration": 0.5}))
        if cases:
            (self.build / "tests" / f"{name}.xml").write_text(
                f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>")

    def last_line(self):
        """(exit code, last line printed)."""
        (self.build / "meson-logs/testlog.json").write_text("\n".join(self.log))
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            status = tally.main([str(self.build)])
        return status, output.getvalue().splitlines()[-1]

    def test_counts_the_cases_of_a_program(self):
        self.ran("a", "OK", PASSED, PASSED, SKIPPED, DISABLED)
        self.assertEqual(self.last_line(), (0, "2 passed, 0 failed"))

    def test_a_failed_case_fails_the_run(self):
        self.ran("a", "FAIL", PASSED, FAILED)
        self.assertEqual(self.last_line(), (1, "1 passed, 1 failed"))

    def test_a_program_without_a_report_is_one_case(self):
        self.ran("a", "OK")
        self.ran("b", "FAIL")
        self.assertEqual(self.last_line(), (1, "1 passed, 1 failed"))

    def test_a_program_that_dies_or_hangs_is_one_failure(self):
        self.ran("a", "FAIL")
        self.ran("b", "TIMEOUT")
        self.assertEqual(self.last_line(), (1, "0 passed, 2 failed"))

    def test_a_program_that_dies_after_its_report_fails(self):
        self.ran("a", "FAIL", PASSED)
        self.assertEqual(self.last_line(), (1, "1 passed, 1 failed"))

    def test_a_cut_off_report_counts_as_none(self):
        self.ran("a", "FAIL")
        (self.build / "tests/a.xml").write_text("<testsuites><testsuite>")
        self.assertEqual(self.last_line(), (1, "0 passed, 1 failed"))

    def test_a_skipped_program_is_neither(self):
        self.ran("a", "SKIP")
        self.assertEqual(self.last_line(), (0, "0 passed, 0 failed"))

    def test_a_build_without_results_is_one_failure(self):
        self.ran("a", "OK", PASSED)
        with contextlib.redirect_stdout(io.StringIO()):
            self.assertEqual(tally.main([str(self.build / "tests")]), 1)


if __name__ == "__main__":
    unittest.main()
