#!/usr/bin/env python3
"""kill -9 of each daemon under traffic: isolation holds, no acknowledged record is lost, the restarted one goes on."""
from lab import wait_until
from scenario import NO_ANSWER, Scenario, Traffic, main


class Crash(Scenario):
    def setUp(self):
        super().setUp()
        self.start()
        self.assertEqual(self.get(), "200")
        self.assertEqual(self.attack(), NO_ANSWER)
        self.acknowledged = wait_until(self.attacks_recorded, "the first alert in the store")

    def go_on(self, name):
        """After the crash of `name`: restarted, everything as before, and what was acknowledged is still there."""
        self.appliance.start(name)
        self.assertEqual(self.get("/?restarted"), "200")
        self.assertEqual(self.attack("/?restarted-attack"), NO_ANSWER)
        self.assertNotIn("attack", self.portal.access_log())
        self.assert_isolated()
        wait_until(lambda: len(self.attacks_recorded()) > len(self.acknowledged), "an alert after the restart")
        now = {(record["number"], record["time"]) for record in self.attacks_recorded()}
        self.assertLessEqual({(record["number"], record["time"]) for record in self.acknowledged}, now)
        self.assert_store_intact()

    def test_sensord(self):
        with Traffic(self.finance, self.url + "/?traffic"):
            self.appliance.daemons["sensord"].kill()
            self.assert_isolated()
            self.assertEqual(self.get("/?uninspected"), NO_ANSWER)
        self.assertNotIn("uninspected", self.portal.access_log())
        self.go_on("sensord")

    def test_policyd(self):
        with Traffic(self.finance, self.url + "/?traffic") as traffic:
            self.appliance.daemons["policyd"].kill()
            self.assert_isolated()
            self.assertEqual(self.attack("/?attack-without-policyd"), NO_ANSWER)
        self.assertEqual(set(traffic.statuses), {"200"})
        self.go_on("policyd")

    def test_auditd(self):
        """What happens while the store is away is delivered when it is back."""
        with Traffic(self.finance, self.url + "/?traffic") as traffic:
            self.appliance.daemons["auditd"].kill()
            self.assert_isolated()
            self.assertEqual(self.attack("/?attack-without-auditd"), NO_ANSWER)
        self.assertEqual(set(traffic.statuses), {"200"})
        self.appliance.start("auditd")
        wait_until(lambda: len(self.attacks_recorded()) > len(self.acknowledged), "the alert of the meantime")
        self.acknowledged = self.attacks_recorded()
        self.go_on_running()

    def go_on_running(self):
        self.assertEqual(self.attack("/?later-attack"), NO_ANSWER)
        wait_until(lambda: len(self.attacks_recorded()) > len(self.acknowledged), "an alert after the restart")
        self.assert_store_intact()


if __name__ == "__main__":
    main()
