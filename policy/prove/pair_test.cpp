#include "policy/prove/pair.hpp"

#include <algorithm>
#include <catch2/catch.hpp>

#include "policy/policy.hpp"
#include "policy/prove/prove.hpp"

namespace menshen::policy::prove {
namespace {

Policy policy_of(const std::string& flows) {
  auto loaded = load("test.yaml", R"(
domains:
  a: {networks: [10.1.0.0/16, "fd00:1::/48"], interfaces: [a0]}
  b: {networks: [10.2.0.0/16], interfaces: [b0]}
  c: {networks: [10.3.0.0/16, "fd00:3::/48"]}
services:
  web: {tcp: [80, "8000-8100"]}
  dns: {udp: [53], tcp: [53]}
  ping: {icmp: true}
flows:
)" + flows,
                     {std::chrono::year(2026) / 11 / 23, Expired::error});
  INFO(loaded.diagnostics.render(Lang::en));
  REQUIRE(loaded.policy);
  return *std::move(loaded.policy);
}

std::vector<Line> lines_of(const Policy& policy, DomainId from, DomainId to) {
  std::vector<Line> out;
  const auto in = [](const std::vector<DomainId>& list, DomainId id) {
    return list.empty() || std::find(list.begin(), list.end(), id) != list.end();
  };
  for (const Line& line : policy.lines())
    if (in(line.from, from) && in(line.to, to)) out.push_back(line);
  return out;
}

}  // namespace

TEST_CASE("a changed pair is proved again, and a line that is not lowered is seen") {
  const nft::LowerOptions lowered{.generation = 7};
  const Policy before = policy_of(
      "  - {from: a, to: c, service: dns}\n  - {from: a, to: b, service: ping}\n"
      "  - {from: any, to: c, service: web, inspect: block}\n");
  const Policy after = policy_of(
      "  - {from: a, to: c, service: [dns, web]}\n"
      "  - {from: a, to: b, service: ping}\n"
      "  - {from: any, to: c, service: web, inspect: block}\n");
  const nft::Ruleset old = nft::lower(before, lowered);
  const nft::Ruleset now = nft::lower(after, lowered);
  REQUIRE(prove(before, old, lowered).conclusion == Conclusion::proved);
  const PairProver prover(before, old, lowered);
  const DomainId a = 1;
  const DomainId c = 3;
  CHECK_FALSE(prover.difference(old, a, c, lines_of(before, a, c)));
  CHECK_FALSE(prover.difference(now, a, c, lines_of(after, a, c)));
  const auto missing = prover.difference(old, a, c, lines_of(after, a, c));
  REQUIRE(missing);
  CHECK(missing->original_protocol == 6);
  CHECK((missing->original_port == 80 || missing->original_port == 8000));
  const auto extra = prover.difference(now, a, c, lines_of(before, a, c));
  REQUIRE(extra);
  for (DomainId from = 1; from <= 3; ++from)
    for (DomainId to = 1; to <= 3; ++to)
      if (from != to) CHECK_FALSE(prover.difference(now, from, to, lines_of(after, from, to)));
}

}  // namespace menshen::policy::prove
