// The self-assessment in the chapter order of the 2025 report template.
#include "compliance/report/document.hpp"

#include <algorithm>
#include <map>

#include "compliance/report/paper.hpp"

namespace menshen::compliance {

namespace {

class Chapters : public Paper {
 public:
  using Paper::Paper;

  std::string render() {
    const std::string title =
        t("网络安全等级保护第三级自查报告", "MLPS Level 3 self-assessment report");
    begin(title);
    cover(title);
    front();
    project();
    object();
    results();
    overall();
    risks();
    evaluation();
    conclusion();
    remediation();
    appendices();
    return finish();
  }

 private:
  void section(const std::string& html) { heading(2, "", html); }

  void front() {
    chapter("front", t("自查基本信息", "Basic information"));
    table(t("表 0-1 基本信息", "Table 0-1 Basic information"),
          {{{"项目", "Entry"}, 30}, {{"内容", "Content"}, 70}});
    row({t("被查对象", "Deployment"), escape_html(a_.subject.name)});
    row({t("安全保护等级", "Level"), t("第三级", "3")});
    row({t("取证设备", "Appliance"), escape_html(a_.subject.host + " " + a_.subject.version)});
    row({t("自查时间", "Assessed at"), china_time(a_.assessed_at)});
    row({t("检查规则", "Rule data"), escape_html(a_.catalogue->meta.version)});
    row({t("规则摘要", "Digest of the rules"),
         fmt::format("<span class=\"mono\">SHA-256 {}</span>", a_.catalogue->digest_sha256)});
    row({t("编制人", "Prepared by"), ""});
    row({t("审核人", "Reviewed by"), ""});
    row({t("批准人", "Approved by"), ""});
    end_table();
    section(t("声明", "Statement"));
    paragraph(
        t("本文件是运营单位的自查结果，不是等级测评报告，不作为等级测评结论使用。凡未取得证据的"
          "测评项列为未检，不计为符合；自动判定仅对已采集的对象有效。",
          "This is a self-assessment by the operator and no report of an assessment body. "
          "Items without evidence are listed as not checked and never count as conforming; "
          "verdicts by machine hold for the objects that were collected from."));
    section(t("自查结果摘要", "Summary of results"));
    figures_table(t("表 0-2 自查结果指标", "Table 0-2 Figures of the result"));
  }

  void project() {
    chapter("c1", t("1 自查工作概述", "1 The work"));
    section(t("1.1 目的", "1.1 Purpose"));
    paragraph(t("掌握被查对象与第三级要求的差距，为整改和等级测评做准备。",
                "To know how far the deployment is from level 3, before remediation and the "
                "assessment."));
    section(t("1.2 依据", "1.2 Basis"));
    for (const Text& source : a_.catalogue->meta.sources) paragraph(t(source));
    paragraph(t(a_.catalogue->meta.wording));
    section(t("1.3 过程与方法", "1.3 Method"));
    paragraph(
        t("以只读方式采集配置、状态和策略证据，逐对象执行检查，再按项、按安全类汇总；人工项由责任"
          "人给出结论并由另一人复核。每条证据记录来源、时间与摘要值。",
          "Evidence of settings, state and policy is collected read-only; checks run on each "
          "object and are summed up by item and category; manual items are answered by their "
          "owner and reviewed by another person. Each piece of evidence has its source, time "
          "and digests."));
    section(t("1.4 不确定事项", "1.4 What is uncertain"));
    for (const Text& estimate : a_.catalogue->meta.estimates) paragraph(t(estimate));
  }

  void object() {
    chapter("c2", t("2 被查对象", "2 The object"));
    section(t("2.1 对象概况", "2.1 Overview"));
    paragraph(fmt::format("{} {}", escape_html(a_.subject.name),
                          t("。业务与网络结构由运营单位另附说明。",
                            ". The operator describes its business and network apart.")));
    section(t("2.2 指标", "2.2 Indicators"));
    table(t("表 2-1 指标数量", "Table 2-1 Indicators"),
          {{{"范围", "Part"}, 60}, {{"项数", "Items"}, 20}, {{"不适用", "N/A"}, 20}});
    const auto n = [](std::size_t value) { return fmt::format("{}", value); };
    row({t("安全通用要求", "General requirements"), n(a_.general.total),
         n(a_.general.count(Verdict::not_applicable))});
    row({t("云计算安全扩展要求", "Cloud extension"), n(a_.cloud.total),
         n(a_.cloud.count(Verdict::not_applicable))});
    end_table();
    section(t("2.3 测评对象", "2.3 Assessed objects"));
    table(t("表 2-2 各类对象", "Table 2-2 Objects by class"),
          {{{"类别", "Class"}, 30}, {{"已采集数", "Collected"}, 15}, {{"对象", "Objects"}, 55}});
    for (const ObjectClass& each : a_.catalogue->classes) {
      std::string names;
      std::size_t count = 0;
      for (const AssessedObject& object : a_.objects) {
        if (object.class_id != each.id) continue;
        names += (count++ == 0 ? "" : t("、", ", ")) + escape_html(object.name);
      }
      row({t(each.title), n(count), names.empty() ? t("未采集", "none") : names});
    }
    end_table();
  }

  void results() {
    chapter("c3", t("3 单项结果", "3 Single results"));
    section(t("3.1 各安全类结果", "3.1 By category"));
    layers_table(t("表 3-1 各安全类结果", "Table 3-1 Results by category"));
    section(t("3.2 验证测试", "3.2 Verification tests"));
    paragraph(
        t("本自查不包含漏洞扫描和渗透测试；需要这些测试的项应由有资质的单位另行实施并附报告。",
          "Neither scans nor penetration tests are part of this; where they are needed, "
          "their reports are attached apart."));
    section(t("3.3 问题清单", "3.3 Findings"));
    if (a_.findings.empty()) {
      paragraph(t("已判定的测评项中未发现问题。", "No findings among the judged items."));
      return;
    }
    table(t("表 3-2 问题清单", "Table 3-2 Findings"), {{{"编号", "No."}, 8},
                                                       {{"测评项", "Item"}, 12},
                                                       {{"控制点", "Control point"}, 16},
                                                       {{"结果", "Result"}, 10},
                                                       {{"问题描述", "What was seen"}, 54}});
    std::size_t number = 0;
    for (const std::size_t i : a_.findings) {
      const ItemResult& r = a_.items[i];
      row({fmt::format("T{:03}", ++number), escape_html(r.item->id), t(r.item->control_title),
           t(verdict_text(r.verdict)), situation(r)});
    }
    end_table();
  }

  // By control point: where another item of the same point conforms, a person may find the weakness
  // made up for.
  void overall() {
    chapter("c4", t("4 整体分析", "4 Overall analysis"));
    paragraph(
        t("下表按控制点汇总已发现的问题。其他控制点、区域或层面能否弥补，须由测评人员判断，"
          "本自查不自动降低任何问题。",
          "Findings by control point. Whether another point, zone or layer makes up for one "
          "is a person's judgement; nothing is lowered here by itself."));
    struct Point {
      Text title;
      std::size_t items = 0, conforming = 0, findings = 0;
    };
    std::map<std::string, Point> points;
    std::vector<std::string> order;
    for (const ItemResult& r : a_.items) {
      const auto [at, fresh] = points.try_emplace(r.item->control);
      if (fresh) order.push_back(r.item->control);
      at->second.title = r.item->control_title;
      ++at->second.items;
      if (r.verdict == Verdict::conforming) ++at->second.conforming;
      if (r.verdict == Verdict::failing || r.verdict == Verdict::partial) ++at->second.findings;
    }
    table(t("表 4-1 有问题的控制点", "Table 4-1 Control points with findings"),
          {{{"控制点", "Control point"}, 55},
           {{"项数", "Items"}, 15},
           {{"符合", "Conforming"}, 15},
           {{"问题", "Findings"}, 15}});
    for (const std::string& id : order) {
      const Point& point = points[id];
      if (point.findings == 0) continue;
      row({escape_html(id) + " " + t(point.title), fmt::format("{}", point.items),
           fmt::format("{}", point.conforming), fmt::format("{}", point.findings)});
    }
    end_table();
  }

  void risks() {
    chapter("c5", t("5 风险分析", "5 Risk analysis"));
    section(t("5.1 高风险问题", "5.1 High-risk findings"));
    if (a_.high_risk.empty()) {
      paragraph(
          t("已判定的测评项中未发现高风险问题。", "No high-risk findings among the judged items."));
    } else {
      table(t("表 5-1 高风险问题", "Table 5-1 High-risk findings"),
            {{{"测评项", "Item"}, 13}, {{"高风险情形", "Case"}, 32}, {{"现状", "Situation"}, 55}});
      for (const std::size_t i : a_.high_risk)
        row({escape_html(a_.items[i].item->id), risk(*a_.items[i].item), situation(a_.items[i])});
      end_table();
    }
    section(t("5.2 重大风险隐患", "5.2 Major hidden dangers"));
    paragraph(
        t("下列触发情形由问题对应得出；是否构成重大风险隐患，须由测评人员按相关性、严重性、高发性"
          "三项原则共同确认。",
          "The findings meet these triggers; whether they are major hidden dangers is for a "
          "person to confirm by the three principles: related, grave, likely."));
    const std::vector<TriggerCase> cases = trigger_cases(a_);
    if (cases.empty()) {
      paragraph(t("无。", "None."));
      return;
    }
    table(t("表 5-2 触发情形", "Table 5-2 Triggers"),
          {{{"编号", "Code"}, 12}, {{"情形", "Case"}, 48}, {{"相关测评项", "Items"}, 40}});
    for (const TriggerCase& each : cases) {
      std::string items;
      for (const std::size_t i : each.items) {
        if (!items.empty()) items += t("、", ", ");
        items += escape_html(a_.items[i].item->id);
      }
      row({escape_html(each.code), t(a_.items[each.items.front()].item->high_risk->reason), items});
    }
    end_table();
  }

  void evaluation() {
    chapter("c6", t("6 总体评价", "6 Overall evaluation"));
    paragraph(t("符合率按已判定且适用的项计算，与判定覆盖率和上下限一并使用。",
                "Rates are over judged, applicable items, to be read with coverage and bounds."));
    layers_table(t("表 6-1 各安全类符合率", "Table 6-1 Rates by category"));
  }

  void conclusion() {
    chapter("c7", t("7 自查结果", "7 Result of the self-assessment"));
    table(t("表 7-1 按各版规则计算的自查结果", "Table 7-1 Result under each edition"),
          {{{"版次", "Edition"}, 31},
           {{"自查值", "Result"}, 13},
           {{"下限", "Worst"}, 13},
           {{"上限", "Best"}, 13},
           {{"计算依据", "How it is counted"}, 30}});
    for (const Standing& s : a_.standings) {
      const auto number = s.edition->score ? decimal : percent;
      row({t(s.edition->title), number(s.value_tenths), number(s.worst_tenths),
           number(s.best_tenths), t(s.edition->basis)});
    }
    end_table();
    paragraph(
        t("下限、上限分别为全部未判定项不符合、全部符合时的结果。等级测评结论由测评机构出具。",
          "Worst and best: all open items fail, or conform. The conclusion of an assessment "
          "is the assessment body's."));
  }

  void remediation() {
    chapter("c8", t("8 整改建议", "8 Advice"));
    if (a_.findings.empty()) {
      paragraph(t("无。", "None."));
      return;
    }
    table(t("表 8-1 整改建议", "Table 8-1 Advice"), {{{"编号", "No."}, 8},
                                                     {{"测评项", "Item"}, 12},
                                                     {{"风险", "Risk"}, 28},
                                                     {{"建议", "Advice"}, 52}});
    std::size_t number = 0;
    for (const std::size_t i : a_.findings) {
      const ItemResult& r = a_.items[i];
      row({fmt::format("T{:03}", ++number), escape_html(r.item->id), risk(*r.item),
           advice(r, false)});
    }
    end_table();
  }

  void appendices() {
    chapter("appendix-a", t("附录 A 资产", "Appendix A Assets"));
    table(t("表 A-1 已采集对象", "Table A-1 Objects collected from"),
          {{{"编号", "Id"}, 18},
           {{"名称", "Name"}, 24},
           {{"类别", "Class"}, 22},
           {{"地址", "Address"}, 24},
           {{"重要程度", "Importance"}, 12}});
    for (const AssessedObject& object : a_.objects) {
      const ObjectClass* known = a_.catalogue->find_class(object.class_id);
      row({escape_html(object.id), escape_html(object.name),
           known == nullptr ? escape_html(object.class_id) : t(known->title),
           escape_html(object.address), escape_html(object.importance)});
    }
    end_table();
    chapter("appendix-b", t("附录 B 上次问题整改情况", "Appendix B Since the last run"));
    comparison_table(t("表 B-1 与上次自查比较", "Table B-1 Changes since the last run"));
    chapter("appendix-c", t("附录 C 单项结果汇总", "Appendix C Results of every item"));
    every_item();
    chapter("appendix-d", t("附录 D 单项记录", "Appendix D Records by object"));
    records();
    chapter("appendix-e", t("附录 E 漏洞扫描结果", "Appendix E Scans"));
    paragraph(t("未实施。", "None was made."));
    chapter("appendix-f", t("附录 F 渗透测试结果", "Appendix F Penetration tests"));
    paragraph(t("未实施。", "None was made."));
    chapter("appendix-g", t("附录 G 触发情形对应表", "Appendix G Items with triggers"));
    triggers();
    end_chapter();
  }

  void every_item() {
    table(t("表 C-1 单项结果", "Table C-1 Items"),
          {{{"测评项", "Item"}, 13},
           {{"要求（归纳）", "Requirement (our words)"}, 45},
           {{"结果", "Result"}, 11},
           {{"情况", "Standing"}, 31}});
    for (const ItemResult& r : a_.items) {
      row({escape_html(r.item->id), t(r.item->requirement), t(verdict_text(r.verdict)),
           t(r.reason)});
    }
    end_table();
  }

  // What was seen of a check: each point with its evidence's source and digest.
  std::string observed(const CheckResult& check) {
    const Facts& facts = a_.objects[check.object].facts;
    std::vector<std::string> told{t(check.reason)};
    for (const Observation& o : check.observations) {
      const auto fact = facts.all().find(o.fact);
      std::string line = fmt::format("{} = {} ({})", escape_html(o.path),
                                     o.observed.empty() ? t("无", "none") : escape_html(o.observed),
                                     t(outcome_text(o.outcome)));
      if (!o.fact.empty() && fact != facts.all().end()) {
        const Provenance& p = fact->second.provenance;
        line += fmt::format(" <span class=\"mono\">{} · {}</span>", escape_html(p.source),
                            p.sha256.substr(0, 16));
      }
      told.push_back(std::move(line));
    }
    return lines(told);
  }

  void records() {
    paragraph(
        t("每条记录对应一个对象和一项检查；摘要值为原始内容 SHA-256 的前 16 位，全文见证据包。",
          "One record for each object and check; digests are the first 16 digits of SHA-256 "
          "of the raw content, which is in the evidence package."));
    std::size_t left = options_.records_max;
    for (std::size_t i = 0; i < a_.objects.size(); ++i) {
      heading(2, "", escape_html(a_.objects[i].name));
      std::vector<const CheckResult*> checks;
      for (const CheckResult& check : a_.checks)
        if (check.object == i) checks.push_back(&check);
      if (checks.size() > left) {
        left = 0;
        paragraph(t("记录数超过文档上限，该对象的记录见项目表与 assessment.json。",
                    "Beyond the document's limit: see the workbook and assessment.json."));
        continue;
      }
      left -= checks.size();
      table(escape_html(a_.objects[i].name), {{{"测评项", "Items"}, 13},
                                              {{"检查", "Check"}, 20},
                                              {{"结果", "Result"}, 10},
                                              {{"实测与证据", "Observed, and evidence"}, 57}});
      for (const CheckResult* check : checks) {
        row({escape_html(fmt::format("{}", fmt::join(check->check->items, " "))),
             t(check->check->title), t(verdict_text(check->verdict)), observed(*check)});
      }
      end_table();
    }
    people();
  }

  void people() {
    const bool any = std::any_of(a_.items.begin(), a_.items.end(),
                                 [](const ItemResult& r) { return r.by_person; });
    if (!any) return;
    heading(2, "", t("人工结论", "Answers by people"));
    table(t("表 D-1 人工结论", "Table D-1 Answers by people"),
          {{{"测评项", "Item"}, 13},
           {{"结论", "Answer"}, 11},
           {{"情况说明", "What was found"}, 36},
           {{"测评/复核", "By, reviewed by"}, 20},
           {{"附件", "Attachments"}, 20}});
    for (const ItemResult& r : a_.items) {
      if (!r.by_person) continue;
      const Answer& answer = *r.task->task.answer();
      std::vector<std::string> files;
      for (const Attachment& each : answer.attachments)
        files.push_back(fmt::format("{} <span class=\"mono\">{}</span>", escape_html(each.name),
                                    each.sha256.substr(0, 16)));
      row({escape_html(r.item->id), t(verdict_text(answer.verdict)), escape_html(answer.text),
           fmt::format("{} {} / {} {}", escape_html(answer.by), day(answer.at),
                       escape_html(answer.reviewed_by), day(answer.reviewed_at)),
           lines(files)});
    }
    end_table();
  }

  void triggers() {
    table(t("表 G-1 触发情形", "Table G-1 Triggers"), {{{"编号", "Code"}, 12},
                                                       {{"测评项", "Item"}, 15},
                                                       {{"情形", "Case"}, 58},
                                                       {{"结果", "Result"}, 15}});
    std::vector<const ItemResult*> listed;
    for (const ItemResult& r : a_.items)
      if (r.item->high_risk && !r.item->high_risk->trigger.empty()) listed.push_back(&r);
    std::stable_sort(listed.begin(), listed.end(), [](const ItemResult* a, const ItemResult* b) {
      return a->item->high_risk->trigger < b->item->high_risk->trigger;
    });
    for (const ItemResult* r : listed) {
      row({escape_html(r->item->high_risk->trigger), escape_html(r->item->id),
           t(r->item->high_risk->reason), t(verdict_text(r->verdict))});
    }
    end_table();
  }
};

}  // namespace

std::string render_document(const Assessment& assessment, DocumentKind kind,
                            const DocumentOptions& options) {
  if (kind == DocumentKind::gap) return render_gap(assessment, options);
  return Chapters(assessment, options).render();
}

}  // namespace menshen::compliance
