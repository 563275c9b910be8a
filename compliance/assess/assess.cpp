#include "compliance/assess/assess.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>
#include <utility>

namespace menshen::compliance {
namespace {

using Index = std::map<std::string, std::size_t, std::less<>>;

struct Counts {
  std::size_t pass = 0, partial = 0, fail = 0, not_applicable = 0, open = 0, error = 0;
};

Counts count(const Item& item, const Index& index, const std::vector<CheckResult>& checks) {
  Counts c;
  for (const std::string& id : item.checks) {
    switch (checks[index.at(id)].verdict) {
      case Verdict::conforming:
        ++c.pass;
        break;
      case Verdict::partial:
        ++c.partial;
        break;
      case Verdict::failing:
        ++c.fail;
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

ItemResult judge(const Item& item, const Layer& layer, const Index& index,
                 const std::vector<CheckResult>& checks) {
  ItemResult result;
  result.item = &item;
  result.layer = &layer;
  for (const std::string& id : item.checks) result.checks.push_back(index.at(id));
  if (item.checks.empty()) {
    result.reason = without_checks(item);
    return result;
  }
  const Counts c = count(item, index, checks);
  const bool some = c.pass + c.partial > 0;
  result.open_objects = true;
  if (c.fail > 0) {
    result.verdict = some ? Verdict::partial : Verdict::failing;
    result.reason = some ? Text{"部分检查不符合", "Some checks do not conform"}
                         : Text{"检查结果不符合", "The checks do not conform"};
    return result;
  }
  if (c.error > 0) {
    result.verdict = Verdict::error;
    result.reason = {"证据采集失败，不作判定", "Collecting evidence failed: no verdict"};
  } else if (c.open > 0) {
    result.reason = {"证据不全，不作判定", "Evidence is missing: no verdict"};
  } else if (!some) {
    result.reason = {"本机不涉及，其他测评对象须另行测评",
                     "Does not arise on this appliance; the other objects are open"};
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

void collect_findings(Assessment& a) {
  for (std::size_t i = 0; i < a.items.size(); ++i) {
    const ItemResult& r = a.items[i];
    if (r.verdict != Verdict::failing && r.verdict != Verdict::partial) continue;
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

Assessment assess(const Catalogue& catalogue, Facts facts, Subject subject, WallTime now) {
  Assessment a;
  a.subject = std::move(subject);
  a.assessed_at = now;
  a.catalogue = &catalogue;
  a.facts = std::move(facts);
  Index index;
  for (const auto& [id, check] : catalogue.checks) {
    index.emplace(id, a.checks.size());
    a.checks.push_back(run_check(check, a.facts));
  }
  for (const Layer& layer : catalogue.layers) {
    Tally& tally = a.layers.emplace_back();
    for (const Item& item : layer.items) {
      a.items.push_back(judge(item, layer, index, a.checks));
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
