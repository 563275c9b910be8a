#!/usr/bin/env python3
"""What `menshen` says and exits with, in both languages, through the real binary.

    cli_test.py MENSHEN [UNITTEST-OPTION...]      UPDATE_GOLDEN=1 writes golden/*.txt anew (read the diff)
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import jsonschema

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MENSHEN = None
OK, FINDING, USAGE, UNAVAILABLE, DENIED, FAILED = range(6)

GOOD_POLICY = """domains:
  a: {title: 甲, networks: [10.1.0.0/16], interfaces: [a0]}
  b: {title: 乙, networks: [10.2.0.0/16], interfaces: [b0]}
services:
  web: {tcp: [80, 443]}
flows:
  - {from: a, to: b, service: web, inspect: block, reason: 工单 1}
"""
BAD_POLICY = GOOD_POLICY.replace("to: b,", "to: nowhere,")
RULES = """alert tcp any any -> any any (msg:"good"; content:"attack"; sid:1; rev:1;)
alert tcp any any -> any any (msg:"bad"; no-such-keyword; sid:2; rev:1;)
"""
LEAVES = (("rules", "check"), ("sensor", "replay"), ("policy", "check"), ("policy", "plan"), ("policy", "apply"),
          ("policy", "show"), ("policy", "explain"), ("policy", "import"), ("policy", "preview"),
          ("policy", "usage"), ("audit", "find"), ("audit", "verify"), ("audit", "export"),
          ("comply", "assess"), ("comply", "report"), ("comply", "verify-page"), ("comply", "inventory"), ("comply", "script"),
          ("comply", "import"), ("comply", "export"), ("comply", "verify"),
          ("comply", "runs"), ("comply", "compare"), ("comply", "task", "list"), ("comply", "task", "show"),
          ("comply", "task", "set"), ("comply", "task", "attach"), ("comply", "task", "review"), ("status",),
          ("settings", "template"), ("settings", "reference"), ("settings", "check"))


def run(*arguments, lang=None, locale="C.UTF-8"):
    environment = {key: value for key, value in os.environ.items() if key not in ("LC_ALL", "LC_MESSAGES", "LANG")}
    environment["LC_ALL"] = locale
    command = [MENSHEN, *(["--lang", lang] if lang else []), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)


def has_chinese(text):
    return re.search("[\u4e00-\u9fff]", text) is not None


class Cli(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def file(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return path

    def settings(self):
        sections = {"general": {f"{name}_socket": str(self.folder / f"{name}.sock") for name in ("auditd", "policyd", "sensord")},
                    "audit": {"directory": str(self.folder / "audit")}}
        return self.file("menshen.yaml", json.dumps(sections))

    def golden(self, name, text):
        path = HERE / "golden" / f"{name}.txt"
        text = text.replace(str(self.folder), "DIR")
        if os.environ.get("UPDATE_GOLDEN") == "1":
            path.write_text(text)
        self.assertEqual(path.read_text(), text)

    # ---- the schema for editors ----

    def test_the_policy_schema_and_the_parser_agree(self):
        schema = json.loads((ROOT / "rules" / "schemas" / "policy.schema.json").read_text())
        good = {
            "": {"version": 1, "domains": {}, "groups": {"g": ["a", "b"]}, "services": {}, "flows": []},
            "domain": {"title": "甲", "owner": "o", "level": 3, "networks": ["10.1.0.0/16"], "interfaces": ["a0"]},
            "service": {"tcp": [80, "8000-8100"], "udp": 53, "icmp": True},
            "flow": {"from": "a", "to": ["b"], "service": "web", "action": "allow", "inspect": "block", "log": True,
                     "reason": "r", "ticket": "t", "author": "x", "expires": "2099-12-31"},
        }
        bad = {
            "": {"version": 2, "domains": [], "groups": {"g": []}, "services": {"S": {"icmp": True}}, "flows": {}},
            "domain": {"title": "x" * 1025, "owner": [], "level": 5, "networks": {}, "interfaces": ["a b"]},
            "service": {"tcp": [70000], "udp": "53-", "icmp": "yes"},
            "flow": {"from": [], "to": ["b", "b"], "service": {}, "action": "drop", "inspect": "yes", "log": "no",
                     "reason": "x" * 1025, "ticket": [], "author": {}, "expires": "tomorrow"},
        }
        validator = jsonschema.Draft7Validator(schema)
        cases = []
        for part, keys in good.items():
            described = schema["properties"] if part == "" else schema["definitions"][part]["properties"]
            self.assertEqual(set(keys), set(described), f"the schema's keys of {part or 'the policy'}")
            cases += [(part, key, bad[part][key], False) for key in keys] + [(part, "nonsense", 1, False)]
        cases.append(("", "version", 1, True))
        for part, key, value, valid in cases:
            # Flow maps of JSON are YAML too.
            policy = {"version": 1, "domains": {"a": dict(good["domain"]), "b": {"networks": ["10.2.0.0/16"]}}, "groups": {"g": ["a", "b"]},
                      "services": {"web": dict(good["service"])}, "flows": [dict(good["flow"])]}
            target = {"": policy, "domain": policy["domains"]["a"], "service": policy["services"]["web"], "flow": policy["flows"][0]}[part]
            target[key] = value
            with self.subTest(part=part, key=key):
                report = json.loads(run("policy", "check", self.file("p.yaml", json.dumps(policy)), "--json").stdout)
                self.assertEqual((validator.is_valid(policy), report["valid"]), (valid, valid), report["diagnostics"])

    # ---- help and usage ----

    def test_every_command_has_help_with_an_example_in_both_languages(self):
        for leaf in LEAVES:
            for lang in ("zh", "en"):
                with self.subTest(command=leaf, lang=lang):
                    done = run(*leaf, "--help", lang=lang)
                    self.assertEqual(done.returncode, OK, done.stderr)
                    self.assertIn("menshen " if leaf[0] != "settings" else "menshen", done.stdout)
                    self.assertIn("示例：" if lang == "zh" else "Example:", done.stdout)
                    if lang == "en":
                        self.assertFalse(has_chinese(done.stdout), done.stdout)

    def test_top_help(self):
        for lang in ("zh", "en"):
            done = run("--help", lang=lang)
            self.assertEqual(done.returncode, OK)
            self.golden(f"help.{lang}", done.stdout)

    def test_the_language_is_the_locale_s_unless_it_is_named(self):
        self.assertTrue(has_chinese(run("--help", locale="zh_CN.UTF-8").stdout))
        self.assertFalse(has_chinese(run("--help", locale="en_US.UTF-8").stdout))
        self.assertFalse(has_chinese(run("--help", lang="en", locale="zh_CN.UTF-8").stdout))

    def test_usage_errors(self):
        for arguments in ((), ("no-such-command",), ("rules",), ("rules", "check"), ("policy", "check"),
                          ("sensor", "replay"), ("audit", "find", "--limit", "many"), ("status", "--no-such-option"),
                          ("--lang", "fr", "status")):
            with self.subTest(arguments=arguments):
                done = run(*arguments)
                self.assertEqual(done.returncode, USAGE, done.stderr)
                self.assertIn("menshen: ", done.stderr)
                self.assertEqual(done.stdout, "")
        self.assertTrue(has_chinese(run("status", "--no-such-option", lang="zh").stderr))

    def test_version(self):
        self.assertRegex(run("--version").stdout, r"^menshen \d+\.\d+\.\d+\n$")

    # ---- settings ----

    def test_settings_reference_is_the_one_in_the_documentation(self):
        for lang in ("zh", "en"):
            done = run("settings", "reference", lang=lang)
            page = ROOT / "docs" / "reference" / f"settings.{lang}.md"
            if os.environ.get("UPDATE_GOLDEN") == "1":
                page.write_text(done.stdout)
            self.assertEqual(page.read_text(), done.stdout, "UPDATE_GOLDEN=1 writes it anew")

    def test_settings_template_checks(self):
        template = self.file("template.yaml", run("settings", "template").stdout)
        self.assertEqual(run("--settings", template, "settings", "check").returncode, OK)

    def test_settings_mistakes_have_their_place(self):
        bad = self.file("bad.yaml", "sensor:\n  flows_max: ten\n")
        done = run("--settings", bad, "settings", "check", lang="en")
        self.assertEqual(done.returncode, FINDING)
        self.assertIn("bad.yaml:2:14", done.stderr)
        self.assertEqual(run("--settings", bad, "status").returncode, USAGE)
        self.assertEqual(run("--settings", self.folder / "none.yaml", "status").returncode, FAILED)

    # ---- rules, policy: no daemon needed ----

    def test_rules_check(self):
        rules = self.file("x.rules", RULES)
        for lang in ("zh", "en"):
            done = run("rules", "check", rules, lang=lang)
            self.assertEqual(done.returncode, FINDING)
            self.assertIn("x.rules:2", done.stderr)
            self.golden(f"rules.{lang}", done.stdout)
        found = json.loads(run("rules", "check", rules, "--json").stdout)
        self.assertEqual((found["loaded"], found["rejected"]), (1, 1))
        self.assertEqual(found["rules"][0]["sid"], 1)
        self.assertEqual(found["diagnostics"][0]["line"], 2)
        self.assertEqual(run("rules", "check", self.folder / "none.rules").returncode, FAILED)

    def test_policy_check(self):
        good, bad = self.file("good.yaml", GOOD_POLICY), self.file("bad.yaml", BAD_POLICY)
        for lang in ("zh", "en"):
            self.golden(f"policy-good.{lang}", run("policy", "check", good, lang=lang).stdout)
            done = run("policy", "check", bad, lang=lang)
            self.assertEqual(done.returncode, FINDING)
            self.golden(f"policy-bad.{lang}", done.stderr)
        self.assertEqual(run("policy", "check", good).returncode, OK)
        found = json.loads(run("policy", "check", bad, "--json").stdout)
        self.assertFalse(found["valid"])
        self.assertEqual(found["diagnostics"][0]["line"], 7)

    def test_policy_import(self):
        rules = "*filter\n:FORWARD DROP [0:0]\n-A FORWARD -i e0 -d {} -p tcp --dport 22 -j ACCEPT\nCOMMIT\n"
        four = self.file("rules.v4", rules.format("10.2.0.0/16"))
        six = self.file("rules.v6", "# Generated by ip6tables-save\n" + rules.format("fd02::/16"))
        # An option takes one value: the files after it are files.
        networks = ("--network", "e0=10.1.0.0/16", "--network", "e0=fd01::/16")
        done = run("policy", "import", "--from", "iptables", *networks, four, six, "--json")
        self.assertEqual(done.returncode, FINDING, done.stderr)  # nothing is denied inside of a network
        made = json.loads(done.stdout)
        self.assertEqual({loss["effect"] for loss in made["losses"]}, {"more_open"})
        policy = self.folder / "made.yaml"
        done = run("policy", "import", "--from", "iptables", four, six, *networks, "--out", policy, lang="zh")
        self.assertEqual((done.returncode, done.stdout), (FINDING, ""))
        self.assertIn("[更松]", done.stderr)
        self.assertEqual(policy.read_text(), made["policy"])
        self.assertEqual(run("policy", "check", policy).returncode, OK)
        for source, sink, expected in (("10.1.0.1", "10.2.0.1", "allow"), ("fd01::1", "fd02::1", "allow"), ("10.3.0.1", "10.2.0.1", "deny")):
            found = json.loads(run("policy", "explain", policy, "--from", source, "--to", sink, "--dport", 22, "--json").stdout)
            self.assertEqual(found["action"], expected)
        lost = run("policy", "import", "--from", "iptables", four, "--json")
        self.assertIn("more_closed", {loss["effect"] for loss in json.loads(lost.stdout)["losses"]})  # the interface is not known
        for wrong in (("--from", "pf", four), ("--from", "nft", four), ("--from", "iptables", "--network", "e0", four)):
            self.assertEqual(run("policy", "import", *wrong).returncode, USAGE, wrong)

    def test_policy_preview_and_usage(self):
        event = {"timestamp": "2026-11-23T10:00:00.000000+0000", "event_type": "flow", "src_ip": "10.1.0.1", "src_port": 40000,
                 "dest_ip": "10.2.0.1", "dest_port": 443, "proto": "TCP"}
        sources = ("--events", self.file("eve.json", json.dumps(event) + "\n"), "--store", self.folder / "no-store", "--json")
        old = self.file("old.yaml", GOOD_POLICY)
        new = self.file("new.yaml", GOOD_POLICY.replace("[80, 443]", "[80]"))
        done = run("--settings", self.settings(), "policy", "preview", new, "--against", old, "--since", "2026-11-01", *sources)
        self.assertEqual(done.returncode, FINDING, done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual([(row["kind"], row["from"], row["to"], row["service"], row["flows"]) for row in report["changes"]],
                         [("newly_blocked", "a", "b", "tcp/443", 1)])
        self.assertIn("no-store", str(report["coverage"]["not_recorded"]))
        usage = run("--settings", self.settings(), "policy", "usage", new, "--since", "2026-11-01", *sources)
        self.assertEqual((usage.returncode, [line["flows"] for line in json.loads(usage.stdout)["lines"]]), (FINDING, [0]))
        usage = run("--settings", self.settings(), "policy", "usage", old, "--since", "2026-11-01", *sources)
        self.assertEqual((usage.returncode, [line["flows"] for line in json.loads(usage.stdout)["lines"]]), (OK, [1]))
        # Longer ago than there is time: from its beginning.
        for since, flows in (("4294967295d", 1), ("2026-11-24", 0)):
            done = run("--settings", self.settings(), "policy", "preview", old, "--against", old, "--since", since, *sources)
            self.assertEqual((done.returncode, json.loads(done.stdout)["flows"]), (OK, flows), done.stderr)
        self.assertEqual(run("--settings", self.settings(), "policy", "preview", old, "--against", old, "--since", "some time", *sources).returncode, USAGE)

    def test_policy_explain(self):
        good = self.file("good.yaml", GOOD_POLICY)
        flow = ("--from", "10.1.0.1", "--to", "10.2.0.1", "--proto", "tcp")
        found = json.loads(run("policy", "explain", good, *flow, "--dport", "443", "--interface", "a0", "--json").stdout)
        self.assertEqual((found["action"], found["inspect"], found["from"], found["to"], found["line"]),
                         ("allow", "block", "a", "b", 7))
        found = json.loads(run("policy", "explain", good, *flow, "--dport", "22", "--json").stdout)
        self.assertEqual((found["action"], found["line"]), ("deny", 0))
        found = json.loads(run("policy", "explain", good, *flow, "--dport", "443", "--interface", "b0", "--json").stdout)
        self.assertEqual((found["action"], found["decided_by"]), ("deny", "spoofed"))
        for lang in ("zh", "en"):
            self.golden(f"explain.{lang}", run("policy", "explain", good, *flow, "--dport", "80", lang=lang).stdout)
        self.assertEqual(run("policy", "explain", good, "--from", "x", "--to", "10.2.0.1").returncode, USAGE)

    # ---- daemons that are not there ----

    def test_without_daemons(self):
        settings = self.settings()
        done = run("--settings", settings, "status", "--json")
        self.assertEqual(done.returncode, FINDING)
        daemons = json.loads(done.stdout)["daemons"]
        self.assertEqual({name: daemon["running"] for name, daemon in daemons.items()},
                         {"auditd": False, "policyd": False, "sensord": False})
        for lang in ("zh", "en"):
            self.golden(f"status-down.{lang}", run("--settings", settings, "status", lang=lang).stdout)
        good = self.file("good.yaml", GOOD_POLICY)
        for command in (("policy", "apply", good), ("policy", "plan", good), ("policy", "show")):
            done = run("--settings", settings, *command)
            self.assertEqual(done.returncode, UNAVAILABLE, command)
            self.assertNotEqual(done.stderr, "")

    def test_without_a_store(self):
        settings = self.settings()
        for command in (("find",), ("verify",), ("export",)):
            self.assertEqual(run("--settings", settings, "audit", *command).returncode, FAILED, command)

    def test_audit_arguments(self):
        for option, value in (("--kind", "x"), ("--severity", "x"), ("--outcome", "x"), ("--address", "10.0.0.1/8"),
                              ("--since", "yesterday")):
            done = run("--settings", self.settings(), "audit", "find", option, value)
            self.assertEqual(done.returncode, USAGE, (option, done.stderr))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    MENSHEN = sys.argv.pop(1)
    unittest.main(verbosity=2)
