#include "policy/model/resolve.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <map>
#include <unordered_map>
#include <utility>

#include "base/text.hpp"
#include "policy/model/address_ranges.hpp"
#include "policy/model/port_classes.hpp"
#include "policy/model/table_builder.hpp"

namespace menshen::policy {
namespace {

constexpr std::size_t notes_max = 5;

std::string to_string(std::chrono::year_month_day day) {
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(day.year()),
                     static_cast<unsigned>(day.month()), static_cast<unsigned>(day.day()));
}

std::vector<PortRange> merged(const std::vector<text::PortRange>& ranges) {
  std::vector<PortRange> out;
  for (const auto& range : ranges) out.push_back({range.first, range.last});
  std::sort(out.begin(), out.end());
  std::vector<PortRange> joined;
  for (const PortRange& range : out) {
    if (!joined.empty() && range.first <= joined.back().last + 1) {
      joined.back().last = std::max(joined.back().last, range.last);
    } else {
      joined.push_back(range);
    }
  }
  return joined;
}

struct Claim {
  Prefix prefix;
  SourceRange range;
  DomainId domain = domain_any;
};

}  // namespace

class Resolver {
 public:
  Resolver(const text::File& file, const ResolveOptions& options, Diagnostics& diagnostics)
      : file_(file), options_(options), diagnostics_(diagnostics) {}

  std::optional<Policy> run();

 private:
  using Index = std::unordered_map<std::string_view, std::uint32_t>;

  void domains();
  void interfaces();
  void networks();
  void overlaps(std::vector<Claim>& claims);
  void overlap(const Claim& outer, const Claim& inner);
  bool share_attachment(DomainId a, DomainId b) const;
  void groups();
  void services();
  void flows();
  bool flow_names(const text::Flow& flow, Line& line);
  bool look_up(const text::NameList& list, const Index& index, Text kind, std::string_view code,
               std::uint32_t base, std::vector<std::uint32_t>& out);
  bool look_up_domains(const text::NameList& list, std::vector<DomainId>& out);
  bool over(const text::Flow& flow);
  void table();
  bool only_itself(const text::Flow& flow, const Line& line);
  void hidden(std::uint32_t index, const Coverage& coverage);
  Note note_of(std::uint32_t line) const;
  void unused();
  void too_large(Text what);

  const text::File& file_;
  const ResolveOptions& options_;
  Diagnostics& diagnostics_;
  Policy policy_;
  Index domain_index_;
  std::unordered_map<std::string_view, std::vector<DomainId>> groups_;
  Index service_index_;
  std::vector<const text::Flow*> flow_of_line_;
  std::vector<bool> service_used_;
};

void Resolver::domains() {
  for (const text::Domain& each : file_.domains) {
    Domain domain;
    domain.name = each.name.text;
    domain.title = each.title;
    domain.owner = each.owner;
    domain.level = each.level;
    domain.position = each.name.range.begin;
    for (const auto& network : each.networks) domain.networks.push_back(network.prefix);
    for (const auto& interface : each.interfaces) domain.interfaces.push_back(interface.text);
    domain_index_.emplace(each.name.text, static_cast<std::uint32_t>(policy_.domains_.size()));
    policy_.domains_.push_back(std::move(domain));
    policy_.names_.emplace_back(each.name.text, static_cast<DomainId>(policy_.domains_.size()));
  }
  std::sort(policy_.names_.begin(), policy_.names_.end());
  interfaces();
  networks();
}

void Resolver::interfaces() {
  std::map<std::string_view, std::pair<DomainId, SourceRange>> first;
  std::map<std::string, std::vector<DomainId>> claims;
  for (std::size_t i = 0; i < file_.domains.size(); ++i) {
    const auto id = static_cast<DomainId>(i + 1);
    for (const text::Name& name : file_.domains[i].interfaces) {
      const auto [before, fresh] = first.try_emplace(name.text, id, name.range);
      if (!fresh) {
        const bool own = before->second.first == id;
        const std::string& owner = file_.domains[before->second.first - 1].name.text;
        diagnostics_.error(
            "duplicate-interface", name.range,
            own ? Text{fmt::format("接口“{}”重复", name.text),
                       fmt::format("interface \"{}\" is listed twice", name.text)}
                : Text{fmt::format("接口“{}”已属于安全域“{}”，同一接口上的两个域无法隔离",
                                   name.text, owner),
                       fmt::format("interface \"{}\" belongs to domain \"{}\"; two domains behind "
                                   "one interface cannot be kept apart",
                                   name.text, owner)},
            {{{"先前列出于此", "listed here before"}, before->second.second}});
        continue;
      }
      claims[name.text].push_back(id);
    }
  }
  for (auto& [name, ids] : claims) policy_.interfaces_.emplace_back(name, std::move(ids));
}

bool Resolver::share_attachment(DomainId a, DomainId b) const {
  // An interface has one domain; all domains without interfaces share what is left.
  return policy_.domains_[a - 1].interfaces.empty() && policy_.domains_[b - 1].interfaces.empty();
}

void Resolver::networks() {
  std::vector<Claim> v4;
  std::vector<Claim> v6;
  const Prefix all_v4 = *Prefix::parse("0.0.0.0/0");
  const Prefix all_v6 = *Prefix::parse("::/0");
  for (std::size_t i = 0; i < file_.domains.size(); ++i) {
    const text::Domain& domain = file_.domains[i];
    const auto id = static_cast<DomainId>(i + 1);
    for (const auto& network : domain.networks)
      (network.prefix.is_v4() ? v4 : v6).push_back({network.prefix, network.range, id});
    if (domain.networks.empty() && domain.readable) {
      policy_.domains_[i].networks = {all_v4, all_v6};
      v4.push_back({all_v4, domain.name.range, id});
      v6.push_back({all_v6, domain.name.range, id});
    }
  }
  overlaps(v4);
  overlaps(v6);
}

// Each network against the next wider one around it: nesting makes every overlap.
void Resolver::overlaps(std::vector<Claim>& claims) {
  std::stable_sort(claims.begin(), claims.end(), [](const Claim& a, const Claim& b) {
    return std::pair(a.prefix.first(), a.prefix.length()) <
           std::pair(b.prefix.first(), b.prefix.length());
  });
  std::vector<const Claim*> open;
  for (const Claim& claim : claims) {
    while (!open.empty() && !open.back()->prefix.contains(claim.prefix.first())) open.pop_back();
    if (!open.empty() && open.back()->prefix == claim.prefix) {
      overlap(*open.back(), claim);  // and the wider ones have met the first of the two
      continue;
    }
    for (auto outer = open.rbegin(); outer != open.rend(); ++outer) overlap(**outer, claim);
    open.push_back(&claim);
  }
}

void Resolver::overlap(const Claim& outer, const Claim& inner) {
  const bool later_in_file = outer.range < inner.range;
  const Claim& here = later_in_file ? inner : outer;
  const Claim& there = later_in_file ? outer : inner;
  const Note note{{"与此重叠", "overlaps this one"}, there.range};
  if (outer.domain == inner.domain) {
    diagnostics_.warning("redundant-network", inner.range,
                         {fmt::format("网段 {} 已包含在本域的 {} 中", inner.prefix.to_string(),
                                      outer.prefix.to_string()),
                          fmt::format("{} already lies in this domain's {}",
                                      inner.prefix.to_string(), outer.prefix.to_string())},
                         {note});
    return;
  }
  const bool equal = outer.prefix == inner.prefix;
  if (!equal && !share_attachment(outer.domain, inner.domain)) return;  // the longer prefix wins
  const std::string& other = policy_.domains_[there.domain - 1].name;
  const Text text =
      equal
          ? Text{fmt::format("网段 {} 已属于安全域“{}”", here.prefix.to_string(), other),
                 fmt::format("{} already belongs to domain \"{}\"", here.prefix.to_string(), other)}
          : Text{fmt::format("网段 {} 与安全域“{}”的 {} 重叠，且两域接入点相同",
                             here.prefix.to_string(), other, there.prefix.to_string()),
                 fmt::format("{} overlaps {} of domain \"{}\" behind the same attachment",
                             here.prefix.to_string(), there.prefix.to_string(), other)};
  diagnostics_.error("overlapping-networks", here.range, text, {note});
}

void Resolver::groups() {
  for (const text::Group& group : file_.groups) {
    const auto domain = domain_index_.find(group.name.text);
    if (domain != domain_index_.end()) {
      diagnostics_.error(
          "duplicate-name", group.name.range,
          {fmt::format("“{}”已是安全域的名称", group.name.text),
           fmt::format("\"{}\" is the name of a domain already", group.name.text)},
          {{{"先前列出于此", "listed here before"}, file_.domains[domain->second].name.range}});
    }
    std::vector<DomainId>& members = groups_[group.name.text];
    text::NameList names;
    names.names = group.domains;
    static_cast<void>(
        look_up(names, domain_index_, {"安全域", "domain"}, "unknown-domain", 1, members));
  }
}

// Domains by their names and by those of groups.
bool Resolver::look_up_domains(const text::NameList& list, std::vector<DomainId>& out) {
  text::NameList domains;
  for (const text::Name& name : list.names) {
    const auto group = groups_.find(name.text);
    if (group == groups_.end()) {
      domains.names.push_back(name);
    } else {
      out.insert(out.end(), group->second.begin(), group->second.end());
    }
  }
  const bool ok = look_up(domains, domain_index_, {"安全域", "domain"}, "unknown-domain", 1, out);
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return ok;
}

void Resolver::services() {
  for (const text::Service& each : file_.services) {
    service_index_.emplace(each.name.text, static_cast<std::uint32_t>(policy_.services_.size()));
    policy_.services_.push_back({each.name.text, merged(each.tcp), merged(each.udp), each.icmp});
  }
  service_used_.resize(policy_.services_.size());
}

bool Resolver::look_up(const text::NameList& list, const Index& index, Text kind,
                       std::string_view code, std::uint32_t base, std::vector<std::uint32_t>& out) {
  bool ok = true;
  for (const text::Name& name : list.names) {
    const auto found = index.find(name.text);
    if (found != index.end()) {
      out.push_back(found->second + base);
      continue;
    }
    ok = false;
    // Comparing with every name of a large policy is worth it for the first few mistakes only.
    std::string_view hint;
    if (diagnostics_.errors() < 20) {
      std::vector<std::string_view> names;
      for (const auto& [key, value] : index) names.push_back(key);
      std::sort(names.begin(), names.end());
      hint = nearest(name.text, names);
    }
    diagnostics_.error(
        std::string(code), name.range,
        {fmt::format("未定义的{}“{}”{}", kind.zh, escape_controls(name.text),
                     hint.empty() ? "" : fmt::format("，是否为“{}”？", hint)),
         fmt::format("unknown {} \"{}\"{}", kind.en, escape_controls(name.text),
                     hint.empty() ? "" : fmt::format("; did you mean \"{}\"?", hint))});
  }
  std::sort(out.begin(), out.end());
  return ok;
}

bool Resolver::flow_names(const text::Flow& flow, Line& line) {
  bool ok = look_up_domains(flow.from, line.from);
  ok &= look_up_domains(flow.to, line.to);
  ok &= look_up(flow.service, service_index_, {"服务", "service"}, "unknown-service", 0,
                line.services);
  for (const std::uint32_t service : line.services) service_used_[service] = true;
  for (const text::Name& name : flow.to.names) {
    if (groups_.contains(name.text)) continue;
    const auto from = std::find_if(flow.from.names.begin(), flow.from.names.end(),
                                   [&](const text::Name& n) { return n.text == name.text; });
    if (from == flow.from.names.end()) continue;
    ok = false;
    diagnostics_.error("same-domain", name.range,
                       {fmt::format("源与目的同为安全域“{}”：域内流量始终放行", name.text),
                        fmt::format("source and destination are both \"{}\": traffic inside a "
                                    "domain always passes",
                                    name.text)},
                       {{{"源在此", "the source is here"}, from->range}});
  }
  // By a group: a line between its members is one between different domains.
  return ok && !only_itself(flow, line);
}

// A line whose ends are one and the same domain says nothing.
bool Resolver::only_itself(const text::Flow& flow, const Line& line) {
  if (line.from.size() != 1 || line.from != line.to) return false;
  const std::string& name = policy_.domains_[line.from.front() - 1].name;
  diagnostics_.error(
      "same-domain", flow.to.range,
      {fmt::format("源与目的同为安全域“{}”：域内流量始终放行", name),
       fmt::format("source and destination are both \"{}\": traffic inside a domain always passes",
                   name)});
  return true;
}

// An expired line; it is left out, with an error or a warning.
bool Resolver::over(const text::Flow& flow) {
  if (!flow.expires || *flow.expires >= options_.today) return false;
  const Text text{fmt::format("该流已于 {} 到期", to_string(*flow.expires)),
                  fmt::format("this flow expired on {}", to_string(*flow.expires))};
  if (options_.expired == Expired::error) {
    diagnostics_.error("expired-flow", flow.expires_range, text);
  } else {
    diagnostics_.warning("expired-flow", flow.expires_range,
                         {text.zh + "，不再生效", text.en + " and no longer holds"});
  }
  return true;
}

void Resolver::flows() {
  for (const text::Flow& each : file_.flows) {
    Line line;
    const bool names_ok = flow_names(each, line);
    const bool expired = over(each);
    if (!names_ok || !each.readable || expired) continue;
    line.action = each.action;
    line.inspect = each.inspect;
    line.log = each.log.value_or(each.action == Action::deny);
    line.reason = each.reason;
    line.ticket = each.ticket;
    line.author = each.author;
    line.expires = each.expires;
    line.position = each.range.begin;
    policy_.lines_.push_back(std::move(line));
    flow_of_line_.push_back(&each);
  }
}

void Resolver::too_large(Text what) {
  diagnostics_.error("policy-too-large", {{1, 1}, {1, 1}}, std::move(what));
}

void Resolver::table() {
  auto ports = classify_ports(policy_.services_);
  if (!ports) {
    too_large({fmt::format("服务的端口划分过细：超过 {} 项", service_classes_max),
               fmt::format("the services divide the ports too finely: more than {} parts",
                           service_classes_max)});
    return;
  }
  const Text too_many{
      fmt::format("策略展开后超过 {} 项", DecisionTable::entries_max),
      fmt::format("the policy expands to more than {} entries", DecisionTable::entries_max)};
  TableBuilder builder;
  for (std::uint32_t i = 0; i < policy_.lines_.size(); ++i) {
    const Line& line = policy_.lines_[i];
    std::vector<ClassId> classes;
    for (const std::uint32_t service : line.services) {
      const auto& of = ports->of_service[service];
      classes.insert(classes.end(), of.begin(), of.end());
    }
    std::sort(classes.begin(), classes.end());
    classes.erase(std::unique(classes.begin(), classes.end()), classes.end());
    if (!line.services.empty() && classes.empty()) continue;  // an unreadable service: reported
    Coverage coverage;
    if (!builder.add({line.from, line.to, classes}, i, coverage)) return too_large(too_many);
    hidden(i, coverage);
  }
  auto entries = builder.build(policy_.domains_.size());
  if (!entries) return too_large(too_many);
  if (diagnostics_.has_errors()) return;

  std::vector<OwnedPrefix> v4;
  // An IPv4 address written as IPv6 is IPv4 to us: no IPv6 network covers it.
  std::vector<OwnedPrefix> v6{{*Prefix::parse("0.0.0.0/0"), domain_any}};
  for (std::size_t i = 0; i < policy_.domains_.size(); ++i) {
    for (const Prefix& prefix : policy_.domains_[i].networks)
      (prefix.is_v4() ? v4 : v6).push_back({prefix, static_cast<DomainId>(i + 1)});
  }
  policy_.table_ = DecisionTable(disjoint_ranges(std::move(v4)), disjoint_ranges(std::move(v6)),
                                 std::move(ports->tcp), std::move(ports->udp), std::move(*entries));
}

Note Resolver::note_of(std::uint32_t line) const {
  return {{fmt::format("第 {} 行先匹配", policy_.lines_[line].position.line),
           fmt::format("line {} matches first", policy_.lines_[line].position.line)},
          flow_of_line_[line]->range};
}

void Resolver::hidden(std::uint32_t index, const Coverage& coverage) {
  if (coverage.covered == 0) return;
  const Line& line = policy_.lines_[index];
  std::vector<Note> same;
  std::vector<Note> other;
  bool conflict = false;
  bool allowed_before = false;
  for (const std::uint32_t by : coverage.by) {
    const Line& earlier = policy_.lines_[by];
    const bool differs = earlier.action != line.action || earlier.inspect != line.inspect;
    conflict |= differs;
    allowed_before |= earlier.action == Action::allow;
    auto& notes = differs ? other : same;
    if (notes.size() < notes_max) notes.push_back(note_of(by));
  }
  const SourceRange range = flow_of_line_[index]->range;
  if (coverage.covered < coverage.cells) {
    if (line.action == Action::deny && allowed_before) {
      diagnostics_.warning("partly-shadowed-flow", range,
                           {"该拒绝流的一部分已被前面的行放行",
                            "part of what this line denies is allowed by an earlier line"},
                           std::move(other));
    }
    return;
  }
  if (conflict) {
    other.insert(other.end(), same.begin(), same.end());
    diagnostics_.error("conflicting-flow", range,
                       {"该流永不生效：前面的行已完全覆盖且处置不同",
                        "this flow never takes effect: earlier lines cover all of it and treat it "
                        "otherwise"},
                       std::move(other));
  } else {
    diagnostics_.error("shadowed-flow", range,
                       {"该流多余：前面的行已完全覆盖且处置相同",
                        "this flow is redundant: earlier lines cover all of it in the same way"},
                       std::move(same));
  }
}

void Resolver::unused() {
  for (std::size_t i = 0; i < service_used_.size(); ++i) {
    if (service_used_[i]) continue;
    const text::Name& name = file_.services[i].name;
    diagnostics_.warning("unused-service", name.range,
                         {fmt::format("服务“{}”未被使用", name.text),
                          fmt::format("service \"{}\" is not used", name.text)});
  }
}

std::optional<Policy> Resolver::run() {
  policy_.source_name_ = diagnostics_.name();
  domains();
  groups();
  services();
  flows();
  table();
  unused();
  if (diagnostics_.has_errors()) return std::nullopt;
  return std::move(policy_);
}

std::optional<Policy> resolve(const text::File& file, const ResolveOptions& options,
                              Diagnostics& diagnostics) {
  return Resolver(file, options, diagnostics).run();
}

std::chrono::year_month_day today(const Clock& clock) {
  const std::time_t seconds = static_cast<std::time_t>(clock.wall() / 1'000'000'000);
  std::tm local{};
  localtime_r(&seconds, &local);
  return {std::chrono::year(local.tm_year + 1900),
          std::chrono::month(static_cast<unsigned>(local.tm_mon + 1)),
          std::chrono::day(static_cast<unsigned>(local.tm_mday))};
}

}  // namespace menshen::policy
