#include "compliance/catalogue/sources.hpp"

#include "compliance/catalogue/reader.hpp"

namespace menshen::compliance {
namespace {

using yaml::Node;

constexpr std::int64_t timeout_seconds_max = 300;

bool is_plain(std::string_view text) {
  return text.find_first_of("'\n\\\"`$") == std::string_view::npos;
}

// Names go into file names and shell scripts; they are kept to what needs no quoting.
std::string name_of(Reader& reader) {
  std::string name = reader.text("name");
  if (!is_plain(name) || name.find(' ') != std::string::npos) {
    reader.error(
        reader.node().range, "bad-name",
        {"名称只能含字母、数字、/、.、- 和 _", "a name holds letters, digits, /, ., - and _"});
  }
  return name;
}

std::vector<std::string> patterns(Reader& reader, std::string_view key) {
  std::vector<std::string> result;
  for (const Node* item : reader.list(key)) {
    std::string path = reader.text_of(*item);
    const bool good = !path.empty() && path[0] == '/' && is_plain(path) &&
                      path.find(' ') == std::string::npos && path.find("..") == std::string::npos;
    if (!good) {
      reader.error(item->range, "bad-path",
                   {"应为绝对路径，可含 *", "an absolute path is expected; it may hold *"});
    }
    result.push_back(std::move(path));
  }
  if (result.size() > sources_entries_max) {
    reader.error(reader.node().range, "limit",
                 {fmt::format("{} 超过 {} 项", key, sources_entries_max),
                  fmt::format("more than {} in {}", sources_entries_max, key)});
    result.clear();
  }
  return result;
}

HostCommand parse_command(const Node& node, Diagnostics& diagnostics) {
  Reader reader(node, diagnostics, {"name", "run", "timeout_seconds"});
  HostCommand command;
  command.name = name_of(reader);
  command.arguments = reader.text_list("run");
  command.timeout = std::chrono::seconds(reader.integer("timeout_seconds", 1, timeout_seconds_max));
  const bool plain = !command.arguments.empty() && is_plain(command.arguments.front()) &&
                     command.arguments.front().find('/') == std::string::npos;
  if (!plain) {
    reader.error(node.range, "bad-command",
                 {"run 的第一项应为程序名（不含路径）",
                  "run begins with a program's name (without a path)"});
  }
  for (const std::string& argument : command.arguments) {
    if (argument.find_first_of("'\n") == std::string::npos) continue;
    reader.error(node.range, "bad-command",
                 {"参数不能含单引号或换行", "an argument holds no single quote and no line feed"});
  }
  return command;
}

SettingsFile parse_file(const Node& node, bool text, Diagnostics& diagnostics) {
  Reader reader(node, diagnostics, {"name", "files", "style", "secrets"});
  SettingsFile file;
  file.name = name_of(reader);
  file.files = patterns(reader, "files");
  file.secrets = reader.text_list("secrets");
  if (!text)
    file.style = static_cast<SettingsStyle>(reader.choice("style", {"space", "equals", "json"}));
  for (const std::string& key : file.secrets) {
    if (is_plain(key) && key.find(' ') == std::string::npos) continue;
    reader.error(node.range, "bad-name", {"secrets 中的键名无效", "a key of secrets is not valid"});
  }
  return file;
}

}  // namespace

const HostCommand* Sources::command(std::string_view name) const {
  const auto found = std::find_if(commands.begin(), commands.end(),
                                  [&](const HostCommand& c) { return c.name == name; });
  return found == commands.end() ? nullptr : &*found;
}

std::optional<Sources> parse_sources(std::string_view source, Diagnostics& diagnostics) {
  const auto document = yaml::parse(source, diagnostics);
  if (!document) return std::nullopt;
  Reader reader(*document, diagnostics,
                {"commands", "settings", "texts", "files", "modes", "presence", "sysctls"});
  Sources result;
  for (const Node* node : reader.list("commands"))
    result.commands.push_back(parse_command(*node, diagnostics));
  for (const Node* node : reader.list("settings"))
    result.settings.push_back(parse_file(*node, false, diagnostics));
  for (const Node* node : reader.list("texts"))
    result.texts.push_back(parse_file(*node, true, diagnostics));
  result.files = patterns(reader, "files");
  result.modes = patterns(reader, "modes");
  result.presence = patterns(reader, "presence");
  for (const Node* node : reader.list("sysctls")) {
    result.sysctls.push_back(reader.text_of(*node));
    if (result.sysctls.back().find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_.-") !=
        std::string::npos) {
      reader.error(node->range, "bad-name", {"不是内核参数名", "not the name of a sysctl"});
    }
  }
  if (diagnostics.has_errors()) return std::nullopt;
  return result;
}

}  // namespace menshen::compliance
