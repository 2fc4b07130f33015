#!/usr/bin/env python3
"""Replays the README's session: each command must print what is shown below it, where it is shown.

usage: readme_test.py PROGRAM
"""

import os
import pathlib
import re
import subprocess
import sys

source = pathlib.Path(os.environ["DENTREE_SOURCE"])
PROMPT = re.compile(r"dentree:(\S+)# (.*)")
MARK = "-- end of one command --"


def read_session(text):
    """The program's arguments, and [place, command, output] of each command."""
    block = re.search(r"^```console\n\$ ./dev run ([^\n]*)\n(.*?)^```", text, re.M | re.S)
    steps = []
    for line in block[2].splitlines(keepends=True):
        if prompt := PROMPT.match(line):
            steps.append([prompt[1], prompt[2], ""])
        else:
            steps[-1][2] += line
    return block[1].split(), steps


arguments, steps = read_session((source / "README.md").read_text(encoding="utf-8"))
script = "".join(f"pwd\n{command}\necho '{MARK}'\n" for _, command, _ in steps)
run = subprocess.run([os.path.abspath(sys.argv[1]), *arguments], cwd=source, input=script, text=True, stdout=subprocess.PIPE,
                     stderr=subprocess.STDOUT)
outputs = run.stdout.split(MARK + "\n")
failures = 0 if len(outputs) == len(steps) + 1 else 1
for (place, command, shown), printed in zip(steps, outputs):
    if printed != f"{place}\n{shown}":
        failures += 1
        print(f"README.md: {command}\n--- shown, in {place}\n{shown}--- printed\n{printed}")
print(f"{len(steps)} commands, {failures} differences")
sys.exit(failures > 0 or not steps)
