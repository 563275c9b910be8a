#!/usr/bin/env python3
"""Runs golden cases: a case is a folder, and the runner knows nothing of the product but its command.

    run.py MENSHEN FOLDER...        UPDATE_GOLDEN=1 writes what was seen (read the diff before committing it)

A case: input.pcap, test.rules, options (further arguments, if there are any), expected.txt (one line for each
signature that alerted: "SID ACTION xCOUNT", sorted), README.md (one sentence: what it guards).
"""
import collections
import difflib
import json
import os
import pathlib
import subprocess
import sys
import tempfile


def alerts(events):
    seen = collections.Counter()
    for line in events.read_text().splitlines():
        record = json.loads(line)
        if record["event_type"] == "alert":
            seen[record["alert"]["signature_id"], record["alert"]["action"]] += 1
    return "".join(f"{sid} {action} x{count}\n" for (sid, action), count in sorted(seen.items()))


def run(menshen, case):
    """What the case showed, as text; RuntimeError where the command failed."""
    options = case / "options"
    with tempfile.TemporaryDirectory() as temporary:
        events = pathlib.Path(temporary) / "events.jsonl"
        command = [menshen, "sensor", "replay", "--pcap", case / "input.pcap", "--rules", case / "test.rules",
                   "--events", events, *(options.read_text().split() if options.exists() else []), "--strict"]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"status {done.returncode}: {' '.join(map(str, command))}\n{done.stderr}")
        return alerts(events)


def check(menshen, case):
    expected = case / "expected.txt"
    try:
        seen = run(menshen, case)
    except (RuntimeError, OSError, ValueError, KeyError, subprocess.TimeoutExpired) as problem:
        print(f"FAILED {case.name}: {problem}")
        return False
    if os.environ.get("UPDATE_GOLDEN") == "1":
        expected.write_text(seen)
    wanted = expected.read_text()
    if seen != wanted:
        print(f"FAILED {case.name}")
        print("".join(difflib.unified_diff(wanted.splitlines(True), seen.splitlines(True), "expected", "seen")))
    return seen == wanted


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    results = [check(sys.argv[1], pathlib.Path(folder)) for folder in sys.argv[2:]]
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
