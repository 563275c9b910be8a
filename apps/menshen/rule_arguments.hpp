// The options of commands that load rules: what rules need beside their own files.
#pragma once

#include <string>
#include <vector>

#include "apps/menshen/cli.hpp"
#include "sensor/detect/ruleset.hpp"

namespace menshen::apps {

struct RuleArguments {
  std::vector<std::string> variables;  // NAME=VALUE
  std::string classification;
  std::string thresholds;
  std::string reputation_categories;
  std::vector<std::string> reputation;
};

// `arguments` outlives the command.
void add_rule_arguments(CLI::App& command, const Cli& cli, RuleArguments& arguments);

// ErrorCode::invalid: a variable of another form.
[[nodiscard]] Result<sensor::RuleSetOptions> rule_options(const RuleArguments& arguments);

}  // namespace menshen::apps
