#include "compliance/runs/run.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

namespace menshen::compliance {
namespace {

using Json = nlohmann::json;

constexpr std::array<Verdict, 6> all_verdicts{Verdict::conforming,  Verdict::partial,
                                              Verdict::failing,     Verdict::not_applicable,
                                              Verdict::not_checked, Verdict::error};

tl::unexpected<Error> not_a_run(const std::string& what) {
  return fail(ErrorCode::corrupt,
              {"不是自查结果文件：" + what, "not the result of an assessment: " + what});
}

// Members that must be there, with a type; the first that is not stops the reading.
class Member {
 public:
  explicit Member(const Json& object) : object_(object) {}

  const Json* find(const char* key, Json::value_t type) {
    const auto found = object_.is_object() ? object_.find(key) : object_.end();
    const bool number = type == Json::value_t::number_unsigned && found != object_.end() &&
                        found->is_number_unsigned();
    if (object_.is_object() && found != object_.end() && (found->type() == type || number))
      return &*found;
    if (missing.empty()) missing = key;
    return nullptr;
  }
  std::string text(const char* key) {
    const Json* value = find(key, Json::value_t::string);
    return value == nullptr ? std::string() : value->get<std::string>();
  }
  std::size_t number(const char* key) {
    const Json* value = find(key, Json::value_t::number_unsigned);
    return value == nullptr ? 0 : value->get<std::size_t>();
  }
  Text both(const char* key) {
    const Json* value = find(key, Json::value_t::object);
    if (value == nullptr) return {};
    Member inner(*value);
    Text result{inner.text("zh"), inner.text("en")};
    if (missing.empty()) missing = inner.missing;
    return result;
  }
  // -1 for null.
  int tenths(const char* key) {
    const auto found = object_.is_object() ? object_.find(key) : object_.end();
    if (!object_.is_object() || found == object_.end() ||
        !(found->is_null() || found->is_number())) {
      if (missing.empty()) missing = key;
      return -1;
    }
    if (found->is_null()) return -1;
    const double value = found->get<double>();
    return value >= 0 && value <= 100 ? static_cast<int>(std::floor(value * 10 + 0.5)) : -1;
  }
  std::string missing;

 private:
  const Json& object_;
};

std::optional<Verdict> verdict_of(const std::string& name) {
  for (const Verdict verdict : all_verdicts)
    if (verdict_name(verdict) == name) return verdict;
  return std::nullopt;
}

bool is_finding(Verdict verdict) {
  return verdict == Verdict::failing || verdict == Verdict::partial;
}

Result<std::vector<KeptVerdict>> verdicts_of(const Json& list, bool items) {
  if (list.size() > run_entries_max) {
    return fail(ErrorCode::limit, {"自查结果条目过多", "the assessment has too many entries"});
  }
  std::vector<KeptVerdict> result;
  for (const Json& entry : list) {
    Member member(entry);
    KeptVerdict kept;
    kept.id = member.text("id");
    kept.reason = member.both("reason");
    const auto verdict = verdict_of(member.text("verdict"));
    if (!items) kept.object = member.text("object_id");
    if (items) {
      const Json* risk = member.find("high_risk", Json::value_t::boolean);
      kept.high_risk = risk != nullptr && risk->get<bool>() && verdict && is_finding(*verdict);
    }
    if (!member.missing.empty()) return not_a_run(member.missing);
    if (!verdict) return not_a_run("verdict");
    kept.verdict = *verdict;
    result.push_back(std::move(kept));
  }
  return result;
}

KeptStanding standing_of(const Json& edition, std::string& missing) {
  Member member(edition);
  KeptStanding standing;
  standing.edition = member.text("id");
  standing.title = member.both("title");
  const auto score = edition.is_object() ? edition.find("score") : edition.end();
  standing.score = edition.is_object() && score != edition.end() && *score == true;
  standing.value_tenths = member.tenths("value");
  standing.worst_tenths = member.tenths("worst");
  standing.best_tenths = member.tenths("best");
  if (missing.empty()) missing = member.missing;
  return standing;
}

void read_totals(const Json& totals, KeptRun& run, std::string& missing) {
  Member member(totals);
  run.all.total = member.number("items");
  for (const Verdict verdict : all_verdicts) {
    run.all.by_verdict[static_cast<std::size_t>(verdict)] =
        member.number(std::string(verdict_name(verdict)).c_str());
  }
  run.coverage_tenths = std::max(0, member.tenths("coverage_percent"));
  run.findings = member.number("findings");
  run.high_risk = member.number("high_risk");
  if (missing.empty()) missing = member.missing;
}

int rank(Verdict verdict) {
  switch (verdict) {
    case Verdict::conforming:
    case Verdict::not_applicable:
      return 3;
    case Verdict::partial:
      return 2;
    case Verdict::failing:
      return 1;
    case Verdict::not_checked:
    case Verdict::error:
      break;
  }
  return 0;  // open
}

std::optional<Change> change_of(Verdict before, Verdict after) {
  const int was = rank(before);
  const int is = rank(after);
  if (was == is) return std::nullopt;
  if (is == 0) return Change::lost;
  if (was == 0) return is_finding(after) ? Change::worsened : Change::gained;
  return is > was ? Change::improved : Change::worsened;
}

std::vector<VerdictChange> changes(const std::vector<KeptVerdict>& before,
                                   const std::vector<KeptVerdict>& after) {
  using Key = std::pair<std::string_view, std::string_view>;  // into `before` and `after`
  std::map<Key, Verdict> earlier;
  for (const KeptVerdict& kept : before) earlier.emplace(Key{kept.id, kept.object}, kept.verdict);
  std::vector<VerdictChange> result;
  for (const KeptVerdict& kept : after) {
    const auto found = earlier.find(Key{kept.id, kept.object});
    if (found == earlier.end()) continue;
    const auto change = change_of(found->second, kept.verdict);
    if (!change) continue;
    result.push_back(
        {*change, kept.id, kept.object, found->second, kept.verdict, kept.reason, kept.high_risk});
  }
  std::stable_sort(
      result.begin(), result.end(),
      [](const VerdictChange& a, const VerdictChange& b) { return a.change < b.change; });
  return result;
}

std::vector<std::string> missing_in(const std::vector<std::string>& some,
                                    const std::vector<std::string>& others) {
  const std::set<std::string_view> known(others.begin(), others.end());
  std::vector<std::string> result;
  for (const std::string& each : some)
    if (known.count(each) == 0) result.push_back(each);
  return result;
}

std::string_view view_name(View view) {
  if (view == View::provider) return "provider";
  return view == View::tenant ? "tenant" : "all";
}

nlohmann::ordered_json tenths(int value) {
  return value < 0 ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(value / 10.0);
}

nlohmann::ordered_json summary(const KeptRun& run) {
  nlohmann::ordered_json out = {{"assessed_at", format_utc(run.assessed_at)},
                                {"view", run.view},
                                {"rules", run.rules},
                                {"coverage_percent", tenths(run.coverage_tenths)},
                                {"findings", run.findings},
                                {"high_risk", run.high_risk}};
  for (const Verdict verdict : all_verdicts)
    out[std::string(verdict_name(verdict))] = run.all.count(verdict);
  out["editions"] = nlohmann::ordered_json::array();
  for (const KeptStanding& s : run.standings) {
    out["editions"].push_back({{"id", s.edition},
                               {"value", tenths(s.value_tenths)},
                               {"worst", tenths(s.worst_tenths)},
                               {"best", tenths(s.best_tenths)}});
  }
  return out;
}

nlohmann::ordered_json list(const std::vector<VerdictChange>& changes) {
  auto out = nlohmann::ordered_json::array();
  for (const VerdictChange& change : changes) {
    nlohmann::ordered_json entry = {
        {"id", change.id},
        {"change", change_name(change.change)},
        {"before", verdict_name(change.before)},
        {"after", verdict_name(change.after)},
        {"reason", {{"zh", change.reason.zh}, {"en", change.reason.en}}}};
    if (change.object.empty()) {
      entry["high_risk"] = change.high_risk;
    } else {
      entry["object_id"] = change.object;
    }
    out.push_back(std::move(entry));
  }
  return out;
}

}  // namespace

Result<KeptRun> parse_run(std::string_view json) {
  if (json.size() > run_bytes_max) {
    return fail(ErrorCode::limit, {"自查结果文件过大", "the assessment's file is too large"});
  }
  const Json document = Json::parse(json, nullptr, false);
  Member member(document);
  const std::string format = member.text("format");
  if (format != "menshen-assessment/1") return not_a_run("format");
  KeptRun run;
  const auto time = parse_time(member.text("assessed_at"));
  if (!time) return not_a_run("assessed_at");
  run.assessed_at = *time;
  run.view = member.text("view");
  std::string missing;
  if (const Json* subject = member.find("subject", Json::value_t::object)) {
    Member inner(*subject);
    run.host = inner.text("host");
    missing = inner.missing;
  }
  if (const Json* rules = member.find("catalogue", Json::value_t::object)) {
    Member inner(*rules);
    run.rules = inner.text("sha256");
    if (missing.empty()) missing = inner.missing;
  }
  if (const Json* totals = member.find("totals", Json::value_t::object))
    read_totals(*totals, run, missing);
  const Json* editions = member.find("editions", Json::value_t::array);
  const Json* objects = member.find("objects", Json::value_t::array);
  const Json* items = member.find("items", Json::value_t::array);
  const Json* checks = member.find("checks", Json::value_t::array);
  if (!member.missing.empty()) return not_a_run(member.missing);
  for (const Json& edition : *editions) run.standings.push_back(standing_of(edition, missing));
  for (const Json& object : *objects) {
    Member inner(object);
    run.objects.push_back(inner.text("id"));
    if (missing.empty()) missing = inner.missing;
  }
  if (!missing.empty()) return not_a_run(missing);
  run.items = MENSHEN_TRY(verdicts_of(*items, true));
  run.checks = MENSHEN_TRY(verdicts_of(*checks, false));
  return run;
}

KeptRun kept_run(const Assessment& a) {
  KeptRun run;
  run.assessed_at = a.assessed_at;
  run.host = a.subject.host;
  run.view = view_name(a.view);
  run.rules = a.catalogue->digest_sha256;
  run.all = a.all;
  run.coverage_tenths = a.coverage_tenths;
  run.findings = a.findings.size();
  run.high_risk = a.high_risk.size();
  for (const Standing& s : a.standings) {
    run.standings.push_back({s.edition->id, s.edition->title, s.edition->score, s.value_tenths,
                             s.worst_tenths, s.best_tenths});
  }
  for (const AssessedObject& object : a.objects) run.objects.push_back(object.id);
  for (const ItemResult& r : a.items) {
    run.items.push_back({r.item->id, "", r.verdict, r.reason,
                         r.item->high_risk.has_value() && is_finding(r.verdict)});
  }
  for (const CheckResult& r : a.checks)
    run.checks.push_back({r.check->id, a.objects[r.object].id, r.verdict, r.reason, false});
  return run;
}

Text change_text(Change change) {
  switch (change) {
    case Change::worsened:
      return {"变差", "Worse"};
    case Change::improved:
      return {"改善", "Better"};
    case Change::lost:
      return {"证据缺失", "Evidence lost"};
    case Change::gained:
      return {"补齐证据", "Evidence gained"};
  }
  return {};
}

std::string_view change_name(Change change) {
  switch (change) {
    case Change::worsened:
      return "worsened";
    case Change::improved:
      return "improved";
    case Change::lost:
      return "lost";
    case Change::gained:
      return "gained";
  }
  return "";
}

std::size_t Comparison::count(Change change) const {
  return static_cast<std::size_t>(
      std::count_if(items.begin(), items.end(),
                    [&](const VerdictChange& each) { return each.change == change; }));
}

Comparison compare(KeptRun before, KeptRun after) {
  Comparison result;
  result.other_rules = before.rules != after.rules;
  result.other_view = before.view != after.view;
  result.items = changes(before.items, after.items);
  result.checks = changes(before.checks, after.checks);
  result.objects_new = missing_in(after.objects, before.objects);
  result.objects_gone = missing_in(before.objects, after.objects);
  result.before = std::move(before);
  result.after = std::move(after);
  return result;
}

std::string to_json(const Comparison& c) {
  const nlohmann::ordered_json out = {
      {"format", "menshen-comparison/1"}, {"kind", "self-assessment"},
      {"before", summary(c.before)},      {"after", summary(c.after)},
      {"other_rules", c.other_rules},     {"other_view", c.other_view},
      {"items", list(c.items)},           {"checks", list(c.checks)},
      {"objects_new", c.objects_new},     {"objects_gone", c.objects_gone}};
  return out.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace menshen::compliance
