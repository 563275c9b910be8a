#!/usr/bin/env python3
"""Replays the conformance cases and fails where one ends in an error or a crash, or no longer agrees.

    run.py MENSHEN             the cases of ledger.txt must alert with the same signatures as the reference engine
    run.py MENSHEN --update    writes the ledger anew: what agrees now; nothing that stands in it may be missing

The cases hold hostile traffic and live outside the repository: in ../shared beside it, or where MENSHEN_SHARED says.
Without them the test is skipped; in CI (CI=true) that is a failure. The others' agreement is printed, not judged.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

SKIPPED = 77
LEDGER = pathlib.Path(__file__).with_name("ledger.txt")


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    score = pathlib.Path(os.environ.get("MENSHEN_SHARED", root.parent / "shared")) / "conformance" / "score"
    if not score.exists():
        print(f"skipped: no conformance cases at {score}")
        sys.exit(1 if os.environ.get("CI") == "true" else SKIPPED)
    with tempfile.TemporaryDirectory() as temporary:
        results = pathlib.Path(temporary) / "results.json"
        done = subprocess.run([sys.executable, score, sys.argv[1], "--failures", "0", "--json", results], check=False)
        cases = json.loads(results.read_text())
    bad = [case for case in cases if case["verdict"] in ("error", "crash")]
    agreeing = {case["name"] for case in cases if case["verdict"] in ("exact", "signatures")}
    ledger = set(LEDGER.read_text().split())
    bad += [case for case in cases if case["name"] in ledger - agreeing and case not in bad]
    for case in bad:
        print(f"{case['verdict']}: {case['name']}: {' '.join(case['notes'])}")
    if "--update" in sys.argv and not bad:
        LEDGER.write_text("\n".join(sorted(ledger | agreeing)) + "\n")
    sys.exit(1 if bad or done.returncode != 0 else 0)


if __name__ == "__main__":
    main()
