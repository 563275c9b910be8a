#include "policy/model/policy.hpp"

#include <algorithm>

namespace menshen::policy {
namespace {

bool contains(std::span<const std::uint32_t> sorted, std::uint32_t value) {
  return std::binary_search(sorted.begin(), sorted.end(), value);
}

bool in_ranges(std::span<const PortRange> ranges, std::uint16_t port) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [&](const PortRange& r) { return r.first <= port && port <= r.last; });
}

bool covers(const Service& service, const FlowQuery& query) {
  switch (query.proto) {
    case IpProto::tcp:
      return in_ranges(service.tcp, query.dport);
    case IpProto::udp:
      return in_ranges(service.udp, query.dport);
    case IpProto::icmp:
    case IpProto::icmpv6:
      return service.icmp;
    default:
      return false;
  }
}

bool covers(const Policy& policy, const Line& line, DomainId from, DomainId to,
            const FlowQuery& query) {
  return (line.from.empty() || contains(line.from, from)) &&
         (line.to.empty() || contains(line.to, to)) &&
         (line.services.empty() ||
          std::any_of(line.services.begin(), line.services.end(),
                      [&](std::uint32_t s) { return covers(policy.services()[s], query); }));
}

DomainId domain_by_walk(const Policy& policy, const IpAddr& address) {
  DomainId best = domain_any;
  int best_length = -1;
  for (std::size_t i = 0; i < policy.domains().size(); ++i) {
    for (const Prefix& prefix : policy.domains()[i].networks) {
      if (prefix.is_v4() == address.is_v4() && prefix.contains(address) &&
          static_cast<int>(prefix.length()) > best_length) {
        best = static_cast<DomainId>(i + 1);
        best_length = static_cast<int>(prefix.length());
      }
    }
  }
  return best;
}

void apply(const Policy& policy, std::uint32_t index, Decision& decision) noexcept {
  const Line& line = policy.lines()[index];
  decision.action = line.action;
  decision.inspect = line.inspect;
  decision.log = line.log;
  decision.by = DecidedBy::line;
  decision.line = index;
}

// The checks before any line. True: they decide.
bool decide_ends(const Policy& policy, const FlowQuery& query, Decision& decision) noexcept {
  decision.log = true;
  if (decision.from == domain_any) {
    decision.by = DecidedBy::unknown_source;
  } else if (!query.in_interface.empty() && !policy.attached(decision.from, query.in_interface)) {
    decision.by = DecidedBy::spoofed;
  } else if (decision.to == domain_any) {
    decision.by = DecidedBy::unknown_destination;
  } else if (!query.out_interface.empty() && !policy.attached(decision.to, query.out_interface)) {
    decision.by = DecidedBy::misrouted;
  } else if (decision.from == decision.to) {
    decision.action = Action::allow;
    decision.by = DecidedBy::same_domain;
    decision.log = false;
  } else {
    return false;
  }
  return true;
}

}  // namespace

Decision Policy::decide(const FlowQuery& query) const noexcept {
  Decision decision;
  decision.from = table_.domain_of(query.src);
  decision.to = table_.domain_of(query.dst);
  if (decide_ends(*this, query, decision)) return decision;
  const ClassId cls = table_.class_of(query.proto, query.dport);
  if (const auto line = table_.line_of(decision.from, decision.to, cls))
    apply(*this, *line, decision);
  return decision;
}

Decision decide_by_walk(const Policy& policy, const FlowQuery& query) {
  Decision decision;
  decision.from = domain_by_walk(policy, query.src);
  decision.to = domain_by_walk(policy, query.dst);
  if (decide_ends(policy, query, decision)) return decision;
  for (std::uint32_t i = 0; i < policy.lines().size(); ++i) {
    if (!covers(policy, policy.lines()[i], decision.from, decision.to, query)) continue;
    apply(policy, i, decision);
    break;
  }
  return decision;
}

bool Policy::attached(DomainId domain, std::string_view interface) const noexcept {
  const auto claim =
      std::lower_bound(interfaces_.begin(), interfaces_.end(), interface,
                       [](const auto& each, std::string_view name) { return each.first < name; });
  if (claim == interfaces_.end() || claim->first != interface) {
    return domain != domain_any && domain <= domains_.size() &&
           domains_[domain - 1].interfaces.empty();
  }
  return contains(claim->second, domain);
}

std::optional<DomainId> Policy::find_domain(std::string_view name) const noexcept {
  const auto found =
      std::lower_bound(names_.begin(), names_.end(), name,
                       [](const auto& each, std::string_view n) { return each.first < n; });
  if (found == names_.end() || found->first != name) return std::nullopt;
  return found->second;
}

std::string Policy::service_names(const Line& line) const {
  if (line.services.empty()) return "any";
  std::string names;
  for (const std::uint32_t service : line.services) {
    if (!names.empty()) names += ",";
    names += services_[service].name;
  }
  return names;
}

std::optional<std::chrono::year_month_day> Policy::next_expiry() const noexcept {
  std::optional<std::chrono::year_month_day> next;
  for (const Line& line : lines_)
    if (line.expires && (!next || *line.expires < *next)) next = line.expires;
  return next;
}

}  // namespace menshen::policy
