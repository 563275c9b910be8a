#!/usr/bin/env python3
"""Hosts over real ssh, between network namespaces: a weak and a hardened one of each family, a host that is not there,
and one read by hand. Every host check gives the expected verdict, both ways.

  hosts_test.py PROGRAMS
"""
import csv
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "netns")]
from appliance import Appliance  # noqa: E402
from lab import SKIPPED, Lab, wait_until  # noqa: E402
import tree  # noqa: E402

HOSTS = {"finance": ("weak", False), "tax": ("hardened", False), "portal": ("weak", True), "outside": ("hardened", True)}
LISTENERS = "import socket,signal\ns=[socket.create_server(('0.0.0.0',p)) for p in (23,2375)]\nprint(flush=True)\nsignal.pause()"


def missing():
    if os.geteuid() != 0:
        return "network namespaces need root"
    for program in ("/usr/sbin/sshd", "ssh", "ssh-keygen", "unshare", "nsenter", "ip", "ldd"):
        if not shutil.which(program):
            return f"{program} is not installed"
    return None


def propagation():
    """The root of a chroot is no mount whose propagation could be changed."""
    changeable = subprocess.run(["unshare", "--mount", "true"], stderr=subprocess.DEVNULL).returncode == 0
    return [] if changeable else ["--propagation", "unchanged"]


class Fleet:
    def __init__(self, lab, programs):
        self.lab = lab
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", lab.root / "id"], check=True)
        key = (lab.root / "id.pub").read_text()
        self.trees = {name: tree.make(lab.root / name, *kind, key) for name, kind in HOSTS.items()}
        self.appliance = Appliance(lab, programs, settings={
            "compliance.ssh_user": "root", "compliance.ssh_identity": str(lab.root / "id"),
            "compliance.ssh_known_hosts": str(lab.root / "known_hosts"), "compliance.ssh_privilege": "none"})
        known = [f"{lab.hosts[name].v4} {each.host_key()}" for name, each in self.trees.items()]
        (lab.root / "known_hosts").write_text("\n".join(known) + "\n")
        for name, each in self.trees.items():
            self.start(name, each)

    def start(self, name, each):
        root = each.root
        binds = "".join(f"mount --bind {file} {root}/proc/sys/{file.relative_to(root / 'fake')}\n"
                        for file in sorted((root / "fake").rglob("*")) if file.is_file())
        inside = (f"mount -t tmpfs none {root}/dev && mkdir {root}/dev/mapper\n"
                  f"for d in null zero urandom; do touch {root}/dev/$d; mount --bind /dev/$d {root}/dev/$d; done\n"
                  f"{'touch ' + str(root) + '/dev/mapper/luks-data' if HOSTS[name][0] == 'hardened' else ':'}\n"
                  f"{binds}exec chroot {root} /bin/sh /run/start\n")
        self.lab.start(name, ["unshare", "--mount", *propagation(), "--pid", "--fork", "--kill-child=KILL", f"--mount-proc={root}/proc",
                              "sh", "-c", inside], label=f"sshd-{name}")
        address = self.lab.hosts[name].v4
        wait_until(lambda: self.lab.run("gate", ["ssh-keyscan", "-t", "ed25519", "-T", "2", address], check=False).stdout,
                   f"sshd of {name}")
        if HOSTS[name][0] == "weak":
            self.lab.start(name, [sys.executable, "-c", LISTENERS], label=f"listeners-{name}")
            wait_until(lambda: ":0017 " in self.lab.run(name, ["cat", "/proc/net/tcp"]).stdout, "listeners")

    def inventory(self, **collect):
        path = self.lab.root / "assets.csv"
        with open(path, "w", newline="", encoding="utf-8") as file:
            out = csv.writer(file)
            out.writerow(["编号", "名称", "类别", "地址", "采集方式", "责任人", "重要程度", "位置"])
            for name in HOSTS:
                out.writerow([name, f"主机 {name}", "server", self.lab.hosts[name].v4, collect.get(name, "ssh"), "li", "重要", "北京"])
            out.writerow(["gone", "不存在", "server", "10.10.0.99", "ssh", "li", "重要", "北京"])
            out.writerow(["stranger", "未登记公钥", "server", self.lab.hosts["tax"].v6, "ssh", "li", "重要", "北京"])
        self.appliance.run("comply", "inventory", "--import", path)

    def assess(self):
        return self.appliance.json("comply", "assess", check=False)


def verdicts(result, name):
    return {check["id"]: check for check in result["checks"] if check["object_id"] == name}


def expect(condition, text):
    if not condition:
        raise AssertionError(text)


def check_hosts(result):
    expect({o["id"] for o in result["objects"]} == {"appliance", "gone", "stranger", *HOSTS}, "objects")
    every = set(verdicts(result, "tax"))
    for name, (state, _) in HOSTS.items():
        found = verdicts(result, name)
        expect(set(found) == every, f"{name}: other checks: {set(found) ^ every}")
        expect(len(found) >= 40, f"{name}: only {len(found)} checks")
        for check, row in found.items():
            wanted = ("conforming",) if state == "hardened" else ("failing", "partial")
            expect(row["verdict"] in wanted, f"{name} {check}: {row['verdict']}, not {wanted}: {row['reason']['en']} {row['observations']}")
    for name in ("gone", "stranger"):
        for check, row in verdicts(result, name).items():
            expect(row["verdict"] == "error", f"{name} {check}: {row['verdict']}")
    expect("Host key verification failed" in str(verdicts(result, "stranger")), "the unknown host key is named")
    text = str(result)
    for secret in ("SECRETHASH", "SECRETWORD"):
        expect(secret not in text, f"{secret} left the host")


def check_items(result):
    """An object that failed keeps every item that it carries from conforming."""
    for item in result["items"]:
        if item["verdict"] == "conforming":
            of_hosts = [c for c in result["checks"] if c["id"] in item["checks"] and c["object_id"] == "gone"]
            expect(not of_hosts or not item["id"].startswith("8.1.4"), f"{item['id']} conforms although a host failed")


def check_offline(fleet, online):
    """The same hosts by hand: the script in the host's own namespaces, its output imported."""
    lab = fleet.lab
    fleet.inventory(tax="offline", portal="offline")
    before = fleet.assess()
    expect(not verdicts(before, "tax"), "an object nobody has looked at yet has no verdicts")
    for name in ("tax", "portal"):
        root = fleet.trees[name].root
        fleet.appliance.run("comply", "script", name, "--out", root / "tmp/collect.sh")
        sshd = next(p for p in lab.processes if p.name == f"sshd-{name}")
        child = int(pathlib.Path(f"/proc/{sshd.pid}/task/{sshd.pid}/children").read_text().split()[0])
        subprocess.run(["nsenter", f"--target={child}", "--mount", "--pid", "--net", "--root", "--wd", "/bin/sh", "/tmp/collect.sh",
                        f"/tmp/{name}.capture"], check=True, capture_output=True, timeout=120)
        capture = root / "tmp" / f"{name}.capture"
        text = capture.read_text()
        at = text.index("\nfile ") + 1
        damaged = root / "tmp/damaged"
        damaged.write_text(text[:at] + "stat" + text[at + 4:])
        refused = fleet.appliance.run("comply", "import", damaged, check=False)
        expect(refused.returncode != 0 and "seal" in refused.stderr, "a changed capture is refused")
        # Without the audit daemon the import stands, and says that nobody vouched for it.
        taken = fleet.appliance.run("comply", "import", capture, check=False)
        expect("taken" in taken.stdout, taken.stderr)
        again = fleet.appliance.run("comply", "import", capture, check=False)
        expect(again.returncode != 0 and "taken before" in again.stderr, "an output is taken once")
    after = fleet.assess()
    for name in ("tax", "portal"):
        ours = {k: v["verdict"] for k, v in verdicts(after, name).items()}
        theirs = {k: v["verdict"] for k, v in verdicts(online, name).items()}
        expect(ours == theirs, f"{name}: offline and online differ: {set(ours.items()) ^ set(theirs.items())}")


def main():
    why = missing()
    if why:
        print(f"skipped: {why}")
        return 1 if os.environ.get("CI") == "true" else SKIPPED
    with Lab() as lab:
        fleet = Fleet(lab, sys.argv[1])
        fleet.inventory()
        result = fleet.assess()
        check_hosts(result)
        check_items(result)
        check_offline(fleet, result)
    print(f"{len(HOSTS)} hosts, {sum(1 for c in result['checks'] if c['object_id'] == 'tax')} checks each, as expected")
    return 0


if __name__ == "__main__":
    sys.exit(main())
