#include "compliance/report/words.hpp"

#include <fmt/format.h>

#include "compliance/report/markup.hpp"

namespace menshen::compliance {

Text automation_text(Automation automation) {
  switch (automation) {
    case Automation::automatic:
      return {"自动", "Automatic"};
    case Automation::semi:
      return {"半自动", "Semi-automatic"};
    case Automation::manual:
      return {"人工", "Manual"};
  }
  return {};
}

Text responsible_text(Responsible responsible) {
  switch (responsible) {
    case Responsible::provider:
      return {"云服务商", "Cloud provider"};
    case Responsible::tenant:
      return {"云服务客户", "Cloud tenant"};
    case Responsible::both:
      return {"云服务商与云服务客户", "Provider and tenant, each for its own part"};
  }
  return {};
}

Text method_text(Method method) {
  switch (method) {
    case Method::interview:
      return {"访谈", "interview"};
    case Method::examine:
      return {"核查", "examination"};
    case Method::test:
      return {"测试", "test"};
  }
  return {};
}

Text outcome_text(Outcome outcome) {
  switch (outcome) {
    case Outcome::yes:
      return {"满足", "met"};
    case Outcome::no:
      return {"不满足", "not met"};
    case Outcome::unknown:
      return {"未采集", "not collected"};
    case Outcome::error:
      return {"失败", "error"};
  }
  return {};
}

Text weight_text(int weight) {
  if (weight >= 3) return {"关键", "Key"};
  return weight == 2 ? Text{"重要", "Important"} : Text{"一般", "Ordinary"};
}

int months_for(const Item& item) {
  if (item.high_risk) return 1;
  return item.weight >= 2 ? 3 : 6;
}

std::string join(const std::vector<Text>& texts, Lang lang) {
  std::string result;
  for (const Text& text : texts) {
    if (!result.empty()) result += lang == Lang::zh ? "、" : "; ";
    result += text.in(lang);
  }
  return result;
}

std::vector<Figure> figures(const Assessment& a) {
  std::vector<Figure> result;
  const auto add = [&](Text name, std::string value) {
    result.push_back({std::move(name), std::move(value)});
  };
  add({"测评项总数", "Items"}, fmt::format("{}", a.all.total));
  for (const Verdict verdict : {Verdict::conforming, Verdict::partial, Verdict::failing,
                                Verdict::not_applicable, Verdict::not_checked, Verdict::error}) {
    const Text name = verdict_text(verdict);
    add({name.zh + "项数", "Items: " + name.en}, fmt::format("{}", a.all.count(verdict)));
  }
  add({"已判定项数", "Items judged"}, fmt::format("{}", a.all.judged()));
  add({"判定覆盖率", "Coverage"}, percent(a.coverage_tenths));
  for (const Standing& s : a.standings) {
    const auto number = s.edition->score ? decimal : percent;
    const Text& title = s.edition->title;
    add({"自查值：" + title.zh, "Result: " + title.en}, number(s.value_tenths));
    add({"下限：" + title.zh, "Worst: " + title.en}, number(s.worst_tenths));
    add({"上限：" + title.zh, "Best: " + title.en}, number(s.best_tenths));
  }
  add({"问题数", "Findings"}, fmt::format("{}", a.findings.size()));
  add({"高风险问题数", "High-risk findings"}, fmt::format("{}", a.high_risk.size()));
  add({"重大风险隐患触发情形数", "Triggers of major hidden dangers"},
      fmt::format("{}", trigger_cases(a).size()));
  return result;
}

std::vector<FindingLine> finding_lines(const Assessment& a, const ItemResult& result) {
  std::vector<FindingLine> lines;
  if (result.by_person) lines.push_back({"", result.reason, nullptr});
  for (const std::size_t c : result.checks) {
    const CheckResult& check = a.checks[c];
    if (check.verdict != Verdict::failing && check.verdict != Verdict::partial) continue;
    lines.push_back({a.objects[check.object].name, check.reason, &check.check->remediation});
  }
  return lines;
}

}  // namespace menshen::compliance
