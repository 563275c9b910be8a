// menshen policy approve|confirm|rollback|history
#pragma once

#include "apps/menshen/cli.hpp"

namespace menshen::apps {

void add_policy_force_commands(CLI::App& group, Cli& cli);

}  // namespace menshen::apps
