#include "base/text.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <vector>

namespace menshen {
namespace {

// UTF-8 as the standard's table has it, for comparison.
std::string encode(char32_t c) {
  const auto byte = [](char32_t value) {
    return static_cast<char>(static_cast<unsigned char>(value));
  };
  if (c < 0x80) return {byte(c)};
  if (c < 0x800) return {byte(0xc0 | c >> 6U), byte(0x80 | (c & 0x3fU))};
  if (c < 0x10000) {
    return {byte(0xe0 | c >> 12U), byte(0x80 | (c >> 6U & 0x3fU)), byte(0x80 | (c & 0x3fU))};
  }
  return {byte(0xf0 | c >> 18U), byte(0x80 | (c >> 12U & 0x3fU)), byte(0x80 | (c >> 6U & 0x3fU)),
          byte(0x80 | (c & 0x3fU))};
}

TEST_CASE("every code point is read, and nothing else") {
  std::size_t wrong = 0;
  for (char32_t c = 0; c <= 0x10ffff; ++c) {
    const std::string bytes = encode(c);
    const CodePoint read = first_code_point(bytes);
    const bool surrogate = c >= 0xd800 && c <= 0xdfff;
    const bool right = surrogate ? !read.valid && read.bytes == 1
                                 : read.valid && read.value == c && read.bytes == bytes.size();
    if (!right) ++wrong;
  }
  CHECK(wrong == 0);
}

TEST_CASE("what is not UTF-8 is told byte by byte") {
  for (const std::string_view bad :
       {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
        "\xff", "\xe4\xb8", "\xe4\xb8z"}) {
    CAPTURE(bad);
    CHECK_FALSE(is_utf8(bad));
    CHECK(first_code_point(bad).bytes == 1);
  }
  CHECK(is_utf8("门神 menshen"));
  CHECK(count_code_points("门神 x") == 4);
  CHECK(first_code_point("").bytes == 0);
}

TEST_CASE("columns on a terminal") {
  CHECK(column_width(U'a') == 1);
  CHECK(column_width(U'门') == 2);
  CHECK(column_width(U'，') == 2);
  CHECK(column_width(U'ｱ') == 1);  // half width
  CHECK(column_width(U'가') == 2);
  CHECK(column_width(U'𠀀') == 2);
  CHECK(column_width(U'😀') == 2);
  CHECK(column_width(U'é') == 1);
  CHECK(column_width(0x0301) == 0);
}

TEST_CASE("control characters become visible") {
  using namespace std::string_view_literals;
  CHECK(escape_controls("a\nb\tc\r\x1b[31m\x7f") == "a\\nb\\tc\\r\\x1b[31m\\x7f");
  CHECK(escape_controls("\0"sv) == "\\x00");
  CHECK(escape_controls("\xff门\xe4\xb8") == "\\xff门\\xe4\\xb8");
  CHECK(escape_controls("\u202e\u2066\u0085") == "\\u{202e}\\u{2066}\\u{85}");
  CHECK(escape_controls("普通文本 plain") == "普通文本 plain");
}

TEST_CASE("a typing mistake finds its word") {
  const std::array<std::string_view, 4> words = {"portal", "finance", "to", "from"};
  CHECK(nearest("portl", words) == "portal");
  CHECK(nearest("finnace", words) == "finance");
  CHECK(nearest("form", words) == "from");
  CHECK(nearest("t", words).empty());
  CHECK(nearest("something", words).empty());
  CHECK(nearest(std::string(5000, 'x'), words).empty());
  CHECK(detail::edit_distance("kitten", "sitting") == 3);
  CHECK(detail::edit_distance("", "abc") == 3);
  CHECK(detail::edit_distance("ab", "ba") == 1);
}

}  // namespace
}  // namespace menshen
