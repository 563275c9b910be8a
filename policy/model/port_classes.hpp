// Which ports does this policy tell apart? Ports that the same services name are one class.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "policy/model/decision_table.hpp"
#include "policy/model/policy.hpp"

namespace menshen::policy {

struct PortClasses {
  std::vector<PortClass> tcp;  // sorted, disjoint, neighbours of one class merged
  std::vector<PortClass> udp;
  std::vector<std::vector<ClassId>> of_service;  // sorted; class_icmp among them
};

// Work and memory grow with the sum, over the ports told apart, of the services that name each.
inline constexpr std::size_t service_classes_max = 4'000'000;

// Nothing where that sum passes service_classes_max.
[[nodiscard]] std::optional<PortClasses> classify_ports(std::span<const Service> services);

}  // namespace menshen::policy
