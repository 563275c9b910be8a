#include "apps/common/daemon.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>

#include "apps/common/settings_table.hpp"
#include "base/users.hpp"

namespace menshen::apps {
namespace {

struct CommandLine {
  std::string settings_file{default_settings_file};
  std::optional<Lang> lang;
  bool check = false;
  bool once = false;
};

// Its exit code where the command line itself ends the program (--help, --version, a mistake).
std::optional<int> parse_command_line(int argc, char** argv, const DaemonInfo& info,
                                      CommandLine& line) {
  const Lang lang = lang_from_environment();
  const auto text = [lang](const char* zh, const char* en) { return lang == Lang::zh ? zh : en; };
  CLI::App app{info.purpose.in(lang), std::string(info.name)};
  std::string language;
  app.set_help_flag("-h,--help", text("显示帮助", "Show this help"));
  app.set_version_flag("--version", fmt::format("{} {}", info.name, MENSHEN_VERSION),
                       text("显示版本", "Show the version"));
  app.add_option("--settings", line.settings_file, text("配置文件", "Settings file"))
      ->capture_default_str();
  app.add_option("--lang", language, text("日志语言：zh 或 en", "Language of the log: zh or en"))
      ->check(CLI::IsMember({"zh", "en"}));
  app.add_flag("--check", line.check,
               text("仅检查配置文件后退出", "Only check the settings file, then exit"));
  if (!info.once_flag.empty()) {
    app.add_flag(std::string(info.once_flag), line.once, info.once_help.in(lang));
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& done) {
    return app.exit(done);
  } catch (const CLI::ParseError& error) {
    fmt::print(stderr, "{}: {}\n", info.name, error.what());
    return to_int(ExitCode::usage);
  }
  Lang chosen{};
  if (!language.empty() && parse_lang(language, chosen)) line.lang = chosen;
  return std::nullopt;
}

std::optional<Settings> load_or_print(const std::filesystem::path& file, Lang lang, int& code) {
  auto loaded = load_settings(file);
  if (!loaded) {
    log_error(LogLevel::error, loaded.error());
    code = to_int(exit_code_of(loaded.error().code));
    return std::nullopt;
  }
  const std::string rendered = loaded->diagnostics.render(lang);
  static_cast<void>(std::fwrite(rendered.data(), 1, rendered.size(), stderr));
  code = to_int(ExitCode::usage);
  return std::move(loaded->settings);
}

}  // namespace

void log_error(LogLevel level, const Error& error) { log(level, error.text); }

std::optional<Settings> Daemon::reload() const {
  auto loaded = load_settings(settings_file);
  if (!loaded) {
    log_error(LogLevel::error, loaded.error());
    return std::nullopt;
  }
  const std::string rendered = loaded->diagnostics.render(settings_language(settings));
  static_cast<void>(std::fwrite(rendered.data(), 1, rendered.size(), stderr));
  if (!loaded->settings) {
    log(LogLevel::error,
        {"配置文件有误，继续使用原有配置", "the settings file is wrong; the old settings stay"});
    return std::nullopt;
  }
  for (const std::string& key : changed_until_restart(settings, *loaded->settings)) {
    log(LogLevel::warning,
        {"配置项 " + key + " 的更改须重启后生效", key + " takes effect only at the next start"});
  }
  return std::move(loaded->settings);
}

int run_daemon(int argc, char** argv, const DaemonInfo& info,
               const std::function<Result<void>(Daemon&)>& run) {
  CommandLine line;
  if (const auto code = parse_command_line(argc, argv, info, line)) return *code;
  set_log_language(line.lang.value_or(lang_from_environment()));
  if (line.once) {
    const Result<void> done = info.once();
    if (!done) log_error(LogLevel::error, done.error());
    return to_int(done ? ExitCode::ok : exit_code_of(done.error().code));
  }
  int code = 0;
  auto settings =
      load_or_print(line.settings_file, line.lang.value_or(lang_from_environment()), code);
  if (!settings) return code;
  if (line.check) return to_int(ExitCode::ok);
  set_log_language(line.lang.value_or(settings_language(*settings)));
  ::umask(0027);
  auto signals = Signals::make();
  if (!signals) {
    log_error(LogLevel::error, signals.error());
    return to_int(ExitCode::failed);
  }
  Daemon daemon{line.settings_file, std::move(*settings), std::move(*signals)};
  const Result<void> done = run(daemon);
  if (done) return to_int(ExitCode::ok);
  log_error(LogLevel::error, done.error());
  return to_int(exit_code_of(done.error().code));
}

std::filesystem::path folder_of(const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return path;
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

Result<void> confine(const Daemon& daemon, std::string_view user_key, SandboxPlan plan) {
  const Settings& settings = daemon.settings;
  if (settings.text("sandbox.mode") == "off") {
    log(LogLevel::warning, {"进程沙箱已关闭（sandbox.mode: off），仅限排错使用",
                            "the sandbox is off (sandbox.mode: off); for finding faults only"});
    return {};
  }
  if (::geteuid() == 0) plan.user = settings.text(user_key);
  plan.read_only.push_back(folder_of(daemon.settings_file));
  // What is not there cannot be allowed; whoever needs it fails when it reads, with the path in its
  // message.
  std::erase_if(plan.read_only, [](const std::filesystem::path& path) {
    std::error_code error;
    return !std::filesystem::exists(path, error);
  });
  return enter_sandbox(plan);
}

Result<void> prepare_directory(const std::filesystem::path& directory, const Settings& settings,
                               std::string_view user_key, mode_t mode) {
  std::error_code ignored;
  const bool there = std::filesystem::exists(directory, ignored);
  MENSHEN_CHECK(make_directories(directory, mode));
  const std::string& user = settings.text(user_key);
  const bool switches = ::geteuid() == 0 && settings.text("sandbox.mode") != "off";
  if (there || !switches || user.empty()) return {};
  const auto owner = find_user(user);
  if (!owner) {
    return fail(ErrorCode::not_found, {fmt::format("用户 {} 不存在（{}）", user, user_key),
                                       fmt::format("there is no user {} ({})", user, user_key)});
  }
  if (::chown(directory.c_str(), owner->uid, static_cast<gid_t>(-1)) != 0) {
    return fail_errno({"无法设置目录属主：" + directory.string(),
                       "cannot give away the folder " + directory.string()});
  }
  return {};
}

ControlOptions control_options(const Settings& settings, std::string_view socket_key) {
  ControlOptions options;
  options.socket = settings.text(socket_key);
  options.status_group = settings.text("general.status_group");
  options.admin_group = settings.text("general.admin_group");
  options.console_user = settings.text("console.user");
  return options;
}

}  // namespace menshen::apps
