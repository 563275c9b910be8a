// What is known of the addresses: iprep.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "sensor/detect/keyword.hpp"
#include "sensor/detect/reputation.hpp"

namespace menshen::sensor {
namespace {

std::optional<ReputationTest::Side> side_of(std::string_view name) {
  using Side = ReputationTest::Side;
  static constexpr std::pair<std::string_view, Side> sides[] = {
      {"src", Side::source}, {"dst", Side::destination}, {"any", Side::any}, {"both", Side::both}};
  for (const auto& [text, side] : sides) {
    if (text == name) return side;
  }
  return std::nullopt;
}

// "src,CnC,>,30"; "both,CnC,isset"; "any,CnC,isnotset".
Result<void> parse_iprep(RuleDraft& draft, const KeywordUse& use) {
  if (draft.reputation == nullptr) {
    return invalid("未配置 IP 信誉（sensor.reputation_categories）",
                   "no IP reputation is configured (sensor.reputation_categories)");
  }
  const auto parts = split(use.value, ',');
  if (parts.size() != 3 && parts.size() != 4) return invalid_value(use.value);
  ReputationTest test;
  test.reputation = draft.reputation;
  const auto side = side_of(parts[0]);
  if (!side) return invalid_value(parts[0]);
  test.side = *side;
  const auto category = draft.reputation->category(parts[1]);
  if (!category) {
    return invalid(fmt::format("未知信誉分类 \"{}\"", parts[1]),
                   fmt::format("unknown reputation category \"{}\"", parts[1]));
  }
  test.category = *category;
  if (parts.size() == 3) {
    test.known = parts[2] == "isset";
    if (!test.known && parts[2] != "isnotset") return invalid_value(parts[2]);
  } else {
    static constexpr std::array<std::string_view, 5> signs{"<", ">", "<=", ">=", "="};
    if (std::ranges::find(signs, parts[2]) == signs.end()) return invalid_value(parts[2]);
    const std::string range =
        (parts[2] == "=" ? "" : std::string(parts[2])) + std::string(parts[3]);
    if (!parse_number(parts[3])) return invalid_value(parts[3]);
    test.score = MENSHEN_TRY(parse_range(range, reputation_score_max));
  }
  draft.rule.header.emplace_back(std::move(test));
  return {};
}

constexpr std::array keywords = {
    Keyword{"iprep", Keyword::Value::required, &parse_iprep},
};

}  // namespace

std::span<const Keyword> reputation_keywords() { return keywords; }

}  // namespace menshen::sensor
