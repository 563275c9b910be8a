#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <ctime>
#include <nlohmann/json.hpp>

#include "audit/collect/collector.hpp"
#include "audit/collect/forms.hpp"
#include "audit/collect/frames.hpp"
#include "audit/crypto/digest.hpp"
#include "tests/testkit/fake_clock.hpp"
#include "tests/testkit/temp_dir.hpp"

using namespace menshen;
using namespace menshen::audit;
using namespace std::chrono_literals;

namespace {

const WallTime now = *parse_time("2026-11-23T08:15:30Z");

SyslogMessage parse(std::string_view text) { return parse_syslog(text, now); }

Record record_of(std::string_view text) {
  return external_record(text, parse(text), {*IpAddr::parse("10.9.9.9"), {}}, "finance", "udp",
                         now);
}

}  // namespace

TEST_CASE("RFC 5424") {
  const auto m = parse(
      "<165>1 2026-11-23T08:15:30.003Z fw1 evntslog 77 ID47 "
      "[meta sequenceId=\"7\"][x@32473 a=\"q\\\"\\]\"] \xef\xbb\xbfhello");
  CHECK(m.rfc5424);
  CHECK(m.facility == 20);
  CHECK(m.severity == 5);
  CHECK(m.time == *parse_time("2026-11-23T08:15:30.003Z"));
  CHECK(m.host == "fw1");
  CHECK(m.app == "evntslog");
  CHECK(m.process == "77");
  CHECK(m.id == "ID47");
  CHECK(m.text == "hello");
  CHECK(structured_value(m.structured, "meta", "sequenceId") == "7");
  CHECK(structured_value(m.structured, "x@32473", "a") == "q\\\"\\]");
  CHECK(structured_value(m.structured, "x@32473", "sequenceId").empty());
  const auto bare = parse("<34>1 - - - - - -");
  CHECK(bare.host.empty());
  CHECK(bare.text.empty());
  CHECK(parse("<34>1 - h a - - [open text").text == "[open text");
}

TEST_CASE("RFC 3164 and what senders make of it") {
  const auto m = parse("<34>Nov  3 22:14:15 host1 su[77]: text: more\n");
  CHECK(m.severity == 2);
  CHECK(m.host == "host1");
  CHECK(m.app == "su");
  CHECK(m.process == "77");
  CHECK(m.text == "text: more");
  REQUIRE(m.time);
  const std::time_t seconds = *m.time / 1'000'000'000;
  std::tm local{};
  ::localtime_r(&seconds, &local);
  CHECK(local.tm_year == 126);
  CHECK(local.tm_mon == 10);
  CHECK(local.tm_hour == 22);
  // At the turn of the year the nearest one is meant.
  const auto december =
      parse_syslog("<34>Dec 31 23:59:58 h a: x", *parse_time("2027-01-01T12:00:00Z"));
  REQUIRE(december.time);
  CHECK(*december.time < *parse_time("2027-01-01T12:00:00Z"));
  CHECK(*december.time > *parse_time("2026-12-30T00:00:00Z"));
  const auto precise = parse("<13>2026-11-23T16:15:30.5+08:00 h app: x");
  CHECK(precise.time == *parse_time("2026-11-23T08:15:30.5Z"));
  CHECK(precise.host == "h");
  const auto hostless = parse("<13>Nov 23 08:15:30 app[1]: x");
  CHECK(hostless.host.empty());
  CHECK(hostless.app == "app");
  const auto none = parse("just text");
  CHECK(none.text == "just text");
  CHECK(none.severity == 5);
  CHECK(parse("<999>x").text == "<999>x");
  CHECK(parse("<13>Nov 99 08:15:30 h a: x").time == std::nullopt);
  CHECK(parse("<13>Nov 23 -8:15:30 h a: x").time == std::nullopt);
}

TEST_CASE("common forms fill the record") {
  SECTION("sshd") {
    const auto ok = record_of(
        "<86>Nov 23 08:15:30 web1 sshd[8]: Accepted publickey for alice from 10.0.0.5 port 5022 "
        "ssh2: ED25519");
    CHECK(ok.action == "login");
    CHECK(ok.subject == "alice");
    CHECK(ok.outcome == Outcome::success);
    CHECK(ok.src == IpAddr::parse("10.0.0.5"));
    CHECK(ok.sport == 5022);
    // The user name is the attacker's.
    const auto bad = record_of(
        "<86>Nov 23 08:15:30 web1 sshd[8]: Failed password for invalid user root from 10.0.0.1 "
        "port 1 from 203.0.113.9 port 4022 ssh2");
    CHECK(bad.outcome == Outcome::failure);
    CHECK(bad.src == IpAddr::parse("203.0.113.9"));
    CHECK(bad.severity >= Severity::medium);
  }
  SECTION("sudo") {
    const auto ok = record_of(
        "<85>Nov 23 08:15:30 web1 sudo:    alice : TTY=pts/0 ; PWD=/home ; USER=root ; "
        "COMMAND=/usr/bin/id -u");
    CHECK(ok.subject == "alice");
    CHECK(ok.action == "sudo");
    CHECK(ok.object == "/usr/bin/id -u");
    CHECK(ok.outcome == Outcome::success);
    const auto bad = record_of(
        "<81>Nov 23 08:15:30 web1 sudo: bob : user NOT in sudoers ; TTY=pts/0 ; PWD=/ ; USER=root "
        "; COMMAND=/bin/sh");
    CHECK(bad.outcome == Outcome::failure);
    CHECK(bad.severity >= Severity::high);
  }
  SECTION("auditd and libvirt") {
    const auto login = record_of(
        "<13>Nov 23 08:15:30 h audisp-syslog: type=USER_LOGIN msg=audit(1795421000.250:45): pid=1 "
        "uid=0 auid=1000 ses=1 msg='op=login acct=\"root\" exe=\"/usr/sbin/sshd\" hostname=? "
        "addr=203.0.113.9 terminal=ssh res=failed'");
    CHECK(login.action == "audit.user_login");
    CHECK(login.subject == "root");
    CHECK(login.object == "login /usr/sbin/sshd");
    CHECK(login.outcome == Outcome::failure);
    CHECK(login.src == IpAddr::parse("203.0.113.9"));
    CHECK(login.time == 1'795'421'000'250'000'000);
    const auto vm = record_of(
        "type=VIRT_CONTROL msg=audit(1795421730.123:45): pid=1 uid=0 auid=4294967295 msg='virt=kvm "
        "op=start reason=booted vm=\"web\" uuid=x exe=\"/usr/sbin/libvirtd\" res=success'");
    CHECK(vm.action == "audit.virt_control");
    CHECK(vm.object == "start web");
    CHECK(vm.outcome == Outcome::success);
  }
  SECTION("nginx") {
    const auto r = record_of(
        "<190>Nov 23 08:15:30 web1 nginx: 203.0.113.9 - bob [23/Nov/2026:08:15:30 +0800] \"GET "
        "/a?b=c HTTP/1.1\" 403 12 \"-\" \"curl\"");
    CHECK(r.action == "http.request");
    CHECK(r.subject == "bob");
    CHECK(r.object == "GET /a?b=c");
    CHECK(r.outcome == Outcome::failure);
    const auto e = record_of(
        "<187>Nov 23 08:15:30 web1 nginx: 2026/11/23 08:15:30 [error] 1#1: *5 open() failed, "
        "client: 203.0.113.9, server: x, request: \"GET /z HTTP/1.1\", host: \"x\"");
    CHECK(e.object == "GET /z");
    CHECK(e.src == IpAddr::parse("203.0.113.9"));
  }
  SECTION("PostgreSQL") {
    const auto ok = record_of(
        "<134>Nov 23 08:15:30 db1 postgres[9]: [5-1] LOG:  connection authorized: user=app "
        "database=orders");
    CHECK(ok.subject == "app");
    CHECK(ok.object == "orders");
    const auto bad = record_of(
        "<134>Nov 23 08:15:30 db1 postgres[9]: [5-1] FATAL:  password authentication failed for "
        "user \"bob\"");
    CHECK(bad.action == "login");
    CHECK(bad.subject == "bob");
    CHECK(bad.outcome == Outcome::failure);
    const auto ddl = record_of(
        "<134>Nov 23 08:15:30 db1 postgres[9]: [6-1] LOG:  AUDIT: SESSION,1,1,DDL,CREATE "
        "TABLE,,,create table t(i int),<none>");
    CHECK(ddl.action == "db.ddl");
  }
  SECTION("OpenStack") {
    const auto r = record_of(
        "<134>Nov 23 08:15:30 api1 nova-api: 2026-11-23 08:15:30.1 9 INFO "
        "nova.api.openstack.requestlog [req-1 admin demo - default default] 10.0.0.5 \"POST "
        "/v2.1/servers\" status: 202 len: 400 microversion: 2.1 time: 0.5");
    CHECK(r.action == "cloud.request");
    CHECK(r.subject == "admin");
    CHECK(r.object == "POST /v2.1/servers");
    CHECK(r.outcome == Outcome::success);
    CHECK(r.src == IpAddr::parse("10.0.0.5"));
    const auto cadf =
        record_of(R"(<134>Nov 23 08:15:30 api1 keystone: {"payload":{)"
                  R"("typeURI":"http://schemas.dmtf.org/cloud/audit/1.0/event","action":"delete",)"
                  R"("outcome":"failure","requestPath":"/v3/users/1",)"
                  R"("initiator":{"name":"eve","host":{"address":"10.0.0.7"}},)"
                  R"("target":{"name":"identity"}}})");
    CHECK(cadf.action == "cloud.delete");
    CHECK(cadf.subject == "eve");
    CHECK(cadf.outcome == Outcome::failure);
    CHECK(cadf.src == IpAddr::parse("10.0.0.7"));
  }
  SECTION("packet filters") {
    const auto r = record_of(
        "<4>Nov 23 08:15:30 fw kernel: [12.34] FW-DROP IN=eth0 OUT=eth1 MAC=aa SRC=10.0.0.1 "
        "DST=2001:db8::2 LEN=60 PROTO=TCP SPT=40000 DPT=22 SYN");
    CHECK(r.action == "packet");
    CHECK(r.object == "FW-DROP");
    CHECK(r.outcome == Outcome::blocked);
    CHECK(r.dst == IpAddr::parse("2001:db8::2"));
    CHECK(r.dport == 22);
    CHECK(r.proto == 6);
  }
  SECTION("anything else is kept as it is") {
    const auto r = record_of("<30>Nov 23 08:15:30 h chronyd[1]: Selected source 10.0.0.1");
    CHECK(r.action == "syslog");
    CHECK(r.subject == "chronyd");
    CHECK(r.message == "Selected source 10.0.0.1");
    CHECK(r.domain_src == "finance");
  }
}

TEST_CASE("a sender's odd numbers are not taken for times or ports") {
  for (const char* stamp : {"-99999999999.250", "99999999999.250", "1795421000", "x.1"}) {
    CAPTURE(stamp);
    const auto r = record_of(std::string("type=LOGIN msg=audit(") + stamp + ":45): res=1");
    CHECK(r.action == "audit.login");
    CHECK(r.time == now);
  }
  // As deep as a message can be.
  const std::string deep = std::string(4'000, '[') + std::string(4'000, ']');
  CHECK(record_of(
            "<13>Nov 23 08:15:30 h keystone: {\"payload\":{\"typeURI\":\"dmtf.org/cloud/audit\","
            "\"action\":\"read\",\"x\":" +
            deep + "}}")
            .action == "cloud.read");
}

TEST_CASE("the message as it came stands in the detail, whatever its bytes") {
  const std::string gbk = "<13>Nov 23 08:15:30 h app: \xb5\xc7\xc2\xbc\xca\xa7\xb0\xdc";
  const auto r = record_of(gbk);
  const auto detail = nlohmann::json::parse(r.detail);
  CHECK(from_base64(detail.at("raw_base64").get<std::string>()) == gbk);
  const auto plain = nlohmann::json::parse(record_of("<13>x \"quoted\"").detail);
  CHECK(plain.at("raw") == "<13>x \"quoted\"");
  CHECK(plain.at("sender") == "10.9.9.9");
  // The worst of bytes at the greatest length still fits a record whole.
  for (const char worst : {'"', '\x01', '\xff', '\\'}) {
    const std::string message = "<13>" + std::string(8188, worst);
    const auto big = nlohmann::json::parse(record_of(message).detail);
    CHECK((big.contains("raw") || big.contains("raw_base64")));
  }
}

TEST_CASE("frames: counted and lines, told apart, cut at the limit") {
  FrameReader reader(8);
  std::vector<std::string> got;
  const auto drain = [&] {
    while (const auto frame = reader.next())
      got.push_back(std::string(frame->message) + (frame->cut ? "+" : ""));
  };
  const std::string wire = "5 <1>ab<2>line\n12 abcdefghijkl3 xyzlonger than eight\n8 12345678";
  const std::size_t piece = GENERATE(1, 7, 1'000);
  for (std::size_t at = 0; at < wire.size(); at += piece) {
    reader.feed(std::string_view(wire).substr(at, piece));
    drain();
  }
  CHECK(got ==
        std::vector<std::string>{"<1>ab", "<2>line", "abcdefgh+", "xyz", "longer t+", "12345678"});
  reader.feed("rest");
  CHECK_FALSE(reader.next());
  CHECK(reader.last()->message == "rest");
}

namespace {

struct Lab {
  explicit Lab(CollectorOptions options = {}) : stop(::eventfd(0, EFD_CLOEXEC)) {
    if (options.listen.empty()) {
      options.listen = {{Protocol::udp, "127.0.0.1", 0}, {Protocol::tcp, "127.0.0.1", 0}};
    }
    options.clock = &clock;
    clock.set_wall(now);
    auto opened = Collector::open(options);
    REQUIRE(opened);
    collector = std::move(*opened);
  }
  Collector::Sink sink() {
    return [this](Record record) {
      records.push_back(std::move(record));
      return true;
    };
  }
  // Turns until so many records have come.
  void until(std::size_t count) {
    for (int i = 0; i < 2'000 && records.size() < count; ++i) {
      collector->turn(sink(), stop.get(), 10ms);
    }
    REQUIRE(records.size() >= count);
  }
  void send_datagram(std::string_view text) {
    UniqueFd fd(::socket(AF_INET, SOCK_DGRAM, 0));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(collector->ports()[0]);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::sendto(fd.get(), text.data(), text.size(), 0, reinterpret_cast<sockaddr*>(&to),
                     sizeof(to)) == static_cast<ssize_t>(text.size()));
  }
  nlohmann::json source() { return nlohmann::json::parse(collector->sources().at(0)); }

  testkit::FakeClock clock;
  UniqueFd stop;
  std::unique_ptr<Collector> collector;
  std::vector<Record> records;
};

}  // namespace

TEST_CASE("messages by UDP and TCP become records of their sender's domain") {
  CollectorOptions options;
  options.rules = {*SenderRule::parse("127.0.0.0/8 provider")};
  Lab lab(options);
  lab.send_datagram(
      "<86>Nov 23 08:15:30 web1 sshd[8]: Accepted password for alice from 10.0.0.5 port 5022 ssh2");
  lab.until(1);
  CHECK(lab.records[0].kind == Kind::external);
  CHECK(lab.records[0].domain_src == "provider");
  {
    auto fd = connect_to({Protocol::tcp, "127.0.0.1", lab.collector->ports()[1]}, 5s);
    REQUIRE(fd);
    const std::string wire = "<13>one\n10 <13>1 - - -<13>three";
    REQUIRE(write_all(fd->get(), as_bytes(wire)));
  }
  lab.until(4);
  CHECK(lab.collector->status().received == 4);
  CHECK(lab.collector->status().lost == 0);
}

TEST_CASE("unknown senders can be refused") {
  CollectorOptions options;
  options.rules = {*SenderRule::parse("10.0.0.0/8 provider")};
  options.accept_unknown = false;
  Lab lab(options);
  lab.send_datagram("<13>x");
  for (int i = 0; i < 1'000 && lab.collector->status().refused == 0; ++i) {
    lab.collector->turn(lab.sink(), lab.stop.get(), 10ms);
  }
  CHECK(lab.collector->status().refused == 1);
  CHECK(lab.records.empty());
}

TEST_CASE("a source that falls silent is told once, and so is its return") {
  CollectorOptions options;
  options.silence = 60s;
  Lab lab(options);
  lab.send_datagram("<13>1 - web1 a - - - x");
  lab.until(1);
  lab.clock.advance(59s);
  lab.collector->tend(lab.sink());
  CHECK(lab.records.size() == 1);
  lab.clock.advance(2s);
  lab.collector->tend(lab.sink());
  lab.collector->tend(lab.sink());
  REQUIRE(lab.records.size() == 2);
  CHECK(lab.records[1].action == "source.silent");
  CHECK(lab.records[1].object == "web1");
  CHECK(lab.source().at("silent") == true);
  lab.send_datagram("<13>1 - web1 a - - - x");
  lab.until(4);
  CHECK(lab.records[2].action == "source.back");
  CHECK(lab.source().at("silent") == false);
  CHECK(lab.source().at("silences") == 1);
}

TEST_CASE("gaps in sequenceId and floods are counted and told as losses") {
  CollectorOptions options;
  options.records_per_second_max = 3;
  Lab lab(options);
  lab.collector->tend(lab.sink());
  for (const char* id : {"1", "2", "6"}) {
    lab.send_datagram(std::string("<13>1 - web1 a - - [meta sequenceId=\"") + id + "\"] x");
  }
  lab.until(3);
  lab.send_datagram("<13>1 - web1 a - - - beyond");
  for (int i = 0; i < 1'000 && lab.collector->status().dropped == 0; ++i) {
    lab.collector->turn(lab.sink(), lab.stop.get(), 10ms);
  }
  CHECK(lab.collector->status().dropped == 1);
  lab.clock.advance(61s);
  lab.collector->tend(lab.sink());
  REQUIRE(lab.records.size() == 5);
  CHECK(lab.records[3].kind == Kind::loss);
  CHECK(lab.records[3].action == "source.gap");
  CHECK(lab.records[3].detail == R"({"n":3})");
  CHECK(lab.records[4].action == "source.flood");
  CHECK(lab.source().at("missing") == 3);
}

TEST_CASE("what is no sequenceId makes no gap") {
  Lab lab;
  for (const char* id : {"1", "-4", "9999999999", "2147483648", "x", "2"}) {
    lab.send_datagram(std::string("<13>1 - web1 a - - [meta sequenceId=\"") + id + "\"] x");
  }
  lab.until(6);
  CHECK(lab.source().at("missing") == 0);
}

TEST_CASE("sources are kept over a restart, and bounded") {
  testkit::TempDir dir;
  SourceTable table;
  auto& kept = table.heard({"10.0.0.1", "a"}, "finance", now, 0);
  kept.silences = 2;
  kept.per_minute = 2.5;
  REQUIRE(table.save(dir / "sources.json"));
  SourceTable again;
  REQUIRE(again.load(dir / "sources.json"));
  REQUIRE(again.all().size() == 1);
  CHECK(again.all().begin()->second.silences == 2);
  CHECK(again.all().begin()->second.domain == "finance");
  CHECK(again.all().begin()->second.per_minute == 2.5);
  for (std::size_t i = 0; i < 3 * sources_max; ++i) {
    again.heard({"10.0.0.1", std::to_string(i)}, "", now, 0);
    again.heard({std::to_string(i), "x"}, "", now, 0);
  }
  CHECK(again.all().size() <= 2 * sources_max + 1);
  CHECK(again.all().contains({"10.0.0.1", "*"}));
  std::string odd = dir.read("sources.json");
  odd.replace(odd.find("false"), 5, "\"no\"");
  dir.write("odd", odd);
  CHECK(SourceTable().load(dir / "odd"));
  dir.write("bad", "rubbish");
  CHECK(again.load(dir / "bad").error().code == ErrorCode::corrupt);
}

TEST_CASE("senders") {
  CHECK(SenderRule::parse("10.0.0.0/8 finance")->domain == "finance");
  CHECK(SenderRule::parse("cn:fw1.example provider")->certificate == "fw1.example");
  for (const char* wrong : {"", "finance", "10.0.0.1/8 x", "cn: x", "10.0.0.0/8 a b"}) {
    CAPTURE(wrong);
    CHECK_FALSE(SenderRule::parse(wrong));
  }
  const std::vector<SenderRule> rules{*SenderRule::parse("10.0.0.0/8 a"),
                                      *SenderRule::parse("cn:x b")};
  CHECK(rule_of(rules, {*IpAddr::parse("10.1.1.1"), "x"})->domain == "b");
  CHECK(rule_of(rules, {*IpAddr::parse("10.1.1.1"), "y"})->domain == "a");
  CHECK(rule_of(rules, {*IpAddr::parse("192.0.2.1"), ""}) == nullptr);
}
