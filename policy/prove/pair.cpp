#include "policy/prove/pair.hpp"

#include <algorithm>

#include "policy/prove/trace.hpp"
#include "policy/prove/world.hpp"

namespace menshen::policy::prove {
namespace {

constexpr std::uint8_t tcp = 6;
constexpr std::uint8_t udp = 17;

bool names(const std::vector<PortRange>& ranges, std::uint16_t port) {
  return std::any_of(ranges.begin(), ranges.end(), [&](const PortRange& range) {
    return range.first <= port && port <= range.last;
  });
}

bool covers(const Service& service, const Packet& packet) {
  switch (packet.original_protocol) {
    case 1:
    case 58:
      return service.icmp;
    case tcp:
      return names(service.tcp, packet.original_port);
    case udp:
      return names(service.udp, packet.original_port);
    default:
      return false;
  }
}

}  // namespace

PairProver::PairProver(const Policy& policy, const nft::Ruleset& ruleset,
                       const nft::LowerOptions& lowered)
    : services_(policy.services().begin(), policy.services().end()), lowered_(lowered) {
  Diagrams diagrams;
  const World world(policy, ruleset, diagrams);
  domains_.resize(policy.domains().size());
  for (const Family family : {Family::v4, Family::v6}) {
    const Space& addresses = world.space(Field::src, family);
    const Labels& labels = world.domains(family);
    for (Class cls = 0; cls < addresses.classes(); ++cls) {
      if (!addresses.inhabited(cls) || labels[cls] == domain_any) continue;
      Example& domain = domains_[labels[cls] - 1];
      const Value& value = addresses.example(cls);
      if (family == Family::v6) {
        domain.v6 = IpAddr::v6(value);
        domain.has_v6 = true;
      } else {
        domain.v4 = IpAddr::v4(static_cast<std::uint32_t>(value[0]) << 24U |
                               static_cast<std::uint32_t>(value[1]) << 16U |
                               static_cast<std::uint32_t>(value[2]) << 8U | value[3]);
        domain.has_v4 = true;
      }
    }
  }
  for (std::size_t i = 0; i < domains_.size(); ++i) {
    const Domain& domain = policy.domains()[i];
    domains_[i].interface = domain.interfaces.empty() ? "other0" : domain.interfaces.front();
  }
  const Space& ports = world.space(Field::original_port, Family::v4);
  for (Class cls = 0; cls < ports.classes(); ++cls) {
    if (!ports.inhabited(cls)) continue;
    const Value& value = ports.example(cls);
    ports_.push_back(static_cast<std::uint16_t>(value[0] << 8U | value[1]));
  }
}

Outcome PairProver::demanded(const Packet& packet, std::span<const Line> lines) const {
  const auto line = std::find_if(lines.begin(), lines.end(), [&](const Line& each) {
    return each.services.empty() ||
           std::any_of(each.services.begin(), each.services.end(),
                       [&](std::uint32_t s) { return covers(services_[s], packet); });
  });
  if (line == lines.end()) return {Fate::drop, 0, false, 0, "denied_default"};
  if (line->action == Action::deny) return {Fate::drop, 0, false, 0, "denied_line"};
  if (line->inspect == Inspect::none) return {Fate::pass, 0, false, nft::mark_allowed, "allowed"};
  return {Fate::inspect, lowered_.queue, lowered_.queue_bypass, nft::mark_inspected, "inspected"};
}

std::optional<Packet> PairProver::difference(const nft::Ruleset& ruleset, DomainId from,
                                             DomainId to, std::span<const Line> lines) const {
  const Example& source = domains_.at(from - 1);
  const Example& target = domains_.at(to - 1);
  for (const bool v6 : {false, true}) {
    if (v6 ? !source.has_v6 || !target.has_v6 : !source.has_v4 || !target.has_v4) continue;
    Packet packet = Packet::opening(v6 ? source.v6 : source.v4, v6 ? target.v6 : target.v4, 0, 0,
                                    source.interface, target.interface);
    const auto differs = [&](std::uint8_t protocol, std::uint16_t port) {
      packet.protocol = packet.original_protocol = protocol;
      packet.original_port = port;
      return trace(ruleset, packet).outcome != demanded(packet, lines);
    };
    for (const std::uint16_t port : ports_)
      if (differs(tcp, port) || differs(udp, port)) return packet;
    for (const std::uint8_t protocol : std::array<std::uint8_t, 3>{1, 58, 132})
      if (differs(protocol, 0)) return packet;
  }
  return std::nullopt;
}

}  // namespace menshen::policy::prove
