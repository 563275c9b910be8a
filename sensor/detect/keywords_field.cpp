// Keywords on transactions that are not buffers: numbers, events, frames.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "sensor/detect/keyword.hpp"
#include "sensor/detect/number_values.hpp"
#include "sensor/proto/events.hpp"
#include "sensor/proto/registry.hpp"

namespace menshen::sensor {
namespace {

const NumberName& number_named(std::string_view name) {
  return *std::ranges::find(number_names(), name, &NumberName::name);
}

Result<NumberRange> parse_wanted(const NumberName& number, std::string_view text) {
  if (text.starts_with('&')) return parse_mask(text);
  const bool negated = text.starts_with('!');
  if (const auto value = named_value(number, negated ? trim(text.substr(1)) : text)) {
    return NumberRange{negated ? NumberRange::Kind::not_equal : NumberRange::Kind::equal, *value,
                       0};
  }
  return parse_range(text, UINT64_MAX);
}

// "any", "all", or the place of one, from the last where negative.
Result<void> parse_which(std::string_view text, NumberTest& test) {
  if (text == "any") return {};
  if (text == "all") {
    test.which = NumberTest::Which::all;
    return {};
  }
  const auto place = parse_signed(text);
  if (!place || *place > 1024 || *place < -1024) return invalid_value(text);
  test.which = NumberTest::Which::one;
  test.place = static_cast<int>(*place);
  return {};
}

// A comma separates alternatives, or, where a transaction has several, the value from which one.
Result<void> parse_number_test(RuleDraft& draft, const KeywordUse& use) {
  const NumberName& number = number_named(use.name);
  NumberTest test{number.to_server, number.to_client, {}, {}, 0};
  const auto parts = split(unquote(use.value).value_or(use.value), ',');
  if (parts.empty()) return invalid_value(use.value);
  if (number.many && parts.size() == 2) {
    test.any_of.push_back(MENSHEN_TRY(parse_wanted(number, parts[0])));
    MENSHEN_CHECK(parse_which(parts[1], test));
  } else {
    for (const auto part : parts) {
      test.any_of.push_back(MENSHEN_TRY(parse_wanted(number, part)));
    }
  }
  draft.rule.asks.emplace_back(std::move(test));
  return {};
}

Result<void> parse_event(RuleDraft& draft, const KeywordUse& use) {
  if (use.value == "applayer_mismatch_protocol_both_directions") {
    draft.rule.header.emplace_back(MismatchTest{});
    return {};
  }
  const auto event = proto_event_of(use.value);
  if (!event) {
    return invalid(fmt::format("没有此事件：{}", use.value),
                   fmt::format("there is no event {}", use.value));
  }
  if (!is_parsed(proto_event_info(*event).proto)) {
    return invalid(fmt::format("该事件的协议未被解析：{}", use.value),
                   fmt::format("the protocol of event {} is not parsed", use.value));
  }
  draft.rule.asks.emplace_back(EventTest{*event});
  return {};
}

// "sip.request.body", or "request.body" in a rule of protocol sip.
Result<void> parse_frame(RuleDraft& draft, const KeywordUse& use) {
  // A protocol's "stream" is all that the flow says.
  constexpr std::string_view stream = ".stream";
  if (use.value.ends_with(stream)) {
    const auto proto = app_proto_of(use.value.substr(0, use.value.size() - stream.size()));
    if (proto && is_parsed(*proto)) {
      draft.rule.proto.apps = std::span(&*proto, 1);
      draft.open_buffer({BufferKind::payload}, false);
      return {};
    }
  }
  for (const FrameName& frame : frame_names()) {
    if (!is_parsed(frame.proto)) continue;
    const std::size_t dot = use.value.find('.');
    const bool named = dot != std::string_view::npos && use.value.substr(dot + 1) == frame.name &&
                       app_proto_of(use.value.substr(0, dot)) == frame.proto;
    const bool implied = use.value == frame.name && draft.rule.proto.apps.contains(frame.proto);
    if (!named && !implied) continue;
    // The whole of both streams: what rules without a buffer see of them.
    if (frame.to_server == Buffer::count && frame.to_client == Buffer::count) {
      draft.open_buffer({BufferKind::payload}, false);
      draft.rule.flow.only_stream = true;
      return {};
    }
    draft.open_buffer({BufferKind::transaction, frame.to_server, frame.to_client, frame.proto},
                      true);
    return {};
  }
  return invalid(fmt::format("没有此帧：{}", use.value),
                 fmt::format("there is no frame {}", use.value));
}

}  // namespace

Result<NumberRange> parse_mask(std::string_view text) {
  const auto equals = text.find('=');
  if (equals == std::string_view::npos) return invalid_value(text);
  const bool negated = equals > 0 && text[equals - 1] == '!';
  const auto mask = parse_number(trim(text.substr(1, equals - 1 - (negated ? 1 : 0))));
  const auto value = parse_number(trim(text.substr(equals + 1)));
  if (!mask || !value || (*value & ~*mask) != 0) return invalid_value(text);
  return NumberRange{negated ? NumberRange::Kind::not_masked : NumberRange::Kind::masked, *mask,
                     *value};
}

std::span<const Keyword> field_keywords() {
  static const auto keywords = [] {
    std::vector<Keyword> table = {
        {"app-layer-event", Keyword::Value::required, &parse_event},
        {"frame", Keyword::Value::required, &parse_frame},
    };
    for (const NumberName& row : number_names()) {
      const auto protos = carriers(row.proto);
      if (!row.hidden && std::ranges::any_of(protos, &is_parsed)) {
        table.push_back({row.name, Keyword::Value::required, &parse_number_test});
      }
    }
    return table;
  }();
  return keywords;
}

}  // namespace menshen::sensor
