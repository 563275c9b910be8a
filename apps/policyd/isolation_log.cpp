#include "apps/policyd/isolation_log.hpp"

#include <fmt/format.h>

#include <utility>

#include "apps/common/audit_record.hpp"
#include "policy/model/explain.hpp"
#include "policy/nft/reason.hpp"

namespace menshen::apps {
namespace {

using policy::nft::Reason;

std::string_view reason_name(Reason reason) {
  return reason == Reason::count ? "unknown" : policy::nft::info(reason).name;
}

// A line may ask that what it lets pass is logged too.
bool passes(Reason reason) { return reason == Reason::allowed || reason == Reason::inspected; }

audit::Severity severity_of(Reason reason) {
  // A forged source address is never a mistake of configuration on an access port.
  if (reason == Reason::spoofed) return audit::Severity::high;
  return passes(reason) ? audit::Severity::info : audit::Severity::medium;
}

}  // namespace

std::string IsolationLog::domain_name(policy::DomainId id) const {
  return id == policy::domain_any || !policy_ ? std::string{} : policy_->domain(id).name;
}

void IsolationLog::close_groups() {
  for (const auto& [key, group] : groups_) records_.push_back(record_of(key, group));
  groups_.clear();
}

void IsolationLog::set_policy(std::shared_ptr<const policy::Policy> policy) {
  close_groups();
  policy_ = std::move(policy);
}

void IsolationLog::add(const policy::nft::DroppedPacket& packet) {
  policy::DomainId from = policy::domain_any;
  policy::DomainId to = policy::domain_any;
  if (policy_ && packet.tuple_known) {
    from = policy_->domain_of(packet.tuple.src);
    to = policy_->domain_of(packet.tuple.dst);
  }
  const Key key{packet.reason, from, to, packet.tuple.proto, packet.tuple.dport};
  auto found = groups_.find(key);
  if (found == groups_.end()) {
    if (groups_.size() + records_.size() >= records_max_) {
      ++rest_packets_;
      return;
    }
    found = groups_.emplace(key, Group{packet, packet.time, 0, 0}).first;
    found->second.example.excerpt.clear();
  }
  Group& group = found->second;
  ++group.packets;
  group.bytes += packet.length;
  group.last = packet.time;
}

audit::Record IsolationLog::record_of(const Key& key, const Group& group) const {
  const policy::nft::DroppedPacket& packet = group.example;
  Act act;
  act.kind = audit::Kind::isolation;
  act.severity = severity_of(packet.reason);
  act.outcome = passes(packet.reason) ? audit::Outcome::allowed : audit::Outcome::blocked;
  act.action = fmt::format("isolation.{}", reason_name(packet.reason));
  act.subject = packet.tuple_known ? packet.tuple.src.to_string() : packet.in_interface;
  const Text help = packet.reason == Reason::count ? Text{"转发被阻断", "forwarding was blocked"}
                                                   : policy::nft::info(packet.reason).help;
  act.message = {fmt::format("{}（{} 个数据包）", help.zh, group.packets),
                 fmt::format("{} ({} packets)", help.en, group.packets)};
  act.detail = {{"packets", group.packets},
                {"bytes", group.bytes},
                {"in_interface", packet.in_interface},
                {"out_interface", packet.out_interface},
                {"last", format_utc(group.last)}};
  audit::Record record = to_record(act);
  record.time = packet.time;
  record.domain_src = domain_name(std::get<1>(key));
  record.domain_dst = domain_name(std::get<2>(key));
  if (!packet.tuple_known) return record;
  record.src = packet.tuple.src;
  record.dst = packet.tuple.dst;
  record.sport = packet.tuple.sport;
  record.dport = packet.tuple.dport;
  record.proto = static_cast<std::uint8_t>(packet.tuple.proto);
  if (policy_) {
    const auto why =
        policy::explain(*policy_, {packet.tuple.src, packet.tuple.dst, packet.tuple.proto,
                                   packet.tuple.dport, packet.in_interface, packet.out_interface});
    if (why.line.line != 0 && (passes(packet.reason) || packet.reason == Reason::denied_line)) {
      record.policy_line = fmt::format("{}:{}", policy_->source_name(), why.line.line);
    }
  }
  return record;
}

std::vector<audit::Record> IsolationLog::take(std::uint64_t lost) {
  close_groups();
  std::vector<audit::Record> records = std::exchange(records_, {});
  if (rest_packets_ != 0 || lost != 0) {
    Act act;
    act.kind = audit::Kind::isolation;
    act.severity = audit::Severity::medium;
    act.outcome = audit::Outcome::blocked;
    act.action = "isolation.flood";
    act.subject = "policyd";
    act.message = {
        fmt::format("阻断量过大：另有 {} 个数据包合并计数，{} 条日志未能读取", rest_packets_, lost),
        fmt::format(
            "flood: {} more packets are counted together, {} log messages could not be read",
            rest_packets_, lost)};
    act.detail = {{"packets", rest_packets_}, {"messages_lost", lost}};
    records.push_back(to_record(act));
  }
  rest_packets_ = 0;
  return records;
}

}  // namespace menshen::apps
