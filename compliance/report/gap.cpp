// Gaps and what to do about them.
#include <map>

#include "compliance/report/paper.hpp"

namespace menshen::compliance {
namespace {

class Gap : public Paper {
 public:
  using Paper::Paper;

  std::string render() {
    const std::string title = t("网络安全等级保护第三级自查：差距分析与整改报告",
                                "MLPS Level 3 self-assessment: gap analysis and remediation");
    begin(title);
    cover(title);
    chapter("c1", t("1 依据与范围", "1 Basis and scope"));
    for (const Text& source : a_.catalogue->meta.sources) paragraph(t(source));
    paragraph(zh() ? fmt::format("范围：{}，已采集对象 {} 个。", escape_html(a_.subject.name),
                                 a_.objects.size())
                   : fmt::format("Scope: {}, {} objects collected from.",
                                 escape_html(a_.subject.name), a_.objects.size()));
    figures_table(t("表 1-1 自查结果指标", "Table 1-1 Figures of the result"));
    chapter("c2", t("2 各安全类差距", "2 Gaps by category"));
    layers_table(t("表 2-1 各安全类结果", "Table 2-1 Results by category"));
    chapter("c3", t("3 差距与整改措施", "3 Gaps and remedies"));
    findings();
    chapter("c4", t("4 整改计划", "4 Plan"));
    plan();
    chapter("c5", t("5 待补充信息", "5 What is missing"));
    missing();
    chapter("c6", t("6 整改前后对比", "6 Before and after"));
    comparison_table(t("表 6-1 与上次自查比较", "Table 6-1 Changes since the last run"));
    end_chapter();
    return finish();
  }

 private:
  void findings() {
    if (a_.findings.empty()) {
      paragraph(t("已判定的测评项中未发现问题。", "No findings among the judged items."));
      return;
    }
    table(t("表 3-1 差距与整改措施", "Table 3-1 Gaps and remedies"),
          {{{"测评项", "Item"}, 11},
           {{"要求（归纳）", "Requirement"}, 19},
           {{"结果", "Result"}, 8},
           {{"现状", "Situation"}, 23},
           {{"风险", "Risk"}, 14},
           {{"整改措施", "Remedy"}, 25}});
    for (const std::size_t i : a_.findings) {
      const ItemResult& r = a_.items[i];
      row({escape_html(r.item->id), t(r.item->requirement), t(verdict_text(r.verdict)),
           situation(r), risk(*r.item), advice(r, true)});
    }
    end_table();
  }

  // Soonest first; owner and due date from the item's task, where somebody set them.
  void plan() {
    std::map<int, std::vector<std::size_t>> by_months;
    for (const std::size_t i : a_.findings) by_months[months_for(*a_.items[i].item)].push_back(i);
    if (by_months.empty()) {
      paragraph(t("无。", "None."));
      return;
    }
    paragraph(
        t("高风险问题一个月内，关键与重要项三个月内，其余六个月内完成；关闭以再次自查的结果为准。",
          "High-risk findings within one month, key and important items within three, the "
          "rest within six; a further run shows what is closed."));
    table(t("表 4-1 整改计划", "Table 4-1 Plan"), {{{"期限（月）", "Months"}, 10},
                                                   {{"测评项", "Item"}, 14},
                                                   {{"控制点", "Control point"}, 24},
                                                   {{"责任人", "Owner"}, 18},
                                                   {{"计划完成", "Due"}, 14},
                                                   {{"关闭证据", "Evidence of closure"}, 20}});
    for (const auto& [months, items] : by_months) {
      for (const std::size_t i : items) {
        const ItemResult& r = a_.items[i];
        const Task none;
        const Task& task = r.task ? r.task->task : none;
        row({fmt::format("{}", months), escape_html(r.item->id), t(r.item->control_title),
             escape_html(task.owner), day(task.due), ""});
      }
    }
    end_table();
  }

  void missing() {
    table(t("表 5-1 未判定的测评项", "Table 5-1 Items without a verdict"),
          {{{"测评项", "Item"}, 13},
           {{"要求（归纳）", "Requirement"}, 37},
           {{"原因", "Why"}, 25},
           {{"须提供", "What to bring"}, 25}});
    for (const ItemResult& r : a_.items) {
      if (r.verdict != Verdict::not_checked && r.verdict != Verdict::error) continue;
      row({escape_html(r.item->id), t(r.item->requirement), t(r.reason), t(r.item->guidance)});
    }
    end_table();
  }
};

}  // namespace

std::string render_gap(const Assessment& assessment, const DocumentOptions& options) {
  return Gap(assessment, options).render();
}

}  // namespace menshen::compliance
