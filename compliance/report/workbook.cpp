#include "compliance/report/workbook.hpp"

#include <fmt/format.h>
#include <xlsxwriter.h>

#include <ctime>
#include <initializer_list>
#include <utility>

#include "compliance/collect/utf8.hpp"
#include "compliance/report/markup.hpp"
#include "compliance/report/words.hpp"

namespace menshen::compliance {
namespace {

// At most so many characters, cut between them.
std::string cell_text(std::string_view text) {
  std::string safe = printable(text);
  std::size_t characters = 0;
  for (std::size_t i = 0; i < safe.size(); ++i) {
    if ((static_cast<unsigned char>(safe[i]) & 0xC0U) == 0x80U) continue;
    if (++characters > workbook_cell_characters_max) return safe.substr(0, i);
  }
  return safe;
}

class Workbook {
 public:
  Workbook(const Assessment& assessment, Lang lang, lxw_workbook* book, std::size_t rows_max)
      : a_(assessment), lang_(lang), book_(book), rows_max_(rows_max) {
    head_ = workbook_add_format(book_);
    format_set_bold(head_);
    format_set_bg_color(head_, 0xEEF1F4);
    format_set_border(head_, LXW_BORDER_THIN);
    format_set_text_wrap(head_);
    body_ = workbook_add_format(book_);
    format_set_text_wrap(body_);
    format_set_align(body_, LXW_ALIGN_VERTICAL_TOP);
    format_set_border(body_, LXW_BORDER_THIN);
    for (lxw_format* format : {head_, body_}) format_set_font_name(format, "Noto Sans CJK SC");
  }

  void write() {
    summary();
    items();
    findings();
    checks();
    objects();
    tasks();
  }

 private:
  struct Title {
    Text text;
    double width;
  };

  void sheet(const Text& name, const std::vector<Title>& titles) {
    sheet_ = workbook_add_worksheet(book_, name.in(lang_).c_str());
    row_ = 0;
    for (std::size_t i = 0; i < titles.size(); ++i) {
      const auto column = static_cast<lxw_col_t>(i);
      worksheet_set_column(sheet_, column, column, titles[i].width, nullptr);
      worksheet_write_string(sheet_, 0, column, titles[i].text.in(lang_).c_str(), head_);
    }
    worksheet_freeze_panes(sheet_, 1, 0);
    worksheet_set_landscape(sheet_);
    worksheet_set_paper(sheet_, 9);  // A4
    worksheet_fit_to_pages(sheet_, 1, 0);
    worksheet_repeat_rows(sheet_, 0, 0);
    worksheet_set_header(sheet_, lang_ == Lang::zh ? "&C自查" : "&CSelf-assessment");
  }

  void row(const std::vector<std::string>& cells) {
    if (row_ == rows_max_) return;
    if (++row_ == rows_max_) {
      worksheet_write_string(sheet_, row_, 0,
                             lang_ == Lang::zh ? "其余行超出上限，见 assessment.json"
                                               : "More rows than the limit: see assessment.json",
                             body_);
      return;
    }
    for (std::size_t i = 0; i < cells.size(); ++i) {
      // Always as text: a cell that begins with = is no formula.
      worksheet_write_string(sheet_, row_, static_cast<lxw_col_t>(i), cell_text(cells[i]).c_str(),
                             body_);
    }
  }
  [[nodiscard]] std::string t(const Text& text) const { return text.in(lang_); }
  [[nodiscard]] std::string t(const char* zh, const char* en) const {
    return lang_ == Lang::zh ? zh : en;
  }

  void summary() {
    sheet({"自查结果", "Result"}, {{{"指标", "Figure"}, 60}, {{"数值", "Value"}, 20}});
    for (const Figure& figure : figures(a_)) row({t(figure.name), figure.value});
    row({t("被查对象", "Deployment"), a_.subject.name});
    row({t("自查时间", "Assessed at"), china_time(a_.assessed_at)});
    row({t("规则摘要", "Digest of the rules"), a_.catalogue->digest_sha256});
  }

  [[nodiscard]] std::string situation(const ItemResult& result, bool advice) const {
    std::string text;
    for (const FindingLine& line : finding_lines(a_, result)) {
      if (advice && line.remediation == nullptr) continue;
      const std::string& words = advice ? line.remediation->text.in(lang_) : line.reason.in(lang_);
      if (advice && text.find(words) != std::string::npos) continue;
      if (!text.empty()) text += "\n";
      text += advice || line.object.empty() ? words : line.object + ": " + words;
    }
    return text;
  }

  void items() {
    sheet({"测评项", "Items"}, {{{"测评项", "Item"}, 12},
                                {{"安全类", "Category"}, 18},
                                {{"控制点", "Control point"}, 18},
                                {{"要求（归纳）", "Requirement (our words)"}, 50},
                                {{"结果", "Result"}, 11},
                                {{"情况", "Standing"}, 40},
                                {{"方式", "By"}, 10},
                                {{"责任方", "Responsible"}, 20},
                                {{"权重（估计）", "Weight (estimate)"}, 10},
                                {{"高风险情形", "High-risk case"}, 30}});
    for (const ItemResult& r : a_.items) {
      const Item& item = *r.item;
      row({item.id, t(r.layer->title), t(item.control_title), t(item.requirement),
           t(verdict_text(r.verdict)), t(r.reason), t(automation_text(item.automation)),
           t(responsible_text(item.responsible)), fmt::format("{}", item.weight),
           item.high_risk ? item.high_risk->trigger + " " + t(item.high_risk->reason) : ""});
    }
    worksheet_autofilter(sheet_, 0, 0, row_, 9);
  }

  void findings() {
    sheet({"问题", "Findings"}, {{{"编号", "No."}, 8},
                                 {{"测评项", "Item"}, 12},
                                 {{"结果", "Result"}, 11},
                                 {{"现状", "Situation"}, 50},
                                 {{"整改措施", "Remedy"}, 50},
                                 {{"期限（月）", "Months"}, 10},
                                 {{"责任人", "Owner"}, 14},
                                 {{"计划完成", "Due"}, 12}});
    std::size_t number = 0;
    for (const std::size_t i : a_.findings) {
      const ItemResult& r = a_.items[i];
      const bool dated = r.task && r.task->task.due > 0;
      row({fmt::format("T{:03}", ++number), r.item->id, t(verdict_text(r.verdict)),
           situation(r, false), situation(r, true), fmt::format("{}", months_for(*r.item)),
           r.task ? r.task->task.owner : "",
           dated ? china_time(r.task->task.due).substr(0, 10) : ""});
    }
  }

  void checks() {
    sheet({"检查", "Checks"}, {{{"对象", "Object"}, 20},
                               {{"检查", "Check"}, 30},
                               {{"名称", "Title"}, 40},
                               {{"测评项", "Items"}, 24},
                               {{"结果", "Result"}, 11},
                               {{"原因", "Reason"}, 50}});
    for (const CheckResult& r : a_.checks) {
      row({a_.objects[r.object].name, r.check->id, t(r.check->title),
           fmt::format("{}", fmt::join(r.check->items, " ")), t(verdict_text(r.verdict)),
           t(r.reason)});
    }
    worksheet_autofilter(sheet_, 0, 0, row_, 5);
  }

  void objects() {
    sheet({"对象", "Objects"}, {{{"编号", "Id"}, 20},
                                {{"名称", "Name"}, 30},
                                {{"类别", "Class"}, 24},
                                {{"地址", "Address"}, 30},
                                {{"责任方", "Responsible"}, 24},
                                {{"重要程度", "Importance"}, 12}});
    for (const AssessedObject& o : a_.objects) {
      const ObjectClass* known = a_.catalogue->find_class(o.class_id);
      row({o.id, o.name, known == nullptr ? o.class_id : t(known->title), o.address,
           t(responsible_text(o.responsible)), o.importance});
    }
  }

  void tasks() {
    sheet({"人工任务", "Tasks"}, {{{"测评项", "Item"}, 12},
                                  {{"状态", "State"}, 14},
                                  {{"责任人", "Owner"}, 14},
                                  {{"计划完成", "Due"}, 12},
                                  {{"结论", "Answer"}, 11},
                                  {{"情况说明", "What was found"}, 50},
                                  {{"测评人", "By"}, 14},
                                  {{"复核人", "Reviewed by"}, 14},
                                  {{"附件", "Attachments"}, 40}});
    for (const ItemResult& r : a_.items) {
      if (!r.task) continue;
      const Task& task = r.task->task;
      const Answer none;
      const Answer& answer = task.answers.empty() ? none : task.answers.back();
      std::string files;
      for (const Attachment& each : answer.attachments)
        files += (files.empty() ? "" : "\n") + each.name + " " + each.sha256;
      row({r.item->id,
           r.task->failure ? t(*r.task->failure) : t(state_text(state_of(task, a_.assessed_at))),
           task.owner, task.due > 0 ? china_time(task.due).substr(0, 10) : "",
           task.answers.empty() ? "" : t(verdict_text(answer.verdict)), answer.text, answer.by,
           answer.reviewed_by, files});
    }
  }

  const Assessment& a_;
  Lang lang_;
  lxw_workbook* book_;
  std::size_t rows_max_;
  lxw_worksheet* sheet_ = nullptr;
  lxw_format* head_ = nullptr;
  lxw_format* body_ = nullptr;
  lxw_row_t row_ = 0;
};

}  // namespace

Result<void> write_workbook(const Assessment& assessment, Lang lang,
                            const std::filesystem::path& path, std::size_t rows_max) {
  lxw_workbook* book = workbook_new(path.c_str());
  if (book == nullptr) {
    return fail(ErrorCode::io, {"无法生成工作簿", "the workbook cannot be made"});
  }
  lxw_doc_properties properties{};
  std::string title =
      lang == Lang::zh ? "网络安全等级保护第三级自查" : "MLPS Level 3 self-assessment";
  properties.title = title.data();
  properties.created = static_cast<std::time_t>(assessment.assessed_at / 1'000'000'000);
  workbook_set_properties(book, &properties);
  Workbook(assessment, lang, book, rows_max).write();
  const lxw_error error = workbook_close(book);
  if (error == LXW_NO_ERROR) return {};
  const std::string reason = lxw_strerror(error);
  return fail(ErrorCode::io, {fmt::format("写入工作簿 {}：{}", path.string(), reason),
                              fmt::format("writing the workbook {}: {}", path.string(), reason)});
}

}  // namespace menshen::compliance
