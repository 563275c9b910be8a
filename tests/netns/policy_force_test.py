#!/usr/bin/env python3
"""A policy in force: proved from the kernel, watched, taken back when nobody confirms it, approved by a second person."""
from appliance import DEMO_POLICY
from lab import wait_until
from scenario import NO_ANSWER, Scenario, main

DENIED = 4  # exit statuses of menshen
FINDING = 1


class PolicyForce(Scenario):
    # No periodic check: what is noticed, the kernel told.
    settings = {"policy.drift_check_seconds": 0}

    def setUp(self):
        super().setUp()
        self.start()

    def nft(self, command):
        self.lab.run("gate", ["nft", command])

    def conclusion(self):
        return self.appliance.json("policy", "prove", "--live", check=False)["conclusion"]

    def without_flows(self):
        none = self.lab.root / "none.yaml"
        text = DEMO_POLICY.read_text()
        none.write_text(text[:text.index("\nflows:")] + "\nflows: []\n")
        return none

    def test_the_kernel_is_proved_and_another_table_makes_it_unknown(self):
        self.assertEqual(self.conclusion(), "proved")
        record = self.appliance.await_record("the proof", "--action", "policy.prove")
        self.assertEqual((record["kind"], record["outcome"]), ("proof", "success"))
        self.nft("add table ip nat; add chain ip nat post { type nat hook postrouting priority 100; }")
        self.appliance.await_record("the other table", "--action", "policy.others")
        proof = self.appliance.json("policy", "prove", "--live", check=False)
        self.assertEqual(proof["conclusion"], "unknown")
        self.assertIn("ip nat post", proof["unmodelled"][0]["en"])
        self.assertEqual(self.appliance.run("policy", "prove", "--live", check=False).returncode, FINDING)
        self.nft("delete table ip nat")
        wait_until(lambda: self.conclusion() == "proved", "the proof to hold again")

    def test_a_file_is_proved_without_any_daemon(self):
        proof = self.appliance.json("policy", "prove", DEMO_POLICY)
        self.assertEqual((proof["conclusion"], proof["domains"]), ("proved", 4))

    def test_a_change_is_told_of_by_the_kernel_with_its_process(self):
        self.nft("insert rule inet menshen forward accept")
        record = self.appliance.await_record("the drift", "--action", "policy.drift")
        self.assertIn('"nft"', str(record).replace("'", '"'))
        wait_until(lambda: self.appliance.json("policy", "show", check=False).get("matches_kernel"), "the ruleset to be mended")
        self.assertEqual(self.conclusion(), "proved")
        self.assert_isolated()

    def test_what_nobody_confirms_is_taken_back(self):
        self.assertEqual(self.get(), "200")
        self.appliance.run("policy", "apply", self.without_flows(), "--confirm", "2")
        self.assertEqual(self.get(), NO_ANSWER)
        wait_until(lambda: self.appliance.find("--action", "policy.rollback"), "the policy to be taken back")
        self.assertEqual(self.get(), "200")
        self.appliance.run("policy", "apply", self.without_flows(), "--confirm", "3600")
        self.appliance.run("policy", "confirm")
        self.assertEqual(self.get(), NO_ANSWER)
        self.appliance.run("policy", "rollback")
        self.assertEqual(self.get(), "200")
        entries = self.appliance.json("policy", "history")["entries"]
        self.assertEqual([entry["number"] for entry in entries], list(range(len(entries), 0, -1)))
        self.assertEqual(entries[0]["name"], str(DEMO_POLICY))

    def edited(self, name, *pairs):
        text = DEMO_POLICY.read_text()
        for old, new in pairs:
            self.assertIn(old, text)
            text = text.replace(old, new)
        path = self.lab.root / name
        path.write_text(text)
        return path

    def test_recorded_flows_tell_what_a_new_policy_would_change(self):
        self.assertEqual(self.get(), "200")
        self.assertEqual(self.finance.http(self.tax_url), NO_ANSWER)
        self.appliance.await_record("the blocked connection", "--kind", "isolation")
        self.appliance.daemons["sensord"].stop()  # what flows it has, it writes
        # The portal's web is taken away, the tax bureau's is opened.
        new = self.edited("new.yaml", ("{from: [finance, tax], to: portal, service: web,", "{from: finance, to: tax, service: web,"))
        preview = self.appliance.json("policy", "preview", new, "--since", "1h", check=False)
        changes = {(row["kind"], row["from"], row["to"], row["service"]) for row in preview["changes"]}
        self.assertEqual(changes, {("newly_blocked", "finance", "portal", "tcp/80"), ("newly_passes", "finance", "tax", "tcp/80")})
        self.assertTrue(preview["coverage"]["not_recorded"])
        self.assertEqual(self.appliance.run("policy", "preview", DEMO_POLICY, "--since", "1h").returncode, 0)
        usage = self.appliance.json("policy", "usage", "--since", "1h", check=False)
        self.assertEqual([line["flows"] > 0 for line in usage["lines"]], [True, False, False])

    def test_a_restart_takes_back_what_was_not_confirmed(self):
        self.appliance.run("policy", "apply", self.without_flows(), "--confirm", "3600")
        self.assertEqual(self.get(), NO_ANSWER)
        self.appliance.daemons["policyd"].kill()
        self.appliance.start("policyd")
        self.assertEqual(self.get(), "200")
        self.assertEqual(self.conclusion(), "proved")


class FourEyes(Scenario):
    settings = {"policy.four_eyes": True}

    def test_the_author_cannot_approve(self):
        self.appliance.start()
        proposed = self.appliance.json("policy", "apply", DEMO_POLICY)
        self.assertTrue(proposed["proposed"])
        self.assertFalse(proposed["applied"])
        self.assertEqual(self.get(), NO_ANSWER)
        done = self.appliance.run("policy", "approve", proposed["sha256"][:16], check=False)
        self.assertEqual(done.returncode, DENIED, done.stderr)
        self.assertEqual(self.get(), NO_ANSWER)
        self.appliance.await_record("the refusal", "--action", "policy.approve")
        # The proposal outlives the daemon: it is still there to be refused.
        self.appliance.daemons["policyd"].kill()
        self.appliance.start("policyd")
        done = self.appliance.run("policy", "approve", proposed["sha256"][:16], check=False)
        self.assertEqual(done.returncode, DENIED, done.stderr)


if __name__ == "__main__":
    main()
