// Keywords that read numbers out of the bytes: byte_test, byte_jump, byte_extract, byte_math,
// base64_decode.
#include <fmt/format.h>

#include <array>

#include "sensor/detect/keyword.hpp"

namespace menshen::sensor {
namespace {

constexpr std::int64_t byte_offset_max = 65'535;

Result<Operand> bounded(const RuleDraft& draft, std::string_view text, std::int64_t min,
                        std::int64_t max) {
  auto operand = MENSHEN_TRY(draft.operand(text));
  if (operand.variable < 0 && (operand.value < min || operand.value > max))
    return invalid_value(text);
  return operand;
}

std::string_view without_quotes(std::string_view text) { return unquote(text).value_or(text); }

// The options that all four share; false where `part` is none of them.
Result<bool> number_option(NumberAt& number, std::string_view part) {
  if (part == "relative") {
    number.relative = true;
  } else if (part == "big") {
    number.endian = Endian::big;
  } else if (part == "little") {
    number.endian = Endian::little;
  } else if (part == "string") {
    if (number.base == 0) number.base = 10;
  } else if (part == "hex") {
    number.base = 16;
  } else if (part == "dec") {
    number.base = 10;
  } else if (part == "oct") {
    number.base = 8;
  } else if (part.starts_with("bitmask")) {
    const auto mask = parse_number(trim(part.substr(7)));
    if (!mask || *mask == 0) return invalid_value(part);
    number.bitmask = *mask;
  } else if (part == "dce") {
    number.endian = Endian::dce;
  } else {
    return false;
  }
  return true;
}

// Digits in text have at most 23 bytes, binary numbers 8.
Result<void> check_number(const NumberAt& number) {
  const std::int64_t max = number.base == 0 ? 8 : 23;
  if (number.bytes.variable < 0 && (number.bytes.value < 0 || number.bytes.value > max)) {
    return invalid(fmt::format("字节数须在 0 至 {} 之间", max),
                   fmt::format("the number of bytes must be 0 to {}", max));
  }
  return {};
}

bool parse_comparison(std::string_view text, ByteTest& test) {
  if (text.starts_with('!')) {
    test.negated = true;
    text = trim(text.substr(1));
  }
  static constexpr std::pair<std::string_view, Comparison> operators[] = {
      {"<=", Comparison::less_equal}, {">=", Comparison::greater_equal}, {"<", Comparison::less},
      {">", Comparison::greater},     {"=", Comparison::equal},          {"", Comparison::equal},
      {"&", Comparison::bit_and},     {"^", Comparison::bit_or}};
  for (const auto& [sign, comparison] : operators) {
    if (text != sign) continue;
    test.comparison = comparison;
    return true;
  }
  return false;
}

Result<void> parse_byte_test(RuleDraft& draft, const KeywordUse& use) {
  const auto parts = split(use.value, ',');
  if (parts.size() < 4) return invalid_value(use.value);
  ByteTest test;
  test.number.bytes = MENSHEN_TRY(draft.operand(without_quotes(parts[0])));
  if (!parse_comparison(parts[1], test)) return invalid_value(parts[1]);
  test.value = MENSHEN_TRY(draft.operand(parts[2]));
  test.number.offset = MENSHEN_TRY(bounded(draft, parts[3], -byte_offset_max, byte_offset_max));
  for (std::size_t i = 4; i < parts.size(); ++i) {
    if (!MENSHEN_TRY(number_option(test.number, parts[i]))) return invalid_value(parts[i]);
  }
  MENSHEN_CHECK(check_number(test.number));
  draft.add_test({test});
  return {};
}

Result<void> parse_byte_jump(RuleDraft& draft, const KeywordUse& use) {
  const auto parts = split(use.value, ',');
  if (parts.size() < 2) return invalid_value(use.value);
  ByteJump jump;
  jump.number.bytes = MENSHEN_TRY(draft.operand(parts[0]));
  jump.number.offset = MENSHEN_TRY(bounded(draft, parts[1], -byte_offset_max, byte_offset_max));
  for (std::size_t i = 2; i < parts.size(); ++i) {
    const auto word = words(parts[i]);
    if (parts[i] == "align") {
      jump.align = true;
    } else if (parts[i] == "from_beginning") {
      jump.from = ByteJump::From::beginning;
    } else if (parts[i] == "from_end") {
      jump.from = ByteJump::From::end;
    } else if (word.size() == 2 && word[0] == "multiplier") {
      const auto multiplier = parse_number(word[1]);
      if (!multiplier || *multiplier == 0 || *multiplier > 65'535) return invalid_value(parts[i]);
      jump.multiplier = *multiplier;
    } else if (word.size() == 2 && word[0] == "post_offset") {
      jump.post_offset = MENSHEN_TRY(bounded(draft, word[1], -byte_offset_max, byte_offset_max));
    } else if (!MENSHEN_TRY(number_option(jump.number, parts[i]))) {
      return invalid_value(parts[i]);
    }
  }
  MENSHEN_CHECK(check_number(jump.number));
  draft.add_test({jump});
  return {};
}

Result<void> parse_byte_extract(RuleDraft& draft, const KeywordUse& use) {
  const auto parts = split(use.value, ',');
  if (parts.size() < 3) return invalid_value(use.value);
  ByteExtract extract;
  extract.number.bytes = MENSHEN_TRY(draft.operand(parts[0]));
  extract.number.offset = MENSHEN_TRY(bounded(draft, parts[1], -byte_offset_max, byte_offset_max));
  for (std::size_t i = 3; i < parts.size(); ++i) {
    const auto word = words(parts[i]);
    const auto number = word.size() == 2 ? parse_number(word[1]) : std::nullopt;
    if (number && word[0] == "align" && (*number == 2 || *number == 4)) {
      extract.align = static_cast<unsigned>(*number);
    } else if (number && word[0] == "multiplier" && *number > 0 && *number <= 65'535) {
      extract.multiplier = *number;
    } else if (!MENSHEN_TRY(number_option(extract.number, parts[i]))) {
      return invalid_value(parts[i]);
    }
  }
  MENSHEN_CHECK(check_number(extract.number));
  extract.variable = MENSHEN_TRY(draft.new_variable(parts[2]));
  draft.add_test({extract});
  return {};
}

Result<ByteMath::Operation> math_operation(std::string_view sign) {
  using Operation = ByteMath::Operation;
  static constexpr std::pair<std::string_view, Operation> operations[] = {
      {"+", Operation::add},    {"-", Operation::subtract},    {"*", Operation::multiply},
      {"/", Operation::divide}, {"<<", Operation::shift_left}, {">>", Operation::shift_right}};
  for (const auto& [text, operation] : operations) {
    if (text == sign) return operation;
  }
  return invalid_value(sign);
}

Result<void> parse_byte_math(RuleDraft& draft, const KeywordUse& use) {
  ByteMath math;
  std::string_view result;
  unsigned seen = 0;
  for (const auto part : split(use.value, ',')) {
    const auto blank = part.find(' ');
    const auto name = part.substr(0, blank);
    const auto value =
        blank == std::string_view::npos ? std::string_view{} : trim(part.substr(blank));
    if (name == "bytes") {
      math.number.bytes = MENSHEN_TRY(draft.operand(value));
      seen |= 1U;
    } else if (name == "offset") {
      math.number.offset = MENSHEN_TRY(bounded(draft, value, -byte_offset_max, byte_offset_max));
      seen |= 2U;
    } else if (name == "oper") {
      math.operation = MENSHEN_TRY(math_operation(value));
      seen |= 4U;
    } else if (name == "rvalue") {
      math.operand = MENSHEN_TRY(draft.operand(value));
      seen |= 8U;
    } else if (name == "result") {
      result = value;
      seen |= 16U;
    } else if (name == "endian" || name == "string") {
      if (name == "string") math.number.base = 10;
      if (!MENSHEN_TRY(number_option(math.number, value))) return invalid_value(part);
    } else if (!MENSHEN_TRY(number_option(math.number, part))) {
      return invalid_value(part);
    }
  }
  if (seen != 31U) {
    return invalid("byte_math 须含 bytes、offset、oper、rvalue、result",
                   "byte_math needs bytes, offset, oper, rvalue and result");
  }
  MENSHEN_CHECK(check_number(math.number));
  math.variable = MENSHEN_TRY(draft.new_variable(result));
  draft.add_test({math});
  return {};
}

Result<void> parse_base64_decode(RuleDraft& draft, const KeywordUse& use) {
  Base64Decode decode;
  for (const auto part : split(use.value, ',')) {
    const auto word = words(part);
    if (part == "relative") {
      decode.relative = true;
    } else if (word.size() == 2 && word[0] == "offset") {
      decode.offset = MENSHEN_TRY(bounded(draft, word[1], 0, byte_offset_max));
    } else if (word.size() == 2 && word[0] == "bytes") {
      const auto bytes = parse_number(word[1]);
      if (!bytes || *bytes == 0 || *bytes > 65'535) return invalid_value(part);
      decode.bytes = static_cast<std::uint32_t>(*bytes);
    } else {
      return invalid_value(part);
    }
  }
  draft.add_test({std::move(decode)});
  return {};
}

// asn1:bitstring_overflow, oversize_length 1024, relative_offset 0
Result<void> parse_asn1(RuleDraft& draft, const KeywordUse& use) {
  Asn1Test test;
  for (const auto part : split(use.value, ',')) {
    const auto word = words(part);
    if (part == "bitstring_overflow") {
      test.checks.bitstring_overflow = true;
    } else if (part == "double_overflow") {
      test.checks.double_overflow = true;
    } else if (word.size() == 2 && word[0] == "oversize_length") {
      const auto length = parse_number(word[1]);
      if (!length || *length == 0 || *length > UINT32_MAX) return invalid_value(part);
      test.checks.longer_than = static_cast<std::uint32_t>(*length);
    } else if (word.size() == 2 && (word[0] == "relative_offset" || word[0] == "absolute_offset")) {
      const auto offset = parse_signed(word[1]);
      if (!offset || *offset < -byte_offset_max || *offset > byte_offset_max) {
        return invalid_value(part);
      }
      test.offset = *offset;
      test.relative = word[0] == "relative_offset";
    } else {
      return invalid_value(part);
    }
  }
  draft.add_test({test});
  return {};
}

Result<void> parse_base64_data(RuleDraft& draft, const KeywordUse&) { return draft.open_base64(); }

using Value = Keyword::Value;
constexpr std::array keywords = {
    Keyword{"byte_test", Value::required, &parse_byte_test},
    Keyword{"byte_jump", Value::required, &parse_byte_jump},
    Keyword{"byte_extract", Value::required, &parse_byte_extract},
    Keyword{"byte_math", Value::required, &parse_byte_math},
    Keyword{"base64_decode", Value::optional, &parse_base64_decode},
    Keyword{"asn1", Value::required, &parse_asn1},
    Keyword{"base64_data", Value::none, &parse_base64_data},
};

}  // namespace

std::span<const Keyword> byte_keywords() { return keywords; }

}  // namespace menshen::sensor
