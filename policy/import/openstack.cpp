// Neutron's API replies: networks, subnets, ports, security groups and their rules. A port may open
// what one of its groups' egress rules allows, to what one of the target's groups' ingress rules
// allows; a port without groups neither opens nor accepts anything.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "policy/import/document.hpp"
#include "policy/import/readers.hpp"
#include "policy/import/regions.hpp"
#include "policy/import/segments.hpp"

namespace menshen::policy::imports {
namespace {

using yaml::Node;

struct Selector {
  bool v4 = true;
  std::string group;              // ports of this group; empty: addresses
  std::optional<Prefix> network;  // nothing: everyone of the family
  auto operator<=>(const Selector&) const = default;
};

struct GroupRules {
  std::string name;
  std::vector<Grant> ingress[2];  // IPv4, IPv6
  std::vector<Grant> egress[2];
};

class Reader {
 public:
  explicit Reader(Writer& writer) : writer_(writer) {}
  Result<void> run(std::span<const Source> sources);

 private:
  void collect(const Node& document);
  void group(const Node& node);
  void rule(const Node& node, GroupRules& group, const std::string& place);
  bool services(const Node& node, const std::string& place, ServiceSet& out);
  void port(const Node& node);
  void endpoint(const Node& node, bool v4, const std::vector<Prefix>& networks,
                const std::vector<std::string>& groups);
  std::uint32_t selector(Selector selector);
  std::uint32_t side(bool filtered, bool ingress, bool v4, const std::vector<std::string>& groups);
  Result<void> members();

  Writer& writer_;
  std::map<std::string, std::string> network_names_;
  std::map<std::string, GroupRules> groups_;
  std::vector<const Node*> ports_;
  std::vector<const Node*> group_nodes_;
  std::vector<const Node*> rule_nodes_;
  std::map<Selector, std::uint32_t> selectors_;
  std::set<std::string> seen_rules_;
  std::set<Prefix> addresses_;
  std::vector<std::vector<std::string>> groups_of_;  // by endpoint
  std::map<std::tuple<bool, bool, std::vector<std::string>>, std::uint32_t> sides_;
  Segments segments_;
};

void Reader::collect(const Node& document) {
  const auto list = [&](std::string_view many, std::string_view one,
                        std::vector<const Node*>& out) {
    for (const Node& each : member(document, many).items) out.push_back(&each);
    if (const Node* single = document.find(one)) out.push_back(single);
  };
  std::vector<const Node*> networks;
  list("networks", "network", networks);
  list("ports", "port", ports_);
  list("security_groups", "security_group", group_nodes_);
  list("security_group_rules", "security_group_rule", rule_nodes_);
  for (const Node* each : networks) network_names_[text_of(*each, "id")] = text_of(*each, "name");
}

std::uint32_t Reader::selector(Selector selector) {
  return selectors_.try_emplace(std::move(selector), static_cast<std::uint32_t>(selectors_.size()))
      .first->second;
}

bool Reader::services(const Node& node, const std::string& place, ServiceSet& out) {
  const std::string& protocol = text_of(node, "protocol");
  const auto lose = [&](std::string zh, std::string en) {
    writer_.loss(Effect::more_closed, place, {std::move(zh), std::move(en)});
    return false;
  };
  if (protocol.empty()) {
    out = ServiceSet::all();
    return true;
  }
  const auto whole = ServiceSet::of_protocol(protocol);
  if (!whole) return lose("协议无法表达：" + protocol, "the protocol cannot be named: " + protocol);
  const auto first = number_of(member(node, "port_range_min"));
  const auto last = number_of(member(node, "port_range_max"));
  out = *whole;
  if (!first && !last) return true;
  if (whole->icmp) return lose("ICMP 类型无法表达", "types of ICMP cannot be named");
  const std::int64_t from = first.value_or(1);
  const std::int64_t to = last.value_or(65535);
  if (from < 0 || to > 65535 || from > to) return lose("端口超出范围", "a port is out of range");
  out = both(*whole, either(ServiceSet::of_ports(IpProto::tcp, static_cast<std::uint16_t>(from),
                                                 static_cast<std::uint16_t>(to)),
                            ServiceSet::of_ports(IpProto::udp, static_cast<std::uint16_t>(from),
                                                 static_cast<std::uint16_t>(to))));
  return true;
}

void Reader::rule(const Node& node, GroupRules& group, const std::string& place) {
  if (!text_of(node, "id").empty() && !seen_rules_.insert(text_of(node, "id")).second) return;
  Grant grant;
  if (!services(node, place, grant.services)) return;
  Selector peers;
  peers.v4 = text_of(node, "ethertype") != "IPv6";
  peers.group = text_of(node, "remote_group_id");
  const std::string& prefix = text_of(node, "remote_ip_prefix");
  if (!text_of(node, "remote_address_group_id").empty()) {
    writer_.loss(Effect::more_closed, place,
                 {"地址组未导入", "its address group is not carried over"});
    return;
  }
  if (!prefix.empty()) {
    peers.network = parse_network(prefix);
    if (!peers.network || peers.network->is_v4() != peers.v4) {
      writer_.loss(Effect::more_closed, place, {"不是网段：" + prefix, "no network: " + prefix});
      return;
    }
  }
  const bool v4 = peers.v4;
  grant.peers = selector(std::move(peers));
  auto& grants = text_of(node, "direction") == "egress" ? group.egress : group.ingress;
  grants[v4 ? 0 : 1].push_back(std::move(grant));
}

void Reader::group(const Node& node) {
  GroupRules& group = groups_[text_of(node, "id")];
  group.name = text_of(node, "name");
  for (const Node& each : member(node, "security_group_rules").items)
    rule(each, group, fmt::format("security group {} ({})", group.name, text_of(node, "id")));
}

std::uint32_t Reader::side(bool filtered, bool ingress, bool v4,
                           const std::vector<std::string>& groups) {
  if (!filtered) return 0;
  const auto [found, fresh] =
      sides_.try_emplace({ingress, v4, groups}, static_cast<std::uint32_t>(segments_.sides.size()));
  if (!fresh) return found->second;
  Side side;
  side.isolated = true;
  for (const std::string& id : groups) {
    const auto group = groups_.find(id);
    if (group == groups_.end()) continue;
    const auto& grants = (ingress ? group->second.ingress : group->second.egress)[v4 ? 0 : 1];
    side.grants.insert(side.grants.end(), grants.begin(), grants.end());
  }
  segments_.sides.push_back(std::move(side));
  return found->second;
}

void Reader::endpoint(const Node& node, bool v4, const std::vector<Prefix>& networks,
                      const std::vector<std::string>& groups) {
  const std::string& id = text_of(node, "id");
  const std::string& name = text_of(node, "name");
  const auto network = network_names_.find(text_of(node, "network_id"));
  const std::string net =
      network == network_names_.end() || network->second.empty() ? "net" : network->second;
  const bool filtered = is_true(member(node, "port_security_enabled"), true);
  Endpoint out;
  out.name =
      fmt::format("{}-{}{}", net, name.empty() ? "port-" + id.substr(0, 8) : name, v4 ? "" : "-v6");
  std::string shared = net;
  for (const std::string& each : groups) {
    const auto group = groups_.find(each);
    shared += "-" + (group == groups_.end() ? each.substr(0, 8) : group->second.name);
  }
  out.shared_name = shared + (v4 ? "" : "-v6");
  out.networks = networks;
  out.ingress = side(filtered, true, v4, groups);
  out.egress = side(filtered, false, v4, groups);
  segments_.endpoints.push_back(std::move(out));
  groups_of_.push_back(groups);
}

void Reader::port(const Node& node) {
  const std::string place = "port " + text_of(node, "id");
  if (text_of(node, "device_owner").starts_with("network:")) {
    writer_.loss(Effect::none, place,
                 {"属于网络本身（路由器、DHCP），未导入",
                  "belongs to the network itself (router, DHCP); left out"});
    return;
  }
  std::vector<std::string> groups;
  for (const Node& each : member(node, "security_groups").items) {
    groups.push_back(each.text);
    if (!groups_.contains(each.text)) {
      writer_.loss(Effect::more_closed, place,
                   {"未提供安全组 " + each.text, "security group " + each.text + " was not given"});
    }
  }
  std::sort(groups.begin(), groups.end());
  std::vector<Prefix> networks[2];
  for (const Node& each : member(node, "fixed_ips").items) {
    const auto address = parse_network(text_of(each, "ip_address"));
    if (!address) continue;
    if (!addresses_.insert(*address).second) {
      writer_.loss(
          Effect::more_closed, place,
          {"地址 " + address->first().to_string() + " 与其他端口重复（租户地址重叠），未导入",
           "another port has the address " + address->first().to_string() +
               " too (overlapping tenants); left out"});
      continue;
    }
    networks[address->is_v4() ? 0 : 1].push_back(*address);
  }
  if (!member(node, "allowed_address_pairs").items.empty()) {
    writer_.loss(Effect::more_closed, place,
                 {"allowed_address_pairs 未导入", "allowed_address_pairs are not carried over"});
  }
  if (networks[0].empty() && networks[1].empty()) {
    writer_.loss(Effect::more_closed, place, {"没有地址，未导入", "has no address; left out"});
  }
  for (const bool v4 : {true, false})
    if (!networks[v4 ? 0 : 1].empty()) endpoint(node, v4, networks[v4 ? 0 : 1], groups);
}

Result<void> Reader::members() {
  std::vector<const Selector*> by_number(selectors_.size());
  std::vector<Prefix> blocks;
  for (const auto& [each, number] : selectors_) {
    by_number[number] = &each;
    if (each.network) blocks.push_back(*each.network);
  }
  for (std::size_t i = 0; i < groups_of_.size(); ++i) {
    Endpoint& endpoint = segments_.endpoints[i];
    const Prefix& address = endpoint.networks.front();
    for (const Selector* each : by_number) {
      endpoint.member.push_back(
          each->v4 == address.is_v4() &&
          (!each->group.empty()
               ? std::binary_search(groups_of_[i].begin(), groups_of_[i].end(), each->group)
               : !each->network || contains(*each->network, address)));
    }
  }
  for (Outside& each : MENSHEN_TRY(outside_of(segments_.endpoints, blocks))) {
    for (const Selector* selector : by_number) {
      each.endpoint.member.push_back(
          selector->group.empty() && selector->v4 == each.outer.is_v4() &&
          (!selector->network || contains(*selector->network, each.outer)));
    }
    segments_.endpoints.push_back(std::move(each.endpoint));
  }
  return {};
}

Result<void> Reader::run(std::span<const Source> sources) {
  const std::vector<Node> documents = MENSHEN_TRY(documents_of(sources));
  for (const Node& document : documents) collect(document);
  for (const Node* each : group_nodes_) group(*each);
  for (const Node* each : rule_nodes_) {
    const std::string& id = text_of(*each, "security_group_id");
    rule(*each, groups_[id], "security group rule " + text_of(*each, "id"));
  }
  if (ports_.size() > endpoints_max || selectors_.size() > endpoints_max) {
    return fail(ErrorCode::limit, {fmt::format("端口或规则超过 {} 个", endpoints_max),
                                   fmt::format("more than {} ports or rules", endpoints_max)});
  }
  for (const Node* each : ports_) port(*each);
  if (segments_.endpoints.empty()) {
    return fail(ErrorCode::invalid, {"没有带地址的端口，请提供 /v2.0/ports 的答复",
                                     "no ports with addresses: give the reply of /v2.0/ports"});
  }
  MENSHEN_CHECK(members());
  return write_segments(segments_, writer_);
}

}  // namespace

Result<void> read_openstack(std::span<const Source> sources, Writer& writer) {
  return Reader(writer).run(sources);
}

}  // namespace menshen::policy::imports
