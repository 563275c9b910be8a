// What `nft -j list ruleset` prints (libnftables-json(5)): the one base chain on the forward hook
// and the chains that it jumps to.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "policy/import/document.hpp"
#include "policy/import/first_match.hpp"
#include "policy/import/readers.hpp"
#include "policy/import/regions.hpp"

namespace menshen::policy::imports {
namespace {

using yaml::Node;

constexpr std::size_t values_max = 65'536;  // of one set

struct TableId {
  std::string family;
  std::string name;
  auto operator<=>(const TableId&) const = default;
};

TableId table_of(const Node& node) { return {text_of(node, "family"), text_of(node, "table")}; }

using Sets = std::map<std::pair<TableId, std::string>, const Node*>;

// One rule, statement by statement.
class RuleReader {
 public:
  RuleReader(const TableId& table, const Sets& sets, const ImportOptions& options)
      : table_(table), sets_(sets), options_(options) {}
  void read(const Node& rule, std::string place);

  std::vector<Step> steps;  // several where a verdict map decides

 private:
  void statement(const Node& node);
  void match(const Node& node, Match& out);
  void compare(const Node& left, const std::vector<const Node*>& values, bool negated, Match& out);
  void address(const Node& payload, const std::vector<const Node*>& values, bool negated,
               Match& out);
  void ports(const std::string& protocol, const std::vector<const Node*>& values, bool negated,
             Match& out);
  void protocols(const std::vector<const Node*>& values, bool negated, Match& out);
  void meta(const std::string& key, const std::vector<const Node*>& values, bool negated,
            Match& out);
  void states(const std::vector<const Node*>& values, bool negated, Match& out);
  bool verdict(const Node& node, Step& step);
  void verdict_map(const Node& node);
  // The elements of a set, a list, a named set or a value alone.
  std::vector<const Node*> values_of(const Node& right);
  void unknown(Match& out, const std::string& what) {
    if (!out.unknown)
      out.unknown = Text{"条件无法表达：" + what, "the condition cannot be expressed: " + what};
  }

  const TableId& table_;
  const Sets& sets_;
  const ImportOptions& options_;
  Match common_;
  std::string reason_;
  std::string place_;
  bool done_ = false;  // a verdict was met
};

std::vector<const Node*> RuleReader::values_of(const Node& right) {
  if (right.is_scalar() && right.text.starts_with('@')) {
    const auto set = sets_.find({table_, right.text.substr(1)});
    if (set == sets_.end()) return {};
    return values_of(member(*set->second, "elem"));
  }
  const Node* list = right.is_sequence() ? &right : right.find("set");
  if (list == nullptr) return {&right};
  std::vector<const Node*> out;
  for (const Node& each : list->items) {
    if (out.size() == values_max) return {};
    const Node* element = each.find("elem");
    out.push_back(element == nullptr ? &each : &member(*element, "val"));
  }
  return out;
}

void RuleReader::address(const Node& payload, const std::vector<const Node*>& values, bool negated,
                         Match& out) {
  const bool source = text_of(payload, "field") == "saddr";
  std::vector<Prefix> networks;
  for (const Node* value : values) {
    if (const Node* prefix = value->find("prefix")) {
      const auto network = parse_network(text_of(*prefix, "addr") + "/" + text_of(*prefix, "len"));
      if (!network) return unknown(out, "prefix");
      networks.push_back(*network);
    } else if (const Node* range = value->find("range");
               range != nullptr && range->items.size() == 2) {
      const auto first = IpAddr::parse(range->items[0].text);
      const auto last = IpAddr::parse(range->items[1].text);
      if (!first || !last) return unknown(out, "range");
      const auto parts = prefixes_of_range(*first, *last);
      networks.insert(networks.end(), parts.begin(), parts.end());
    } else if (const auto network = parse_network(value->text)) {
      networks.push_back(*network);
    } else {
      return unknown(out, "address " + value->text);
    }
  }
  const bool v6 = text_of(payload, "protocol") == "ip6";
  (v6 ? out.v4 : out.v6) = false;
  const bool mixed = std::any_of(networks.begin(), networks.end(),
                                 [&](const Prefix& p) { return p.is_v4() == v6; });
  if (networks.empty() || mixed) return unknown(out, "address");
  restrict_to(source ? out.from : out.to, std::move(networks), negated);
}

void RuleReader::ports(const std::string& protocol, const std::vector<const Node*>& values,
                       bool negated, Match& out) {
  ServiceSet set;
  ServiceSet whole;
  for (const bool udp : {false, true}) {
    if (protocol != "th" && protocol != (udp ? "udp" : "tcp")) continue;
    const IpProto proto = udp ? IpProto::udp : IpProto::tcp;
    whole = either(whole, ServiceSet::of_ports(proto, 0, 65535));
    for (const Node* value : values) {
      const Node* range = value->find("range");
      const bool pair = range != nullptr && range->items.size() == 2;
      const auto first = number_of(pair ? range->items[0] : *value);
      const auto last = number_of(pair ? range->items[1] : *value);
      if (!first || !last || *first < 0 || *last > 65535 || *first > *last)
        return unknown(out, "port " + value->text);
      set = either(set, ServiceSet::of_ports(proto, static_cast<std::uint16_t>(*first),
                                             static_cast<std::uint16_t>(*last)));
    }
  }
  if (whole.empty() || values.empty()) return unknown(out, protocol + " dport");
  out.services = both(out.services, negated ? without(whole, set) : set);
}

void RuleReader::protocols(const std::vector<const Node*>& values, bool negated, Match& out) {
  ServiceSet set;
  for (const Node* value : values) {
    const auto one = ServiceSet::of_protocol(value->text);
    if (!one || one->other) return unknown(out, "protocol " + value->text);
    set = either(set, *one);
  }
  if (negated || values.empty()) return unknown(out, "protocol !=");
  out.services = both(out.services, set);
}

void RuleReader::states(const std::vector<const Node*>& values, bool negated, Match& out) {
  const auto has = [&](std::string_view name) {
    return std::any_of(values.begin(), values.end(),
                       [&](const Node* value) { return value->text == name; });
  };
  if (has("new") != negated) return;
  out.state = negated                                ? State::other
              : has("established") || has("related") ? State::known
              : has("invalid")                       ? State::invalid
                                                     : State::other;
}

void RuleReader::meta(const std::string& key, const std::vector<const Node*>& values, bool negated,
                      Match& out) {
  if (key == "l4proto") return protocols(values, negated, out);
  if (key == "nfproto" && values.size() == 1 && !negated) {
    (values.front()->text == "ipv6" ? out.v4 : out.v6) = false;
    return;
  }
  const bool in = key == "iifname" || key == "iif";
  if (!in && key != "oifname" && key != "oif") return unknown(out, "meta " + key);
  std::vector<Prefix> networks;
  for (const Node* value : values) {
    const auto behind = networks_behind(value->text, options_);
    if (behind.empty()) {
      if (!out.unknown) out.unknown = interface_unknown(value->text);
      return;
    }
    networks.insert(networks.end(), behind.begin(), behind.end());
  }
  restrict_to(in ? out.from : out.to, std::move(networks), negated);
}

void RuleReader::compare(const Node& left, const std::vector<const Node*>& values, bool negated,
                         Match& out) {
  if (const Node* payload = left.find("payload")) {
    const std::string& protocol = text_of(*payload, "protocol");
    const std::string& field = text_of(*payload, "field");
    if ((protocol == "ip" || protocol == "ip6") && (field == "saddr" || field == "daddr"))
      return address(*payload, values, negated, out);
    if (field == "dport") return ports(protocol, values, negated, out);
    if ((protocol == "ip" && field == "protocol") || (protocol == "ip6" && field == "nexthdr")) {
      (protocol == "ip6" ? out.v4 : out.v6) = false;
      return protocols(values, negated, out);
    }
    return unknown(out, protocol + " " + field);
  }
  if (const Node* key = left.find("meta")) return meta(text_of(*key, "key"), values, negated, out);
  if (const Node* ct = left.find("ct"); ct != nullptr && text_of(*ct, "key") == "state")
    return states(values, negated, out);
  unknown(out, left.entries.empty() ? "?" : left.entries.front().key);
}

void RuleReader::match(const Node& node, Match& out) {
  const std::string& op = text_of(node, "op");
  if (op != "==" && op != "!=" && op != "in" && !op.empty()) return unknown(out, op);
  compare(member(node, "left"), values_of(member(node, "right")), op == "!=", out);
}

// False: no verdict.
bool RuleReader::verdict(const Node& node, Step& step) {
  const auto is = [&](std::string_view name) { return node.find(name) != nullptr; };
  if (is("accept")) {
    step.kind = Step::Kind::accept;
  } else if (is("drop") || is("reject")) {
    step.kind = Step::Kind::drop;
  } else if (is("return")) {
    step.kind = Step::Kind::leave;
  } else if (is("jump") || is("goto")) {
    step.kind = is("jump") ? Step::Kind::jump : Step::Kind::go_to;
    step.target = text_of(member(node, is("jump") ? "jump" : "goto"), "target");
  } else {
    return false;
  }
  return true;
}

void RuleReader::verdict_map(const Node& node) {
  const Node& data = member(node, "data");
  const Node* list = data.find("set");
  if (data.is_scalar() && data.text.starts_with('@')) {
    const auto map = sets_.find({table_, data.text.substr(1)});
    if (map != sets_.end()) list = &member(*map->second, "elem");
  }
  if (list == nullptr || list->items.size() > values_max) {
    unknown(common_, "vmap");
    return;
  }
  for (const Node& pair : list->items) {
    Step step{common_, Step::Kind::nothing, {}, place_, reason_};
    if (pair.items.size() != 2 || !verdict(pair.items[1], step)) {
      unknown(step.match, "vmap");
    } else {
      compare(member(node, "key"), values_of(pair.items[0]), false, step.match);
    }
    steps.push_back(std::move(step));
  }
}

void RuleReader::statement(const Node& node) {
  if (node.entries.empty()) return;
  const std::string& kind = node.entries.front().key;
  const Node& value = node.entries.front().value;
  Step step{common_, Step::Kind::nothing, {}, place_, reason_};
  if (kind == "match") {
    match(value, common_);
  } else if (kind == "vmap") {
    verdict_map(value);
    done_ = true;
  } else if (verdict(node, step)) {
    steps.push_back(std::move(step));
    done_ = true;
  } else if (kind != "counter" && kind != "comment") {
    // Logging changes nothing; a limit, a queue or a mark may.
    if (kind == "log") return;
    unknown(common_, kind);
  }
}

void RuleReader::read(const Node& rule, std::string place) {
  place_ = std::move(place);
  reason_ = text_of(rule, "comment");
  for (const Node& each : member(rule, "expr").items) {
    statement(each);
    if (done_) return;
  }
  if (!common_.unknown) return;
  steps.push_back({common_, Step::Kind::nothing, {}, place_, reason_});
}

class Reader {
 public:
  Reader(const ImportOptions& options, Writer& writer) : options_(options), writer_(writer) {}
  Result<void> run(std::span<const Source> sources);

 private:
  void collect(const Node& document);
  Result<void> find_base();

  const ImportOptions& options_;
  Writer& writer_;
  Sets sets_;
  std::vector<const Node*> chains_;
  std::vector<const Node*> rules_;
  TableId table_;
  Program program_;
};

void Reader::collect(const Node& document) {
  for (const Node& each : member(document, "nftables").items) {
    if (const Node* chain = each.find("chain")) chains_.push_back(chain);
    if (const Node* rule = each.find("rule")) rules_.push_back(rule);
    for (const std::string_view kind : {"set", "map"}) {
      const Node* set = each.find(kind);
      if (set != nullptr) sets_[{table_of(*set), text_of(*set, "name")}] = set;
    }
  }
}

Result<void> Reader::find_base() {
  const Node* base = nullptr;
  for (const Node* chain : chains_) {
    if (text_of(*chain, "hook") != "forward") continue;
    const TableId table = table_of(*chain);
    const std::string place =
        fmt::format("{} {} {}", table.family, table.name, text_of(*chain, "name"));
    if (table.family != "ip" && table.family != "ip6" && table.family != "inet") continue;
    const bool empty =
        text_of(*chain, "policy") != "drop" &&
        std::none_of(rules_.begin(), rules_.end(), [&](const Node* rule) {
          return table_of(*rule) == table && text_of(*rule, "chain") == text_of(*chain, "name");
        });
    if (empty) continue;
    if (base != nullptr) {
      return fail(
          ErrorCode::invalid,
          {"forward 挂接点上有多个非空的链（" + place + "），报文须全部通过，无法合为一份策略",
           "several chains with rules are on the forward hook (" + place +
               "): a packet must pass all of them, which one policy cannot say"});
    }
    base = chain;
  }
  if (base == nullptr) {
    return fail(ErrorCode::invalid, {"没有挂在 forward 上的链", "no chain is on the forward hook"});
  }
  table_ = table_of(*base);
  program_.base = text_of(*base, "name");
  program_.policy = text_of(*base, "policy") == "drop" ? Action::deny : Action::allow;
  program_.v4 = table_.family != "ip6";
  program_.v6 = table_.family != "ip";
  return {};
}

Result<void> Reader::run(std::span<const Source> sources) {
  const std::vector<Node> documents = MENSHEN_TRY(documents_of(sources));
  for (const Node& document : documents) collect(document);
  MENSHEN_CHECK(find_base());
  std::size_t elsewhere = 0;
  for (const Node* chain : chains_)
    if (table_of(*chain) == table_) program_.chains[text_of(*chain, "name")];
  for (const Node* rule : rules_) {
    const std::string& chain = text_of(*rule, "chain");
    if (table_of(*rule) != table_) {
      ++elsewhere;
      continue;
    }
    RuleReader reader(table_, sets_, options_);
    reader.read(*rule,
                fmt::format("{} {} handle {}", table_.name, chain, text_of(*rule, "handle")));
    auto& steps = program_.chains[chain];
    std::move(reader.steps.begin(), reader.steps.end(), std::back_inserter(steps));
  }
  if (elsewhere != 0) {
    writer_.loss(Effect::none, "",
                 {fmt::format("其他规则表的 {} 条规则未导入", elsewhere),
                  fmt::format("{} rules of other tables are left out", elsewhere)});
  }
  return write_first_match(program_, writer_);
}

}  // namespace

Result<void> read_nft(std::span<const Source> sources, const ImportOptions& options,
                      Writer& writer) {
  return Reader(options, writer).run(sources);
}

}  // namespace menshen::policy::imports
