#!/usr/bin/env python3
"""Files out of real downloads, stored and scanned by the sensor daemon inside its sandbox; a real clamd answers."""
import hashlib
import json
import os
import pathlib
import socket
import sys

from lab import wait_until
from scenario import Scenario, main

CLAMD = pathlib.Path("/usr/sbin/clamd")
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-" + rb"ANTIVIRUS-TEST-FILE!$H+H*"
RULES = """\
alert http any any -> any any (msg:"test file"; flow:established,to_client; file.data; content:"EICAR"; filestore; sid:1;)
alert http any any -> any any (msg:"text file"; flow:established,to_client; file.data; content:"nothing bad"; filestore; sid:2;)
"""


class Files(Scenario):
    def setUp(self):
        super().setUp()
        self.files = self.lab.root / "files"  # a folder that nothing else opens to the daemon
        self.settings = {"sensor.filestore_directory": str(self.files)}
        rules = self.lab.root / "etc" / "files.rules"
        rules.write_text(RULES)
        self.rules = [rules]
        for name, content in (("test.com", EICAR), ("text.txt", b"nothing bad\n")):
            (self.portal.dir / "www" / name).write_bytes(content)

    def download(self, name):
        self.assertEqual(self.get(f"/{name}"), "200")
        found = []

        def told():
            found[:] = [event for line in self.appliance.events_file.read_text().splitlines()
                        if (event := json.loads(line))["event_type"] == "fileinfo"
                        and event["fileinfo"]["filename"].endswith(name)]
            return found
        wait_until(told, f"the event of {name}")
        return found[0]["fileinfo"]

    def start_clamd(self):
        folder = self.lab.root / "clamd"
        (folder / "db").mkdir(parents=True)
        (folder / "db" / "test.ndb").write_text(f"Eicar-Test-Signature:0:*:{EICAR.hex()}\n")
        path = folder / "socket"
        (folder / "conf").write_text(f"Foreground yes\nLocalSocket {path}\nDatabaseDirectory {folder / 'db'}\n")

        def answers():
            with socket.socket(socket.AF_UNIX) as probe:
                return probe.connect_ex(str(path)) == 0
        self.lab.start("gate", [CLAMD, "-c", folder / "conf"], label="clamd", ready=answers)
        return path

    def assert_stored(self, content):
        digest = hashlib.sha256(content).hexdigest()
        self.assertEqual((self.files / digest[:2] / digest).read_bytes(), content)
        about = json.loads((self.files / digest[:2] / f"{digest}.json").read_text())
        self.assertEqual(about["fileinfo"]["sha256"], digest)

    def test_what_rules_want_is_stored_once(self):
        self.appliance.write_settings(self.rules, self.settings)
        self.start()
        self.assertIs(self.download("text.txt")["stored"], True)
        self.assert_stored(b"nothing bad\n")
        self.assertEqual(self.get("/text.txt"), "200")

        def status():
            return self.appliance.json("status")["daemons"]["sensord"]["files"]
        wait_until(lambda: status()["known"] == 1, "the same content again")
        self.assertEqual(status()["stored"], 1)

    def test_clamd_finds_the_test_file(self):
        if not CLAMD.exists():
            if os.environ.get("CI") == "true":
                self.fail("clamd is not installed (packaging/test-dependencies)")
            self.skipTest("clamd is not installed (packaging/test-dependencies)")
        self.settings["sensor.clamd_socket"] = str(self.start_clamd())
        self.appliance.write_settings(self.rules, self.settings)
        self.start()
        infected = self.download("test.com")
        self.assertEqual(infected["scan"]["verdict"], "infected")
        self.assertEqual(infected["virus"], "Eicar-Test-Signature.UNOFFICIAL")
        self.assert_stored(EICAR)
        clean = self.download("text.txt")
        self.assertEqual(clean["scan"]["verdict"], "clean")
        self.assertNotIn("virus", clean)
        wait_until(lambda: self.appliance.find("--action", "file.virus"), "the audit record")
        record = self.appliance.find("--action", "file.virus")[0]
        self.assertEqual(record["object"], "Eicar-Test-Signature.UNOFFICIAL")


if __name__ == "__main__":
    main()
