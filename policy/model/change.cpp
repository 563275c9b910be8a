#include "policy/model/change.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "policy/model/explain.hpp"

namespace menshen::policy {
namespace {

constexpr std::uint32_t port_end = 65'536;

// A name of the wide end; no domain can have it.
constexpr std::string_view any = "any";

struct Treatment {
  Action action = Action::deny;
  Inspect inspect = Inspect::none;
  bool operator==(const Treatment&) const = default;
};

class Side {
 public:
  explicit Side(const Policy& policy) : policy_(policy) {}

  // 0 for "any"; nothing: this policy has no such domain.
  [[nodiscard]] std::optional<DomainId> id(const std::string& name) const {
    return name == any ? std::optional(domain_any) : policy_.find_domain(name);
  }
  [[nodiscard]] Treatment treat(const std::string& from, const std::string& to, ClassId cls) const {
    const auto f = id(from);
    const auto t = id(to);
    if (!f || !t) return {};
    const auto line = policy_.table().line_of(*f, *t, cls);
    if (!line) return {};
    if (*line == line_same_domain) return {Action::allow, Inspect::none};
    return {policy_.lines()[*line].action, policy_.lines()[*line].inspect};
  }
  [[nodiscard]] const Policy& policy() const { return policy_; }

 private:
  const Policy& policy_;
};

using Pair = std::pair<std::string, std::string>;

void add_pairs(const Policy& policy, std::set<Pair>& out) {
  const auto name = [&](DomainId id) {
    return id == domain_any ? std::string(any) : policy.domain(id).name;
  };
  for (const TableEntry& entry : policy.table().entries()) {
    if (entry.key.from != entry.key.to || entry.key.from == domain_any)
      out.emplace(name(entry.key.from), name(entry.key.to));
  }
}

// Where either policy begins or ends telling ports apart.
std::vector<std::uint32_t> breaks(std::span<const PortClass> a, std::span<const PortClass> b) {
  std::set<std::uint32_t> out{1, port_end};
  for (const auto& side : {a, b}) {
    for (const PortClass& each : side) {
      out.insert(each.first);
      out.insert(each.last + 1U);
    }
  }
  return {out.begin(), out.end()};
}

Text words(Treatment treatment) {
  if (treatment.action == Action::deny) return {"拒绝", "denied"};
  switch (treatment.inspect) {
    case Inspect::none:
      return {"放行", "allowed"};
    case Inspect::alert:
      return {"放行并检测告警", "allowed, inspected (alert)"};
    case Inspect::block:
      break;
  }
  return {"放行并检测阻断", "allowed, inspected (block)"};
}

class Differ {
 public:
  Differ(const Policy& current, const Policy& next) : current_(current), next_(next) {}
  std::vector<Change> run();

 private:
  void domains();
  void domain(const Domain& was, const Domain& now);
  void pair(const Pair& pair);
  void ports(const Pair& pair, std::string_view proto, std::span<const std::uint32_t> breaks,
             IpProto number);
  void report(const Pair& pair, std::string service, Treatment was, Treatment now);

  Side current_;
  Side next_;
  std::vector<std::uint32_t> tcp_;
  std::vector<std::uint32_t> udp_;
  std::vector<Change> out_;
};

void Differ::domain(const Domain& was, const Domain& now) {
  if (was.networks == now.networks && was.interfaces == now.interfaces) return;
  const auto list = [](const Domain& d) {
    std::string text;
    for (const Prefix& network : d.networks)
      text += (text.empty() ? "" : " ") + network.to_string();
    for (const std::string& name : d.interfaces) text += (text.empty() ? "" : " ") + name;
    return text;
  };
  out_.push_back({ChangeKind::domain,
                  now.name,
                  {},
                  {},
                  {fmt::format("安全域 {}：[{}] → [{}]", now.name, list(was), list(now)),
                   fmt::format("domain {}: [{}] -> [{}]", now.name, list(was), list(now))}});
}

void Differ::domains() {
  for (const Domain& was : current_.policy().domains()) {
    if (next_.id(was.name)) continue;
    out_.push_back(
        {ChangeKind::domain,
         was.name,
         {},
         {},
         {fmt::format("删除安全域 {}", was.name), fmt::format("domain {} is removed", was.name)}});
  }
  for (const Domain& now : next_.policy().domains()) {
    if (const auto id = current_.id(now.name)) {
      domain(current_.policy().domain(*id), now);
    } else {
      out_.push_back(
          {ChangeKind::domain,
           now.name,
           {},
           {},
           {fmt::format("新增安全域 {}", now.name), fmt::format("domain {} is new", now.name)}});
    }
  }
}

void Differ::report(const Pair& pair, std::string service, Treatment was, Treatment now) {
  const ChangeKind kind = was.action == now.action      ? ChangeKind::inspection
                          : now.action == Action::allow ? ChangeKind::newly_passes
                                                        : ChangeKind::newly_blocked;
  const Text from = words(was);
  const Text to = words(now);
  Text text{fmt::format("{} → {} {}：{} → {}", pair.first, pair.second, service, from.zh, to.zh),
            fmt::format("{} -> {} {}: {} -> {}", pair.first, pair.second, service, from.en, to.en)};
  out_.push_back({kind, pair.first, pair.second, std::move(service), std::move(text)});
}

void Differ::ports(const Pair& pair, std::string_view proto, std::span<const std::uint32_t> at,
                   IpProto number) {
  struct Run {
    std::uint32_t first;
    std::uint32_t last;
    Treatment was;
    Treatment now;
  };
  std::optional<Run> run;
  const auto flush = [&] {
    if (!run || run->was == run->now) return;
    const bool all = run->first == 1 && run->last == port_end - 1;
    report(pair,
           all                       ? std::string(proto)
           : run->first == run->last ? fmt::format("{}/{}", proto, run->first)
                                     : fmt::format("{}/{}-{}", proto, run->first, run->last),
           run->was, run->now);
  };
  for (std::size_t i = 0; i + 1 < at.size(); ++i) {
    const auto port = static_cast<std::uint16_t>(at[i]);
    const auto treat = [&](const Side& side) {
      return side.treat(pair.first, pair.second, side.policy().table().class_of(number, port));
    };
    const Treatment was = treat(current_);
    const Treatment now = treat(next_);
    if (run && run->was == was && run->now == now) {
      run->last = at[i + 1] - 1;
    } else {
      flush();
      run = Run{at[i], at[i + 1] - 1, was, now};
    }
  }
  flush();
}

void Differ::pair(const Pair& pair) {
  const auto other = [&](const Side& side) {
    return side.treat(pair.first, pair.second, class_any);
  };
  const Treatment was = other(current_);
  const Treatment now = other(next_);
  if (was != now) report(pair, "other protocols", was, now);
  ports(pair, "tcp", tcp_, IpProto::tcp);
  ports(pair, "udp", udp_, IpProto::udp);
  const auto icmp = [&](const Side& side) {
    return side.treat(pair.first, pair.second, class_icmp);
  };
  if (icmp(current_) != icmp(next_)) report(pair, "icmp", icmp(current_), icmp(next_));
}

std::vector<Change> Differ::run() {
  domains();
  tcp_ = breaks(current_.policy().table().tcp(), next_.policy().table().tcp());
  udp_ = breaks(current_.policy().table().udp(), next_.policy().table().udp());
  std::set<Pair> pairs;
  add_pairs(current_.policy(), pairs);
  add_pairs(next_.policy(), pairs);
  for (const Pair& each : pairs) pair(each);
  return std::move(out_);
}

}  // namespace

std::vector<Change> changes_between(const Policy& current, const Policy& next) {
  return Differ(current, next).run();
}

}  // namespace menshen::policy
