// Keywords of TLS, HTTP/2 and WebSocket that have a syntax of their own: tests on hidden numbers.
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <vector>

#include "base/clock.hpp"
#include "sensor/detect/keyword.hpp"
#include "sensor/proto/tls_transaction.hpp"

namespace menshen::sensor {
namespace {

using Kind = NumberRange::Kind;

struct Named {
  std::string_view name;
  std::uint64_t value;
};

std::optional<std::uint64_t> value_of(std::span<const Named> names, std::string_view text) {
  const auto found = std::ranges::find(names, text, &Named::name);
  if (found == names.end()) return std::nullopt;
  return found->value;
}

// tls.version:1.2, tls.version:0x7f12: what was agreed.
Result<void> parse_tls_version(RuleDraft& draft, const KeywordUse& use) {
  static constexpr Named versions[] = {
      {"1.0", 0x0301}, {"1.1", 0x0302}, {"1.2", 0x0303}, {"1.3", 0x0304}};
  std::string_view text = unquote(use.value).value_or(use.value);
  const bool negated = text.starts_with('!');
  if (negated) text = trim(text.substr(1));
  auto version = value_of(versions, text);
  if (!version && text.starts_with("0x")) version = parse_number(text);
  if (!version) return invalid_value(use.value);
  draft.rule.asks.emplace_back(NumberTest{Number::tls_version,
                                          Number::tls_version_response,
                                          {{negated ? Kind::not_equal : Kind::equal, *version, 0}},
                                          {},
                                          0});
  return {};
}

// ssl_version:sslv3,tls1.0 is any of them; with a ! before a version, none of those that have it.
Result<void> parse_ssl_version(RuleDraft& draft, const KeywordUse& use) {
  static constexpr Named versions[] = {{"sslv2", 0x0002},  {"sslv3", 0x0300},  {"tls1.0", 0x0301},
                                       {"tls1.1", 0x0302}, {"tls1.2", 0x0303}, {"tls1.3", 0x0304}};
  NumberTest any{Number::tls_version, Number::tls_version_response, {}, {}, 0};
  std::vector<NumberTest> none;
  for (std::string_view part : split(unquote(use.value).value_or(use.value), ',')) {
    const bool negated = part.starts_with('!');
    if (negated) part = trim(part.substr(1));
    const auto version = value_of(versions, part);
    if (!version) return invalid_value(use.value);
    const NumberRange range{negated ? Kind::not_equal : Kind::equal, *version, 0};
    if (negated) {
      none.push_back({any.to_server, any.to_client, {range}, {}, 0});
    } else {
      any.any_of.push_back(range);
    }
  }
  if (none.empty() && any.any_of.empty()) return invalid_value(use.value);
  if (none.empty()) draft.rule.asks.emplace_back(std::move(any));
  for (NumberTest& test : none) draft.rule.asks.emplace_back(std::move(test));
  return {};
}

// ssl_state:client_hello|server_hello
Result<void> parse_ssl_state(RuleDraft& draft, const KeywordUse& use) {
  static constexpr Named states[] = {
      {"client_hello", static_cast<std::uint64_t>(SslState::client_hello)},
      {"server_hello", static_cast<std::uint64_t>(SslState::server_hello)},
      {"client_keyx", static_cast<std::uint64_t>(SslState::client_keyx)},
      {"server_keyx", static_cast<std::uint64_t>(SslState::server_keyx)},
      {"unknown", static_cast<std::uint64_t>(SslState::unknown)}};
  NumberTest test{Number::ssl_state, Number::ssl_state, {}, {}, 0};
  std::string text(unquote(use.value).value_or(use.value));
  std::ranges::replace(text, ',', '|');
  for (std::string_view part : split(text, '|')) {
    const bool negated = part.starts_with('!');
    if (negated) part = trim(part.substr(1));
    const auto state = value_of(states, part);
    if (!state) return invalid_value(use.value);
    test.any_of.push_back({negated ? Kind::not_equal : Kind::equal, *state, 0});
  }
  if (test.any_of.empty()) return invalid_value(use.value);
  draft.rule.asks.emplace_back(std::move(test));
  return {};
}

// "2015", "2015-10", "2015-10-22", "2015-10-22 23:59:59" (or with a T), in UTC.
Result<std::uint64_t> parse_date(std::string_view text) {
  std::tm date{};
  date.tm_mday = 1;
  const std::string whole(trim(text));
  for (const char* format :
       {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H",
        "%Y-%m-%dT%H", "%Y-%m-%d", "%Y-%m", "%Y"}) {
    std::tm read = date;
    const char* end = strptime(whole.c_str(), format, &read);
    if (end == nullptr || *end != '\0') continue;
    return static_cast<std::uint64_t>(std::max<std::int64_t>(timegm(&read), 0));
  }
  return invalid_value(text);
}

// tls_cert_notbefore:1998-05-01<>2008-05-01
template <Number number>
Result<void> parse_certificate_date(RuleDraft& draft, const KeywordUse& use) {
  const std::string_view text = trim(unquote(use.value).value_or(use.value));
  NumberRange range;
  if (const std::size_t between = text.find("<>"); between != std::string_view::npos) {
    range = {Kind::between, MENSHEN_TRY(parse_date(text.substr(0, between))),
             MENSHEN_TRY(parse_date(text.substr(between + 2)))};
    if (range.first >= range.second) return invalid_value(use.value);
  } else if (text.starts_with('<')) {
    range = {Kind::less, MENSHEN_TRY(parse_date(text.substr(1))), 0};
  } else if (text.starts_with('>')) {
    range = {Kind::greater, MENSHEN_TRY(parse_date(text.substr(1))), 0};
  } else {
    range = {Kind::equal, MENSHEN_TRY(parse_date(text)), 0};
  }
  draft.rule.asks.emplace_back(NumberTest{Number::count, number, {range}, {}, 0});
  return {};
}

// Judged when the certificate was shown.
template <std::uint64_t validity>
Result<void> parse_certificate_validity(RuleDraft& draft, const KeywordUse& /*use*/) {
  draft.rule.asks.emplace_back(
      NumberTest{Number::count, Number::tls_cert_validity, {{Kind::equal, validity, 0}}, {}, 0});
  return {};
}

// http2.settings:SETTINGS_ENABLE_PUSH=0, SETTINGS_HEADER_TABLE_SIZE >4096
Result<void> parse_http2_settings(RuleDraft& draft, const KeywordUse& use) {
  struct Setting {
    std::string_view name;
    Number to_server;
    Number to_client;
  };
  static constexpr Setting settings[] = {
      {"SETTINGS_HEADER_TABLE_SIZE", Number::http2_settings_header_table_size,
       Number::http2_settings_header_table_size_response},
      {"SETTINGS_ENABLE_PUSH", Number::http2_settings_enable_push,
       Number::http2_settings_enable_push_response},
      {"SETTINGS_MAX_CONCURRENT_STREAMS", Number::http2_settings_max_concurrent_streams,
       Number::http2_settings_max_concurrent_streams_response},
      {"SETTINGS_INITIAL_WINDOW_SIZE", Number::http2_settings_initial_window_size,
       Number::http2_settings_initial_window_size_response},
      {"SETTINGS_MAX_FRAME_SIZE", Number::http2_settings_max_frame_size,
       Number::http2_settings_max_frame_size_response},
      {"SETTINGS_MAX_HEADER_LIST_SIZE", Number::http2_settings_max_header_list_size,
       Number::http2_settings_max_header_list_size_response}};
  const std::string_view text = trim(unquote(use.value).value_or(use.value));
  const std::string_view name =
      text.substr(0, text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ_"));
  const auto* setting = std::ranges::find(settings, name, &Setting::name);
  if (setting == std::end(settings)) return invalid_value(use.value);
  std::string_view wanted = trim(text.substr(name.size()));
  if (wanted.starts_with('=')) wanted = trim(wanted.substr(1));
  draft.rule.asks.emplace_back(NumberTest{setting->to_server,
                                          setting->to_client,
                                          {MENSHEN_TRY(parse_range(wanted, UINT32_MAX))},
                                          {},
                                          0});
  return {};
}

// websocket.flags:fin,!comp; or a number, or some of its bits.
Result<void> parse_websocket_flags(RuleDraft& draft, const KeywordUse& use) {
  static constexpr Named flags[] = {{"fin", 0x80}, {"comp", 0x40}};
  const std::string_view text = trim(unquote(use.value).value_or(use.value));
  NumberTest test{Number::websocket_flags, Number::websocket_flags_response, {}, {}, 0};
  if (text.find_first_of("0123456789") != std::string_view::npos) {
    test.any_of.push_back(
        MENSHEN_TRY(text.starts_with('&') ? parse_mask(text) : parse_range(text, UINT8_MAX)));
    draft.rule.asks.emplace_back(std::move(test));
    return {};
  }
  NumberRange bits{Kind::masked, 0, 0};
  for (std::string_view part : split(text, ',')) {
    const bool negated = part.starts_with('!');
    if (negated) part = trim(part.substr(1));
    const auto flag = value_of(flags, part);
    if (!flag) return invalid_value(use.value);
    bits.first |= *flag;
    if (!negated) bits.second |= *flag;
  }
  if (bits.first == 0) return invalid_value(use.value);
  test.any_of.push_back(bits);
  draft.rule.asks.emplace_back(std::move(test));
  return {};
}

using Value = Keyword::Value;
constexpr Keyword keywords[] = {
    {"tls.version", Value::required, &parse_tls_version},
    {"ssl_version", Value::required, &parse_ssl_version},
    {"ssl_state", Value::required, &parse_ssl_state},
    {"tls_cert_notbefore", Value::required, &parse_certificate_date<Number::tls_cert_notbefore>},
    {"tls_cert_notafter", Value::required, &parse_certificate_date<Number::tls_cert_notafter>},
    {"tls_cert_expired", Value::none, &parse_certificate_validity<1>},
    {"tls_cert_valid", Value::none, &parse_certificate_validity<0>},
    {"http2.settings", Value::required, &parse_http2_settings},
    {"websocket.flags", Value::required, &parse_websocket_flags},
};

}  // namespace

std::span<const Keyword> web_keywords() { return keywords; }

}  // namespace menshen::sensor
