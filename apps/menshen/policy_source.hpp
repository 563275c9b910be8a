// Where a command's policy comes from.
#pragma once

#include <string>

#include "apps/menshen/cli.hpp"
#include "policy/policy.hpp"

namespace menshen::apps {

// The file that was named, or the policy in force, as the policy daemon has it. Mistakes of the
// file are printed, and are ErrorCode::invalid.
[[nodiscard]] Result<policy::Policy> policy_from(Cli& cli, const std::string& file);

}  // namespace menshen::apps
