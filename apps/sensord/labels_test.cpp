#include "apps/sensord/labels.hpp"

#include <catch2/catch.hpp>

namespace menshen::apps {
namespace {

std::shared_ptr<const policy::Policy> compile(const std::string& name, const std::string& source) {
  auto loaded = policy::load(name, source, {std::chrono::year(2026) / 11 / 23});
  INFO(loaded.diagnostics.render(Lang::en));
  REQUIRE(loaded.policy);
  return std::make_shared<const policy::Policy>(std::move(*loaded.policy));
}

const std::string first =
    "domains:\n"
    "  a: {networks: [10.1.0.0/16]}\n"
    "  b: {networks: [10.2.0.0/16]}\n"
    "services:\n"
    "  web: {tcp: [80]}\n"
    "  dns: {udp: [53]}\n"
    "flows:\n"
    "  - {from: a, to: b, service: web, inspect: block, reason: r}\n"
    "  - {from: a, to: b, service: dns, inspect: alert, reason: r}\n";
// The same domains in another order.
const std::string second =
    "domains:\n"
    "  b: {networks: [10.2.0.0/16]}\n"
    "  c: {networks: [10.3.0.0/16]}\n"
    "  a: {networks: [10.1.0.0/16]}\n"
    "flows: []\n";

FiveTuple tuple(IpProto proto, std::uint16_t port) {
  return {*IpAddr::parse("10.1.0.1"), *IpAddr::parse("10.2.0.1"), 1234, port, 0, proto, 0};
}

TEST_CASE("without a policy every flow is unknown and inspected") {
  const PolicyLabeler labeler;
  const auto label = labeler.label(tuple(IpProto::tcp, 80));
  CHECK(label.from_domain == 0);
  CHECK(label.policy_line == 0);
  CHECK(label.mode == sensor::InspectMode::block);
  CHECK(labeler.domain(0).empty());
}

TEST_CASE("a flow has the names and the mode of the line that allows it") {
  PolicyLabeler labeler;
  labeler.set_policy(compile("p.yaml", first));
  const auto web = labeler.label(tuple(IpProto::tcp, 80));
  CHECK(labeler.domain(web.from_domain) == "a");
  CHECK(labeler.domain(web.to_domain) == "b");
  CHECK(labeler.policy_line(web.policy_line) == "p.yaml:8");
  CHECK(web.mode == sensor::InspectMode::block);
  CHECK(labeler.label(tuple(IpProto::udp, 53)).mode == sensor::InspectMode::alert);
}

TEST_CASE("what no line allows any more is inspected in the stricter mode") {
  PolicyLabeler labeler;
  labeler.set_policy(compile("p.yaml", first));
  const auto other = labeler.label(tuple(IpProto::tcp, 22));
  CHECK(other.mode == sensor::InspectMode::block);
  CHECK(other.policy_line == 0);
}

TEST_CASE("labels of flows from before a change of policy keep their names") {
  PolicyLabeler labeler;
  labeler.set_policy(compile("p.yaml", first));
  const auto old = labeler.label(tuple(IpProto::tcp, 80));
  labeler.set_policy(compile("q.yaml", second));
  CHECK(labeler.domain(old.from_domain) == "a");
  CHECK(labeler.domain(old.to_domain) == "b");
  CHECK(labeler.policy_line(old.policy_line) == "p.yaml:8");
  const auto now = labeler.label(tuple(IpProto::tcp, 80));
  CHECK(now.from_domain == old.from_domain);
  CHECK(now.to_domain == old.to_domain);
}

TEST_CASE("an unknown number has no name") {
  PolicyLabeler labeler;
  labeler.set_policy(compile("p.yaml", first));
  CHECK(labeler.domain(999).empty());
  CHECK(labeler.policy_line(999).empty());
}

}  // namespace
}  // namespace menshen::apps
