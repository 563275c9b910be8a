"""Conversations written as a story, as packets in a pcap file: the inputs of golden cases and benchmarks.

    flow = Tcp("10.10.0.10", "10.30.0.10", 40000, 80)
    write("input.pcap", flow.open() + flow.client(b"GET / HTTP/1.1\\r\\n\\r\\n") + flow.close())

A packet is bytes from its Ethernet header on; checksums are right unless a case breaks them. Deterministic.
"""
import ipaddress
import pathlib
import struct

ETHERNET = bytes.fromhex("020000000002020000000001")
FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ip(source, destination, protocol, segment, checksum_at):
    """Ethernet and IP around a transport segment whose checksum field lies at `checksum_at`."""
    src, dst = ipaddress.ip_address(source).packed, ipaddress.ip_address(destination).packed
    pseudo = src + dst + struct.pack("!II" if len(src) == 16 else "!HH", *(
        (len(segment), protocol) if len(src) == 16 else (protocol, len(segment))))
    value = checksum(pseudo + segment) or 0xFFFF
    segment = segment[:checksum_at] + struct.pack("!H", value) + segment[checksum_at + 2:]
    if len(src) == 16:
        header = struct.pack("!IHBB", 6 << 28, len(segment), protocol, 64) + src + dst
        return ETHERNET + b"\x86\xdd" + header + segment
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 1, 0x4000, 64, protocol, 0) + src + dst
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    return ETHERNET + b"\x08\x00" + header + segment


def udp(source, destination, sport, dport, payload):
    segment = struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload
    return [ip(source, destination, 17, segment, 6)]


def with_vlans(packets, *tags):
    """The same packets under 802.1Q tags, outermost first (0x88a8 outside where there are two)."""
    def tagged(packet):
        kinds = [0x88A8] * (len(tags) - 1) + [0x8100]
        return packet[:12] + b"".join(struct.pack("!HH", kind, tag) for kind, tag in zip(kinds, tags)) + packet[12:]
    return [tagged(packet) for packet in packets]


class Tcp:
    """One connection; each call returns the packets of one act."""

    def __init__(self, client, server, cport, sport, cseq=1000, sseq=90000):
        self.ends = (client, cport, server, sport)
        self.seq = [cseq, sseq]

    def packet(self, side, flags, payload=b"", seq=None):
        client, cport, server, sport = self.ends
        src, sp, dst, dp = (client, cport, server, sport) if side == 0 else (server, sport, client, cport)
        seq = self.seq[side] if seq is None else seq
        ack = self.seq[1 - side] if flags & ACK else 0
        header = struct.pack("!HHIIBBHHH", sp, dp, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, 0x50, flags, 64240, 0, 0)
        return ip(src, dst, 6, header + payload, 16)

    def open(self):
        syn = self.packet(0, SYN)
        self.seq[0] += 1
        answer = self.packet(1, SYN | ACK)
        self.seq[1] += 1
        return [syn, answer, self.packet(0, ACK)]

    def _send(self, side, data, size):
        packets = []
        for at in range(0, len(data), size):
            part = data[at:at + size]
            packets.append(self.packet(side, PSH | ACK, part))
            self.seq[side] += len(part)
        return packets + [self.packet(1 - side, ACK)]

    def client(self, data, size=1400):
        return self._send(0, data, size)

    def server(self, data, size=1400):
        return self._send(1, data, size)

    def close(self):
        fin = self.packet(0, FIN | ACK)
        self.seq[0] += 1
        answer = self.packet(1, FIN | ACK)
        self.seq[1] += 1
        return [fin, answer, self.packet(0, ACK)]


def dns_query(name, kind=1, transaction=0x1234):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split("."))
    return struct.pack("!HHHHHH", transaction, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", kind, 1)


def tls_client_hello(server_name):
    name = server_name.encode()
    sni = struct.pack("!HBH", len(name) + 3, 0, len(name)) + name
    extensions = struct.pack("!HH", 0, len(sni)) + sni + bytes.fromhex("002b0003020304")
    body = b"\x03\x03" + bytes(range(32)) + b"\0" + struct.pack("!H", 4) + b"\x13\x01\x13\x02" + b"\x01\0"
    body += struct.pack("!H", len(extensions)) + extensions
    handshake = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + struct.pack("!H", len(handshake)) + handshake


def http_response(body=b"ok", status="200 OK"):
    return f"HTTP/1.1 {status}\r\nServer: demo\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def write(path, packets, start=1_700_000_000, gap_us=200):
    """A classic pcap, Ethernet, microseconds."""
    out = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)]
    for number, packet in enumerate(packets):
        at = start * 1_000_000 + number * gap_us
        out.append(struct.pack("<IIII", at // 1_000_000, at % 1_000_000, len(packet), len(packet)) + packet)
    pathlib.Path(path).write_bytes(b"".join(out))
