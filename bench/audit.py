"""The audit store beside bare SQLite rows, bare SM3, PostgreSQL COPY: appending, growing, verifying, finding, size."""
import json
import os
import pathlib
import pwd
import shutil
import subprocess
import sys
import time

from rows import Row

BATCH = 4_000


def measure(context, what, folder, *arguments):
    done = subprocess.run([context.programs / "bench_audit", what, folder, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    return json.loads(done.stdout)


def fresh(context, name):
    folder = context.work / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def copy_into_postgresql(context, records):
    """Rows a second of COPY into one table with a primary key; None, with a word, where it cannot run."""
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found or os.geteuid() != 0:
        print("audit: PostgreSQL COPY skipped: no server here, or not root", file=sys.stderr)
        return None
    binaries, user = found[-1].parent, pwd.getpwnam("postgres")
    folder = fresh(context, "pg")
    os.chmod(context.work, 0o755)
    os.chown(folder, user.pw_uid, user.pw_gid)

    def run(*command, **options):
        return subprocess.run(command, user="postgres", group="postgres", extra_groups=[], cwd=folder, check=True, capture_output=True,
                              env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"}, **options)

    run(binaries / "initdb", "-D", folder / "data", "-A", "trust")
    run(binaries / "pg_ctl", "-D", folder / "data", "-w", "-l", folder / "log", "-o", f"-c listen_addresses='' -k {folder}", "start")
    try:
        psql = ("/usr/bin/psql", "-h", folder, "-d", "postgres", "-q", "-c")
        run(*psql, "CREATE TABLE t(n bigint PRIMARY KEY, body text)")
        body = os.urandom(200).hex()  # 400 bytes
        begin = time.monotonic()
        for first in range(0, records, BATCH):
            lines = "".join(f"{n}\t{body}\n" for n in range(first, min(first + BATCH, records)))
            run(*psql, "COPY t FROM STDIN", input=lines.encode())
        return records / (time.monotonic() - begin)
    finally:
        run(binaries / "pg_ctl", "-D", folder / "data", "-m", "immediate", "stop")


def rows(context):
    records = 40_000 if context.quick else 400_000
    grown = 100_000 if context.quick else 12_000_000
    ingest = [measure(context, "ingest", fresh(context, "ingest"), records, BATCH) for _ in range(context.runs)]
    found = [
        Row.of("audit.ingest (4 producers, SM3, FULL; floor: bare SQLite rows)", "records/s", [r["rate"] for r in ingest],
               [r["floor"] for r in ingest]),
        Row.of("audit.ack.p50", "ms", [r["ack_p50_ms"] for r in ingest]),
    ]
    copied = copy_into_postgresql(context, records // 4)
    if copied:
        found.append(Row.of("audit.ingest (peer: PostgreSQL COPY, same batch)", "records/s", [r["rate"] for r in ingest], [copied]))
    print("audit: journald with sealing skipped: it needs the machine's own journal", file=sys.stderr)
    folder = fresh(context, "grown")
    growth = measure(context, "growth", folder, grown, BATCH)
    found.append(Row.of(f"audit.ingest.growth (last tenth of {grown:,}; floor: the first)", "records/s", [growth["last"]],
                        [growth["first"]]))
    verify = [measure(context, "verify", folder) for _ in range(context.runs)]
    found.append(Row.of("audit.verify (floor: bare SM3 of the same bytes, same cores)", "records/s", [r["rate"] for r in verify],
                        [r["floor"] for r in verify]))
    query = measure(context, "query", folder)
    found += [
        Row.of(f"audit.query.p95 (warm, {query['records']:,} records)", "ms", [query["p95_ms"]]),
        Row.of("audit.query.cold (the slowest question)", "s", [query["cold_s"]]),
        Row.of("audit.bytes (searchable at once)", "bytes/record", [growth["bytes_searchable"]]),
        Row.of("audit.bytes (archived: records alone)", "bytes/record", [growth["bytes_archived"]]),
    ]
    for name, times in query["each"].items():
        print(f"audit: {name}: cold {times['cold_s']:.3f} s, warm p50 {times['p50_ms']:.1f} ms, p95 {times['p95_ms']:.1f} ms",
              file=sys.stderr)
    return found
