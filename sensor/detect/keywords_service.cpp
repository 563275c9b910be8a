// Keywords of file, share and call services whose values have a syntax of their own.
#include <fmt/format.h>

#include <array>

#include "sensor/detect/keyword.hpp"

namespace menshen::sensor {
namespace {

constexpr std::size_t uuid_bytes = 16;

// "367abb81-9844-35f1-ad32-98f038001003" as the bytes that it writes.
std::optional<std::string> parse_uuid(std::string_view text) {
  constexpr std::array<std::size_t, 5> groups = {8, 4, 4, 4, 12};
  std::string digits;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (text.size() < groups[i]) return std::nullopt;
    digits += text.substr(0, groups[i]);
    text.remove_prefix(groups[i]);
    if (i + 1 == groups.size()) break;
    if (!text.starts_with('-')) return std::nullopt;
    text.remove_prefix(1);
  }
  if (!text.empty()) return std::nullopt;
  auto bytes = parse_pattern(fmt::format("|{}|", digits));
  if (!bytes || bytes->size() != uuid_bytes) return std::nullopt;
  return std::move(*bytes);
}

Test byte_test(std::size_t offset, unsigned bytes, Comparison comparison, std::int64_t value) {
  ByteTest test;
  test.number.bytes = {static_cast<std::int64_t>(bytes), -1};
  test.number.offset = {static_cast<std::int64_t>(offset), -1};
  test.comparison = comparison;
  test.value = {value, -1};
  return {test};
}

// "=1", "<2", ">0", "!3": of the interface's version.
Result<Test> parse_version(std::string_view text) {
  constexpr std::pair<char, Comparison> signs[] = {{'=', Comparison::equal},
                                                   {'<', Comparison::less},
                                                   {'>', Comparison::greater},
                                                   {'!', Comparison::not_equal}};
  for (const auto& [sign, comparison] : signs) {
    if (!text.starts_with(sign)) continue;
    const auto version = parse_number(trim(text.substr(1)));
    if (!version || *version > UINT16_MAX) break;
    return byte_test(uuid_bytes, 2, comparison, static_cast<std::int64_t>(*version));
  }
  return invalid_value(text);
}

// dcerpc.iface:UUID[,<version][,any_frag]. Without any_frag a call's first fragment must be seen.
Result<void> parse_interface(RuleDraft& draft, const KeywordUse& use) {
  const auto parts = split(use.value, ',');
  auto uuid = parts.empty() ? std::nullopt : parse_uuid(parts[0]);
  if (!uuid || parts.size() > 3) return invalid_value(use.value);
  Content content;
  content.pattern = std::move(*uuid);
  content.startswith = true;
  const BufferRef buffer{BufferKind::transaction, Buffer::dcerpc_iface_bytes,
                         Buffer::dcerpc_iface_bytes};
  draft.add_test_in(buffer, {std::move(content)});
  bool any_fragment = false;
  for (std::size_t i = 1; i < parts.size(); ++i) {
    if (parts[i] == "any_frag") {
      any_fragment = true;
    } else {
      draft.add_test_in(buffer, MENSHEN_TRY(parse_version(parts[i])));
    }
  }
  if (!any_fragment) {
    draft.add_test_in(buffer, byte_test(uuid_bytes + 2, 1, Comparison::equal, 1));
  }
  return {};
}

// ftpdata_command:stor
Result<void> parse_transfer(RuleDraft& draft, const KeywordUse& use) {
  if (use.value != "stor" && use.value != "retr") return invalid_value(use.value);
  Content content;
  content.pattern = use.value;
  content.startswith = content.endswith = true;
  draft.add_test_in({BufferKind::transaction, Buffer::ftpdata_command, Buffer::ftpdata_command},
                    {std::move(content)});
  return {};
}

// PORT with an address that is not the client's.
Result<void> parse_bounce(RuleDraft& draft, const KeywordUse&) {
  NumberTest test;
  test.to_server = Number::ftp_bounce;
  test.any_of.push_back({NumberRange::Kind::equal, 1, 0});
  draft.rule.asks.emplace_back(std::move(test));
  return {};
}

using Value = Keyword::Value;
constexpr std::array keywords = {
    Keyword{"dcerpc.iface", Value::required, &parse_interface},
    Keyword{"dce_iface", Value::required, &parse_interface},
    Keyword{"ftpdata_command", Value::required, &parse_transfer},
    Keyword{"ftpbounce", Value::none, &parse_bounce},
};

}  // namespace

std::span<const Keyword> service_keywords() { return keywords; }

}  // namespace menshen::sensor
