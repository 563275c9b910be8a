#include "compliance/report/document.hpp"

#include <catch2/catch.hpp>
#include <cstdlib>

#include "base/file.hpp"
#include "compliance/compliance.hpp"
#include "compliance/report/words.hpp"
#include "compliance/report/workbook.hpp"
#include "compliance/testing/shipped.hpp"
#include "tests/testkit/temp_dir.hpp"

namespace menshen::compliance {
namespace {

using testing::catalogue;
using testing::FixedClock;
using testing::now;

Assessment assessed(const testing::FakeHost& host) {
  Facts facts = collect_host(host, catalogue().sources, FixedClock(now), "menshen-01");
  testing::add_sound_product_facts(facts, now);
  return assess(catalogue(), std::move(facts), {"市政<b>务云", "menshen-01", "0.1.0"}, now);
}

std::size_t count(const std::string& text, const std::string& what) {
  std::size_t n = 0;
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += what.size()) ++n;
  return n;
}

TEST_CASE("the document has every chapter in the template's order, and fetches nothing") {
  const Assessment a = assessed(testing::weak_host(now));
  for (const Lang lang : {Lang::zh, Lang::en}) {
    const std::string html = render_document(a, DocumentKind::assessment, {.lang = lang});
    std::size_t at = 0;
    for (const char* mark :
         {"front", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "appendix-a", "appendix-b",
          "appendix-c", "appendix-d", "appendix-e", "appendix-f", "appendix-g"}) {
      INFO(mark);
      const std::size_t found = html.find(std::string("<h1 id=\"") + mark + "\"");
      REQUIRE(found != std::string::npos);
      CHECK(found > at);
      at = found;
      CHECK(count(html, std::string("href=\"#") + mark + "\"") == 1);
    }
    for (const char* forbidden : {"<script", "http://", "https://", "src=", "@import", "url("})
      CHECK(count(html, forbidden) == 0);
    for (const char* tag : {"table", "tr", "div", "p", "td"})
      CHECK(count(html, std::string("<") + tag + ">") + count(html, std::string("<") + tag + " ") ==
            count(html, std::string("</") + tag + ">"));
    CHECK_THAT(html, Catch::Contains(lang == Lang::zh ? "自查" : "Self-assessment"));
    CHECK(count(html, "<b>务云") == 0);
    CHECK(count(html, "市政&lt;b&gt;务云") > 0);
    for (const ItemResult& r : a.items)
      CHECK_THAT(html, Catch::Contains("<td>" + r.item->id + "</td>"));
  }
}

TEST_CASE("both documents show the figures, which are those of the assessment") {
  const Assessment a = assessed(testing::weak_host(now));
  CHECK(figures(a).front().value == "257");
  std::size_t sum = 0;
  for (std::size_t i = 1; i <= 6; ++i) sum += std::stoul(figures(a)[i].value);
  CHECK(sum == 257);
  for (const DocumentKind kind : {DocumentKind::assessment, DocumentKind::gap}) {
    const std::string html = render_document(a, kind, {});
    for (const Figure& figure : figures(a))
      CHECK_THAT(html,
                 Catch::Contains("<td>" + figure.name.zh + "</td><td>" + figure.value + "</td>"));
  }
}

TEST_CASE("the gap report: each finding with its term, and what changed since an earlier run") {
  const Assessment a = assessed(testing::weak_host(now));
  const Comparison comparison =
      compare(kept_run(assessed(testing::hardened_host(now))), kept_run(a));
  DocumentOptions options;
  options.comparison = &comparison;
  const std::string html = render_document(a, DocumentKind::gap, options);
  for (const std::size_t i : a.findings) {
    const Item& item = *a.items[i].item;
    CHECK_THAT(html, Catch::Contains("<td>" + std::to_string(months_for(item)) + "</td><td>" +
                                     item.id + "</td>"));
  }
  CHECK_THAT(html, Catch::Contains("表 6-1"));
  CHECK_THAT(render_document(a, DocumentKind::gap, {}), !Catch::Contains("表 6-1"));
}

TEST_CASE("records beyond the document's limit are left out, and that is said") {
  const Assessment a = assessed(testing::weak_host(now));
  DocumentOptions options;
  const auto left_out = [&](std::size_t records_max) {
    options.records_max = records_max;
    return count(render_document(a, DocumentKind::assessment, options), "记录数超过文档上限");
  };
  CHECK(left_out(a.checks.size()) == 0);
  CHECK(left_out(a.checks.size() - 1) == 1);
}

TEST_CASE("the workbook is written, the same each time, and cut at its limit of rows") {
  const testkit::TempDir folder;
  const Assessment a = assessed(testing::weak_host(now));
  REQUIRE(write_workbook(a, Lang::zh, folder.path() / "a.xlsx"));
  REQUIRE(write_workbook(a, Lang::zh, folder.path() / "b.xlsx"));
  const std::string whole = read_file(folder.path() / "a.xlsx").value();
  CHECK(whole.substr(0, 2) == "PK");
  CHECK(whole == read_file(folder.path() / "b.xlsx").value());
  REQUIRE(write_workbook(a, Lang::zh, folder.path() / "c.xlsx", 10));
  CHECK(read_file(folder.path() / "c.xlsx").value().size() < whole.size() / 2);
  CHECK_FALSE(write_workbook(a, Lang::zh, folder.path() / "missing" / "d.xlsx"));
}

// For looking at: MENSHEN_REPORT_DIR=folder compliance_tests "[sample]"
TEST_CASE("sample documents", "[.][sample]") {
  const char* folder = ::secure_getenv("MENSHEN_REPORT_DIR");
  REQUIRE(folder != nullptr);
  const Assessment a = assessed(testing::weak_host(now));
  const Comparison comparison =
      compare(kept_run(assessed(testing::hardened_host(now))), kept_run(a));
  DocumentOptions options;
  options.comparison = &comparison;
  for (const Lang lang : {Lang::zh, Lang::en}) {
    options.lang = lang;
    const std::string base = std::string(folder) + (lang == Lang::zh ? "/zh." : "/en.");
    REQUIRE(write_file_atomic(base + "assessment.html",
                              render_document(a, DocumentKind::assessment, options)));
    REQUIRE(write_file_atomic(base + "gap.html", render_document(a, DocumentKind::gap, options)));
    REQUIRE(write_workbook(a, lang, base + "items.xlsx"));
  }
}

}  // namespace
}  // namespace menshen::compliance
