#include "compliance/report/markup.hpp"

#include <fmt/format.h>

#include "compliance/collect/utf8.hpp"

namespace menshen::compliance {

std::string escape_html(std::string_view text) {
  std::string result;
  for (const char c : printable(text)) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      case '\'':
        result += "&#39;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

std::string decimal(int tenths) {
  if (tenths < 0) return "\xe2\x80\x94";
  return fmt::format("{}.{}", tenths / 10, tenths % 10);
}

std::string percent(int tenths) { return tenths < 0 ? decimal(tenths) : decimal(tenths) + "%"; }

std::string china_time(WallTime time) {
  const std::string utc = format_utc(time + WallTime{8} * 3600 * 1'000'000'000);
  return fmt::format("{} {} (UTC+08:00)", utc.substr(0, 10), utc.substr(11, 8));
}

std::string_view style_sheet() {
  return R"css(
:root{--ink:#1c2430;--soft:#5a6675;--line:#dfe4ea;--paper:#fff;--tint:#f5f7f9;--head:#14324f;
--conforming:#2e7d52;--partial:#c98a12;--failing:#b83232;--not_applicable:#8b97a5;
--not_checked:#c3cbd4;--error:#7a4fa3}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:#eceff2;color:var(--ink);font:14px/1.65 "Noto Sans CJK SC",
"Source Han Sans SC",
"PingFang SC","Microsoft YaHei","Noto Sans",Arial,sans-serif}
main{max-width:1060px;margin:0 auto;background:var(--paper);padding:0 48px 56px}
header{border-top:6px solid var(--head);padding:34px 0 20px;border-bottom:1px solid var(--line)}
h1{margin:0 0 4px;font-size:26px;line-height:1.35;color:var(--head);font-weight:700}
header p{margin:0;color:var(--soft)}
h2{margin:38px 0 12px;padding-bottom:6px;border-bottom:2px solid var(--head);font-size:19px;
color:var(--head)}
h3{margin:26px 0 8px;font-size:16px;color:var(--head)}
h3 small{font-weight:400;color:var(--soft);margin-left:8px}
h4{margin:14px 0 6px;font-size:14px}
p{margin:6px 0}
a{color:#1d5a94;text-decoration:none}a:hover{text-decoration:underline}
table{width:100%;border-collapse:collapse;margin:8px 0;font-size:13px}
th,td{border-bottom:1px solid var(--line);padding:6px 8px;text-align:left;vertical-align:top}
th{background:var(--tint);font-weight:600;color:#33404e;border-bottom-color:#c9d1da}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td.clause{white-space:nowrap;font-variant-numeric:tabular-nums}
tfoot td{font-weight:600;border-top:2px solid #c9d1da}
code,pre,.mono{font-family:"Noto Sans Mono CJK SC","DejaVu Sans Mono",Consolas,monospace;
font-size:12px}
pre{margin:6px 0;padding:10px 12px;background:var(--tint);border:1px solid var(--line);
border-radius:4px;
white-space:pre-wrap;overflow-wrap:anywhere}
td,dd,li,p,summary{overflow-wrap:anywhere}
.facts{display:grid;grid-template-columns:max-content 1fr;gap:2px 18px;margin:16px 0 0;
font-size:13px}
.facts dt{color:var(--soft)}.facts dd{margin:0}
.notice{margin:18px 0 0;padding:10px 14px;border-left:4px solid var(--head);
background:var(--tint);font-size:13px}
.cards{display:grid;grid-template-columns:repeat(4,1fr);gap:14px;margin:20px 0 8px}
.card{border:1px solid var(--line);border-radius:6px;padding:14px 16px}
.card b{display:block;font-size:28px;line-height:1.25;color:var(--head);
font-variant-numeric:tabular-nums}
.card span{color:var(--soft);font-size:12.5px;display:block}
.card.alarm b{color:var(--failing)}
.picture{display:grid;grid-template-columns:230px 1fr;gap:30px;align-items:center;margin:20px 0}
.legend{list-style:none;margin:0 0 14px;padding:0;display:flex;flex-wrap:wrap;gap:2px 20px;
font-size:13px}
.legend i,.badge::before{content:"";display:inline-block;width:10px;height:10px;
border-radius:2px;margin-right:6px}
.badge{display:inline-block;white-space:nowrap;font-size:12.5px;font-weight:600}
.v-conforming{color:var(--conforming)}.v-partial{color:#96660a}.v-failing{color:var(--failing)}
.v-not_applicable{color:#5f6b78}.v-not_checked{color:#5f6b78}.v-error{color:var(--error)}
.v-conforming::before,i.v-conforming{background:var(--conforming)}.v-partial::before,
i.v-partial{background:var(--partial)}
.v-failing::before,i.v-failing{background:var(--failing)}.v-not_applicable::before,
i.v-not_applicable{background:var(--not_applicable)}
.v-not_checked::before,i.v-not_checked{background:var(--not_checked)}.v-error::before,
i.v-error{background:var(--error)}
.risk{display:inline-block;border:1px solid var(--failing);color:var(--failing);
border-radius:3px;padding:0 5px;
font-size:11.5px;line-height:1.5;white-space:nowrap}
details.item{border-bottom:1px solid var(--line)}
details.item>summary{display:grid;grid-template-columns:92px 1fr 108px;gap:12px;padding:8px 4px;
cursor:pointer;list-style:none}
details.item>summary::-webkit-details-marker{display:none}
details.item>summary:hover{background:var(--tint)}
details.item[open]>summary{background:var(--tint)}
details.item>summary .id{font-variant-numeric:tabular-nums;font-weight:600;color:var(--head)}
details.item>summary .what b{font-weight:600;margin-right:8px}
details.item>summary .right{text-align:right}
.body{padding:4px 4px 18px 108px}
.body dl{display:grid;grid-template-columns:max-content 1fr;gap:3px 16px;margin:8px 0;
font-size:13px}
.body dt{color:var(--soft)}.body dd{margin:0}
.check{border:1px solid var(--line);border-left:4px solid var(--not_checked);border-radius:4px;
padding:8px 14px 10px;margin:10px 0}
.check.c-conforming{border-left-color:var(--conforming)}
.check.c-partial{border-left-color:var(--partial)}
.check.c-failing{border-left-color:var(--failing)}.check.c-error{border-left-color:var(--error)}
.check.c-not_applicable{border-left-color:var(--not_applicable)}
.check h4{display:flex;justify-content:space-between;gap:12px;margin:0 0 2px}
.check p.why{margin:2px 0 6px}
.yes{color:var(--conforming)}.no{color:var(--failing)}.unknown{color:var(--soft)}
.err{color:var(--error)}
.open{color:var(--soft);font-size:13px}
.evidence td{font-size:12px}
footer{margin-top:40px;padding-top:14px;border-top:1px solid var(--line);color:var(--soft);
font-size:12.5px}
@media (max-width:820px){main{padding:0 18px 40px}.cards{grid-template-columns:repeat(2,1fr)}
.picture{grid-template-columns:1fr}.body{padding-left:4px}
details.item>summary{grid-template-columns:80px 1fr}}
@page{size:A4;margin:16mm 14mm}
@media print{body{background:#fff;font-size:10.5pt}main{max-width:none;padding:0}
header{padding-top:14px}
h2{break-after:avoid}h3{break-after:avoid}tr,.card,.check,.picture{break-inside:avoid}
details.item::details-content{content-visibility:visible;block-size:auto}
a{color:inherit}.body{padding-left:16px}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
)css";
}

}  // namespace menshen::compliance
