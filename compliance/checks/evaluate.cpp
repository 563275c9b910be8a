#include "compliance/checks/evaluate.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/handle.hpp"
#include "compliance/collect/utf8.hpp"

namespace menshen::compliance {
namespace {

using nlohmann::json;

constexpr std::uint32_t regex_steps_max = 100'000;
constexpr std::uint32_t regex_depth_max = 1'000;
constexpr std::size_t regex_subject_bytes_max = 1U << 20U;

using Regex = Handle<pcre2_code, &pcre2_code_free>;
using MatchContext = Handle<pcre2_match_context, &pcre2_match_context_free>;
using MatchData = Handle<pcre2_match_data, &pcre2_match_data_free>;

// A regex that does not compile, or exceeds its limits, is an error of the check: never a match,
// never a mismatch.
Outcome regex_matches(const std::string& pattern, const std::string& subject) {
  if (subject.size() > regex_subject_bytes_max) return Outcome::error;
  int code = 0;
  std::size_t offset = 0;
  const Regex regex(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                  PCRE2_UTF | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &code,
                                  &offset, nullptr));
  if (!regex) return Outcome::error;
  const MatchContext context(pcre2_match_context_create(nullptr));
  const MatchData data(pcre2_match_data_create_from_pattern(regex.get(), nullptr));
  if (!context || !data) return Outcome::error;
  pcre2_set_match_limit(context.get(), regex_steps_max);
  pcre2_set_depth_limit(context.get(), regex_depth_max);
  const int found = pcre2_match(regex.get(), reinterpret_cast<PCRE2_SPTR>(subject.data()),
                                subject.size(), 0, 0, data.get(), context.get());
  if (found >= 0) return Outcome::yes;
  return found == PCRE2_ERROR_NOMATCH ? Outcome::no : Outcome::error;
}

std::optional<std::int64_t> number_of(const json& value) {
  if (value.is_number_unsigned() &&
      value.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX)) {
    return INT64_MAX;
  }
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (value.is_array()) return static_cast<std::int64_t>(value.size());
  if (!value.is_string()) return std::nullopt;
  const auto& text = value.get_ref<const std::string&>();
  std::int64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, code] = std::from_chars(text.data(), end, number);
  if (code != std::errc{} || stop != end) return std::nullopt;
  return number;
}

// In a list one element is enough; anything but texts is an error.
Outcome regex_test(const json& value, const std::string& pattern) {
  if (value.is_string()) return regex_matches(pattern, value.get_ref<const std::string&>());
  if (!value.is_array()) return Outcome::error;
  Outcome outcome = Outcome::no;
  for (const json& element : value) {
    if (!element.is_string()) return Outcome::error;
    const Outcome one = regex_matches(pattern, element.get_ref<const std::string&>());
    if (one == Outcome::error) return one;
    if (one == Outcome::yes) outcome = one;
  }
  return outcome;
}

// Configuration files hold texts: the text "3" equals the number 3, and "true" the truth value.
bool same(const json& a, const json& b) {
  if (a == b) return true;
  const auto text = [](const json& v) {
    return v.is_string() ? v.get<std::string>()
                         : v.dump(-1, ' ', false, json::error_handler_t::replace);
  };
  const bool scalars = !a.is_structured() && !b.is_structured() && !a.is_null() && !b.is_null();
  return scalars && (a.is_string() || b.is_string()) && text(a) == text(b);
}

Outcome opposite(Outcome outcome) {
  if (outcome == Outcome::yes) return Outcome::no;
  return outcome == Outcome::no ? Outcome::yes : outcome;
}

Outcome from(bool truth) { return truth ? Outcome::yes : Outcome::no; }

bool holds(const json& value, const json& wanted) {
  if (value.is_array())
    return std::any_of(value.begin(), value.end(), [&](const json& v) { return same(v, wanted); });
  if (value.is_object()) return wanted.is_string() && value.contains(wanted.get<std::string>());
  if (!value.is_string() || !wanted.is_string()) return same(value, wanted);
  return value.get_ref<const std::string&>().find(wanted.get_ref<const std::string&>()) !=
         std::string::npos;
}

Outcome contains(const json& value, const json& wanted, bool every) {
  if (!wanted.is_array()) return from(holds(value, wanted) == every);
  const auto test = [&](const json& w) { return holds(value, w); };
  return from(every ? std::all_of(wanted.begin(), wanted.end(), test)
                    : std::none_of(wanted.begin(), wanted.end(), test));
}

std::optional<unsigned> octal(const json& value) {
  if (!value.is_string()) return std::nullopt;
  const auto& text = value.get_ref<const std::string&>();
  unsigned mode = 0;
  const char* end = text.data() + text.size();
  const auto [stop, code] = std::from_chars(text.data(), end, mode, 8);
  if (code != std::errc{} || stop != end) return std::nullopt;
  return mode;
}

Outcome compare_numbers(const Predicate& p, const json& value) {
  const auto have = number_of(value);
  const auto want = number_of(p.expected);
  if (!have || !want) return Outcome::error;
  return from(p.op == Operator::at_least ? *have >= *want : *have <= *want);
}

Outcome is_empty(const json& value, const json& wanted) {
  if (!value.is_structured() && !value.is_string()) return Outcome::error;
  const bool empty =
      value.is_string() ? value.get_ref<const std::string&>().empty() : value.empty();
  return from(empty == wanted.get<bool>());
}

// A value of a type the operator cannot judge is an error, so that none turns it into a pass.
Outcome compare(const Predicate& p, const json& value) {
  switch (p.op) {
    case Operator::equals:
      return from(same(value, p.expected));
    case Operator::not_equals:
      return value.is_null() ? Outcome::error : from(!same(value, p.expected));
    case Operator::at_least:
    case Operator::at_most:
      return compare_numbers(p, value);
    case Operator::contains:
      return contains(value, p.expected, true);
    case Operator::lacks:
      if (value.is_null() || value.is_boolean() || value.is_number()) return Outcome::error;
      return contains(value, p.expected, false);
    case Operator::one_of:
      return from(std::any_of(p.expected.begin(), p.expected.end(),
                              [&](const json& v) { return same(value, v); }));
    case Operator::matches:
      return regex_test(value, p.expected.get_ref<const std::string&>());
    case Operator::matches_none:
      return opposite(regex_test(value, p.expected.get_ref<const std::string&>()));
    case Operator::exists:
      return from(p.expected.get<bool>());
    case Operator::empty:
      return is_empty(value, p.expected);
    case Operator::mode_at_most: {
      const auto have = octal(value);
      const auto allowed = octal(p.expected);
      if (!have || !allowed) return Outcome::error;
      return from((*have & ~*allowed) == 0);
    }
  }
  return Outcome::error;
}

std::string shown(const json& value) {
  const std::string text = value.is_string()
                               ? value.get<std::string>()
                               : value.dump(-1, ' ', false, json::error_handler_t::replace);
  std::string safe = printable(text, observed_bytes_max);
  if (text.size() > observed_bytes_max) safe += "\xe2\x80\xa6";
  return safe;
}

Text expectation(const Predicate& p) {
  std::string value = shown(p.expected);
  if (p.expected.is_array()) {
    value.clear();
    for (const json& v : p.expected) value += (value.empty() ? "" : ", ") + shown(v);
  }
  const bool wanted = p.expected.is_boolean() && p.expected.get<bool>();
  switch (p.op) {
    case Operator::equals:
      return {"等于 " + value, "equals " + value};
    case Operator::not_equals:
      return {"不等于 " + value, "is not " + value};
    case Operator::at_least:
      return {"不小于 " + value, "at least " + value};
    case Operator::at_most:
      return {"不大于 " + value, "at most " + value};
    case Operator::contains:
      return {"包含 " + value, "contains " + value};
    case Operator::lacks:
      return {"不含 " + value, "contains none of " + value};
    case Operator::one_of:
      return {"取值为其一：" + value, "is one of " + value};
    case Operator::matches:
      return {"匹配 " + value, "matches " + value};
    case Operator::matches_none:
      return {"均不匹配 " + value, "none matches " + value};
    case Operator::exists:
      return wanted ? Text{"存在", "present"} : Text{"不存在", "not present"};
    case Operator::empty:
      return wanted ? Text{"为空", "empty"} : Text{"非空", "not empty"};
    case Operator::mode_at_most:
      return {"权限不超过 " + value, "mode within " + value};
  }
  return {};
}

// In a collected fact, without the key: what the predicate says about its absence.
Outcome without_value(const Predicate& p, Observation& seen) {
  if (p.op == Operator::exists) return from(!p.expected.get<bool>());
  if (p.fallback) {
    seen.observed = shown(*p.fallback);
    return compare(p, *p.fallback);
  }
  return p.absent_is_unmet ? Outcome::no : Outcome::unknown;
}

Outcome test(const Predicate& p, const Facts& facts, std::vector<Observation>& observations) {
  Observation seen;
  seen.path = p.path;
  seen.expected = expectation(p);
  const Facts::Found found = facts.find(p.path);
  seen.fact = found.name;
  if (found.fact == nullptr) {
    seen.outcome = Outcome::unknown;
  } else if (found.fact->failure) {
    seen.outcome = Outcome::error;
  } else if (found.value == nullptr) {
    seen.outcome = without_value(p, seen);
  } else {
    seen.observed = shown(*found.value);
    seen.outcome = compare(p, *found.value);
  }
  observations.push_back(std::move(seen));
  return observations.back().outcome;
}

// A list as a person writes it.
std::string spoken(const json& value, Lang lang) {
  const bool flat = value.is_array() && std::none_of(value.begin(), value.end(), [](const json& v) {
                      return v.is_structured();
                    });
  if (!flat) return shown(value);
  if (value.empty()) return lang == Lang::zh ? "无" : "none";
  std::string result;
  for (const json& element : value) {
    if (!result.empty()) result += lang == Lang::zh ? "、" : ", ";
    result += shown(element);
    if (result.size() > observed_bytes_max) return printable(result, observed_bytes_max) + "…";
  }
  return result;
}

// {path} becomes the observed value; a path that was not observed becomes a dash.
std::string fill(const std::string& text, const Facts& facts, Lang lang) {
  std::string result;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t open = text.find('{', at);
    const std::size_t close = open == std::string::npos ? open : text.find('}', open);
    if (close == std::string::npos) {
      result += text.substr(at);
      break;
    }
    result += text.substr(at, open - at);
    const Facts::Found found =
        facts.find(std::string_view(text).substr(open + 1, close - open - 1));
    result += found.value == nullptr ? "—" : spoken(*found.value, lang);
    at = close + 1;
  }
  return result;
}

Text fill(const Text& text, const Facts& facts) {
  return {fill(text.zh, facts, Lang::zh), fill(text.en, facts, Lang::en)};
}

bool only_host(const Expression& expression) {
  if (expression.kind == Expression::Kind::predicate)
    return expression.predicate.path.compare(0, 5, "host.") == 0;
  return std::all_of(expression.children.begin(), expression.children.end(), only_host);
}

const Observation* first(const std::vector<Observation>& all, Outcome outcome) {
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&](const Observation& o) { return o.outcome == outcome; });
  return found == all.end() ? nullptr : &*found;
}

void unjudged(CheckResult& result, Outcome outcome, const Facts& facts) {
  const Observation* why = first(result.observations, outcome);
  const std::string path = why == nullptr ? "" : why->path;
  if (outcome == Outcome::unknown) {
    result.verdict = Verdict::not_checked;
    result.reason = {"缺少证据：未采集到 " + path, "No evidence: " + path + " was not collected"};
    return;
  }
  result.verdict = Verdict::error;
  const Facts::Found found = facts.find(path);
  const Text cause = found.fact != nullptr && found.fact->failure
                         ? *found.fact->failure
                         : Text{"取值无法按此检查判断", "the value cannot be judged by this check"};
  result.reason = {path + " 采集或判断失败：" + cause.zh, path + " failed: " + cause.en};
}

}  // namespace

Text verdict_text(Verdict verdict) {
  switch (verdict) {
    case Verdict::conforming:
      return {"符合", "Conforming"};
    case Verdict::partial:
      return {"部分符合", "Partial"};
    case Verdict::failing:
      return {"不符合", "Not conforming"};
    case Verdict::not_applicable:
      return {"不适用", "Not applicable"};
    case Verdict::not_checked:
      return {"未检", "Not checked"};
    case Verdict::error:
      return {"采集失败", "Error"};
  }
  return {};
}

std::string_view verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::conforming:
      return "conforming";
    case Verdict::partial:
      return "partial";
    case Verdict::failing:
      return "failing";
    case Verdict::not_applicable:
      return "not_applicable";
    case Verdict::not_checked:
      return "not_checked";
    case Verdict::error:
      return "error";
  }
  return "";
}

Outcome evaluate(const Expression& expression, const Facts& facts,
                 std::vector<Observation>& observations) {
  if (expression.kind == Expression::Kind::predicate)
    return test(expression.predicate, facts, observations);
  // The deciding outcome first, then what keeps it open, then the rest.
  const bool all = expression.kind == Expression::Kind::all_of;
  const Outcome deciding = all ? Outcome::no : Outcome::yes;
  bool decided = false;
  bool error = false;
  bool unknown = false;
  for (const Expression& child : expression.children) {
    const Outcome outcome = evaluate(child, facts, observations);
    decided = decided || outcome == deciding;
    error = error || outcome == Outcome::error;
    unknown = unknown || outcome == Outcome::unknown;
  }
  if (decided) return deciding;
  if (error) return Outcome::error;
  if (unknown) return Outcome::unknown;
  return all ? Outcome::yes : Outcome::no;
}

bool is_host_check(const Check& check) {
  return only_host(check.assertion) && (!check.partial || only_host(*check.partial)) &&
         (!check.applies || only_host(*check.applies));
}

CheckResult run_check(const Check& check, const Facts& facts) {
  CheckResult result;
  result.check = &check;
  if (check.applies) {
    const Outcome applies = evaluate(*check.applies, facts, result.observations);
    if (applies == Outcome::no) {
      result.verdict = Verdict::not_applicable;
      result.reason = {"本对象不具备该检查的前提", "The object has nothing this check applies to"};
      return result;
    }
    if (applies != Outcome::yes) {
      unjudged(result, applies, facts);
      return result;
    }
  }
  Outcome outcome = evaluate(check.assertion, facts, result.observations);
  if (outcome == Outcome::yes) {
    result.verdict = Verdict::conforming;
    result.reason = fill(check.pass_reason, facts);
  } else if (outcome == Outcome::no) {
    const bool partial =
        check.partial && evaluate(*check.partial, facts, result.observations) == Outcome::yes;
    result.verdict = partial ? Verdict::partial : Verdict::failing;
    result.reason = fill(partial ? check.partial_reason : check.fail_reason, facts);
  } else {
    unjudged(result, outcome, facts);
  }
  return result;
}

}  // namespace menshen::compliance
