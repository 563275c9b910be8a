"""Detection beside Suricata: the same captures and rules, one thread each, in turn, and the floor of reading alone.

Rates are megabits a CPU second (user and system, all threads), from the moment the rules are ready. Where the shared
traffic is not there, a generated capture and the product's own rules stand in; where the peer cannot be set up, the rows
stand beside the floor alone.
"""
import collections
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys

import suricata
from rows import Row

ROOT = pathlib.Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "traffic"
sys.path.insert(0, str(ROOT / "tests" / "golden"))
from pcap import Tcp, dns_query, http_response, tls_client_hello, udp, write  # noqa: E402


def conversation(random_source, number):
    client, server = f"10.10.{number >> 8 & 255}.{number & 255}", "10.30.0.10"
    port = 20000 + number % 40000
    kind = number % 10
    if kind == 0:
        return udp(client, server, port, 53, dns_query(f"host{number}.portal.example"))
    if kind == 1:
        flow = Tcp(client, server, port, 443)
        return flow.open() + flow.client(tls_client_hello(f"s{number}.example")) + flow.server(random_source.randbytes(8000)) + flow.close()
    flow = Tcp(client, server, port, 80)
    request = (f"GET /page/{number}?q={number * 7919} HTTP/1.1\r\nHost: portal.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n"
               "Accept: text/html,application/xhtml+xml\r\nAccept-Language: zh-CN,zh;q=0.9\r\nCookie: session=0123456789abcdef\r\n\r\n")
    body = (b"<tr><td>%d</td><td>2026-01-01</td></tr>\n" % number) * random_source.choice((10, 100, 400))
    return flow.open() + flow.client(request.encode()) + flow.server(http_response(body)) + flow.close()


class Capture:
    """A capture file (classic pcap) with its size in megabits and packets."""

    def __init__(self, name, path):
        self.name, self.path = name, path
        self.packets, octets = 0, 0
        # Never the whole file: what this process holds would count as its children's peak memory.
        with path.open("rb") as file:
            order = "little" if file.read(24)[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else "big"
            while len(head := file.read(16)) == 16:
                length = int.from_bytes(head[8:12], order)
                file.seek(length, 1)
                octets += length
                self.packets += 1
        self.megabits = octets * 8 / 1e6


def generated(context):
    random_source = random.Random(1)
    packets = [packet for number in range(1500 if context.quick else 12000) for packet in conversation(random_source, number)]
    path = context.work / "generated.pcap"
    write(path, packets, gap_us=20)
    return [Capture("generated", path)]


def shared(context):
    """The recorded traffic in several copies, each with addresses of its own."""
    found = []
    for name in ("mix", "office"):
        one, many = context.work / f"{name}.one.pcap", context.work / f"{name}.pcap"
        subprocess.run(["zstd", "-q", "-d", SHARED / f"{name}.pcap.zst", "-o", one], check=True)
        subprocess.run([SHARED / "multiply", one, many, "2" if context.quick else "4"], check=True, stdout=subprocess.DEVNULL)
        found.append(Capture(name, many))
    return found


def captures_and_rules(context):
    """Captures, one file of rules, the file of their classes (or None)."""
    rules = context.work / "all.rules"
    classification = None
    if context.rules:
        rules.write_bytes(b"\n".join(path.read_bytes() for path in context.rules))
    elif (SHARED / "rules").is_dir():
        subprocess.run(["zstd", "-q", "-d", SHARED / "rules" / "emerging.rules.zst", "-o", rules], check=True)
        classification = SHARED / "rules" / "classification.config"
    else:
        rules.write_bytes(b"\n".join(path.read_bytes() for path in sorted((ROOT / "rules" / "detection").glob("*.rules"))))
    if context.pcaps:
        return [Capture(path.stem, path) for path in context.pcaps], rules, classification
    return (shared if SHARED.is_dir() else generated)(context), rules, classification


def replay(context, capture, rules, classification, cache=None):
    """One run of the product, as the peer's: Run."""
    events = context.work / "events.jsonl"
    arguments = [context.programs / "menshen", "sensor", "replay", "--pcap", capture.path, "--events", events,
                 "--no-checksum", "--alerts-only", "--json"]
    if rules:
        arguments += ["--rules", rules]
    if classification:
        arguments += ["--classification", classification]
    if cache:
        arguments += ["--cache", cache]
    process = subprocess.Popen(list(map(str, arguments)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"menshen ended with {process.returncode}")
    summary = json.loads(output)
    alerts = collections.Counter()
    for line in events.open():
        event = json.loads(line)
        if event["event_type"] == "alert":
            alerts[event["alert"]["signature_id"]] += 1
    return suricata.Run(summary["load_cpu_seconds"], summary["replay_cpu_seconds"], usage.ru_maxrss / 1024, alerts)


def compare(name, ours, theirs):
    """Prints which signatures differ; the rates are only worth something where the work is the same."""
    equal = sum(1 for sid in theirs if sid in ours)
    print(f"{name}: {len(theirs)} signatures alerted at the peer, {equal} of them here;"
          f" missing {sorted(set(theirs) - set(ours))[:10]}, extra {sorted(set(ours) - set(theirs))[:10]}", flush=True)


def ratio_row(name, unit, ours, theirs):
    """Pair by pair, because the machine changes between pairs."""
    row = Row.of(name, unit, ours, theirs)
    if theirs:
        ratios = [mine / peers for mine, peers in zip(ours, theirs)]
        row.ratio = statistics.median(ratios)
        print(f"{name}: ratio pair by pair " + " ".join(f"{ratio:.2f}" for ratio in ratios), flush=True)
    return row


def pairs(context, capture, rules, classification, with_peer):
    ours, theirs = [], []
    for _ in range(context.runs):
        ours.append(replay(context, capture, rules, classification))
        if with_peer:
            theirs.append(suricata.replay(capture.path, rules, classification, context.work))
    return ours, theirs


def floor(context, what, capture, *arguments):
    """CPU seconds of one part of the work alone."""
    done = subprocess.run([context.programs / "bench_detect_floor", what, capture.path, *arguments], capture_output=True, text=True, check=True)
    return float(done.stdout)


def ready_warm(context, capture, rules, classification, with_peer):
    """Rules ready from each side's own cache: a first run fills it."""
    cache = context.work / "patterns"
    ours, theirs = [], []
    for number in range(context.runs + 1):
        mine = replay(context, capture, rules, classification, cache).ready
        peers = suricata.replay(capture.path, rules, classification, context.work, hyperscan_cache=True).ready if with_peer else None
        if number:
            ours.append(mine)
            theirs += [peers] if with_peer else []
    return ratio_row(f"detect.ready.warm ({capture.name})", "CPU-s", ours, theirs)


def rows(context):
    try:
        print(f"peer: {suricata.set_up()}", flush=True)
        with_peer = True
    except suricata.NotHere as problem:
        print(f"no peer: {problem}", flush=True)
        with_peer = False
    captures, rules, classification = captures_and_rules(context)
    found, floors = [], {}
    for capture in captures:
        for what, arguments in (("read", []), ("flows", []), ("hyperscan", [rules])):
            floors[what] = [capture.megabits / floor(context, what, capture, *arguments) for _ in range(context.runs)]
            found.append(Row.of(f"detect.{capture.name}.floor.{what}", "Mbit/CPU-s", floors[what]))
        for label, file in (("norules", None), ("rules", rules)):
            ours, theirs = pairs(context, capture, file, classification, with_peer)
            if with_peer:
                compare(f"detect.{capture.name}.{label}", ours[-1].alerts, theirs[-1].alerts)
            name = f"detect.{capture.name}.{label}"
            found.append(ratio_row(name, "Mbit/CPU-s", [capture.megabits / run.packets for run in ours],
                                   [capture.megabits / run.packets for run in theirs]))
            found.append(Row.of(f"{name}.packets", "1000/CPU-s", [capture.packets / run.packets / 1e3 for run in ours],
                                [capture.packets / run.packets / 1e3 for run in theirs]))
            if file:
                found.append(ratio_row(f"detect.ceiling ({capture.name})", "Mbit/CPU-s", [capture.megabits / run.packets for run in ours],
                                       floors["hyperscan"]))
                found.append(ratio_row(f"detect.memory ({capture.name})", "MiB", [run.memory for run in ours], [run.memory for run in theirs]))
                found.append(ready_warm(context, capture, file, classification, with_peer))
                found.append(ratio_row(f"detect.ready.cold ({capture.name})", "CPU-s", [run.ready for run in ours], [run.ready for run in theirs]))
    return found
