#include "policy/model/policy.hpp"

#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <random>
#include <string>

#include "policy/model/change.hpp"
#include "policy/model/explain.hpp"
#include "policy/policy.hpp"

namespace menshen::policy {
namespace {

constexpr std::chrono::year_month_day day = std::chrono::year(2026) / 11 / 23;

Policy policy_of(const std::string& text) {
  Loaded loaded = load("p.yaml", text, {day, Expired::error});
  INFO(loaded.diagnostics.render(Lang::en));
  REQUIRE(loaded.policy);
  return *std::move(loaded.policy);
}

FlowQuery query(const char* src, const char* dst, IpProto proto, std::uint16_t port) {
  return {*IpAddr::parse(src), *IpAddr::parse(dst), proto, port, {}, {}};
}

const std::string three = R"(domains:
  a: {title: 甲, networks: [10.1.0.0/16, "fd00:1::/32"], interfaces: [a0, a1]}
  b: {networks: [10.2.0.0/16], interfaces: [b0]}
  rest: {networks: ["0.0.0.0/0", "::/0"]}
services:
  web: {tcp: [80, 443, "8000-8100"]}
  dns: {udp: [53]}
  ping: {icmp: true}
flows:
  - {from: a, to: b, service: web, inspect: block, reason: r, ticket: t}
  - {from: any, to: b, service: [dns, ping]}
  - {from: b, to: any, service: any, action: deny}
  - {from: rest, to: a, service: any}
)";

// Random policies over few names, so that lines meet often.
class Generator {
 public:
  explicit Generator(std::uint64_t seed) : random_(seed) {}

  std::string policy() {
    std::string text = "domains:\n";
    domains_ = pick(2, 5);
    for (int i = 0; i < domains_; ++i) {
      text += fmt::format(
          "  d{}: {{networks: [10.{}.0.0/16, \"fd00:{}::/32\"{}], interfaces: [i{}]}}\n", i, i, i,
          i == 0   ? ", 0.0.0.0/0"
          : i == 1 ? ", 10.0.128.0/17, \"::/0\""
                   : "",
          i);
    }
    text += "services:\n";
    const int services = pick(1, 4);
    for (int i = 0; i < services; ++i) {
      const int first = pick(1, 6);
      text += fmt::format("  s{}: {{tcp: [\"{}-{}\"], udp: [{}], icmp: {}}}\n", i, first,
                          first + pick(0, 3), pick(1, 3), pick(0, 1) == 1);
    }
    text += "flows:\n";
    for (int i = pick(0, 9); i > 0; --i) {
      text += fmt::format("  - {{from: {}, to: {}, service: {}, action: {}}}\n", domain(), domain(),
                          pick(0, 3) == 0 ? "any" : fmt::format("s{}", pick(0, services - 1)),
                          pick(0, 1) == 1 ? "allow" : "deny");
    }
    return text;
  }
  FlowQuery flow() {
    static constexpr std::array protocols{IpProto::tcp,  IpProto::tcp,    IpProto::udp,
                                          IpProto::icmp, IpProto::icmpv6, IpProto::gre};
    const bool v6 = pick(0, 1) == 1;
    FlowQuery out{address(v6),
                  address(v6),
                  protocols.at(static_cast<std::size_t>(pick(0, 5))),
                  static_cast<std::uint16_t>(pick(0, 10)),
                  {},
                  {}};
    if (pick(0, 3) == 0) out.in_interface = interface();
    if (pick(0, 3) == 0) out.out_interface = interface();
    return out;
  }

 private:
  int pick(int low, int high) { return std::uniform_int_distribution(low, high)(random_); }
  std::string domain() {
    return pick(0, 4) == 0 ? "any" : fmt::format("d{}", pick(0, domains_ - 1));
  }
  std::string_view interface() {
    static constexpr std::array<std::string_view, 4> names{"i0", "i1", "i2", "unclaimed"};
    return names.at(static_cast<std::size_t>(pick(0, 3)));
  }
  IpAddr address(bool v6) {
    const auto net = static_cast<unsigned>(pick(0, 6));
    if (v6) {
      return *IpAddr::parse(pick(0, 5) == 0 ? "2001:db8::1" : fmt::format("fd00:{}::{}", net, net));
    }
    return IpAddr::v4(pick(0, 5) == 0
                          ? 0xc0000201U
                          : 10U << 24 | net << 16 | (pick(0, 1) == 1 ? 0x8000U : 0U) | net);
  }

  std::mt19937_64 random_;
  int domains_ = 2;
};

}  // namespace

TEST_CASE("the first line that covers a flow decides it") {
  const Policy policy = policy_of(three);
  const auto line_of = [&](const FlowQuery& q) {
    const Decision d = policy.decide(q);
    return d.by == DecidedBy::line ? static_cast<int>(policy.lines()[d.line].position.line) : 0;
  };
  CHECK(line_of(query("10.1.0.1", "10.2.0.1", IpProto::tcp, 80)) == 10);
  CHECK(line_of(query("10.1.0.1", "10.2.0.1", IpProto::tcp, 8100)) == 10);
  CHECK(line_of(query("10.1.0.1", "10.2.0.1", IpProto::tcp, 8101)) == 0);
  CHECK(line_of(query("10.1.0.1", "10.2.0.1", IpProto::udp, 53)) == 11);
  CHECK(line_of(query("10.1.0.1", "10.2.0.1", IpProto::udp, 80)) == 0);
  CHECK(line_of(query("192.0.2.1", "10.2.0.1", IpProto::icmp, 0)) == 11);
  CHECK(line_of(query("10.2.0.1", "10.1.0.1", IpProto::gre, 0)) == 12);
  CHECK(line_of(query("192.0.2.1", "10.1.0.1", IpProto::tcp, 22)) == 13);
  CHECK(line_of(query("2001:db8::1", "fd00:1::1", IpProto::tcp, 22)) == 13);
  const Decision inspected = policy.decide(query("10.1.0.1", "10.2.0.1", IpProto::tcp, 443));
  CHECK(inspected.action == Action::allow);
  CHECK(inspected.inspect == Inspect::block);
  CHECK_FALSE(inspected.log);
}

TEST_CASE("interfaces are held against the domains at both ends") {
  const Policy policy = policy_of(three);
  const auto by = [&](std::string_view in, std::string_view out) {
    FlowQuery q = query("10.1.0.1", "10.2.0.1", IpProto::tcp, 80);
    q.in_interface = in;
    q.out_interface = out;
    return policy.decide(q).by;
  };
  CHECK(by("a0", "b0") == DecidedBy::line);
  CHECK(by("a1", "") == DecidedBy::line);
  CHECK(by("b0", "b0") == DecidedBy::spoofed);
  CHECK(by("eth9", "b0") == DecidedBy::spoofed);
  CHECK(by("a0", "a0") == DecidedBy::misrouted);
  // A domain without interfaces has all that nobody claims.
  FlowQuery q = query("192.0.2.1", "10.1.0.1", IpProto::tcp, 80);
  q.in_interface = "eth9";
  CHECK(policy.decide(q).by == DecidedBy::line);
  q.in_interface = "b0";
  CHECK(policy.decide(q).by == DecidedBy::spoofed);
}

TEST_CASE("an empty policy passes nothing") {
  const Decision decision = Policy().decide(query("10.1.0.1", "10.2.0.1", IpProto::tcp, 80));
  CHECK(decision.action == Action::deny);
  CHECK(decision.by == DecidedBy::unknown_source);
}

TEST_CASE("the decision table agrees with a walk over the lines") {
  const std::uint64_t base = std::random_device{}();
  std::size_t decided = 0;
  for (std::uint64_t i = 0; i < 3'000; ++i) {
    const std::uint64_t seed = i < 2'000 ? i : base + i;
    Generator generator(seed);
    const std::string text = generator.policy();
    const Loaded loaded = load("random.yaml", text, {day, Expired::error});
    if (!loaded.policy) continue;  // a hidden line: refused
    for (int j = 0; j < 40; ++j) {
      const FlowQuery q = generator.flow();
      const Decision table = loaded.policy->decide(q);
      const Decision walk = decide_by_walk(*loaded.policy, q);
      if (table == walk) {
        decided += table.by == DecidedBy::line ? 1 : 0;
        continue;
      }
      INFO("seed " << seed << "\n"
                   << text << q.src.to_string() << " -> " << q.dst.to_string() << " proto "
                   << static_cast<int>(q.proto) << " port " << q.dport << "\ntable: line "
                   << table.line << " " << name_of(table.by) << ", walk: line " << walk.line << " "
                   << name_of(walk.by));
      FAIL_CHECK("the table and the walk differ");
      return;
    }
  }
  CHECK(decided > 1'000);
}

TEST_CASE("explain tells the line, or why none") {
  const Policy policy = policy_of(three);
  const Explanation allowed = explain(policy, query("10.1.0.1", "10.2.0.1", IpProto::tcp, 80));
  CHECK(allowed.from == "a");
  CHECK(allowed.to == "b");
  CHECK(allowed.line == Position{10, 5});
  CHECK(allowed.reason.en ==
        "allowed and inspected: attacks are dropped: decided by p.yaml:10 (r, t)");
  CHECK(allowed.reason.zh == "放行并检测，攻击阻断：由 p.yaml:10 决定（r, t）");

  const Explanation denied = explain(policy, query("10.1.0.1", "10.2.0.1", IpProto::tcp, 22));
  CHECK(denied.line.line == 0);
  CHECK(denied.reason.en == "denied: no line allows a (甲) -> b tcp/22; the default is to deny");
  REQUIRE(denied.why_not.size() == 3);
  CHECK(denied.why_not[0].en == "line 10 covers only web");
  CHECK(denied.why_not[1].en == "line 11 covers only dns,ping");
  CHECK(denied.why_not[2].en == "line 12 is for the other direction (any)");

  FlowQuery spoofed = query("10.1.0.1", "10.2.0.1", IpProto::tcp, 80);
  spoofed.in_interface = "b0";
  CHECK(explain(policy, spoofed).reason.en ==
        "denied: addresses of domain a (甲) do not come in by interface b0 (spoofed)");
}

TEST_CASE("what another policy changes is told by pair and service") {
  const std::string domains = R"(domains:
  a: {networks: [10.1.0.0/16], interfaces: [a0]}
  b: {networks: [10.2.0.0/16], interfaces: [b0]}
)";
  const std::string services = "services: {web: {tcp: [80, 443]}, high: {tcp: [\"8000-8100\"]}}\n";
  const Policy old_one =
      policy_of(domains + services + "flows:\n  - {from: a, to: b, service: [web, high]}\n");
  const Policy new_one = policy_of(
      "domains:\n  a: {networks: [10.1.0.0/16, 10.9.0.0/16], interfaces: [a0]}\n"
      "  b: {networks: [10.2.0.0/16], interfaces: [b0]}\n"
      "services: {tls: {tcp: [443]}, high: {tcp: [\"8050-8200\"]}, ping: {icmp: true}}\n"
      "flows:\n  - {from: a, to: b, service: tls, inspect: alert}\n"
      "  - {from: a, to: b, service: [high, ping]}\n");
  std::vector<std::string> lines;
  for (const Change& change : changes_between(old_one, new_one)) lines.push_back(change.text.en);
  CHECK(lines == std::vector<std::string>{
                     "domain a: [10.1.0.0/16 a0] -> [10.1.0.0/16 10.9.0.0/16 a0]",
                     "a -> b tcp/80: allowed -> denied",
                     "a -> b tcp/443: allowed -> allowed, inspected (alert)",
                     "a -> b tcp/8000-8049: allowed -> denied",
                     "a -> b tcp/8101-8200: denied -> allowed",
                     "a -> b icmp: denied -> allowed",
                 });
  CHECK(changes_between(old_one, old_one).empty());
  CHECK(changes_between(Policy(), old_one).size() == 5);
}

}  // namespace menshen::policy
