#include "policy/nft/lower.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "base/assert.hpp"
#include "policy/nft/reason.hpp"

namespace menshen::policy::nft {
namespace {

// What the flows map says; also the low byte of the connection mark (allow and inspect only).
enum class Code : std::uint32_t {
  allow = mark_allowed,
  inspect = mark_inspected,
  deny = 3,
  deny_quiet = 4,
  allow_logged = 5,
  inspect_logged = 6,
};

// Registers by use. A key of three ids fills 0..2; an address is looked up from 4 (IPv6: 4..7).
// What a map gives goes through the packet's mark into its place.
constexpr Slot key_slot = 0;
constexpr Slot interface_slot = 1;  // behind the domain's id: the key (id . interface)
constexpr Slot address_slot = 4;
constexpr Slot value_slot = 8;

constexpr std::uint8_t nfproto_ipv4 = 2;
constexpr std::uint8_t nfproto_ipv6 = 10;
constexpr std::uint32_t state_established = 2;
constexpr std::uint32_t state_related = 4;
constexpr std::uint32_t state_new = 8;

template <class T>
void put(ElementKey& key, std::size_t offset, const T& value) {
  std::memcpy(key.bytes.data() + offset, &value, sizeof(value));
}

ElementKey id_key(std::uint32_t id) {
  ElementKey key;
  put(key, 0, id);
  return key;
}

ElementKey interface_key(std::string_view name, std::size_t offset) {
  ElementKey key;
  std::copy(name.begin(), name.end(), key.bytes.begin() + static_cast<std::ptrdiff_t>(offset));
  return key;
}

ElementKey port_key(std::uint16_t port) {
  ElementKey key;
  key.bytes[0] = static_cast<std::uint8_t>(port >> 8);
  key.bytes[1] = static_cast<std::uint8_t>(port & 0xff);
  return key;
}

ElementKey address_key(const IpAddr& address, bool v6) {
  ElementKey key;
  if (v6) {
    put(key, 0, address.bytes());
  } else {
    std::copy_n(address.bytes().begin() + 12, 4, key.bytes.begin());
  }
  return key;
}

Verdict go(std::string chain) { return {Verdict::Kind::go_to, std::move(chain)}; }

Set verdict_map(std::string name, FieldType key,
                std::initializer_list<std::pair<std::uint32_t, std::string_view>> targets) {
  Set set{std::move(name), {key}, DataType::verdict, false, false, 0, {}, {}};
  for (const auto& [value, chain] : targets) set.verdicts.push_back(go(std::string(chain)));
  std::sort(set.verdicts.begin(), set.verdicts.end());
  set.verdicts.erase(std::unique(set.verdicts.begin(), set.verdicts.end()), set.verdicts.end());
  for (const auto& [value, chain] : targets) {
    Element element;
    if (key == FieldType::protocol) {
      element.first.bytes[0] = static_cast<std::uint8_t>(value);
    } else {
      element.first = id_key(value);
    }
    element.last = element.first;
    const auto found =
        std::lower_bound(set.verdicts.begin(), set.verdicts.end(), go(std::string(chain)));
    element.value = static_cast<std::uint32_t>(found - set.verdicts.begin());
    set.elements.push_back(element);
  }
  return set;
}

Set address_map(std::string name, std::span<const AddressRange> ranges, bool v6) {
  Set set{std::move(name),
          {v6 ? FieldType::ipv6 : FieldType::ipv4},
          DataType::id,
          true,
          false,
          0,
          {},
          {}};
  for (const AddressRange& range : ranges) {
    set.elements.push_back(
        {address_key(range.first, v6), address_key(range.last, v6), range.domain});
  }
  return set;
}

Set port_map(std::string name, std::span<const PortClass> classes) {
  Set set{std::move(name), {FieldType::port}, DataType::id, true, false, 0, {}, {}};
  for (const PortClass& each : classes)
    set.elements.push_back({port_key(each.first), port_key(each.last), each.id});
  return set;
}

// Room for a quarter more, and for the first few.
std::uint32_t capacity_for(std::size_t elements) {
  constexpr std::size_t least = 64;
  return static_cast<std::uint32_t>(std::bit_ceil(std::max(elements + elements / 4, least)));
}

Code code_of(const Line& line) {
  if (line.action == Action::deny) return line.log ? Code::deny : Code::deny_quiet;
  if (line.inspect == Inspect::none) return line.log ? Code::allow_logged : Code::allow;
  return line.log ? Code::inspect_logged : Code::inspect;
}

class Lowering {
 public:
  Lowering(const Policy& policy, const LowerOptions& options)
      : policy_(policy), options_(options) {}
  Ruleset run();

 private:
  using Expressions = std::vector<Expression>;
  enum class Port : std::uint8_t { tcp, udp, none };

  void sets();
  void prefixes(bool v6);
  void flows();
  void attachments();
  void chains();
  struct AttachmentEnd {
    bool source;
    std::string chain;
    std::string next;
    std::string wrong;
    std::string unknown;
  };
  void attachment_chains(const AttachmentEnd& end);
  void decide_chain(std::string name, bool tcp, bool udp, bool icmp);
  Rule decide_rule(unsigned shape, bool v6, std::string_view ports, bool icmp) const;
  void verdict_chains();
  void drop_chain(Reason reason, bool log);
  void logged_chain(std::string name, Reason reason, std::string_view next);
  Rule log_rule(Reason reason) const;
  void chain(std::string name, std::vector<Rule> rules, Hook hook = Hook::none) {
    out_.chains.push_back({std::move(name), hook, std::move(rules)});
  }
  std::uint32_t mark(Code code) const {
    return mark_of(options_.generation, static_cast<std::uint32_t>(code));
  }

  const Policy& policy_;
  const LowerOptions& options_;
  Ruleset out_;
  bool roaming_ = false;
  struct PrefixMap {
    std::string name;
    std::uint8_t length;
    bool roaming;  // of domains without interfaces
  };
  std::array<std::vector<PrefixMap>, 2> prefix_maps_;  // IPv4, IPv6
  std::array<bool, 8> shapes_{};  // of the flows map's keys, as in DecisionTable
};

// The networks by their length, a hash map for each, longest first: two memory accesses for a
// packet where the interval map's search needs two for each halving. Domains with and without
// interfaces have maps of their own, which tells what to check next without another lookup. Where a
// family has more lengths than that is good for, or a network that holds IPv4 addresses written as
// IPv6 (they are of no domain), packets are looked up in the interval map.
void Lowering::prefixes(bool v6) {
  constexpr std::size_t lengths_max = 4;
  const IpAddr mapped_first = IpAddr::v4(0);
  const IpAddr mapped_last = IpAddr::v4(0xffff'ffff);
  std::map<std::pair<unsigned, bool>, std::vector<Element>, std::greater<>> maps;
  std::set<unsigned> lengths;
  for (DomainId id = 1; id <= policy_.domains().size(); ++id) {
    const Domain& domain = policy_.domain(id);
    for (const Prefix& network : domain.networks) {
      if (network.is_v4() == v6) continue;
      if (v6 && network.first() <= mapped_last && mapped_first <= network.last()) return;
      lengths.insert(network.length());
      if (lengths.size() > lengths_max) return;
      const ElementKey key = address_key(network.first(), v6);
      maps[{network.length(), domain.interfaces.empty()}].push_back({key, key, id});
    }
  }
  for (auto& [what, elements] : maps) {
    const auto [length, roaming] = what;
    const std::string name = fmt::format("net{}_{}{}", v6 ? 6 : 4, length, roaming ? "_any" : "");
    prefix_maps_.at(v6 ? 1 : 0).push_back({name, static_cast<std::uint8_t>(length), roaming});
    out_.sets.push_back({name,
                         {v6 ? FieldType::ipv6 : FieldType::ipv4},
                         DataType::id,
                         false,
                         false,
                         0,
                         {},
                         std::move(elements)});
  }
}

void Lowering::flows() {
  Set set{"flows", {FieldType::id, FieldType::id, FieldType::id}, DataType::id, false, false, 0, {},
          {}};
  set.elements.reserve(policy_.table().entries().size());
  for (const TableEntry& entry : policy_.table().entries()) {
    Element element;
    put(element.first, 0, entry.key.from);
    put(element.first, 4, entry.key.to);
    put(element.first, 8, entry.key.cls);
    element.last = element.first;
    element.value = static_cast<std::uint32_t>(
        entry.line == line_same_domain ? Code::allow : code_of(policy_.lines()[entry.line]));
    set.elements.push_back(element);
    shapes_[(entry.key.from == domain_any ? 4U : 0U) | (entry.key.to == domain_any ? 2U : 0U) |
            (entry.key.cls == class_any ? 1U : 0U)] = true;
  }
  out_.sets.push_back(std::move(set));
}

void Lowering::attachments() {
  Set attached{
      "attached", {FieldType::id, FieldType::interface}, DataType::none, false, false, 0, {}, {}};
  Set roaming{"roaming", {FieldType::id}, DataType::none, false, false, 0, {}, {}};
  Set claimed{"interfaces", {FieldType::interface}, DataType::none, false, false, 0, {}, {}};
  const auto add = [](Set& set, const ElementKey& key) { set.elements.push_back({key, key, 0}); };
  for (std::uint32_t id = 1; id <= policy_.domains().size(); ++id) {
    const Domain& domain = policy_.domain(id);
    if (domain.interfaces.empty()) add(roaming, id_key(id));
    for (const std::string& interface : domain.interfaces) {
      ElementKey key = interface_key(interface, 4);
      put(key, 0, id);
      add(attached, key);
      add(claimed, interface_key(interface, 0));
    }
  }
  roaming_ = !roaming.elements.empty();
  out_.sets.push_back(std::move(attached));
  if (!roaming_) return;
  out_.sets.push_back(std::move(roaming));
  out_.sets.push_back(std::move(claimed));
}

void Lowering::sets() {
  const DecisionTable& table = policy_.table();
  out_.sets.push_back(address_map("net4", table.v4(), false));
  out_.sets.push_back(address_map("net6", table.v6(), true));
  out_.sets.push_back(port_map("tcp_classes", table.tcp()));
  out_.sets.push_back(port_map("udp_classes", table.udp()));
  prefixes(false);
  prefixes(true);
  attachments();
  flows();
  out_.sets.push_back(verdict_map(
      "states", FieldType::ct_state,
      {{state_established, "known"}, {state_related, "related"}, {state_new, "egress"}}));
  out_.sets.push_back(
      verdict_map("marks", FieldType::id,
                  {{mark(Code::allow), "allowed"}, {mark(Code::inspect), "inspected"}}));
  out_.sets.push_back(verdict_map(
      "protocols", FieldType::protocol,
      {{1, "decide_icmp"}, {6, "decide_tcp"}, {17, "decide_udp"}, {58, "decide_icmp"}}));
  const auto code = [](Code c) { return static_cast<std::uint32_t>(c); };
  out_.sets.push_back(verdict_map("decisions", FieldType::id,
                                  {{code(Code::allow), "allow"},
                                   {code(Code::inspect), "inspect"},
                                   {code(Code::deny), "denied_line"},
                                   {code(Code::deny_quiet), "denied_line_quiet"},
                                   {code(Code::allow_logged), "allow_logged"},
                                   {code(Code::inspect_logged), "inspect_logged"}}));
  for (Set& set : out_.sets) {
    std::sort(set.elements.begin(), set.elements.end());
    if (!set.interval) set.capacity = capacity_for(set.elements.size());
  }
}

// One end of the packet against its interface: the domain's own, or any unclaimed one for a domain
// without interfaces. The packet's mark carries the domain from the first chain to the second.
void Lowering::attachment_chains(const AttachmentEnd& end) {
  const std::string attached = end.chain + "_attached";
  const std::string unclaimed = end.chain + "_unclaimed";
  std::vector<Rule> find;
  const auto find_in = [&](bool v6, std::string map, unsigned length, const std::string& next) {
    const std::uint8_t bytes = v6 ? 16 : 4;
    Rule rule{{LoadMeta{LoadMeta::Key::nfproto, key_slot},
               Compare{true, key_slot, {v6 ? nfproto_ipv6 : nfproto_ipv4}},
               LoadAddress{v6, end.source, address_slot}}};
    if (length < bytes * 8U)
      rule.expressions.emplace_back(
          KeepPrefix{address_slot, bytes, static_cast<std::uint8_t>(length)});
    rule.expressions.emplace_back(
        Lookup{std::move(map), address_slot, DataType::id, value_slot, false});
    rule.expressions.emplace_back(SetMark{value_slot});
    rule.expressions.emplace_back(go(next));
    find.push_back(std::move(rule));
  };
  for (const bool v6 : {false, true}) {
    const auto& maps = prefix_maps_.at(v6 ? 1 : 0);
    if (maps.empty()) find_in(v6, v6 ? "net6" : "net4", v6 ? 128 : 32, attached);
    for (const PrefixMap& map : maps)
      find_in(v6, map.name, map.length, map.roaming ? unclaimed : attached);
  }
  find.push_back({{go(end.unknown)}});
  chain(end.chain, std::move(find), end.source ? Hook::forward : Hook::none);

  const LoadMeta interface {
    end.source ? LoadMeta::Key::iifname : LoadMeta::Key::oifname, interface_slot
  };
  const LoadMeta domain{LoadMeta::Key::mark, key_slot};
  const Rule is_unclaimed{
      {interface, Lookup{"interfaces", interface_slot, DataType::none, 0, true}, go(end.next)}};
  std::vector<Rule> rules;
  rules.push_back(
      {{domain, interface, Lookup{"attached", key_slot, DataType::none, 0, false}, go(end.next)}});
  if (roaming_) {
    // From an interval map comes a domain of either kind.
    Rule found = is_unclaimed;
    const std::vector<Expression> of{domain, Lookup{"roaming", key_slot, DataType::none, 0, false}};
    found.expressions.insert(found.expressions.begin(), of.begin(), of.end());
    rules.push_back(std::move(found));
    chain(unclaimed, {is_unclaimed, {{go(end.wrong)}}});
  }
  rules.push_back({{go(end.wrong)}});
  chain(attached, std::move(rules));
}

// Decides on the connection, not the packet: replies and ICMP errors share the opener's decision.
Rule Lowering::decide_rule(unsigned shape, bool v6, std::string_view ports, bool icmp) const {
  Rule rule;
  Expressions& e = rule.expressions;
  const auto keep = [&](Slot slot) {
    e.emplace_back(SetMark{value_slot});
    e.emplace_back(LoadMeta{LoadMeta::Key::mark, slot});
  };
  const auto constant = [&](std::uint32_t value, Slot slot) {
    e.emplace_back(SetValue{value, value_slot});
    keep(slot);
  };
  const auto looked_up = [&](LoadCt::Key key, std::string_view set, Slot slot) {
    e.emplace_back(LoadCt{key, address_slot});
    e.emplace_back(Lookup{std::string(set), address_slot, DataType::id, value_slot, false});
    keep(slot);
  };
  const std::string_view net = v6 ? "net6" : "net4";
  // A wide end is looked up all the same: the family decides which of the two rules goes on.
  looked_up(v6 ? LoadCt::Key::original_src6 : LoadCt::Key::original_src4, net, 0);
  if ((shape & 4U) != 0) constant(domain_any, 0);
  looked_up(v6 ? LoadCt::Key::original_dst6 : LoadCt::Key::original_dst4, net, 1);
  if ((shape & 2U) != 0) constant(domain_any, 1);
  if ((shape & 1U) != 0) {
    constant(class_any, 2);
  } else if (icmp) {
    constant(class_icmp, 2);
  } else {
    looked_up(LoadCt::Key::original_dport, ports, 2);
  }
  e.emplace_back(Lookup{"flows", key_slot, DataType::id, value_slot, false});
  keep(key_slot);
  e.emplace_back(Lookup{"decisions", key_slot, DataType::verdict, 0, false});
  return rule;
}

void Lowering::decide_chain(std::string name, bool tcp, bool udp, bool icmp) {
  std::vector<Rule> rules;
  for (unsigned shape = 0; shape < shapes_.size(); ++shape) {
    const bool wide_class = (shape & 1U) != 0;
    if (!shapes_[shape] || (!wide_class && !tcp && !udp && !icmp)) continue;
    for (const bool v6 : {false, true})
      rules.push_back(decide_rule(shape, v6, tcp ? "tcp_classes" : "udp_classes", icmp));
  }
  rules.push_back({{go("denied_default")}});
  chain(std::move(name), std::move(rules));
}

Rule Lowering::log_rule(Reason reason) const {
  return {{Limit{options_.log_per_second, options_.log_burst}, Count{"logged"},
           Log{options_.log_group, options_.log_snap_bytes,
               fmt::format("menshen:{}", info(reason).name)}}};
}

void Lowering::drop_chain(Reason reason, bool log) {
  const std::string name(info(reason).name);
  std::vector<Rule> rules;
  if (log) rules.push_back(log_rule(reason));
  rules.push_back({{Count{name}, Verdict{Verdict::Kind::drop, {}}}});
  chain(log ? name : name + "_quiet", std::move(rules));
}

void Lowering::logged_chain(std::string name, Reason reason, std::string_view next) {
  chain(std::move(name), {log_rule(reason), {{go(std::string(next))}}});
}

void Lowering::verdict_chains() {
  const auto remember = [&](Code code, std::string_view next) -> std::vector<Rule> {
    return {{{SetValue{mark(code), value_slot}, SetCtMark{value_slot}, go(std::string(next))}}};
  };
  chain("allow", remember(Code::allow, "allowed"));
  chain("inspect", remember(Code::inspect, "inspected"));
  logged_chain("allow_logged", Reason::allowed, "allow");
  logged_chain("inspect_logged", Reason::inspected, "inspect");
  chain("allowed", {{{Count{"allowed"}, Verdict{Verdict::Kind::accept, {}}}}});
  chain("inspected", {{{Count{"inspected"}, Queue{options_.queue, options_.queue_bypass}}}});
  for (const Reason reason :
       {Reason::denied_line, Reason::denied_default, Reason::spoofed, Reason::misrouted,
        Reason::unknown_source, Reason::unknown_destination, Reason::invalid}) {
    drop_chain(reason, true);
  }
  drop_chain(Reason::denied_line, false);
}

void Lowering::chains() {
  attachment_chains({true, "forward", "track", "spoofed", "unknown_source"});
  chain("track", {{{LoadCt{LoadCt::Key::state, key_slot},
                    Lookup{"states", key_slot, DataType::verdict, 0, false}}},
                  {{go("invalid")}}});
  // A mark of this generation: decided already. Marks of earlier generations are not in the map.
  chain("known", {{{LoadCt{LoadCt::Key::mark, key_slot},
                    Lookup{"marks", key_slot, DataType::verdict, 0, false}}},
                  {{go("egress")}}});
  // Only errors about a connection share its mark; a connection that another one announced (FTP
  // data) inherits the mark too, and must be decided for itself.
  const auto error = [](std::uint8_t protocol) -> Rule {
    return {{LoadMeta{LoadMeta::Key::l4proto, key_slot}, Compare{true, key_slot, {protocol}},
             go("known")}};
  };
  chain("related", {error(1), error(58), {{go("egress")}}});
  attachment_chains({false, "egress", "decide", "misrouted", "unknown_destination"});
  chain("decide", {{{LoadCt{LoadCt::Key::original_protocol, key_slot},
                     Lookup{"protocols", key_slot, DataType::verdict, 0, false}}},
                   {{go("decide_other")}}});
  decide_chain("decide_tcp", true, false, false);
  decide_chain("decide_udp", false, true, false);
  decide_chain("decide_icmp", false, false, true);
  decide_chain("decide_other", false, false, false);
  verdict_chains();
}

Ruleset Lowering::run() {
  out_.generation = options_.generation;
  for (std::size_t i = 0; i < reasons; ++i)
    out_.counters.push_back({std::string(info(static_cast<Reason>(i)).name), {}});
  sets();
  chains();
  const auto by_name = [](const auto& a, const auto& b) { return a.name < b.name; };
  std::sort(out_.counters.begin(), out_.counters.end(), by_name);
  std::sort(out_.sets.begin(), out_.sets.end(), by_name);
  std::sort(out_.chains.begin(), out_.chains.end(), by_name);
  return std::move(out_);
}

}  // namespace

Ruleset lower(const Policy& policy, const LowerOptions& options) {
  MENSHEN_ASSERT(options.generation >= 1 && options.generation <= generation_max);
  return Lowering(policy, options).run();
}

}  // namespace menshen::policy::nft
