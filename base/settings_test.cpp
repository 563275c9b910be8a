#include "base/settings.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <csignal>

namespace menshen {
namespace {

const std::vector<SettingDefinition>& table() {
  static const std::vector<SettingDefinition> definitions = {
      {"audit.checkpoint_seconds",
       SettingType::integer,
       "10",
       1,
       3600,
       {},
       true,
       {"签名间隔，秒", "seconds between signatures"}},
      {"audit.folder",
       SettingType::path,
       "/var/lib/menshen",
       0,
       0,
       {},
       false,
       {"账本目录", "the log's folder"}},
      {"audit.key",
       SettingType::optional_path,
       "",
       0,
       0,
       {},
       false,
       {"签名密钥", "the signing key"}},
      {"audit.copy", SettingType::optional_path, "/copy", 0, 0, {}, false, {"副本", "a copy"}},
      {"sensor.inline",
       SettingType::boolean,
       "true",
       0,
       0,
       {},
       false,
       {"是否串接", "whether inline"}},
      {"sensor.on_failure",
       SettingType::choice,
       "drop",
       0,
       0,
       {"drop", "pass", "bypass"},
       true,
       {"失效时的动作", "what to do on failure"}},
      {"sensor.interfaces",
       SettingType::list,
       "eth1, eth2",
       0,
       0,
       {},
       false,
       {"接口", "interfaces"}},
      {"sensor.label",
       SettingType::text,
       "it's: 门神",
       0,
       0,
       {},
       false,
       {"名称|标签", "name|label"}},
      {"sensor.empty", SettingType::list, "", 0, 0, {}, false, {"空列表", "an empty list"}},
  };
  return definitions;
}

std::optional<Settings> parse(const std::string& source) {
  Diagnostics diagnostics("f", source);
  return Settings::parse(table(), source, diagnostics);
}

std::string errors(const std::string& source) {
  Diagnostics diagnostics("f", source);
  CHECK_FALSE(Settings::parse(table(), source, diagnostics));
  std::string text;
  for (const Diagnostic& d : diagnostics.all()) {
    text += (text.empty() ? "" : ", ") + d.code + " " + std::to_string(d.range.begin.line) + ":" +
            std::to_string(d.range.begin.column);
  }
  return text;
}

void check_defaults(const Settings& settings) {
  CHECK(settings.integer("audit.checkpoint_seconds") == 10);
  CHECK(settings.text("audit.folder") == "/var/lib/menshen");
  CHECK(settings.text("audit.key").empty());
  CHECK(settings.text("audit.copy") == "/copy");
  CHECK(settings.boolean("sensor.inline"));
  CHECK(settings.text("sensor.on_failure") == "drop");
  CHECK(settings.list("sensor.interfaces") == std::vector<std::string>{"eth1", "eth2"});
  CHECK(settings.text("sensor.label") == "it's: 门神");
  CHECK(settings.list("sensor.empty").empty());
}

TEST_CASE("nothing written means the defaults") {
  check_defaults(Settings::defaults(table()));
  check_defaults(parse("").value());
  check_defaults(parse("# all commented out\n").value());
  check_defaults(parse("audit:\n  # checkpoint_seconds: 5\nsensor: {}\n").value());
}

TEST_CASE("what is written counts, the rest keeps its default") {
  const Settings settings = parse(
                                "audit: {checkpoint_seconds: 1, key: /etc/key}\n"
                                "sensor:\n  inline: false\n  on_failure: bypass\n  interfaces: [a, "
                                "b, c]\n  label: \"x\"\n  empty: one\n")
                                .value();
  CHECK(settings.integer("audit.checkpoint_seconds") == 1);
  CHECK(settings.text("audit.key") == "/etc/key");
  CHECK(settings.text("audit.folder") == "/var/lib/menshen");
  CHECK_FALSE(settings.boolean("sensor.inline"));
  CHECK(settings.text("sensor.on_failure") == "bypass");
  CHECK(settings.list("sensor.interfaces").size() == 3);
  CHECK(settings.list("sensor.empty") == std::vector<std::string>{"one"});
}

TEST_CASE("an optional path can be written empty, whatever its default") {
  CHECK(parse("audit: {copy: '', key: ''}\n").value().text("audit.copy").empty());
  CHECK(errors("audit: {copy: relative}\n") == "out-of-range 1:15");
}

TEST_CASE("each mistake has its place, all in one run") {
  CHECK(errors("audit:\n  checkpoint_seconds: 0\nsensor:\n  inline: yes\n  on_failure: dorp\n  "
               "colour: red\n") ==
        "out-of-range 2:23, wrong-type 4:11, out-of-range 5:15, unknown-key 6:3");
  CHECK(errors("audit: {folder: relative/path}\n") == "out-of-range 1:17");
  CHECK(errors("audit: {folder: ''}\n") == "out-of-range 1:17");
  CHECK(errors("audit: {folder: \"/a\\nb\"}\n") == "out-of-range 1:17");
  CHECK(errors("audit: {folder: }\n") == "wrong-type 1:15");
  CHECK(errors("sensor: {interfaces: [a, [b]]}\n") == "wrong-type 1:26");
  CHECK(errors("sensors: {inline: true}\n") == "unknown-key 1:1");
  CHECK(errors("audit: 5\n") == "wrong-type 1:8");
  CHECK(errors("- audit\n") == "wrong-type 1:1");
  CHECK(errors("audit: {key: /a, key: /b}\n") == "duplicate-key 1:18");
  CHECK(errors("audit.folder: /a\n") == "unknown-key 1:1");
}

TEST_CASE("a near miss is suggested") {
  const std::string source = "sensor: {inlin: true, on_failure: dropp}\n";
  Diagnostics diagnostics("f", source);
  CHECK_FALSE(Settings::parse(table(), source, diagnostics));
  const std::string text = diagnostics.render(Lang::en);
  CHECK(text.find("did you mean \"inline\"?") != std::string::npos);
  CHECK(text.find("did you mean \"drop\"?") != std::string::npos);
  CHECK(text.find("is none of: drop, pass, bypass") != std::string::npos);
}

TEST_CASE("at each limit and one beyond") {
  const auto seconds = [](const char* n) {
    return parse(std::string("audit: {checkpoint_seconds: ") + n + "}");
  };
  CHECK(seconds("1"));
  CHECK(seconds("3600"));
  CHECK_FALSE(seconds("0"));
  CHECK_FALSE(seconds("3601"));

  const auto label = [](std::size_t size) {
    return parse("sensor: {label: " + std::string(size, 'x') + "}");
  };
  CHECK(label(setting_text_bytes_max));
  CHECK_FALSE(label(setting_text_bytes_max + 1));

  const auto items = [](std::size_t count) {
    std::string text = "sensor: {interfaces: [";
    for (std::size_t i = 0; i < count; ++i) text += "x,";
    return parse(text + "]}");
  };
  CHECK(items(0));
  CHECK(items(setting_items_max));
  CHECK_FALSE(items(setting_items_max + 1));
}

TEST_CASE("the template says everything and changes nothing") {
  const std::string text = settings_template(table());
  check_defaults(parse(text).value());
  CHECK(text.substr(0, text.find("#   folder")) ==
        "# audit:\n"
        "#   # 签名间隔，秒（整数，1 至 3600；重新加载即生效）\n"
        "#   # seconds between signatures (integer, 1 to 3600; takes effect on reload)\n"
        "#   checkpoint_seconds: 10\n"
        "#   # 账本目录（绝对路径；重启后生效）\n"
        "#   # the log's folder (absolute path; takes effect after a restart)\n");
}

TEST_CASE("the template without its comment signs is a file with the defaults") {
  std::string text = settings_template(table());
  std::string uncommented;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    const std::string line = text.substr(at, end - at);
    uncommented += (line.substr(0, 2) == "# " ? line.substr(2) : line) + "\n";
    at = end + 1;
  }
  INFO(uncommented);
  check_defaults(parse(uncommented).value());
}

TEST_CASE("the reference has every key once, in either language") {
  for (const Lang lang : {Lang::zh, Lang::en}) {
    const std::string page = settings_reference(table(), lang);
    for (const SettingDefinition& definition : table()) {
      const std::string cell = "| `" + std::string(definition.key) + "` |";
      const std::size_t found = page.find(cell);
      CHECK(found != std::string::npos);
      CHECK(page.find(cell, found + 1) == std::string::npos);
    }
  }
  CHECK(settings_reference(table(), Lang::en).find("name\\|label") != std::string::npos);
  CHECK(settings_reference(table(), Lang::zh)
            .find("| 整数，1 至 3600 | `10` | 重新加载即生效 | 签名间隔，秒 |") !=
        std::string::npos);
}

TEST_CASE("asking for what the table does not have ends the program") {
  const auto dies = [](auto ask) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      ::signal(SIGABRT, SIG_DFL);  // the test runner's own handler would report a failed test
      ask(Settings::defaults(table()));
      ::_exit(0);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
  };
  CHECK(dies([](const Settings& s) { static_cast<void>(s.integer("audit.none")); }));
  CHECK(dies([](const Settings& s) { static_cast<void>(s.boolean("audit.checkpoint_seconds")); }));
  CHECK_FALSE(
      dies([](const Settings& s) { static_cast<void>(s.integer("audit.checkpoint_seconds")); }));
}

}  // namespace
}  // namespace menshen
