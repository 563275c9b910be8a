#include "policy/model/replay.hpp"

#include <catch2/catch.hpp>
#include <string>

#include "policy/policy.hpp"

namespace menshen::policy {
namespace {

Policy policy_of(const std::string& flows) {
  const std::string head = R"(domains:
  a: {networks: [10.1.0.0/16], interfaces: [a0]}
  b: {networks: [10.2.0.0/16], interfaces: [b0]}
services: {web: {tcp: [80, 443]}, dns: {udp: [53]}}
flows:
)";
  Loaded loaded = load("p.yaml", head + flows, {std::chrono::year(2026) / 11 / 23});
  INFO(loaded.diagnostics.render(Lang::en));
  REQUIRE(loaded.policy);
  return *std::move(loaded.policy);
}

RecordedFlow flow(const char* src, const char* dst, IpProto proto, std::uint16_t port,
                  WallTime time, std::string interface = {}) {
  return {*IpAddr::parse(src), *IpAddr::parse(dst), proto, port, std::move(interface), {}, 1, time};
}

}  // namespace

TEST_CASE("recorded flows tell what another policy would change, by pair and service") {
  const Policy before = policy_of(
      "  - {from: a, to: b, service: web, inspect: block}\n"
      "  - {from: b, to: a, service: dns}\n");
  const Policy after = policy_of(
      "  - {from: a, to: b, service: dns}\n"
      "  - {from: b, to: a, service: dns, inspect: alert}\n"
      "  - {from: b, to: a, service: web}\n");
  Replay replay(before, after);
  replay.add(flow("10.1.0.1", "10.2.0.1", IpProto::tcp, 80, 5));
  replay.add(flow("10.1.0.2", "10.2.0.2", IpProto::tcp, 80, 9));
  replay.add(flow("10.1.0.3", "10.2.0.2", IpProto::tcp, 80, 7));
  replay.add(flow("10.1.0.1", "10.2.0.1", IpProto::tcp, 443, 1));
  replay.add(flow("10.1.0.1", "10.2.0.1", IpProto::udp, 53, 2));
  replay.add(flow("10.2.0.1", "10.1.0.1", IpProto::udp, 53, 3));
  replay.add(flow("10.1.0.1", "10.2.0.1", IpProto::icmp, 0, 3));           // denied by both
  replay.add(flow("10.1.0.1", "10.2.0.1", IpProto::udp, 53, 4, "other"));  // spoofed for both
  CHECK(replay.flows() == 8);
  CHECK(replay.changed() == 6);
  CHECK(replay.not_shown() == 0);
  const auto rows = replay.rows();
  REQUIRE(rows.size() == 4);
  CHECK(rows[0].kind == ChangeKind::newly_passes);
  CHECK(rows[0].service == "udp/53");
  CHECK(rows[1].kind == ChangeKind::newly_blocked);
  CHECK(rows[1].service == "tcp/80");
  CHECK(rows[1].flows == 3);
  CHECK(rows[1].last == 9);
  CHECK(rows[1].example.src.to_string() == "10.1.0.2");
  CHECK((rows[1].from == "a" && rows[1].to == "b"));
  CHECK(rows[1].after.by == DecidedBy::no_line);
  CHECK(rows[2].service == "tcp/443");
  CHECK(rows[3].kind == ChangeKind::inspection);
  REQUIRE(replay.uses().size() == 3);
  CHECK(replay.uses()[0].flows == 1);
  CHECK(replay.uses()[1].last == 3);
  CHECK(replay.uses()[2].flows == 0);
}

TEST_CASE("rows of a replay are bounded, and what they leave out is counted") {
  const Policy none = policy_of("  []\n");
  const Policy all = policy_of("  - {from: a, to: b, service: any}\n");
  Replay replay(none, all);
  for (std::uint32_t port = 0; port < Replay::rows_max + 5; ++port)
    replay.add(flow("10.1.0.1", "10.2.0.1", IpProto::tcp, static_cast<std::uint16_t>(port), 1));
  CHECK(replay.rows().size() == Replay::rows_max);
  CHECK(replay.changed() == Replay::rows_max + 5);
  CHECK(replay.not_shown() == 5);
}

}  // namespace menshen::policy
