#include "sensor/detect/content_match.hpp"

#include <catch2/catch.hpp>

#include "sensor/detect/rule_parser.hpp"
#include "sensor/detect/transform.hpp"

using namespace menshen;
using namespace menshen::sensor;

namespace {

Rule rule_of(const std::string& options) {
  static const ParseContext context{default_variables(), default_classifications()};
  const std::string text = "alert tcp-pkt any any -> any any (" + options + " sid:1;)";
  Diagnostics diagnostics("t", text);
  auto rule = parse_rule(split_rules(text).at(0), context, diagnostics);
  INFO(diagnostics.render(Lang::en));
  REQUIRE(rule);
  return *rule;
}

bool matches(const std::string& options, std::string_view bytes, std::uint64_t stream_offset = 0) {
  const Rule rule = rule_of(options);
  MatchScratch scratch;
  INFO(options << " on " << bytes);
  return match_tests(rule.lists.at(0).tests, {as_bytes(bytes), stream_offset}, scratch);
}

}  // namespace

TEST_CASE("absolute places") {
  CHECK(matches("content:\"b\";", "abc"));
  CHECK_FALSE(matches("content:\"B\";", "abc"));
  CHECK(matches("content:\"B\"; nocase;", "abc"));
  CHECK(matches("content:\"c\"; offset:2;", "abc"));
  CHECK_FALSE(matches("content:\"b\"; offset:2;", "abc"));
  CHECK(matches("content:\"bc\"; offset:1; depth:2;", "abc"));
  CHECK_FALSE(matches("content:\"cd\"; offset:1; depth:2;", "abcd"));
  CHECK(matches("content:\"ab\"; startswith;", "abc"));
  CHECK_FALSE(matches("content:\"bc\"; startswith;", "abc"));
  CHECK(matches("content:\"bc\"; endswith;", "abcbc"));
  CHECK_FALSE(matches("content:\"ab\"; endswith;", "abc"));
  CHECK(matches("content:\"abc\"; startswith; endswith;", "abc"));
}

TEST_CASE("negation") {
  CHECK(matches("content:!\"x\";", "abc"));
  CHECK_FALSE(matches("content:!\"b\";", "abc"));
  CHECK(matches("content:!\"c\"; depth:2;", "abc"));
  CHECK(matches("content:\"a\"; content:!\"c\"; within:1;", "abc"));
  CHECK_FALSE(matches("content:\"a\"; content:!\"b\"; within:1;", "abc"));
}

TEST_CASE("relative places try every earlier match") {
  CHECK(matches("content:\"a\"; content:\"b\"; distance:0; within:1;", "axab"));
  CHECK_FALSE(matches("content:\"a\"; content:\"b\"; distance:1; within:1;", "axab"));
  CHECK(matches("content:\"b\"; content:\"a\"; distance:-2; within:1;", "ab"));
  CHECK(matches(
      "content:\"one\"; content:\"two\"; distance:1; within:3; content:\"three\"; distance:1;",
      "one x one two x one two three"));
  CHECK(matches("content:\"a\"; pcre:\"/^b/R\";", "acab"));
  CHECK_FALSE(matches("content:\"a\"; pcre:\"/^d/R\";", "acab"));
  CHECK(matches("pcre:\"/a./\"; content:\"z\"; distance:0; within:1;", "abacz"));
}

TEST_CASE("a test that is not relative starts afresh") {
  CHECK(matches("content:\"b\"; content:\"a\";", "ab"));
}

TEST_CASE("sizes and what must follow") {
  CHECK(matches("content:\"b\"; isdataat:1,relative;", "abc"));
  CHECK_FALSE(matches("content:\"c\"; isdataat:1,relative;", "abc"));
  CHECK(matches("content:\"c\"; isdataat:!1,relative;", "abc"));
  CHECK(matches("content:\"a\"; isdataat:2;", "abc"));
  CHECK_FALSE(matches("content:\"a\"; isdataat:3;", "abc"));
  CHECK(matches("content:\"a\"; bsize:3;", "abc"));
  CHECK_FALSE(matches("content:\"a\"; bsize:<3;", "abc"));
  CHECK(matches("content:\"a\"; bsize:2<>4;", "abc"));
  CHECK_FALSE(matches("content:\"a\"; bsize:3<>5;", "abc"));
}

TEST_CASE("numbers in the bytes") {
  using namespace std::string_view_literals;
  CHECK(matches("byte_test:2,=,258,0;", "\x01\x02"sv));
  CHECK(matches("byte_test:2,=,513,0,little;", "\x01\x02"sv));
  CHECK_FALSE(matches("byte_test:2,=,258,1;", "\x01\x02"sv));
  CHECK(matches("byte_test:3,=,123,0,string,dec;", "123"));
  CHECK(matches("byte_test:2,=,31,0,string,hex;", "1f"));
  CHECK(matches("byte_test:1,!&,0x80,0;", "\x7f"));
  CHECK(matches("byte_test:1,=,0x0f,0,bitmask 0xf0;", "\xf3"));
  CHECK(matches("byte_test:1,>,3,0; byte_test:1,<=,4,0;", "\x04"));
  CHECK(matches("byte_jump:1,0; content:\"z\"; distance:0; within:1;", "\x02..z"));
  CHECK_FALSE(matches("byte_jump:1,0; content:\"z\"; distance:0; within:1;", "\x03..z"));
  CHECK_FALSE(matches("byte_jump:1,0;", "\xff"));
  CHECK(matches("byte_jump:1,0,from_end,post_offset -3; content:\"z\"; distance:0; within:1;",
                "\x01.z."));
  CHECK(matches("byte_extract:1,0,n; content:\"z\"; offset:n;", "\x03zaz"));
  CHECK_FALSE(matches("byte_extract:1,0,n; content:\"z\"; offset:n;", "\x03zaa"));
  CHECK(matches("byte_math:bytes 1, offset 0, oper +, rvalue 2, result r; byte_test:1,=,r,1;",
                "\x03\x05"));
  CHECK_FALSE(matches("byte_math:bytes 1, offset 0, oper /, rvalue 0, result r;", "\x03\x05"));
}

TEST_CASE("base64") {
  CHECK(matches("content:\"x=\"; base64_decode:relative; base64_data; content:\"secret\";",
                "x=c2VjcmV0"));
  CHECK_FALSE(
      matches("content:\"x=\"; base64_decode:bytes 4,relative; base64_data; content:\"secret\";",
              "x=c2VjcmV0"));
}

TEST_CASE("absolute depth counts from the stream's beginning") {
  CHECK(matches("content:\"c\"; depth:3;", "c", 2));
  CHECK_FALSE(matches("content:\"c\"; depth:3;", "c", 3));
  CHECK_FALSE(matches("content:\"c\"; startswith;", "c", 1));
  CHECK(matches("content:\"c\"; offset:9;", "ac", 8));
}

TEST_CASE("backtracking ends at its step limit and is counted") {
  const Rule rule = rule_of(
      "content:\"a\"; content:\"a\"; distance:0; content:\"a\"; distance:0; content:\"a\"; "
      "distance:0; "
      "content:\"b\"; distance:0;");
  MatchScratch scratch;
  const std::string bytes = "b" + std::string(10'000, 'a');
  CHECK_FALSE(match_tests(rule.lists.at(0).tests, {as_bytes(bytes), 0}, scratch));
  CHECK(scratch.limit_hits == 1);
}

TEST_CASE("a content that stands nowhere ends the search before it begins") {
  const Rule rule = rule_of(
      "content:\"a\"; content:\"a\"; distance:0; content:!\"x\"; content:\"b\"; distance:0;");
  const auto& tests = rule.lists.at(0).tests;
  MatchScratch scratch;
  CHECK_FALSE(match_tests(tests, {as_bytes(std::string(10'000, 'a')), 0}, scratch));
  CHECK(scratch.absent == 3U);
  CHECK(scratch.limit_hits == 0);
  CHECK_FALSE(match_tests(tests, {as_bytes(std::string_view("baa")), 0}, scratch));
  CHECK(scratch.absent == std::nullopt);  // it is there, before the others
  CHECK(match_tests(tests, {as_bytes(std::string_view("aab")), 0}, scratch));
  CHECK(scratch.absent == std::nullopt);
}

TEST_CASE("an absent content is looked for where it may have come") {
  const auto content = [](const std::string& options) {
    const Rule rule = rule_of(options);
    return std::get<Content>(rule.lists.at(0).tests.at(0).what);
  };
  const auto now = [](const Content& wanted, std::string_view bytes, std::size_t searched) {
    return appears(wanted, as_bytes(bytes), searched);
  };
  const Content plain = content("content:\"abc\";");
  CHECK(now(plain, "xxabc", 4));  // it began among the bytes that were searched
  CHECK(now(plain, "xxabc", 2));
  CHECK_FALSE(now(plain, "abcxx", 3));  // known not to be there: not looked at again
  const Content early = content("content:\"abc\"; depth:5;");
  CHECK(now(early, "xxabc", 4));
  CHECK_FALSE(now(early, "xxxabc", 4));
}

TEST_CASE("an expression that backtracks without end is cut off and counted") {
  MatchScratch scratch;
  const auto regex = Regex::compile("(?:a+)+(?:a+)+(?:a+)+$", {});
  REQUIRE(regex);
  CHECK_FALSE(regex->find(as_bytes(std::string(5000, 'a') + "b"), 0, scratch.regex));
  CHECK(scratch.regex.limit_hits == 1);
}

TEST_CASE("transforms") {
  const auto apply = [](TransformKind kind, std::string_view text, std::string argument = {}) {
    TransformScratch storage;
    Transform transform;
    transform.kind = kind;
    transform.argument = std::move(argument);
    const std::vector<Transform> one{transform};
    return std::string(as_text(apply_transforms(as_bytes(text), one, storage)));
  };
  CHECK(apply(TransformKind::dotprefix, "a.b") == ".a.b");
  CHECK(apply(TransformKind::to_lowercase, "AbZ[") == "abz[");
  CHECK(apply(TransformKind::strip_whitespace, " a\t b\r\n") == "ab");
  CHECK(apply(TransformKind::compress_whitespace, "a \t b") == "a b");
  CHECK(apply(TransformKind::url_decode, "a%2Fb+c%zz%4") == "a/b c%zz%4");
  CHECK(apply(TransformKind::xor_key, "ab", "\x01") == "`c");
  CHECK(apply(TransformKind::header_lowercase, "Host: A\r\nX-Y: B\r\n") == "host: A\r\nx-y: B\r\n");
  CHECK(apply(TransformKind::strip_pseudo_headers, ":method: GET\nhost: a\n") == "host: a\n");
  CHECK(apply(TransformKind::to_md5, "").size() == 16);
  CHECK(apply(TransformKind::to_sha256, "abc").substr(0, 2) == "\xba\x78");
}

TEST_CASE("transforms with arguments") {
  const auto run = [](Transform transform, std::string_view text) {
    TransformScratch scratch;
    return std::string(
        as_text(apply_transforms(as_bytes(text), std::span(&transform, 1), scratch)));
  };
  Transform base64;
  base64.kind = TransformKind::from_base64;
  CHECK(run(base64, "aGVsbG8=") == "hello");
  CHECK(run(base64, "aGVs!bG8=") == "hel");
  base64.mode = Base64Mode::rfc2045;
  CHECK(run(base64, "aGVs!bG8=") == "hello");
  base64.mode = Base64Mode::strict;
  CHECK(run(base64, "aGVs!bG8=") == "aGVs!bG8=");
  base64.offset = 2;
  CHECK(run(base64, "??aGVsbG8=") == "hello");

  Transform capture;
  capture.kind = TransformKind::pcre_capture;
  auto regex = Regex::compile("id=([a-z]+)", {});
  REQUIRE(regex);
  capture.regex = std::make_shared<const Regex>(*std::move(regex));
  CHECK(run(capture, "x?id=abc&y") == "abc");
  CHECK(run(capture, "nothing") == "nothing");

  Transform name;
  name.kind = TransformKind::domain;
  CHECK(run(name, "a.b.example.co.uk") == "example.co.uk");
  name.kind = TransformKind::tld;
  CHECK(run(name, "a.b.example.co.uk") == "co.uk");

  Transform part;
  part.kind = TransformKind::subslice;
  part.offset = -3;
  part.bytes = 2;
  CHECK(run(part, "abcdef") == "de");
  part.offset = 9;
  CHECK(run(part, "abcdef").empty());
}
