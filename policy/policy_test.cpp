// Whole files in, every mistake out: places, carets and words as a person sees them.
#include "policy/policy.hpp"
#include "policy/model/explain.hpp"
#include "policy/nft/lower.hpp"
#include "policy/prove/prove.hpp"

#include <catch2/catch.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "base/file.hpp"
#include "tests/testkit/fake_clock.hpp"

namespace menshen::policy {
namespace {

constexpr std::chrono::year_month_day day = std::chrono::year(2026) / 11 / 23;

Loaded load_text(const std::string& text, Expired expired = Expired::error) {
  return load("p.yaml", text, {day, expired});
}

std::vector<std::string> codes(const Loaded& loaded) {
  std::vector<std::string> out;
  for (const Diagnostic& each : loaded.diagnostics.all()) {
    out.push_back(std::to_string(each.range.begin.line) + ":" +
                  std::to_string(each.range.begin.column) + " " + each.code);
  }
  return out;
}

const std::string head = R"(domains:
  a: {networks: [10.1.0.0/16], interfaces: [a0]}
  b: {networks: [10.2.0.0/16], interfaces: [b0]}
services:
  web: {tcp: [80, 443]}
  all: {tcp: ["1-65535"]}
flows:
)";

}  // namespace

TEST_CASE("every mistake of a file is shown in one run, in the order of the file") {
  const Loaded loaded = load_text(R"(version: 1
domains:
  finance: {title: 财政局, networks: [10.10.0.1/16, 10.10.0.0/16], interfaces: [fin0], colour: red}
  Tax: {networks: [10.20.0.0/33]}
  portal: {networks: [10.30.0.0/24, 10.10.0.0/16], interfaces: [fin0], level: 5}
  empty: {}
services:
  web: {tcp: [80, "443-80", 70000, x]}
  none: {}
flows:
  - {from: finance, to: portl, service: wbe}
  - {from: finance, to: finance, service: any, inspect: blok}
  - {from: finance, service: web, expires: 2026-02-30}
  - {from: [], to: portal, service: any, action: deny, inspect: alert}
  - 7
flow: []
)");
  CHECK_FALSE(loaded.policy);
  CHECK(codes(loaded) == std::vector<std::string>{
                             "3:36 bad-network",
                             "3:85 unknown-key",
                             "4:3 bad-name",
                             "4:20 bad-network",
                             "5:37 overlapping-networks",
                             "5:65 duplicate-interface",
                             "5:79 out-of-range",
                             "6:3 empty-domain",
                             "8:19 bad-port",
                             "8:29 bad-port",
                             "8:36 bad-port",
                             "9:3 empty-service",
                             "9:3 unused-service",
                             "11:25 unknown-domain",
                             "11:41 unknown-service",
                             "12:25 same-domain",
                             "12:57 bad-value",
                             "13:5 missing-key",
                             "13:44 bad-date",
                             "14:12 empty-list",
                             "14:65 inspect-denied",
                             "15:5 wrong-type",
                             "16:1 unknown-key",
                         });
}

TEST_CASE("the caret stands under what is wrong, behind Chinese text too") {
  const Loaded loaded = load_text(
      "domains:\n"
      "  finance: {title: 财政局, networks: [10.10.0.0/16], interfaces: [fin0]}\n"
      "  portal: {networks: [10.30.0.0/24]}\n"
      "services:\n"
      "  web: {tcp: [80]}\n"
      "flows:\n"
      "  - {reason: 财政, from: finance, to: portl, service: web}\n");
  CHECK(loaded.diagnostics.render(Lang::en) ==
        "p.yaml:7:37: error: unknown domain \"portl\"; did you mean \"portal\"? [unknown-domain]\n"
        "   7 |   - {reason: 财政, from: finance, to: portl, service: web}\n"
        "     |                                       ^~~~~\n");
  CHECK(loaded.diagnostics.render(Lang::zh).find("未定义的安全域“portl”，是否为“portal”？") !=
        std::string::npos);
}

TEST_CASE("a line that never takes effect names the lines that hide it") {
  const Loaded loaded = load_text(head +
                                  "  - {from: a, to: b, service: all}\n"
                                  "  - {from: a, to: b, service: web}\n"
                                  "  - {from: a, to: b, service: web, action: deny}\n"
                                  "  - {from: b, to: a, service: web, inspect: block}\n"
                                  "  - {from: b, to: a, service: web, inspect: alert}\n"
                                  "  - {from: b, to: a, service: any, action: deny}\n");
  REQUIRE(codes(loaded) == std::vector<std::string>{"9:5 shadowed-flow", "10:5 conflicting-flow",
                                                    "12:5 conflicting-flow"});
  const auto& notes = loaded.diagnostics.all()[1].notes;
  REQUIRE(notes.size() == 1);
  CHECK(notes[0].range.begin.line == 8);
  CHECK(notes[0].text.en == "line 8 matches first");
}

TEST_CASE("several lines together may hide one") {
  const Loaded loaded = load_text(R"(domains:
  a: {networks: [10.1.0.0/16], interfaces: [a0]}
  b: {networks: [10.2.0.0/16], interfaces: [b0]}
services:
  web: {tcp: [80]}
  tls: {tcp: [443]}
  both: {tcp: [80, 443]}
flows:
  - {from: a, to: b, service: web}
  - {from: a, to: b, service: tls}
  - {from: a, to: b, service: both}
)");
  REQUIRE(codes(loaded) == std::vector<std::string>{"11:5 shadowed-flow"});
  CHECK(loaded.diagnostics.all()[0].notes.size() == 2);
}

TEST_CASE("a deny behind a wider allow is warned of where only a part is lost") {
  const Loaded loaded = load_text(head +
                                  "  - {from: a, to: b, service: web}\n"
                                  "  - {from: a, to: b, service: all, action: deny}\n");
  CHECK(loaded.policy);
  CHECK(codes(loaded) == std::vector<std::string>{"9:5 partly-shadowed-flow"});
}

TEST_CASE("a line holds through its last day") {
  const auto flow = [](const std::string& date) {
    return head + "  - {from: a, to: b, service: [web, all], expires: " + date + "}\n";
  };
  CHECK(load_text(flow("2026-11-23")).policy);
  const Loaded over = load_text(flow("2026-11-22"));
  CHECK_FALSE(over.policy);
  CHECK(codes(over) == std::vector<std::string>{"8:52 expired-flow"});

  const Loaded omitted = load_text(flow("2026-11-22"), Expired::omit);
  REQUIRE(omitted.policy);
  CHECK(omitted.diagnostics.warnings() == 1);
  CHECK(omitted.policy->lines().empty());
  CHECK_FALSE(omitted.policy->next_expiry());
  CHECK(load_text(flow("2026-11-23")).policy->next_expiry() == day);
}

TEST_CASE("networks may nest only behind different attachments") {
  const auto two = [](const std::string& a, const std::string& b) {
    return load_text("domains:\n  a: {" + a + "}\n  b: {" + b + "}\n");
  };
  const auto ok = [](const Loaded& loaded) { return loaded.policy.has_value(); };
  CHECK(ok(two("networks: [10.0.0.0/8], interfaces: [a0]", "networks: [10.1.0.0/16]")));
  CHECK_FALSE(ok(two("networks: [10.0.0.0/8]", "networks: [10.1.0.0/16]")));
  // The kernel knows a domain by its addresses alone, so equal ones cannot be told apart.
  CHECK_FALSE(ok(
      two("networks: [10.0.0.0/8], interfaces: [a0]", "networks: [10.0.0.0/8], interfaces: [b0]")));
  CHECK_FALSE(ok(two("interfaces: [a0]", "interfaces: [b0]")));
  CHECK(ok(two("networks: [10.0.0.0/8, 10.1.0.0/16, 10.0.0.0/8]", "interfaces: [b0]")));
  CHECK(two("networks: [10.0.0.0/8, 10.1.0.0/16]", "interfaces: [b0]").diagnostics.warnings() == 1);
}

TEST_CASE("limits of names and texts hold at the limit") {
  const auto domain = [](const std::string& name, const std::string& title,
                         const std::string& interface) {
    return load_text("domains:\n  " + name + ": {title: " + title + ", interfaces: [" + interface +
                     "]}\n")
        .policy.has_value();
  };
  CHECK(domain(std::string(63, 'a'), std::string(1024, 't'), std::string(15, 'i')));
  CHECK_FALSE(domain(std::string(64, 'a'), "t", "i"));
  CHECK_FALSE(domain("a", std::string(1025, 't'), "i"));
  CHECK_FALSE(domain("a", "t", std::string(16, 'i')));
  CHECK_FALSE(domain("any", "t", "i"));
  CHECK_FALSE(domain("a", "t", "\"x/y\""));
}

TEST_CASE("a policy too large to compile is refused, not attempted") {
  // Every domain to every domain, port by port: 1500 x 1500 x 2 entries.
  std::string text = "domains:\n";
  std::string names;
  for (int i = 0; i < 1500; ++i) {
    const std::string name = "d" + std::to_string(i);
    text += "  " + name + ": {networks: [10." + std::to_string(i / 250) + "." +
            std::to_string(i % 250) + ".0/24], interfaces: [" + name + "]}\n";
  }
  text += "services: {x: {tcp: [1]}, y: {tcp: [2]}}\nflows:\n";
  for (int i = 0; i < 1500; ++i)
    text += "  - {from: d" + std::to_string(i) + ", to: any, service: any, log: true}\n";
  for (int i = 0; i < 1500; ++i)
    text += "  - {from: any, to: d" + std::to_string(i) + ", service: [x, y], action: deny}\n";
  const Loaded loaded = load_text(text);
  CHECK_FALSE(loaded.policy);
  const auto all = codes(loaded);
  CHECK(std::find(all.begin(), all.end(), "1:1 policy-too-large") != all.end());
}

TEST_CASE("an empty or foreign text is told so") {
  CHECK(codes(load_text("")).size() == 1);
  CHECK(codes(load_text("[1, 2]")) == std::vector<std::string>{"1:1 wrong-type"});
  CHECK(codes(load_text("domains: 7\nservices: x\nflows: {}\n")).size() == 3);
  CHECK_FALSE(load_text("{").policy);
  CHECK_FALSE(load_text("version: 2\ndomains: {a: {interfaces: [a]}}\n").policy);
}

TEST_CASE("the demonstration policy loads and says what it should") {
  const auto source = read_file(MENSHEN_SOURCE_DIR "/rules/policies/demo.yaml");
  REQUIRE(source);
  const Loaded loaded = load("demo.yaml", *source, {day, Expired::error});
  INFO(loaded.diagnostics.render(Lang::en));
  REQUIRE(loaded.policy);
  CHECK(loaded.diagnostics.all().empty());
  const auto decide = [&](const char* src, const char* dst, IpProto proto, std::uint16_t port) {
    return loaded.policy->decide({*IpAddr::parse(src), *IpAddr::parse(dst), proto, port, {}, {}});
  };
  CHECK(decide("10.10.0.1", "10.30.0.1", IpProto::tcp, 80).inspect == Inspect::block);
  CHECK(decide("fd00:20::1", "fd00:30::1", IpProto::udp, 53).inspect == Inspect::alert);
  CHECK(decide("203.0.113.9", "10.30.0.1", IpProto::tcp, 443).action == Action::allow);
  CHECK(decide("203.0.113.9", "10.10.0.1", IpProto::tcp, 443).action == Action::deny);
  CHECK(decide("10.10.0.1", "10.20.0.1", IpProto::tcp, 80).by == DecidedBy::no_line);
  CHECK(decide("fd00:10::1", "fd00:20::1", IpProto::tcp, 80).by == DecidedBy::no_line);
}

TEST_CASE("every example policy loads without a word") {
  std::size_t files = 0;
  for (const auto& file :
       std::filesystem::directory_iterator(MENSHEN_SOURCE_DIR "/rules/policies")) {
    const Loaded loaded =
        load(file.path().filename(), *read_file(file.path()), {day, Expired::error});
    INFO(loaded.diagnostics.render(Lang::en));
    CHECK(loaded.policy);
    CHECK(loaded.diagnostics.all().empty());
    ++files;
  }
  CHECK(files >= 2);
}

TEST_CASE("today is the local day") {
  testkit::FakeClock clock;
  clock.advance(std::chrono::hours(4));  // 12:00 UTC: the same day from UTC-12 to UTC+11
  CHECK(today(clock) == day);
}

TEST_CASE("a group stands for its domains, and a line to itself for them among each other") {
  const std::string head = R"(
domains:
  a: {networks: [10.1.0.0/16], interfaces: [a0]}
  b: {networks: [10.2.0.0/16], interfaces: [b0]}
  c: {networks: [10.3.0.0/16], interfaces: [c0]}
groups:
  both: [a, b]
  alone: c
services: {web: {tcp: [80]}}
flows:
)";
  const auto read = [&](const std::string& flows) {
    return load("groups.yaml", head + flows, {std::chrono::year(2026) / 11 / 23, Expired::error});
  };
  const auto loaded = read("  - {from: both, to: [both, alone], service: web, author: \"Li\"}\n");
  INFO(loaded.diagnostics.render(Lang::en));
  REQUIRE(loaded.policy);
  const Policy& policy = *loaded.policy;
  CHECK(policy.lines()[0].from == std::vector<DomainId>{1, 2});
  CHECK(policy.lines()[0].to == std::vector<DomainId>{1, 2, 3});
  const auto passes = [&](const char* src, const char* dst, std::uint16_t port) {
    const FlowQuery query{*IpAddr::parse(src), *IpAddr::parse(dst), IpProto::tcp, port, {}, {}};
    CHECK(policy.decide(query) == decide_by_walk(policy, query));
    return policy.decide(query).action == Action::allow;
  };
  CHECK(passes("10.1.0.1", "10.2.0.1", 80));
  CHECK(passes("10.2.0.1", "10.1.0.1", 80));
  CHECK(passes("10.2.0.1", "10.3.0.1", 80));
  CHECK_FALSE(passes("10.3.0.1", "10.1.0.1", 80));
  CHECK_FALSE(passes("10.1.0.1", "10.2.0.1", 81));
  CHECK(passes("10.1.0.1", "10.1.0.2", 22));  // inside a domain, as ever
  const auto why = explain(
      policy, {*IpAddr::parse("10.1.0.1"), *IpAddr::parse("10.2.0.1"), IpProto::tcp, 80, {}, {}});
  CHECK(why.reason.en.find("Li") != std::string::npos);
  const nft::LowerOptions lowered{.generation = 7};
  CHECK(prove::prove(policy, nft::lower(policy, lowered), lowered).conclusion ==
        prove::Conclusion::proved);

  const auto code = [&](const std::string& flows) {
    const auto bad = read(flows);
    return bad.diagnostics.all().empty() ? std::string() : bad.diagnostics.all().front().code;
  };
  CHECK(code("  - {from: alone, to: c, service: web}\n") == "same-domain");
  CHECK(code("  - {from: nobody, to: both, service: web}\n") == "unknown-domain");
}

}  // namespace menshen::policy
