// menshen settings template|reference|check
#include "apps/menshen/cli.hpp"

namespace menshen::apps {

void add_settings_commands(CLI::App& app, Cli& cli) {
  CLI::App& group =
      cli.add_group(app, "settings",
                    {"配置文件：模板、参考手册与检查", "Settings: default file, reference, check"});
  cli.add(group, "template",
          {"输出默认配置文件（全部配置项均为注释）",
           "Print the default settings file, every key commented out"},
          "menshen settings template > menshen.yaml", []() -> Result<ExitCode> {
            print_out(settings_template(settings_table()));
            return ExitCode::ok;
          });
  cli.add(group, "reference",
          {"输出配置参考手册（Markdown）", "Print the reference page (Markdown)"},
          "menshen settings reference --lang en", [&cli]() -> Result<ExitCode> {
            print_out(settings_reference(settings_table(), cli.lang()));
            return ExitCode::ok;
          });
  cli.add(group, "check", {"检查配置文件", "Check the settings file"},
          "menshen --settings menshen.yaml settings check", [&cli]() -> Result<ExitCode> {
            const auto loaded = MENSHEN_TRY(load_settings(cli.settings_file));
            print_err(loaded.diagnostics.render(cli.lang()));
            if (!loaded.settings) return ExitCode::finding;
            print_out(cli.say("配置正确\n", "the settings are right\n"));
            return ExitCode::ok;
          });
}

}  // namespace menshen::apps
