#include "policy/import/service_set.hpp"

#include <algorithm>

namespace menshen::policy::imports {
namespace {

constexpr std::uint16_t port_max = 65535;

using Ranges = std::vector<PortRange>;

Ranges joined(Ranges ranges) {
  std::sort(ranges.begin(), ranges.end());
  Ranges out;
  for (const PortRange& range : ranges) {
    if (!out.empty() && range.first <= out.back().last + 1) {
      out.back().last = std::max(out.back().last, range.last);
    } else {
      out.push_back(range);
    }
  }
  return out;
}

Ranges complement(const Ranges& ranges) {
  Ranges out;
  int next = 0;
  for (const PortRange& range : ranges) {
    if (range.first > next)
      out.push_back(
          {static_cast<std::uint16_t>(next), static_cast<std::uint16_t>(range.first - 1)});
    next = range.last + 1;
  }
  if (next <= port_max) out.push_back({static_cast<std::uint16_t>(next), port_max});
  return out;
}

Ranges common(const Ranges& a, const Ranges& b) {
  Ranges out;
  for (std::size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    const std::uint16_t first = std::max(a[i].first, b[j].first);
    const std::uint16_t last = std::min(a[i].last, b[j].last);
    if (first <= last) out.push_back({first, last});
    a[i].last < b[j].last ? ++i : ++j;
  }
  return out;
}

}  // namespace

ServiceSet ServiceSet::all() { return {{{0, port_max}}, {{0, port_max}}, true, true}; }

ServiceSet ServiceSet::of_ports(IpProto protocol, std::uint16_t first, std::uint16_t last) {
  ServiceSet out;
  (protocol == IpProto::udp ? out.udp : out.tcp).push_back({first, last});
  return out;
}

std::optional<ServiceSet> ServiceSet::of_protocol(std::string_view name) {
  if (name == "tcp" || name == "6") return ServiceSet{{{0, port_max}}, {}, false, false};
  if (name == "udp" || name == "17") return ServiceSet{{}, {{0, port_max}}, false, false};
  if (name == "icmp" || name == "1" || name == "icmpv6" || name == "ipv6-icmp" || name == "58")
    return ServiceSet{{}, {}, true, false};
  if (name == "all" || name == "any" || name == "0") return all();
  return std::nullopt;
}

ServiceSet both(const ServiceSet& a, const ServiceSet& b) {
  return {common(a.tcp, b.tcp), common(a.udp, b.udp), a.icmp && b.icmp, a.other && b.other};
}

ServiceSet either(const ServiceSet& a, const ServiceSet& b) {
  ServiceSet out = a;
  out.tcp.insert(out.tcp.end(), b.tcp.begin(), b.tcp.end());
  out.udp.insert(out.udp.end(), b.udp.begin(), b.udp.end());
  return {joined(std::move(out.tcp)), joined(std::move(out.udp)), a.icmp || b.icmp,
          a.other || b.other};
}

ServiceSet without(const ServiceSet& a, const ServiceSet& b) {
  return {common(a.tcp, complement(b.tcp)), common(a.udp, complement(b.udp)), a.icmp && !b.icmp,
          a.other && !b.other};
}

}  // namespace menshen::policy::imports
