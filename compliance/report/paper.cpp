#include "compliance/report/paper.hpp"

#include <algorithm>

namespace menshen::compliance {
namespace {

// A4 with running header and page numbers; body in Song (Noto Serif), headings in Hei (Noto Sans).
constexpr std::string_view paper_style = R"css(
@page{size:A4;margin:26mm 22mm 22mm 25mm;
@top-center{content:string(title);font:9pt "Noto Sans CJK SC",sans-serif;color:#5a6675}
@bottom-center{content:counter(page) " / " counter(pages);
font:9pt "Noto Sans CJK SC",sans-serif;color:#5a6675}}
@page :first{@top-center{content:none}@bottom-center{content:none}}
body{font:10.5pt/1.7 "Noto Serif CJK SC","Source Han Serif SC",SimSun,serif;color:#1c2430;margin:0}
h1,h2,h3,th,.cover,.mono,nav{font-family:"Noto Sans CJK SC","Source Han Sans SC",SimHei,sans-serif}
h1{font-size:16pt;break-before:page;margin:0 0 14pt;string-set:title attr(data-title)}
h2{font-size:13pt;margin:16pt 0 8pt;break-after:avoid}
h3{font-size:11pt;margin:12pt 0 6pt;break-after:avoid}
p{margin:5pt 0;text-align:justify}
:lang(zh) .text>p{text-indent:2em}
table{width:100%;border-collapse:collapse;font-size:8.5pt;line-height:1.45;margin:6pt 0 12pt;
table-layout:fixed}
caption{font:9pt "Noto Sans CJK SC",sans-serif;padding:4pt 0;break-after:avoid}
th,td{border:.5pt solid #8b97a5;padding:3pt 4pt;vertical-align:top;text-align:left;
overflow-wrap:anywhere}
th{background:#eef1f4}
thead{display:table-header-group}
tr{break-inside:avoid}
td p{margin:0 0 2pt;text-align:left}
.cover{text-align:center;padding-top:60mm}
.cover p{text-align:center;font-size:13pt;margin:8pt 0}
.cover .title p{font-size:26pt;font-weight:700;margin-bottom:10pt}
.cover .mark{font-size:15pt;color:#b83232;border:1.5pt solid #b83232;display:inline-block;
padding:4pt 18pt;margin:10pt auto 40mm}
nav{break-before:page}
nav ul{list-style:none;padding:0;margin:0;font-size:10pt}
nav a{color:inherit;text-decoration:none}
nav a::after{content:leader(".") target-counter(attr(href),page)}
.risk{color:#b83232}.mono{font-size:7.5pt}
)css";

}  // namespace

void Paper::begin(const std::string& title) {
  put("<!DOCTYPE html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n<title>{}</title>\n",
      zh() ? "zh-CN" : "en", title);
  put("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
      "'unsafe-inline'\">\n<style>{}</style>\n</head>\n<body>\n",
      paper_style);
}

void Paper::cover(const std::string& title) {
  put("<div class=\"cover\">\n<div class=\"title\" data-custom-style=\"Title\"><p>{}</p></div>\n"
      "<p class=\"mark\">{}</p>\n<p>{}</p>\n<p>{}</p>\n<p>{}</p>\n</div>\n",
      title,
      t("自查（非等级测评结论）", "Self-assessment, not the conclusion of an assessment body"),
      escape_html(a_.subject.name), china_time(a_.assessed_at),
      escape_html(a_.catalogue->meta.standard));
  contents_at_ = out_.size();
}

std::string Paper::finish() {
  std::string contents = fmt::format("<nav>\n<h2>{}</h2>\n<ul>\n", t("目录", "Contents"));
  for (const auto& [mark, text] : contents_)
    contents += fmt::format("<li><a href=\"#{}\">{}</a></li>\n", mark, text);
  out_.insert(contents_at_, contents + "</ul>\n</nav>\n");
  put("</body>\n</html>\n");
  return std::move(out_);
}

void Paper::heading(int level, const std::string& mark, const std::string& html) {
  if (mark.empty()) {
    put("<h{0}>{1}</h{0}>\n", level, html);
    return;
  }
  put("<h{0} id=\"{1}\" data-title=\"{2}\">{2}</h{0}>\n", level, mark, html);
  contents_.emplace_back(mark, html);
}

void Paper::chapter(std::string_view mark, const std::string& html) {
  if (in_chapter_) end_chapter();
  in_chapter_ = true;
  heading(1, std::string(mark), html);
  put("<div class=\"text\">\n");
}

void Paper::table(const std::string& caption, const std::vector<Column>& columns) {
  put("<table>\n<caption>{}</caption>\n<colgroup>", caption);
  for (const Column& column : columns) put("<col style=\"width:{}%\">", column.percent);
  put("</colgroup>\n<thead><tr>");
  for (const Column& column : columns) put("<th>{}</th>", t(column.title));
  put("</tr></thead>\n<tbody>\n");
}

void Paper::row(const std::vector<std::string>& cells) {
  put("<tr>");
  for (const std::string& cell : cells) put("<td>{}</td>", cell);
  put("</tr>\n");
}

void Paper::figures_table(const std::string& caption) {
  table(caption, {{{"指标", "Figure"}, 70}, {{"数值", "Value"}, 30}});
  for (const Figure& figure : figures(a_)) row({t(figure.name), escape_html(figure.value)});
  end_table();
}

void Paper::layers_table(const std::string& caption) {
  table(caption, {{{"条款", "Clause"}, 9},
                  {{"安全类", "Category"}, 25},
                  {{"项数", "Items"}, 8},
                  {{"符合", "Conforming"}, 9},
                  {{"部分符合", "Partial"}, 10},
                  {{"不符合", "Failing"}, 9},
                  {{"不适用", "N/A"}, 9},
                  {{"未检及采集失败", "Open"}, 11},
                  {{"符合率", "Rate"}, 10}});
  const auto line = [&](std::string_view id, const std::string& title, const Tally& tally) {
    const int rate =
        tally.judged() == 0
            ? -1
            : static_cast<int>((tally.count(Verdict::conforming) * 1000 + tally.judged() / 2) /
                               tally.judged());
    const auto n = [](std::size_t value) { return fmt::format("{}", value); };
    row({escape_html(id), title, n(tally.total), n(tally.count(Verdict::conforming)),
         n(tally.count(Verdict::partial)), n(tally.count(Verdict::failing)),
         n(tally.count(Verdict::not_applicable)),
         n(tally.count(Verdict::not_checked) + tally.count(Verdict::error)), percent(rate)});
  };
  for (std::size_t i = 0; i < a_.layers.size(); ++i) {
    const Layer& layer = a_.catalogue->layers[i];
    if (a_.layers[i].total > 0) line(layer.id, t(layer.title), a_.layers[i]);
  }
  line("8.1", t("安全通用要求", "General requirements"), a_.general);
  line("8.2", t("云计算安全扩展要求", "Cloud extension"), a_.cloud);
  line("", t("合计", "Total"), a_.all);
  end_table();
}

void Paper::comparison_table(const std::string& caption) {
  if (options_.comparison == nullptr) {
    paragraph(t("没有可供比较的上次自查。", "There is no earlier run to compare with."));
    return;
  }
  const Comparison& c = *options_.comparison;
  paragraph(zh() ? fmt::format(
                       "与 {} 的自查比较：变差 {} 项，改善 {} 项，证据缺失 {} 项，补齐证据 {} 项。",
                       china_time(c.before.assessed_at), c.count(Change::worsened),
                       c.count(Change::improved), c.count(Change::lost), c.count(Change::gained))
                 : fmt::format("Compared with the run of {}: {} items worse, {} better, {} lost "
                               "their evidence, {} gained it.",
                               china_time(c.before.assessed_at), c.count(Change::worsened),
                               c.count(Change::improved), c.count(Change::lost),
                               c.count(Change::gained)));
  if (c.other_rules || c.other_view) {
    paragraph(t("两次自查所用规则或责任视角不同，部分变化可能由此引起。",
                "The two runs used other rules or looked at another part: some changes may come "
                "from there."));
  }
  if (c.items.empty()) return;
  table(caption, {{{"测评项", "Item"}, 14},
                  {{"变化", "Change"}, 14},
                  {{"上次", "Before"}, 14},
                  {{"本次", "Now"}, 14},
                  {{"本次情况", "Situation now"}, 44}});
  for (const VerdictChange& change : c.items) {
    row({escape_html(change.id), t(change_text(change.change)), t(verdict_text(change.before)),
         t(verdict_text(change.after)), t(change.reason)});
  }
  end_table();
}

std::string Paper::risk(const Item& item) const {
  if (!item.high_risk) return t(weight_text(item.weight));
  return fmt::format(
      "<span class=\"risk\">{}{}</span> {}", t("高风险", "High risk"),
      item.high_risk->trigger.empty() ? "" : " " + escape_html(item.high_risk->trigger),
      t(item.high_risk->reason));
}

// Lines of a cell: paragraphs in cells would take the body's style in DOCX.
std::string Paper::lines(const std::vector<std::string>& html) {
  return fmt::format("{}", fmt::join(html, "<br>"));
}

std::string Paper::situation(const ItemResult& result) const {
  std::vector<std::string> told;
  for (const FindingLine& line : finding_lines(a_, result)) {
    told.push_back(line.object.empty() || a_.objects.size() < 2
                       ? t(line.reason)
                       : escape_html(line.object) + ": " + t(line.reason));
  }
  return told.empty() ? t(result.reason) : lines(told);
}

// Each advice once, however many objects need it.
std::string Paper::advice(const ItemResult& result, bool commands) const {
  std::vector<std::string> told;
  for (const FindingLine& line : finding_lines(a_, result)) {
    if (line.remediation == nullptr) continue;
    const std::string words = t(line.remediation->text);
    if (std::find(told.begin(), told.end(), words) != told.end()) continue;
    told.push_back(words);
    if (!commands) continue;
    for (const std::string& command : line.remediation->commands)
      told.push_back("<span class=\"mono\">" + escape_html(command) + "</span>");
  }
  return told.empty() ? t(result.item->guidance) : lines(told);
}

std::string Paper::day(WallTime time) const {
  return time == 0 ? "\xe2\x80\x94" : china_time(time).substr(0, 10);
}

}  // namespace menshen::compliance
