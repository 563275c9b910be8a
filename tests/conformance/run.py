#!/usr/bin/env python3
"""Replays the conformance cases and fails where one ends in an error or a crash.

    run.py MENSHEN

The cases hold hostile traffic and live outside the repository: in ../shared beside it, or where MENSHEN_SHARED says.
Without them the test is skipped; in CI (CI=true) that is a failure. How many cases agree is printed, not judged.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

SKIPPED = 77


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    score = pathlib.Path(os.environ.get("MENSHEN_SHARED", root.parent / "shared")) / "conformance" / "score"
    if not score.exists():
        print(f"skipped: no conformance cases at {score}")
        sys.exit(1 if os.environ.get("CI") == "true" else SKIPPED)
    with tempfile.TemporaryDirectory() as temporary:
        results = pathlib.Path(temporary) / "results.json"
        done = subprocess.run([sys.executable, score, sys.argv[1], "--failures", "0", "--json", results], check=False)
        bad = [case for case in json.loads(results.read_text()) if case["verdict"] in ("error", "crash")]
    for case in bad:
        print(f"{case['verdict']}: {case['name']}: {' '.join(case['notes'])}")
    sys.exit(1 if bad or done.returncode != 0 else 0)


if __name__ == "__main__":
    main()
