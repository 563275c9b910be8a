#!/usr/bin/env python3
"""Work stays linear: instructions of each stage at n, 2n, 4n and 8n hostile packets, counted by callgrind.

    run.py SENSOR_WORK

Twice the packets may cost at most LIMIT times the instructions, once what the program costs without packets is taken away.
Counting is exact, so a loaded machine changes nothing. Without valgrind the test is skipped; in CI (CI=true) that is a failure.
"""
import os
import re
import shutil
import subprocess
import sys

SKIPPED = 77
LIMIT = 2.2
STEPS = 4
PACKETS = {"decode": 500, "tunnel": 100, "defrag": 1000, "flow": 1000, "stream": 1000}


def instructions(program, stage, packets):
    done = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, stage, str(packets)],
        capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or not found:
        sys.exit(f"{stage} {packets}: {done.stderr.strip().splitlines()[-1:]}")
    return int(found.group(1))


def main():
    if not shutil.which("valgrind"):
        print("skipped: valgrind is not installed")
        sys.exit(1 if os.environ.get("CI") == "true" else SKIPPED)
    bad = 0
    for stage, first in PACKETS.items():
        start = instructions(sys.argv[1], stage, 0)
        costs = [instructions(sys.argv[1], stage, first << step) - start for step in range(STEPS)]
        ratios = [after / before for before, after in zip(costs, costs[1:])]
        worst = max(ratios)
        bad += worst > LIMIT
        per_packet = costs[-1] // (first << STEPS - 1)
        print(f"{stage:8} {per_packet:6} instructions a packet, ratios {' '.join(f'{r:.2f}' for r in ratios)}"
              + ("  TOO STEEP" if worst > LIMIT else ""))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
