// The further files of `menshen audit`.
#pragma once

#include "apps/menshen/cli.hpp"

namespace menshen::apps {

void add_audit_keep_commands(CLI::App& group, Cli& cli);  // witness, backup, restore, recover-key
void add_sources_command(CLI::App& group, Cli& cli);

}  // namespace menshen::apps
