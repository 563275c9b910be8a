// menshen policy import
#pragma once

#include "apps/menshen/cli.hpp"

namespace menshen::apps {

void add_policy_import_command(CLI::App& group, Cli& cli);

}  // namespace menshen::apps
