// The further files of `menshen comply`.
#pragma once

#include "apps/menshen/cli.hpp"

namespace menshen::apps {

void add_comply_hosts_commands(CLI::App& group, Cli& cli);    // inventory, script, import
void add_comply_run_commands(CLI::App& group, Cli& cli);      // runs, compare
void add_comply_task_commands(CLI::App& group, Cli& cli);     // task list|show|set|attach|review
void add_comply_package_commands(CLI::App& group, Cli& cli);  // export, verify

}  // namespace menshen::apps
