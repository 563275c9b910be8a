#include "apps/sensord/event_record.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace menshen::apps {
namespace {

class Names final : public sensor::DomainNames {
 public:
  std::string_view domain(std::uint16_t index) const override {
    return index == 1 ? "finance" : "portal";
  }
  std::string_view policy_line(std::uint32_t) const override { return "demo.yaml:14"; }
};

sensor::RuleInfo rule() {
  sensor::RuleInfo info;
  info.sid = 9000001;
  info.rev = 2;
  info.priority = 1;
  info.msg = "Log4Shell";
  info.classtype = "attempted-admin";
  info.references = {{"cve", "2021-44228"}};
  return info;
}

sensor::Event alert(const sensor::RuleInfo& info) {
  sensor::Event event;
  event.kind = sensor::EventKind::alert;
  event.time = 42;
  event.flow_id = 7;
  event.tuple = {
      *IpAddr::parse("10.10.0.10"), *IpAddr::parse("10.30.0.10"), 40000, 80, 0, IpProto::tcp, 0};
  event.label = {1, 2, 1, sensor::InspectMode::block};
  event.rule = &info;
  return event;
}

TEST_CASE("an alert says who, what, by which rule and which policy line") {
  const sensor::RuleInfo info = rule();
  sensor::Event event = alert(info);
  event.blocked = true;
  event.protocol = R"({"hostname":"portal"})";
  const Names names;
  const auto record = to_audit_record(event, &names);
  REQUIRE(record);
  CHECK(record->kind == audit::Kind::alert);
  CHECK(record->severity == audit::Severity::high);
  CHECK(record->outcome == audit::Outcome::blocked);
  CHECK(record->rule == audit::RuleId{1, 9000001, 2});
  CHECK(record->src == IpAddr::parse("10.10.0.10"));
  CHECK(record->dport == 80);
  CHECK(record->domain_src == "finance");
  CHECK(record->domain_dst == "portal");
  CHECK(record->policy_line == "demo.yaml:14");
  CHECK(record->message == "Log4Shell");
  const auto detail = nlohmann::json::parse(record->detail);
  CHECK(detail.at("references").at(0) == "cve:2021-44228");
  CHECK(detail.at("transaction").at("hostname") == "portal");
}

TEST_CASE("an alert on an answer has the domains of its own ends") {
  const sensor::RuleInfo info = rule();
  sensor::Event event = alert(info);
  event.direction = sensor::Direction::to_client;
  event.tuple = event.tuple.reversed();
  const Names names;
  const auto record = to_audit_record(event, &names);
  REQUIRE(record);
  CHECK(record->domain_src == "portal");
  CHECK(record->domain_dst == "finance");
  CHECK(record->outcome == audit::Outcome::allowed);
}

TEST_CASE("drops without a rule are kept with their reason; what follows a flow's drop is not") {
  sensor::Event event;
  event.kind = sensor::EventKind::drop;
  event.reason = sensor::DropReason::stream_overlap;
  const auto record = to_audit_record(event, nullptr);
  REQUIRE(record);
  CHECK(record->kind == audit::Kind::drop);
  CHECK(record->object == "stream_overlap");
  event.reason = sensor::DropReason::flow_dropped;
  CHECK_FALSE(to_audit_record(event, nullptr));
}

TEST_CASE("flow and transaction records stay in the event file") {
  sensor::Event event;
  for (const auto kind : {sensor::EventKind::flow, sensor::EventKind::transaction,
                          sensor::EventKind::fileinfo, sensor::EventKind::stats}) {
    event.kind = kind;
    CHECK_FALSE(to_audit_record(event, nullptr));
  }
}

TEST_CASE("a packet chosen by an attacker cannot make a record that the store refuses") {
  sensor::RuleInfo info = rule();
  info.msg = std::string(100'000, '\xff');
  sensor::Event event = alert(info);
  event.protocol = std::string("{\"x\":\"\xff\xfe\"}");
  auto record = to_audit_record(event, nullptr);
  REQUIRE(record);
  record->source = "sensord";
  record->epoch = record->sequence = 1;
  audit::fit(*record);
  CHECK(audit::encode(*record));
}

TEST_CASE("priorities map to severities") {
  CHECK(severity_of_priority(1) == audit::Severity::high);
  CHECK(severity_of_priority(2) == audit::Severity::medium);
  CHECK(severity_of_priority(3) == audit::Severity::low);
  CHECK(severity_of_priority(4) == audit::Severity::info);
  CHECK(severity_of_priority(255) == audit::Severity::info);
}

}  // namespace
}  // namespace menshen::apps
