#include "policy/text/parser.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/yaml.hpp"

namespace menshen::policy::text {
namespace {

using yaml::Node;

std::optional<unsigned> digits(std::string_view text) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

class Parser {
 public:
  explicit Parser(Diagnostics& diagnostics) : diagnostics_(diagnostics) {}

  File file(const Node& root);

 private:
  Domain domain(const Node::Entry& entry);
  Group group(const Node::Entry& entry);
  Service service(const Node::Entry& entry);
  Flow flow(const Node& node);

  bool expect_map(const Node& node, Text what);
  bool name_ok(std::string_view name, SourceRange range);
  std::optional<std::string> free_text(const Node* node);
  void networks(const Node& node, Domain& domain);
  void interfaces(const Node& node, Domain& domain);
  void ports(const Node& node, std::vector<PortRange>& out, Service& service);
  std::optional<PortRange> port_range(const Node& node);
  NameList name_list(const Node* node, const Node& flow, std::string_view key, Flow& out);
  std::optional<std::chrono::year_month_day> date(const Node& node);
  template <class T>
  void choice(const Node* node, std::initializer_list<std::pair<std::string_view, T>> choices,
              T& value, Flow& out);

  Diagnostics& diagnostics_;
};

bool Parser::expect_map(const Node& node, Text what) {
  if (node.is_map()) return true;
  diagnostics_.error("wrong-type", node.range,
                     {fmt::format("{}应为映射（键: 值）", what.zh),
                      fmt::format("{} must be a map of keys and values", what.en)});
  return false;
}

bool Parser::name_ok(std::string_view name, SourceRange range) {
  const auto lower = [](char c) { return c >= 'a' && c <= 'z'; };
  const auto rest = [&](char c) {
    return lower(c) || (c >= '0' && c <= '9') || c == '_' || c == '-';
  };
  if (name == "any") {
    diagnostics_.error(
        "bad-name", range,
        {"“any” 表示任意，不能用作名称", "\"any\" stands for all and cannot be a name"});
    return false;
  }
  if (!name.empty() && name.size() <= name_bytes_max && lower(name.front()) &&
      std::all_of(name.begin(), name.end(), rest)) {
    return true;
  }
  diagnostics_.error(
      "bad-name", range,
      {fmt::format("名称须以小写字母开头，只含小写字母、数字、“_”和“-”，至多 {} 个字符",
                   name_bytes_max),
       fmt::format(
           "a name starts with a lower-case letter and holds only lower-case letters, digits, "
           "'_' and '-', at most {} characters",
           name_bytes_max)});
  return false;
}

std::optional<std::string> Parser::free_text(const Node* node) {
  if (node == nullptr) return std::string{};
  auto text = yaml::as_string(*node, diagnostics_);
  if (text && text->size() > text_bytes_max) {
    diagnostics_.error("too-long", node->range,
                       {fmt::format("文字过长，至多 {} 字节", text_bytes_max),
                        fmt::format("the text is longer than {} bytes", text_bytes_max)});
    return std::nullopt;
  }
  return text;
}

void Parser::networks(const Node& node, Domain& domain) {
  const auto items = yaml::as_list(node, diagnostics_);
  if (!items) {
    domain.readable = false;
    return;
  }
  for (const Node* item : *items) {
    auto prefix = Prefix::parse(item->text);
    if (prefix) {
      domain.networks.push_back({*prefix, item->range});
    } else {
      domain.readable = false;
      diagnostics_.error("bad-network", item->range, prefix.error().text);
    }
  }
}

void Parser::interfaces(const Node& node, Domain& domain) {
  const auto items = yaml::as_list(node, diagnostics_);
  if (!items) {
    domain.readable = false;
    return;
  }
  for (const Node* item : *items) {
    const std::string& name = item->text;
    const bool ok = !name.empty() && name.size() <= interface_bytes_max && name != "." &&
                    name != ".." && std::all_of(name.begin(), name.end(), [](char c) {
                      return c > ' ' && c != 0x7f && c != '/' && c != ':' && c != '"';
                    });
    if (ok) {
      domain.interfaces.push_back({name, item->range});
    } else {
      domain.readable = false;
      diagnostics_.error(
          "bad-interface", item->range,
          {fmt::format("不是有效的接口名（1 至 {} 字节，不含空格、“/”和“:”）", interface_bytes_max),
           fmt::format("not an interface name (1 to {} bytes, no space, '/' or ':')",
                       interface_bytes_max)});
    }
  }
}

Domain Parser::domain(const Node::Entry& entry) {
  Domain out;
  out.name = {entry.key, entry.key_range};
  out.readable = name_ok(entry.key, entry.key_range);
  const Node& node = entry.value;
  if (node.kind != Node::Kind::null && !expect_map(node, {"安全域", "a domain"})) {
    out.readable = false;
    return out;
  }
  yaml::reject_unknown_keys(node, {"title", "owner", "level", "networks", "interfaces"},
                            diagnostics_);
  const auto title = free_text(node.find("title"));
  const auto owner = free_text(node.find("owner"));
  out.title = title.value_or("");
  out.owner = owner.value_or("");
  if (const Node* level = node.find("level")) {
    out.level = static_cast<std::uint8_t>(yaml::as_integer(*level, 2, 4, diagnostics_).value_or(0));
  }
  if (const Node* list = node.find("networks")) networks(*list, out);
  if (const Node* list = node.find("interfaces")) interfaces(*list, out);
  if (out.networks.empty() && out.interfaces.empty() && out.readable) {
    out.readable = false;
    diagnostics_.error(
        "empty-domain", entry.key_range,
        {fmt::format("安全域“{}”既无网段（networks）也无接口（interfaces）", entry.key),
         fmt::format("domain \"{}\" has neither networks nor interfaces", entry.key)});
  }
  return out;
}

Group Parser::group(const Node::Entry& entry) {
  Group out;
  out.name = {entry.key, entry.key_range};
  static_cast<void>(name_ok(entry.key, entry.key_range));
  const auto items = yaml::as_list(entry.value, diagnostics_);
  if (!items) return out;
  if (items->empty()) {
    diagnostics_.error(
        "empty-list", entry.value.range,
        {fmt::format("域组“{}”为空", entry.key), fmt::format("group \"{}\" is empty", entry.key)});
  }
  for (const Node* item : *items) {
    const auto same = std::find_if(out.domains.begin(), out.domains.end(),
                                   [&](const Name& n) { return n.text == item->text; });
    if (same == out.domains.end()) {
      out.domains.push_back({item->text, item->range});
      continue;
    }
    diagnostics_.error(
        "duplicate-name", item->range,
        {fmt::format("“{}”重复", item->text), fmt::format("\"{}\" is listed already", item->text)},
        {{{"先前列出于此", "listed here before"}, same->range}});
  }
  return out;
}

std::optional<PortRange> Parser::port_range(const Node& node) {
  if (!node.is_scalar()) {
    static_cast<void>(yaml::as_string(node, diagnostics_));
    return std::nullopt;
  }
  const std::string_view text = node.text;
  const std::size_t dash = text.find('-');
  const auto first = digits(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : digits(text.substr(dash + 1));
  if (!first || !last) {
    diagnostics_.error("bad-port", node.range,
                       {fmt::format("“{}”不是端口或端口范围，例如 443 或 \"8000-8100\"", text),
                        fmt::format("\"{}\" is no port or range of ports, such as 443 or "
                                    "\"8000-8100\"",
                                    text)});
    return std::nullopt;
  }
  if (*first < 1 || *last > 65535 || *first > 65535 || *last < 1) {
    diagnostics_.error("bad-port", node.range,
                       {"端口应在 1 至 65535 之间", "a port lies between 1 and 65535"});
    return std::nullopt;
  }
  if (*first > *last) {
    diagnostics_.error("bad-port", node.range,
                       {"端口范围的起点大于终点", "the range of ports ends before it begins"});
    return std::nullopt;
  }
  return PortRange{static_cast<std::uint16_t>(*first), static_cast<std::uint16_t>(*last),
                   node.range};
}

void Parser::ports(const Node& node, std::vector<PortRange>& out, Service& service) {
  const auto items = yaml::as_list(node, diagnostics_);
  if (!items) {
    service.readable = false;
    return;
  }
  for (const Node* item : *items) {
    const auto range = port_range(*item);
    if (!range) {
      service.readable = false;
      continue;
    }
    const auto overlap = std::find_if(out.begin(), out.end(), [&](const PortRange& r) {
      return r.first <= range->last && range->first <= r.last;
    });
    if (overlap != out.end()) {
      diagnostics_.warning("duplicate-port", range->range,
                           {"端口重复", "these ports are listed already"},
                           {{{"先前列出于此", "listed here before"}, overlap->range}});
    }
    out.push_back(*range);
  }
}

Service Parser::service(const Node::Entry& entry) {
  Service out;
  out.name = {entry.key, entry.key_range};
  out.readable = name_ok(entry.key, entry.key_range);
  const Node& node = entry.value;
  if (node.kind != Node::Kind::null && !expect_map(node, {"服务", "a service"})) {
    out.readable = false;
    return out;
  }
  yaml::reject_unknown_keys(node, {"tcp", "udp", "icmp"}, diagnostics_);
  if (const Node* list = node.find("tcp")) ports(*list, out.tcp, out);
  if (const Node* list = node.find("udp")) ports(*list, out.udp, out);
  if (const Node* icmp = node.find("icmp")) {
    const auto value = yaml::as_bool(*icmp, diagnostics_);
    if (!value) out.readable = false;
    out.icmp = value.value_or(false);
  }
  if (out.readable && out.tcp.empty() && out.udp.empty() && !out.icmp) {
    out.readable = false;
    diagnostics_.error("empty-service", entry.key_range,
                       {fmt::format("服务“{}”不含任何协议或端口", entry.key),
                        fmt::format("service \"{}\" covers no protocol and no port", entry.key)});
  }
  return out;
}

NameList Parser::name_list(const Node* node, const Node& flow, std::string_view key, Flow& out) {
  NameList list;
  if (node == nullptr) {
    out.readable = false;
    diagnostics_.error("missing-key", flow.range,
                       {fmt::format("流缺少“{}”", key), fmt::format("the flow lacks \"{}\"", key)});
    return list;
  }
  list.range = node->range;
  const auto items = yaml::as_list(*node, diagnostics_);
  if (!items || items->empty()) {
    out.readable = false;
    if (items) {
      diagnostics_.error(
          "empty-list", node->range,
          {fmt::format("“{}”的列表为空", key), fmt::format("the list of \"{}\" is empty", key)});
    }
    return list;
  }
  for (const Node* item : *items) {
    if (item->text == "any") {
      list.any = true;
      if (items->size() > 1) {
        out.readable = false;
        diagnostics_.error("any-with-others", item->range,
                           {"“any” 已包含其余名称，应单独使用",
                            "\"any\" covers the other names and must stand alone"});
      }
      continue;
    }
    const auto same = std::find_if(list.names.begin(), list.names.end(),
                                   [&](const Name& n) { return n.text == item->text; });
    if (same != list.names.end()) {
      out.readable = false;
      diagnostics_.error("duplicate-name", item->range,
                         {fmt::format("“{}”重复", item->text),
                          fmt::format("\"{}\" is listed already", item->text)},
                         {{{"先前列出于此", "listed here before"}, same->range}});
      continue;
    }
    list.names.push_back({item->text, item->range});
  }
  return list;
}

std::optional<std::chrono::year_month_day> Parser::date(const Node& node) {
  const std::string_view text = node.is_scalar() ? std::string_view(node.text) : "";
  if (text.size() == 10 && text[4] == '-' && text[7] == '-') {
    const auto year = digits(text.substr(0, 4));
    const auto month = digits(text.substr(5, 2));
    const auto day = digits(text.substr(8, 2));
    if (year && month && day) {
      const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(*year)),
                                             std::chrono::month(*month), std::chrono::day(*day)};
      if (date.ok()) return date;
    }
  }
  diagnostics_.error("bad-date", node.range,
                     {"不是有效日期，应写作 2027-06-30", "not a date; write it as 2027-06-30"});
  return std::nullopt;
}

template <class T>
void Parser::choice(const Node* node, std::initializer_list<std::pair<std::string_view, T>> choices,
                    T& value, Flow& out) {
  if (node == nullptr) return;
  std::string names;
  for (const auto& [name, each] : choices) {
    if (node->is_scalar() && node->text == name) {
      value = each;
      return;
    }
    names += names.empty() ? "" : ", ";
    names += name;
  }
  out.readable = false;
  diagnostics_.error(
      "bad-value", node->range,
      {fmt::format("应为其中之一：{}", names), fmt::format("must be one of: {}", names)});
}

Flow Parser::flow(const Node& node) {
  Flow out;
  out.range = node.range;
  if (!expect_map(node, {"流", "a flow"})) {
    out.readable = false;
    return out;
  }
  yaml::reject_unknown_keys(node,
                            {"from", "to", "service", "action", "inspect", "log", "reason",
                             "ticket", "author", "expires"},
                            diagnostics_);
  out.from = name_list(node.find("from"), node, "from", out);
  out.to = name_list(node.find("to"), node, "to", out);
  out.service = name_list(node.find("service"), node, "service", out);
  choice(node.find("action"), {{"allow", Action::allow}, {"deny", Action::deny}}, out.action, out);
  const Node* inspect = node.find("inspect");
  choice(inspect, {{"none", Inspect::none}, {"alert", Inspect::alert}, {"block", Inspect::block}},
         out.inspect, out);
  if (out.action == Action::deny && out.inspect != Inspect::none) {
    out.readable = false;
    diagnostics_.error("inspect-denied", inspect->range,
                       {"被拒绝的流不会通过，无法检测（inspect）",
                        "a denied flow does not pass, so there is nothing to inspect"});
  }
  if (const Node* log = node.find("log")) out.log = yaml::as_bool(*log, diagnostics_);
  out.reason = free_text(node.find("reason")).value_or("");
  out.ticket = free_text(node.find("ticket")).value_or("");
  out.author = free_text(node.find("author")).value_or("");
  if (const Node* expires = node.find("expires")) {
    out.expires = date(*expires);
    out.expires_range = expires->range;
  }
  return out;
}

File Parser::file(const Node& root) {
  File out;
  if (root.kind == Node::Kind::null) {
    diagnostics_.error("empty-policy", root.range, {"策略文件为空", "the policy file is empty"});
    return out;
  }
  if (!expect_map(root, {"策略文件", "the policy file"})) return out;
  yaml::reject_unknown_keys(root, {"version", "domains", "groups", "services", "flows"},
                            diagnostics_);
  if (const Node* version = root.find("version")) {
    static_cast<void>(yaml::as_integer(*version, 1, 1, diagnostics_));
  }
  const auto too_many = [&](const Node& node, std::size_t count, std::size_t max, Text what) {
    if (count <= max) return false;
    diagnostics_.error("too-many", node.range,
                       {fmt::format("{}过多：{} 个，上限 {}", what.zh, count, max),
                        fmt::format("too many {}: {}, at most {}", what.en, count, max)});
    return true;
  };
  const Node* domains = root.find("domains");
  if (domains == nullptr || domains->kind == Node::Kind::null) {
    diagnostics_.error("missing-key", root.range,
                       {"策略缺少“domains”", "the policy lacks \"domains\""});
  } else if (expect_map(*domains, {"domains", "domains"}) &&
             !too_many(*domains, domains->entries.size(), domains_max, {"安全域", "domains"})) {
    for (const auto& entry : domains->entries) out.domains.push_back(domain(entry));
  }
  const Node* groups = root.find("groups");
  if (groups != nullptr && groups->kind != Node::Kind::null &&
      expect_map(*groups, {"groups", "groups"}) &&
      !too_many(*groups, groups->entries.size(), groups_max, {"域组", "groups"})) {
    for (const auto& entry : groups->entries) out.groups.push_back(group(entry));
  }
  const Node* services = root.find("services");
  if (services != nullptr && services->kind != Node::Kind::null &&
      expect_map(*services, {"services", "services"}) &&
      !too_many(*services, services->entries.size(), services_max, {"服务", "services"})) {
    for (const auto& entry : services->entries) out.services.push_back(service(entry));
  }
  const Node* flows = root.find("flows");
  if (flows != nullptr && flows->kind != Node::Kind::null) {
    if (!flows->is_sequence()) {
      diagnostics_.error("wrong-type", flows->range,
                         {"“flows” 应为列表", "\"flows\" must be a list"});
    } else if (!too_many(*flows, flows->items.size(), flows_max, {"流", "flows"})) {
      for (const auto& item : flows->items) out.flows.push_back(flow(item));
    }
  }
  return out;
}

}  // namespace

File parse(std::string_view source, Diagnostics& diagnostics) {
  const auto root = yaml::parse(source, diagnostics);
  if (!root) return {};
  return Parser(diagnostics).file(*root);
}

}  // namespace menshen::policy::text
