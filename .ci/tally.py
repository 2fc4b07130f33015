#!/usr/bin/env python3
"""Counts what `meson test` ran.

usage: tally.py BUILD_DIR...

For each build a table by suite, then one line `N passed, N failed` over all of them. The unit is the case: a GoogleTest case, or a whole program that is not GoogleTest,
each time it runs. A program that dies before it reports is one failed case, and so is a build
without results. Exits with 1 if anything failed.
"""

import collections
import dataclasses
import json
import pathlib
import sys
import xml.etree.ElementTree as ElementTree

PASSED_RESULTS = ("OK", "EXPECTEDFAIL")


@dataclasses.dataclass
class Tally:
    programs: int = 0
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0

    def __iadd__(self, other):
        for field in dataclasses.fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))
        return self


def gtest_tally(report):
    """Cases in a GoogleTest XML report, or None if there is no whole report."""
    try:
        suites = ElementTree.parse(report).getroot()
    except (FileNotFoundError, ElementTree.ParseError):
        return None
    tally = Tally()
    for case in suites.iter("testcase"):
        if case.get("status") == "notrun":
            continue
        if case.find("failure") is not None:
            tally.failed += 1
        elif case.get("result") == "skipped":
            tally.skipped += 1
        else:
            tally.passed += 1
    return tally


def program_tally(result, reports):
    """What one program of `meson test` adds; `result` is its line of testlog.json."""
    name = result["name"].split(" / ")[-1]
    ok = result["result"] in PASSED_RESULTS
    tally = gtest_tally(reports / f"{name}.xml")
    if tally is None:
        tally = Tally(skipped=1) if result["result"] == "SKIP" else Tally(passed=int(ok))
    if not ok and result["result"] != "SKIP" and not tally.failed:
        tally.failed = 1
    tally.programs = 1
    tally.seconds = result["duration"]
    return tally


def suite_of(result):
    """'dentree:unit / base_errno' is in suite 'unit'."""
    return result["name"].split(" / ")[0].partition(":")[2] or "none"


def build_tally(build):
    """Suites of one build directory, by name; None if it has no results."""
    log = build / "meson-logs" / "testlog.json"
    if not log.exists():
        return None
    suites = collections.defaultdict(Tally)
    for line in log.read_text().splitlines():
        result = json.loads(line)
        suites[suite_of(result)] += program_tally(result, build / "tests")
    return suites


def print_table(build, suites):
    print(f"\n{build.name:<14}{'programs':>9}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}")
    for name, tally in sorted(suites.items()):
        print(f"  {name:<12}{tally.programs:>9}{tally.passed:>8}{tally.failed:>8}{tally.skipped:>9}"
              f"{tally.seconds:>9.1f}")


def main(arguments):
    total = Tally()
    for build in map(pathlib.Path, arguments):
        suites = build_tally(build)
        if suites is None:
            print(f"{build.name}: no test results")
            total += Tally(failed=1)
            continue
        print_table(build, suites)
        for tally in suites.values():
            total += tally
    print(f"\n{total.passed} passed, {total.failed} failed")
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
