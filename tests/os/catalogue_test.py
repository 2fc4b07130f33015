#!/usr/bin/env python3
"""Boots dentree with a catalogue of real events and compares what is there with it.

DENTREE_CATALOGUE names the catalogue, .tsv or .tsv.xz; without it there is nothing to compare.
"""

import os
import pathlib
import subprocess
import sys

catalogue = os.environ.get("DENTREE_CATALOGUE")
if not catalogue:
    print("SKIPPED: DENTREE_CATALOGUE names no event catalogue to compare with")
    sys.exit(77)

compare = pathlib.Path(os.environ["DENTREE_SOURCE"]) / "tests/eventfs/compare_catalogue.py"
run = subprocess.run([sys.executable, compare, catalogue, "--run", sys.argv[1]])
sys.exit(run.returncode)
