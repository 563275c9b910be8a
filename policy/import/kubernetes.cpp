// Kubernetes objects: NetworkPolicy (networking.k8s.io/v1), AdminNetworkPolicy and
// BaselineAdminNetworkPolicy (policy.networking.k8s.io/v1alpha1), Namespace, Pod, lists of them.
// What a pod's rules are: those policies that select it, admin policies by priority first, the
// baseline where no NetworkPolicy does.
#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <utility>

#include "policy/import/document.hpp"
#include "policy/import/readers.hpp"
#include "policy/import/regions.hpp"
#include "policy/import/segments.hpp"

namespace menshen::policy::imports {
namespace {

using yaml::Node;
using Labels = std::map<std::string, std::string, std::less<>>;

constexpr std::size_t selectors_max = 20'000;

Labels labels_of(const Node& object) {
  Labels out;
  for (const auto& [key, range, value] : member(object, "metadata", "labels").entries)
    out.emplace(key, value.text);
  return out;
}

// A LabelSelector; an empty one selects all.
bool selects(const Node& selector, const Labels& labels) {
  for (const auto& [key, range, value] : member(selector, "matchLabels").entries) {
    const auto found = labels.find(key);
    if (found == labels.end() || found->second != value.text) return false;
  }
  for (const Node& each : member(selector, "matchExpressions").items) {
    const std::string& op = text_of(each, "operator");
    const auto found = labels.find(text_of(each, "key"));
    const auto& values = member(each, "values").items;
    const bool listed = found != labels.end() &&
                        std::any_of(values.begin(), values.end(),
                                    [&](const Node& value) { return value.text == found->second; });
    const bool holds = op == "In"             ? listed
                       : op == "NotIn"        ? !listed
                       : op == "Exists"       ? found != labels.end()
                       : op == "DoesNotExist" ? found == labels.end()
                                              : false;
    if (!holds) return false;
  }
  return true;
}

bool is_known_selector(const Node& selector) {
  const auto& all = member(selector, "matchExpressions").items;
  return std::all_of(all.begin(), all.end(), [](const Node& each) {
    const std::string& op = text_of(each, "operator");
    return op == "In" || op == "NotIn" || op == "Exists" || op == "DoesNotExist";
  });
}

struct PodInfo {
  std::string space;
  Labels labels;
  Labels space_labels;
};

// Whom a rule speaks of. Pods by their labels and their namespace's; addresses by blocks.
struct Selector {
  bool everyone = false;
  bool pods = false;
  std::string space;  // where only this namespace's pods are meant
  const Node* space_selector = nullptr;
  const Node* pod_selector = nullptr;
  std::vector<Prefix> blocks;
  std::vector<Prefix> except;
};

bool selects(const Selector& selector, const PodInfo& pod) {
  if (selector.everyone) return true;
  if (!selector.pods) return false;
  if (!selector.space.empty() && selector.space != pod.space) return false;
  if (selector.space_selector != nullptr && !selects(*selector.space_selector, pod.space_labels))
    return false;
  return selector.pod_selector == nullptr || selects(*selector.pod_selector, pod.labels);
}

bool in_blocks(const Selector& selector, const Prefix& network) {
  const auto holds = [&](const Prefix& block) { return contains(block, network); };
  return std::any_of(selector.blocks.begin(), selector.blocks.end(), holds) &&
         std::none_of(selector.except.begin(), selector.except.end(), holds);
}

class Reader {
 public:
  explicit Reader(Writer& writer) : writer_(writer) {}
  Result<void> run(std::span<const Source> sources);

 private:
  enum class Way : std::uint8_t { ingress, egress };
  // The rules of one policy object in one direction.
  struct Part {
    std::string place;
    Selector subject;
    std::vector<Grant> grants;
    std::int64_t priority = 0;
    std::string name;
  };

  Result<void> object(const Node& node);
  void pod(const Node& node);
  void network_policy(const Node& node);
  void admin_policy(const Node& node, bool baseline);
  Part network_part(const Node& spec, const std::string& place, const std::string& space, Way way);
  void peers(const Node& list, const std::string& place, const std::string& space, Grant& grant,
             std::vector<Grant>& out);
  Selector peer(const Node& node, const std::string& place, const std::string& space, bool& ok);
  Selector admin_scope(const Node& node, const std::string& place, bool& ok);
  bool networks(const Node& list, const std::string& place, std::vector<Prefix>& out);
  // False: the rule has ports, and none of them can be carried over.
  bool ports(const Node& list, const std::string& place, Effect effect, Grant& grant);
  void admin_ports(const Node& list, const std::string& place, Effect effect, Grant& grant);
  void port(const Node& node, const std::string& place, Effect effect, Grant& grant);
  std::uint32_t add(Selector selector);
  std::uint32_t side_of(Way way, const std::vector<bool>& network, const std::vector<bool>& admin,
                        const std::vector<bool>& baseline);
  void sides(const std::vector<PodInfo>& pods, Segments& segments);
  Result<void> members(Segments& segments);
  void lose(Effect effect, const std::string& place, std::string zh, std::string en) {
    writer_.loss(effect, place, {std::move(zh), std::move(en)});
  }

  Writer& writer_;
  std::map<std::string, Labels> spaces_;
  std::deque<Node> kept_;  // items that got their list's kind: pointers into them stay
  std::vector<const Node*> pods_;
  std::vector<Selector> selectors_;
  std::vector<Part> network_[2];
  std::vector<Part> admin_[2];
  std::vector<Part> baseline_[2];
  std::vector<PodInfo> infos_;
  std::map<std::vector<std::vector<bool>>, std::uint32_t> side_ids_;
  Segments segments_;
  bool too_many_ = false;
};

std::uint32_t Reader::add(Selector selector) {
  if (selectors_.size() >= selectors_max) too_many_ = true;
  if (!too_many_) selectors_.push_back(std::move(selector));
  return static_cast<std::uint32_t>(selectors_.size() - 1);
}

bool Reader::networks(const Node& list, const std::string& place, std::vector<Prefix>& out) {
  bool ok = true;
  for (const Node& each : list.items) {
    if (const auto network = parse_network(each.text)) {
      out.push_back(*network);
    } else {
      ok = false;
      lose(Effect::more_closed, place, "不是网段：" + each.text, "no network: " + each.text);
    }
  }
  return ok;
}

Selector Reader::peer(const Node& node, const std::string& place, const std::string& space,
                      bool& ok) {
  Selector out;
  const Node* block = node.find("ipBlock");
  out.space_selector = node.find("namespaceSelector");
  out.pod_selector = node.find("podSelector");
  for (const Node* selector : {out.space_selector, out.pod_selector})
    if (selector != nullptr && !is_known_selector(*selector)) ok = false;
  if (block != nullptr) {
    const auto cidr = parse_network(text_of(*block, "cidr"));
    ok = ok && cidr.has_value() && networks(member(*block, "except"), place, out.except);
    if (cidr) out.blocks.push_back(*cidr);
  } else if (out.space_selector != nullptr || out.pod_selector != nullptr) {
    out.pods = true;
    if (out.space_selector == nullptr) out.space = space;
  } else {
    ok = false;
  }
  return out;
}

// One grant for each peer; no peers: everyone.
void Reader::peers(const Node& list, const std::string& place, const std::string& space,
                   Grant& grant, std::vector<Grant>& out) {
  if (list.items.empty()) {
    Selector everyone;
    everyone.everyone = true;
    grant.peers = add(std::move(everyone));
    out.push_back(grant);
  }
  for (const Node& each : list.items) {
    bool ok = true;
    Selector selector = peer(each, place, space, ok);
    if (!ok) {
      lose(Effect::more_closed, place, "无法理解的对端，已略去",
           "a peer is not understood; left out");
      continue;
    }
    grant.peers = add(std::move(selector));
    out.push_back(grant);
  }
}

void Reader::port(const Node& node, const std::string& place, Effect effect, Grant& grant) {
  const Node& number = member(node, "port");
  const std::string protocol =
      text_of(node, "protocol").empty() ? "TCP" : text_of(node, "protocol");
  if (protocol != "TCP" && protocol != "UDP") {
    lose(effect, place, protocol + " 端口无法表达", "ports of " + protocol + " cannot be named");
    return;
  }
  const IpProto proto = protocol == "UDP" ? IpProto::udp : IpProto::tcp;
  if (number.kind == Node::Kind::null) {
    grant.services = either(grant.services, ServiceSet::of_ports(proto, 0, 65535));
    return;
  }
  const auto first = number_of(number);
  if (!first) {
    grant.named.push_back((proto == IpProto::udp ? "udp/" : "tcp/") + number.text);
    return;
  }
  const std::int64_t last = number_of(member(node, "endPort")).value_or(*first);
  if (*first < 1 || last > 65535 || last < *first) {
    lose(effect, place, "端口超出范围", "a port is out of range");
    return;
  }
  grant.services =
      either(grant.services, ServiceSet::of_ports(proto, static_cast<std::uint16_t>(*first),
                                                  static_cast<std::uint16_t>(last)));
}

bool Reader::ports(const Node& list, const std::string& place, Effect effect, Grant& grant) {
  if (list.items.empty()) grant.services = ServiceSet::all();
  for (const Node& each : list.items) port(each, place, effect, grant);
  return !grant.services.empty() || !grant.named.empty();
}

void Reader::admin_ports(const Node& list, const std::string& place, Effect effect, Grant& grant) {
  if (list.items.empty()) grant.services = ServiceSet::all();
  for (const Node& each : list.items) {
    if (const Node* number = each.find("portNumber")) {
      port(*number, place, effect, grant);
    } else if (const Node* range = each.find("portRange")) {
      Node as_port = *range;
      for (auto& entry : as_port.entries) {
        if (entry.key == "start") entry.key = "port";
        if (entry.key == "end") entry.key = "endPort";
      }
      port(as_port, place, effect, grant);
    } else if (const Node* name = each.find("namedPort")) {
      grant.named.push_back("tcp/" + name->text);
      grant.named.push_back("udp/" + name->text);
    } else {
      lose(effect, place, "无法理解的端口", "a port is not understood");
    }
  }
}

Reader::Part Reader::network_part(const Node& spec, const std::string& place,
                                  const std::string& space, Way way) {
  Part part;
  part.place = place;
  part.subject.pods = true;
  part.subject.space = space;
  part.subject.pod_selector = spec.find("podSelector");
  const bool in = way == Way::ingress;
  for (const Node& rule : member(spec, in ? "ingress" : "egress").items) {
    Grant grant;
    if (!ports(member(rule, "ports"), place, Effect::more_closed, grant)) continue;
    peers(member(rule, in ? "from" : "to"), place, space, grant, part.grants);
  }
  return part;
}

void Reader::network_policy(const Node& node) {
  const std::string& named = text_of(member(node, "metadata"), "namespace");
  const std::string space = named.empty() ? "default" : named;
  const std::string place =
      fmt::format("NetworkPolicy {}/{}", space, text_of(member(node, "metadata"), "name"));
  const Node& spec = member(node, "spec");
  const auto& types = member(spec, "policyTypes").items;
  const auto has = [&](std::string_view type) {
    return std::any_of(types.begin(), types.end(),
                       [&](const Node& each) { return each.text == type; });
  };
  if (!is_known_selector(member(spec, "podSelector"))) {
    lose(Effect::more_open, place, "无法理解的选择器，整条策略未导入",
         "its selector is not understood; the policy is left out");
    return;
  }
  if (types.empty() || has("Ingress"))
    network_[0].push_back(network_part(spec, place, space, Way::ingress));
  if (types.empty() ? spec.find("egress") != nullptr : has("Egress"))
    network_[1].push_back(network_part(spec, place, space, Way::egress));
}

Selector Reader::admin_scope(const Node& node, const std::string& place, bool& ok) {
  Selector out;
  if (const Node* spaces = node.find("namespaces")) {
    out.pods = true;
    out.space_selector = spaces;
  } else if (const Node* pods = node.find("pods")) {
    out.pods = true;
    out.space_selector = pods->find("namespaceSelector");
    out.pod_selector = pods->find("podSelector");
  } else if (const Node* blocks = node.find("networks")) {
    ok = networks(*blocks, place, out.blocks);
  } else {
    ok = false;
  }
  for (const Node* selector : {out.space_selector, out.pod_selector})
    if (selector != nullptr && !is_known_selector(*selector)) ok = false;
  return out;
}

void Reader::admin_policy(const Node& node, bool baseline) {
  const std::string& name = text_of(member(node, "metadata"), "name");
  const std::string place =
      fmt::format("{} {}", baseline ? "BaselineAdminNetworkPolicy" : "AdminNetworkPolicy", name);
  const Node& spec = member(node, "spec");
  bool ok = true;
  const Selector subject = admin_scope(member(spec, "subject"), place, ok);
  if (!ok) {
    lose(Effect::more_open, place, "无法理解的对象，整条策略未导入",
         "its subject is not understood; the policy is left out");
    return;
  }
  for (const bool in : {true, false}) {
    Part part{place, subject, {}, number_of(member(spec, "priority")).value_or(0), name};
    for (const Node& rule : member(spec, in ? "ingress" : "egress").items) {
      const std::string& action = text_of(rule, "action");
      Grant grant;
      grant.ruling = action == "Allow"  ? Ruling::allow
                     : action == "Pass" ? Ruling::pass
                                        : Ruling::deny;
      const Effect effect = grant.ruling == Ruling::deny ? Effect::more_open : Effect::more_closed;
      admin_ports(member(rule, "ports"), place, effect, grant);
      for (const Node& each : member(rule, in ? "from" : "to").items) {
        bool understood = true;
        Selector selector = admin_scope(each, place, understood);
        if (!understood) {
          lose(effect, place, "无法理解的对端，已略去", "a peer is not understood; left out");
          continue;
        }
        grant.peers = add(std::move(selector));
        part.grants.push_back(grant);
      }
    }
    (baseline ? baseline_ : admin_)[in ? 0 : 1].push_back(std::move(part));
  }
}

void Reader::pod(const Node& node) {
  const Node& meta = member(node, "metadata");
  const Node& spec = member(node, "spec");
  const Node& status = member(node, "status");
  const std::string space =
      text_of(meta, "namespace").empty() ? "default" : text_of(meta, "namespace");
  const std::string place = fmt::format("Pod {}/{}", space, text_of(meta, "name"));
  const std::string& phase = text_of(status, "phase");
  if (phase == "Succeeded" || phase == "Failed") return;
  if (is_true(member(spec, "hostNetwork"), false)) {
    lose(Effect::more_closed, place, "使用主机网络，未导入", "is on its host's network; left out");
    return;
  }
  std::vector<Prefix> networks;
  const auto add_address = [&](const std::string& text) {
    const auto address = parse_network(text);
    if (address && std::find(networks.begin(), networks.end(), *address) == networks.end())
      networks.push_back(*address);
  };
  if (!text_of(status, "podIP").empty()) add_address(text_of(status, "podIP"));
  for (const Node& each : member(status, "podIPs").items) add_address(text_of(each, "ip"));
  if (networks.empty()) {
    lose(Effect::more_closed, place, "没有地址，未导入", "has no address; left out");
    return;
  }
  Endpoint endpoint;
  endpoint.name = fmt::format("{}-{}", space, text_of(meta, "name"));
  PodInfo info{space, labels_of(node), {}};
  endpoint.shared_name = space;
  for (const std::string_view key : {"app.kubernetes.io/name", "app", "k8s-app", "pod"}) {
    const auto label = info.labels.find(key);
    if (label == info.labels.end()) continue;
    endpoint.shared_name = fmt::format("{}-{}", space, label->second);
    break;
  }
  for (const Node& container : member(spec, "containers").items) {
    for (const Node& each : member(container, "ports").items) {
      const auto number = number_of(member(each, "containerPort"));
      const bool udp = text_of(each, "protocol") == "UDP";
      const bool sctp = text_of(each, "protocol") == "SCTP";
      if (!number || *number < 1 || *number > 65535 || sctp || text_of(each, "name").empty())
        continue;
      const auto value = static_cast<std::uint16_t>(*number);
      ServiceSet& ports = endpoint.ports[(udp ? "udp/" : "tcp/") + text_of(each, "name")];
      ports = either(ports, ServiceSet::of_ports(udp ? IpProto::udp : IpProto::tcp, value, value));
    }
  }
  // One for each family: a block of addresses speaks of one of them.
  for (const bool v4 : {true, false}) {
    Endpoint one = endpoint;
    for (const Prefix& each : networks)
      if (each.is_v4() == v4) one.networks.push_back(each);
    if (one.networks.empty()) continue;
    if (!v4) one.name += "-v6", one.shared_name += "-v6";
    segments_.endpoints.push_back(std::move(one));
    infos_.push_back(info);
  }
}

Result<void> Reader::object(const Node& node) {
  const std::string& kind = text_of(node, "kind");
  if (kind.ends_with("List") || node.is_sequence()) {
    for (const Node& item : node.is_sequence() ? node.items : member(node, "items").items) {
      // Items of a typed list need not say their kind.
      if (item.find("kind") != nullptr || !item.is_map()) {
        if (!text_of(item, "kind").ends_with("List")) MENSHEN_CHECK(object(item));
        continue;
      }
      Node named = item;
      Node text;
      text.kind = Node::Kind::scalar;
      text.text = kind.substr(0, kind.size() - 4);
      named.entries.push_back({"kind", {}, std::move(text)});
      kept_.push_back(std::move(named));
    }
    return {};
  }
  const std::string& name = text_of(member(node, "metadata"), "name");
  if (kind == "Namespace") {
    Labels labels = labels_of(node);
    labels.emplace("kubernetes.io/metadata.name", name);
    spaces_[name] = std::move(labels);
  } else if (kind == "Pod") {
    pods_.push_back(&node);
  } else if (kind == "NetworkPolicy") {
    network_policy(node);
  } else if (kind == "AdminNetworkPolicy" || kind == "BaselineAdminNetworkPolicy") {
    admin_policy(node, kind.starts_with("Baseline"));
  } else {
    lose(Effect::none, kind + " " + name, "不是网络策略对象，未导入",
         "is no object of network policy; left out");
  }
  return {};
}

// Which policies select each pod; pods that the same ones select share their rules.
void Reader::sides(const std::vector<PodInfo>& pods, Segments& segments) {
  const auto selected = [](const std::vector<Part>& parts, const PodInfo& pod) {
    std::vector<bool> out;
    out.reserve(parts.size());
    for (const Part& part : parts) out.push_back(selects(part.subject, pod));
    return out;
  };
  for (std::size_t i = 0; i < pods.size(); ++i) {
    for (const Way way : {Way::ingress, Way::egress}) {
      const auto w = static_cast<std::size_t>(way);
      const std::uint32_t id =
          side_of(way, selected(network_[w], pods[i]), selected(admin_[w], pods[i]),
                  selected(baseline_[w], pods[i]));
      (way == Way::ingress ? segments.endpoints[i].ingress : segments.endpoints[i].egress) = id;
    }
  }
}

std::uint32_t Reader::side_of(Way way, const std::vector<bool>& network,
                              const std::vector<bool>& admin, const std::vector<bool>& baseline) {
  const auto w = static_cast<std::size_t>(way);
  const auto [found, fresh] =
      side_ids_.try_emplace({network, admin, baseline, {way == Way::egress}},
                            static_cast<std::uint32_t>(segments_.sides.size()));
  if (!fresh) return found->second;
  Side side;
  const auto take = [](const std::vector<Part>& parts, const std::vector<bool>& which,
                       std::vector<Grant>& out) {
    for (std::size_t i = 0; i < parts.size(); ++i)
      if (which[i]) out.insert(out.end(), parts[i].grants.begin(), parts[i].grants.end());
  };
  take(network_[w], network, side.grants);
  take(admin_[w], admin, side.first);
  take(baseline_[w], baseline, side.last);
  side.isolated = std::find(network.begin(), network.end(), true) != network.end();
  segments_.sides.push_back(std::move(side));
  return found->second;
}

Result<void> Reader::members(Segments& segments) {
  std::vector<Prefix> blocks;
  for (const Selector& each : selectors_) {
    blocks.insert(blocks.end(), each.blocks.begin(), each.blocks.end());
    blocks.insert(blocks.end(), each.except.begin(), each.except.end());
  }
  for (std::size_t i = 0; i < infos_.size(); ++i) {
    for (const Selector& each : selectors_) {
      segments.endpoints[i].member.push_back(
          selects(each, infos_[i]) || in_blocks(each, segments.endpoints[i].networks.front()));
    }
  }
  for (Outside& each : MENSHEN_TRY(outside_of(segments.endpoints, blocks))) {
    for (const Selector& selector : selectors_)
      each.endpoint.member.push_back(selector.everyone || in_blocks(selector, each.outer));
    segments.endpoints.push_back(std::move(each.endpoint));
  }
  return {};
}

Result<void> Reader::run(std::span<const Source> sources) {
  const std::vector<Node> documents = MENSHEN_TRY(documents_of(sources));
  for (const Node& node : documents) MENSHEN_CHECK(object(node));
  for (std::size_t i = 0; i < kept_.size(); ++i) MENSHEN_CHECK(object(kept_[i]));
  if (pods_.size() > endpoints_max || too_many_) {
    return fail(ErrorCode::limit,
                {fmt::format("Pod 超过 {} 个或选择器超过 {} 个", endpoints_max, selectors_max),
                 fmt::format("more than {} pods or {} selectors", endpoints_max, selectors_max)});
  }
  for (const Node* each : pods_) pod(*each);
  for (PodInfo& info : infos_) {
    const auto space = spaces_.find(info.space);
    if (space == spaces_.end()) {
      lose(Effect::more_closed, "Namespace " + info.space, "未提供该命名空间对象，仅按名称匹配",
           "its object was not given: it is matched by its name alone");
      spaces_[info.space] = {{"kubernetes.io/metadata.name", info.space}};
    }
    info.space_labels = spaces_[info.space];
  }
  if (infos_.empty()) {
    return fail(
        ErrorCode::invalid,
        {"没有带地址的 Pod：安全域由 Pod 的地址构成，请一并提供 kubectl get pods -A -o json",
         "no pods with addresses: domains are made of them, so give the output of "
         "kubectl get pods -A -o json too"});
  }
  // Equal priorities: by name, as their order is not defined.
  for (auto& parts : admin_) {
    std::stable_sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) {
      return std::tie(a.priority, a.name) < std::tie(b.priority, b.name);
    });
  }
  sides(infos_, segments_);
  MENSHEN_CHECK(members(segments_));
  return write_segments(segments_, writer_);
}

}  // namespace

Result<void> read_kubernetes(std::span<const Source> sources, Writer& writer) {
  return Reader(writer).run(sources);
}

}  // namespace menshen::policy::imports
