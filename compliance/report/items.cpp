// The findings and the record of every item.
#include <algorithm>

#include "compliance/report/page.hpp"
#include "compliance/report/words.hpp"

namespace menshen::compliance {
namespace {

std::string_view outcome_class(Outcome outcome) {
  switch (outcome) {
    case Outcome::yes:
      return "yes";
    case Outcome::no:
      return "no";
    case Outcome::unknown:
      return "unknown";
    case Outcome::error:
      return "err";
  }
  return "";
}

bool judged(Verdict verdict) {
  return verdict == Verdict::conforming || verdict == Verdict::partial ||
         verdict == Verdict::failing;
}

}  // namespace

// What changed since an earlier run.
void Page::comparison() {
  if (options_.comparison == nullptr) return;
  const Comparison& c = *options_.comparison;
  put("<section>\n<h2>{}</h2>\n<p>{} {}: ", t("与上次自查比较", "Since the last run"),
      t("上次自查", "Last run"), china_time(c.before.assessed_at));
  for (const Change change : {Change::worsened, Change::improved, Change::lost, Change::gained})
    put("{} <b>{}</b>　", t(change_text(change)), c.count(change));
  put("</p>\n");
  if (c.other_rules || c.other_view) {
    put("<p class=\"open\">{}</p>\n",
        t("两次自查所用规则或责任视角不同，部分变化可能由此引起。",
          "The two runs used other rules or looked at another part: some changes may come from "
          "there."));
  }
  put("<table>\n<thead><tr><th>{}</th><th class=\"n\">{}</th><th class=\"n\">{}</th></tr></thead>\n"
      "<tbody>\n",
      t("指标", "Figure"), t("上次", "Before"), t("本次", "Now"));
  const auto row = [&](const std::string& name, const std::string& before,
                       const std::string& after) {
    put("<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>\n", name, before,
        after);
  };
  for (const KeptStanding& after : c.after.standings) {
    for (const KeptStanding& before : c.before.standings) {
      if (before.edition != after.edition) continue;
      const auto number = after.score ? decimal : percent;
      row(t(after.title), number(before.value_tenths), number(after.value_tenths));
    }
  }
  row(t("判定覆盖率", "Coverage"), percent(c.before.coverage_tenths),
      percent(c.after.coverage_tenths));
  row(t("问题数", "Findings"), std::to_string(c.before.findings), std::to_string(c.after.findings));
  row(t("高风险问题数", "High-risk findings"), std::to_string(c.before.high_risk),
      std::to_string(c.after.high_risk));
  put("</tbody>\n</table>\n");
  changed_items(c);
  put("</section>\n");
}

void Page::changed_items(const Comparison& c) {
  if (c.items.empty()) return;
  put("<table>\n<thead><tr><th>{}</th><th>{}</th><th>{}</th><th>{}</th><th>{}</th></tr></thead>\n"
      "<tbody>\n",
      t("测评项", "Item"), t("变化", "Change"), t("上次", "Before"), t("本次", "Now"),
      t("本次情况", "Situation now"));
  for (const VerdictChange& change : c.items) {
    const std::string id = escape_html(change.id);
    put("<tr><td class=\"clause\"><a href=\"#i-{}\">{}</a></td><td>{}</td><td>{}</td><td>{}</td>"
        "<td>{}</td></tr>\n",
        id, id, t(change_text(change.change)), badge(change.before), badge(change.after),
        t(change.reason));
  }
  put("</tbody>\n</table>\n");
}

void Page::task(const TaskRecord& record) {
  const Task& task = record.task;
  std::string line =
      record.failure ? t(*record.failure) : t(state_text(state_of(task, a_.assessed_at)));
  if (!task.owner.empty())
    line += fmt::format(" · {} {}", t("责任人", "owner"), escape_html(task.owner));
  if (task.due > 0)
    line += fmt::format(" · {} {}", t("期限", "due"), china_time(task.due).substr(0, 10));
  put("<dt>{}</dt><dd>{}</dd>\n", t("人工任务", "Task"), line);
  for (std::size_t i = task.answers.size(); i-- > 0;) {
    const Answer& answer = task.answers[i];
    const bool present = i + 1 == task.answers.size();
    if (!present && i + 2 < task.answers.size()) break;  // the present one and the one before it
    std::string text = fmt::format("{} {} {}: {}", badge(answer.verdict), escape_html(answer.by),
                                   china_time(answer.at).substr(0, 10), escape_html(answer.text));
    for (const Attachment& each : answer.attachments) {
      text += fmt::format("<br>{} <span class=\"mono\">SHA-256 {}</span>", escape_html(each.name),
                          each.sha256);
    }
    if (!answer.reviewed_by.empty()) {
      text += fmt::format(
          "<br>{} {} {} {}", t("复核", "Reviewed by"), escape_html(answer.reviewed_by),
          china_time(answer.reviewed_at).substr(0, 10), escape_html(answer.review_note));
    }
    put("<dt>{}</dt><dd>{}</dd>\n",
        present ? t("人工结论", "Answer") : t("上次结论", "Last answer"), text);
  }
}

void Page::findings() {
  put("<section>\n<h2>{}</h2>\n", t("问题清单（按风险排序）", "Findings by risk"));
  if (a_.findings.empty()) {
    put("<p>{}</p>\n</section>\n",
        t("已判定的测评项中未发现问题。", "No findings among the judged items."));
    return;
  }
  put("<table>\n<thead><tr><th>{}</th><th>{}</th><th>{}</th><th>{}</th><th>{}</th></tr></thead>\n"
      "<tbody>\n",
      t("测评项", "Item"), t("控制点", "Control point"), t("结果", "Result"), t("风险", "Risk"),
      t("情况与整改", "What was seen and what to do"));
  for (const std::size_t i : a_.findings) finding_row(a_.items[i]);
  put("</tbody>\n</table>\n</section>\n");
}

void Page::finding_row(const ItemResult& result) {
  const Item& item = *result.item;
  put("<tr><td class=\"clause\">{}</td><td>{}</td><td>{}</td><td>", item_link(result),
      t(item.control_title), badge(result.verdict));
  if (item.high_risk) {
    put("<span class=\"risk\">{}{}</span><br>{}", t("高风险", "High risk"),
        item.high_risk->trigger.empty() ? "" : " " + escape_html(item.high_risk->trigger),
        t(item.high_risk->reason));
  } else {
    put("{}", item.weight == 2 ? t("重要项", "Important") : t("一般项", "Ordinary"));
  }
  put("</td><td>");
  if (result.by_person) put("<p>{}</p>", t(result.reason));
  for (const std::size_t c : result.checks) {
    const CheckResult& check_result = a_.checks[c];
    if (check_result.verdict != Verdict::failing && check_result.verdict != Verdict::partial)
      continue;
    put("<p>{}{}</p><p class=\"open\">{}{}</p>",
        a_.objects.size() > 1 ? fmt::format("<b>{}</b> ", object_name(check_result)) : "",
        t(check_result.reason), t("整改：", "Remedy: "), t(check_result.check->remediation.text));
  }
  put("</td></tr>\n");
}

void Page::items() {
  put("<section>\n<h2>{}</h2>\n", t("逐项记录", "Record of every item"));
  const Layer* layer = nullptr;
  for (const ItemResult& result : a_.items) {
    if (result.layer != layer) {
      layer = result.layer;
      put("<h3 id=\"l-{}\">{} {}<small>{}</small></h3>\n", escape_html(layer->id),
          escape_html(layer->id), t(layer->title),
          layer->part == Part::general ? t("安全通用要求", "General requirements")
                                       : t("云计算安全扩展要求", "Cloud extension"));
    }
    item(result);
  }
  put("</section>\n");
}

void Page::item(const ItemResult& result) {
  const Item& item = *result.item;
  const bool open = result.verdict == Verdict::failing || result.verdict == Verdict::partial ||
                    result.verdict == Verdict::error;
  put("<details class=\"item\" id=\"i-{}\"{}>\n<summary><span class=\"id\">{}</span>"
      "<span class=\"what\"><b>{}</b>{}</span><span class=\"right\">{}</span></summary>\n"
      "<div class=\"body\">\n",
      escape_html(item.id), open ? " open" : "", escape_html(item.id), t(item.control_title),
      t(item.requirement), badge(result.verdict));
  item_facts(result);
  item_checks(result);
  if (result.open_objects && judged(result.verdict)) {
    std::string names;
    for (const Text& object : item.objects)
      names += (names.empty() ? "" : t("；", "; ")) + t(object);
    put("<p class=\"open\"><b>{}</b>{}</p>\n",
        t("其他测评对象（未检）：", "Other objects (open): "),
        options_.lang == Lang::zh ? "除已采集对象外的" + names
                                  : names + " other than those collected from");
  }
  put("</div>\n</details>\n");
}

void Page::item_facts(const ItemResult& result) {
  const Item& item = *result.item;
  put("<dl>\n<dt>{}</dt><dd>{}{}</dd>\n", t("判定", "Standing"), t(result.reason),
      result.incomplete ? t("（另有证据缺失，见下）", " (other evidence is missing, see below)")
                        : "");
  std::string names;
  for (const Text& object : item.objects) names += (names.empty() ? "" : t("；", "; ")) + t(object);
  std::string methods;
  for (const Method method : item.methods)
    methods += (methods.empty() ? "" : t("、", ", ")) + t(method_text(method));
  put("<dt>{}</dt><dd>{}</dd>\n<dt>{}</dt><dd>{}</dd>\n", t("测评对象", "Objects"), names,
      t("测评方法", "Methods"), methods);
  put("<dt>{}</dt><dd>{} · {} {} · {} {}{}</dd>\n", t("属性", "Attributes"),
      t(automation_text(item.automation)), t("类别", "class"), std::string(1, item.sag),
      t("权重（估计）", "weight (estimate)"), item.weight,
      item.optional_wording ? t(" · 标准用语为“可”", " · the standard says \"may\"") : "");
  put("<dt>{}</dt><dd>{}</dd>\n", t("责任方", "Responsible"),
      t(responsible_text(item.responsible)));
  if (item.high_risk) {
    put("<dt>{}</dt><dd><span class=\"risk\">{}</span> {}{}</dd>\n",
        t("高风险情形", "High-risk case"),
        item.high_risk->trigger.empty() ? t("高风险", "High risk")
                                        : escape_html(item.high_risk->trigger),
        t(item.high_risk->reason),
        escape_html(fmt::format(" ({})", fmt::join(item.high_risk->references, "; "))));
  }
  if (!item.guidance.zh.empty())
    put("<dt>{}</dt><dd>{}</dd>\n", t("测评提示", "For the assessor"), t(item.guidance));
  if (result.task) task(*result.task);
  put("</dl>\n");
}

std::string Page::object_name(const CheckResult& result) const {
  return escape_html(a_.objects[result.object].name);
}

// Results that need attention in full. Of those that pass on many objects, the first in full and
// the others by name: each is in assessment.json.
void Page::item_checks(const ItemResult& result) {
  std::map<const Check*, std::vector<std::size_t>> same;
  for (const std::size_t c : result.checks) {
    const CheckResult& one = a_.checks[c];
    const bool quiet = one.verdict == Verdict::conforming || one.verdict == Verdict::not_applicable;
    std::vector<std::size_t>& others = same[one.check];
    if (!quiet || others.empty()) check(one);
    if (quiet) others.push_back(c);
  }
  for (const auto& [which, results] : same) {
    if (results.size() < 2) continue;
    std::string names;
    for (std::size_t i = 1; i < results.size(); ++i) {
      const CheckResult& one = a_.checks[results[i]];
      names += fmt::format("{}{} ({})", names.empty() ? "" : t("、", ", "), object_name(one),
                           t(verdict_text(one.verdict)));
    }
    put("<p class=\"open\"><b>{}</b>{}{}</p>\n", t(which->title), t("：另有 ", ": also "), names);
  }
}

void Page::check(const CheckResult& result) {
  put("<div class=\"check c-{}\">\n<h4><span>{}</span>{}</h4>\n<p class=\"why\">{} "
      "<span class=\"open\">{}{}</span></p>\n",
      verdict_name(result.verdict), t(result.check->title), badge(result.verdict), t(result.reason),
      t("对象：", "Object: "),
      fmt::format("{} · {}", object_name(result), t(result.check->object)));
  observations(result);
  if (result.verdict == Verdict::failing || result.verdict == Verdict::partial)
    remediation(result.check->remediation);
  put("</div>\n");
}

void Page::observations(const CheckResult& result) {
  if (result.observations.empty()) return;
  put("<table>\n<tr><th>{}</th><th>{}</th><th>{}</th><th>{}</th><th>{}</th></tr>\n",
      t("检查点", "Looked at"), t("期望", "Expected"), t("实测", "Observed"), t("结果", "Result"),
      t("证据", "Evidence"));
  for (const Observation& o : result.observations) {
    const auto source = source_of_.find(std::pair(result.object, o.fact));
    put("<tr><td class=\"mono\">{}</td><td>{}</td><td class=\"mono\">{}</td>"
        "<td class=\"{}\">{}</td><td class=\"n\">{}</td></tr>\n",
        escape_html(o.path), t(o.expected),
        o.observed.empty() ? t("（无）", "(none)") : escape_html(o.observed),
        outcome_class(o.outcome), t(outcome_text(o.outcome)),
        source == source_of_.end()
            ? "\xe2\x80\x94"
            : fmt::format("<a href=\"#e-{0}\">#{0}</a>", source->second + 1));
  }
  put("</table>\n");
}

void Page::remediation(const Remediation& remediation) {
  put("<p><b>{}</b>{}</p>\n", t("整改建议：", "Remediation: "), t(remediation.text));
  if (remediation.commands.empty()) return;
  put("<pre>");
  for (const std::string& command : remediation.commands) put("{}\n", escape_html(command));
  put("</pre>\n");
}

}  // namespace menshen::compliance
