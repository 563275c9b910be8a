"""Applying a policy of N domains (parse, lower, commit, read back, compare), beside `nft -f` of the ruleset it makes."""
import pathlib
import sys
import time

from rows import Row

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "netns"))
from appliance import Appliance  # noqa: E402
from lab import Lab  # noqa: E402


def policy_of(domains):
    """Each domain talks to the next one and to the last."""
    lines = ["domains:"]
    lines += [f"  d{i}: {{title: D{i}, networks: [10.{i >> 8}.{i & 255}.0/24], interfaces: [fin0]}}" for i in range(domains)]
    lines += ["services:", "  web: {tcp: [80, 443]}", "  dns: {udp: [53]}", "flows:"]
    for i in range(domains - 1):
        lines.append(f"  - {{from: d{i}, to: d{i + 1}, service: web, inspect: none, reason: bench}}")
        lines.append(f"  - {{from: d{i}, to: d{domains - 1}, service: dns, inspect: none, reason: bench}}")
    return "\n".join(lines) + "\n"


def seconds(work):
    begin = time.monotonic()
    work()
    return time.monotonic() - begin


def measure(lab, appliance, domains, runs):
    policy, ruleset = lab.root / f"bench-{domains}.yaml", lab.root / f"bench-{domains}.nft"
    policy.write_text(policy_of(domains))
    apply = [seconds(lambda: appliance.run("policy", "apply", policy)) for _ in range(runs)]
    listing = lab.run("gate", ["nft", "list", "table", "inet", "menshen"]).stdout
    # An xt target cannot be loaded by nft; the one rule that queues is left out of the peer's file.
    listing = "\n".join(line for line in listing.splitlines() if "xt target" not in line)
    ruleset.write_text("table inet menshen\ndelete table inet menshen\n" + listing)
    peer = [seconds(lambda: lab.run("outside", ["nft", "-f", ruleset])) for _ in range(runs)]
    return Row.of(f"policy apply, {domains} domains (peer: nft -f, ruleset alone)", "s", apply, peer)


def rows(context):
    with Lab() as lab:
        appliance = Appliance(lab, context.programs, settings={"policy.drift_check_seconds": 0})
        appliance.start("auditd", "policyd")
        return [measure(lab, appliance, domains, context.runs) for domains in ((50,) if context.quick else (100, 1000))]
