#include "policy/nft/lower.hpp"

#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>

#include "base/file.hpp"
#include "policy/nft/drift.hpp"
#include "policy/nft/reason.hpp"
#include "policy/policy.hpp"

namespace menshen::policy::nft {
namespace {

Policy policy_of(const std::string& text) {
  Loaded loaded = load("p.yaml", text, {std::chrono::year(2026) / 11 / 23, Expired::error});
  INFO(loaded.diagnostics.render(Lang::en));
  REQUIRE(loaded.policy);
  return *std::move(loaded.policy);
}

const std::string small = R"(domains:
  a: {networks: [10.1.0.0/16], interfaces: [a0]}
  b: {networks: [10.2.0.0/16, "fd00:2::/32"], interfaces: [b0]}
services:
  web: {tcp: [80, "8000-8100"]}
flows:
  - {from: a, to: b, service: web, inspect: block}
)";

const Set& set_of(const Ruleset& ruleset, std::string_view name) {
  for (const Set& each : ruleset.sets)
    if (each.name == name) return each;
  FAIL("no set " << name);
  std::abort();
}

}  // namespace

// UPDATE_GOLDEN=1 writes the file anew; review the difference.
TEST_CASE("a policy lowers to the ruleset of lower.golden") {
  const std::filesystem::path golden = MENSHEN_SOURCE_DIR "/policy/nft/lower.golden";
  const std::string text = to_text(lower(policy_of(small), {.generation = 5}));
  if (::secure_getenv("UPDATE_GOLDEN") != nullptr) REQUIRE(write_file_atomic(golden, text));
  const auto expected = read_file(golden);
  REQUIRE(expected);
  CHECK(text == *expected);
}

TEST_CASE("rules do not grow with the policy") {
  const auto rules = [](const Ruleset& ruleset) {
    std::size_t count = 0;
    for (const Chain& chain : ruleset.chains) count += chain.rules.size();
    return count;
  };
  std::string text = "domains:\n";
  for (int i = 0; i < 200; ++i) {
    const std::string n = std::to_string(i);
    text += fmt::format("  d{0}: {{networks: [10.{0}.0.0/16], interfaces: [i{0}]}}\n", n);
  }
  text += "services:\n  web: {tcp: [80, \"8000-8100\"]}\nflows:\n";
  for (int i = 1; i < 200; ++i)
    text += "  - {from: d" + std::to_string(i) + ", to: d0, service: web, inspect: block}\n";
  const Ruleset large = lower(policy_of(text), {.generation = 5});
  CHECK(rules(large) == rules(lower(policy_of(small), {.generation = 5})));
  CHECK(set_of(large, "flows").elements.size() == 199 + 200);
  CHECK(to_text(large).find("... 199 more") != std::string::npos);
}

namespace {

// The maps that packets' sources are looked up in, in order.
std::vector<std::string> source_maps(const std::string& domains) {
  const Ruleset ruleset = lower(policy_of("domains:\n" + domains), {.generation = 5});
  std::vector<std::string> out;
  for (const Chain& chain : ruleset.chains) {
    if (chain.hook != Hook::forward) continue;
    for (const Rule& rule : chain.rules)
      for (const Expression& each : rule.expressions)
        if (const auto* lookup = std::get_if<Lookup>(&each)) out.push_back(lookup->set);
  }
  return out;
}

}  // namespace

TEST_CASE("packets are looked up by prefix length, the longest first") {
  using Names = std::vector<std::string>;
  CHECK(source_maps("  a: {networks: [10.0.0.0/8, 192.0.2.1], interfaces: [a0]}\n"
                    "  b: {networks: [10.2.0.0/16, \"fd00:2::/32\"], interfaces: [b0]}\n"
                    "  c: {networks: [172.16.0.0/16]}\n") ==
        Names{"net4_32", "net4_16_any", "net4_16", "net4_8", "net6_32"});
  const std::string four =
      "  a: {networks: [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 192.0.2.0/24]}\n";
  CHECK(source_maps(four) ==
        Names{"net4_24_any", "net4_16_any", "net4_12_any", "net4_8_any", "net6"});
  // One length more, and networks with addresses that are no domain's.
  CHECK(source_maps(four + "  b: {networks: [198.51.100.0/25]}\n") == Names{"net4", "net6"});
  CHECK(source_maps("  all: {networks: [0.0.0.0/0, \"::/0\"]}\n") == Names{"net4_0_any", "net6"});
  CHECK(source_maps("  all: {networks: [\"::/80\"]}\n") == Names{"net4", "net6"});
  CHECK(source_maps("  all: {networks: [\"::1:0:0:0/80\"]}\n") == Names{"net4", "net6_80_any"});
}

TEST_CASE("IPv6 never covers IPv4 written as IPv6") {
  const Ruleset ruleset =
      lower(policy_of("domains: {all: {networks: [\"::/0\"]}}\n"), {.generation = 5});
  std::vector<std::string> ranges;
  const Set& net6 = set_of(ruleset, "net6");
  for (const Element& element : net6.elements) ranges.push_back(to_text(net6, element));
  CHECK(ranges ==
        std::vector<std::string>{"::-::fffe:ffff:ffff : 1",
                                 "::1:0:0:0-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff : 1"});
}

TEST_CASE("every reason has a name, a help text and its counter") {
  const Ruleset ruleset = lower(policy_of(small), {.generation = 5});
  std::set<std::string> counters;
  for (const Counter& counter : ruleset.counters) counters.insert(counter.name);
  for (std::size_t i = 0; i < reasons; ++i) {
    const ReasonInfo& each = info(static_cast<Reason>(i));
    CHECK_FALSE(each.help.zh.empty());
    CHECK_FALSE(each.help.en.empty());
    CHECK(counters.count(std::string(each.name)) == 1);
    CHECK(parse_reason("menshen:" + std::string(each.name) + " ") == static_cast<Reason>(i));
  }
  CHECK_FALSE(parse_reason("menshen:nonsense"));
  CHECK_FALSE(parse_reason(""));
}

TEST_CASE("two rulesets are compared rule by rule and element by element") {
  const Ruleset want = lower(policy_of(small), {.generation = 5});
  LiveRuleset live{true, false, want};
  CHECK(compare(want, live).empty());
  live.ruleset.counters[0].value = {7, 700};
  CHECK(compare(want, live).empty());

  live.ruleset = lower(policy_of(small), {.generation = 6});
  std::set<std::string_view> kinds;
  for (const Drift& drift : compare(want, live)) kinds.insert(name_of(drift.kind));
  CHECK(kinds == std::set<std::string_view>{"element_missing", "element_added", "rule_changed"});

  live.present = false;
  REQUIRE(compare(want, live).size() == 1);
  CHECK(compare(want, live)[0].kind == DriftKind::table_missing);
}

TEST_CASE("the list of differences is bounded, and says that it is") {
  Ruleset want = lower(policy_of(small), {.generation = 5});
  LiveRuleset live{true, false, want};
  Set& flows = const_cast<Set&>(set_of(live.ruleset, "flows"));
  for (std::uint8_t i = 10; i < 250; ++i) {
    Element element;
    element.first.bytes[0] = element.last.bytes[0] = i;
    flows.elements.push_back(element);
  }
  std::sort(flows.elements.begin(), flows.elements.end());
  const auto drifts = compare(want, live);
  CHECK(drifts.size() == drifts_max + 1);
  CHECK(drifts.back().text.en.find("and more") == 0);
}

}  // namespace menshen::policy::nft
