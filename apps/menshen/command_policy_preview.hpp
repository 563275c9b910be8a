// menshen policy preview|usage
#pragma once

#include "apps/menshen/cli.hpp"

namespace menshen::apps {

void add_policy_preview_commands(CLI::App& group, Cli& cli);

}  // namespace menshen::apps
