// Prefixes that may nest -> disjoint ranges in which the longest prefix wins.
#pragma once

#include <vector>

#include "base/ip.hpp"
#include "policy/model/decision_table.hpp"

namespace menshen::policy {

struct OwnedPrefix {
  Prefix prefix;
  DomainId domain = domain_any;  // domain_any: a hole
};

// All prefixes of one family, no two equal. Sorted, neighbours of one domain merged. n log n.
[[nodiscard]] std::vector<AddressRange> disjoint_ranges(std::vector<OwnedPrefix> prefixes);

[[nodiscard]] IpAddr address_before(const IpAddr& address);  // not of the lowest
[[nodiscard]] IpAddr address_after(const IpAddr& address);   // not of the highest

}  // namespace menshen::policy
