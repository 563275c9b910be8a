#!/usr/bin/env python3
"""menshen-forwardd into a real rsyslog over TLS, and menshen-collectd fed by rsyslog (TLS) and logger (UDP, TCP)."""
import base64
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAMS = None
PATIENCE = 90


def wait_until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited in vain for {what}")
        time.sleep(0.05)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Certificates:
    """An authority, and a certificate for 127.0.0.1, for fw1.example, and of another authority."""

    def __init__(self, folder):
        self.folder = folder
        self.authority("ca")
        self.authority("other")
        self.issue("server", "logs.example", "ca", "IP:127.0.0.1")
        self.issue("client", "fw1.example", "ca", "DNS:fw1.example")
        self.issue("stranger", "fw2.example", "other", "DNS:fw2.example")

    def run(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)

    def authority(self, name):
        self.run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                 "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")

    def issue(self, name, common_name, authority, alternative):
        self.run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={common_name}",
                 "-keyout", f"{name}.key", "-out", f"{name}.csr")
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={alternative}\n")
        self.run("x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key",
                 "-CAcreateserial", "-days", "2", "-extfile", extensions.name, "-out", f"{name}.pem")

    def __getitem__(self, name):
        return str(self.folder / name)


class Case(unittest.TestCase):
    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="menshen-syslog-"))
        self.addCleanup(shutil.rmtree, self.root)
        self.processes = []
        self.addCleanup(self.stop_all)
        (self.root / "tls").mkdir()
        self.certificates = Certificates(self.root / "tls")

    def stop_all(self):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(PATIENCE)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def start(self, *command):
        with open(self.root / "log", "ab") as log:
            process = subprocess.Popen([str(each) for each in command], stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def settings(self, **sections):
        everything = {
            "general": {"name": "gov-cloud-a",
                        **{f"{name}_socket": str(self.root / f"{name}.sock")
                           for name in ("auditd", "policyd", "sensord", "forwardd", "collectd")}},
            "audit": {"directory": str(self.root / "audit"), "checkpoint_seconds": 1},
            "forward": {"state_directory": str(self.root / "forward")},
            "collect": {"state_directory": str(self.root / "collect")},
        }
        for section, values in sections.items():
            everything.setdefault(section, {}).update(values)
        self.settings_file = self.root / "menshen.yaml"
        self.settings_file.write_text(json.dumps(everything))

    def daemon(self, name):
        process = self.start(PROGRAMS / f"menshen-{name}", "--settings", self.settings_file, "--lang", "en")
        wait_until(lambda: (self.root / f"{name}.sock").exists() or process.poll() is not None, f"{name}'s socket")
        self.assertIsNone(process.poll(), (self.root / "log").read_text(errors="replace"))
        return process

    def menshen(self, *arguments):
        done = subprocess.run([PROGRAMS / "menshen", "--settings", self.settings_file, "--lang", "en", *arguments],
                              capture_output=True, text=True)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        return done.stdout

    def status(self, daemon):
        return json.loads(self.menshen("status", "--json"))["daemons"][daemon]

    def rsyslog(self, name, config):
        file = self.root / f"{name}.conf"
        file.write_text(config)
        return self.start("rsyslogd", "-n", "-f", file, "-i", self.root / f"{name}.pid")

    def external(self, text):
        lines = self.menshen("audit", "find", "--kind", "external", "--json", "--limit", "0", "--text", text)
        return [json.loads(line) for line in lines.splitlines()]


class Forwarding(Case):
    def receiver(self, port):
        tls = self.certificates
        return self.rsyslog("receiver", f"""
global(workDirectory="{self.root}" maxMessageSize="64k" defaultNetstreamDriver="ossl"
       defaultNetstreamDriverCAFile="{tls['ca.pem']}" defaultNetstreamDriverCertFile="{tls['server.pem']}"
       defaultNetstreamDriverKeyFile="{tls['server.key']}")
module(load="imtcp" streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="x509/certvalid")
template(name="raw" type="string" string="%rawmsg%\\n")
input(type="imtcp" address="127.0.0.1" port="{port}")
action(type="omfile" file="{self.root}/received" template="raw")
""")

    def received(self):
        try:
            return (self.root / "received").read_text()
        except FileNotFoundError:
            return ""

    def numbers(self):
        return [int(n) for n in re.findall(r'id="gov-cloud-a/(\d+)"', self.received())]

    def forward_settings(self, port, client="client"):
        tls = self.certificates
        self.settings(forward={"syslog": f"tls://127.0.0.1:{port}", "ca_file": tls["ca.pem"],
                               "certificate": tls[f"{client}.pem"], "key": tls[f"{client}.key"], "confirm_seconds": 1})

    def confirmed(self):
        return self.status("forwardd")["targets"][0]["confirmed"]

    def add_records(self, count):
        for _ in range(count):
            self.menshen("audit", "find", "--limit", "1")  # each search is a record

    def stored(self):
        return self.status("auditd")["records"]

    def test_every_record_arrives_over_tls_through_a_kill_of_the_receiver(self):
        port, = free_ports(1)
        self.forward_settings(port)
        self.daemon("auditd")
        receiver = self.receiver(port)
        forwarder = self.daemon("forwardd")
        wait_until(lambda: self.numbers(), "the first records")
        receiver.send_signal(signal.SIGKILL)
        receiver.wait()
        self.add_records(5)
        wait_until(lambda: not self.status("forwardd")["targets"][0]["up"], "the failure to be noticed")
        self.receiver(port)
        stored = self.stored()
        wait_until(lambda: self.confirmed() >= stored, "everything to be confirmed")
        self.assertGreaterEqual(set(self.numbers()), set(range(1, stored + 1)))
        self.assertIn("forward.down", self.menshen("audit", "find", "--source", "forwardd", "--json"))
        # A restart goes on where it stopped.
        wait_until(lambda: self.confirmed() >= self.stored() - 1, "a quiet moment")
        forwarder.terminate()
        self.assertEqual(forwarder.wait(PATIENCE), 0)
        before = self.numbers().count(1)
        self.add_records(1)
        self.daemon("forwardd")
        stored = self.stored()
        wait_until(lambda: self.confirmed() >= stored, "the new records")
        self.assertEqual(self.numbers().count(1), before)
        self.assertGreaterEqual(set(self.numbers()), set(range(1, stored + 1)))

    def test_checkpoints_arrive_too(self):
        port, = free_ports(1)
        self.forward_settings(port)
        self.daemon("auditd")
        self.receiver(port)
        self.daemon("forwardd")
        found = wait_until(lambda: re.search(r' checkpoint \[.*note="([^"]+)"', self.received()), "a checkpoint")
        self.assertTrue(base64.b64decode(found.group(1)).startswith(b"menshen-audit-checkpoint/2\norigin gov-cloud-a\n"))

    def test_a_server_of_another_authority_gets_nothing(self):
        port, = free_ports(1)
        self.forward_settings(port)
        settings = json.loads(self.settings_file.read_text())
        settings["forward"]["ca_file"] = self.certificates["other.pem"]
        self.settings_file.write_text(json.dumps(settings))
        self.daemon("auditd")
        self.receiver(port)
        self.daemon("forwardd")
        target = wait_until(lambda: [t for t in self.status("forwardd")["targets"] if not t["up"] and
                                     "certificate" in t["error"]], "the refusal")
        self.assertEqual(target[0]["confirmed"], 0)
        self.assertEqual(self.received(), "")


class Collecting(Case):
    def setUp(self):
        super().setUp()
        self.udp, self.tcp, self.tls = free_ports(3)
        tls = self.certificates
        self.settings(collect={
            "listen": [f"udp://127.0.0.1:{self.udp}", f"tcp://127.0.0.1:{self.tcp}", f"tls://127.0.0.1:{self.tls}"],
            "certificate": tls["server.pem"], "key": tls["server.key"], "ca_file": tls["ca.pem"],
            "senders": ["cn:fw1.example finance", "127.0.0.0/8 provider"]})
        self.daemon("auditd")
        self.collector = self.daemon("collectd")

    def logger(self, *arguments):
        subprocess.run(["logger", "--server", "127.0.0.1", *arguments], check=True)

    def sender(self, client):
        tls = self.certificates
        process = self.rsyslog("sender", f"""
global(workDirectory="{self.root}" defaultNetstreamDriver="ossl" defaultNetstreamDriverCAFile="{tls['ca.pem']}"
       defaultNetstreamDriverCertFile="{tls[client + '.pem']}" defaultNetstreamDriverKeyFile="{tls[client + '.key']}")
module(load="imuxsock" sysSock.use="off")
input(type="imuxsock" socket="{self.root}/dev-log")
action(type="omfwd" target="127.0.0.1" port="{self.tls}" protocol="tcp" template="RSYSLOG_SyslogProtocol23Format"
       TCP_Framing="octet-counted" streamDriver="ossl" streamDriverMode="1" streamDriverAuthMode="x509/certvalid")
""")
        wait_until(lambda: (self.root / "dev-log").exists(), "rsyslog's socket")
        return process

    def test_logger_by_udp_and_tcp(self):
        self.logger("--udp", "--port", str(self.udp), "--rfc5424", "--tag", "sshd", "--id=812",
                    "Failed password for invalid user mallory from 203.0.113.9 port 4022 ssh2")
        self.logger("--tcp", "--port", str(self.tcp), "--rfc3164", "--tag", "backup", "nightly-run done")
        self.logger("--tcp", "--port", str(self.tcp), "--octet-count", "--rfc5424", "--tag", "backup", "weekly-run done")
        login = wait_until(lambda: self.external("mallory"), "the login")[0]
        self.assertEqual((login["action"], login["outcome"], login["subject"], login["src"], login["domain_src"]),
                         ("login", "failure", "mallory", "203.0.113.9", "provider"))
        for text in ("nightly", "weekly"):
            record = wait_until(lambda: self.external(text), text)[0]
            self.assertEqual(record["message"], f"{text}-run done")
            self.assertEqual(record["detail"]["via"], "tcp")
            self.assertIn(f"{text}-run done", record["detail"]["raw"])
        sources = [json.loads(line) for line in self.menshen("audit", "sources", "--json").splitlines()]
        self.assertEqual(sum(each["messages"] for each in sources), 3)
        self.assertTrue(all(each["domain"] == "provider" and not each["silent"] for each in sources))

    def test_rsyslog_by_tls_is_known_by_its_certificate(self):
        self.sender("client")
        subprocess.run(["logger", "-u", self.root / "dev-log", "--tag", "nginx",
                        '203.0.113.9 - - [23/Nov/2026:08:15:30 +0800] "GET /portal HTTP/1.1" 403 12 "-" "curl"'], check=True)
        record = wait_until(lambda: self.external("portal"), "the request")[0]
        self.assertEqual((record["domain_src"], record["detail"]["certificate"], record["action"], record["src"]),
                         ("finance", "fw1.example", "http.request", "203.0.113.9"))

    def test_a_sender_of_another_authority_is_refused(self):
        self.sender("stranger")
        subprocess.run(["logger", "-u", self.root / "dev-log", "--tag", "nginx", "let-me-in"], check=True)
        wait_until(lambda: self.status("collectd")["refused"] > 0, "the refusal")
        self.assertEqual(self.external("let"), [])

    def test_a_clean_stop_keeps_what_was_received(self):
        for number in range(50):
            self.logger("--tcp", "--port", str(self.tcp), "--rfc5424", "--tag", "burst", f"message-{number}")
        wait_until(lambda: self.status("collectd")["received"] >= 50, "the messages")
        self.collector.terminate()
        self.assertEqual(self.collector.wait(PATIENCE), 0)
        self.assertEqual(len(self.external("message")), 50)
        saved = json.loads((self.root / "collect" / "sources.json").read_text())
        self.assertEqual(sum(each["messages"] for each in saved), 50)


if __name__ == "__main__":
    missing = [each for each in ("rsyslogd", "logger", "openssl") if shutil.which(each, path="/usr/sbin:/usr/bin") is None]
    if missing or not any(pathlib.Path("/usr/lib").glob("*/rsyslog/lmnsd_ossl.so")):
        print("skipped: needs rsyslog with rsyslog-openssl, logger and openssl")
        sys.exit(1 if os.environ.get("CI") == "true" else 77)
    os.environ["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
    PROGRAMS = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main(verbosity=2)
