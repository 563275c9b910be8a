#!/usr/bin/env python3
"""No sensor at all: what must be inspected is blocked, or passes where the setting says so."""
from appliance import DEMO_POLICY
from scenario import NO_ANSWER, Scenario, main


class FailClosed(Scenario):
    def test_without_sensor_inspected_flows_are_blocked(self):
        self.appliance.start("auditd", "policyd")
        self.apply(DEMO_POLICY)
        self.assertEqual(self.get("/?uninspected"), NO_ANSWER)
        self.assertNotIn("uninspected", self.portal.access_log())
        self.assert_isolated()
        self.appliance.start("sensord")
        self.assertEqual(self.get(), "200")


class FailOpen(Scenario):
    settings = {"inspection.when_sensor_absent": "pass"}

    def test_without_sensor_inspected_flows_pass_uninspected(self):
        self.appliance.start("auditd", "policyd")
        self.apply(DEMO_POLICY)
        self.assertEqual(self.get("/?uninspected"), "200")
        self.assert_isolated()
        self.appliance.start("sensord")
        self.assertEqual(self.attack("/?attack"), NO_ANSWER)


if __name__ == "__main__":
    main()
