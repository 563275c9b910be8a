#!/usr/bin/env python3
"""Policy in the kernel: errors apply nothing, a change reaches running connections, drift is noticed and mended."""
from appliance import DEMO_POLICY
from lab import wait_until
from scenario import NO_ANSWER, Scenario, Traffic, main

CURL_TOO_SLOW = 28  # its exit status when nothing came for --speed-time seconds

MISTAKES = """\
domains:
  finance: {title: F, networks: [10.10.0.0/16], interfaces: [fin0]}
  portal:  {title: P, networks: [10.10.0.0/24], interfaces: [fin0]}
flows:
  - {from: finance, to: nowhere, service: web, reason: r}
"""


class Policy(Scenario):
    settings = {"policy.drift_check_seconds": 1}

    def setUp(self):
        super().setUp()
        self.start()

    def ruleset(self):
        return self.lab.run("gate", ["nft", "--stateless", "list", "table", "inet", "menshen"]).stdout

    def test_errors_apply_nothing(self):
        before = self.ruleset()
        bad = self.lab.root / "bad.yaml"
        bad.write_text(MISTAKES)
        done = self.apply(bad, check=False)
        self.assertNotEqual(done.returncode, 0)
        for place in ("bad.yaml:3:", "bad.yaml:5:"):
            self.assertIn(place, done.stdout + done.stderr)
        self.assertEqual(self.ruleset(), before)
        self.assertEqual(self.get(), "200")
        self.assert_isolated()

    def test_applying_again_loses_no_request(self):
        with Traffic(self.finance, self.url + "/?traffic") as traffic:
            for _ in range(5):
                self.apply(DEMO_POLICY)
        self.assertEqual(set(traffic.statuses), {"200"})

    def test_a_withdrawn_flow_ends_running_connections(self):
        """A connection that was allowed is decided anew under the new policy."""
        none = self.lab.root / "none.yaml"
        text = DEMO_POLICY.read_text()
        none.write_text(text[:text.index("\nflows:")] + "\nflows: []\n")
        served, arrived = self.portal.dir / "www" / "endless.bin", self.lab.root / "arrived.bin"
        with served.open("wb") as file:
            file.truncate(1 << 30)
        download = self.lab.start("finance", ["curl", "-s", "--limit-rate", "4M", "--speed-limit", "1", "--speed-time", "3",
                                              "-o", arrived, f"{self.url}/endless.bin"],
                                  ready=lambda: arrived.exists() and arrived.stat().st_size > 0)
        self.apply(none)
        self.assertEqual(download.popen.wait(60), CURL_TOO_SLOW)
        self.assertLess(arrived.stat().st_size, served.stat().st_size)
        self.assertEqual(self.get(), NO_ANSWER)

    def test_drift_is_noticed_and_mended(self):
        before = self.ruleset()
        self.lab.run("gate", ["nft", "flush", "chain", "inet", "menshen", self.a_chain()])
        self.assertNotEqual(self.ruleset(), before)
        wait_until(lambda: self.appliance.find("--action", "policy.drift"), "a record of the drift")
        wait_until(lambda: self.appliance.json("policy", "show", check=False).get("matches_kernel"), "the ruleset to be mended")
        self.assertEqual(self.get(), "200")
        self.assert_isolated()

    def a_chain(self):
        lines = [line.split()[1] for line in self.ruleset().splitlines() if line.strip().startswith("chain ")]
        return lines[0]


if __name__ == "__main__":
    main()
