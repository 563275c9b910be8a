// Keywords that remember: flowbits, xbits, hostbits, flowint, threshold, detection_filter.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "sensor/detect/keyword.hpp"

namespace menshen::sensor {
namespace {

std::optional<BitOperation> bit_operation(std::string_view name) {
  static constexpr std::pair<std::string_view, BitOperation> names[] = {
      {"set", BitOperation::set},
      {"unset", BitOperation::unset},
      {"toggle", BitOperation::toggle},
      {"isset", BitOperation::is_set},
      {"isnotset", BitOperation::is_not_set}};
  for (const auto& [text, operation] : names) {
    if (text == name) return operation;
  }
  return std::nullopt;
}

Result<void> parse_flowbits(RuleDraft& draft, const KeywordUse& use) {
  const auto parts = split(use.value, ',');
  if (parts.size() == 1 && parts[0] == "noalert") {
    draft.rule.noalert = true;
    return {};
  }
  if (parts.size() != 2) return invalid_value(use.value);
  const auto operation = bit_operation(parts[0]);
  if (!operation) return invalid_value(parts[0]);
  BitTest test{*operation, BitScope::flow, {}, 0};
  const bool query = *operation == BitOperation::is_set || *operation == BitOperation::is_not_set;
  for (const auto name : split(parts[1], '|')) {
    if (name.empty() || name.find_first_of(" \t&") != std::string_view::npos)
      return invalid_value(parts[1]);
    test.names.push_back(draft.named(name));
  }
  if (test.names.empty() || (test.names.size() > 1 && !query)) return invalid_value(parts[1]);
  draft.rule.bits.push_back(std::move(test));
  return {};
}

Result<void> parse_xbits(RuleDraft& draft, const KeywordUse& use) {
  const auto parts = split(use.value, ',');
  if (parts.size() == 1 && parts[0] == "noalert") {
    draft.rule.noalert = true;
    return {};
  }
  if (parts.size() < 2) return invalid_value(use.value);
  const auto operation = bit_operation(parts[0]);
  if (!operation) return invalid_value(parts[0]);
  BitTest test{*operation, BitScope::source, {hash_name(parts[1])}, 30};
  const bool host = use.name == "hostbits";
  for (std::size_t i = 2; i < parts.size(); ++i) {
    const auto word = words(parts[i]);
    const bool track = word.size() == 2 && word[0] == "track";
    const auto scope = track ? word[1] : std::string_view(parts[i]);
    if (word.size() == 2 && word[0] == "expire") {
      const auto seconds = parse_number(word[1]);
      if (!seconds || *seconds == 0 || *seconds > UINT32_MAX) return invalid_value(parts[i]);
      test.seconds = static_cast<std::uint32_t>(*seconds);
    } else if (scope == "ip_src" || (host && scope == "src")) {
      test.scope = BitScope::source;
    } else if (scope == "ip_dst" || (host && scope == "dst")) {
      test.scope = BitScope::destination;
    } else if (scope == "ip_pair" || (host && scope == "both")) {
      test.scope = BitScope::ip_pair;
    } else {
      return invalid_value(parts[i]);
    }
  }
  draft.rule.bits.push_back(std::move(test));
  return {};
}

// name,=,3  name,+,1  name,>,other  name,isset
Result<void> parse_flowint(RuleDraft& draft, const KeywordUse& use) {
  const auto parts = split(use.value, ',');
  if (parts.size() < 2 || parts.size() > 3 || parts[0].empty()) return invalid_value(use.value);
  using Operation = FlowIntTest::Operation;
  FlowIntTest test;
  test.name = draft.named(parts[0]);
  if (parts.size() == 2) {
    if (parts[1] != "isset" && parts[1] != "notset" && parts[1] != "isnotset")
      return invalid_value(parts[1]);
    test.operation = parts[1] == "isset" ? Operation::is_set : Operation::is_not_set;
    draft.rule.ints.push_back(test);
    return {};
  }
  struct Row {
    std::string_view sign;
    Operation operation;
    Comparison comparison;
  };
  static constexpr Row rows[] = {{"=", Operation::assign, {}},
                                 {"+", Operation::add, {}},
                                 {"-", Operation::subtract, {}},
                                 {"==", Operation::compare, Comparison::equal},
                                 {"!=", Operation::compare, Comparison::not_equal},
                                 {"<", Operation::compare, Comparison::less},
                                 {"<=", Operation::compare, Comparison::less_equal},
                                 {">", Operation::compare, Comparison::greater},
                                 {">=", Operation::compare, Comparison::greater_equal}};
  for (const Row& row : rows) {
    if (row.sign != parts[1]) continue;
    test.operation = row.operation;
    test.comparison = row.comparison;
    if (const auto value = parse_number(parts[2])) {
      test.value = *value;
    } else {
      test.other = hash_name(parts[2]);
    }
    draft.rule.ints.push_back(test);
    return {};
  }
  return invalid_value(parts[1]);
}

bool parse_track(std::string_view text, Threshold::Track& track) {
  using Track = Threshold::Track;
  static constexpr std::pair<std::string_view, Track> names[] = {{"by_src", Track::source},
                                                                 {"by_dst", Track::destination},
                                                                 {"by_both", Track::both},
                                                                 {"by_rule", Track::rule},
                                                                 {"by_flow", Track::flow}};
  for (const auto& [name, value] : names) {
    if (name != text) continue;
    track = value;
    return true;
  }
  return false;
}

bool parse_threshold_part(std::string_view part, Threshold& threshold, unsigned& seen) {
  using Kind = Threshold::Kind;
  const auto word = words(part);
  if (word.size() != 2) return false;
  if (word[0] == "type") {
    static constexpr std::pair<std::string_view, Kind> kinds[] = {{"limit", Kind::limit},
                                                                  {"threshold", Kind::threshold},
                                                                  {"both", Kind::both},
                                                                  {"backoff", Kind::backoff}};
    for (const auto& [name, kind] : kinds) {
      if (name == word[1]) threshold.kind = kind;
    }
    seen |= 1U;
    return threshold.kind != Kind::none;
  }
  if (word[0] == "track") {
    seen |= 2U;
    return parse_track(word[1], threshold.track);
  }
  const auto number = parse_number(word[1]);
  if (!number || *number == 0 || *number > UINT32_MAX) return false;
  const auto value = static_cast<std::uint32_t>(*number);
  if (word[0] == "count") {
    threshold.count = value;
    seen |= 4U;
  } else if (word[0] == "seconds") {
    threshold.seconds = value;
    seen |= 8U;
  } else if (word[0] == "multiplier") {
    threshold.multiplier = value;
    seen |= 16U;
  } else {
    return false;
  }
  return true;
}

Result<Threshold> parse_rate(std::string_view text, bool typed) {
  Threshold threshold;
  unsigned seen = 0;
  for (const auto part : split(text, ',')) {
    if (!parse_threshold_part(part, threshold, seen)) return invalid_value(part);
  }
  const bool backoff = threshold.kind == Threshold::Kind::backoff;
  const unsigned wanted = typed ? (backoff ? 23U : 15U) : 14U;
  if ((seen & wanted) != wanted) {
    return invalid("缺少 type、track、count 或 seconds",
                   "type, track, count or seconds is missing");
  }
  if (backoff && threshold.track != Threshold::Track::flow) {
    return invalid("backoff 只能按流统计", "backoff can only be tracked by_flow");
  }
  return threshold;
}

Result<void> parse_threshold(RuleDraft& draft, const KeywordUse& use) {
  draft.rule.threshold = MENSHEN_TRY(parse_rate(use.value, true));
  return {};
}

Result<void> parse_detection_filter(RuleDraft& draft, const KeywordUse& use) {
  draft.rule.detection_filter = MENSHEN_TRY(parse_rate(use.value, false));
  draft.rule.detection_filter.kind = Threshold::Kind::detection_filter;
  return {};
}

// tag:session,10,packets  tag:host,60,seconds,src  tag:session
Result<void> parse_tag(RuleDraft& draft, const KeywordUse& use) {
  static constexpr std::pair<std::string_view, Tag::Unit> units[] = {
      {"packets", Tag::Unit::packets},
      {"seconds", Tag::Unit::seconds},
      {"bytes", Tag::Unit::bytes}};
  const auto parts = split(use.value, ',');
  const bool host = !parts.empty() && parts[0] == "host";
  if (parts.empty() || (!host && parts[0] != "session")) return invalid_value(use.value);
  Tag tag{host ? Tag::Scope::source : Tag::Scope::session, Tag::Unit::packets, tag_count_default};
  if (parts.size() > 1) {
    const auto count = parse_number(parts[1]);
    const auto* unit = std::end(units);
    if (parts.size() > 2)
      unit = std::ranges::find(units, parts[2], &std::pair<std::string_view, Tag::Unit>::first);
    if (!count || *count == 0 || *count > tag_count_max || unit == std::end(units)) {
      return invalid_value(use.value);
    }
    tag.count = static_cast<std::uint32_t>(*count);
    tag.unit = unit->second;
  }
  if (host && parts.size() == 4 && parts[3] == "dst") tag.scope = Tag::Scope::destination;
  const bool directed = parts.size() == 4 && (parts[3] == "src" || parts[3] == "dst");
  if (host ? !directed : parts.size() > 3) return invalid_value(use.value);
  draft.rule.tags.push_back(tag);
  return {};
}

using Value = Keyword::Value;
constexpr std::array keywords = {
    Keyword{"flowbits", Value::required, &parse_flowbits},
    Keyword{"xbits", Value::required, &parse_xbits},
    Keyword{"hostbits", Value::required, &parse_xbits},
    Keyword{"flowint", Value::required, &parse_flowint},
    Keyword{"tag", Value::required, &parse_tag},
    Keyword{"threshold", Value::required, &parse_threshold},
    Keyword{"detection_filter", Value::required, &parse_detection_filter},
};

}  // namespace

std::span<const Keyword> state_keywords() { return keywords; }

}  // namespace menshen::sensor
