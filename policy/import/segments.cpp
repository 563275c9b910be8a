#include "policy/import/segments.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "policy/import/regions.hpp"

namespace menshen::policy::imports {
namespace {

ServiceSet services_of(const Grant& grant, const Endpoint& target) {
  ServiceSet out = grant.services;
  for (const std::string& name : grant.named) {
    const auto port = target.ports.find(name);
    if (port != target.ports.end()) out = either(out, port->second);
  }
  return out;
}

bool is_peer(const Grant& grant, const Endpoint& endpoint) {
  return grant.peers < endpoint.member.size() && endpoint.member[grant.peers];
}

ServiceSet between(const Segments& segments, const Endpoint& from, const Endpoint& to) {
  const ServiceSet out = allowed_by(segments.sides[from.egress], to, to);
  return out.empty() ? out : both(out, allowed_by(segments.sides[to.ingress], from, to));
}

struct Cluster {
  const Endpoint* endpoint = nullptr;  // one for all
  std::vector<Prefix> networks;
  std::string title;
  std::string name;
};

std::vector<Cluster> clusters_of(const Segments& segments) {
  using Key = std::tuple<bool, std::string, std::uint32_t, std::uint32_t, std::vector<bool>,
                         std::map<std::string, ServiceSet>>;
  std::map<Key, std::vector<const Endpoint*>> alike;
  for (const Endpoint& each : segments.endpoints) {
    alike[{each.outside, each.shared_name, each.ingress, each.egress, each.member, each.ports}]
        .push_back(&each);
  }
  std::vector<Cluster> out;
  constexpr std::size_t names_shown = 8;
  for (const auto& [key, members] : alike) {
    const Endpoint& first = *members.front();
    const bool together =
        members.size() > 1 && between(segments, first, first) == ServiceSet::all();
    if (!together) {
      for (const Endpoint* each : members) out.push_back({each, each->networks, "", each->name});
      continue;
    }
    Cluster cluster{&first, {}, "", first.shared_name};
    for (std::size_t i = 0; i < members.size(); ++i) {
      const Endpoint& each = *members[i];
      cluster.networks.insert(cluster.networks.end(), each.networks.begin(), each.networks.end());
      if (i < names_shown) cluster.title += (i == 0 ? "" : ", ") + each.name;
    }
    if (members.size() > names_shown) cluster.title += ", ...";
    out.push_back(std::move(cluster));
  }
  std::sort(out.begin(), out.end(), [](const Cluster& a, const Cluster& b) {
    return std::tuple(a.endpoint->outside, a.name, a.networks) <
           std::tuple(b.endpoint->outside, b.name, b.networks);
  });
  return out;
}

}  // namespace

ServiceSet allowed_by(const Side& side, const Endpoint& peer, const Endpoint& target) {
  ServiceSet open = ServiceSet::all();
  ServiceSet allowed;
  ServiceSet passed;
  for (const Grant& grant : side.first) {
    if (!is_peer(grant, peer)) continue;
    const ServiceSet now = both(open, services_of(grant, target));
    if (grant.ruling == Ruling::allow) allowed = either(allowed, now);
    if (grant.ruling == Ruling::pass) passed = either(passed, now);
    open = without(open, now);
  }
  open = either(open, passed);
  if (side.isolated) {
    for (const Grant& grant : side.grants)
      if (is_peer(grant, peer)) allowed = either(allowed, both(open, services_of(grant, target)));
    return allowed;
  }
  for (const Grant& grant : side.last) {
    if (!is_peer(grant, peer)) continue;
    const ServiceSet now = both(open, services_of(grant, target));
    if (grant.ruling == Ruling::allow) allowed = either(allowed, now);
    open = without(open, now);
  }
  return either(allowed, open);
}

Result<void> write_segments(const Segments& segments, Writer& writer) {
  const std::vector<Cluster> clusters = clusters_of(segments);
  if (clusters.size() > domains_made_max) {
    return fail(ErrorCode::limit,
                {fmt::format("导入产生 {} 个安全域，上限 {}", clusters.size(), domains_made_max),
                 fmt::format("the import makes {} domains, at most {}", clusters.size(),
                             domains_made_max)});
  }
  for (const Cluster& each : clusters) writer.domain(each.name, each.title, each.networks);
  // Openers with the same targets and services share a line. A domain passes to itself anyway, so
  // it may stand among its own targets: in the largest set, which it most likely shares.
  std::map<std::pair<ServiceSet, Writer::Ids>, Writer::Ids> lines;
  for (std::size_t from = 0; from < clusters.size(); ++from) {
    std::map<ServiceSet, Writer::Ids> targets;
    for (std::size_t to = 0; to < clusters.size(); ++to) {
      const Endpoint& a = *clusters[from].endpoint;
      const Endpoint& b = *clusters[to].endpoint;
      if (from == to || (a.outside && b.outside)) continue;
      ServiceSet services = between(segments, a, b);
      if (!services.empty()) targets[std::move(services)].push_back(to);
    }
    for (auto& [services, to] : targets) {
      if (services == targets.rbegin()->first)
        to.insert(std::lower_bound(to.begin(), to.end(), from), from);
      lines[{services, to}].push_back(from);
    }
  }
  for (const auto& [key, from] : lines) writer.line(from, key.second, key.first, Action::allow, {});
  return {};
}

Result<std::vector<Outside>> outside_of(const std::vector<Endpoint>& endpoints,
                                        const std::vector<Prefix>& blocks) {
  std::vector<Prefix> cuts = blocks;
  std::vector<Prefix> taken;
  for (const Endpoint& each : endpoints)
    taken.insert(taken.end(), each.networks.begin(), each.networks.end());
  const auto has = [&](bool v4) {
    const auto same = [&](const Prefix& p) { return p.is_v4() == v4; };
    return std::any_of(blocks.begin(), blocks.end(), same) ||
           std::any_of(taken.begin(), taken.end(), same);
  };
  for (const bool v4 : {true, false})
    if (has(v4)) cuts.push_back(all_addresses(!v4));
  cuts.insert(cuts.end(), taken.begin(), taken.end());
  std::sort(taken.begin(), taken.end());
  std::vector<Outside> out;
  for (Region& region : MENSHEN_TRY(regions_of(std::move(cuts)))) {
    if (std::binary_search(taken.begin(), taken.end(), region.outer)) continue;
    Outside each;
    each.outer = region.outer;
    each.endpoint.outside = true;
    each.endpoint.name = region.outer.length() == 0 ? region.outer.is_v4() ? "outside" : "outside6"
                                                    : "net-" + region.outer.to_string();
    each.endpoint.shared_name = each.endpoint.name;
    each.endpoint.networks = std::move(region.networks);
    out.push_back(std::move(each));
  }
  return out;
}

}  // namespace menshen::policy::imports
