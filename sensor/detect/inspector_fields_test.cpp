// Rules on what a transaction has besides buffers: numbers, events, files; and what they leave
// behind.
#include <catch2/catch.hpp>

#include <set>

#include "sensor/detect/inspector.hpp"
#include "sensor/proto/events.hpp"
#include "sensor/proto/field_transaction.hpp"
#include "sensor/proto/file.hpp"

using namespace menshen;
using namespace menshen::sensor;

namespace {

using Sids = std::multiset<std::uint32_t>;

RuleSet rules_of(const std::string& text) {
  RuleSetBuilder builder;
  builder.add_text("test.rules", text);
  auto rules = std::move(builder).build();
  REQUIRE(rules);
  return *std::move(rules);
}

std::size_t rejected(const std::string& text) { return rules_of(text).summary().rejected; }

// What one look at a transaction fires.
struct Look {
  explicit Look(const std::string& rules, AppProto proto = AppProto::dns)
      : inspector({}, std::make_shared<const RuleSet>(rules_of(rules))), transaction(proto) {
    flow.tuple = {
        *IpAddr::parse("10.0.0.1"), *IpAddr::parse("10.0.0.2"), 1234, 53, 0, IpProto::udp, 0};
    flow.app = proto;
    flow.established = true;
  }

  Sids operator()(Direction direction = Direction::to_server) {
    PacketMeta meta;
    meta.flow = &flow;
    meta.direction = direction;
    inspector.begin(meta);
    inspector.on_transaction(flow, transaction, direction, meta);
    Sids sids;
    for (const Finding& finding : inspector.decide(meta)) sids.insert(finding.rule->sid);
    return sids;
  }

  Inspector inspector;
  Flow flow;
  FieldTransaction transaction;
};

const std::string dns = "alert dns any any -> any any ";

}  // namespace

TEST_CASE("numbers of a transaction: values, ranges, lists, masks and names") {
  Look look(dns + "(dns.opcode:4; sid:1;)\n" + dns + "(dns.opcode:3-5; sid:2;)\n" + dns +
            "(dns.opcode:4-5; sid:3;)\n" + dns + "(dns.opcode:1,4,9; sid:4;)\n" + dns +
            "(dns.opcode:!4; sid:5;)\n" + dns + "(dns.opcode:&0xc=0x4; sid:6;)\n" + dns +
            "(dns.opcode:&0xc!=0x4; sid:7;)\n" + dns + "(dns.rrtype:AAAA; sid:8;)\n" + dns +
            "(dns.rrtype:!aaaa; sid:9;)\n" + dns + "(dns.opcode:>3; dns.rrtype:28; sid:10;)");
  look.transaction.add(Number::dns_opcode, 4);
  CHECK(look() == Sids{1, 2, 4, 6});
  look.transaction.add(Number::dns_rrtype, 28);
  CHECK(look() == Sids{8, 10});
  CHECK(look().empty());
}

TEST_CASE("a number of the other direction makes its rule wait for it") {
  Look look(dns + "(dns.rcode:3; flow:to_client; sid:1;)\n" + dns +
            "(dns.opcode:0; dns.rcode:3; flow:to_server; sid:2;)");
  look.transaction.add(Number::dns_opcode, 0);
  look.transaction.finish(Direction::to_server);
  CHECK(look().empty());
  look.transaction.add(Number::dns_rcode, 3);
  CHECK(look(Direction::to_client) == Sids{1});
}

TEST_CASE("a value that is no number nor a name is refused") {
  CHECK(rejected(dns + "(dns.opcode:quickly; sid:1;)") == 1);
  CHECK(rejected(dns + "(dns.opcode:&3; sid:1;)") == 1);
  CHECK(rejected(dns + "(dns.opcode:&1=2; sid:1;)") == 1);
  CHECK(rejected(dns + "(dns.opcode:5-4; sid:1;)") == 1);
  CHECK(rejected(dns + "(tls.sni; content:\"a\"; dns.opcode:1; sid:1;)") == 1);
}

TEST_CASE("a file's name and bytes, over every protocol that carries files") {
  const std::string rules =
      "alert tcp any any -> any any (filename:\"PLAN\"; sid:1;)\n"
      "alert tcp any any -> any any (fileext:\"pdf\"; file.data; content:\"%PDF\"; sid:2;)\n"
      "alert http any any -> any any (file.name; content:\"plan.pdf\"; bsize:8; sid:3;)\n"
      "alert tcp any any -> any any (filesize:>3; sid:4;)\n"
      "alert tcp any any -> any any (fileext:\"pdf\"; filestore; noalert; sid:5;)";
  Look look(rules, AppProto::http1);
  look.flow.tuple.proto = IpProto::tcp;
  auto file = std::make_unique<File>();
  file->name = "plan.pdf";
  look.transaction.files[0].push_back(std::move(file));
  CHECK(look() == Sids{1, 3});
  File& kept = *look.transaction.files[0].front();
  CHECK(kept.store);
  kept.data = "%PDF-1.7";
  kept.size = kept.data.size();
  kept.state = File::State::closed;
  CHECK(look() == Sids{2, 4});
}

TEST_CASE("config: the transaction is not logged, and nobody is told") {
  Look look(
      "config dns any any -> any any (dns.query; content:\"quiet\"; "
      "config:logging disable, type tx, scope tx; sid:1;)");
  look.transaction.add(Buffer::dns_query, "very.quiet");
  CHECK(look().empty());
  CHECK(Inspector::quiet(look.transaction));
}

TEST_CASE("what a rule requires is there, or the rule is refused") {
  const auto with = [](const std::string& what) {
    return rejected("alert ip any any -> any any (requires:" + what + "; sid:1;)") == 0;
  };
  CHECK(with("version >= 8.0.0"));
  CHECK(with("version >= 7 < 9 | >= 100"));
  CHECK(with("keyword flow, feature ja4"));
  CHECK_FALSE(with("version < 8"));
  CHECK_FALSE(with("version >= 7.0.3 < 8 | >= 9.0.99"));
  CHECK_FALSE(with("keyword nonsense"));
  CHECK_FALSE(with("feature telepathy"));
  CHECK_FALSE(with("version 8"));
}

TEST_CASE("a hook is reached when its part of the transaction is there") {
  Look look(
      "alert dns:request_started any any -> any any (sid:1;)\n"
      "alert dns:request_complete any any -> any any (sid:2;)\n"
      "alert dns:response_started any any -> any any (sid:3;)\n"
      "alert dns:response_complete any any -> any any (sid:4;)");
  CHECK(look() == Sids{1});
  look.transaction.finish(Direction::to_server);
  CHECK(look() == Sids{2});
  look.transaction.finish();
  CHECK(look(Direction::to_client) == Sids{3, 4});
  CHECK(look(Direction::to_client).empty());
  CHECK(rejected("alert dns:request_line any any -> any any (sid:1;)") == 1);
  CHECK(rejected("alert tcp:request_started any any -> any any (sid:1;)") == 1);
}

TEST_CASE("a hook on a body fires with each part of it") {
  Look look("alert http1:response_body any any -> any any (sid:1;)", AppProto::http1);
  look.flow.tuple.proto = IpProto::tcp;
  look.transaction.add(Buffer::http_response_line, "HTTP/1.1 200 OK");
  CHECK(look(Direction::to_client).empty());
  look.transaction.add(Buffer::http_response_body, "a");
  CHECK(look(Direction::to_client) == Sids{1});
  CHECK(look(Direction::to_client) == Sids{1});
  look.transaction.finish();
  CHECK(look(Direction::to_client) == Sids{1});
  CHECK(look(Direction::to_client).empty());
}

TEST_CASE("a value new to a set fires once") {
  Look look(dns + "(dns.query; dataset:set,names,type string; sid:1;)\n" + dns +
            "(dns.query; dataset:isset,names; sid:2;)");
  look.transaction.add(Buffer::dns_query, "a.example");
  look.transaction.finish();
  CHECK(look() == Sids{1, 2});
}

TEST_CASE("a value that finds no room in its set fires nothing, and is counted") {
  Look look(dns + "(dns.query; dataset:set,names,type string,memcap 72; sid:1;)");
  look.transaction.add(Buffer::dns_query, "a.example");  // 9 bytes and an entry's 64
  look.transaction.finish();
  CHECK(look().empty());
  CHECK(look.inspector.counters().dataset_refused == 1);
}
