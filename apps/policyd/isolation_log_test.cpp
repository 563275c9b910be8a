#include "apps/policyd/isolation_log.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace menshen::apps {
namespace {

using policy::nft::DroppedPacket;
using policy::nft::Reason;

std::shared_ptr<const policy::Policy> two_domains(const std::string& flows = "flows: []\n") {
  auto loaded = policy::load("two.yaml",
                             "domains:\n"
                             "  a: {networks: [10.1.0.0/16], interfaces: [a0]}\n"
                             "  b: {networks: [10.2.0.0/16], interfaces: [b0]}\n" +
                                 flows,
                             {std::chrono::year(2026) / 11 / 23});
  INFO(loaded.diagnostics.render(Lang::en));
  REQUIRE(loaded.policy);
  return std::make_shared<const policy::Policy>(std::move(*loaded.policy));
}

DroppedPacket packet(std::uint16_t sport, std::uint16_t dport) {
  DroppedPacket out;
  out.time = 1'000'000'000;
  out.tuple = {
      *IpAddr::parse("10.1.0.1"), *IpAddr::parse("10.2.0.1"), sport, dport, 0, IpProto::tcp, 0};
  out.tuple_known = true;
  out.reason = Reason::denied_default;
  out.length = 60;
  out.in_interface = "a0";
  return out;
}

TEST_CASE("attempts between the same domains at the same port are one record with their number") {
  IsolationLog isolation(10);
  isolation.set_policy(two_domains());
  for (std::uint16_t port = 1; port <= 5; ++port) isolation.add(packet(port, 80));
  const auto records = isolation.take();
  REQUIRE(records.size() == 1);
  const audit::Record& record = records.front();
  CHECK(record.kind == audit::Kind::isolation);
  CHECK(record.outcome == audit::Outcome::blocked);
  CHECK(record.action == "isolation.denied_default");
  CHECK(record.domain_src == "a");
  CHECK(record.domain_dst == "b");
  CHECK(record.dport == 80);
  const auto detail = nlohmann::json::parse(record.detail);
  CHECK(detail.at("packets") == 5);
  CHECK(detail.at("bytes") == 300);
}

TEST_CASE("what a line lets pass and logs is told as allowed, with its line") {
  IsolationLog isolation(10);
  isolation.set_policy(two_domains("flows:\n  - {from: a, to: b, service: any, log: true}\n"));
  for (const Reason reason : {Reason::allowed, Reason::inspected}) {
    DroppedPacket passed = packet(1, 80);
    passed.reason = reason;
    isolation.add(passed);
    const auto records = isolation.take();
    REQUIRE(records.size() == 1);
    CHECK(records.front().outcome == audit::Outcome::allowed);
    CHECK(records.front().severity == audit::Severity::info);
    CHECK(records.front().policy_line == "two.yaml:5");
  }
}

TEST_CASE("what was blocked before a policy came keeps the names of the one before") {
  IsolationLog isolation(2);
  isolation.set_policy(two_domains());
  isolation.add(packet(1, 80));
  isolation.set_policy(std::make_shared<const policy::Policy>());
  isolation.add(packet(1, 80));
  isolation.add(packet(1, 81));  // beyond the limit
  const auto records = isolation.take();
  REQUIRE(records.size() == 3);
  CHECK(records[0].domain_src == "a");
  CHECK(records[0].domain_dst == "b");
  CHECK(records[1].domain_src.empty());
  CHECK(nlohmann::json::parse(records[2].detail).at("packets") == 1);
}

TEST_CASE("taking starts anew") {
  IsolationLog isolation(10);
  isolation.add(packet(1, 80));
  CHECK(isolation.take().size() == 1);
  CHECK(isolation.take().empty());
}

TEST_CASE("at the limit every group has its record; one more group is counted in the rest") {
  IsolationLog isolation(3);
  for (std::uint16_t port = 1; port <= 3; ++port) isolation.add(packet(1, port));
  CHECK(isolation.take().size() == 3);
  for (std::uint16_t port = 1; port <= 100; ++port) isolation.add(packet(1, port));
  const auto records = isolation.take(7);
  REQUIRE(records.size() == 4);
  CHECK(records.back().action == "isolation.flood");
  const auto detail = nlohmann::json::parse(records.back().detail);
  CHECK(detail.at("packets") == 97);
  CHECK(detail.at("messages_lost") == 7);
}

TEST_CASE("a packet that could not be read is recorded all the same") {
  IsolationLog isolation(3);
  DroppedPacket broken;
  broken.in_interface = "a0";
  isolation.add(broken);
  const auto records = isolation.take();
  REQUIRE(records.size() == 1);
  CHECK(records.front().action == "isolation.unknown");
  CHECK(records.front().subject == "a0");
  CHECK_FALSE(records.front().src);
}

}  // namespace
}  // namespace menshen::apps
