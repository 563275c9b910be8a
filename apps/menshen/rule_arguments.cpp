#include "apps/menshen/rule_arguments.hpp"

#include "apps/sensord/rules.hpp"

namespace menshen::apps {

void add_rule_arguments(CLI::App& command, const Cli& cli, RuleArguments& arguments) {
  add_repeatable(command, "--var", arguments.variables, "NAME=VALUE",
                 cli.say("规则变量 NAME=VALUE，可重复", "Variable NAME=VALUE, repeatable"));
  const auto file = [&](const char* name, std::string& into, const std::string& help) {
    command.add_option(name, into, help)->type_name("FILE");
  };
  file("--classification", arguments.classification,
       cli.say("classification.config 文件", "classification.config file"));
  file("--threshold-file", arguments.thresholds,
       cli.say("阈值与抑制文件（threshold.config）",
               "File of thresholds and suppressions (threshold.config)"));
  file("--reputation-categories", arguments.reputation_categories,
       cli.say("IP 信誉分类文件", "Categories of IP reputation"));
  add_repeatable(command, "--reputation", arguments.reputation, "FILE",
                 cli.say("IP 信誉文件，可重复", "File of IP reputation, repeatable"));
}

Result<sensor::RuleSetOptions> rule_options(const RuleArguments& arguments) {
  sensor::RuleSetOptions options = MENSHEN_TRY(rule_options(arguments.variables));
  options.classification = arguments.classification;
  options.thresholds = arguments.thresholds;
  options.reputation_categories = arguments.reputation_categories;
  options.reputation = {arguments.reputation.begin(), arguments.reputation.end()};
  return options;
}

}  // namespace menshen::apps
