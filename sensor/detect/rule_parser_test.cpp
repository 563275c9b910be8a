#include "sensor/detect/rule_parser.hpp"

#include <catch2/catch.hpp>

#include "sensor/detect/ruleset.hpp"

using namespace menshen;
using namespace menshen::sensor;

namespace {

const ParseContext context{default_variables(), default_classifications()};

Rule parsed(std::string_view text) {
  Diagnostics diagnostics("t.rules", std::string(text));
  auto texts = split_rules(text);
  REQUIRE(texts.size() == 1);
  auto rule = parse_rule(texts[0], context, diagnostics);
  INFO(diagnostics.render(Lang::en));
  REQUIRE(rule);
  return *rule;
}

Diagnostic refused(std::string_view text) {
  Diagnostics diagnostics("t.rules", std::string(text));
  for (const auto& one : split_rules(text))
    static_cast<void>(parse_rule(one, context, diagnostics));
  INFO(text);
  REQUIRE(diagnostics.errors() == 1);
  return diagnostics.all().front();
}

std::string with(std::string_view options) {
  return "alert tcp any any -> any any (" + std::string(options) + " sid:1;)";
}

const Content& content(const Rule& rule, std::size_t list = 0, std::size_t test = 0) {
  return std::get<Content>(rule.lists.at(list).tests.at(test).what);
}

}  // namespace

TEST_CASE("a rule's header and its description") {
  const Rule rule = parsed(
      R"(drop tcp $HOME_NET [80,8080] <> !10.0.0.0/8 any (msg:"a \"b\"\; c"; )"
      R"(classtype:web-application-attack; reference:cve,2021-1; metadata:severity High, tag a b; )"
      R"(target:dest_ip; sid:7; rev:3; gid:2;))");
  CHECK(rule.info.action == RuleAction::drop);
  CHECK(rule.bidirectional);
  CHECK(rule.sport.contains(8080));
  CHECK_FALSE(rule.dst.contains(*IpAddr::parse("10.0.0.1")));
  CHECK(rule.info.msg == "a \"b\"; c");
  CHECK(rule.info.category == "Web Application Attack");
  CHECK(rule.info.priority == 1);
  CHECK((rule.info.sid == 7 && rule.info.rev == 3 && rule.info.gid == 2));
  CHECK(rule.info.references.at(0).second == "2021-1");
  CHECK(rule.info.metadata.at(1) == std::pair<std::string, std::string>{"tag", "a b"});
}

TEST_CASE("an own priority stands, before or after the class") {
  CHECK(parsed(with("priority:9; classtype:web-application-attack;")).info.priority == 9);
  CHECK(parsed(with("classtype:web-application-attack; priority:9;")).info.priority == 9);
}

TEST_CASE("patterns: hexadecimal, escapes, case") {
  CHECK(content(parsed(with(R"(content:"a|42 43|d\:\;\"\\";)"))).pattern == "aBCd:;\"\\");
  const Rule rule = parsed(with(R"(content:!"AbC"; nocase;)"));
  CHECK(content(rule).pattern == "abc");
  CHECK(content(rule).negated);
}

TEST_CASE("sticky buffers, and the old spelling, lead to the same lists") {
  const Rule now =
      parsed(with(R"(http.uri; content:"/a"; http.method; content:"GET"; http.uri; content:"b";)"));
  const Rule old =
      parsed(with(R"(content:"/a"; http_uri; content:"GET"; http_method; content:"b"; http_uri;)"));
  for (const Rule* rule : {&now, &old}) {
    REQUIRE(rule->lists.size() == 2);
    CHECK(rule->lists[0].buffer.to_server == Buffer::http_uri);
    CHECK(rule->lists[0].tests.size() == 2);
    CHECK(rule->lists[1].buffer.to_server == Buffer::http_method);
    CHECK(rule->kind == RuleKind::transaction);
    CHECK(rule->proto.apps.contains(AppProto::http1));
    CHECK_FALSE(rule->flow.to_client);
  }
}

TEST_CASE("a second dns.query may be another question") {
  CHECK(parsed("alert dns any any -> any any (dns.query; content:\"a\"; dns.query; content:\"b\"; "
               "sid:1;)")
            .lists.size() == 2);
}

TEST_CASE("what kind a rule is") {
  CHECK(parsed(with("")).kind == RuleKind::ip_only);
  CHECK(parsed("alert ip !10.0.0.0/8 any -> any any (sid:1;)").kind == RuleKind::like_ip_only);
  CHECK(parsed(with("flags:S;")).kind == RuleKind::packet);
  CHECK(parsed(with("flow:established;")).kind == RuleKind::packet);
  CHECK(parsed(with("content:\"a\";")).kind == RuleKind::stream);
  CHECK(parsed(with("content:\"a\"; depth:5;")).kind == RuleKind::packet_stream);
  CHECK(parsed(with("content:\"a\"; dsize:5;")).kind == RuleKind::packet);
  CHECK(parsed("alert tcp-pkt any any -> any any (content:\"a\"; sid:1;)").kind ==
        RuleKind::packet);
  CHECK(parsed("alert udp any any -> any any (content:\"a\"; sid:1;)").kind == RuleKind::packet);
  CHECK(parsed("alert tls any any -> any any (sid:1;)").kind == RuleKind::app_only);
}

TEST_CASE("every refusal has its place and names its keyword") {
  const auto place = [](std::string_view text) { return refused(text).range.begin; };
  CHECK(place("alert tcp any any -> any any (msg:\"x\"; nonsense:1; sid:1;)") == Position{1, 40});
  CHECK(refused("alert tcp any any -> any any (nonsense; sid:1;)").text.en.find("nonsense") !=
        std::string::npos);
  CHECK(
      place("# c\n\nalert tcp any any -> any any ( \\\n  content:\"x\"; \\\n  depth:zz; sid:1;)") ==
      Position{5, 3});
  CHECK(refused("alert gopher any any -> any any (sid:1;)").code == "unknown-protocol");
  CHECK(place("alert gopher any any -> any any (sid:1;)") == Position{1, 7});
  CHECK(refused("alert tcp $NOPE any -> any any (sid:1;)").code == "rule-address");
  CHECK(place("alert tcp 警 any -> any any (sid:1;)") == Position{1, 11});
  CHECK(refused("frob tcp any any -> any any (sid:1;)").code == "rule-syntax");
  CHECK(refused("alert tcp any any -> any any (msg:\"x\";)").code == "rule-syntax");
}

TEST_CASE("contradictions and wrong values are refused") {
  for (const char* options : {"content:\"ab\"; depth:1;",
                              "content:\"ab\"; within:1;",
                              "nocase;",
                              "content:abc;",
                              "content:\"\";",
                              "content:\"|4|\";",
                              "content:\"|4g|\";",
                              "content:\"|41\";",
                              "content:\"a\"; offset:1; distance:1;",
                              "pcre:\"/(/\";",
                              "pcre:\"/a/k\";",
                              "pcre:\"a\";",
                              "bsize:9<>3;",
                              "dsize:99999;",
                              "flow:to_server,to_client;",
                              "flow:established,not_established;",
                              "flow:sideways;",
                              "threshold:type limit, track by_src, count 1;",
                              "flowbits:set;",
                              "byte_test:1,>,x,0;",
                              "byte_test:9,>,1,0;",
                              "content:\"a\"; distance:nothing;",
                              "http.uri; http.method; content:\"a\";",
                              "http.uri;",
                              "content:\"a\"; dotprefix; nocase;",
                              "base64_data; content:\"a\";",
                              "dotprefix;",
                              "http.method; content:\"a\"; http.stat_code; content:\"2\";",
                              "isdataat:x;",
                              "urilen:;",
                              "flags:Z;",
                              "ttl:256;",
                              "sid:0;",
                              "requires: version >= 9.0.0;",
                              "requires: keyword nothing;",
                              "noalert:1;",
                              "stream-event:wrong_thread;",
                              "decode-event:afpacket.trunc_pkt;"}) {
    static_cast<void>(refused(with(options)));
  }
}

TEST_CASE("an option without its semicolon is pointed at") {
  CHECK(refused("alert tcp any any -> any any (sid:1; rev:2)").range.begin == Position{1, 38});
}

TEST_CASE("loading goes on after a refused rule; duplicates are refused") {
  RuleSetBuilder builder;
  builder.add_text(
      "a.rules",
      "alert tcp any any -> any any (sid:1;)\nalert tcp any any -> any any (nope; sid:2;)\n"
      "alert udp any any -> any any (sid:3;)\nalert udp any any -> any any (sid:1;)\n");
  const auto rules = std::move(builder).build();
  REQUIRE(rules);
  CHECK(rules->summary().loaded == 2);
  CHECK(rules->summary().rejected == 2);
  CHECK(rules->diagnostics()[0].all().at(1).code == "duplicate-rule");
}

TEST_CASE("a wrong variable and too many rules stop the build") {
  RuleSetOptions wrong;
  wrong.variables["HOME_NET"] = "10.0.0.0/99";
  CHECK_FALSE(RuleSetBuilder(wrong).build());
  RuleSetOptions few;
  few.rules_max = 1;
  RuleSetBuilder builder(few);
  builder.add_text("a.rules", "alert ip any any -> any any (sid:1;)");
  builder.add_text("b.rules", "alert ip any any -> any any (sid:2;)");
  const auto rules = std::move(builder).build();
  REQUIRE_FALSE(rules);
  CHECK(rules.error().code == ErrorCode::limit);
}

TEST_CASE("rules stand in order of action, then what sets flowbits, then priority") {
  RuleSetBuilder builder;
  builder.add_text("a.rules",
                   "alert ip any any -> any any (flowbits:isset,x; sid:1;)\n"
                   "alert ip any any -> any any (flowbits:set,x; sid:2;)\n"
                   "drop ip any any -> any any (priority:2; sid:3;)\n"
                   "drop ip any any -> any any (priority:1; sid:4;)\n"
                   "pass ip any any -> any any (sid:5;)\n");
  const auto rules = std::move(builder).build();
  REQUIRE(rules);
  std::vector<std::uint32_t> order;
  for (const RuleInfo* info : rules->rules()) order.push_back(info->sid);
  CHECK(order == std::vector<std::uint32_t>{5, 4, 3, 2, 1});
}

TEST_CASE("classification files") {
  Diagnostics diagnostics("classification.config", "");
  const auto classes = parse_classifications(
      "# c\nconfig classification: odd,Odd things,2\n\nconfig classification: x,y,0\n",
      diagnostics);
  CHECK(classes.at("odd").category == "Odd things");
  CHECK(diagnostics.errors() == 1);
}
