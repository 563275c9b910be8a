"""Detection over a capture file, beside the floor of reading it (tcpdump -w /dev/null).

Rates are megabits a CPU second (user and system), start-up subtracted: the same command over a capture of one packet.
"""
import pathlib
import random
import statistics
import sys

from rows import Row, cpu_seconds

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "golden"))
from pcap import Tcp, dns_query, http_response, tls_client_hello, udp, write  # noqa: E402


def conversation(random_source, number):
    client, server = f"10.10.{number >> 8 & 255}.{number & 255}", "10.30.0.10"
    port = 20000 + number % 40000
    kind = number % 10
    if kind == 0:
        return udp(client, server, port, 53, dns_query(f"host{number}.portal.example"))
    if kind == 1:
        flow = Tcp(client, server, port, 443)
        return flow.open() + flow.client(tls_client_hello(f"s{number}.example")) + flow.server(random_source.randbytes(8000)) + flow.close()
    flow = Tcp(client, server, port, 80)
    request = (f"GET /page/{number}?q={number * 7919} HTTP/1.1\r\nHost: portal.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n"
               "Accept: text/html,application/xhtml+xml\r\nAccept-Language: zh-CN,zh;q=0.9\r\nCookie: session=0123456789abcdef\r\n\r\n")
    body = (b"<tr><td>%d</td><td>2026-01-01</td></tr>\n" % number) * random_source.choice((10, 100, 400))
    return flow.open() + flow.client(request.encode()) + flow.server(http_response(body)) + flow.close()


def make_capture(path, conversations):
    random_source = random.Random(1)
    packets = [packet for number in range(conversations) for packet in conversation(random_source, number)]
    write(path, packets, gap_us=20)
    return sum(map(len, packets)) * 8 / 1e6


def rows(context):
    capture, one = context.work / "mix.pcap", context.work / "one.pcap"
    megabits = make_capture(capture, 1500 if context.quick else 12000)
    write(one, udp("10.10.0.1", "10.30.0.10", 1, 53, dns_query("a.example")))
    menshen = [context.programs / "menshen", "sensor", "replay", "--events", context.work / "events.jsonl"]
    rules = sorted((ROOT / "rules" / "detection").glob("*.rules"))
    floor, found = [], []
    for _ in range(context.runs):
        floor.append(megabits / cpu_seconds(["tcpdump", "-n", "-r", capture, "-w", "/dev/null"]))
    for name, arguments in (("no rules", []), (f"{rules[0].name}", ["--rules", *rules])):
        start = statistics.median(cpu_seconds([*menshen, "--pcap", one, *arguments]) for _ in range(context.runs))
        rates = [megabits / max(cpu_seconds([*menshen, "--pcap", capture, *arguments]) - start, 1e-3) for _ in range(context.runs)]
        found.append(Row.of(f"detect, {name} (floor: tcpdump reads)", "Mbit/CPU-s", rates, floor))
        found.append(Row.of(f"detect, {name}: start", "CPU-s", [start]))
    return found
