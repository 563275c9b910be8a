#include "sensor/proto/doh.hpp"

#include <algorithm>
#include <cstdint>

#include "base/ascii.hpp"

namespace menshen::sensor {

namespace {

// RFC 4648 5; -1: none of its digits. Some clients send the usual alphabet.
int base64url_digit(char c) noexcept { return base64_digit(c == '-' ? '+' : c == '_' ? '/' : c); }

std::optional<std::string> decode_base64url(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string out;
  out.reserve(text.size() * 3 / 4);
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (const char c : text) {
    const int digit = base64url_digit(c);
    if (digit < 0) return std::nullopt;
    bits = bits << 6U | static_cast<unsigned>(digit);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out += static_cast<char>(bits >> count & 0xffU);
  }
  return out;
}

}  // namespace

bool names_dns_message(std::string_view value) noexcept {
  constexpr std::string_view type = "application/dns-message";
  const auto same = [](char a, char b) { return ascii_lower(a) == b; };
  return std::search(value.begin(), value.end(), type.begin(), type.end(), same) != value.end();
}

bool is_dns_path(std::string_view target) noexcept {
  return target.substr(0, target.find('?')).ends_with("/dns-query");
}

std::optional<std::string> dns_of_target(std::string_view target) {
  const std::size_t mark = target.find('?');
  std::string_view query = mark == std::string_view::npos ? "" : target.substr(mark + 1);
  query = query.substr(0, query.find('#'));
  while (!query.empty()) {
    const std::string_view part = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(part.size() + 1, query.size()));
    constexpr std::string_view name = "dns=";
    if (part.starts_with(name)) return decode_base64url(part.substr(name.size()));
  }
  return std::nullopt;
}

}  // namespace menshen::sensor
