#include "apps/sensord/rules.hpp"

#include <poll.h>

#include <catch2/catch.hpp>

#include "apps/common/settings_table.hpp"
#include "tests/testkit/temp_dir.hpp"

namespace menshen::apps {
namespace {

Settings settings_with(const std::filesystem::path& rules) {
  auto loaded = parse_settings("menshen.yaml", "sensor: {rules: [\"" + rules.string() + "\"]}");
  REQUIRE(loaded.settings);
  return std::move(*loaded.settings);
}

const char* const rule =
    "alert tcp any any -> any any (msg:\"x\"; content:\"attack\"; sid:1; rev:1;)\n";

TEST_CASE("a folder stands for its rule files, by name") {
  const testkit::TempDir folder;
  folder.write("b.rules", rule);
  folder.write("a.rules", rule);
  folder.write("readme.txt", "no rules");
  const auto files = find_rule_files({folder.path().string()});
  REQUIRE(files);
  CHECK(*files == std::vector<std::filesystem::path>{folder / "a.rules", folder / "b.rules"});
}

TEST_CASE("a rule file that is not there is named") {
  const auto files = find_rule_files({"/nonexistent.rules"});
  REQUIRE_FALSE(files);
  CHECK(files.error().code == ErrorCode::not_found);
  CHECK(files.error().text.en.find("/nonexistent.rules") != std::string::npos);
}

TEST_CASE("variables are NAME=VALUE") {
  const auto good = rule_options({"HOME_NET=[10.0.0.0/8,!10.1.0.0/16]", "X=a=b"});
  REQUIRE(good);
  CHECK(good->variables.at("HOME_NET") == "[10.0.0.0/8,!10.1.0.0/16]");
  CHECK(good->variables.at("X") == "a=b");
  for (const char* bad : {"HOME_NET", "=x", "HOME_NET="}) CHECK_FALSE(rule_options({bad}));
}

TEST_CASE("a reload that is asked for during another one is done after it") {
  const testkit::TempDir folder;
  const auto file = folder.write("a.rules", rule);
  auto reloader = RuleReloader::make();
  REQUIRE(reloader);
  const Settings settings = settings_with(file);
  (*reloader)->start(settings);
  (*reloader)->start(settings);
  for (int round = 0; round < 2; ++round) {
    pollfd fd{(*reloader)->fd(), POLLIN, 0};
    REQUIRE(::poll(&fd, 1, 60'000) == 1);
    const auto loaded = (*reloader)->take();
    REQUIRE(loaded);
    CHECK(loaded->rules->summary().loaded == 1);
  }
}

}  // namespace
}  // namespace menshen::apps
