// Networks that rules name, cut into disjoint regions: each network without the ones inside it.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "base/ip.hpp"
#include "base/result.hpp"

namespace menshen::policy::imports {

struct Region {
  Prefix outer;                  // a prefix contains the region, or none of it
  std::vector<Prefix> networks;  // outer without the prefixes inside it; never empty
};

// In the order of the addresses, wider first; a prefix that those inside it cover makes none.
// ErrorCode::limit beyond networks_made_max.
[[nodiscard]] Result<std::vector<Region>> regions_of(std::vector<Prefix> prefixes);

[[nodiscard]] bool contains(const Prefix& outer, const Prefix& inner);
// [first, last], of one family, as prefixes.
[[nodiscard]] std::vector<Prefix> prefixes_of_range(const IpAddr& first, const IpAddr& last);
[[nodiscard]] Prefix all_addresses(bool v6);
// Host bits are cut off, as other systems allow them.
[[nodiscard]] std::optional<Prefix> parse_network(std::string_view text);

}  // namespace menshen::policy::imports
