#include "compliance/assess/assess.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>
#include <utility>

namespace menshen::compliance {
namespace {

// Check to its results, one an object.
using Index = std::map<std::string, std::vector<std::size_t>, std::less<>>;

struct Counts {
  std::size_t pass = 0, partial = 0, fail = 0, not_applicable = 0, open = 0, error = 0;
  std::size_t unsupported = 0;  // supporting checks that found no support
};

Counts count(const std::vector<std::size_t>& results, const std::vector<CheckResult>& checks) {
  Counts c;
  for (const std::size_t result : results) {
    switch (checks[result].verdict) {
      case Verdict::conforming:
        ++c.pass;
        break;
      case Verdict::partial:
        ++(checks[result].check->supporting ? c.unsupported : c.partial);
        break;
      case Verdict::failing:
        ++(checks[result].check->supporting ? c.unsupported : c.fail);
        break;
      case Verdict::not_applicable:
        ++c.not_applicable;
        break;
      case Verdict::not_checked:
        ++c.open;
        break;
      case Verdict::error:
        ++c.error;
        break;
    }
  }
  return c;
}

// Why an item without any check is open.
Text without_checks(const Item& item) {
  switch (item.automation) {
    case Automation::manual:
      return {"人工测评项：须由测评人员访谈、核查后判定", "Manual item: to be judged by a person"};
    case Automation::semi:
      return {"半自动测评项：须由人工提供材料并确认",
              "Semi-automatic item: needs a person's material"};
    case Automation::automatic:
      return {"本版本尚无该项的自动检查，须人工核查",
              "This version has no automatic check for the item; a person must look"};
  }
  return {};
}

bool carries(const Catalogue& catalogue, const AssessedObject& object, const Layer& layer) {
  if (object.appliance) return true;
  const ObjectClass* object_class = catalogue.find_class(object.class_id);
  return object_class != nullptr &&
         std::find(object_class->layers.begin(), object_class->layers.end(), layer.id) !=
             object_class->layers.end();
}

std::vector<std::size_t> results_for(const Item& item, const Layer& layer, const Index& index,
                                     const Assessment& a) {
  std::vector<std::size_t> results;
  for (const std::string& id : item.checks)
    for (const std::size_t result : index.at(id))
      if (carries(*a.catalogue, a.objects[a.checks[result].object], layer))
        results.push_back(result);
  return results;
}

ItemResult judge(const Item& item, const Layer& layer, const Index& index, const Assessment& a) {
  ItemResult result;
  result.item = &item;
  result.layer = &layer;
  result.checks = results_for(item, layer, index, a);
  if (item.checks.empty()) {
    result.reason = without_checks(item);
    return result;
  }
  const Counts c = count(result.checks, a.checks);
  const bool some = c.pass + c.partial > 0;
  result.open_objects = true;
  if (c.fail > 0) {
    result.verdict = some ? Verdict::partial : Verdict::failing;
    result.incomplete = c.error + c.open > 0;
    result.reason = some ? Text{"部分检查不符合", "Some checks do not conform"}
                         : Text{"检查结果不符合", "The checks do not conform"};
    return result;
  }
  if (c.error > 0) {
    result.verdict = Verdict::error;
    result.reason = {"证据采集失败，不作判定", "Collecting evidence failed: no verdict"};
  } else if (c.open > 0) {
    result.reason = {"证据不全，不作判定", "Evidence is missing: no verdict"};
  } else if (c.unsupported > 0) {
    result.reason = {"未见全部支持性证据，须人工核查",
                     "Not all supporting evidence was seen: a person must look"};
  } else if (!some) {
    result.reason = {"已采集对象不涉及，其他测评对象须另行测评",
                     "Does not arise on the objects looked at; the others are open"};
  } else if (item.automation != Automation::automatic) {
    result.supported = true;
    result.reason = {"已有支持性证据，待人工确认",
                     "Supporting evidence is at hand; a person must confirm"};
  } else if (c.partial > 0) {
    result.verdict = Verdict::partial;
    result.reason = {"检查结果部分符合", "The checks conform in part"};
  } else {
    result.verdict = Verdict::conforming;
    result.reason = {"各项检查均符合", "Every check conforms"};
  }
  return result;
}

bool is_finding(Verdict verdict) {
  return verdict == Verdict::failing || verdict == Verdict::partial;
}

Text why_not_counted(TaskState state) {
  switch (state) {
    case TaskState::waiting:
      return {"已有人工结论，待另一人复核", "Answered by a person; waits for another's review"};
    case TaskState::returned:
      return {"人工结论已被退回，待重新处理", "A person's answer was returned by its reviewer"};
    case TaskState::expired:
      return {"人工结论已到复测日期，须重新测评", "A person's answer has to be checked again"};
    case TaskState::open:
    case TaskState::accepted:
      break;
  }
  return {};
}

// What a person found. Only what is open is decided by it; a finding can be made worse.
void take_answer(ItemResult& result, const TaskRecord& record, WallTime now) {
  result.task = std::make_shared<const TaskRecord>(record);
  const Answer* answer = record.task.answer();
  if (answer == nullptr || !takes_answer(*result.item)) return;
  const bool open = result.verdict == Verdict::not_checked;
  if (record.failure) {
    if (open) result.reason = *record.failure;
    return;
  }
  const TaskState state = state_of(record.task, now);
  if (state != TaskState::accepted) {
    if (open) result.reason = why_not_counted(state);
    return;
  }
  const bool worse = answer->verdict == Verdict::failing && result.verdict == Verdict::partial;
  const bool found = result.verdict == Verdict::error && is_finding(answer->verdict);
  if (!open && !worse && !found) return;
  result.verdict = answer->verdict;
  result.reason = {
      fmt::format("人工判定（{}；{} 复核）：{}", answer->by, answer->reviewed_by, answer->text),
      fmt::format("Judged by {}, reviewed by {}: {}", answer->by, answer->reviewed_by,
                  answer->text)};
  result.by_person = true;
  result.supported = false;
  result.open_objects = false;
}

int tenths(double value) { return static_cast<int>(std::floor(value * 10 + 0.5)); }

Standing rate(const Edition& edition, const Tally& all) {
  const auto earned = static_cast<double>(all.count(Verdict::conforming)) +
                      edition.partial_share * static_cast<double>(all.count(Verdict::partial));
  const auto judged = static_cast<double>(all.judged());
  const auto applicable = static_cast<double>(all.applicable());
  const double open = applicable - judged;
  Standing s;
  s.edition = &edition;
  if (judged > 0) s.value_tenths = tenths(100 * earned / judged);
  if (applicable > 0) {
    s.worst_tenths = tenths(100 * earned / applicable);
    s.best_tenths = tenths(100 * (earned + open) / applicable);
  }
  return s;
}

// Points lost on one side: weight times what is missing, in units of 100/n; at most the side's 50.
double lost(const std::vector<ItemResult>& items, bool technical, double partial_share,
            double open_share, double unit) {
  double sum = 0;
  for (const ItemResult& r : items) {
    if (r.item->technical != technical) continue;
    double missing = 0;
    if (r.verdict == Verdict::failing) missing = 1;
    if (r.verdict == Verdict::partial) missing = 1 - partial_share;
    if (r.verdict == Verdict::not_checked || r.verdict == Verdict::error) missing = open_share;
    sum += r.item->weight * missing * unit;
  }
  return std::min(50.0, sum);
}

// The 2021 score: two sides of 50 points, from which defects are deducted.
Standing score(const Edition& edition, const Assessment& a) {
  Standing s;
  s.edition = &edition;
  const std::size_t n = a.all.applicable();
  if (n == 0 || a.all.judged() == 0) return s;
  const auto total = [&](double open_share, double unit) {
    return 100 - lost(a.items, true, edition.partial_share, open_share, unit) -
           lost(a.items, false, edition.partial_share, open_share, unit);
  };
  s.value_tenths = tenths(total(0, 100.0 / static_cast<double>(a.all.judged())));
  s.worst_tenths = tenths(total(1, 100.0 / static_cast<double>(n)));
  s.best_tenths = tenths(total(0, 100.0 / static_cast<double>(n)));
  return s;
}

bool in_view(Responsible responsible, View view) {
  return view == View::all || responsible == Responsible::both ||
         (responsible == Responsible::provider) == (view == View::provider);
}

Index run_checks(Assessment& a) {
  Index index;
  for (const auto& [id, check] : a.catalogue->checks) {
    std::vector<std::size_t>& results = index[id];
    const bool anywhere = is_host_check(check);
    for (std::size_t i = 0; i < a.objects.size(); ++i) {
      if (!anywhere && !a.objects[i].appliance) continue;
      results.push_back(a.checks.size());
      a.checks.push_back(run_check(check, a.objects[i].facts));
      a.checks.back().object = i;
    }
  }
  return index;
}

void collect_findings(Assessment& a) {
  for (std::size_t i = 0; i < a.items.size(); ++i) {
    const ItemResult& r = a.items[i];
    if (!is_finding(r.verdict)) continue;
    a.findings.push_back(i);
    if (r.item->high_risk) a.high_risk.push_back(i);
  }
  std::stable_sort(a.findings.begin(), a.findings.end(), [&](std::size_t x, std::size_t y) {
    const auto rank = [&](std::size_t i) {
      return std::tuple(!a.items[i].item->high_risk.has_value(), -a.items[i].item->weight,
                        a.items[i].verdict != Verdict::failing);
    };
    return rank(x) < rank(y);
  });
}

}  // namespace

std::size_t Tally::judged() const {
  return count(Verdict::conforming) + count(Verdict::partial) + count(Verdict::failing);
}
std::size_t Tally::applicable() const { return total - count(Verdict::not_applicable); }
void Tally::add(Verdict verdict) {
  ++total;
  ++by_verdict[static_cast<std::size_t>(verdict)];
}

std::vector<TriggerCase> trigger_cases(const Assessment& assessment) {
  std::map<std::string, std::vector<std::size_t>> by_code;
  for (const std::size_t i : assessment.high_risk) {
    const std::string& code = assessment.items[i].item->high_risk->trigger;
    if (!code.empty()) by_code[code].push_back(i);
  }
  std::vector<TriggerCase> result;
  result.reserve(by_code.size());
  for (auto& [code, items] : by_code) result.push_back({code, std::move(items)});
  return result;
}

AssessedObject appliance_object(std::string host, Facts facts) {
  AssessedObject object;
  object.id = "appliance";
  object.name = std::move(host);
  object.class_id = "security-device";
  object.appliance = true;
  object.facts = std::move(facts);
  return object;
}

Assessment assess(const Catalogue& catalogue, Facts facts, Subject subject, WallTime now) {
  std::vector<AssessedObject> objects;
  objects.push_back(appliance_object(subject.host, std::move(facts)));
  return assess(catalogue, std::move(objects), std::move(subject), now);
}

Assessment assess(const Catalogue& catalogue, std::vector<AssessedObject> objects, Subject subject,
                  WallTime now, View view, const TaskRecords& tasks) {
  Assessment a;
  a.subject = std::move(subject);
  a.assessed_at = now;
  a.catalogue = &catalogue;
  a.view = view;
  for (AssessedObject& object : objects)
    if (in_view(object.responsible, view)) a.objects.push_back(std::move(object));
  const Index index = run_checks(a);
  for (const Layer& layer : catalogue.layers) {
    Tally& tally = a.layers.emplace_back();
    for (const Item& item : layer.items) {
      if (!in_view(item.responsible, view)) continue;
      a.items.push_back(judge(item, layer, index, a));
      if (const auto task = tasks.find(item.id); task != tasks.end())
        take_answer(a.items.back(), task->second, now);
      const Verdict verdict = a.items.back().verdict;
      tally.add(verdict);
      a.all.add(verdict);
      (layer.part == Part::general ? a.general : a.cloud).add(verdict);
    }
  }
  if (a.all.applicable() > 0) {
    a.coverage_tenths = tenths(100.0 * static_cast<double>(a.all.judged()) /
                               static_cast<double>(a.all.applicable()));
  }
  for (const Edition& edition : catalogue.meta.editions)
    a.standings.push_back(edition.score ? score(edition, a) : rate(edition, a.all));
  collect_findings(a);
  return a;
}

}  // namespace menshen::compliance
