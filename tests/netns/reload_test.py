#!/usr/bin/env python3
"""SIGHUP of the sensor under traffic: no request is lost, the new rules are in force; broken rules change nothing."""
from scenario import NO_ANSWER, Scenario, Traffic, main

RULE = 'drop http any any -> any any (msg:"{word}"; flow:established,to_server; http.uri; content:"{word}"; sid:{sid}; rev:1;)\n'


class Reload(Scenario):
    def setUp(self):
        super().setUp()
        self.rules = self.lab.root / "etc" / "site.rules"
        self.rules.write_text(RULE.format(word="first-word", sid=1))
        self.appliance.write_settings([self.rules], {})
        self.start()

    def test_new_rules_without_loss(self):
        self.assertEqual(self.get("/?second-word"), "200")
        with Traffic(self.finance, self.url + "/?traffic") as traffic:
            for number in range(5):
                self.rules.write_text(RULE.format(word="first-word", sid=1) + RULE.format(word="second-word", sid=2 + number))
                self.appliance.daemons["sensord"].reload()
            self.assertEqual(self.get("/?second-word"), NO_ANSWER)
            self.assertEqual(self.get("/?first-word"), NO_ANSWER)
        self.assertEqual(set(traffic.statuses), {"200"})
        self.assertGreater(len(traffic.statuses), 5)

    def test_unreadable_rules_keep_the_old(self):
        self.rules.unlink()
        self.appliance.daemons["sensord"].reload()
        self.assertEqual(self.get("/?harmless"), "200")
        self.assertEqual(self.get("/?first-word"), NO_ANSWER)


if __name__ == "__main__":
    main()
