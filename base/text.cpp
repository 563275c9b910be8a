#include "base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <vector>

namespace menshen {
namespace {

struct CodeRange {
  char32_t first;
  char32_t last;
};

bool in_ranges(const auto& ranges, char32_t c) noexcept {
  const auto it =
      std::upper_bound(ranges.begin(), ranges.end(), c,
                       [](char32_t x, const CodeRange& range) { return x < range.first; });
  return it != ranges.begin() && c <= std::prev(it)->last;
}

// East Asian Width W and F, and emoji presentation, at the grain that terminals use (Unicode 15).
constexpr std::array wide_ranges = {
    CodeRange{0x1100, 0x115f},   CodeRange{0x231a, 0x231b},   CodeRange{0x2329, 0x232a},
    CodeRange{0x23e9, 0x23ec},   CodeRange{0x23f0, 0x23f0},   CodeRange{0x23f3, 0x23f3},
    CodeRange{0x25fd, 0x25fe},   CodeRange{0x2614, 0x2615},   CodeRange{0x2648, 0x2653},
    CodeRange{0x267f, 0x267f},   CodeRange{0x2693, 0x2693},   CodeRange{0x26a1, 0x26a1},
    CodeRange{0x26aa, 0x26ab},   CodeRange{0x26bd, 0x26be},   CodeRange{0x26c4, 0x26c5},
    CodeRange{0x26ce, 0x26ce},   CodeRange{0x26d4, 0x26d4},   CodeRange{0x26ea, 0x26ea},
    CodeRange{0x26f2, 0x26f3},   CodeRange{0x26f5, 0x26f5},   CodeRange{0x26fa, 0x26fa},
    CodeRange{0x26fd, 0x26fd},   CodeRange{0x2705, 0x2705},   CodeRange{0x270a, 0x270b},
    CodeRange{0x2728, 0x2728},   CodeRange{0x274c, 0x274c},   CodeRange{0x274e, 0x274e},
    CodeRange{0x2753, 0x2755},   CodeRange{0x2757, 0x2757},   CodeRange{0x2795, 0x2797},
    CodeRange{0x27b0, 0x27b0},   CodeRange{0x27bf, 0x27bf},   CodeRange{0x2b1b, 0x2b1c},
    CodeRange{0x2b50, 0x2b50},   CodeRange{0x2b55, 0x2b55},   CodeRange{0x2e80, 0x303e},
    CodeRange{0x3041, 0x33ff},   CodeRange{0x3400, 0x4dbf},   CodeRange{0x4e00, 0xa4cf},
    CodeRange{0xa960, 0xa97f},   CodeRange{0xac00, 0xd7a3},   CodeRange{0xf900, 0xfaff},
    CodeRange{0xfe10, 0xfe19},   CodeRange{0xfe30, 0xfe6f},   CodeRange{0xff00, 0xff60},
    CodeRange{0xffe0, 0xffe6},   CodeRange{0x16fe0, 0x18cff}, CodeRange{0x1aff0, 0x1b2ff},
    CodeRange{0x1f004, 0x1f004}, CodeRange{0x1f0cf, 0x1f0cf}, CodeRange{0x1f18e, 0x1f18e},
    CodeRange{0x1f191, 0x1f19a}, CodeRange{0x1f200, 0x1f320}, CodeRange{0x1f32d, 0x1f335},
    CodeRange{0x1f337, 0x1f37c}, CodeRange{0x1f37e, 0x1f393}, CodeRange{0x1f3a0, 0x1f3ca},
    CodeRange{0x1f3cf, 0x1f3d3}, CodeRange{0x1f3e0, 0x1f3f0}, CodeRange{0x1f3f4, 0x1f3f4},
    CodeRange{0x1f3f8, 0x1f43e}, CodeRange{0x1f440, 0x1f440}, CodeRange{0x1f442, 0x1f4fc},
    CodeRange{0x1f4ff, 0x1f53d}, CodeRange{0x1f54b, 0x1f54e}, CodeRange{0x1f550, 0x1f567},
    CodeRange{0x1f57a, 0x1f57a}, CodeRange{0x1f595, 0x1f596}, CodeRange{0x1f5a4, 0x1f5a4},
    CodeRange{0x1f5fb, 0x1f64f}, CodeRange{0x1f680, 0x1f6c5}, CodeRange{0x1f6cc, 0x1f6cc},
    CodeRange{0x1f6d0, 0x1f6d2}, CodeRange{0x1f6d5, 0x1f6d7}, CodeRange{0x1f6dc, 0x1f6df},
    CodeRange{0x1f6eb, 0x1f6ec}, CodeRange{0x1f6f4, 0x1f6fc}, CodeRange{0x1f7e0, 0x1f7eb},
    CodeRange{0x1f7f0, 0x1f7f0}, CodeRange{0x1f90c, 0x1f93a}, CodeRange{0x1f93c, 0x1f945},
    CodeRange{0x1f947, 0x1f9ff}, CodeRange{0x1fa70, 0x1faff}, CodeRange{0x20000, 0x3fffd},
};

// Combining marks and joiners that common scripts use.
constexpr std::array zero_ranges = {
    CodeRange{0x0300, 0x036f}, CodeRange{0x0483, 0x0489}, CodeRange{0x0591, 0x05bd},
    CodeRange{0x0610, 0x061a}, CodeRange{0x064b, 0x065f}, CodeRange{0x0e31, 0x0e31},
    CodeRange{0x0e34, 0x0e3a}, CodeRange{0x0e47, 0x0e4e}, CodeRange{0x1ab0, 0x1aff},
    CodeRange{0x1dc0, 0x1dff}, CodeRange{0x200c, 0x200d}, CodeRange{0x20d0, 0x20ff},
    CodeRange{0xfe00, 0xfe0f}, CodeRange{0xfe20, 0xfe2f}, CodeRange{0xe0100, 0xe01ef},
};

constexpr std::array control_ranges = {
    CodeRange{0x00, 0x1f},     CodeRange{0x7f, 0x9f},     CodeRange{0x200b, 0x200b},
    CodeRange{0x200e, 0x200f}, CodeRange{0x2028, 0x202e}, CodeRange{0x2066, 0x2069},
    CodeRange{0xfeff, 0xfeff},
};

}  // namespace

CodePoint first_code_point(std::string_view text) noexcept {
  if (text.empty()) return {};
  const auto byte = [text](std::size_t i) -> char32_t {
    return static_cast<unsigned char>(text[i]);
  };
  const char32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};

  const CodePoint broken{lead, 1, false};
  const std::size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < size) return broken;
  char32_t value = lead & (0xffU >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0U) != 0x80) return broken;
    value = value << 6U | (byte(i) & 0x3fU);
  }
  const bool overlong = (size == 3 && value < 0x800) || (size == 4 && value < 0x10000);
  const bool surrogate = value >= 0xd800 && value <= 0xdfff;
  if (overlong || surrogate || value > 0x10ffff) return broken;
  return {value, size, true};
}

bool is_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    const CodePoint c = first_code_point(text);
    if (!c.valid) return false;
    text.remove_prefix(c.bytes);
  }
  return true;
}

std::size_t count_code_points(std::string_view text) noexcept {
  std::size_t count = 0;
  for (; !text.empty(); ++count) text.remove_prefix(first_code_point(text).bytes);
  return count;
}

bool is_control(char32_t c) noexcept { return in_ranges(control_ranges, c); }

unsigned column_width(char32_t c) noexcept {
  if (c < 0x300) return 1;
  if (in_ranges(zero_ranges, c)) return 0;
  return in_ranges(wide_ranges, c) ? 2 : 1;
}

std::string escape_controls(std::string_view text) {
  std::string escaped;
  escaped.reserve(text.size());
  while (!text.empty()) {
    const CodePoint c = first_code_point(text);
    if (c.valid && !is_control(c.value)) {
      escaped += text.substr(0, c.bytes);
    } else if (c.value == '\n') {
      escaped += "\\n";
    } else if (c.value == '\t') {
      escaped += "\\t";
    } else if (c.value == '\r') {
      escaped += "\\r";
    } else if (!c.valid || c.value < 0x80) {
      fmt::format_to(std::back_inserter(escaped), "\\x{:02x}", static_cast<unsigned>(c.value));
    } else {
      fmt::format_to(std::back_inserter(escaped), "\\u{{{:x}}}", static_cast<unsigned>(c.value));
    }
    text.remove_prefix(c.bytes);
  }
  return escaped;
}

std::size_t detail::edit_distance(std::string_view a, std::string_view b) {
  // Longer words are no typing mistakes, and the table is a.size() * b.size() steps.
  constexpr std::size_t word_bytes_max = 128;
  if (a.size() > word_bytes_max || b.size() > word_bytes_max) return word_bytes_max;
  // Three rows: a swap of neighbours counts as one mistake.
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> previous(b.size() + 1);
  std::vector<std::size_t> current(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) current[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before.swap(previous);
    previous.swap(current);
    current[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      current[j] = std::min({previous[j] + 1, current[j - 1] + 1, replaced});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) current[j] = std::min(current[j], before[j - 2] + 1);
    }
  }
  return current[b.size()];
}

}  // namespace menshen
