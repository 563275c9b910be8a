#include "policy/import/writer.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.hpp"
#include "policy/model/resolve.hpp"
#include "policy/text/parser.hpp"

namespace menshen::policy::imports {
namespace {

// A double-quoted scalar on one line.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  const std::string_view kept = text.substr(0, text::text_bytes_max / 2);
  for (std::size_t i = 0; i < kept.size();) {
    const CodePoint point = first_code_point(kept.substr(i));
    if (point.bytes == 0) break;
    if (!point.valid || is_control(point.value)) {
      out += ' ';
    } else {
      if (point.value == U'"' || point.value == U'\\') out += '\\';
      out += kept.substr(i, point.bytes);
    }
    i += point.bytes;
  }
  return out + "\"";
}

std::string port_text(const PortRange& range) {
  return range.first == range.last ? fmt::format("{}", range.first)
                                   : fmt::format("{}-{}", range.first, range.last);
}

std::string list_of(const std::vector<std::string>& names) {
  return names.size() == 1 ? names.front() : fmt::format("[{}]", fmt::join(names, ", "));
}

}  // namespace

std::string name_from(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool upper = c >= 'A' && c <= 'Z';
    const bool kept = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    const char next = upper ? static_cast<char>(c - 'A' + 'a') : kept ? c : '-';
    if (next == '-' && (out.empty() || out.back() == '-')) continue;
    out += next;
    if (out.size() == text::name_bytes_max) break;
  }
  while (!out.empty() && out.back() == '-') out.pop_back();
  if (out.empty() || out.front() < 'a' || out.front() > 'z') out.insert(0, "d");
  return out.substr(0, text::name_bytes_max);
}

std::string Writer::unique(std::string name) {
  if (name == "any") name = "any-1";
  std::string out = name;
  for (std::size_t i = 2; names_.contains(out); ++i) {
    const std::string suffix = fmt::format("-{}", i);
    out = name.substr(0, text::name_bytes_max - suffix.size()) + suffix;
  }
  names_.insert(out);
  return out;
}

std::size_t Writer::domain(std::string_view wanted, std::string title,
                           std::vector<Prefix> networks) {
  domains_.push_back({unique(name_from(wanted)), std::move(title), std::move(networks)});
  return domains_.size() - 1;
}

std::string Writer::ends(const Ids& ids) {
  if (ids.size() == domains_.size()) return "any";
  if (ids.size() == 1) return domains_[ids.front()].name;
  const auto [found, fresh] = groups_.try_emplace(ids);
  if (fresh) {
    found->second = unique(fmt::format("group-{}", group_order_.size() + 1));
    group_order_.emplace_back(found->second, ids);
  }
  return found->second;
}

std::string Writer::services(const ServiceSet& set) {
  std::vector<std::string> names;
  const auto add = [&](std::string_view protocol, const std::vector<PortRange>& ranges) {
    for (PortRange range : ranges) {
      range.first = std::max<std::uint16_t>(range.first, 1);
      if (range.last == 0) continue;
      std::string name = fmt::format("{}-{}", protocol, port_text(range));
      services_.emplace(name, fmt::format("{{{}: [\"{}\"]}}", protocol, port_text(range)));
      names.push_back(std::move(name));
    }
  };
  add("tcp", set.tcp);
  add("udp", set.udp);
  if (set.icmp) {
    services_.emplace("icmp", "{icmp: true}");
    names.emplace_back("icmp");
  }
  return names.empty() ? "" : list_of(names);
}

void Writer::put(const Ids& from, const Ids& to, const std::string& services, Action action,
                 std::string_view reason) {
  std::string line = fmt::format("{{from: {}, to: {}, service: {}", ends(from), ends(to), services);
  if (action == Action::deny) line += ", action: deny";
  if (!reason.empty()) line += ", reason: " + quoted(reason);
  lines_.push_back(line + "}");
}

void Writer::line(const Ids& from, const Ids& to, const ServiceSet& set, Action action,
                  std::string_view reason) {
  if (from.empty() || to.empty() || set.empty() || (from.size() == 1 && from == to)) return;
  if (!set.other) {
    if (const std::string names = services(set); !names.empty())
      put(from, to, names, action, reason);
    return;
  }
  const std::string rest = services(without(ServiceSet::all(), set));
  if (!rest.empty())
    put(from, to, rest, action == Action::deny ? Action::allow : Action::deny, reason);
  put(from, to, "any", action, reason);
}

void Writer::loss(Effect effect, std::string place, Text text) {
  if (losses_.size() < losses_max) {
    losses_.push_back({effect, std::move(place), std::move(text)});
  } else {
    ++further_losses_;
  }
}

std::string Writer::text(const Text& head, const std::set<std::size_t>& without,
                         std::vector<std::size_t>& line_at) const {
  std::string out = fmt::format("# {}\n# {}\nversion: 1\ndomains:\n", head.zh, head.en);
  for (const DomainText& domain : domains_) {
    std::vector<std::string> networks;
    for (const Prefix& prefix : domain.networks) networks.push_back(quoted(prefix.to_string()));
    out += fmt::format("  {}: {{", domain.name);
    if (!domain.title.empty()) out += fmt::format("title: {}, ", quoted(domain.title));
    out += fmt::format("networks: [{}]}}\n", fmt::join(networks, ", "));
  }
  if (!group_order_.empty()) out += "groups:\n";
  for (const auto& [name, ids] : group_order_) {
    std::vector<std::string_view> members;
    for (const std::size_t id : ids) members.emplace_back(domains_[id].name);
    out += fmt::format("  {}: [{}]\n", name, fmt::join(members, ", "));
  }
  if (!services_.empty()) out += "services:\n";
  for (const auto& [name, map] : services_) out += fmt::format("  {}: {}\n", name, map);
  out += without.size() == lines_.size() ? "flows: []\n" : "flows:\n";
  line_at.clear();
  std::size_t at = static_cast<std::size_t>(std::count(out.begin(), out.end(), '\n')) + 1;
  for (std::size_t i = 0; i < lines_.size(); ++i) {
    line_at.push_back(without.contains(i) ? 0 : at);
    if (without.contains(i)) continue;
    out += fmt::format("  - {}\n", lines_[i]);
    ++at;
  }
  return out;
}

Result<Imported> Writer::finish(const Text& head) && {
  Imported out;
  std::set<std::size_t> covered;
  std::vector<std::size_t> line_at;
  // A line that is left out covers nothing that its cover does not, so one round more is enough;
  // diagnostics are bounded, so there may be several.
  for (bool again = true; again;) {
    again = false;
    out.yaml = text(head, covered, line_at);
    Diagnostics diagnostics("import", out.yaml);
    const text::File file = text::parse(out.yaml, diagnostics);
    static_cast<void>(resolve(file, {std::chrono::year(2000) / 1 / 1}, diagnostics));
    for (const Diagnostic& each : diagnostics.all()) {
      if (each.severity != Severity::error) continue;
      const auto line = std::find(line_at.begin(), line_at.end(), each.range.begin.line);
      const bool shadowed = each.code == "shadowed-flow" || each.code == "conflicting-flow" ||
                            each.code == "same-domain";
      if (!shadowed || line == line_at.end()) {
        return fail(each.code == "policy-too-large" || each.code == "too-many" ? ErrorCode::limit
                                                                               : ErrorCode::invalid,
                    {"生成的策略无法加载：" + each.text.zh,
                     "the policy that was made does not load: " + each.text.en});
      }
      const auto index = static_cast<std::size_t>(line - line_at.begin());
      covered.insert(index);
      again = true;
      if (each.code != "same-domain")
        loss(Effect::none, lines_[index],
             {"前面的行已完全覆盖，未写入", "earlier lines cover all of it; left out"});
    }
  }
  if (further_losses_ != 0) {
    losses_.push_back({Effect::more_open,
                       "",
                       {fmt::format("另有 {} 项未列出", further_losses_),
                        fmt::format("{} more are not listed", further_losses_)}});
  }
  out.losses = std::move(losses_);
  out.domains = domains_.size();
  out.lines = lines_.size() - covered.size();
  return out;
}

}  // namespace menshen::policy::imports
