#include "apps/sensord/event_record.hpp"

#include <fmt/format.h>

#include "apps/control/message.hpp"
#include "sensor/packet/drop_reason.hpp"

namespace menshen::apps {
namespace {

using sensor::Event;
using sensor::EventKind;

void add_rule(audit::Record& record, const sensor::RuleInfo& rule, Json& detail) {
  record.rule = audit::RuleId{rule.gid, rule.sid, rule.rev};
  record.severity = severity_of_priority(rule.priority);
  record.message = rule.msg;
  record.object = fmt::format("{}:{}:{}", rule.gid, rule.sid, rule.rev);
  if (!rule.classtype.empty()) detail["classtype"] = rule.classtype;
  if (!rule.category.empty()) detail["category"] = rule.category;
  for (const auto& [key, value] : rule.metadata) detail["metadata"][key].push_back(value);
  for (const auto& [system, id] : rule.references) {
    detail["references"].push_back(fmt::format("{}:{}", system, id));
  }
}

void add_flow(audit::Record& record, const Event& event, const sensor::DomainNames* names,
              Json& detail) {
  record.src = event.tuple.src;
  record.dst = event.tuple.dst;
  record.sport = event.tuple.sport;
  record.dport = event.tuple.dport;
  record.proto = static_cast<std::uint8_t>(event.tuple.proto);
  record.subject = event.tuple.src.to_string();
  if (event.flow_id != 0) detail["flow_id"] = event.flow_id;
  if (event.tx_id) detail["tx_id"] = *event.tx_id;
  detail["direction"] = event.direction == sensor::Direction::to_server ? "to_server" : "to_client";
  if (!event.protocol.empty()) {
    Json protocol = Json::parse(event.protocol, nullptr, false);
    if (!protocol.is_discarded()) detail["transaction"] = std::move(protocol);
  }
  if (names == nullptr) return;
  // The label's domains belong to the flow's initiator and responder, the record's to this packet's
  // ends.
  const bool forward = event.direction == sensor::Direction::to_server;
  const auto from = names->domain(event.label.from_domain);
  const auto to = names->domain(event.label.to_domain);
  record.domain_src = forward ? from : to;
  record.domain_dst = forward ? to : from;
  record.policy_line = names->policy_line(event.label.policy_line);
}

}  // namespace

audit::Severity severity_of_priority(std::uint32_t priority) noexcept {
  switch (priority) {
    case 1:
      return audit::Severity::high;
    case 2:
      return audit::Severity::medium;
    case 3:
      return audit::Severity::low;
    default:
      return audit::Severity::info;
  }
}

audit::Record to_file_record(const Event& event, const sensor::DomainNames* names) {
  audit::Record record;
  Json detail = Json::object();
  record.time = event.time;
  record.kind = audit::Kind::alert;
  record.severity = audit::Severity::high;
  record.outcome = audit::Outcome::allowed;
  record.action = "file.virus";
  add_flow(record, event, names, detail);
  Json file = Json::parse(event.detail, nullptr, false);
  if (!file.is_discarded()) {
    file.erase("stored");  // not known yet
    detail["file"] = std::move(file);
  }
  record.detail = to_line(detail);
  return record;
}

std::optional<audit::Record> to_audit_record(const Event& event, const sensor::DomainNames* names) {
  const bool alert = event.kind == EventKind::alert;
  // An alert that blocked says so itself; a drop record of the same rule would count the attack
  // twice.
  const bool drop = event.kind == EventKind::drop && event.rule == nullptr &&
                    event.reason != sensor::DropReason::flow_dropped;
  if (!alert && !drop) return std::nullopt;
  audit::Record record;
  Json detail = Json::object();
  record.time = event.time;
  record.kind = alert ? audit::Kind::alert : audit::Kind::drop;
  record.outcome = alert && !event.blocked ? audit::Outcome::allowed : audit::Outcome::blocked;
  record.action = alert ? "rule.match" : "packet.drop";
  record.severity = audit::Severity::low;
  if (event.rule != nullptr) add_rule(record, *event.rule, detail);
  if (drop) {
    const auto& info = sensor::drop_reason_info(event.reason);
    record.object = info.name;
    record.message = fmt::format("{} / {}", info.zh, info.en);
    detail["reason"] = info.name;
  }
  add_flow(record, event, names, detail);
  record.detail = to_line(detail);
  return record;
}

}  // namespace menshen::apps
