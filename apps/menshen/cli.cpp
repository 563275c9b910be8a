#include "apps/menshen/cli.hpp"

#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "base/file.hpp"
#include "base/text.hpp"

namespace menshen::apps {
namespace {

// --lang is needed before the parser can be built: its own help is in that language.
Lang language_of(int argc, char** argv) {
  Lang lang = lang_from_environment();
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--") break;
    if (argument == "--lang" && i + 1 < argc) static_cast<void>(parse_lang(argv[i + 1], lang));
    if (argument.starts_with("--lang=")) static_cast<void>(parse_lang(argument.substr(7), lang));
  }
  return lang;
}

std::string exit_code_help(Lang lang) {
  std::string text = lang == Lang::zh ? "退出码：\n" : "Exit status:\n";
  for (const ExitCodeHelp& each : exit_codes()) {
    text += fmt::format("  {}  {}\n", to_int(each.code), each.text.in(lang));
  }
  return text;
}

// The parser's own words are English; its kinds of mistake are few.
std::string usage_error(const CLI::ParseError& error, Lang lang) {
  std::string detail = escape_controls(error.what());
  if (lang == Lang::en) return detail;
  const std::string& kind = error.get_name();
  std::string zh = "命令行有误";
  if (kind == "RequiredError") zh = "缺少必需的参数或子命令";
  if (kind == "ExtrasError") zh = "存在无法识别的参数";
  if (kind == "ValidationError") zh = "参数取值不被接受";
  if (kind == "ConversionError") zh = "参数取值类型错误";
  if (kind == "ArgumentMismatch") zh = "参数个数不符";
  if (kind == "RequiresError" || kind == "ExcludesError") zh = "参数组合不被接受";
  return zh + "（" + detail + "）";
}

void set_labels(CLI::App& app, Lang lang) {
  const auto formatter = app.get_formatter();
  formatter->column_width(34);
  if (lang == Lang::en) return;
  for (const auto& [label, zh] : {std::pair{"Usage", "用法"},
                                  {"OPTIONS", "选项"},
                                  {"SUBCOMMAND", "子命令"},
                                  {"SUBCOMMANDS", "子命令"},
                                  {"REQUIRED", "必填"},
                                  {"Positionals", "位置参数"},
                                  {"Env", "环境变量"},
                                  {"Needs", "需要"},
                                  {"Excludes", "排斥"},
                                  {"TEXT", "文本"},
                                  {"INT", "整数"},
                                  {"UINT", "整数"}}) {
    formatter->label(label, zh);
  }
}

std::unique_ptr<CLI::App> make_app(Cli& cli, std::string& language) {
  auto app =
      std::make_unique<CLI::App>(cli.say("门神：云上租户域隔离、内联检测、防篡改审计与等级保护自查",
                                         "Menshen: isolation between a cloud's domains, inline "
                                         "inspection, tamper-evident audit, and "
                                         "MLPS self-assessment"),
                                 "menshen");
  set_labels(*app, cli.lang());
  app->option_defaults()->group(cli.say("选项", "Options"));
  app->set_help_flag("-h,--help", cli.say("显示帮助", "Show this help"));
  app->set_version_flag("--version", std::string("menshen ") + MENSHEN_VERSION,
                        cli.say("显示版本", "Show the version"));
  app->add_option("--settings", cli.settings_file, cli.say("配置文件", "Settings file"))
      ->type_name("FILE")
      ->capture_default_str();
  app->add_option("--lang", language,
                  cli.say("语言：zh 或 en（默认取自环境）",
                          "Language: zh or en (default: the environment's)"))
      ->type_name("LANG")
      ->check(CLI::IsMember({"zh", "en"}));
  app->fallthrough();
  app->require_subcommand(1);
  app->footer(exit_code_help(cli.lang()));
  add_rules_commands(*app, cli);
  add_sensor_commands(*app, cli);
  add_policy_commands(*app, cli);
  add_audit_commands(*app, cli);
  add_comply_commands(*app, cli);
  add_console_commands(*app, cli);
  add_status_command(*app, cli);
  add_settings_commands(*app, cli);
  return app;
}

void write_or_end(int fd, std::string_view text) {
  if (!write_all(fd, as_bytes(text)) && fd == STDOUT_FILENO) std::_Exit(to_int(ExitCode::failed));
}

}  // namespace

void print_out(std::string_view text) { write_or_end(STDOUT_FILENO, text); }
void print_err(std::string_view text) { write_or_end(STDERR_FILENO, text); }

void Cli::print_error(const Error& error) const {
  print_err("menshen: " + escape_controls(error.text.in(lang_)) + "\n");
}

CLI::Option* add_repeatable(CLI::App& command, const std::string& name,
                            std::vector<std::string>& into, const std::string& type,
                            const std::string& help) {
  return command.add_option(name, into, help)
      ->type_name(type)
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

Result<const Settings*> Cli::settings() {
  if (settings_) return &*settings_;
  auto loaded = MENSHEN_TRY(load_settings(settings_file));
  print_err(loaded.diagnostics.render(lang_));
  if (!loaded.settings) {
    return fail(ErrorCode::invalid,
                {"配置文件有误：" + settings_file, "the settings are wrong: " + settings_file});
  }
  settings_ = std::move(*loaded.settings);
  return &*settings_;
}

CLI::App& Cli::add_group(CLI::App& parent, const std::string& name, const Text& help) {
  CLI::App* group = parent.add_subcommand(name, in(help));
  group->group(say("命令", "Commands"));
  group->require_subcommand(1);
  group->set_help_flag("-h,--help", say("显示帮助", "Show this help"));
  return *group;
}

CLI::App& Cli::add(CLI::App& parent, const std::string& name, const Text& help,
                   const std::string& example, Command command) {
  CLI::App* app = parent.add_subcommand(name, in(help));
  app->group(say("命令", "Commands"));
  app->set_help_flag("-h,--help", say("显示帮助", "Show this help"));
  app->footer(say("示例：\n  ", "Example:\n  ") + example + "\n");
  app->callback([this, command = std::move(command)] {
    const Result<ExitCode> done = command();
    if (!done) print_error(done.error());
    code_ = done ? *done : exit_code_of(done.error().code);
  });
  return *app;
}

int run_cli(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is a failed write, not a death
  Cli cli(language_of(argc, argv));
  std::string language;
  const auto app = make_app(cli, language);
  try {
    app->parse(argc, argv);
  } catch (const CLI::Success& done) {
    return app->exit(done);
  } catch (const CLI::ParseError& error) {
    print_err(fmt::format("menshen: {}\n{}\n", usage_error(error, cli.lang()),
                          cli.say("使用 --help 查看帮助", "See --help")));
    return to_int(ExitCode::usage);
  }
  return to_int(cli.code());
}

}  // namespace menshen::apps
