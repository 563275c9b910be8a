#include "sensor/detect/rule_lexer.hpp"

#include <algorithm>

namespace menshen::sensor {
namespace {

constexpr std::string_view blanks = " \t\r\n";

Token trimmed(std::string_view text, std::size_t begin, std::size_t end) {
  while (begin < end && blanks.find(text[begin]) != std::string_view::npos) ++begin;
  while (end > begin && blanks.find(text[end - 1]) != std::string_view::npos) --end;
  return {text.substr(begin, end - begin), begin};
}

// Header words are separated by blanks, but a list in brackets may contain some.
std::vector<Token> split_header(std::string_view text) {
  std::vector<Token> words;
  std::size_t begin = 0;
  int depth = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size()) {
      if (text[i] == '[') ++depth;
      if (text[i] == ']') --depth;
      if (depth > 0 || blanks.find(text[i]) == std::string_view::npos) continue;
    }
    if (i > begin) words.push_back({text.substr(begin, i - begin), begin});
    begin = i + 1;
  }
  return words;
}

LexError problem(std::size_t offset, std::string zh, std::string en) {
  return {offset, {std::move(zh), std::move(en)}};
}

}  // namespace

void RuleText::append(std::string_view line, std::size_t number) {
  pieces_.push_back({text_.size(), number});
  text_ += line;
}

Position RuleText::place(std::size_t offset) const {
  const auto after =
      std::upper_bound(pieces_.begin(), pieces_.end(), offset,
                       [](std::size_t o, const Piece& piece) { return o < piece.begin; });
  if (after == pieces_.begin()) return {};
  const Piece& piece = *std::prev(after);
  const auto end = std::min(offset, text_.size());
  const auto continues = [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; };
  const auto others = std::count_if(text_.begin() + static_cast<std::ptrdiff_t>(piece.begin),
                                    text_.begin() + static_cast<std::ptrdiff_t>(end),
                                    [&](char c) { return !continues(c); });
  return {piece.line, static_cast<std::size_t>(others) + 1};
}

SourceRange RuleText::range(std::size_t offset, std::size_t length) const {
  SourceRange range{place(offset), place(offset + length)};
  if (range.end.line != range.begin.line) range.end = range.begin;
  return range;
}

std::vector<RuleText> split_rules(std::string_view source) {
  std::vector<RuleText> rules;
  RuleText current;
  std::size_t number = 0;
  for (std::size_t begin = 0; begin < source.size();) {
    const auto newline = std::min(source.find('\n', begin), source.size());
    std::string_view line = source.substr(begin, newline - begin);
    begin = newline + 1;
    ++number;
    const Token content = trimmed(line, 0, line.size());
    if (current.empty() && (content.text.empty() || content.text.front() == '#')) continue;
    const bool goes_on = content.text.ends_with('\\');
    if (goes_on) line = line.substr(0, content.offset + content.text.size() - 1);
    current.append(line, number);
    if (goes_on) continue;
    rules.push_back(std::move(current));
    current = RuleText{};
  }
  if (!current.empty()) rules.push_back(std::move(current));
  return rules;
}

tl::expected<RuleParts, LexError> split_rule(std::string_view rule) {
  if (rule.size() > rule_bytes_max) {
    return tl::make_unexpected(problem(0, "规则过长", "the rule is too long"));
  }
  const auto open = rule.find('(');
  if (open == std::string_view::npos) {
    return tl::make_unexpected(
        problem(0, "缺少规则选项的左括号", "no ( begins the rule's options"));
  }
  const Token whole = trimmed(rule, 0, rule.size());
  if (!whole.text.ends_with(')') || whole.text.size() + whole.offset <= open + 1) {
    return tl::make_unexpected(problem(whole.offset + whole.text.size() - 1, "规则未以右括号结尾",
                                       "the rule does not end in )"));
  }
  RuleParts parts;
  parts.header = split_header(rule.substr(0, open));
  const std::size_t end = whole.offset + whole.text.size() - 1;
  std::size_t begin = open + 1;
  for (std::size_t i = begin; i < end; ++i) {
    if (rule[i] == '\\') {
      ++i;
      continue;
    }
    if (rule[i] != ';') continue;
    const std::string_view option = rule.substr(0, i);
    const auto colon = option.find(':', begin);
    const std::size_t keyword_end = std::min(colon, i);
    RuleOption parsed;
    parsed.keyword = trimmed(rule, begin, keyword_end);
    if (colon < i) parsed.value = trimmed(rule, colon + 1, i);
    if (!parsed.keyword.text.empty()) parts.options.push_back(parsed);
    begin = i + 1;
  }
  const Token rest = trimmed(rule, begin, end);
  if (!rest.text.empty()) {
    return tl::make_unexpected(
        problem(rest.offset, "选项未以分号结尾", "an option does not end in ;"));
  }
  return parts;
}

}  // namespace menshen::sensor
