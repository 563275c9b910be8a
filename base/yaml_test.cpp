#include "base/yaml.hpp"

#include <fmt/format.h>

#include <catch2/catch.hpp>

namespace menshen::yaml {
namespace {

// "kind:text" in a form that is easy to compare: {a: 'x', b: [~, 'y']}.
std::string outline(const Node& node) {
  switch (node.kind) {
    case Node::Kind::null:
      return "~";
    case Node::Kind::scalar:
      return (node.quoted ? "'" : "") + node.text + (node.quoted ? "'" : "");
    case Node::Kind::sequence: {
      std::string text;
      for (const Node& item : node.items) text += (text.empty() ? "" : ", ") + outline(item);
      return "[" + text + "]";
    }
    case Node::Kind::map:
      break;
  }
  std::string text;
  for (const auto& entry : node.entries)
    text += (text.empty() ? "" : ", ") + entry.key + ": " + outline(entry.value);
  return "{" + text + "}";
}

std::string where(const SourceRange& range) {
  return fmt::format("{}:{}-{}", range.begin.line, range.begin.column, range.end.column);
}

// The document's outline, or its errors as "code line:begin-end".
std::string read(std::string_view source) {
  Diagnostics diagnostics("f", std::string(source));
  const auto node = parse(source, diagnostics);
  if (node) return outline(*node);
  CHECK(diagnostics.has_errors());
  CHECK_FALSE(diagnostics.render(Lang::zh).empty());
  std::string errors;
  for (const Diagnostic& d : diagnostics.all()) {
    errors += (errors.empty() ? "" : ", ") + d.code + " " + where(d.range);
  }
  return errors;
}

Node parsed(std::string_view source) {
  Diagnostics diagnostics("f", std::string(source));
  auto node = parse(source, diagnostics);
  INFO(diagnostics.render(Lang::en));
  REQUIRE(node);
  return std::move(*node);
}

TEST_CASE("documents as a person reads them") {
  CHECK(read("") == "~");
  CHECK(read("# nothing\n") == "~");
  CHECK(read("---\na: 1\n...\n") == "{a: 1}");
  CHECK(read("a: 1\nb: [x, \"y\", 'z']\nc: {d: e}\n") == "{a: 1, b: [x, 'y', 'z'], c: {d: e}}");
  CHECK(read("- a\n- b: 1\n  c: 2\n- - d\n") == "[a, {b: 1, c: 2}, [d]]");
  CHECK(read("a: yes\nb: 010\nc: no\nd: 1e3\n") == "{a: yes, b: 010, c: no, d: 1e3}");
  CHECK(read("a:\nb: ~\nc: null\nd: ''\n") == "{a: ~, b: ~, c: ~, d: ''}");
  CHECK(read("a: |\n  x\n  y\nb: >-\n  p\n  q\n") == "{a: 'x\ny\n', b: 'p q'}");
  CHECK(read("'<<': 1\n") == "{<<: 1}");
  CHECK(read("a: b # comment\n") == "{a: b}");
  CHECK(read("\"k\" : v") == "{k: v}");
  CHECK(read("{\"k\":v}") == "{k: v}");
  CHECK(read(">\n p\n ") == "'p\n'");
  CHECK(read("a: \"\\u95e8\\n\"") == "{a: '门\n'}");
}

TEST_CASE("what would surprise is refused, with its place") {
  CHECK(read("a: 1\nb: 2\na: 3\n") == "duplicate-key 3:1-2");
  CHECK(read("x: {a: 1, 'a': 2}\n") == "duplicate-key 1:11-14");
  CHECK(read("a: &x 1\n") == "anchor 1:4-6");
  CHECK(read("a: &x 1\nb: *x\n") == "anchor 1:4-6, alias 2:4-6");
  CHECK(read("a: !foo &x 1\n") == "tag 1:4-8, anchor 1:9-11");
  CHECK(read("a: !!str 1\nb: ! 2\nc: !<x> [1]\n") == "tag 1:4-9, tag 2:4-5, tag 3:4-8");
  CHECK(read("<<: {a: 1}\n") == "merge-key 1:1-3");
  CHECK(read("a: 1\n---\nb: 2\n") == "second-document 2:1-4");
  CHECK(read("a: 1\n...\nb: 2\n") == "second-document 3:1-2");
  CHECK(read("- a\nb: 1\n") == "second-document 2:1-2");
  CHECK(read("{a: 1} b\n") == "second-document 1:8-9");
  CHECK(read("? [a]\n: b\n") == "key-not-scalar 1:3-4");
  CHECK(read("{a: 1}: b\n") == "key-not-scalar 1:1-2");
  CHECK(read("~: 1\n") == "key-not-scalar 1:1-2");
  CHECK(read(": x\n").substr(0, 18) == "key-not-scalar 1:1");
  CHECK(read("%YAML 1.1\n---\na: yes\n") == "directive 1:1-10");
  CHECK(read("# c\n%FOO\n") == "directive 2:1-5");
  CHECK(read("a: 1\n%b\nc: 2") == "directive 2:1-3");
  CHECK(read("a: \"x\\0y\"") == "control-character 1:4-10");
  CHECK(read("a:\nb\n") == "missing-colon 2:1-2");
  CHECK(read("{a, b: 1}\n") == "missing-colon 1:2-3");
  CHECK(read("? a\n: b\n") == "missing-colon 1:3-4");
}

TEST_CASE("one run tells every mistake that it can") {
  CHECK(read("a: &x 1\na: 2\nb: *x\nc: !t 3\nd: [\n") ==
        "anchor 1:4-6, duplicate-key 2:1-2, alias 3:4-6, tag 4:4-6, yaml-syntax 6:1-1");
  CHECK(read("a: *x\n") == "alias 1:4-6");
}

TEST_CASE("a duplicate says where the first one is") {
  Diagnostics diagnostics("f", "k: 1\nk: 2\n");
  CHECK_FALSE(parse("k: 1\nk: 2\n", diagnostics));
  CHECK(diagnostics.render(Lang::en) ==
        "f:2:1: error: the key \"k\" is there twice [duplicate-key]\n"
        "   2 | k: 2\n"
        "     | ^\n"
        "f:1:1: note: first here\n"
        "   1 | k: 1\n"
        "     | ^\n");
}

TEST_CASE("syntax errors have a place and words") {
  CHECK(read("a: [1, 2\n") == "yaml-syntax 2:1-1");
  CHECK(read("a: 'x\n") == "yaml-syntax 1:4-6");
  CHECK(read("a: \"x\\\"\n\n") == "yaml-syntax 1:4-8");
  CHECK(read("a: 'x") == "yaml-syntax 1:4-6");
  CHECK(read("a: 1\n]\n") == "yaml-syntax 2:1-1");
  CHECK(read("a: b: c\n") == "yaml-syntax 1:5-5");
  CHECK(read("门: @b\n") == "yaml-syntax 1:4-4");
  CHECK(read("a: \"\\q\"\n") == "yaml-syntax 1:7-7");
  CHECK(read("a:\n\tb: 1\n") == "yaml-syntax 2:3-3");
  CHECK(read("- a: 1\n\tb: 2\n") == "yaml-syntax 2:1-1");
  Diagnostics diagnostics("f", "- a: 1\n\tb: 2\n");
  CHECK_FALSE(parse("- a: 1\n\tb: 2\n", diagnostics));
  CHECK(diagnostics.all().front().text ==
        Text{"缩进只能用空格，不能用制表符", "indent with spaces, not tabs"});
}

TEST_CASE("ranges cover what is written, in code points") {
  const Node root = parsed(
      "名称: 门户 # x\r\n"
      "quoted: \"a\\\"中\"\r\n"
      "single: 'it''s'\r\n"
      "plain: two words\r\n"
      "folded: begins here\r\n"
      "  and goes on\r\n"
      "block: |-\r\n"
      "  text\r\n"
      "empty:\r\n"
      "tilde: ~\r\n"
      "list: [中, b]\r\n");
  CHECK(where(root.entries[0].key_range) == "1:1-3");
  CHECK(where(root.find("名称")->range) == "1:5-7");
  CHECK(where(root.find("quoted")->range) == "2:9-15");
  CHECK(root.find("quoted")->text == "a\"中");
  CHECK(where(root.find("single")->range) == "3:9-16");
  CHECK(where(root.find("plain")->range) == "4:8-17");
  CHECK(where(root.find("folded")->range) == "5:9-20");
  CHECK(root.find("folded")->text == "begins here and goes on");
  CHECK(where(root.find("block")->range) == "7:8-10");
  CHECK(where(root.find("empty")->range) == "9:6-7");
  CHECK(where(root.find("tilde")->range) == "10:8-9");
  CHECK(where(root.find("list")->range) == "11:7-8");
  CHECK(where(root.find("list")->items[0].range) == "11:8-9");
  CHECK(where(root.find("list")->items[1].range) == "11:11-12");
  CHECK(root.find("none") == nullptr);

  const Node items = parsed("- \n- [,x]\n-\n");
  CHECK(where(items.items[0].range) == "1:1-2");
  CHECK(where(items.items[1].items[0].range) == "2:3-4");
  CHECK(where(items.items[2].range) == "3:1-2");
}

TEST_CASE("a byte order mark and both line ends are as good as none") {
  const Node root = parsed(
      "\xef\xbb\xbf"
      "a: 1\r\nb: 2\n");
  CHECK(outline(root) == "{a: 1, b: 2}");
  CHECK(where(root.entries[0].key_range) == "1:1-2");
  CHECK(where(root.entries[1].key_range) == "2:1-2");
  const std::string source =
      "\xef\xbb\xbf"
      "a: [\r\n";
  Diagnostics diagnostics("f", source);
  CHECK_FALSE(
      parse("\xef\xbb\xbf"
            "a: 1\na: 2\n",
            diagnostics));
}

TEST_CASE("characters that hide or end the text are refused") {
  using namespace std::string_view_literals;
  CHECK(read("a: \x04 1\n") == "control-character 1:4-5");
  CHECK(read("a: 1\0\nb: 2"sv) == "control-character 1:5-6");
  CHECK(read("a: 1\rb: 2") == "control-character 1:5-6");
  CHECK(read("中: \u202e1\nb: \u200b") == "control-character 1:4-5, control-character 2:4-5");
  CHECK(read("a: 1\nb: \xff\n") == "not-utf8 2:4-5");
  CHECK(read("\xff\xfe"
             "a\0"sv) == "not-utf8 1:1-2");
  CHECK(read("a:\t1\n") == "{a: 1}");
}

TEST_CASE("depth, length and number of values have limits") {
  const std::string deepest(yaml_depth_max, '[');
  CHECK(read(deepest + std::string(yaml_depth_max, ']')).substr(0, 3) == "[[[");
  CHECK(read("[" + deepest + std::string(yaml_depth_max + 1, ']')) == "too-deep 1:65-66");
  CHECK(read(std::string(1'000'000, '[')).substr(0, 8) == "too-deep");
  std::string nested;
  for (std::size_t i = 0; i <= yaml_depth_max; ++i) nested += std::string(i, ' ') + "a:\n";
  CHECK(read(nested + std::string(yaml_depth_max + 1, ' ') + "b: 1\n").substr(0, 8) == "too-deep");
  CHECK(read(std::string(yaml_bytes_max + 1, '#')) == "too-long 0:0-0");
}

TEST_CASE("integers") {
  const auto integer = [](std::string_view text, std::int64_t min = INT64_MIN,
                          std::int64_t max = INT64_MAX) {
    Diagnostics diagnostics("f", std::string(text));
    const auto value = as_integer(parsed(text), min, max, diagnostics);
    CHECK(value.has_value() != diagnostics.has_errors());
    return value ? std::to_string(*value) : diagnostics.all().front().code;
  };
  CHECK(integer("0") == "0");
  CHECK(integer("-12") == "-12");
  CHECK(integer("9223372036854775807") == "9223372036854775807");
  CHECK(integer("-9223372036854775808") == "-9223372036854775808");
  CHECK(integer("9223372036854775808") == "out-of-range");
  CHECK(integer("5", 5, 5) == "5");
  CHECK(integer("4", 5, 9) == "out-of-range");
  CHECK(integer("10", 5, 9) == "out-of-range");
  for (const char* text : {"010", "00", "-01", "+1", "1.0", "1e3", "0x10", "1_000", "1 2", "-",
                           "''", "'1'", "\"1\"", "one", "~", "[1]", "{a: 1}", "１"}) {
    CAPTURE(text);
    CHECK(integer(text) == "wrong-type");
  }
}

TEST_CASE("truth values") {
  const auto boolean = [](std::string_view text) {
    Diagnostics diagnostics("f", std::string(text));
    const auto value = as_bool(parsed(text), diagnostics);
    CHECK(value.has_value() != diagnostics.has_errors());
    return value ? (*value ? "true" : "false") : diagnostics.all().front().code;
  };
  CHECK(boolean("true") == "true");
  CHECK(boolean("false") == "false");
  for (const char* text :
       {"True", "TRUE", "yes", "no", "on", "off", "y", "1", "0", "'true'", "~", "[]"}) {
    CAPTURE(text);
    CHECK(boolean(text) == "wrong-type");
  }
}

TEST_CASE("texts and lists") {
  Diagnostics diagnostics("f", "");
  CHECK(as_string(parsed("010"), diagnostics) == "010");
  CHECK(as_string(parsed("''"), diagnostics) == "");
  CHECK_FALSE(as_string(parsed("~"), diagnostics));
  CHECK_FALSE(as_string(parsed("[a]"), diagnostics));
  CHECK(diagnostics.errors() == 2);

  const Node one = parsed("a");
  const auto single = as_list(one, diagnostics);
  REQUIRE(single);
  CHECK(*single == std::vector<const Node*>{&one});
  const Node two = parsed("[a, b]");
  CHECK(as_list(two, diagnostics)->size() == 2);
  CHECK(as_list(parsed("[]"), diagnostics)->empty());
  CHECK(diagnostics.errors() == 2);
  CHECK_FALSE(as_list(parsed("~"), diagnostics));
  CHECK_FALSE(as_list(parsed("{a: 1}"), diagnostics));
  CHECK_FALSE(as_list(parsed("[a, [b], {c: d}]"), diagnostics));
  CHECK(diagnostics.errors() == 6);
}

TEST_CASE("a wrong value is shown, in part if it is long") {
  const std::string source = "'" + std::string(59, 'x') + "门神'";
  Diagnostics diagnostics("f", source);
  CHECK_FALSE(as_bool(parsed(source), diagnostics));
  CHECK(diagnostics.all().front().text.en ==
        "expected true or false, found \"" + std::string(59, 'x') + "门…\"");
}

TEST_CASE("unknown keys, with what was probably meant") {
  const std::string source = "from: a\nports: 1\nxyz: 2\n";
  Diagnostics diagnostics("f", source);
  reject_unknown_keys(parsed(source), {"from", "to", "port"}, diagnostics);
  CHECK(diagnostics.render(Lang::en) ==
        "f:2:1: error: unknown key \"ports\" [unknown-key]\n"
        "   2 | ports: 1\n"
        "     | ^~~~~\n"
        "     = note: did you mean \"port\"?\n"
        "f:3:1: error: unknown key \"xyz\" [unknown-key]\n"
        "   3 | xyz: 2\n"
        "     | ^~~\n");
  Diagnostics none("f", source);
  reject_unknown_keys(parsed("[a]"), {}, none);
  CHECK_FALSE(none.has_errors());
}

}  // namespace
}  // namespace menshen::yaml
