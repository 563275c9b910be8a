// content and its modifiers, pcre, isdataat, sizes.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/ascii.hpp"
#include "sensor/detect/keyword.hpp"

namespace menshen::sensor {
namespace {

constexpr std::size_t pattern_bytes_max =
    255;  // longer ones gain nothing and are refused by other engines too
constexpr std::int64_t place_max = 1 << 20;  // of offset, depth, distance, within

Result<void> parse_content(RuleDraft& draft, const KeywordUse& use) {
  Content content;
  std::string_view text = use.value;
  if (text.starts_with('!')) {
    content.negated = true;
    text = trim(text.substr(1));
  }
  const auto inner = unquote(text);
  if (!inner) return invalid("匹配内容须加引号", "the pattern must be quoted");
  content.pattern = MENSHEN_TRY(parse_pattern(*inner));
  if (content.pattern.size() > pattern_bytes_max * 4)
    return invalid("匹配内容过长", "the pattern is too long");
  draft.add_test({std::move(content)});
  return {};
}

Result<Content*> modified(RuleDraft& draft, const KeywordUse& use) {
  Content* content = draft.last_content();
  if (content == nullptr) {
    return invalid(fmt::format("{} 之前没有 content", use.name),
                   fmt::format("no content before {}", use.name));
  }
  return content;
}

Result<Operand> place(const RuleDraft& draft, std::string_view text, std::int64_t min) {
  auto operand = MENSHEN_TRY(draft.operand(text));
  if (operand.variable < 0 && (operand.value < min || operand.value > place_max))
    return invalid_value(text);
  return operand;
}

template <std::optional<Operand> Content::*member, bool is_signed>
Result<void> parse_place(RuleDraft& draft, const KeywordUse& use) {
  Content* content = MENSHEN_TRY(modified(draft, use));
  if ((content->*member).has_value()) {
    return invalid(fmt::format("同一 content 出现两次 {}", use.name),
                   fmt::format("{} given twice for one content", use.name));
  }
  content->*member = MENSHEN_TRY(place(draft, use.value, is_signed ? -place_max : 0));
  const bool absolute = content->offset || content->depth;
  const bool relative = content->distance || content->within;
  if (absolute && relative) {
    return invalid("同一 content 不能既用绝对位置又用相对位置",
                   "one content cannot have both absolute and relative places");
  }
  if (content->startswith)
    return invalid("不能与 startswith 混用", "cannot be combined with startswith");
  return {};
}

Result<void> parse_nocase(RuleDraft& draft, const KeywordUse& use) {
  Content* content = MENSHEN_TRY(modified(draft, use));
  content->nocase = true;
  content->pattern = ascii_lower(std::move(content->pattern));
  return {};
}

Result<void> parse_startswith(RuleDraft& draft, const KeywordUse& use) {
  Content* content = MENSHEN_TRY(modified(draft, use));
  if (content->offset || content->depth || content->distance || content->within) {
    return invalid("startswith 不能与位置修饰符混用", "startswith cannot be combined with a place");
  }
  content->startswith = true;
  return {};
}

Result<void> parse_endswith(RuleDraft& draft, const KeywordUse& use) {
  (MENSHEN_TRY(modified(draft, use)))->endswith = true;
  return {};
}

Result<void> parse_rawbytes(RuleDraft& draft, const KeywordUse& use) {
  static_cast<void>(MENSHEN_TRY(modified(draft, use)));
  return {};
}

Result<void> parse_replace(RuleDraft& draft, const KeywordUse& use) {
  Content* content = MENSHEN_TRY(modified(draft, use));
  const auto inner = unquote(use.value);
  if (!inner) return invalid("替换内容须加引号", "the replacement must be quoted");
  if (content->negated)
    return invalid("replace 不能用于否定的 content", "replace cannot follow a negated content");
  content->replacement = MENSHEN_TRY(parse_pattern(*inner));
  if (content->replacement.size() != content->pattern.size()) {
    return invalid("替换内容须与匹配内容等长", "the replacement must be as long as the content");
  }
  draft.rule.replaces = true;
  return {};
}

Result<void> parse_fast_pattern(RuleDraft& draft, const KeywordUse& use) {
  Content* content = MENSHEN_TRY(modified(draft, use));
  content->fast_pattern = true;
  if (use.value.empty()) return {};
  if (use.value == "only") {
    content->fast_pattern_only = true;
    return {};
  }
  const auto parts = split(use.value, ',');
  if (parts.size() != 2) return invalid_value(use.value);
  const auto offset = parse_number(parts[0]);
  const auto length = parse_number(parts[1]);
  const bool inside = offset && length && *length > 0 && *offset < content->pattern.size() &&
                      *length <= content->pattern.size() - *offset;
  if (!inside) return invalid_value(use.value);
  content->chop_offset = static_cast<std::uint16_t>(*offset);
  content->chop_length = static_cast<std::uint16_t>(*length);
  return {};
}

// ---- pcre ---------------------------------------------------------------------------------------

struct RegexOptions {
  Regex::Flags flags;
  bool relative = false;
  std::optional<BufferRef> buffer;
};

std::optional<BufferRef> buffer_letter(char letter) {
  const auto both = [](Buffer to_server, Buffer to_client) {
    return BufferRef{BufferKind::transaction, to_server, to_client};
  };
  switch (letter) {
    case 'U':
      return both(Buffer::http_uri, Buffer::count);
    case 'I':
      return both(Buffer::http_uri_raw, Buffer::count);
    case 'P':
      return both(Buffer::http_request_body, Buffer::count);
    case 'Q':
      return both(Buffer::count, Buffer::http_response_body);
    case 'H':
      return both(Buffer::http_request_header, Buffer::http_response_header);
    case 'D':
      return both(Buffer::http_request_header_raw, Buffer::http_response_header_raw);
    case 'M':
      return both(Buffer::http_method, Buffer::count);
    case 'C':
      return both(Buffer::http_cookie, Buffer::http_set_cookie);
    case 'S':
      return both(Buffer::count, Buffer::http_stat_code);
    case 'Y':
      return both(Buffer::count, Buffer::http_stat_msg);
    case 'V':
      return both(Buffer::http_user_agent, Buffer::count);
    case 'W':
      return both(Buffer::http_host, Buffer::count);
    case 'Z':
      return both(Buffer::http_host_raw, Buffer::count);
    default:
      return std::nullopt;
  }
}

Result<RegexOptions> regex_options(std::string_view letters) {
  RegexOptions options;
  for (const char letter : letters) {
    switch (letter) {
      case 'i':
        options.flags.caseless = true;
        break;
      case 'm':
        options.flags.multiline = true;
        break;
      case 's':
        options.flags.dotall = true;
        break;
      case 'x':
        options.flags.extended = true;
        break;
      case 'A':
        options.flags.anchored = true;
        break;
      case 'E':
        options.flags.dollar_endonly = true;
        break;
      case 'G':
        options.flags.ungreedy = true;
        break;
      case 'R':
        options.relative = true;
        break;
      case 'B':
      case 'O':
        break;  // raw bytes; other limits: neither changes anything here
      default:
        const auto buffer = buffer_letter(letter);
        if (!buffer || options.buffer) {
          return invalid(fmt::format("pcre 修饰符无效：{}", letter),
                         fmt::format("invalid pcre modifier: {}", letter));
        }
        options.buffer = buffer;
    }
  }
  return options;
}

// "/.../Ri, flow:user, pkt:id": variables for groups, in their order.
Result<std::vector<Capture>> parse_captures(std::string_view text, std::uint32_t groups) {
  std::vector<Capture> captures;
  const auto parts = split(text, ',');
  for (std::size_t i = 1; i < parts.size(); ++i) {
    const std::size_t colon = std::min(parts[i].find(':'), parts[i].size());
    const std::string_view scope = parts[i].substr(0, colon);
    const bool scoped = scope == "flow" || scope == "pkt" || scope == "alert";
    if (!scoped || colon + 1 >= parts[i].size() || i > groups || i >= regex_groups_max) {
      return invalid_value(parts[i]);
    }
    captures.push_back({scope == "flow" ? Capture::Scope::flow : Capture::Scope::packet,
                        std::string(parts[i].substr(colon + 1)), static_cast<std::uint32_t>(i)});
  }
  return captures;
}

Result<void> parse_pcre(RuleDraft& draft, const KeywordUse& use) {
  RegexTest test;
  std::string_view text = use.value;
  if (text.starts_with('!')) {
    test.negated = true;
    text = trim(text.substr(1));
  }
  const std::string_view inner = unquote(text).value_or(text);
  const auto close = inner.rfind('/');
  if (!inner.starts_with('/') || close == 0 || close == std::string_view::npos) {
    return invalid("pcre 应形如 \"/表达式/选项\"", "pcre must look like \"/expression/options\"");
  }
  const std::string_view behind = inner.substr(close + 1);
  const auto options = MENSHEN_TRY(regex_options(behind.substr(0, behind.find(','))));
  // A semicolon can only be written escaped in a rule; to PCRE "\;" is the same as ";".
  auto regex = MENSHEN_TRY(Regex::compile(inner.substr(1, close - 1), options.flags));
  test.captures = MENSHEN_TRY(parse_captures(behind, regex.groups()));
  draft.rule.captures = draft.rule.captures || (!test.captures.empty() && !test.negated);
  test.regex = std::make_shared<const Regex>(std::move(regex));
  test.relative = options.relative;
  if (!options.buffer) {
    draft.add_test({std::move(test)});
    return {};
  }
  draft.add_test_in(*options.buffer, {std::move(test)});
  return {};
}

// ---- sizes --------------------------------------------------------------------------------------

Result<void> parse_isdataat(RuleDraft& draft, const KeywordUse& use) {
  IsDataAt test;
  auto parts = split(use.value, ',');
  if (parts.empty()) return invalid_value(use.value);
  if (parts[0].starts_with('!')) {
    test.negated = true;
    parts[0] = trim(parts[0].substr(1));
  }
  test.position = MENSHEN_TRY(place(draft, parts[0], 0));
  for (std::size_t i = 1; i < parts.size(); ++i) {
    if (parts[i] == "relative") {
      test.relative = true;
    } else if (parts[i] != "rawbytes") {
      return invalid_value(parts[i]);
    }
  }
  draft.add_test({test});
  return {};
}

Result<void> parse_bsize(RuleDraft& draft, const KeywordUse& use) {
  draft.add_test({SizeTest{MENSHEN_TRY(parse_range(use.value, UINT32_MAX))}});
  return {};
}

Result<void> parse_urilen(RuleDraft& draft, const KeywordUse& use) {
  auto parts = split(use.value, ',');
  if (parts.empty() || parts.size() > 2) return invalid_value(use.value);
  const bool normalised = parts.size() == 1 || parts[1] == "norm";
  if (!normalised && parts[1] != "raw") return invalid_value(parts[1]);
  const BufferRef buffer{BufferKind::transaction,
                         normalised ? Buffer::http_uri : Buffer::http_uri_raw, Buffer::count};
  draft.add_test_in(buffer, {SizeTest{MENSHEN_TRY(parse_range(parts[0], UINT16_MAX))}});
  return {};
}

Result<void> parse_absent(RuleDraft& draft, const KeywordUse& use) {
  if (!use.value.empty() && use.value != "or_else") return invalid_value(use.value);
  draft.add_test({Absent{use.value == "or_else"}});
  return {};
}

// ">= 4.5" to ">=4500", "4-5" to "4000-5000".
Result<std::string> in_thousandths(std::string_view text) {
  static constexpr std::string_view digits = "0123456789.";
  std::string result;
  for (std::size_t at = 0; at < text.size();) {
    if (digits.find(text[at]) == std::string_view::npos) {
      result.push_back(text[at++]);
      continue;
    }
    const std::size_t end = std::min(text.find_first_not_of(digits, at), text.size());
    const std::string number(text.substr(at, end - at));
    const double value = std::strtod(number.c_str(), nullptr);
    if (!(value >= 0.0 && value <= 8.0)) return invalid_value(text);
    result += std::to_string(static_cast<unsigned>(value * 1000));
    at = end;
  }
  return result;
}

Result<void> parse_entropy(RuleDraft& draft, const KeywordUse& use) {
  Entropy test;
  bool valued = false;
  for (const auto part : split(use.value, ',')) {
    const auto word = words(part);
    if (word.size() < 2) return invalid_value(part);
    const auto number = parse_number(word[1]);
    if (word[0] == "bytes" && number) {
      test.bytes = static_cast<std::uint32_t>(*number);
    } else if (word[0] == "offset" && number) {
      test.offset = static_cast<std::uint32_t>(*number);
    } else if (word[0] == "value") {
      // "value >= 4.5": in thousandths, so that the comparison is one of whole numbers.
      std::string thousandths;
      for (const char c : part.substr(part.find("value") + 5)) {
        if (c != ' ') thousandths.push_back(c);
      }
      const std::string scaled = MENSHEN_TRY(in_thousandths(thousandths));
      test.thousandths = MENSHEN_TRY(parse_range(scaled, 8000));
      valued = true;
    } else {
      return invalid_value(part);
    }
  }
  if (!valued) return invalid_value(use.value);
  draft.add_test({test});
  return {};
}

using Value = Keyword::Value;
constexpr std::array keywords = {
    Keyword{"content", Value::required, &parse_content},
    Keyword{"nocase", Value::none, &parse_nocase},
    Keyword{"offset", Value::required, &parse_place<&Content::offset, false>},
    Keyword{"depth", Value::required, &parse_place<&Content::depth, false>},
    Keyword{"distance", Value::required, &parse_place<&Content::distance, true>},
    Keyword{"within", Value::required, &parse_place<&Content::within, true>},
    Keyword{"startswith", Value::none, &parse_startswith},
    Keyword{"endswith", Value::none, &parse_endswith},
    Keyword{"rawbytes", Value::none, &parse_rawbytes},
    Keyword{"replace", Value::required, &parse_replace},
    Keyword{"fast_pattern", Value::optional, &parse_fast_pattern},
    Keyword{"pcre", Value::required, &parse_pcre},
    Keyword{"isdataat", Value::required, &parse_isdataat},
    Keyword{"bsize", Value::required, &parse_bsize},
    Keyword{"urilen", Value::required, &parse_urilen},
    Keyword{"absent", Value::optional, &parse_absent},
    Keyword{"entropy", Value::required, &parse_entropy},
};

}  // namespace

std::span<const Keyword> content_keywords() { return keywords; }

}  // namespace menshen::sensor
