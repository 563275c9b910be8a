"""Policies of 1 to 10,000 domains, 20 flows each: proof, commit (beside `nft -f` of an equal ruleset), change, packets.

`policy.packet.N` is CPU time of a packet on its way through the appliance: 4,096 established connections between as many
different pairs of domains as there are; beside it the same without any ruleset (and so without connection tracking).
"""
import json
import pathlib
import subprocess
import sys

from rows import Row

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "netns"))
from lab import Lab  # noqa: E402

PACKET_FLOWS = 4096


def measured(context, domains, runs):
    """What `bench_policy measure` prints, of each run. In a namespace of its own."""
    found = []
    for _ in range(runs):
        done = subprocess.run(["unshare", "-n", context.programs / "bench_policy", "measure", str(domains), context.work],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip())
        found.append(json.loads(done.stdout))
    return found


def size_rows(context, domains):
    runs = measured(context, domains, 1 if domains > 1000 else context.runs)

    def values(key, scale=1.0):
        return [run[key] * scale for run in runs if key in run]
    rows = [Row.of(f"policy.load.{domains}", "s", values("load_seconds")),
            Row.of(f"policy.prove.{domains}", "s", values("prove_seconds")),
            Row.of(f"policy.commit.{domains}", "s", values("commit_seconds"), values("nft_seconds")),
            Row.of(f"policy.readback.{domains}", "s", values("read_back_seconds"))]
    if values("change_seconds"):
        rows.append(Row.of(f"policy.change.{domains}", "ms", values("change_seconds", 1e3)))
    return rows, values("prove_line_seconds", 1e3), values("change_kernel_seconds", 1e3)


def json_of(lab, name, argv):
    return json.loads(lab.run(name, argv).stdout or "{}")


def prepare(lab):
    """Packets from finance to portal, whatever their addresses."""
    lab.run("gate", ["sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.fin0.rp_filter=0", "net.ipv4.conf.por0.rp_filter=0"])
    lab.run("gate", ["ip", "route", "add", "10.64.0.0/10", "via", lab.hosts["portal"].v4])
    # Nobody is there: what arrives is thrown away, and that is not told.
    lab.run("portal", ["ip", "route", "add", "blackhole", "10.64.0.0/10", "metric", "1", "table", "local"], check=False)


def packet_ns(lab, program, domains, packets):
    """CPU nanoseconds of a packet with a ruleset of `domains` (0: none); its flows are established."""
    lab.run("gate", [program, "hold", domains])
    size = max(domains, 1)
    lab.run("finance", [program, "send", size, PACKET_FLOWS])
    lab.run("finance", [program, "answer", size, PACKET_FLOWS])
    before = json_of(lab, "gate", [program, "passed"])["packets"] if domains else 0
    ns = json_of(lab, "finance", [program, "send", size, packets])["ns"]
    if domains:
        passed = json_of(lab, "gate", [program, "passed"])["packets"] - before
        if passed < packets * 0.99:
            raise RuntimeError(f"only {passed} of {packets} packets passed at {domains} domains")
    return ns


def packet_rows(context, sizes):
    packets = 50_000 if context.quick else 200_000
    rows = []
    with Lab() as lab:
        prepare(lab)
        program = context.programs / "bench_policy"
        for domains in sizes:
            pairs = [(packet_ns(lab, program, domains, packets), packet_ns(lab, program, 0, packets)) for _ in range(context.runs)]
            rows.append(Row.of(f"policy.packet.{domains}", "ns", [pair[0] for pair in pairs], [pair[1] for pair in pairs]))
    return rows


def rows(context):
    sizes = (1, 100, 1000) if context.quick else (1, 100, 1000, 10_000)
    found, line, change = [], [], []
    for domains in sizes:
        more, line, change = size_rows(context, domains)
        found += more
    found.append(Row.of("policy.prove.line", "ms", line))
    found.append(Row.of("policy.change.kernel", "ms", change))
    return found + packet_rows(context, sizes)

