// What another policy would change: which flows newly pass, newly stop, or are newly (un)inspected.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/lang.hpp"
#include "policy/model/policy.hpp"

namespace menshen::policy {

enum class ChangeKind : std::uint8_t { newly_passes, newly_blocked, inspection, domain };

struct Change {
  ChangeKind kind{};
  std::string from;  // domain name, or "any"; domain: the domain
  std::string to;
  std::string service;  // "tcp/80", "tcp/8000-8100", "udp", "icmp", "other protocols"
  Text text;            // one line for a person
};

// Both seen by domain names; `current` may be an empty Policy. In the order from, to, service.
// Costs one lookup per (pair named by either policy, port class).
[[nodiscard]] std::vector<Change> changes_between(const Policy& current, const Policy& next);

}  // namespace menshen::policy
