#include "apps/common/settings_table.hpp"

#include <catch2/catch.hpp>
#include <set>

namespace menshen::apps {
namespace {

LoadedSettings parse(std::string_view source) { return parse_settings("menshen.yaml", source); }

TEST_CASE("an empty settings file means every default") {
  const auto loaded = parse("");
  REQUIRE(loaded.settings);
  CHECK(loaded.settings->integer("inspection.queue") == 100);
  CHECK(loaded.settings->text("inspection.when_sensor_absent") == "block");
  CHECK(loaded.settings->text("audit.profile") == "sm");
  CHECK(loaded.settings->list("sensor.rules") ==
        std::vector<std::string>{"/usr/share/menshen/rules"});
  CHECK(loaded.settings->list("sensor.variables").empty());
}

TEST_CASE("every setting has help in both languages, a section and a key of its own") {
  std::set<std::string_view> keys;
  for (const SettingDefinition& definition : settings_table()) {
    CAPTURE(definition.key);
    CHECK(keys.insert(definition.key).second);
    CHECK(definition.key.find('.') != std::string_view::npos);
    CHECK_FALSE(definition.help.zh.empty());
    CHECK_FALSE(definition.help.en.empty());
    CHECK(definition.help.zh != definition.help.en);
  }
}

TEST_CASE("the template, all of it uncommented, is the defaults again") {
  std::string text = settings_template(settings_table());
  std::string uncommented;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    const std::string line = text.substr(at, end - at);
    uncommented += (line.starts_with("# ") ? line.substr(2) : line) + "\n";
    at = end + 1;
  }
  const auto loaded = parse(uncommented);
  INFO(loaded.diagnostics.render(Lang::en));
  REQUIRE(loaded.settings);
  CHECK(changed_until_restart(*parse("").settings, *loaded.settings).empty());
}

TEST_CASE("retention below six months is refused, six months is not") {
  CHECK_FALSE(parse("audit: {retention_days: 183}").settings);
  CHECK(parse("audit: {retention_days: 184}").settings);
}

TEST_CASE("ranges hold at their ends") {
  CHECK(parse("inspection: {queue: 65535}").settings);
  CHECK_FALSE(parse("inspection: {queue: 65536}").settings);
  CHECK(parse("policy: {drift_check_seconds: 0}").settings);
  CHECK_FALSE(parse("policy: {drift_check_seconds: -1}").settings);
}

TEST_CASE("every mistake is named in one run, with its place") {
  const auto loaded = parse(
      "sensor:\n"
      "  flows_max: ten\n"
      "  evnts_file: /tmp/x\n"
      "audit: {profile: rsa}\n");
  CHECK_FALSE(loaded.settings);
  CHECK(loaded.diagnostics.errors() == 3);
  const std::string text = loaded.diagnostics.render(Lang::en);
  CHECK(text.find("menshen.yaml:2:14") != std::string::npos);
  CHECK(text.find("events_file") != std::string::npos);
}

TEST_CASE("two daemons cannot share a socket or a folder") {
  const auto loaded = parse("general: {policyd_socket: /run/menshen/auditd.sock}");
  CHECK_FALSE(loaded.settings);
  CHECK(loaded.diagnostics.render(Lang::zh).find("general.auditd_socket") != std::string::npos);
}

TEST_CASE("what a reload cannot change is named") {
  const auto running = parse("");
  const auto loaded = parse("inspection: {queue: 7}\nsensor: {rules: [/etc/x.rules]}");
  REQUIRE(loaded.settings);
  CHECK(changed_until_restart(*running.settings, *loaded.settings) ==
        std::vector<std::string>{"inspection.queue"});
}

TEST_CASE("the language is the setting's, unless it says auto") {
  CHECK(settings_language(*parse("general: {language: zh}").settings) == Lang::zh);
  CHECK(settings_language(*parse("general: {language: en}").settings) == Lang::en);
}

}  // namespace
}  // namespace menshen::apps
