// Settings are a table: {key, type, default, range, reloadable, help}. From the one table come
// parsing, range errors with their place, the commented default file and the reference page.
//
// The file is strict YAML, two levels: `audit: {checkpoint_seconds: 1}` sets
// "audit.checkpoint_seconds".
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/diagnostic.hpp"
#include "base/result.hpp"

namespace menshen {

inline constexpr std::size_t setting_text_bytes_max = 4096;  // text, choice, path, item of a list
inline constexpr std::size_t setting_items_max = 1024;       // list

// Texts hold no control characters; a path is absolute, an optional one may be empty too.
enum class SettingType : unsigned char {
  integer,
  boolean,
  text,
  choice,
  path,
  optional_path,
  list
};

struct SettingDefinition {
  std::string_view key;  // "section.name"
  SettingType type = SettingType::text;
  std::string_view fallback;  // the default, as the file would have it (list: comma separated)
  std::int64_t min = 0;       // integer
  std::int64_t max = 0;       // integer
  std::vector<std::string_view> choices;  // choice
  bool reloadable = false;                // takes effect on SIGHUP
  Text help;                              // one sentence, with the unit
};

class Settings {
 public:
  // Every key at its default.
  [[nodiscard]] static Settings defaults(std::span<const SettingDefinition> table);
  // Unknown key, wrong type, out of range: one diagnostic each; nothing is returned then.
  [[nodiscard]] static std::optional<Settings> parse(std::span<const SettingDefinition> table,
                                                     std::string_view source,
                                                     Diagnostics& diagnostics);

  // A key that is not in the table, or of another type, is a programmer's error (assert).
  [[nodiscard]] std::int64_t integer(std::string_view key) const;
  [[nodiscard]] bool boolean(std::string_view key) const;
  [[nodiscard]] const std::string& text(std::string_view key) const;  // text, choice, path
  [[nodiscard]] const std::vector<std::string>& list(std::string_view key) const;

 private:
  using Value = std::variant<std::int64_t, bool, std::string, std::vector<std::string>>;
  template <class T>
  [[nodiscard]] const T& get(std::string_view key) const;

  std::map<std::string, Value, std::less<>> values_;
};

// The default file: every key commented out, with its help in both languages, range and default.
[[nodiscard]] std::string settings_template(std::span<const SettingDefinition> table);
// The reference page (Markdown).
[[nodiscard]] std::string settings_reference(std::span<const SettingDefinition> table, Lang lang);

}  // namespace menshen
