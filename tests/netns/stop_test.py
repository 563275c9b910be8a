#!/usr/bin/env python3
"""SIGTERM: no event is lost, the store is closed and verifies."""
from scenario import NO_ANSWER, Scenario, main

ATTACKS = 5


class Stop(Scenario):
    def test_events_before_sigterm_are_recorded(self):
        self.start()
        self.finance.patience = 1
        for number in range(ATTACKS):
            self.assertEqual(self.attack(f"/?attack-{number}"), NO_ANSWER)
        # No waiting here: what the sensor saw must reach the store by way of its clean stop.
        self.assertEqual(self.appliance.daemons["sensord"].stop(), 0)
        flows = {(record["src"], record["sport"]) for record in self.attacks_recorded()}
        self.assertEqual(len(flows), ATTACKS)
        self.assertEqual(self.appliance.daemons["policyd"].stop(), 0)
        self.assertEqual(self.appliance.daemons["auditd"].stop(), 0)
        self.assert_store_intact()

    def test_isolation_outlives_all_daemons(self):
        self.start()
        self.appliance.stop()
        self.assert_isolated()
        self.assertEqual(self.get("/?no-daemons"), NO_ANSWER)


if __name__ == "__main__":
    main()
