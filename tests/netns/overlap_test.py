#!/usr/bin/env python3
"""A client that repeats TCP bytes with other content: the receiver gets those that were inspected."""
import socket
import struct
import sys

from lab import wait_until
from scenario import Scenario, main

RECEIVER_LOSES = 0x4D53  # IP identification of the segment that the receiver's filter drops

RECEIVER = """
import socket
listener = socket.create_server(("", 80), family=socket.AF_INET, backlog=1)
print("listening", flush=True)
connection, _ = listener.accept()
connection.settimeout(60)
got = b""
while not got.endswith(b"."):
    more = connection.recv(100)
    if not more:
        break
    got += more
print("got", got.decode(), flush=True)
"""


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class RawClient:
    """A TCP client without a kernel: each segment as told. Runs inside the sender's namespace."""

    def __init__(self, source, destination, port):
        self.addresses = socket.inet_aton(source) + socket.inet_aton(destination)
        self.destination, self.ports = destination, struct.pack("!HH", 40404, port)
        self.out = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self.incoming = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
        self.incoming.settimeout(60)
        self.first, self.peer = 1000, 0

    def send(self, offset, flags, data=b"", identification=1):
        head = self.ports + struct.pack("!IIBBHHH", self.first + offset, self.peer, 5 << 4, flags, 64000, 0, 0)
        pseudo = self.addresses + struct.pack("!BBH", 0, 6, len(head) + len(data))
        segment = head[:16] + struct.pack("!H", checksum(pseudo + head + data)) + head[18:] + data
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), identification, 0, 64, 6, 0) + self.addresses
        self.out.sendto(ip + segment, (self.destination, 0))

    def receive(self, wanted):
        """The next segment of the connection that `wanted(flags, acknowledgement)`; its number."""
        while True:
            packet = self.incoming.recv(65535)
            tcp = packet[(packet[0] & 15) * 4:]
            number, acknowledged = struct.unpack("!II", tcp[4:12])
            if tcp[:4] == self.ports[2:] + self.ports[:2] and wanted(tcp[13], acknowledged):
                return number

    def run(self):
        self.send(0, 2)
        self.peer = self.receive(lambda flags, _: flags & 0x12 == 0x12) + 1
        self.send(1, 16)
        self.send(1, 24, b"GOOD", RECEIVER_LOSES)
        # The same numbers again, and one byte more that ends the message.
        self.send(1, 24, b"EVIL.")
        self.receive(lambda _, acknowledged: acknowledged == self.first + 1 + 5)


class Overlap(Scenario):
    def test_the_receiver_gets_the_first_content(self):
        self.start()
        sender, portal = self.lab.hosts["finance"], self.lab.hosts["portal"]
        self.portal.process.stop()
        listener = self.lab.start("portal", [sys.executable, "-c", RECEIVER], label="receiver",
                                  ready=lambda: self.lab.listening("portal", 80))
        # The sender's kernel knows nothing of the connection; the receiver loses the first segment.
        self.lab.run("finance", ["nft", "add table ip t; add chain ip t out { type filter hook output priority 0; }; "
                                 "add rule ip t out tcp flags & rst == rst drop"])
        self.lab.run("portal", ["nft", "add table ip t; add chain ip t in { type filter hook prerouting priority -300; }; "
                                f"add rule ip t in ip id {RECEIVER_LOSES} counter drop"])
        self.lab.run("finance", [sys.executable, __file__, "client", sender.v4, portal.v4])
        wait_until(lambda: "got" in listener.output(), "the receiver's bytes")
        self.assertIn("got GOOD.", listener.output())
        self.assertIn("counter packets 1", self.lab.run("portal", ["nft", "list", "ruleset"]).stdout)


if __name__ == "__main__":
    if sys.argv[1:2] == ["client"]:
        RawClient(sys.argv[2], sys.argv[3], 80).run()
    else:
        main()
