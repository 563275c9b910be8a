#!/usr/bin/env python3
"""An imported cluster in force: real packets between its pods pass exactly where the truth tables say so."""
import json

from appliance import REPOSITORY, Appliance
from lab import Lab, wait_until
from scenario import Scenario, main

TABLES = REPOSITORY / "policy" / "import" / "truth_tables"
# Pods of one namespace are behind one interface: what passes between them does not cross the appliance.
BEHIND = {"10.1.0.": "finance", "10.2.0.": "tax", "10.3.0.": "portal", "203.0.113.": "outside"}
CASES = ("no-policy", "target-namespace-deny-both", "peer-namespace-and-pod", "peer-block-except-one", "port-named-egress",
         "rules-are-a-union", "policies-both-ends-must-allow", "admin-first-rule-wins", "admin-pass-to-network-policy",
         "baseline-allow-then-deny", "all-three-tiers")
SERVER = r"""
import select, socket, sys
import json
waiting = []
for ip in json.loads(sys.argv[1]):
    for port in (80, 81):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            s = socket.socket(socket.AF_INET, kind)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((ip, port))
            if kind == socket.SOCK_STREAM:
                s.listen(64)
            waiting.append(s)
print("listening", flush=True)
while True:
    for s in select.select(waiting, [], [])[0]:
        if s.type == socket.SOCK_STREAM:
            s.accept()[0].close()
        else:
            data, peer = s.recvfrom(100)
            s.sendto(data, peer)
"""
# Those that must not pass are sent first: once all that must pass have an answer, the others would have theirs.
CLIENT = r"""
import json, select, socket, sys
probes = json.loads(sys.argv[1])
answered, open_ = [], {}
for index, (kind, src, dst, port) in enumerate(probes):
    tcp = kind == "tcp"
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM)
    s.setblocking(False)
    s.bind((src, 0))
    s.connect_ex((dst, port))
    if not tcp:
        s.send(b"?")
    open_[s] = index
wanted = set(json.loads(sys.argv[2]))
while wanted - set(answered):
    tcp = [s for s in open_ if s.type == socket.SOCK_STREAM]
    udp = [s for s in open_ if s.type == socket.SOCK_DGRAM]
    readable, writable, _ = select.select(udp, tcp, [], 20)
    if not readable and not writable:
        break
    for s in readable + writable:
        index = open_.pop(s)
        try:
            s.recv(10) if s in readable else None
            if s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                answered.append(index)
        except OSError:
            pass
        s.close()
print(json.dumps(sorted(answered)))
"""


def host_of(ip):
    return next(name for net, name in BEHIND.items() if ip.startswith(net))


class Import(Scenario):
    settings = {"policy.drift_check_seconds": 0}

    def setUp(self):
        # A cloud without web servers: the pods take their ports.
        self.lab = Lab()
        self.lab.__enter__()
        self.addCleanup(self._close)
        self.appliance = Appliance(self.lab, self.programs, settings=self.settings)
        self.appliance.start("auditd", "policyd")
        for net, name in BEHIND.items():
            addresses = [f"{net}{i}" for i in (1, 2, 3)] if name != "outside" else [f"{net}9"]
            for ip in addresses:
                self.lab.run(name, ["ip", "address", "add", f"{ip}/32", "dev", "eth0"])
                self.lab.run("gate", ["ip", "route", "add", f"{ip}/32", "via", self.lab.hosts[name].v4])
            server = self.lab.start(name, ["python3", "-c", SERVER, json.dumps(addresses)], label=f"pods-{name}")
            wait_until(lambda server=server: "listening" in server.output(), "the pods to listen")

    def probe(self, name, wanted, denied):
        """The cells that got an answer, of those that `name` opens."""
        probes = denied + wanted
        passing = list(range(len(denied), len(probes)))
        done = self.lab.run(name, ["python3", "-c", CLIENT, json.dumps(probes), json.dumps(passing)])
        return {tuple(probes[i]) for i in json.loads(done.stdout)}

    def check_case(self, case):
        policy = self.lab.root / "imported.yaml"
        files = [TABLES / "cluster.yaml", TABLES / f"{case}.yaml"]
        made = self.appliance.run("policy", "import", "--from", "kubernetes", *files, "--out", policy, check=False)
        self.assertIn(made.returncode, (0, 1), made.stderr)
        self.apply(policy)
        table = self.table(case)
        cells = {}
        for probe, rows in table["tables"].items():
            kind, port = probe.split("-")
            if kind == "icmp":
                continue
            for src, row in zip(table["ends"], rows):
                for dst, cell in zip(table["ends"], row):
                    if host_of(src) != host_of(dst):
                        cells[(kind, src, dst, int(port))] = cell == "."
        for name in BEHIND.values():
            mine = {cell: passes for cell, passes in cells.items() if host_of(cell[1]) == name}
            passing = {cell for cell, passes in mine.items() if passes}
            found = self.probe(name, sorted(passing), sorted(set(mine) - passing))
            self.assertEqual(found, passing, f"{case}, opened by {name}")
        return len(cells)

    def table(self, case):
        """The last document of the file, which is written in a plain way."""
        text = (TABLES / f"{case}.yaml").read_text().rpartition("kind: TruthTable\n")[2]
        ends = text.partition("ends: [")[2].partition("]")[0].split(", ")
        tables = {}
        for line in text.partition("tables:\n")[2].splitlines():
            probe, _, rows = line.strip().partition(": [")
            tables[probe] = [row.strip().strip("'") for row in rows.rstrip("]").split(",")]
        return {"ends": ends, "tables": tables}

    def test_packets_pass_where_the_tables_say_so(self):
        for case in CASES:
            with self.subTest(case=case):
                self.assertEqual(self.check_case(case), 4 * (90 - 18))


if __name__ == "__main__":
    main()
