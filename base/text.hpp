// UTF-8 text as people see it: code points, columns on a terminal, and control characters made
// visible.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

namespace menshen {

struct CodePoint {
  char32_t value = 0;
  std::size_t bytes = 0;  // 0: the text was empty
  bool valid = true;      // false: not UTF-8; value is then the one byte
};

// The first code point of a text. Overlong forms, surrogates and values beyond U+10FFFF are not
// valid.
[[nodiscard]] CodePoint first_code_point(std::string_view text) noexcept;
[[nodiscard]] bool is_utf8(std::string_view text) noexcept;
[[nodiscard]] std::size_t count_code_points(std::string_view text) noexcept;

// Characters that act on a terminal or on the order of reading instead of being seen: C0, DEL, C1,
// line and paragraph separators, bidirectional overrides and isolates, zero-width space and
// no-break space.
[[nodiscard]] bool is_control(char32_t c) noexcept;

// Columns on a terminal: 0 (combining), 1, or 2 (CJK, emoji). The locale has no say.
[[nodiscard]] unsigned column_width(char32_t c) noexcept;

// Control characters as \n \t \r \xHH \u{HHHH}, bytes that are not UTF-8 as \xHH. For logs,
// terminals, messages.
[[nodiscard]] std::string escape_controls(std::string_view text);

// The one of `candidates` that a typing mistake could have turned into `word`; empty where none is
// near.
[[nodiscard]] std::string_view nearest(std::string_view word, auto&& candidates);

namespace detail {
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);
}

std::string_view nearest(std::string_view word, auto&& candidates) {
  std::string_view best;
  // At most one mistake in a short word, one in six letters of a longer one, three in all.
  std::size_t best_distance =
      1 + (word.size() > 2 ? std::min<std::size_t>(1 + word.size() / 6, 3) : 0);
  for (const std::string_view candidate : candidates) {
    const std::size_t distance = detail::edit_distance(word, candidate);
    if (distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace menshen
