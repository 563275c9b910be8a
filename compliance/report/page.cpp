#include "compliance/report/page.hpp"

#include <algorithm>
#include <cmath>
#include <set>

namespace menshen::compliance {
namespace {

// Facts that a check used, by their object.
std::set<std::pair<std::size_t, std::string>> used_facts(const Assessment& a) {
  std::set<std::pair<std::size_t, std::string>> used;
  for (const CheckResult& check : a.checks)
    for (const Observation& o : check.observations)
      if (!o.fact.empty()) used.emplace(check.object, o.fact);
  return used;
}

Text band(const Edition& edition, int tenths) {
  if (tenths < 0) return {"无可计数的测评项", "nothing to count"};
  const double value = tenths / 10.0;
  if (edition.score) {
    if (value >= edition.conforming_above) return {"90 分及以上", "90 and above"};
    return value >= edition.basic_above ? Text{"70 至 90 分", "70 to 90"}
                                        : Text{"70 分以下", "below 70"};
  }
  if (value > edition.conforming_above) {
    return {fmt::format("高于 {:.0f}%", edition.conforming_above),
            fmt::format("above {:.0f}%", edition.conforming_above)};
  }
  if (value > edition.basic_above) {
    return {fmt::format("{:.0f}% 至 {:.0f}%", edition.basic_above, edition.conforming_above),
            fmt::format("{:.0f}% to {:.0f}%", edition.basic_above, edition.conforming_above)};
  }
  return {fmt::format("不高于 {:.0f}%", edition.basic_above),
          fmt::format("not above {:.0f}%", edition.basic_above)};
}

}  // namespace

Page::Page(const Assessment& assessment, const ReportOptions& options)
    : a_(assessment), options_(options) {
  std::map<std::string, std::size_t> by_source;
  for (const auto& [object, name] : used_facts(a_)) {
    const Fact& fact = a_.objects[object].facts.all().find(name)->second;
    const std::string key = fmt::format("{}|{}|{}", fact.provenance.object, fact.provenance.source,
                                        fact.provenance.sha256);
    const auto [at, fresh] = by_source.emplace(key, sources_.size());
    if (fresh) sources_.push_back({&fact.provenance, {}, {}});
    sources_[at->second].facts.push_back(name);
    if (fact.failure) sources_[at->second].failure = *fact.failure;
    source_of_.emplace(std::pair(object, name), at->second);
  }
}

std::string Page::badge(Verdict verdict) const {
  return fmt::format("<span class=\"badge v-{}\">{}</span>", verdict_name(verdict),
                     t(verdict_text(verdict)));
}

std::string Page::item_link(const ItemResult& result) const {
  const std::string id = escape_html(result.item->id);
  return fmt::format("<a href=\"#i-{}\">{}</a>", id, id);
}

std::string Page::render() {
  const std::string title =
      t("网络安全等级保护第三级自查报告", "MLPS Level 3 self-assessment report");
  put("<!DOCTYPE html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n",
      options_.lang == Lang::zh ? "zh-CN" : "en");
  put("<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n");
  // Nothing is fetched and nothing runs, even if a text slipped through unescaped.
  put("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
      "style-src 'unsafe-inline'\">\n");
  put("<title>{} · {}</title>\n<style>{}</style>\n</head>\n<body>\n<main>\n", title,
      escape_html(a_.subject.name), style_sheet());
  header();
  summary();
  editions();
  layers();
  objects();
  comparison();
  findings();
  items();
  evidence();
  basis();
  verification();
  put("<footer>{} {} · {}</footer>\n</main>\n</body>\n</html>\n",
      t("门神安全合规网关", "Menshen security and compliance appliance"),
      escape_html(a_.subject.version), china_time(a_.assessed_at));
  return std::move(out_);
}

void Page::header() {
  put("<header>\n<h1>{}</h1>\n<p>{} · {}</p>\n<dl class=\"facts\">\n",
      t("网络安全等级保护第三级自查报告", "MLPS Level 3 self-assessment report"),
      escape_html(a_.catalogue->meta.standard),
      t("安全通用要求与云计算安全扩展要求", "general requirements and cloud computing extension"));
  const auto row = [&](const std::string& name, const std::string& value) {
    put("<dt>{}</dt><dd>{}</dd>\n", name, value);
  };
  row(t("被查对象", "Deployment"), escape_html(a_.subject.name));
  row(t("取证设备", "Appliance"), escape_html(a_.subject.host));
  row(t("自查时间", "Assessed at"), china_time(a_.assessed_at));
  row(t("结果口径", "Rules of counting"), t(a_.catalogue->meta.editions.front().title));
  row(t("检查规则", "Rule data"),
      fmt::format("{} <span class=\"mono\">SHA-256 {}</span>",
                  escape_html(a_.catalogue->meta.version), a_.catalogue->digest_sha256));
  put("</dl>\n<div class=\"notice\">{}</div>\n</header>\n",
      t("本报告为单位自查结果，不是等级测评结论；等级测评结论须由具有资质的测评机构出具。凡未取得证"
        "据的项"
        "一律列为未检，不计为符合。",
        "This is a self-assessment, not the conclusion of an MLPS assessment, which only a "
        "licensed "
        "body may issue. Whatever has no evidence is listed as not checked and never counts as "
        "conforming."));
}

void Page::summary() {
  const Standing& lead = a_.standings.front();
  put("<section>\n<h2>{}</h2>\n<div class=\"cards\">\n", t("总体情况", "Summary"));
  const auto card = [&](std::string_view kind, const std::string& value, const std::string& name,
                        const std::string& detail) {
    put("<div class=\"card{}\"><span>{}</span><b>{}</b><span>{}</span></div>\n", kind, name, value,
        detail);
  };
  card("", percent(lead.value_tenths), t("符合率（已判定项）", "Conformity rate (judged items)"),
       fmt::format("{} / {}", a_.all.count(Verdict::conforming), a_.all.judged()));
  card("", percent(a_.coverage_tenths), t("判定覆盖率", "Coverage"),
       fmt::format("{} / {} {}", a_.all.judged(), a_.all.applicable(), t("项", "items")));
  card("", fmt::format("{}\xe2\x80\x93{}", decimal(lead.worst_tenths), percent(lead.best_tenths)),
       t("符合率上下限", "Bounds of the rate"),
       t("未判定项全部不符合至全部符合", "all open items fail to all conform"));
  card(a_.high_risk.empty() ? "" : " alarm", std::to_string(a_.high_risk.size()),
       t("高风险问题", "High-risk findings"),
       fmt::format("{} {}", t("问题合计", "findings in all"), a_.findings.size()));
  put("</div>\n<div class=\"picture\">\n");
  donut(a_.all);
  put("<div>\n");
  legend(a_.all);
  bounds();
  put("</div>\n</div>\n");
  const auto open_objects = static_cast<std::size_t>(
      std::count_if(a_.items.begin(), a_.items.end(), [](const ItemResult& r) {
        return r.open_objects && (r.verdict == Verdict::conforming ||
                                  r.verdict == Verdict::partial || r.verdict == Verdict::failing);
      }));
  put("<p>{}</p>\n</section>\n",
      options_.lang == Lang::zh
          ? fmt::format(
                "自动判定依据所列对象上实际采集的证据得出，只对这些对象有效；已判定的 {} 项中有 {} "
                "项另有其他测评对象，须继续测评，详见各项“其他测评对象”。",
                a_.all.judged(), open_objects)
          : fmt::format(
                "Verdicts rest on evidence collected from the objects listed and hold for them "
                "alone: "
                "{} judged items, {} of which have further objects that remain to be assessed "
                "(see \"Other objects\" of each item).",
                a_.all.judged(), open_objects));
}

// A ring of arcs, drawn with dashes of one circle each.
void Page::donut(const Tally& tally) {
  constexpr double radius = 80;
  const double around = 2 * std::acos(-1.0) * radius;
  put("<svg viewBox=\"0 0 220 220\" role=\"img\" aria-label=\"{}\">\n",
      t("判定结果分布", "Distribution of verdicts"));
  double begin = 0;
  for (const Verdict verdict : verdicts) {
    if (tally.count(verdict) == 0) continue;
    const double length =
        around * static_cast<double>(tally.count(verdict)) / static_cast<double>(tally.total);
    put("<circle cx=\"110\" cy=\"110\" r=\"{:.0f}\" fill=\"none\" stroke=\"var(--{})\" "
        "stroke-width=\"30\" stroke-dasharray=\"{:.3f} {:.3f}\" stroke-dashoffset=\"{:.3f}\" "
        "transform=\"rotate(-90 110 110)\"/>\n",
        radius, verdict_name(verdict), length, around - length, -begin);
    begin += length;
  }
  put("<text x=\"110\" y=\"106\" text-anchor=\"middle\" font-size=\"34\" font-weight=\"700\" "
      "fill=\"#14324f\">{}</text>\n<text x=\"110\" y=\"130\" text-anchor=\"middle\" "
      "font-size=\"13\" fill=\"#5a6675\">{}</text>\n</svg>\n",
      tally.total, t("测评项", "items"));
}

void Page::legend(const Tally& tally) {
  put("<ul class=\"legend\">\n");
  for (const Verdict verdict : verdicts) {
    put("<li><i class=\"v-{}\"></i>{} <b>{}</b></li>\n", verdict_name(verdict),
        t(verdict_text(verdict)), tally.count(verdict));
  }
  put("</ul>\n");
}

// The interval in which the rate must lie, on the scale of the edition's thresholds.
void Page::bounds() {
  const Standing& s = a_.standings.front();
  if (s.worst_tenths < 0) return;
  const auto x = [](double percent_value) { return 10 + percent_value * 6.0; };
  const double worst = x(s.worst_tenths / 10.0);
  const double best = x(s.best_tenths / 10.0);
  put("<svg viewBox=\"0 0 620 92\" role=\"img\" aria-label=\"{}\">\n"
      "<rect x=\"10\" y=\"38\" width=\"600\" height=\"14\" rx=\"3\" fill=\"#eef1f4\"/>\n"
      "<rect x=\"{:.1f}\" y=\"38\" width=\"{:.1f}\" height=\"14\" rx=\"3\" fill=\"#a9c0d6\"/>\n",
      t("符合率上下限", "Bounds of the rate"), worst, std::max(best - worst, 1.0));
  for (const double threshold : {s.edition->basic_above, s.edition->conforming_above}) {
    put("<line x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"32\" y2=\"58\" stroke=\"#5a6675\" "
        "stroke-dasharray=\"3 2\"/><text x=\"{0:.1f}\" y=\"74\" font-size=\"12\" fill=\"#5a6675\" "
        "text-anchor=\"middle\">{1:.0f}%</text>\n",
        x(threshold), threshold);
  }
  const auto mark = [&](double at, int tenths, std::string_view anchor, const std::string& name) {
    put("<text x=\"{:.1f}\" y=\"26\" font-size=\"12\" fill=\"#33404e\" text-anchor=\"{}\">{} "
        "{}</text>\n",
        at, anchor, name, percent(tenths));
  };
  mark(worst, s.worst_tenths, "start", t("下限", "worst"));
  mark(best, s.best_tenths, "end", t("上限", "best"));
  if (s.value_tenths >= 0) {
    const double at = x(s.value_tenths / 10.0);
    put("<circle cx=\"{:.1f}\" cy=\"45\" r=\"8\" fill=\"#14324f\" stroke=\"#fff\" "
        "stroke-width=\"2\"/><text x=\"{:.1f}\" y=\"88\" font-size=\"12\" font-weight=\"600\" "
        "fill=\"#14324f\" text-anchor=\"middle\">{} {}</text>\n",
        at, std::clamp(at, 70.0, 550.0), t("已判定项符合率", "rate over judged items"),
        percent(s.value_tenths));
  }
  put("</svg>\n");
}

void Page::editions() {
  put("<section>\n<h2>{}</h2>\n<table>\n<tr><th>{}</th><th class=\"n\">{}</th><th>{}</th>"
      "<th class=\"n\">{}</th><th class=\"n\">{}</th><th>{}</th></tr>\n",
      t("按各版规则计算的自查结果", "Self-assessment under each edition of the rules"),
      t("版次", "Edition"), t("已判定项", "Judged items"), t("所处区间", "Band"),
      t("下限", "Worst"), t("上限", "Best"), t("计算依据", "How it is counted"));
  for (const Standing& s : a_.standings) {
    const auto number = s.edition->score ? decimal : percent;
    put("<tr><td>{}</td><td class=\"n\">{}</td><td>{}</td><td class=\"n\">{}</td>"
        "<td class=\"n\">{}</td><td>{}</td></tr>\n",
        t(s.edition->title), number(s.value_tenths), t(band(*s.edition, s.value_tenths)),
        number(s.worst_tenths), number(s.best_tenths), t(s.edition->basis));
  }
  put("</table>\n</section>\n");
}

void Page::layer_row(std::string_view id, const std::string& title, const Tally& tally) {
  put("<td class=\"mono\">{}</td><td>{}</td><td class=\"n\">{}</td>", escape_html(id), title,
      tally.total);
  for (const Verdict verdict : verdicts) put("<td class=\"n\">{}</td>", tally.count(verdict));
  put("<td><svg width=\"130\" height=\"12\" viewBox=\"0 0 130 12\" aria-hidden=\"true\">");
  double x = 0;
  for (const Verdict verdict : verdicts) {
    const double width = tally.total == 0 ? 0
                                          : 130.0 * static_cast<double>(tally.count(verdict)) /
                                                static_cast<double>(tally.total);
    if (width > 0) {
      put("<rect x=\"{:.2f}\" width=\"{:.2f}\" height=\"12\" fill=\"var(--{})\"/>", x, width,
          verdict_name(verdict));
    }
    x += width;
  }
  put("</svg></td>");
}

void Page::layers() {
  put("<section>\n<h2>{}</h2>\n<table>\n<thead><tr><th>{}</th><th>{}</th><th class=\"n\">{}</th>",
      t("各安全层面结果", "Results by layer"), t("条款", "Clause"), t("安全层面", "Layer"),
      t("项数", "Items"));
  for (const Verdict verdict : verdicts) put("<th class=\"n\">{}</th>", t(verdict_text(verdict)));
  put("<th></th></tr></thead>\n<tbody>\n");
  for (std::size_t i = 0; i < a_.layers.size(); ++i) {
    const Layer& layer = a_.catalogue->layers[i];
    put("<tr>");
    layer_row(layer.id,
              fmt::format("<a href=\"#l-{}\">{}</a>", escape_html(layer.id), t(layer.title)),
              a_.layers[i]);
    put("</tr>\n");
  }
  put("</tbody>\n<tfoot>\n");
  const auto total = [&](std::string_view id, const std::string& name, const Tally& tally) {
    put("<tr>");
    layer_row(id, name, tally);
    put("</tr>\n");
  };
  total("8.1", t("安全通用要求", "General requirements"), a_.general);
  total("8.2", t("云计算安全扩展要求", "Cloud extension"), a_.cloud);
  total("", t("合计", "Total"), a_.all);
  put("</tfoot>\n</table>\n</section>\n");
}

// What was looked at: each object with its own counts of checks.
void Page::objects() {
  put("<section>\n<h2>{}</h2>\n<table>\n<thead><tr><th>{}</th><th>{}</th><th>{}</th>",
      t("已采集对象", "Objects looked at"), t("对象", "Object"), t("类别", "Class"),
      t("地址", "Address"));
  for (const Verdict verdict : verdicts) put("<th class=\"n\">{}</th>", t(verdict_text(verdict)));
  put("</tr></thead>\n<tbody>\n");
  for (std::size_t i = 0; i < a_.objects.size(); ++i) {
    const AssessedObject& object = a_.objects[i];
    Tally tally;
    for (const CheckResult& check : a_.checks)
      if (check.object == i) tally.add(check.verdict);
    const ObjectClass* object_class = a_.catalogue->find_class(object.class_id);
    put("<tr><td>{}{}</td><td>{}</td><td class=\"mono\">{}</td>", escape_html(object.name),
        object.appliance ? t("（本设备）", " (this appliance)") : "",
        object_class == nullptr ? escape_html(object.class_id) : t(object_class->title),
        escape_html(object.address));
    for (const Verdict verdict : verdicts) put("<td class=\"n\">{}</td>", tally.count(verdict));
    put("</tr>\n");
  }
  put("</tbody>\n</table>\n<p class=\"open\">{}</p>\n</section>\n",
      t("按检查计数，非按测评项计数。", "Counts are of checks, not of items."));
}

void Page::evidence() {
  put("<section>\n<h2>{}</h2>\n<p>{}</p>\n<table class=\"evidence\">\n<tr><th>#</th><th>{}</th>"
      "<th>{}</th><th>{}</th></tr>\n",
      t("证据清单", "Evidence"),
      t("每条证据给出来源、采集时间和原始内容的摘要值，可在原处重新采集比对。",
        "Each source is given with the time of collection and the digests of the raw content, so "
        "that "
        "it can be collected again and compared."),
      t("来源与采集时间", "Source and time"), t("摘要值（原始内容）", "Digests of the raw content"),
      t("事实", "Facts"));
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    const EvidenceSource& s = sources_[i];
    const Provenance& p = *s.provenance;
    put("<tr id=\"e-{0}\"><td class=\"n\">{0}</td><td>{1}<br>{2} · {3}", i + 1,
        escape_html(p.source), escape_html(p.object), china_time(p.collected_at));
    if (!s.failure.zh.empty())
      put("<br><span class=\"err\">{}: {}</span>", t("采集失败", "Failed"), t(s.failure));
    put("</td><td class=\"mono\">SHA-256 {}<br>SM3 {}<br>{} {}</td><td "
        "class=\"mono\">{}</td></tr>\n",
        p.sha256, p.sm3, p.raw_bytes, t("字节", "bytes"),
        escape_html(fmt::format("{}", fmt::join(s.facts, ", "))));
    if (!p.excerpt.empty()) {
      put("<tr><td></td><td "
          "colspan=\"3\"><details><summary>{}</summary><pre>{}</pre></details></td>"
          "</tr>\n",
          p.raw_bytes > p.excerpt.size() ? t("原始内容（节选）", "Raw content (beginning)")
                                         : t("原始内容", "Raw content"),
          escape_html(p.excerpt));
    }
  }
  put("</table>\n</section>\n");
}

void Page::basis() {
  const Meta& meta = a_.catalogue->meta;
  put("<section>\n<h2>{}</h2>\n<p>{}</p>\n<h4>{}</h4>\n<ul>\n", t("依据与说明", "Basis and limits"),
      t(meta.wording), t("依据", "Sources"));
  for (const Text& source : meta.sources) put("<li>{}</li>\n", t(source));
  put("</ul>\n<h4>{}</h4>\n<ul>\n",
      t("以下数据项为估计值或尚未经官方文本核对", "These fields are estimates or unconfirmed"));
  for (const Text& estimate : meta.estimates) put("<li>{}</li>\n", t(estimate));
  put("</ul>\n</section>\n");
}

void Page::verification() {
  const std::string file = escape_html(options_.file_name);
  const std::string sidecar = escape_html(options_.sidecar_name);
  put("<section>\n<h2>{}</h2>\n<ol>\n", t("如何核验本报告", "How to verify this page"));
  put("<li>{}</li>\n",
      options_.lang == Lang::zh
          ? fmt::format("本页文件（{}）的摘要值已写入审计存储并签名，证明文件为 {}。", file,
                        sidecar)
          : fmt::format(
                "The digest of this file ({}) is a signed record of the audit store; the proof "
                "is {}.",
                file, sidecar));
  put("<li>{}</li>\n", t("用审计公钥核验证明文件的签名，再比对记录中的摘要值与本页文件的摘要值；公"
                         "钥指纹应从其他渠道取得，"
                         "不以证明文件内所附者为准。",
                         "Check the proof's signature with the audit store's public key, then "
                         "compare the digest in the "
                         "record with that of this file. Take the key's fingerprint from "
                         "elsewhere, not from the proof."));
  put("<li>{}</li>\n", t("逐条核对证据：按证据清单所列来源在原设备上重新采集，比对摘要值或内容。",
                         "Follow single findings back: collect again from the sources listed under "
                         "Evidence and compare "
                         "the digests or the content."));
  put("</ol>\n");
  put("<pre>menshen comply verify-page {} --fingerprint {}\n", file, t("公钥指纹", "FINGERPRINT"));
  for (const std::string& command : options_.verify_commands) put("{}\n", escape_html(command));
  put("</pre>\n");
  put("</section>\n");
}

std::string render_html(const Assessment& assessment, const ReportOptions& options) {
  return Page(assessment, options).render();
}

}  // namespace menshen::compliance
