// From a rule file to its rules as text, each byte still knowing its place: joins lines that end in
// a backslash, skips comments and blank lines, splits header and options. Meaning is rule_parser's.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "base/diagnostic.hpp"

namespace menshen::sensor {

inline constexpr std::size_t rule_bytes_max = 64U << 10U;

// One rule with its continuation lines joined.
class RuleText {
 public:
  void append(std::string_view line, std::size_t number);
  [[nodiscard]] const std::string& text() const noexcept { return text_; }
  [[nodiscard]] bool empty() const noexcept { return text_.empty(); }
  // The place in the file of the byte at `offset` of text().
  [[nodiscard]] Position place(std::size_t offset) const;
  [[nodiscard]] SourceRange range(std::size_t offset, std::size_t length) const;
  [[nodiscard]] std::size_t line() const noexcept {
    return pieces_.empty() ? 0 : pieces_.front().line;
  }

 private:
  struct Piece {
    std::size_t begin;
    std::size_t line;
  };
  std::string text_;
  std::vector<Piece> pieces_;
};

[[nodiscard]] std::vector<RuleText> split_rules(std::string_view source);

// A word of the text and where it begins.
struct Token {
  std::string_view text;
  std::size_t offset = 0;
};

struct RuleOption {
  Token keyword;
  Token value;  // trimmed; empty text where there is none
};

struct RuleParts {
  std::vector<Token> header;  // action, protocol, source, ports, direction, destination, ports
  std::vector<RuleOption> options;
};

struct LexError {
  std::size_t offset = 0;
  Text text;
};

// The parts point into the rule's text.
[[nodiscard]] tl::expected<RuleParts, LexError> split_rule(std::string_view rule);

}  // namespace menshen::sensor
