#!/usr/bin/env python3
"""An evidence package from a running appliance: verified by the program and by the stand-alone script, and one flipped
bit anywhere is found by both. Its OSCAL documents validate against the schema, where that is at hand.

  package_test.py PROGRAMS
"""
import json
import os
import pathlib
import subprocess
import sys
import tarfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "netns")]
from appliance import Appliance  # noqa: E402
from lab import SKIPPED, Lab  # noqa: E402

ROOT = HERE.parents[1]
SCRIPT = ROOT / "rules" / "mlps" / "verify-package.sh"
SCHEMA = "oscal_complete_schema-1-2-2.json"


def expect(condition, text):
    if not condition:
        raise AssertionError(text)


def flipped(data, at, bit):
    changed = bytearray(data)
    changed[at] ^= 1 << bit
    return bytes(changed)


def check_flips(lab, appliance, package):
    """Places all over the archive (headers, padding, content), and every part of the last line."""
    data = package.read_bytes()
    line = data.rindex(b"\nmenshen-package/1 ")
    places = [0, 100, 156, 300, 511, 512, 700, line // 2, line - 1, line, line + 3, line + 20]
    places += range(line + 24, len(data), max(1, (len(data) - line) // 40))
    damaged = lab.root / "damaged"
    for number, at in enumerate([*places, len(data) - 1]):
        damaged.write_bytes(flipped(data, at, number % 8))
        found = appliance.run("comply", "verify", damaged, check=False)
        expect(found.returncode == 1, f"menshen: byte {at}, bit {number % 8} not found: {found.stdout}{found.stderr}")
        if number % 4 == 0:
            found = subprocess.run(["sh", SCRIPT, damaged], capture_output=True, text=True, errors="replace", check=False)
            expect(found.returncode == 1, f"script: byte {at}, bit {number % 8} not found: {found.stdout}{found.stderr}")
    for cut in (data[:-1], data[:line], data + b"\n", data[1:]):
        damaged.write_bytes(cut)
        expect(appliance.run("comply", "verify", damaged, check=False).returncode == 1, "a cut package is refused")


def check_content(lab, appliance, package):
    folder = lab.root / "unpacked"
    with tarfile.open(package) as archive:
        archive.extractall(folder, filter="data") if hasattr(tarfile, "data_filter") else archive.extractall(folder)
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    for name in ("MANIFEST", "README.txt", "assessment.json", "report.zh.html", "verify.sh", "audit/signing.pub",
                 "audit/verification.json", "rules/meta.yaml", "rules/checks/policy.yaml", "oscal/catalog.json"):
        expect(name in names, f"{name} is not in the package: {sorted(names)[:20]}")
    expect(any("menshen-audit-checkpoint/" in (folder / name).read_text() for name in names if name.startswith("audit/")),
           "the store's checkpoints are in the package")
    expect("PRIVATE KEY" not in "".join((folder / name).read_text() for name in names if name.startswith("audit/")), "no key")
    expect((folder / "verify.sh").read_bytes() == SCRIPT.read_bytes(), "the script in the package is ours")
    assessment = json.loads((folder / "assessment.json").read_text())
    expect(len(assessment["items"]) == 257, "items")
    return folder


def check_oscal(folder):
    schema = pathlib.Path(os.environ.get("MENSHEN_SHARED", ROOT.parent / "shared")) / "mlps" / "oscal-schema" / SCHEMA
    try:
        import jsonschema
    except ImportError:
        return "python3-jsonschema is not installed"
    if not schema.exists():
        return f"{schema} is not there"
    # Python's re has no Unicode classes; these two are what the schema uses.
    text = schema.read_text().replace(r"\\p{L}", r"[^\\W\\d_]").replace(r"\\p{N}", r"\\d")
    validator = jsonschema.Draft7Validator(json.loads(text))
    for name in ("catalog", "assessment-results", "poam"):
        document = json.loads((folder / "oscal" / f"{name}.json").read_text())
        errors = [f"{'/'.join(map(str, e.path))}: {e.message[:200]}" for e in validator.iter_errors(document)]
        expect(not errors, f"{name}.json: {errors[:3]}")
    catalog = json.loads((folder / "oscal/catalog.json").read_text())
    ids = [c["id"] for layer in catalog["catalog"]["groups"] for g in layer["groups"] for c in g["controls"]]
    expect(len(ids) == len(set(ids)) == 257, "257 controls, each once")
    return None


def main():
    if os.geteuid() != 0:
        print("skipped: network namespaces need root")
        return 1 if os.environ.get("CI") == "true" else SKIPPED
    with Lab() as lab:
        appliance = Appliance(lab, sys.argv[1])
        appliance.start("auditd")
        package = lab.root / "evidence.menshen"
        appliance.run("comply", "export", package)
        report = appliance.json("comply", "verify", package)
        expect(report["genuine"] and report["files"] > 50, str(report))
        fingerprint = report["fingerprint"]
        pinned = appliance.json("comply", "verify", package, "--fingerprint", fingerprint)
        expect(pinned["pinned"], "pinned")
        other = fingerprint[:-1] + ("0" if fingerprint[-1] != "0" else "1")
        expect(not appliance.json("comply", "verify", package, "--fingerprint", other, check=False)["genuine"], "another key")
        alone = subprocess.run(["sh", SCRIPT, package, fingerprint], capture_output=True, text=True, check=False)
        expect(alone.returncode == 0 and "genuine" in alone.stdout, alone.stdout + alone.stderr)
        expect(subprocess.run(["sh", SCRIPT, package, other], capture_output=True, check=False).returncode == 1, "another key")
        check_flips(lab, appliance, package)
        folder = check_content(lab, appliance, package)
        why = check_oscal(folder)
    if why:
        print(f"the OSCAL schema was not checked: {why}")
        return 1 if os.environ.get("CI") == "true" else 0
    print("the package verifies, every flipped bit was found, OSCAL validates")
    return 0


if __name__ == "__main__":
    sys.exit(main())
