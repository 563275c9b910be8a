// Transforms: what a rule makes of a sticky buffer before it looks at it.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/ascii.hpp"
#include "sensor/detect/keyword.hpp"
#include "sensor/detect/transform.hpp"

namespace menshen::sensor {
namespace {

constexpr std::int64_t transform_offset_max = 65'535;

template <TransformKind kind>
Result<void> parse_plain(RuleDraft& draft, const KeywordUse&) {
  Transform transform;
  transform.kind = kind;
  return draft.add_transform(std::move(transform));
}

Result<void> parse_xor(RuleDraft& draft, const KeywordUse& use) {
  const auto hex = unquote(use.value);
  if (!hex) return invalid_value(use.value);
  Transform transform;
  transform.kind = TransformKind::xor_key;
  transform.argument = MENSHEN_TRY(parse_pattern(fmt::format("|{}|", *hex)));
  return draft.add_transform(std::move(transform));
}

std::optional<Base64Mode> base64_mode(std::string_view text) {
  static constexpr std::pair<std::string_view, Base64Mode> names[] = {
      {"rfc4648", Base64Mode::rfc4648},
      {"rfc2045", Base64Mode::rfc2045},
      {"strict", Base64Mode::strict}};
  for (const auto& [name, mode] : names) {
    if (ascii_equal_nocase(name, text)) return mode;
  }
  return std::nullopt;
}

// "bytes 10, offset 2, mode rfc2045", each of them optional.
Result<void> parse_from_base64(RuleDraft& draft, const KeywordUse& use) {
  Transform transform;
  transform.kind = TransformKind::from_base64;
  unsigned seen = 0;
  for (const auto part : split(use.value, ',')) {
    const auto word = words(part);
    if (word.size() != 2) return invalid_value(part);
    const auto number = parse_number(word[1]);
    const bool fits = number && *number <= static_cast<std::uint64_t>(transform_offset_max);
    unsigned option = 0;
    if (word[0] == "bytes" && fits && *number != 0) {
      transform.bytes = static_cast<std::int64_t>(*number);
      option = 1;
    } else if (word[0] == "offset" && fits) {
      transform.offset = static_cast<std::int64_t>(*number);
      option = 2;
    } else if (const auto mode = base64_mode(word[1]); word[0] == "mode" && mode) {
      transform.mode = *mode;
      option = 4;
    } else {
      return invalid_value(part);
    }
    if ((seen & option) != 0) return invalid_value(use.value);
    seen |= option;
  }
  return draft.add_transform(std::move(transform));
}

// The expression's one group is what is looked at.
Result<void> parse_pcrexform(RuleDraft& draft, const KeywordUse& use) {
  const auto text = unquote(use.value);
  if (!text) return invalid("表达式须加引号", "the expression must be quoted");
  auto regex = MENSHEN_TRY(Regex::compile(*text, {}));
  if (regex.groups() != 1) {
    return invalid("表达式须恰有一个捕获组", "the expression must have exactly one group");
  }
  Transform transform;
  transform.kind = TransformKind::pcre_capture;
  transform.argument = *text;
  transform.regex = std::make_shared<const Regex>(std::move(regex));
  return draft.add_transform(std::move(transform));
}

template <TransformKind kind>
Result<void> parse_inflate(RuleDraft& draft, const KeywordUse& use) {
  Transform transform;
  transform.kind = kind;
  transform.bytes = inflate_bytes_default;
  if (!use.value.empty()) {
    const auto word = words(use.value);
    const auto bytes = word.size() == 2 ? parse_number(word[1]) : std::nullopt;
    if (!bytes || word[0] != "max-size" || *bytes == 0 || *bytes > inflate_bytes_max) {
      return invalid_value(use.value);
    }
    transform.bytes = static_cast<std::int64_t>(*bytes);
  }
  return draft.add_transform(std::move(transform));
}

// "offset" or "offset, bytes"; negative ones count from the end.
Result<void> parse_subslice(RuleDraft& draft, const KeywordUse& use) {
  const auto parts = split(use.value, ',');
  if (parts.empty() || parts.size() > 2) return invalid_value(use.value);
  Transform transform;
  transform.kind = TransformKind::subslice;
  const auto place = [](std::string_view text) {
    const auto value = parse_signed(text);
    const bool fits = value && *value >= -transform_offset_max && *value <= transform_offset_max;
    return fits ? value : std::nullopt;
  };
  const auto offset = place(parts[0]);
  const auto bytes = parts.size() == 2 ? place(parts[1]) : std::optional<std::int64_t>(0);
  if (!offset || !bytes || (parts.size() == 2 && *bytes == 0)) return invalid_value(use.value);
  transform.offset = *offset;
  transform.bytes = *bytes;
  return draft.add_transform(std::move(transform));
}

using Value = Keyword::Value;
using Kind = TransformKind;
constexpr std::array keywords = {
    Keyword{"dotprefix", Value::none, &parse_plain<Kind::dotprefix>},
    Keyword{"to_lowercase", Value::none, &parse_plain<Kind::to_lowercase>},
    Keyword{"to_uppercase", Value::none, &parse_plain<Kind::to_uppercase>},
    Keyword{"strip_whitespace", Value::none, &parse_plain<Kind::strip_whitespace>},
    Keyword{"compress_whitespace", Value::none, &parse_plain<Kind::compress_whitespace>},
    Keyword{"url_decode", Value::none, &parse_plain<Kind::url_decode>},
    Keyword{"header_lowercase", Value::none, &parse_plain<Kind::header_lowercase>},
    Keyword{"strip_pseudo_headers", Value::none, &parse_plain<Kind::strip_pseudo_headers>},
    Keyword{"to_md5", Value::none, &parse_plain<Kind::to_md5>},
    Keyword{"to_sha1", Value::none, &parse_plain<Kind::to_sha1>},
    Keyword{"to_sha256", Value::none, &parse_plain<Kind::to_sha256>},
    Keyword{"domain", Value::none, &parse_plain<Kind::domain>},
    Keyword{"tld", Value::none, &parse_plain<Kind::tld>},
    Keyword{"xor", Value::required, &parse_xor},
    Keyword{"from_base64", Value::optional, &parse_from_base64},
    Keyword{"pcrexform", Value::required, &parse_pcrexform},
    Keyword{"gunzip", Value::optional, &parse_inflate<Kind::gunzip>},
    Keyword{"zlib_deflate", Value::optional, &parse_inflate<Kind::zlib_deflate>},
    Keyword{"subslice", Value::required, &parse_subslice},
};

}  // namespace

std::span<const Keyword> transform_keywords() { return keywords; }

}  // namespace menshen::sensor
