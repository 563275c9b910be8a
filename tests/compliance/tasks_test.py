#!/usr/bin/env python3
"""Tasks and kept runs on a running appliance: an answer counts once a second person accepted it, and no longer when it
or a file of it was changed; runs are compared, and the audit store is told what changed.

  tasks_test.py PROGRAMS
"""
import json
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "netns")]
from appliance import Appliance  # noqa: E402
from lab import SKIPPED, Lab  # noqa: E402

ITEM, SECOND = "8.1.6.1", "8.1.6.4"  # both manual
LI, WANG = 1, 2                      # uids that every system has


def expect(condition, text):
    if not condition:
        raise AssertionError(text)


def missing():
    if os.geteuid() != 0:
        return "network namespaces need root"
    if subprocess.run(["sh", "-c", f"echo {LI} >/proc/self/loginuid"], stderr=subprocess.DEVNULL, check=False).returncode:
        return "the kernel keeps no login uid here"
    return None


class Office:
    """`menshen comply` as one of two people who logged in and became root."""

    def __init__(self, lab):
        self.lab = lab
        self.appliance = Appliance(lab, sys.argv[1])
        self.appliance.start("auditd")
        self.tasks = self.appliance.state / "compliance" / "tasks"

    def run(self, uid, *arguments, check=True):
        command = [self.appliance.programs / "menshen", "--settings", self.appliance.settings_file, "--lang", "en", "comply", *arguments]
        return self.lab.run("gate", ["sh", "-c", f'echo {uid} >/proc/self/loginuid && exec "$@"', "sh", *command], check=check,
                            env=dict(os.environ, LC_ALL="C.UTF-8"))

    def item(self, item=ITEM):
        found = self.appliance.json("comply", "assess", "--no-hosts", check=False)
        return next(each for each in found["items"] if each["id"] == item)

    def state(self, item=ITEM):
        return json.loads(self.run(LI, "task", "show", item, "--json", check=False).stdout)["state"]


def check_answers(office):
    office.run(LI, "task", "set", "8.1.6", "--owner", "li", "--due", "2020-01-31")
    overdue = json.loads(office.run(LI, "task", "list", "--overdue", "--json").stdout)
    expect(overdue and all(task["item"].startswith("8.1.6") and task["owner"] == "li" for task in overdue), str(overdue))
    everything = json.loads(office.run(LI, "task", "list", "--json").stdout)
    expect(len(everything) == 257 - 74, f"{len(everything)} tasks")

    office.run(LI, "task", "set", ITEM, "--verdict", "conforming", "--finding", "The policy of 2026 is in force")
    paper = office.lab.root / "policy.pdf"
    paper.write_bytes(b"%PDF the policy\n")
    office.run(LI, "task", "attach", ITEM, paper)
    expect(office.state() == "waiting" and office.item()["verdict"] == "not_checked", "an answer alone does not count")
    own = office.run(LI, "task", "review", ITEM, "--accept", check=False)
    expect(own.returncode == 4 and office.state() == "waiting", f"nobody reviews himself: {own.stderr}")
    office.run(WANG, "task", "review", ITEM, "--accept")
    found = office.item()
    expect(found["verdict"] == "conforming" and found["by_person"], str(found))
    expect(found["task"]["answer"]["by"] == "daemon" and found["task"]["answer"]["reviewed_by"] == "bin", str(found["task"]))
    records = [r for r in office.appliance.find("--limit", 50) if r["object"] == f"task {ITEM}"]
    expect(len(records) >= 4 and any("bin" in r["subject"] for r in records), "each change is a record with its person")

    for arguments in (("set", "8.1.3.2.a", "--verdict", "conforming", "--finding", "x"), ("set", "8.1.6", "--verdict", "failing", "--finding", "x"),
                      ("set", ITEM, "--verdict", "conforming"), ("set", "9.9"), ("attach", SECOND, paper), ("review", SECOND, "--accept"),
                      ("review", ITEM, "--accept"), ("set", ITEM, "--due", "soon")):
        refused = office.run(LI, "task", *arguments, check=False)
        expect(refused.returncode not in (0, 1), f"{arguments}: {refused.stdout}")


def check_tampering(office):
    """Whatever is changed behind the program's back, the item is open again; put back, it counts."""
    files = list((office.tasks / "files").iterdir())
    expect(len(files) == 1 and files[0].read_bytes() == b"%PDF the policy\n", "the attachment is kept")
    task = office.tasks / f"{ITEM}.json"
    evidence = office.tasks / f"{ITEM}.json.evidence.json"
    other = office.tasks / f"{SECOND}.json.evidence.json"
    office.run(LI, "task", "set", SECOND, "--owner", "li")
    for path, content in ((files[0], b"another"), (files[0], None), (task, task.read_bytes().replace(b"2026 is", b"2025 is")),
                          (evidence, None), (evidence, other.read_bytes()), (evidence, b"{}")):
        before = path.read_bytes()
        path.write_bytes(content) if content is not None else path.unlink()
        expect(office.item()["verdict"] == "not_checked", f"{path.name} changed, and the answer still counts")
        expect(office.state() == "invalid", path.name)
        path.write_bytes(before)
        expect(office.item()["verdict"] == "conforming", f"{path.name} put back")
    before = task.read_bytes()
    task.write_bytes(before.replace(b"2026 is", b"2025 is"))
    expect(office.run(WANG, "task", "set", ITEM, "--owner", "wang", check=False).returncode == 6, "nothing is built on a changed task")
    task.write_bytes(before)


def check_runs(office):
    appliance = office.appliance
    appliance.run("comply", "report", "--no-hosts", "--out", office.lab.root / "first")
    office.run(LI, "task", "set", ITEM, "--verdict", "failing", "--finding", "It was withdrawn")
    office.run(WANG, "task", "review", ITEM, "--accept")
    package = office.lab.root / "p.menshen"
    appliance.run("comply", "report", "--no-hosts", "--out", office.lab.root / "second")
    runs = appliance.json("comply", "runs")
    expect(len(runs) == 2 and runs[1]["worsened"] == 1, str(runs))
    done = appliance.run("comply", "compare", "--json", check=False)
    expect(done.returncode == 1, "an item is worse")
    changed = json.loads(done.stdout)["items"]
    expect([(c["id"], c["before"], c["after"], c["change"]) for c in changed] == [(ITEM, "conforming", "failing", "worsened")], str(changed))
    expect(ITEM in (office.lab.root / "second" / "report.en.html").read_text().split("Since the last run")[1][:3000], "in the report")
    back = appliance.json("comply", "compare", runs[1]["run"], office.lab.root / "first" / "assessment.json")
    expect(back["items"][0]["change"] == "improved", str(back["items"]))
    record = appliance.await_record("a change", "--action", "comply.changed")
    expect(record["object"] == ITEM and record["severity"] in ("medium", "high"), str(record))
    expect(appliance.await_record("the run", "--action", "comply.run")["object"] == runs[1]["run"], "the run is recorded")
    show = json.loads(office.run(LI, "task", "show", ITEM, "--json").stdout)["task"]
    expect([a["verdict"] for a in show["answers"]] == ["conforming", "failing"], "the last answer is kept")
    appliance.run("comply", "export", "--no-hosts", package)
    names = subprocess.run(["tar", "-tf", package], capture_output=True, text=True, check=False).stdout
    expect(f"tasks/{ITEM}.json\n" in names and f"tasks/{ITEM}.json.evidence.json\n" in names, names[-600:])
    expect(appliance.json("comply", "verify", package)["genuine"], "the package with tasks verifies")


def check_without_audit(office):
    """Nothing changes that nobody vouches for, and no answer counts on its own word."""
    office.appliance.stop()
    before = (office.tasks / f"{SECOND}.json").read_bytes()
    refused = office.run(LI, "task", "set", SECOND, "--owner", "zhao", check=False)
    expect(refused.returncode == 3, refused.stderr)
    expect((office.tasks / f"{SECOND}.json").read_bytes() == before, "the task is as it was")
    expect(not list(office.tasks.glob("*.new")), "nothing half is left")
    expect(office.item()["verdict"] == "not_checked", "no answer counts")


def main():
    why = missing()
    if why:
        print(f"skipped: {why}")
        return 1 if os.environ.get("CI") == "true" and os.geteuid() != 0 else SKIPPED
    with Lab() as lab:
        office = Office(lab)
        check_answers(office)
        check_tampering(office)
        check_runs(office)
        check_without_audit(office)
    print("answers, reviews, tampering, runs and their comparison are as they should be")
    return 0


if __name__ == "__main__":
    sys.exit(main())
