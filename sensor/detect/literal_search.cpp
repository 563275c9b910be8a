#include "sensor/detect/literal_search.hpp"

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <utility>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace menshen::sensor {

namespace {

constexpr std::size_t npos = std::string_view::npos;

constexpr unsigned char fold(unsigned char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<unsigned char>(c + 32) : c;
}

constexpr bool is_letter(unsigned char lower) { return lower >= 'a' && lower <= 'z'; }

// How often a byte stands in text and binary protocols, roughly: only the order counts.
constexpr std::array<std::uint8_t, 256> frequencies = [] {
  std::array<std::uint8_t, 256> out{};
  for (std::size_t c = 0; c < 256; ++c) out[c] = c < 0x80 ? 60 : 40;
  const auto rank = [&out](std::string_view bytes, int first) {
    for (const char c : bytes)
      out[static_cast<unsigned char>(c)] = static_cast<std::uint8_t>(first--);
  };
  rank("etaoinsrlhdcumpfgbywvkxjqz", 240);
  rank(" \r\n./-=\"<>:;,_0123456789", 220);
  rank("ETAOINSRLHDCUMPFGBYWVKXJQZ", 150);
  out[0] = 250;
  out[0xff] = 200;
  out[1] = 160;
  return out;
}();

bool equal_folded(const char* text, std::string_view lower) noexcept {
  for (std::size_t i = 0; i < lower.size(); ++i) {
    if (fold(static_cast<unsigned char>(text[i])) != static_cast<unsigned char>(lower[i])) {
      return false;
    }
  }
  return true;
}

bool equal(const char* text, std::string_view literal, bool folded) noexcept {
  return folded ? equal_folded(text, literal)
                : std::memcmp(text, literal.data(), literal.size()) == 0;
}

// The two rarest bytes of a literal, by their places; the same one where it has only one byte.
struct Anchors {
  std::size_t first = 0;
  std::size_t second = 0;
};
Anchors anchors_of(std::string_view literal) noexcept {
  const auto frequency = [&](std::size_t i) {
    return frequencies[static_cast<unsigned char>(literal[i])];
  };
  Anchors anchors{0, literal.size() - 1};
  if (frequency(anchors.second) < frequency(anchors.first))
    std::swap(anchors.first, anchors.second);
  for (std::size_t i = 1; i + 1 < literal.size(); ++i) {
    if (frequency(i) < frequency(anchors.first)) {
      anchors.second = std::exchange(anchors.first, i);
    } else if (frequency(i) < frequency(anchors.second)) {
      anchors.second = i;
    }
  }
  return anchors;
}

std::size_t find_one_by_one(std::string_view text, std::string_view literal, bool folded) noexcept {
  const auto first = static_cast<unsigned char>(literal.front());
  for (std::size_t i = 0; i + literal.size() <= text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if ((folded ? fold(c) : c) == first && equal(text.data() + i, literal, folded)) return i;
  }
  return npos;
}

#ifdef __SSE2__
constexpr std::size_t lanes = 16;

// One byte of the literal, in every lane: text | bits == byte.
struct Anchor {
  __m128i byte;
  __m128i bits;

  Anchor(char c, bool folded) noexcept
      : byte(_mm_set1_epi8(c)),
        bits(_mm_set1_epi8(folded && is_letter(static_cast<unsigned char>(c)) ? 0x20 : 0)) {}

  [[nodiscard]] __m128i stands_at(const char* text) const noexcept {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text));
    return _mm_cmpeq_epi8(_mm_or_si128(bytes, bits), byte);
  }
};

// At least `lanes` places are in `text`.
std::size_t find_wide(std::string_view text, std::string_view literal, bool folded) noexcept {
  const Anchors at = anchors_of(literal);
  const Anchor first(literal[at.first], folded);
  const Anchor second(literal[at.second], folded);
  const std::size_t places = text.size() - literal.size() + 1;
  for (std::size_t i = 0; i < places; i += lanes) {
    if (i + lanes > places) i = places - lanes;  // the last ones, some of them again
    const char* here = text.data() + i;
    const __m128i both =
        _mm_and_si128(first.stands_at(here + at.first), second.stands_at(here + at.second));
    for (auto found = static_cast<unsigned>(_mm_movemask_epi8(both)); found != 0;
         found &= found - 1) {
      const auto lane = static_cast<std::size_t>(std::countr_zero(found));
      if (equal(here + lane, literal, folded)) return i + lane;
    }
  }
  return npos;
}
#endif

}  // namespace

std::size_t find_literal(std::string_view text, std::string_view literal, bool folded) noexcept {
  if (literal.empty()) return 0;
  if (text.size() < literal.size()) return npos;
#ifdef __SSE2__
  if (text.size() - literal.size() + 1 >= lanes) return find_wide(text, literal, folded);
#endif
  return find_one_by_one(text, literal, folded);
}

}  // namespace menshen::sensor
