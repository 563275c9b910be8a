// menshen console setup
#include <unistd.h>

#include "apps/common/console_files.hpp"
#include "apps/menshen/cli.hpp"
#include "base/file.hpp"

namespace menshen::apps {
namespace {

constexpr std::size_t setup_code_bytes_max = 256;

std::string address_of(const Settings& settings) {
  const std::string& address = settings.text("console.address");
  const bool v6 = address.find(':') != std::string::npos;
  return fmt::format("https://{}:{}/setup", v6 ? "[" + address + "]" : address,
                     settings.integer("console.port"));
}

Result<ExitCode> setup(Cli& cli) {
  const Settings* settings = MENSHEN_TRY(cli.settings());
  const ConsoleFiles files = ConsoleFiles::of(*settings);
  const auto code = read_file(files.setup_code, setup_code_bytes_max);
  if (!code && code.error().code == ErrorCode::not_found) {
    std::error_code error;
    if (!std::filesystem::exists(files.accounts, error)) {
      return fail(ErrorCode::not_found, {"没有初始化码：请先启动 menshen-consoled",
                                         "there is no set-up code: start menshen-consoled first"});
    }
    print_err(cli.say("三员账号均已设置，无需初始化码\n",
                      "the three administrators are set up; no code is needed\n"));
    return ExitCode::finding;
  }
  if (!code) return tl::make_unexpected(code.error());
  print_out(*code);
  print_err(fmt::format(
      fmt::runtime(cli.say("在 {} 依次设置系统、安全、审计管理员；三人各自填写口令并扫码\n",
                           "at {} the system, the security and the audit administrator each set "
                           "a password and scan a code\n")),
      address_of(*settings)));
  return ExitCode::ok;
}

}  // namespace

void add_console_commands(CLI::App& app, Cli& cli) {
  CLI::App& group = cli.add_group(app, "console", {"网页控制台", "The web console"});
  cli.add(group, "setup",
          {"显示首次设置三员账号所需的初始化码（须为 root）",
           "Show the code for setting up the three administrators (as root)"},
          "menshen console setup", [&cli] { return setup(cli); });
}

}  // namespace menshen::apps
