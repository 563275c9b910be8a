// Every setting of every program of ours: one table, one file, one set of paths.
//
// A program reads the whole file, so that a mistake in any section is found by whichever starts
// first.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "base/settings.hpp"

namespace menshen::apps {

inline constexpr std::string_view default_settings_file = "/etc/menshen/menshen.yaml";
inline constexpr std::size_t settings_bytes_max = 1U << 20U;

// Sections in order: general, inspection, sensor, policy, audit, forward, collect,
// compliance, console, sandbox.
[[nodiscard]] std::span<const SettingDefinition> settings_table();

struct LoadedSettings {
  std::optional<Settings> settings;  // nothing: `diagnostics` has errors
  Diagnostics diagnostics;
};

// Fails where the file cannot be read; what is wrong inside is in the diagnostics. Also checks what
// single settings cannot: two paths or sockets that are the same.
[[nodiscard]] Result<LoadedSettings> load_settings(const std::filesystem::path& file);
[[nodiscard]] LoadedSettings parse_settings(std::string name, std::string_view source);

// The language for logs and messages: the setting, or the environment where it says "auto".
[[nodiscard]] Lang settings_language(const Settings& settings);

// Keys whose values differ and that take effect only at the next start, in the table's order.
[[nodiscard]] std::vector<std::string> changed_until_restart(const Settings& running,
                                                             const Settings& loaded);

}  // namespace menshen::apps
