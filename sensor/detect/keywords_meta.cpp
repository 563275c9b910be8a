// Keywords that say what a rule is, not what it looks for.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "sensor/detect/keyword.hpp"

namespace menshen::sensor {
namespace {

Result<std::uint32_t> number_in(std::string_view text, std::uint32_t min, std::uint32_t max) {
  const auto plain = unquote(text).value_or(text);
  const auto value = parse_number(plain);
  if (!value || *value < min || *value > max) return invalid_value(text);
  return static_cast<std::uint32_t>(*value);
}

Result<void> parse_msg(RuleDraft& draft, const KeywordUse& use) {
  const auto text = unquote(use.value);
  if (!text) return invalid("msg 须加引号", "msg must be quoted");
  std::string msg;
  for (std::size_t i = 0; i < text->size(); ++i) {
    if ((*text)[i] == '\\' && i + 1 < text->size()) ++i;
    msg.push_back((*text)[i]);
  }
  draft.rule.info.msg = std::move(msg);
  return {};
}

Result<void> parse_sid(RuleDraft& draft, const KeywordUse& use) {
  draft.rule.info.sid = MENSHEN_TRY(number_in(use.value, 1, UINT32_MAX));
  return {};
}
Result<void> parse_gid(RuleDraft& draft, const KeywordUse& use) {
  draft.rule.info.gid = MENSHEN_TRY(number_in(use.value, 0, UINT32_MAX));
  return {};
}
Result<void> parse_rev(RuleDraft& draft, const KeywordUse& use) {
  draft.rule.info.rev = MENSHEN_TRY(number_in(use.value, 0, UINT32_MAX));
  return {};
}
Result<void> parse_priority(RuleDraft& draft, const KeywordUse& use) {
  draft.rule.info.priority = MENSHEN_TRY(number_in(use.value, 1, 255));
  draft.rule.has_priority = true;
  return {};
}

// A class that no classification names is kept as a name: it decides nothing but what events say.
Result<void> parse_classtype(RuleDraft& draft, const KeywordUse& use) {
  auto& rule = draft.rule;
  rule.info.classtype = use.value;
  const auto found = draft.classifications().find(use.value);
  if (found == draft.classifications().end()) return {};
  rule.info.category = found->second.category;
  if (!rule.has_priority) rule.info.priority = found->second.priority;
  return {};
}

Result<void> parse_reference(RuleDraft& draft, const KeywordUse& use) {
  const auto comma = use.value.find(',');
  if (comma == std::string_view::npos) return invalid_value(use.value);
  draft.rule.info.references.emplace_back(trim(use.value.substr(0, comma)),
                                          trim(use.value.substr(comma + 1)));
  return {};
}

Result<void> parse_metadata(RuleDraft& draft, const KeywordUse& use) {
  for (const auto part : split(use.value, ',')) {
    const auto blank = part.find(' ');
    const auto value =
        blank == std::string_view::npos ? std::string_view{} : trim(part.substr(blank));
    draft.rule.info.metadata.emplace_back(part.substr(0, blank), value);
  }
  return {};
}

Result<void> parse_target(RuleDraft& draft, const KeywordUse& use) {
  if (use.value != "src_ip" && use.value != "dest_ip") return invalid_value(use.value);
  draft.rule.info.target = use.value;
  return {};
}

Result<void> parse_noalert(RuleDraft& draft, const KeywordUse&) {
  draft.rule.noalert = true;
  return {};
}
Result<void> parse_alert(RuleDraft& draft, const KeywordUse&) {
  draft.rule.alert_anyway = true;
  return {};
}
Result<void> parse_bypass(RuleDraft& draft, const KeywordUse&) {
  draft.rule.bypass = true;
  return {};
}
Result<void> parse_nothing(RuleDraft&, const KeywordUse&) { return {}; }

// Which pattern preselects a rule is decided by what is cheap here; the answer is the same.
Result<void> parse_flow(RuleDraft& draft, const KeywordUse& use) {
  auto& flow = draft.rule.flow;
  if (flow.present) return invalid("flow 只能出现一次", "flow may be given only once");
  flow.present = true;
  using State = FlowTest::State;
  const auto set_state = [&flow](State state) {
    if (flow.state != State::any) return false;
    flow.state = state;
    return true;
  };
  bool directed = false;
  for (const auto part : split(use.value, ',')) {
    bool fine = true;
    const bool to_server = part == "to_server" || part == "from_client" || part == "toserver";
    const bool to_client = part == "to_client" || part == "from_server" || part == "toclient";
    if (to_server || to_client) {
      fine = !directed;
      directed = true;
      flow.to_server = to_server;
      flow.to_client = to_client;
    } else if (part == "established") {
      fine = set_state(State::established);
    } else if (part == "not_established") {
      fine = set_state(State::not_established);
    } else if (part == "stateless") {
      fine = set_state(State::stateless);
    } else if (part == "only_stream") {
      fine = !flow.no_stream;
      flow.only_stream = true;
    } else if (part == "no_stream") {
      fine = !flow.only_stream;
      flow.no_stream = true;
    } else if (part == "only_frag") {
      fine = !flow.no_fragments;
      flow.only_fragments = true;
    } else if (part == "no_frag") {
      fine = !flow.only_fragments;
      flow.no_fragments = true;
    } else {
      return invalid_value(part);
    }
    if (!fine) {
      return invalid(fmt::format("flow 选项相互矛盾：{}", use.value),
                     fmt::format("flow options contradict each other: {}", use.value));
    }
  }
  return {};
}

// requires: a rule may ask for a language level; ours is that of Suricata 8.0.
using Version = std::array<std::uint64_t, 3>;
constexpr Version language_version = {8, 0, 8};

std::optional<Version> parse_version(std::string_view text) {
  Version version{};
  const auto numbers = split(text, '.');
  if (numbers.empty() || numbers.size() > 3) return std::nullopt;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const auto number = parse_number(numbers[i].substr(0, numbers[i].find('-')));
    if (!number) return std::nullopt;
    version[i] = *number;
  }
  return version;
}

// ">= 7.0.3 < 8": all of them hold. Nothing: it cannot be read.
std::optional<bool> version_fits(std::string_view text) {
  const auto word = words(text);
  if (word.empty() || word.size() % 2 != 0) return std::nullopt;
  bool fits = true;
  for (std::size_t i = 0; i < word.size(); i += 2) {
    const auto wanted = parse_version(word[i + 1]);
    if (!wanted) return std::nullopt;
    if (word[i] == ">=") {
      fits = fits && language_version >= *wanted;
    } else if (word[i] == ">") {
      fits = fits && language_version > *wanted;
    } else if (word[i] == "<") {
      fits = fits && language_version < *wanted;
    } else if (word[i] == "<=") {
      fits = fits && language_version <= *wanted;
    } else {
      return std::nullopt;
    }
  }
  return fits;
}

Result<void> parse_requires(RuleDraft&, const KeywordUse& use) {
  static constexpr std::string_view features[] = {"ja3", "ja4", "hassh", "output::file-store"};
  for (const auto part : split(use.value, ',')) {
    const auto blank = part.find(' ');
    const auto kind = part.substr(0, blank);
    const auto value =
        blank == std::string_view::npos ? std::string_view{} : trim(part.substr(blank));
    bool met = false;
    if (kind == "keyword") {
      met = find_keyword(value) != nullptr;
    } else if (kind == "feature") {
      met = std::ranges::find(features, value) != std::end(features);
    } else if (kind == "version") {
      for (const auto alternative : split(value, '|')) {
        const auto fits = version_fits(alternative);
        if (!fits) return invalid_value(part);
        met = met || *fits;
      }
    } else {
      return invalid_value(part);
    }
    if (!met) {
      return invalid(fmt::format("规则的前提不满足：{}", part),
                     fmt::format("what the rule requires is not there: {}", part));
    }
  }
  return {};
}

// config:logging disable, type tx, scope tx
Result<void> parse_config(RuleDraft& draft, const KeywordUse& use) {
  const auto parts = split(use.value, ',');
  const bool known = parts.size() == 3 && parts[0] == "logging disable" && parts[1] == "type tx" &&
                     parts[2] == "scope tx";
  if (!known) {
    return invalid("只支持 logging disable, type tx, scope tx",
                   "only \"logging disable, type tx, scope tx\" is supported");
  }
  draft.rule.quiet_transaction = true;
  return {};
}

using Value = Keyword::Value;
constexpr std::array keywords = {
    Keyword{"msg", Value::required, &parse_msg},
    Keyword{"sid", Value::required, &parse_sid},
    Keyword{"gid", Value::required, &parse_gid},
    Keyword{"rev", Value::required, &parse_rev},
    Keyword{"priority", Value::required, &parse_priority},
    Keyword{"classtype", Value::required, &parse_classtype},
    Keyword{"reference", Value::required, &parse_reference},
    Keyword{"metadata", Value::required, &parse_metadata},
    Keyword{"target", Value::required, &parse_target},
    Keyword{"noalert", Value::none, &parse_noalert},
    Keyword{"alert", Value::none, &parse_alert},
    Keyword{"bypass", Value::none, &parse_bypass},
    Keyword{"prefilter", Value::none, &parse_nothing},
    Keyword{"flow", Value::required, &parse_flow},
    Keyword{"requires", Value::required, &parse_requires},
    Keyword{"config", Value::required, &parse_config},
};

}  // namespace

std::span<const Keyword> meta_keywords() { return keywords; }

}  // namespace menshen::sensor
