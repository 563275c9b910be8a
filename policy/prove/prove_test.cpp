#include "policy/prove/prove.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <random>

#include "policy/policy.hpp"
#include "policy/prove/trace.hpp"

namespace menshen::policy::prove {
namespace {

constexpr nft::LowerOptions lowered{.generation = 7};

Policy policy_of(const std::string& text) {
  auto loaded = load("test.yaml", text, {std::chrono::year(2026) / 11 / 23, Expired::error});
  INFO(loaded.diagnostics.render(Lang::en));
  REQUIRE(loaded.policy);
  return *std::move(loaded.policy);
}

const std::string cloud = R"(
domains:
  finance: {networks: [10.10.0.0/16, "fd00:10::/48"], interfaces: [fin0]}
  tax: {networks: [10.20.0.0/16, 10.10.7.0/24, "fd00:20::/48"], interfaces: [tax0]}
  portal: {networks: [10.30.0.0/24], interfaces: [por0, por1]}
  rest: {}
services:
  web: {tcp: [80, "8000-8100"]}
  high: {tcp: ["8080-9000"], udp: [53]}
  dns: {udp: [53], tcp: [53]}
  ping: {icmp: true}
flows:
  - {from: tax, to: portal, service: dns, action: deny, log: false}
  - {from: finance, to: portal, service: [web, ping], inspect: block}
  - {from: [finance, tax], to: portal, service: [high, dns], log: true}
  - {from: any, to: portal, service: web}
  - {from: portal, to: any, service: any, action: deny}
  - {from: any, to: rest, service: any, inspect: alert}
)";

Policy usual() {
  std::string text = cloud;
  const std::string empty = "rest: {}";
  text.replace(text.find(empty), empty.size(), "rest: {networks: [0.0.0.0/0, \"::/0\"]}");
  return policy_of(text);
}

// What the policy demands of one packet, said once more and without classes.
Outcome demanded(const Policy& policy, const Packet& packet, const nft::Ruleset& ruleset) {
  const auto dropped = [](const char* reason) { return Outcome{Fate::drop, 0, false, 0, reason}; };
  const auto passes = [](bool inspected, bool marked) {
    Outcome out{inspected ? Fate::inspect : Fate::pass, 0, false, 0, {}};
    if (inspected) out.queue = lowered.queue;
    if (marked) out.mark = inspected ? 2 : 1;
    out.reason = inspected ? "inspected" : "allowed";
    return out;
  };
  FlowQuery query;
  query.src = packet.src;
  query.dst = packet.src;
  query.in_interface = packet.in_interface;
  const Decision source = decide_by_walk(policy, query);
  if (source.by == DecidedBy::unknown_source) return dropped("unknown_source");
  if (source.by == DecidedBy::spoofed) return dropped("spoofed");
  if (packet.state == State::invalid || packet.state == State::untracked) return dropped("invalid");
  const bool error = packet.protocol == 1 || packet.protocol == 58;
  if (packet.state == State::established || (packet.state == State::related && error)) {
    if (packet.ct_mark == nft::mark_of(ruleset.generation, 1)) return passes(false, false);
    if (packet.ct_mark == nft::mark_of(ruleset.generation, 2)) return passes(true, false);
  }
  query.src = query.dst = packet.dst;
  query.in_interface = {};
  query.out_interface = packet.out_interface;
  const Decision target = decide_by_walk(policy, query);
  if (policy.domain_of(packet.dst) == domain_any) return dropped("unknown_destination");
  if (target.by == DecidedBy::misrouted) return dropped("misrouted");
  query = {};
  query.src = packet.original_src;
  query.dst = packet.original_dst;
  query.proto = static_cast<IpProto>(packet.original_protocol);
  query.dport = packet.original_port;
  const Decision decision = decide_by_walk(policy, query);
  if (decision.by == DecidedBy::line && decision.action == Action::deny)
    return dropped("denied_line");
  if (decision.action == Action::deny) return dropped("denied_default");
  return passes(decision.inspect != Inspect::none, true);
}

class Draw {
 public:
  explicit Draw(unsigned seed) : random_(seed) {}
  std::size_t below(std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(random_);
  }
  template <class T>
  const T& of(const std::vector<T>& all) {
    return all[below(all.size())];
  }
  std::mt19937& random() { return random_; }

 private:
  std::mt19937 random_;
};

IpAddr address(const char* text) { return *IpAddr::parse(text); }

Packet random_packet(Draw& draw, const nft::Ruleset& ruleset) {
  static const std::vector<IpAddr> v4{
      address("10.10.0.9"), address("10.10.7.1"), address("10.20.255.255"),  address("10.30.0.0"),
      address("10.30.1.0"), address("192.0.2.1"), address("255.255.255.255")};
  static const std::vector<IpAddr> v6{address("fd00:10::1"), address("fd00:20::9"),
                                      address("2001:db8::1"), address("::"),
                                      address("ffff:ffff::")};
  static const std::vector<std::string> names{"fin0", "tax0", "por0", "por1", "lan9"};
  static const std::vector<std::uint8_t> protocols{1, 6, 6, 6, 17, 17, 58, 47};
  static const std::vector<std::uint16_t> ports{0,    1,    53,   79,   80,   81,
                                                8000, 8080, 8101, 9000, 65535};
  Packet packet;
  packet.v6 = draw.below(2) == 0;
  const auto& addresses = packet.v6 ? v6 : v4;
  packet.src = draw.of(addresses);
  packet.dst = draw.of(addresses);
  packet.original_src = draw.of(addresses);
  packet.original_dst = draw.of(addresses);
  packet.in_interface = draw.of(names);
  packet.out_interface = draw.of(names);
  packet.protocol = draw.of(protocols);
  packet.original_protocol = draw.of(protocols);
  packet.original_port = draw.of(ports);
  packet.state = draw.of(std::vector{State::new_, State::new_, State::established, State::related,
                                     State::invalid, State::untracked});
  packet.ct_mark = draw.of(std::vector<std::uint32_t>{
      0, nft::mark_of(ruleset.generation, 1), nft::mark_of(ruleset.generation, 2),
      nft::mark_of(ruleset.generation - 1, 1), nft::mark_of(ruleset.generation, 5)});
  packet.within_limits = draw.below(2) == 0;
  return packet;
}

std::string first_of(const Report& report) {
  std::string text = words(report).en;
  for (const Text& each : report.unmodelled) text += "\n" + each.en;
  for (const CounterExample& each : report.violations) text += "\n" + each.text.en;
  return text;
}

nft::Set& set_of(nft::Ruleset& ruleset, const std::string& name) {
  return *std::find_if(ruleset.sets.begin(), ruleset.sets.end(),
                       [&](const nft::Set& set) { return set.name == name; });
}
nft::Chain& chain_of(nft::Ruleset& ruleset, const std::string& name) {
  return *std::find_if(ruleset.chains.begin(), ruleset.chains.end(),
                       [&](const nft::Chain& chain) { return chain.name == name; });
}

}  // namespace

TEST_CASE("a ruleset that was lowered from a policy is proved to be that policy") {
  const Policy policy = usual();
  const Report report = prove(policy, nft::lower(policy, lowered), lowered);
  INFO(first_of(report));
  CHECK(report.conclusion == Conclusion::proved);
  CHECK(report.domains == 4);
  CHECK(report.port_classes == 5);       // 53; 80 and 8000-8079; 8080-8100; 8101-9000; the rest
  CHECK(report.interface_classes == 5);  // four named ones and the rest
  CHECK(prove(Policy(), nft::lower(Policy(), lowered), lowered).conclusion == Conclusion::proved);
  nft::LowerOptions open = lowered;
  open.queue_bypass = true;
  CHECK(prove(policy, nft::lower(policy, open), open).conclusion == Conclusion::proved);
  CHECK(prove(policy, nft::lower(policy, open), lowered).conclusion == Conclusion::violated);
}

TEST_CASE("trace does with single packets what the policy demands") {
  const Policy policy = usual();
  const nft::Ruleset ruleset = nft::lower(policy, lowered);
  Draw draw(1);
  for (int i = 0; i < 20'000; ++i) {
    const Packet packet = random_packet(draw, ruleset);
    const Outcome found = trace(ruleset, packet).outcome;
    if (found == demanded(policy, packet, ruleset)) continue;
    FAIL(words(packet).en << ": " << words(found).en << " instead of "
                          << words(demanded(policy, packet, ruleset)).en);
  }
}

TEST_CASE("every deviation shows a packet, and the packet deviates") {
  const Policy policy = usual();
  const nft::Ruleset good = nft::lower(policy, lowered);
  struct Deviation {
    const char* what;
    void (*change)(nft::Ruleset&);
  };
  const std::vector<Deviation> deviations{
      {"a flow that no line allows",
       [](nft::Ruleset& r) {
         auto& flows = set_of(r, "flows").elements;
         auto element = flows.back();
         const std::array<std::uint32_t, 3> key{1, 2, 0};
         std::memcpy(element.first.bytes.data(), key.data(), sizeof(key));
         element.last = element.first;
         element.value = 1;
         flows.insert(std::lower_bound(flows.begin(), flows.end(), element), element);
       }},
      {"a flow is missing", [](nft::Ruleset& r) { set_of(r, "flows").elements.pop_back(); }},
      {"inspection is left out",
       [](nft::Ruleset& r) {
         for (auto& each : set_of(r, "flows").elements)
           if (each.value == 2) each.value = 1;
       }},
      {"a network is somebody else's",
       [](nft::Ruleset& r) { set_of(r, "net4").elements[2].value = 1; }},
      {"an IPv6 network is missing",
       [](nft::Ruleset& r) {
         set_of(r, "net6").elements.erase(set_of(r, "net6").elements.begin());
       }},
      {"a packet's network is somebody else's",
       [](nft::Ruleset& r) { set_of(r, "net4_24").elements[1].value = 1; }},
      {"a network that a packet is in is missing",
       [](nft::Ruleset& r) { set_of(r, "net4_16").elements.pop_back(); }},
      {"the shorter prefix first",
       [](nft::Ruleset& r) {
         auto& rules = chain_of(r, "forward").rules;
         std::swap(rules[0], rules[1]);
       }},
      {"a mask of another length",
       [](nft::Ruleset& r) {
         for (auto& each : chain_of(r, "forward").rules[0].expressions)
           if (auto* keep = std::get_if<nft::KeepPrefix>(&each)) keep->bits = 23;
       }},
      {"an interface more",
       [](nft::Ruleset& r) {
         auto& attached = set_of(r, "attached").elements;
         auto element = attached.front();
         element.first.bytes[4] = 'x';
         element.last = element.first;
         attached.push_back(element);
         std::sort(attached.begin(), attached.end());
       }},
      {"accept at the front",
       [](nft::Ruleset& r) {
         auto& rules = chain_of(r, "forward").rules;
         rules.insert(rules.begin(), nft::Rule{{nft::Verdict{nft::Verdict::Kind::accept, {}}}});
       }},
      {"accept within a rate",
       [](nft::Ruleset& r) {
         auto& rules = chain_of(r, "denied_default").rules;
         rules.insert(rules.begin(),
                      nft::Rule{{nft::Limit{10, 5}, nft::Verdict{nft::Verdict::Kind::accept, {}}}});
       }},
      {"the source is not checked",
       [](nft::Ruleset& r) {
         chain_of(r, "forward_attached").rules = {
             {{nft::Verdict{nft::Verdict::Kind::go_to, "track"}}}};
       }},
      {"established passes by itself",
       [](nft::Ruleset& r) {
         chain_of(r, "known").rules = {{{nft::Verdict{nft::Verdict::Kind::accept, {}}}}};
       }},
      {"the mark of another decision",
       [](nft::Ruleset& r) {
         std::get<nft::SetValue>(chain_of(r, "inspect").rules[0].expressions[0]).value =
             nft::mark_of(7, nft::mark_allowed);
       }},
      {"marks of an earlier generation are believed",
       [](nft::Ruleset& r) {
         auto& marks = set_of(r, "marks").elements;
         auto old = marks.front();
         old.first.bytes[1] = 6;
         old.last = old.first;
         marks.insert(marks.begin(), old);
         std::sort(marks.begin(), marks.end());
       }},
      {"no base chain", [](nft::Ruleset& r) { chain_of(r, "forward").hook = nft::Hook::none; }},
      {"a drop is not counted",
       [](nft::Ruleset& r) {
         chain_of(r, "spoofed")
             .rules.back()
             .expressions.erase(chain_of(r, "spoofed").rules.back().expressions.begin());
       }},
      {"a jump that comes back to an accept",
       [](nft::Ruleset& r) {
         chain_of(r, "invalid").rules = {{{nft::Verdict{nft::Verdict::Kind::jump_to, "nowhere"}}},
                                         {{nft::Verdict{nft::Verdict::Kind::accept, {}}}}};
         r.chains.push_back({"nowhere", nft::Hook::none, {}});
       }},
  };
  for (const Deviation& deviation : deviations) {
    INFO(deviation.what);
    nft::Ruleset bad = good;
    deviation.change(bad);
    const Report report = prove(policy, bad, lowered);
    INFO(first_of(report));
    REQUIRE(report.conclusion == Conclusion::violated);
    for (const CounterExample& each : report.violations) {
      INFO(each.text.en);
      CHECK(each.found != each.wanted);
      CHECK(trace(bad, each.packet).outcome == each.found);
      CHECK(demanded(policy, each.packet, bad) == each.wanted);
    }
  }
}

TEST_CASE("what is not modelled is listed, and nothing is proved then") {
  const Policy policy = usual();
  const nft::Ruleset good = nft::lower(policy, lowered);
  const auto check = [&](const nft::Ruleset& ruleset, const char* part) {
    const Report report = prove(policy, ruleset, lowered);
    INFO(first_of(report));
    CHECK(report.conclusion == Conclusion::unknown);
    CHECK(report.violations.empty());
    REQUIRE_FALSE(report.unmodelled.empty());
    CHECK(report.unmodelled.front().en.find(part) != std::string::npos);
  };
  nft::Ruleset other = good;
  auto& rules = chain_of(other, "denied_default").rules;
  rules.insert(rules.begin(), nft::Rule{{nft::Foreign{"bitwise"}}});
  check(other, "bitwise");
  other = good;
  other.chains.push_back({"more", nft::Hook::other, {}});
  check(other, "another hook");
  other = good;
  set_of(other, "flows").other_flags = 0x10;
  check(other, "flows");
  other = good;
  set_of(other, "net4").catch_all = true;
  check(other, "net4");
  other = good;
  set_of(other, "net4_16").interval = true;
  check(other, "a set of intervals");
  other = good;
  auto& first = chain_of(other, "forward").rules[0].expressions;
  first.insert(
      std::find_if(first.begin(), first.end(),
                   [](const auto& each) { return std::holds_alternative<nft::KeepPrefix>(each); }),
      nft::KeepPrefix{4, 4, 30});
  check(other, "a mask");
  ProveOptions options;
  options.surroundings = {{"别的表", "another table"}};
  CHECK(prove(policy, good, lowered, options).conclusion == Conclusion::unknown);
  options = {};
  options.nodes_max = 50;
  const Report report = prove(policy, good, lowered, options);
  CHECK(report.conclusion == Conclusion::unknown);
  CHECK(report.unmodelled.back().en.find("more than 50 nodes") != std::string::npos);
}

TEST_CASE("a table that is missing or switched off lets everything pass") {
  const Policy policy = usual();
  nft::LiveRuleset live;
  CHECK(prove_live(policy, live, lowered).conclusion == Conclusion::violated);
  live.present = true;
  live.ruleset = nft::lower(policy, lowered);
  CHECK(prove_live(policy, live, lowered).conclusion == Conclusion::proved);
  live.dormant = true;
  CHECK(prove_live(policy, live, lowered).conclusion == Conclusion::violated);
}

namespace {

// A policy of a few domains whose networks nest, with lines of every shape.
std::string random_policy(Draw& draw) {
  static const std::vector<std::string> names{"a", "b", "c", "d"};
  std::string text = "domains:\n";
  text += "  a: {networks: [10.10.0.0/16, \"fd00:10::/48\"], interfaces: [fin0]}\n";
  text += "  b: {networks: [10.20.0.0/16, 10.10.7.0/24], interfaces: [tax0, por1]}\n";
  text += "  c: {networks: [10.30.0.0/24, \"fd00:20::/48\"], interfaces: [por0]}\n";
  text += "  d: {networks: [10.0.0.0/8, \"2001:db8::/32\"]}\n";
  text +=
      "services:\n  w: {tcp: [80, \"8000-8100\"]}\n  x: {tcp: [\"8080-9000\"], udp: [53]}\n"
      "  y: {udp: [53], tcp: [53]}\n  z: {icmp: true}\nflows:\n";
  const std::size_t lines = 1 + draw.below(6);
  const auto some = [&](std::size_t all) {
    if (draw.below(3) == 0) return std::string("any");
    return names[draw.below(all)];
  };
  for (std::size_t i = 0; i < lines; ++i) {
    const std::string from = some(4);
    std::string to = some(4);
    while (to != "any" && to == from) to = names[draw.below(4)];
    static const std::vector<std::string> services{"w", "x", "y", "z", "any"};
    static const std::vector<std::string> rest{"", ", inspect: block", ", action: deny",
                                               ", log: true"};
    text += fmt::format("  - {{from: {}, to: {}, service: {}{}}}\n", from, to, draw.of(services),
                        draw.of(rest));
  }
  return text;
}

void deviate(nft::Ruleset& ruleset, Draw& draw) {
  for (;;) {
    nft::Set& set = ruleset.sets[draw.below(ruleset.sets.size())];
    if (set.elements.empty()) continue;
    const std::size_t at = draw.below(set.elements.size());
    if (draw.below(2) == 0 || set.data == nft::DataType::none) {
      set.elements.erase(set.elements.begin() + static_cast<std::ptrdiff_t>(at));
    } else if (set.data == nft::DataType::verdict) {
      set.elements[at].value = static_cast<std::uint32_t>(draw.below(set.verdicts.size()));
    } else {
      set.elements[at].value = static_cast<std::uint32_t>(1 + draw.below(4));
    }
    return;
  }
}

}  // namespace

TEST_CASE("random policies are proved; of changed rulesets the proof misses nothing that is seen") {
  Draw draw(2);
  int proved = 0;
  int violated = 0;
  for (int round = 0; round < 150; ++round) {
    const std::string text = random_policy(draw);
    auto loaded = load("random.yaml", text, {std::chrono::year(2026) / 11 / 23, Expired::error});
    if (!loaded.policy) continue;  // a line that another one hides
    const Policy& policy = *loaded.policy;
    nft::Ruleset ruleset = nft::lower(policy, lowered);
    INFO(text);
    const Report good = prove(policy, ruleset, lowered);
    INFO(first_of(good));
    REQUIRE(good.conclusion == Conclusion::proved);
    ++proved;

    deviate(ruleset, draw);
    const Report report = prove(policy, ruleset, lowered);
    INFO(first_of(report));
    REQUIRE(report.unmodelled.empty());
    violated += report.conclusion == Conclusion::violated ? 1 : 0;
    for (const CounterExample& each : report.violations) {
      CHECK(trace(ruleset, each.packet).outcome == each.found);
      CHECK(demanded(policy, each.packet, ruleset) == each.wanted);
    }
    for (int i = 0; i < 300; ++i) {
      const Packet packet = random_packet(draw, ruleset);
      const bool same = trace(ruleset, packet).outcome == demanded(policy, packet, ruleset);
      if (!same) {
        INFO(words(packet).en);
        REQUIRE(report.conclusion == Conclusion::violated);
      }
    }
  }
  CHECK(proved > 30);
  CHECK(violated > 20);
}

}  // namespace menshen::policy::prove
