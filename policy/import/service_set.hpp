// A set of protocols and ports, as rules name them: a value with the algebra of sets.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "policy/model/policy.hpp"

namespace menshen::policy::imports {

struct ServiceSet {
  std::vector<PortRange> tcp;  // sorted, disjoint, not touching
  std::vector<PortRange> udp;
  bool icmp = false;
  bool other = false;  // every other protocol

  [[nodiscard]] static ServiceSet all();
  [[nodiscard]] static ServiceSet of_ports(IpProto protocol, std::uint16_t first,
                                           std::uint16_t last);
  // All of a protocol: tcp, udp, icmp and icmpv6. Nothing for one that a policy cannot name.
  [[nodiscard]] static std::optional<ServiceSet> of_protocol(std::string_view name_or_number);
  [[nodiscard]] bool empty() const { return tcp.empty() && udp.empty() && !icmp && !other; }
  auto operator<=>(const ServiceSet&) const = default;
};

[[nodiscard]] ServiceSet both(const ServiceSet& a, const ServiceSet& b);
[[nodiscard]] ServiceSet either(const ServiceSet& a, const ServiceSet& b);
[[nodiscard]] ServiceSet without(const ServiceSet& a, const ServiceSet& b);

}  // namespace menshen::policy::imports
