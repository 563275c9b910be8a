"""Appending to the audit store, beside plain SQLite rows of the same bytes with the same durability."""
import json
import shutil
import subprocess

from rows import Row


def rows(context):
    records = 20_000 if context.quick else 200_000
    found = []
    for batch in (1, 500):
        count = records // 50 if batch == 1 else records
        store, floor = [], []
        for _ in range(context.runs):
            folder = context.work / "audit"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            done = subprocess.run([context.programs / "bench_audit", folder, str(count), str(batch)], capture_output=True,
                                  text=True, check=True)
            seconds = json.loads(done.stdout)
            store.append(count / seconds["store_seconds"])
            floor.append(count / seconds["sqlite_seconds"])
        found.append(Row.of(f"audit append, batch {batch} (floor: SQLite rows)", "records/s", store, floor))
    return found
