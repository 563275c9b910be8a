// What the daemons have in common: command line, settings, sandbox, the way they end.
#pragma once

#include <filesystem>
#include <functional>

#include "apps/common/exit_code.hpp"
#include "apps/control/server.hpp"
#include "base/sandbox.hpp"
#include "base/service.hpp"
#include "base/settings.hpp"

namespace menshen::apps {

struct DaemonInfo {
  std::string_view name;  // "menshen-sensord"
  Text purpose;           // one sentence for --help
  // A further option that does one thing instead of running; no option: empty flag.
  std::string_view once_flag = {};
  Text once_help = {};
  std::function<Result<void>()> once = {};
};

struct Daemon {
  std::filesystem::path settings_file;
  Settings settings;
  Signals signals;

  // Reads the settings file again; a mistake in it is logged with its place and nothing is
  // returned. Keys that need a restart are named in a warning.
  [[nodiscard]] std::optional<Settings> reload() const;
};

// Parses the command line (--settings FILE, --lang zh|en, --check, --version, --help), loads the
// settings, blocks the signals and runs the daemon. An error is logged and becomes the exit code.
[[nodiscard]] int run_daemon(int argc, char** argv, const DaemonInfo& info,
                             const std::function<Result<void>(Daemon&)>& run);

// Logs a Result's error in both languages' own words, at `level`.
void log_error(LogLevel level, const Error& error);

// enter_sandbox(), unless the settings switch it off: then a warning. `user_key` is the settings
// key. The folder of the settings file is readable too: a reload reads it again.
[[nodiscard]] Result<void> confine(const Daemon& daemon, std::string_view user_key,
                                   SandboxPlan plan);

// What to allow so that `path` can still be read after it was replaced by another file of its name:
// Landlock knows files by their inode. A folder is itself, a file its folder.
[[nodiscard]] std::filesystem::path folder_of(const std::filesystem::path& path);

// Makes a daemon's own folder and, started as root, gives a new one to the user that the daemon
// will be.
[[nodiscard]] Result<void> prepare_directory(const std::filesystem::path& directory,
                                             const Settings& settings, std::string_view user_key,
                                             mode_t mode);

[[nodiscard]] ControlOptions control_options(const Settings& settings, std::string_view socket_key);

}  // namespace menshen::apps
