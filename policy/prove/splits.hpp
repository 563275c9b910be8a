// Which values of a field a ruleset or a policy tells apart.
#pragma once

#include <array>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "policy/model/policy.hpp"
#include "policy/nft/ruleset.hpp"
#include "policy/prove/space.hpp"

namespace menshen::policy::prove {

// Fields that share their values: source and destination are split alike.
enum class Kind : std::uint8_t { ipv4, ipv6, interface, protocol, port, ct_mark, count };
inline constexpr std::size_t kinds = static_cast<std::size_t>(Kind::count);

// Bytes of a value.
[[nodiscard]] std::size_t width_of(Kind kind);

// One list of ranges for each set and compared value that a rule applies to a field itself.
[[nodiscard]] std::array<std::vector<std::vector<Range>>, kinds> splits_of(
    const nft::Ruleset& ruleset);

// The domain of each address: by the longest prefix that contains it, sought length by length.
// Sorted, disjoint.
[[nodiscard]] std::vector<Range> domain_ranges(const Policy& policy, bool v6);

// The set of services that name each port, as a number: 0 none, else an index into `sets`, to which
// new ones are added.
[[nodiscard]] std::vector<Range> service_ranges(const Policy& policy,
                                                std::vector<PortRange> Service::*ports,
                                                std::vector<std::vector<std::uint32_t>>& sets);

}  // namespace menshen::policy::prove
