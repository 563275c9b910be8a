// The whole list of what may be read and run on a host, as rules/mlps/sources.yaml says it. A check
// can name nothing else, and a collection does nothing else. Nothing in it changes anything.
//
// Path patterns are absolute and may hold `*`, which does not match `/` nor a leading dot.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.hpp"

namespace menshen::compliance {

struct HostCommand {
  std::string name;                    // "sshd"
  std::vector<std::string> arguments;  // the program first; looked up in the system's folders
  std::chrono::milliseconds timeout{5000};
};

enum class SettingsStyle : unsigned char {
  space,   // KEY value    (login.defs, chrony.conf, nginx.conf): a key that repeats becomes a list
  equals,  // key = value  (pwquality.conf, postgresql.conf): the last one counts
  json,    // an object: its top level
};

// One subject, wherever the distributions keep it: later files add to earlier ones.
struct SettingsFile {
  std::string name;                // host.file.NAME or host.text.NAME
  std::vector<std::string> files;  // patterns
  SettingsStyle style = SettingsStyle::equals;
  std::vector<std::string> secrets;  // keys whose values are never kept
};

struct Sources {
  std::vector<HostCommand> commands;
  std::vector<SettingsFile> settings;
  std::vector<SettingsFile> texts;
  std::vector<std::string> files;     // read whole
  std::vector<std::string> modes;     // owner, mode, time
  std::vector<std::string> presence;  // there or not, and since when
  std::vector<std::string> sysctls;

  [[nodiscard]] const HostCommand* command(std::string_view name) const;
};

inline constexpr std::size_t sources_entries_max = 500;  // of each list

[[nodiscard]] std::optional<Sources> parse_sources(std::string_view source,
                                                   Diagnostics& diagnostics);

}  // namespace menshen::compliance
