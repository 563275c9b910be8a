#include "apps/menshen/table.hpp"

#include <catch2/catch.hpp>

namespace menshen::apps {
namespace {

TEST_CASE("columns line up over Chinese and Latin text") {
  Table table({"安全域", "n"});
  table.add({"finance", "1"});
  table.add({"财政局", "2"});
  CHECK(table.render() ==
        "安全域   n\n"
        "finance  1\n"
        "财政局   2\n");
}

TEST_CASE("a table without headings has no first line") {
  Table table({"", ""});
  table.add({"a", "b"});
  CHECK(table.render("  ") == "  a  b\n");
}

TEST_CASE("an empty last cell leaves no blanks at the line's end") {
  Table table({"x", "y"});
  table.add({"long", ""});
  CHECK(table.render() == "x     y\nlong\n");
}

TEST_CASE("control characters from a packet do not reach the terminal") {
  Table table({"x"});
  table.add({"\x1b[31mred"});
  CHECK(table.render().find('\x1b') == std::string::npos);
}

}  // namespace
}  // namespace menshen::apps
