// Numbers in text that others wrote. Internal to collect/.
#pragma once

#include <charconv>
#include <optional>
#include <string_view>

namespace menshen::audit {

// The whole text as a decimal number that T holds (a sign only where T has one); else nothing.
template <class T>
[[nodiscard]] std::optional<T> parse_decimal(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace menshen::audit
