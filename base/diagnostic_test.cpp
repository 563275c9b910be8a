#include "base/diagnostic.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace menshen {
namespace {

SourceRange at(std::size_t line, std::size_t begin, std::size_t end) {
  return {{line, begin}, {line, end}};
}

// The rendering of one error of `source`.
std::string shown(std::string source, SourceRange range, std::vector<Note> notes = {}) {
  Diagnostics diagnostics("f.yaml", std::move(source));
  diagnostics.error("bad", range, {"错了", "wrong"}, std::move(notes));
  return diagnostics.render(Lang::en);
}

TEST_CASE("a mistake is underlined where it stands") {
  Diagnostics diagnostics("policy.yaml", "a\nb\nc\nd\ne\nf\n  - {from: finance, to: portl}\n");
  diagnostics.error("unknown-domain", at(7, 25, 30),
                    {"未知的域“portl”", "unknown domain \"portl\""});
  CHECK(diagnostics.render(Lang::en) ==
        "policy.yaml:7:25: error: unknown domain \"portl\" [unknown-domain]\n"
        "   7 |   - {from: finance, to: portl}\n"
        "     |                         ^~~~~\n");
  CHECK(diagnostics.render(Lang::zh) ==
        "policy.yaml:7:25: 错误: 未知的域“portl” [unknown-domain]\n"
        "   7 |   - {from: finance, to: portl}\n"
        "     |                         ^~~~~\n");
}

TEST_CASE("wide characters count two columns, before the caret and under it") {
  CHECK(shown("财务: 门户x y\n", at(1, 5, 8)) ==
        "f.yaml:1:5: error: wrong [bad]\n"
        "   1 | 财务: 门户x y\n"
        "     |       ^~~~~\n");
  CHECK(shown("e\u0301x", at(1, 3, 4)) ==
        "f.yaml:1:3: error: wrong [bad]\n"
        "   1 | e\u0301x\n"
        "     |  ^\n");
}

TEST_CASE("a tab is one space") {
  CHECK(shown("a:\tb\n", at(1, 4, 5)) ==
        "f.yaml:1:4: error: wrong [bad]\n"
        "   1 | a: b\n"
        "     |    ^\n");
}

TEST_CASE("without a width there is one caret, also behind the line's end") {
  CHECK(shown("abc", at(1, 2, 2)) ==
        "f.yaml:1:2: error: wrong [bad]\n"
        "   1 | abc\n"
        "     |  ^\n");
  CHECK(shown("abc\r\nx", at(1, 4, 4)) ==
        "f.yaml:1:4: error: wrong [bad]\n"
        "   1 | abc\n"
        "     |    ^\n");
  CHECK(shown("", at(1, 1, 1)) ==
        "f.yaml:1:1: error: wrong [bad]\n"
        "   1 | \n"
        "     | ^\n");
  // A range that ends on another line is marked where it begins.
  CHECK(shown("abc\ndef", {{1, 2}, {2, 3}}) ==
        "f.yaml:1:2: error: wrong [bad]\n"
        "   1 | abc\n"
        "     |  ^\n");
}

TEST_CASE("without a place there is the file; without a column the line") {
  CHECK(shown("abc", {}) == "f.yaml: error: wrong [bad]\n");
  CHECK(shown("abc", {{1, 0}, {1, 0}}) == "f.yaml:1: error: wrong [bad]\n   1 | abc\n");
  CHECK(shown("abc", at(9, 1, 2)) == "f.yaml:9:1: error: wrong [bad]\n");
}

TEST_CASE("notes have places of their own, or belong to the line above") {
  CHECK(shown("a: 1\nb: 2\na: 3\n", at(3, 1, 2),
              {{{"首次在此", "first here"}, at(1, 1, 2)}, {{"改名", "rename it"}, {}}}) ==
        "f.yaml:3:1: error: wrong [bad]\n"
        "   3 | a: 3\n"
        "     | ^\n"
        "f.yaml:1:1: note: first here\n"
        "   1 | a: 1\n"
        "     | ^\n"
        "     = note: rename it\n");
  CHECK(shown("a", {}, {{{"改名", "rename it"}, {}}}) ==
        "f.yaml: error: wrong [bad]\n"
        "f.yaml: note: rename it\n");
}

TEST_CASE("line numbers beyond four digits keep the carets in place") {
  CHECK(shown(std::string(99'999, '\n') + "abc", at(100'000, 2, 4)) ==
        "f.yaml:100000:2: error: wrong [bad]\n"
        "100000 | abc\n"
        "       |  ^~\n");
}

TEST_CASE("control characters of the file never reach the terminal") {
  CHECK(shown("a\x1b[31mb \xff c", at(1, 7, 8)) ==
        "f.yaml:1:7: error: wrong [bad]\n"
        "   1 | a\\x1b[31mb \\xff c\n"
        "     |          ^\n");
  Diagnostics diagnostics("f\x1b.yaml", "");
  diagnostics.error("bad\n", {}, {"\x1b[2J", "\x1b[2J\r\u202e"}, {{{"\a", "\a"}, {}}});
  for (const std::string& text : {diagnostics.render(Lang::en), diagnostics.to_json(Lang::en)}) {
    CAPTURE(text);
    CHECK(text.find_first_of("\x1b\r\a") == std::string::npos);
    CHECK(text.find("\u202e") == std::string::npos);
  }
  CHECK(diagnostics.render(Lang::en) ==
        "f\\x1b.yaml: error: \\x1b[2J\\r\\u{202e} [bad\\n]\n"
        "f\\x1b.yaml: note: \\x07\n");
}

TEST_CASE("of a very long line there is a window around the caret") {
  const std::string text =
      shown(std::string(5000, 'x') + "BAD" + std::string(5000, 'y'), at(1, 5001, 5004));
  CHECK(text.size() < 600);
  CHECK(text.find("…xxx") != std::string::npos);
  CHECK(text.find("BADyyy") != std::string::npos);
  const std::size_t carets = text.rfind('\n', text.size() - 2) + 1;
  CHECK(text.substr(carets) == "     | " + std::string(61, ' ') + "^~~\n");
  CHECK(shown(std::string(5000, 'x'), at(1, 9000, 9001)).find('^') != std::string::npos);
}

TEST_CASE("the order is that of the file, and the count has an end") {
  Diagnostics diagnostics("f", "a\nb\n");
  diagnostics.warning("second", at(2, 1, 2), {"二", "two"});
  diagnostics.error("first", at(1, 1, 2), {"一", "one"});
  diagnostics.error("third", at(2, 1, 2), {"三", "three"});
  REQUIRE(diagnostics.all().size() == 3);
  CHECK(diagnostics.all()[0].code == "first");
  CHECK(diagnostics.all()[1].code == "second");
  CHECK(diagnostics.all()[2].code == "third");
  CHECK(diagnostics.errors() == 2);
  CHECK(diagnostics.warnings() == 1);

  for (std::size_t i = 0; i < Diagnostics::diagnostics_max; ++i)
    diagnostics.error("more", at(1, 1, 2), {});
  CHECK(diagnostics.all().size() == Diagnostics::diagnostics_max);
  CHECK(diagnostics.errors() == Diagnostics::diagnostics_max + 2);
  const std::string text = diagnostics.render(Lang::en);
  CHECK(text.substr(text.rfind('\n', text.size() - 2) + 1) == "f: 3 more not shown\n");
}

TEST_CASE("a warning alone is no error") {
  Diagnostics diagnostics("f", "x");
  CHECK(diagnostics.render(Lang::zh).empty());
  CHECK(diagnostics.to_json(Lang::zh) == "[]");
  diagnostics.warning("odd", at(1, 1, 2), {"奇怪", "odd"});
  CHECK_FALSE(diagnostics.has_errors());
  CHECK(diagnostics.render(Lang::zh) == "f:1:1: 警告: 奇怪 [odd]\n   1 | x\n     | ^\n");
}

TEST_CASE("for programs there is JSON") {
  Diagnostics diagnostics("f.yaml", "abc");
  diagnostics.error("bad", at(1, 2, 4), {"错", "wrong"},
                    {{{"说明", "note"}, at(1, 1, 2)}, {{"无", "none"}, {}}});
  const auto json = nlohmann::json::parse(diagnostics.to_json(Lang::en));
  REQUIRE(json.size() == 1);
  CHECK(json[0] ==
        nlohmann::json{
            {"severity", "error"},
            {"code", "bad"},
            {"text", "wrong"},
            {"file", "f.yaml"},
            {"line", 1},
            {"column", 2},
            {"end_column", 4},
            {"notes",
             {{{"text", "note"}, {"file", "f.yaml"}, {"line", 1}, {"column", 1}, {"end_column", 2}},
              {{"text", "none"}}}}});
}

}  // namespace
}  // namespace menshen
