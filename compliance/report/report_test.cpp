#include "compliance/report/report.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "base/file.hpp"
#include "compliance/compliance.hpp"
#include "compliance/report/markup.hpp"
#include "compliance/testing/shipped.hpp"

namespace menshen::compliance {
namespace {

using testing::catalogue;
using testing::FixedClock;
using testing::now;

Assessment mixed() {
  Facts facts =
      collect_host(testing::weak_host(now), catalogue().sources, FixedClock(now), "menshen-01");
  testing::add_sound_product_facts(facts, now);
  return assess(catalogue(), std::move(facts), {"市政务云", "menshen-01", "0.1.0"}, now);
}

// Every number in the text of a page, tags and style left out.
std::vector<std::string> numbers(const std::string& html) {
  std::vector<std::string> result;
  std::string current;
  bool tag = false;
  const std::size_t body = html.find("<body>");
  for (std::size_t i = body; i < html.size(); ++i) {
    const char c = html[i];
    if (c == '<') tag = true;
    if (!tag && (c >= '0' && c <= '9')) {
      current += c;
    } else if (!current.empty()) {
      result.push_back(std::exchange(current, ""));
    }
    if (c == '>') tag = false;
  }
  return result;
}

std::size_t count(const std::string& text, const std::string& what) {
  std::size_t n = 0;
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += what.size()) ++n;
  return n;
}

TEST_CASE("the page is complete and fetches nothing") {
  for (const Lang lang : {Lang::zh, Lang::en}) {
    const std::string html = render_html(mixed(), {.lang = lang});
    CHECK(count(html, "<details class=\"item\"") == 257);
    for (const char* forbidden : {"<script", "http://", "https://", "src=", "@import", "url("})
      CHECK(count(html, forbidden) == 0);
    CHECK_THAT(html, Catch::Contains(lang == Lang::zh ? "自查" : "self-assessment"));
    CHECK_THAT(html, Catch::Contains("市政务云"));
    CHECK(count(html, "<details") == count(html, "</details>"));
    CHECK(count(html, "<table") == count(html, "</table>"));
    CHECK(count(html, "<tr") == count(html, "</tr>"));
    CHECK(count(html, "<div") == count(html, "</div>"));
  }
}

TEST_CASE("the English page holds no Chinese but what was observed") {
  Assessment a = mixed();
  a.subject.name = "city cloud";
  const std::string html = render_html(a, {.lang = Lang::en});
  for (std::size_t i = 0; i + 2 < html.size(); ++i) {
    const auto lead = static_cast<unsigned char>(html[i]);
    if (lead >= 0xe4 && lead <= 0xe9) {
      FAIL("Chinese in: " << html.substr(i < 60 ? 0 : i - 60, 120));
    }
  }
}

TEST_CASE("the same assessment gives the same bytes") {
  CHECK(render_html(mixed(), {}) == render_html(mixed(), {}));
  CHECK(to_json(mixed()) == to_json(mixed()));
}

TEST_CASE("every text from outside is escaped") {
  const std::string evil = "<script>alert(1)</script>\"'&\xe2\x80\xae\xff\x01";
  Facts facts;
  facts.add("policy.interfaces_unassigned", {evil}, make_provenance(evil, evil, now, evil));
  facts.add("policy.anti_spoof", evil, make_provenance(evil, evil, now, evil));
  facts.add("policy.default_drop", true, make_provenance(evil, evil, now, evil));
  facts.fail("host.sshd", {evil, evil}, make_provenance(evil, evil, now, evil));
  const Assessment a = assess(catalogue(), std::move(facts), {evil, evil, evil}, now);
  for (const Lang lang : {Lang::zh, Lang::en}) {
    const std::string html = render_html(
        a, {.lang = lang, .file_name = evil, .sidecar_name = evil, .verify_commands = {evil}});
    CHECK(count(html, "<script") == 0);
    CHECK(count(html, "\xe2\x80\xae") == 0);
    CHECK(count(html, "\xff") == 0);
    CHECK(count(html, "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;") >= 8);
  }
  CHECK(nlohmann::json::accept(to_json(a)));
}

TEST_CASE("both languages and the JSON show the same numbers") {
  const Assessment a = mixed();
  const std::string zh = render_html(a, {.lang = Lang::zh});
  const std::string en = render_html(a, {.lang = Lang::en});
  const auto result = nlohmann::json::parse(to_json(a));
  const auto cards = [](const std::string& html) {
    const std::size_t begin = html.find("<div class=\"cards\">");
    return html.substr(begin, html.find("<div class=\"picture\">") - begin);
  };
  const auto only = [&](const std::string& html) { return numbers("<body>" + html); };
  CHECK(only(cards(zh)) == only(cards(en)));
  const auto table = [](const std::string& html) {
    const std::size_t begin = html.find("<tfoot>");
    return html.substr(begin, html.find("</tfoot>") - begin);
  };
  CHECK(only(table(zh)) == only(table(en)));

  CHECK(result["totals"]["judged"] == a.all.judged());
  const std::string judged = std::to_string(a.all.judged());
  const std::string applicable = std::to_string(a.all.applicable());
  CHECK_THAT(zh, Catch::Contains(judged + " / " + applicable + " 项"));
  CHECK(result["editions"][0]["value"].get<double>() == Approx(a.standings[0].value_tenths / 10.0));
  CHECK_THAT(en, Catch::Contains(percent(a.standings[0].value_tenths)));
  CHECK(result["items"].size() == 257);
  std::size_t failing = 0;
  for (const auto& item : result["items"]) failing += item["verdict"] == "failing" ? 1 : 0;
  CHECK(failing == a.all.count(Verdict::failing));
  CHECK(count(zh.substr(zh.find("逐项记录")),
              "<span class=\"right\"><span class=\"badge v-failing\"") == failing);
}

TEST_CASE("percentages") {
  CHECK(percent(-1) == "\xe2\x80\x94");
  CHECK(percent(0) == "0.0%");
  CHECK(percent(1000) == "100.0%");
  CHECK(percent(7) == "0.7%");
  CHECK(china_time(now) == "2026-11-23 16:00:00 (UTC+08:00)");
}

// For looking at: MENSHEN_REPORT_DIR=folder compliance_tests "[sample]"
TEST_CASE("sample pages", "[.][sample]") {
  const char* folder = ::secure_getenv("MENSHEN_REPORT_DIR");
  REQUIRE(folder != nullptr);
  for (const auto& [lang, name] : {std::pair{Lang::zh, "zh"}, std::pair{Lang::en, "en"}}) {
    REQUIRE(write_file_atomic(std::string(folder) + "/report." + name + ".html",
                              render_html(mixed(), {.lang = lang})));
  }
  REQUIRE(write_file_atomic(std::string(folder) + "/assessment.json", to_json(mixed())));
}

}  // namespace
}  // namespace menshen::compliance
