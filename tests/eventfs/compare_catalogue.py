#!/usr/bin/env python3
"""Compares the events directory of a dentree with the catalogue that was loaded into it.

    dentree --events CATALOGUE -c 'find /sys/kernel/tracing/events' | compare_catalogue.py CATALOGUE
    compare_catalogue.py CATALOGUE --run build/dentree

Prints every difference and, last, their number. With --run also the ids and fields that the files
say are compared. The exit status is 0 when there is no difference.
"""

import argparse
import lzma
import subprocess
import sys

EVENTS = "/sys/kernel/tracing/events"
CONFIGURED = {"hist", "hist_debug", "inject"}  # not there in an Os that was not asked for them
COMMON = 4  # fields that every event has


def read_catalogue(path):
    """{(system, event): (id, files, fields)}"""
    opener = lzma.open if path.endswith(".xz") else open
    events = {}
    with opener(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            line = line.rstrip("\r\n")
            if not line or line.startswith("#"):
                continue
            system, event, number, files, fields = line.split("\t")
            events[system, event] = (number, set(files.split(",")) - CONFIGURED, fields)
    return events


def compare_tree(events, paths):
    """What find printed: the systems, the events and the files of each."""
    found = {}
    systems = set()
    for path in paths:
        parts = path.removeprefix(EVENTS).strip("/").split("/")
        if len(parts) == 2 and parts[1] not in ("enable", "filter"):
            found.setdefault(tuple(parts), set())
            systems.add(parts[0])
        elif len(parts) == 3:
            found.setdefault(tuple(parts[:2]), set()).add(parts[2])
    for key in sorted(events.keys() | found.keys()):
        expected = events[key][1] if key in events else None
        if found.get(key) != expected:
            yield f"{':'.join(key)}: expected {expected}, found {found.get(key)}"
    print(f"{len(systems)} systems, {len(found)} event directories", file=sys.stderr)


def fields_of(lines):
    fields = []
    for line in lines:
        if line.startswith("\tfield:"):
            parts = [part.split(":", 1)[1] for part in line.strip().rstrip(";").split(";\t")]
            fields.append(":".join(parts))
    return fields


def compare_texts(events, text):
    """All format files, one after the other."""
    formats = {}
    for part in text.split("name: ")[1:]:
        lines = part.split("\n")
        formats[lines[0], lines[1].removeprefix("ID: ")] = fields_of(lines)
    for (system, event), (number, _, fields) in events.items():
        expected = [field for field in fields.split(";") if field]
        found = formats.get((event, number))
        if found is None or (found != expected and found[COMMON:] != expected):
            yield f"{system}:{event}: format expected {expected}, found {found}"


def run(dentree, catalogue, commands):
    opener = lzma.open if catalogue.endswith(".xz") else open
    with opener(catalogue, "rb") as text:
        done = subprocess.run([dentree, "--events", "-", "-c", commands], input=text.read(),
                              stdout=subprocess.PIPE, check=True)
    return done.stdout.decode()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("catalogue", help="a .tsv, or .tsv.xz")
    parser.add_argument("--run", metavar="DENTREE", help="the program to ask, else stdin is read")
    options = parser.parse_args()

    events = read_catalogue(options.catalogue)
    if options.run:
        paths = run(options.run, options.catalogue, f"find {EVENTS}").splitlines()
        differences = list(compare_tree(events, paths))
        differences += compare_texts(
            events, run(options.run, options.catalogue, f"cat {EVENTS}/*/*/format"))
    else:
        differences = list(compare_tree(events, sys.stdin.read().splitlines()))
    for difference in differences:
        print(difference)
    print(f"{len(differences)} differences")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
