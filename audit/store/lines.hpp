// "key value" lines in a fixed order, as the signed texts have them. Internal to the store.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

namespace menshen::audit {

class Lines {
 public:
  explicit Lines(std::string_view text) : rest_(text) {}
  // Nothing where the next line does not begin with the key.
  std::optional<std::string_view> value(std::string_view key) {
    const std::size_t end = rest_.find('\n');
    if (end == std::string_view::npos || !rest_.starts_with(key)) return std::nullopt;
    const std::string_view line = rest_.substr(key.size(), end - key.size());
    rest_.remove_prefix(end + 1);
    return line;
  }
  [[nodiscard]] bool empty() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

// Below 2^63.
inline std::optional<std::uint64_t> parse_line_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value >> 63U != 0) {
    return std::nullopt;
  }
  return value;
}

}  // namespace menshen::audit
