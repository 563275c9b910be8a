#include "compliance/collect/utf8.hpp"

namespace menshen::compliance {
namespace {

constexpr std::string_view replacement = "\xef\xbf\xbd";

// Length of the well-formed UTF-8 sequence at `at`; 0 where there is none.
std::size_t sequence_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(at);
  std::size_t length = 0;
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) length = 2;
  if (lead >= 0xe0 && lead <= 0xef) length = 3;
  if (lead >= 0xf0 && lead <= 0xf4) length = 4;
  if (length == 0 || at + length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(at + i) & 0xc0U) != 0x80) return 0;
  const unsigned second = byte(at + 1);
  const bool overlong = (lead == 0xe0 && second < 0xa0) || (lead == 0xf0 && second < 0x90);
  const bool outside = (lead == 0xed && second > 0x9f) || (lead == 0xf4 && second > 0x8f);
  return overlong || outside ? 0 : length;
}

bool harmful(std::string_view piece) {
  if (piece.size() == 1) {
    const auto c = static_cast<unsigned char>(piece[0]);
    return (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f;
  }
  if (piece.size() == 2) return piece[0] == '\xc2' && static_cast<unsigned char>(piece[1]) < 0xa0;
  // U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069
  return (piece >= "\xe2\x80\x8e" && piece <= "\xe2\x80\x8f") ||
         (piece >= "\xe2\x80\xaa" && piece <= "\xe2\x80\xae") ||
         (piece >= "\xe2\x81\xa6" && piece <= "\xe2\x81\xa9");
}

}  // namespace

std::string printable(std::string_view text, std::size_t bytes_max) {
  std::string result;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = sequence_length(text, at);
    const std::string_view piece = text.substr(at, length);
    const std::string_view safe = length == 0 || harmful(piece) ? replacement : piece;
    if (result.size() + safe.size() > bytes_max) break;
    result += safe;
    at += length == 0 ? 1 : length;
  }
  return result;
}

}  // namespace menshen::compliance
