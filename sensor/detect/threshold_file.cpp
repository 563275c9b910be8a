#include "sensor/detect/threshold_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "sensor/detect/keyword.hpp"
#include "sensor/detect/rule_lexer.hpp"
#include "sensor/detect/rule_parser.hpp"

namespace menshen::sensor {
namespace {

// Between commas, but not those inside of brackets.
std::vector<std::string_view> split_outside(std::string_view text) {
  std::vector<std::string_view> parts;
  std::size_t begin = 0;
  int depth = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && text[i] == '[') ++depth;
    if (i < text.size() && text[i] == ']') --depth;
    if (i < text.size() && (text[i] != ',' || depth > 0)) continue;
    parts.push_back(trim(text.substr(begin, i - begin)));
    begin = i + 1;
  }
  return parts;
}

struct Option {
  std::string_view name;
  std::string_view value;
};

Option option_of(std::string_view part) {
  const std::size_t blank = std::min(part.find_first_of(" \t"), part.size());
  return {part.substr(0, blank), trim(part.substr(blank))};
}

class EntryReader {
 public:
  explicit EntryReader(const Variables& variables) : variables_(variables) {}

  Result<ThresholdEntry> read(std::string_view line) {
    const std::size_t blank = std::min(line.find_first_of(" \t"), line.size());
    const std::string_view kind = line.substr(0, blank);
    for (const auto part : split_outside(line.substr(blank))) {
      const Option option = option_of(part);
      if (option.name == "gen_id" || option.name == "sig_id") {
        const auto number = parse_number(option.value);
        if (!number || *number > UINT32_MAX) return invalid_value(part);
        (option.name == "gen_id" ? entry_.gid : entry_.sid) = static_cast<std::uint32_t>(*number);
      } else {
        rest_.push_back(part);
      }
    }
    if (kind == "suppress") return suppression();
    if (kind == "threshold" || kind == "event_filter") return threshold();
    if (kind == "rate_filter") return rate_filter();
    return invalid_value(kind);
  }

 private:
  Result<ThresholdEntry> suppression() {
    using Track = Suppression::Track;
    static constexpr std::pair<std::string_view, Track> tracks[] = {
        {"by_src", Track::source}, {"by_dst", Track::destination}, {"by_either", Track::either}};
    Suppression suppression;
    bool addressed = false;
    for (const auto part : rest_) {
      const Option option = option_of(part);
      if (option.name == "track") {
        const auto* found =
            std::ranges::find(tracks, option.value, &std::pair<std::string_view, Track>::first);
        if (found == std::end(tracks)) return invalid_value(part);
        suppression.track = found->second;
      } else if (option.name == "ip") {
        suppression.hosts = MENSHEN_TRY(AddressSet::parse(option.value, variables_));
        addressed = true;
      } else {
        return invalid_value(part);
      }
    }
    if (addressed != (suppression.track != Track::any)) {
      return invalid("track 与 ip 须一同给出", "track and ip go together");
    }
    entry_.suppression = std::move(suppression);
    return std::move(entry_);
  }

  // As in a rule.
  Result<Threshold> as_keyword(std::string_view keyword, std::span<const std::string_view> parts) {
    RuleDraft draft(default_classifications());
    const std::string value = fmt::format("{}", fmt::join(parts, ","));
    MENSHEN_CHECK(find_keyword(keyword)->parse(draft, {keyword, value}));
    return keyword == "threshold" ? draft.rule.threshold : draft.rule.detection_filter;
  }

  Result<ThresholdEntry> threshold() {
    entry_.threshold = MENSHEN_TRY(as_keyword("threshold", rest_));
    return std::move(entry_);
  }

  Result<ThresholdEntry> rate_filter() {
    static constexpr std::pair<std::string_view, RuleAction> actions[] = {
        {"alert", RuleAction::alert},
        {"pass", RuleAction::pass},
        {"drop", RuleAction::drop},
        {"reject", RuleAction::reject}};
    RateFilter filter;
    std::vector<std::string_view> parts;
    bool acts = false;
    for (const auto part : rest_) {
      const Option option = option_of(part);
      if (option.name == "new_action") {
        const auto* found = std::ranges::find(actions, option.value,
                                              &std::pair<std::string_view, RuleAction>::first);
        if (found == std::end(actions)) return invalid_value(part);
        filter.action = found->second;
        acts = true;
      } else if (option.name == "timeout") {
        const auto seconds = parse_number(option.value);
        if (!seconds || *seconds == 0 || *seconds > UINT32_MAX) return invalid_value(part);
        filter.seconds = static_cast<std::uint32_t>(*seconds);
      } else {
        parts.push_back(part);
      }
    }
    if (!acts || filter.seconds == 0) {
      return invalid("缺少 new_action 或 timeout", "new_action or timeout is missing");
    }
    filter.rate = MENSHEN_TRY(as_keyword("detection_filter", parts));
    entry_.rate_filter = filter;
    return std::move(entry_);
  }

  const Variables& variables_;
  ThresholdEntry entry_;
  std::vector<std::string_view> rest_;
};

}  // namespace

std::vector<ThresholdEntry> parse_thresholds(std::string_view source, const Variables& variables,
                                             Diagnostics& diagnostics) {
  std::vector<ThresholdEntry> entries;
  for (const RuleText& text : split_rules(source)) {
    auto entry = EntryReader(variables).read(trim(text.text()));
    if (entry) {
      entries.push_back(std::move(*entry));
    } else {
      diagnostics.error("threshold", text.range(0, text.text().size()), entry.error().text);
    }
  }
  return entries;
}

void apply_thresholds(std::span<const ThresholdEntry> entries, std::span<Rule> rules) {
  for (Rule& rule : rules) {
    for (const ThresholdEntry& entry : entries) {
      if (entry.gid != 0 && entry.gid != rule.info.gid) continue;
      if (entry.sid != 0 && entry.sid != rule.info.sid) continue;
      const bool own = rule.threshold.kind != Threshold::Kind::none;
      if (entry.threshold.kind != Threshold::Kind::none && !own) rule.threshold = entry.threshold;
      if (entry.suppression) rule.suppressions.push_back(*entry.suppression);
      if (entry.rate_filter) rule.rate_filter = entry.rate_filter;
    }
  }
}

}  // namespace menshen::sensor
