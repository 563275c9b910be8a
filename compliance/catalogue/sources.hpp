// The whole list of what may be run and read on a host. A check can name nothing else, and nothing
// here changes anything.
#pragma once

#include <chrono>
#include <span>
#include <string_view>
#include <vector>

namespace menshen::compliance {

struct HostCommand {
  std::string_view name;                    // "sshd"
  std::vector<std::string_view> arguments;  // the program first; looked up in the system's folders
  std::chrono::milliseconds timeout{5000};
};
[[nodiscard]] std::span<const HostCommand> host_commands();

enum class SettingsStyle : unsigned char {
  space,   // KEY value    (login.defs, chrony.conf): a key that repeats becomes a list
  equals,  // key = value  (pwquality.conf, journald.conf): the last one counts
};
struct SettingsFile {
  std::string_view path;
  SettingsStyle style = SettingsStyle::equals;
};
[[nodiscard]] std::span<const SettingsFile> settings_files();

}  // namespace menshen::compliance
