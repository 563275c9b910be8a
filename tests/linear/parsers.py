#!/usr/bin/env python3
"""Every parser's work stays linear: instructions at n, 2n, 4n and 8n hostile messages, counted by callgrind in one run.

    parsers.py SENSOR_PARSE_WORK CORPUS

The program dumps callgrind's counters for each case and size (hostile_traffic.hpp: the fuzz targets' exchanges again and
again, and messages that grow). Twice as much may cost at most LIMIT times the instructions, on average over the three steps
and in the last one, what the case costs with nothing taken away; where a parser reaches a limit and ends, it costs less.
Counting is exact: a loaded machine changes nothing. BOUNDED names the cases that grow faster until a table of theirs is full.
Without valgrind the test is skipped; in CI (CI=true) that is a failure.
"""
import collections
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
LIMIT = 2.2
# Below, what a case costs is the machinery's noise: growth of containers, first use of tables.
NOISE = 500_000
# Each with what it fills; measured, printed, not judged.
BOUNDED = {
    "http1 empty lines, pieces": "4096 bytes are held, and looked at again, while the protocol is not known (probe_bytes)",
    "smb1 messages": "1024 open requests",
    "smb1 messages, pieces": "1024 open requests",
    "smb2 messages": "1024 open requests",
    "smb2 messages, pieces": "1024 open requests",
}


def main():
    if not shutil.which("valgrind"):
        print("skipped: valgrind is not installed")
        sys.exit(1 if os.environ.get("CI") == "true" else SKIPPED)
    costs = collections.defaultdict(dict)
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", sys.argv[1], "linear", sys.argv[2]],
            capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit("\n".join(done.stderr.splitlines()[-5:]))
        for dump in pathlib.Path(folder).iterdir():
            text = dump.read_text(errors="replace")
            name = re.search(r"^desc: Trigger: Client Request: (.*) (\d+)$", text, re.M)
            total = re.search(r"^(?:totals|summary): (\d+)", text, re.M)
            if name and total:
                costs[name[1]][int(name[2])] = int(total[1])
    if not costs:
        sys.exit("no counters: the program was built without valgrind's headers")
    bad = 0
    for case, by_size in sorted(costs.items()):
        sizes = sorted(by_size)
        work = [by_size[size] - by_size[0] for size in sizes[1:]]
        ratios = [after / max(before, NOISE) for before, after in zip(work, work[1:])]
        steep = len(work) != 4 or (work[-1] > NOISE and
                                   (work[-1] / max(work[0], NOISE / 4) > LIMIT ** 3 or ratios[-1] > LIMIT))
        known = BOUNDED.get(case)
        bad += steep and not known
        if steep or "-v" in sys.argv:
            print(f"{case:44} {work[-1]:12} instructions, ratios {' '.join(f'{r:.2f}' for r in ratios)}"
                  + (f"  until full: {known}" if steep and known else "  TOO STEEP" if steep else ""))
    print(f"{len(costs)} cases, {bad} too steep")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
