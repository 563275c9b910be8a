#include "policy/model/replay.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace menshen::policy {
namespace {

std::string service_of(const RecordedFlow& flow) {
  switch (flow.proto) {
    case IpProto::tcp:
      return fmt::format("tcp/{}", flow.dport);
    case IpProto::udp:
      return fmt::format("udp/{}", flow.dport);
    case IpProto::icmp:
    case IpProto::icmpv6:
      return "icmp";
    default:
      return fmt::format("protocol {}", static_cast<unsigned>(flow.proto));
  }
}

std::string name_of(const Policy& policy, DomainId id) {
  return id == domain_any ? std::string() : policy.domain(id).name;
}

std::optional<ChangeKind> change_of(const Decision& before, const Decision& after) {
  if (before.action != after.action) {
    return after.action == Action::allow ? ChangeKind::newly_passes : ChangeKind::newly_blocked;
  }
  if (after.action == Action::allow && before.inspect != after.inspect)
    return ChangeKind::inspection;
  return std::nullopt;
}

}  // namespace

Replay::Replay(const Policy& current, const Policy& next)
    : current_(current), next_(next), uses_(next.lines().size()) {}

void Replay::add(const RecordedFlow& flow) {
  const FlowQuery query{flow.src,   flow.dst,          flow.proto,
                        flow.dport, flow.in_interface, flow.out_interface};
  const Decision before = current_.decide(query);
  const Decision after = next_.decide(query);
  ++flows_;
  if (after.by == DecidedBy::line) {
    LineUse& use = uses_[after.line];
    ++use.flows;
    use.last = std::max(use.last, flow.time);
  }
  const auto kind = change_of(before, after);
  if (!kind) return;
  ++changed_;
  const bool ports = flow.proto == IpProto::tcp || flow.proto == IpProto::udp;
  const Key key{*kind, after.from, after.to, flow.proto, ports ? flow.dport : std::uint16_t{0}};
  auto found = rows_.find(key);
  if (found == rows_.end()) {
    if (rows_.size() == rows_max) {
      ++not_shown_;
      return;
    }
    ReplayRow row;
    row.kind = *kind;
    row.from = name_of(next_, after.from);
    row.to = name_of(next_, after.to);
    row.service = service_of(flow);
    row.last = flow.time;
    found = rows_.emplace(key, std::move(row)).first;
  }
  ReplayRow& row = found->second;
  ++row.flows;
  row.count += flow.count;
  if (row.flows != 1 && flow.time < row.last) return;
  row.last = flow.time;
  row.example = flow;
  row.before = before;
  row.after = after;
}

std::vector<ReplayRow> Replay::rows() const {
  std::vector<ReplayRow> out;
  for (const auto& [key, row] : rows_) out.push_back(row);
  std::stable_sort(out.begin(), out.end(), [](const ReplayRow& a, const ReplayRow& b) {
    return std::pair(a.kind, b.flows) < std::pair(b.kind, a.flows);
  });
  return out;
}

}  // namespace menshen::policy
