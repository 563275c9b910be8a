// Netlink dumps of what is not ours -> a line for a person.
#pragma once

#include <optional>
#include <string>

#include "base/lang.hpp"

struct nlmsghdr;

namespace menshen::policy::nft {

// A chain that a forwarded packet may meet, of any table but inet `own`. Nothing: it is ours, has
// no hook, or one on the appliance's own traffic only (input, output).
[[nodiscard]] std::optional<Text> describe_chain(const nlmsghdr* message, const std::string& own);
// Flows in a flowtable pass by the forward hook.
[[nodiscard]] Text describe_flowtable(const nlmsghdr* message);

}  // namespace menshen::policy::nft
