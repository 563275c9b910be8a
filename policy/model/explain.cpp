#include "policy/model/explain.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/text.hpp"

namespace menshen::policy {
namespace {

constexpr std::array<std::string_view, 2> action_names{"allow", "deny"};
constexpr std::array<std::string_view, 3> inspect_names{"none", "alert", "block"};
constexpr std::array<std::string_view, 7> decided_names{
    "line",    "same_domain", "no_line", "unknown_source", "unknown_destination",
    "spoofed", "misrouted"};

std::string described(const Domain& domain) {
  return domain.title.empty() ? domain.name : fmt::format("{}（{}）", domain.name, domain.title);
}

std::string described_en(const Domain& domain) {
  return domain.title.empty() ? domain.name : fmt::format("{} ({})", domain.name, domain.title);
}

std::string service_text(const FlowQuery& query) {
  switch (query.proto) {
    case IpProto::tcp:
      return fmt::format("tcp/{}", query.dport);
    case IpProto::udp:
      return fmt::format("udp/{}", query.dport);
    case IpProto::icmp:
    case IpProto::icmpv6:
      return "icmp";
    default:
      return fmt::format("protocol {}", static_cast<unsigned>(query.proto));
  }
}

Text treatment(const Decision& decision) {
  if (decision.action == Action::deny) return {"拒绝", "denied"};
  switch (decision.inspect) {
    case Inspect::none:
      return {"放行，不检测", "allowed without inspection"};
    case Inspect::alert:
      return {"放行并检测，攻击仅告警", "allowed and inspected: attacks raise an alert"};
    case Inspect::block:
      break;
  }
  return {"放行并检测，攻击阻断", "allowed and inspected: attacks are dropped"};
}

Text because_of_line(const Policy& policy, const Decision& decision) {
  const Line& line = policy.lines()[decision.line];
  const Text how = treatment(decision);
  std::string why = line.reason;
  for (const std::string* more : {&line.ticket, &line.author})
    if (!more->empty()) why += (why.empty() ? "" : ", ") + *more;
  why = escape_controls(why);
  return {fmt::format("{}：由 {}:{} 决定{}", how.zh, policy.source_name(), line.position.line,
                      why.empty() ? "" : fmt::format("（{}）", why)),
          fmt::format("{}: decided by {}:{}{}", how.en, policy.source_name(), line.position.line,
                      why.empty() ? "" : fmt::format(" ({})", why))};
}

Text reason_of(const Policy& policy, const FlowQuery& query, const Decision& decision) {
  const auto name = [&](DomainId id) { return described(policy.domain(id)); };
  const auto name_en = [&](DomainId id) { return described_en(policy.domain(id)); };
  switch (decision.by) {
    case DecidedBy::line:
      return because_of_line(policy, decision);
    case DecidedBy::same_domain:
      return {fmt::format("放行：源和目的同属安全域 {}", name(decision.from)),
              fmt::format("allowed: source and destination are both in domain {}",
                          name_en(decision.from))};
    case DecidedBy::no_line:
      return {fmt::format("拒绝：没有放行 {} → {} {} 的策略，默认拒绝", name(decision.from),
                          name(decision.to), service_text(query)),
              fmt::format("denied: no line allows {} -> {} {}; the default is to deny",
                          name_en(decision.from), name_en(decision.to), service_text(query))};
    case DecidedBy::unknown_source:
      return {fmt::format("拒绝：源地址 {} 不属于任何安全域", query.src.to_string()),
              fmt::format("denied: source {} is in no domain", query.src.to_string())};
    case DecidedBy::unknown_destination:
      return {fmt::format("拒绝：目的地址 {} 不属于任何安全域", query.dst.to_string()),
              fmt::format("denied: destination {} is in no domain", query.dst.to_string())};
    case DecidedBy::spoofed:
      return {fmt::format("拒绝：安全域 {} 的地址不应从接口 {} 进入（源地址伪造）",
                          name(decision.from), escape_controls(query.in_interface)),
              fmt::format("denied: addresses of domain {} do not come in by interface {} (spoofed)",
                          name_en(decision.from), escape_controls(query.in_interface))};
    case DecidedBy::misrouted:
      break;
  }
  return {fmt::format("拒绝：安全域 {} 不在接口 {} 之后（路由错误）", name(decision.to),
                      escape_controls(query.out_interface)),
          fmt::format("denied: domain {} is not behind interface {} (misrouted)",
                      name_en(decision.to), escape_controls(query.out_interface))};
}

bool names(std::span<const DomainId> list, DomainId id) {
  return list.empty() || std::binary_search(list.begin(), list.end(), id);
}

// Lines that are about this pair in either direction, and why they do not decide.
std::vector<Text> near_misses(const Policy& policy, const Decision& decision) {
  std::vector<Text> out;
  for (std::uint32_t i = 0; i < policy.lines().size(); ++i) {
    if (i == decision.line) continue;
    const Line& line = policy.lines()[i];
    const bool forward = names(line.from, decision.from) && names(line.to, decision.to);
    const bool backward = names(line.from, decision.to) && names(line.to, decision.from);
    if (!forward && !backward) continue;
    const std::string services = policy.service_names(line);
    const std::size_t at = line.position.line;
    if (forward && decision.line != line_none && i > decision.line) {
      out.push_back({fmt::format("第 {} 行（{}）排在其后", at, services),
                     fmt::format("line {} ({}) comes later", at, services)});
    } else if (forward) {
      out.push_back({fmt::format("第 {} 行只覆盖服务 {}", at, services),
                     fmt::format("line {} covers only {}", at, services)});
    } else {
      out.push_back({fmt::format("第 {} 行是反方向（{}）", at, services),
                     fmt::format("line {} is for the other direction ({})", at, services)});
    }
    if (out.size() == explanation_notes_max) break;
  }
  return out;
}

}  // namespace

std::string_view name_of(Action action) {
  return action_names.at(static_cast<std::size_t>(action));
}
std::string_view name_of(Inspect inspect) {
  return inspect_names.at(static_cast<std::size_t>(inspect));
}
std::string_view name_of(DecidedBy decided) {
  return decided_names.at(static_cast<std::size_t>(decided));
}

Explanation explain(const Policy& policy, const FlowQuery& query) {
  Explanation out;
  out.decision = policy.decide(query);
  const Decision& decision = out.decision;
  if (decision.from != domain_any) out.from = policy.domain(decision.from).name;
  if (decision.to != domain_any) out.to = policy.domain(decision.to).name;
  out.reason = reason_of(policy, query, decision);
  if (decision.by == DecidedBy::line) out.line = policy.lines()[decision.line].position;
  if (decision.by == DecidedBy::line || decision.by == DecidedBy::no_line)
    out.why_not = near_misses(policy, decision);
  return out;
}

}  // namespace menshen::policy
