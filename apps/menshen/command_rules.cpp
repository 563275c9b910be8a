// menshen rules check
#include <memory>

#include "apps/menshen/cli.hpp"
#include "apps/menshen/rule_arguments.hpp"
#include "apps/sensord/rules.hpp"

namespace menshen::apps {
namespace {

struct CheckOptions {
  std::vector<std::string> files;
  RuleArguments rules;
  bool json = false;
};

std::string_view action_name(sensor::RuleAction action) {
  switch (action) {
    case sensor::RuleAction::pass:
      return "pass";
    case sensor::RuleAction::drop:
      return "drop";
    case sensor::RuleAction::reject:
      return "reject";
    case sensor::RuleAction::alert:
      return "alert";
  }
  return "";
}

Json to_json(const sensor::RuleSet& rules, Lang lang) {
  Json loaded = Json::array();
  for (const sensor::RuleInfo* rule : rules.rules()) {
    loaded.push_back({{"file", rule->file},
                      {"line", rule->line},
                      {"gid", rule->gid},
                      {"sid", rule->sid},
                      {"rev", rule->rev},
                      {"action", action_name(rule->action)},
                      {"msg", rule->msg}});
  }
  Json diagnostics = Json::array();
  for (const Diagnostics& file : rules.diagnostics()) {
    Json each = Json::parse(file.to_json(lang), nullptr, false);
    if (each.is_array()) diagnostics.insert(diagnostics.end(), each.begin(), each.end());
  }
  return {{"loaded", rules.summary().loaded},
          {"rejected", rules.summary().rejected},
          {"rules", loaded},
          {"diagnostics", diagnostics}};
}

Result<ExitCode> check(const Cli& cli, const CheckOptions& options) {
  sensor::RuleSetBuilder builder(MENSHEN_TRY(rule_options(options.rules)));
  for (const auto& file : MENSHEN_TRY(find_rule_files(options.files))) {
    MENSHEN_CHECK(builder.add_file(file));
  }
  const sensor::RuleSet rules = MENSHEN_TRY(std::move(builder).build());
  const auto& summary = rules.summary();
  if (options.json) {
    print_out(to_pretty(to_json(rules, cli.lang())) + "\n");
  } else {
    for (const Diagnostics& file : rules.diagnostics()) print_err(file.render(cli.lang()));
    print_out(fmt::format(
        fmt::runtime(cli.say("已加载 {} 条，被拒绝 {} 条\n", "{} loaded, {} rejected\n")),
        summary.loaded, summary.rejected));
  }
  return summary.rejected == 0 ? ExitCode::ok : ExitCode::finding;
}

}  // namespace

void add_rules_commands(CLI::App& app, Cli& cli) {
  CLI::App& group = cli.add_group(app, "rules", {"检测规则", "Detection rules"});
  const auto options = std::make_shared<CheckOptions>();
  CLI::App& command =
      cli.add(group, "check",
              {"检查规则文件：逐条列出未能加载的规则及原因；有被拒绝的规则时退出码为 1",
               "Check rule files: every rule that is rejected, with its place and reason; exit "
               "status 1 if any is"},
              "menshen rules check /usr/share/menshen/rules/*.rules --json",
              [&cli, options] { return check(cli, *options); });
  command.add_option("FILE", options->files, cli.say("规则文件或目录", "Rule files or folders"))
      ->required()
      ->type_name("");
  add_rule_arguments(command, cli, options->rules);
  command.add_flag("--json", options->json, cli.say("输出 JSON", "Print JSON"));
}

}  // namespace menshen::apps
