#include "compliance/checks/evaluate.hpp"

#include <catch2/catch.hpp>

namespace menshen::compliance {
namespace {

using nlohmann::json;

Facts facts() {
  Facts f;
  const Provenance p = make_provenance("host", "test", 0, "raw");
  f.add("a",
        {{"n", 5},
         {"text", "5"},
         {"list", {1, 2, "x"}},
         {"empty", json::array()},
         {"names", {"wang@x", "li@y"}},
         {"dotted.key", "yes"},
         {"dotted", {{"other", 1}}},
         {"null", nullptr},
         {"on", true}},
        p);
  f.add("a.b", {{"c", "deep"}}, p);
  f.fail("bad", {"坏了", "broken"}, p);
  return f;
}

Sources sources() {
  Sources s;
  s.settings.push_back({"/etc/login.defs", {"/etc/login.defs"}, SettingsStyle::space, {}});
  s.texts.push_back({"pg_hba", {"/pg_hba.conf"}, SettingsStyle::equals, {}});
  s.commands.push_back({"sshd", {"sshd", "-T"}});
  return s;
}

std::optional<Expression> parse(const std::string& text, std::string* why = nullptr) {
  Diagnostics diagnostics("expr", text);
  const auto node = yaml::parse(text, diagnostics);
  REQUIRE(node);
  auto result = parse_expression(*node, sources(), diagnostics);
  if (why != nullptr) *why = diagnostics.render(Lang::en);
  return result;
}

Outcome judge(const std::string& text) {
  const auto expression = parse(text);
  REQUIRE(expression);
  std::vector<Observation> seen;
  return evaluate(*expression, facts(), seen);
}

TEST_CASE("operators") {
  const auto [text, outcome] = GENERATE(table<const char*, Outcome>({
      {"{fact: a.n, equals: 5}", Outcome::yes},
      {"{fact: a.n, equals: \"5\"}", Outcome::yes},
      {"{fact: a.text, equals: 5}", Outcome::yes},
      {"{fact: a.text, equals: 6}", Outcome::no},
      {"{fact: a.on, equals: true}", Outcome::yes},
      {"{fact: a.n, not_equals: 5}", Outcome::no},
      {"{fact: a.null, not_equals: 5}", Outcome::error},
      {"{fact: a.null, equals: 5}", Outcome::no},
      {"{fact: a.n, at_least: 5}", Outcome::yes},
      {"{fact: a.n, at_least: 6}", Outcome::no},
      {"{fact: a.text, at_most: 5}", Outcome::yes},
      {"{fact: a.text, at_most: 4}", Outcome::no},
      {"{fact: a.list, at_least: 3}", Outcome::yes},
      {"{fact: a.on, at_least: 1}", Outcome::error},
      {"{fact: a.list, contains: x}", Outcome::yes},
      {"{fact: a.list, contains: [1, x]}", Outcome::yes},
      {"{fact: a.list, contains: [1, y]}", Outcome::no},
      {"{fact: a.list, lacks: [7, y]}", Outcome::yes},
      {"{fact: a.list, lacks: [7, x]}", Outcome::no},
      {"{fact: a.null, lacks: x}", Outcome::error},
      {"{fact: a.n, lacks: x}", Outcome::error},
      {"{fact: a.n, one_of: [4, 5]}", Outcome::yes},
      {"{fact: a.b.c, matches: \"^de+p$\"}", Outcome::yes},
      {"{fact: a.b.c, matches: \"^de$\"}", Outcome::no},
      {"{fact: a.b.c, matches: \"(\"}", Outcome::error},
      {"{fact: a.names, matches: \"^li@\"}", Outcome::yes},
      {"{fact: a.names, matches: \"^wu@\"}", Outcome::no},
      {"{fact: a.list, matches: \"x\"}", Outcome::error},
      {"{fact: a.empty, empty: true}", Outcome::yes},
      {"{fact: a.list, empty: true}", Outcome::no},
      {"{fact: a.n, empty: true}", Outcome::error},
      {"{fact: a.dotted.key, equals: \"yes\"}", Outcome::yes},
      {"{fact: a.dotted.other, equals: 1}", Outcome::yes},
      {"{fact: a.missing, equals: 1}", Outcome::unknown},
      {"{fact: a.missing, equals: 1, default: 1}", Outcome::yes},
      {"{fact: a.missing, exists: false}", Outcome::yes},
      {"{fact: nothing.at.all, exists: false}", Outcome::unknown},
      {"{fact: nothing.at.all, equals: 1, default: 1}", Outcome::unknown},
      {"{fact: bad.x, exists: false}", Outcome::error},
      {"{fact: bad, equals: 1, default: 1}", Outcome::error},
  }));
  INFO(text);
  CHECK(judge(text) == outcome);
}

TEST_CASE("three-valued groups: what decides, decides; else error, else unknown") {
  const std::string yes = "{fact: a.n, equals: 5}";
  const std::string no = "{fact: a.n, equals: 4}";
  const std::string unknown = "{fact: nothing, equals: 4}";
  const std::string error = "{fact: bad, equals: 4}";
  const auto all = [](const std::string& x, const std::string& y) {
    return judge("all_of: [" + x + ", " + y + "]");
  };
  const auto any = [](const std::string& x, const std::string& y) {
    return judge("any_of: [" + x + ", " + y + "]");
  };
  CHECK(all(yes, yes) == Outcome::yes);
  CHECK(all(yes, no) == Outcome::no);
  CHECK(all(unknown, no) == Outcome::no);
  CHECK(all(error, no) == Outcome::no);
  CHECK(all(yes, unknown) == Outcome::unknown);
  CHECK(all(error, unknown) == Outcome::error);
  CHECK(any(no, yes) == Outcome::yes);
  CHECK(any(error, yes) == Outcome::yes);
  CHECK(any(no, no) == Outcome::no);
  CHECK(any(no, unknown) == Outcome::unknown);
  CHECK(any(unknown, error) == Outcome::error);
}

TEST_CASE("a regular expression that explodes is an error, not a verdict") {
  Facts f;
  f.add("text", std::string(40, 'a') + "!", make_provenance("h", "s", 0, ""));
  std::vector<Observation> seen;
  CHECK(evaluate(*parse("{fact: text, matches: \"^(a+)+$\"}"), f, seen) == Outcome::error);
}

TEST_CASE("limits of an expression") {
  std::string why;
  std::string deep = "{fact: a, equals: 1}";
  for (std::size_t i = 1; i < Expression::depth_max; ++i) deep = "{all_of: [" + deep + "]}";
  CHECK(parse(deep));
  CHECK_FALSE(parse("{all_of: [" + deep + "]}", &why));
  CHECK_THAT(why, Catch::Contains("too-deep"));

  const auto wide = [](std::size_t n) {
    std::string text = "any_of: [";
    for (std::size_t i = 0; i < n; ++i) text += "{fact: a, equals: 1},";
    return text + "]";
  };
  CHECK(parse(wide(Expression::children_max)));
  CHECK_FALSE(parse(wide(Expression::children_max + 1)));

  const std::string longest(Expression::regex_bytes_max, 'x');
  CHECK(parse("{fact: a, matches: " + longest + "}"));
  CHECK_FALSE(parse("{fact: a, matches: " + longest + "x}"));
}

TEST_CASE("mistakes in an expression are told with their place") {
  const auto [text, what] = GENERATE(table<const char*, const char*>({
      {"{fact: a, equls: 1}", "expr:1:11: error: unknown operator \"equls\""},
      {"{fact: a}", "exactly one operator"},
      {"{fact: a, equals: 1, at_least: 2}", "exactly one operator"},
      {"{fact: a, at_least: many}", "wrong type of value for at_least"},
      {"{fact: a, exists: 1}", "wrong type of value for exists"},
      {"{fact: a, one_of: 1}", "wrong type of value for one_of"},
      {"{command: rm, equals: x}", "\"rm\" is not among the read-only commands"},
      {"{file_setting: /etc/passwd, key: a, equals: x}", "not among the collected files"},
      {"{file_setting: /etc/login.defs, equals: x}", "needs a key"},
      {"{permission: /etc/shadow, mode_at_most: 640}", "four octal digits"},
      {"{permission: /etc/shadow}", "needs mode_at_most, owner or group"},
      {"{package: telnetd}", "installed is missing"},
      {"{not: {fact: a, equals: 1}}", "an expression is one of"},
      {"{all_of: []}", "a list of 1 to 64 expressions"},
      {"[1]", "an expression (a map) is expected here"},
  }));
  std::string why;
  INFO(text);
  CHECK_FALSE(parse(text, &why));
  CHECK_THAT(why, Catch::Contains(what));
}

TEST_CASE("what was observed is kept, made printable and cut") {
  Facts f;
  f.add("evil", "\x1b[2J<b>\xe2\x80\xae" + std::string(1000, 'x'),
        make_provenance("h", "s", 0, ""));
  std::vector<Observation> seen;
  CHECK(evaluate(*parse("{fact: evil, equals: x}"), f, seen) == Outcome::no);
  REQUIRE(seen.size() == 1);
  CHECK(seen[0].observed.find('\x1b') == std::string::npos);
  CHECK(seen[0].observed.find("\xe2\x80\xae") == std::string::npos);
  CHECK(seen[0].observed.size() <= observed_bytes_max + 3);
}

}  // namespace
}  // namespace menshen::compliance
