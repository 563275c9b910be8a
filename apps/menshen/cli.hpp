// What the commands of `menshen` share: language, settings, how they print and how they end.
//
// A group of commands is one file, command_GROUP.cpp, with one function that adds it to the parser.
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "apps/common/exit_code.hpp"
#include "apps/common/settings_table.hpp"
#include "apps/control/message.hpp"
#include "base/lang.hpp"
#include "base/result.hpp"

namespace menshen::apps {

// An option that may stand several times, one value each.
CLI::Option* add_repeatable(CLI::App& command, const std::string& name,
                            std::vector<std::string>& into, const std::string& type,
                            const std::string& help);

class Cli {
 public:
  explicit Cli(Lang lang) : lang_(lang) {}

  [[nodiscard]] Lang lang() const { return lang_; }
  [[nodiscard]] const std::string& in(const Text& text) const { return text.in(lang_); }
  [[nodiscard]] std::string say(const char* zh, const char* en) const {
    return lang_ == Lang::zh ? zh : en;
  }

  // Reads the settings file when first asked for; a mistake in it is printed, and is
  // ErrorCode::invalid.
  [[nodiscard]] Result<const Settings*> settings();
  std::string settings_file{default_settings_file};

  using Command = std::function<Result<ExitCode>()>;
  // Adds a command: its help, an example (one line a use), what it does.
  CLI::App& add(CLI::App& parent, const std::string& name, const Text& help,
                const std::string& example, Command command);
  // Adds a group of commands, which does nothing alone.
  CLI::App& add_group(CLI::App& parent, const std::string& name, const Text& help);

  // The exit code of the command that ran; usage where none did.
  [[nodiscard]] ExitCode code() const { return code_; }
  void print_error(const Error& error) const;

 private:
  Lang lang_;
  std::optional<Settings> settings_;
  ExitCode code_ = ExitCode::usage;
};

// Everything on standard output; a closed pipe ends the program quietly.
void print_out(std::string_view text);
void print_err(std::string_view text);

void add_rules_commands(CLI::App& app, Cli& cli);
void add_sensor_commands(CLI::App& app, Cli& cli);
void add_policy_commands(CLI::App& app, Cli& cli);
void add_audit_commands(CLI::App& app, Cli& cli);
void add_comply_commands(CLI::App& app, Cli& cli);
void add_console_commands(CLI::App& app, Cli& cli);
void add_status_command(CLI::App& app, Cli& cli);
void add_settings_commands(CLI::App& app, Cli& cli);

// The whole program.
[[nodiscard]] int run_cli(int argc, char** argv);

}  // namespace menshen::apps
