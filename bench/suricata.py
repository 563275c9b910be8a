"""The peer of the detection bench: Suricata of Debian's trixie-backports, in a root of its own under build/bench.

It is never installed on the machine: a bare trixie root is made once (debootstrap), and each run sees the capture and the
rules through bind mounts of a mount namespace that ends with it.
"""
import collections
import json
import os
import pathlib
import re
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[1]
PEER_ROOT = ROOT / "build" / "bench" / "suricata-root"
MADE = PEER_ROOT / ".made"
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


class NotHere(Exception):
    """The peer cannot be set up on this machine; says why in one line."""


def mirror():
    """The mirror that this machine's own apt names."""
    sources = pathlib.Path("/etc/apt/sources.list.d/debian.sources")
    if sources.exists():
        return re.search(r"^URIs:\s*(\S+)", sources.read_text(), re.M).group(1)
    return re.search(r"^deb\s+(\S+)", pathlib.Path("/etc/apt/sources.list").read_text(), re.M).group(1)


def run(*argv):
    done = subprocess.run(list(map(str, argv)), capture_output=True, text=True)
    if done.returncode != 0:
        tail = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise NotHere(f"{argv[0]}: {''.join(tail)}")
    return done.stdout


def set_up():
    """Makes the root; returns the peer's version. Needs root, debootstrap and the network once."""
    if os.geteuid() != 0:
        raise NotHere("needs root for its own root folder")
    if not shutil.which("debootstrap"):
        raise NotHere("needs debootstrap")
    if not MADE.exists():
        print("setting up Suricata (once) ...", flush=True)
        shutil.rmtree(PEER_ROOT, ignore_errors=True)
        PEER_ROOT.mkdir(parents=True)
        base = mirror()
        run("debootstrap", "--variant=minbase", "--include=ca-certificates", "trixie", PEER_ROOT, base)
        (PEER_ROOT / "etc/apt/sources.list.d/backports.sources").write_text(
            f"Types: deb\nURIs: {base}\nSuites: trixie-backports\nComponents: main\n"
            "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n")
        for path in pathlib.Path("/etc/apt/apt.conf.d").iterdir():  # proxies and certificates
            if "Acquire::" in path.read_text():
                shutil.copy(path, PEER_ROOT / "etc/apt/apt.conf.d")
        local = pathlib.Path("/usr/local/share/ca-certificates")
        if local.is_dir():
            shutil.copytree(local, PEER_ROOT / "usr/local/share/ca-certificates", dirs_exist_ok=True)
            run("chroot", PEER_ROOT, "update-ca-certificates")
        policy = PEER_ROOT / "usr/sbin/policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
        run("chroot", PEER_ROOT, "apt-get", "update", "-q")
        run("chroot", PEER_ROOT, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-q",
            "--no-install-recommends", "-t", "trixie-backports", "suricata")
        MADE.touch()
    return run("chroot", PEER_ROOT, "suricata", "-V").strip().removeprefix("This is ")


def settings(work, hyperscan_cache):
    """Debian's own suricata.yaml with one output, alerts, and the Hyperscan cache on or off."""
    text = (PEER_ROOT / "etc/suricata/suricata.yaml").read_text()
    text = re.sub(r"(?m)^outputs:\n(?:[ #\n].*\n|\n)*?(?=^\S)", (
        "outputs:\n  - eve-log:\n      enabled: yes\n      filetype: regular\n      filename: eve.json\n"
        "      types:\n        - alert\n\n"), text, count=1)
    text = re.sub(r"(?m)^(\s*)#?\s*sgh-mpm-caching:.*$", rf"\1sgh-mpm-caching: {'yes' if hyperscan_cache else 'no'}", text)
    text = re.sub(r"(?m)^(\s*)#?\s*sgh-mpm-caching-path:.*$", r"\1sgh-mpm-caching-path: /work/cache", text)
    path = work / "suricata.yaml"
    path.write_text(text)
    return path


def cpu_of(pid):
    """User and system seconds of a process so far."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


class Run:
    """What one run cost: seconds of the processor until ready and for the packets, peak memory in MiB, alerts by sid."""

    def __init__(self, ready, packets, memory, alerts):
        self.ready, self.packets, self.memory, self.alerts = ready, packets, memory, alerts


def replay(capture, rules, classification, work, hyperscan_cache=False):
    """One run over a capture, one thread. `rules`: one file, or None."""
    inside = work / "suricata"
    shutil.rmtree(inside / "log", ignore_errors=True)
    for name in ("log", "cache", "data"):
        (inside / name).mkdir(parents=True, exist_ok=True)
    (PEER_ROOT / "work").mkdir(exist_ok=True)
    settings(inside, hyperscan_cache)
    mounts = {inside: "work", "/dev": "dev", capture: "work/data/capture"}
    arguments = ["suricata", "-v", "-c", "/work/suricata.yaml", "-l", "/work/log", "-k", "none", "--runmode", "single",
                 "-r", "/work/data/capture", "-S", "/work/data/rules" if rules else "/dev/null"]
    if rules:
        mounts[rules] = "work/data/rules"
    if classification:
        mounts[classification] = "work/data/classification"
        arguments += ["--set", "classification-file=/work/data/classification"]
    for inner in mounts.values():
        if inner.startswith("work/"):
            (inside / inner.removeprefix("work/")).touch()
    script = "".join(f"mount --bind '{outer}' '{PEER_ROOT}/{inner}' && " for outer, inner in mounts.items())
    script += f"mount -t proc proc {PEER_ROOT}/proc && exec chroot {PEER_ROOT} {' '.join(arguments)}"
    process = subprocess.Popen(["unshare", "--mount", "sh", "-c", script], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    ready, lines = None, []
    for line in process.stdout:
        lines.append(line)
        if "Engine started" in line and ready is None:
            ready = cpu_of(process.pid)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0 or ready is None:
        raise RuntimeError(f"Suricata ended with {process.returncode}: {''.join(lines[-3:])}")
    alerts = collections.Counter()
    for line in (inside / "log" / "eve.json").open():
        event = json.loads(line)
        if event["event_type"] == "alert":
            alerts[event["alert"]["signature_id"]] += 1
    return Run(ready, usage.ru_utime + usage.ru_stime - ready, usage.ru_maxrss / 1024, alerts)
