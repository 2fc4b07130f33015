#!/usr/bin/env python3
"""Runs examples/embed, which README.md shows, and checks what it prints."""

import subprocess
import sys

failures = []
run = subprocess.run([sys.argv[1]], capture_output=True, text=True)
if run.returncode != 0 or run.stderr:
    failures.append(f"embed ended with {run.returncode}: {run.stderr}")
for expected in (
    "name: sold\nID: ",
    "\tfield:u32 item;\toffset:8;\tsize:4;\tsigned:0;\n",
    'print fmt: "item=%u buyer=%s", ',
    "\nshop:sold\n",
    " enable\n",
    " trigger\n",
):
    if expected not in run.stdout:
        failures.append(f"embed does not print {expected!r}, but:\n{run.stdout}")

for failure in failures:
    print("FAILED:", failure)
sys.exit(1 if failures else 0)
