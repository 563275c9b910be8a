#!/usr/bin/env python3
"""Runs benches and prints a table: ./dev bench [NAME] [--quick] [--json FILE].

A bench is bench/NAME.py with `rows(context)`; each row stands beside a floor or a peer of the same run.
"""
import argparse
import dataclasses
import importlib
import json
import pathlib
import shutil
import sys
import tempfile

from rows import Context, machine

HERE = pathlib.Path(__file__).resolve().parent
NAMES = ("detect", "audit", "policy")


def number(value):
    return "-" if value is None else f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


def print_table(rows):
    header = ("name", "value", "unit", "baseline", "ratio", "min", "max", "runs")
    cells = [[row.name, number(row.value), row.unit, number(row.baseline), number(row.ratio), number(row.min), number(row.max),
              str(row.runs)] for row in rows]
    widths = [max(len(line[i]) for line in [header, *cells]) for i in range(len(header))]
    for line in [header, *cells]:
        print("  ".join(cell.ljust(width) if i in (0, 2) else cell.rjust(width)
                        for i, (cell, width) in enumerate(zip(line, widths))))


def main():
    parser = argparse.ArgumentParser(description="measure beside a floor or a peer of the same run")
    parser.add_argument("name", nargs="?", choices=NAMES)
    parser.add_argument("--quick", action="store_true", help="less work, fewer runs: a check that it works, no figure to quote")
    parser.add_argument("--json", type=pathlib.Path, help="write the rows to a file")
    parser.add_argument("--programs", type=pathlib.Path, required=True)
    parser.add_argument("--pcap", type=pathlib.Path, action="append", default=[], help="detect: another capture (classic pcap)")
    parser.add_argument("--rules", type=pathlib.Path, action="append", default=[], help="detect: other rules")
    options = parser.parse_args()
    print(machine(), flush=True)
    rows, failed = [], []
    for name in [options.name] if options.name else NAMES:
        work = pathlib.Path(tempfile.mkdtemp(prefix="menshen-bench-"))
        try:
            rows += importlib.import_module(name).rows(Context(options.programs.resolve(), work, options.quick, options.pcap, options.rules))
        except Exception as problem:  # one bench that cannot run does not hide the others
            failed.append(name)
            print(f"bench {name} failed: {problem}", file=sys.stderr)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    print_table(rows)
    if options.json:
        options.json.write_text(json.dumps([dataclasses.asdict(row) for row in rows], indent=1) + "\n")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
