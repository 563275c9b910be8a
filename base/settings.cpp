#include "base/settings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>

#include "base/assert.hpp"
#include "base/text.hpp"
#include "base/yaml.hpp"

namespace menshen {
namespace {

using Table = std::span<const SettingDefinition>;

std::string_view section_of(std::string_view key) { return key.substr(0, key.find('.')); }

std::string_view name_of(std::string_view key) {
  const std::size_t dot = key.find('.');
  MENSHEN_ASSERT(dot != std::string_view::npos);  // every key is "section.name"
  return key.substr(dot + 1);
}

std::vector<std::string_view> split_list(std::string_view text) {
  std::vector<std::string_view> items;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    std::string_view item = text.substr(0, comma);
    while (!item.empty() && item.front() == ' ') item.remove_prefix(1);
    items.push_back(item);
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  return items;
}

bool has_controls(std::string_view text) { return escape_controls(text) != text; }

// Reads one value, which is there; nothing where it is wrong (then a diagnostic says so).
class ValueReader {
 public:
  using Value = std::variant<std::int64_t, bool, std::string, std::vector<std::string>>;

  ValueReader(const SettingDefinition& definition, Diagnostics& diagnostics)
      : definition_(definition), diagnostics_(diagnostics) {}

  [[nodiscard]] std::optional<Value> read(const yaml::Node& node) {
    switch (definition_.type) {
      case SettingType::integer:
        return widen(yaml::as_integer(node, definition_.min, definition_.max, diagnostics_));
      case SettingType::boolean:
        return widen(yaml::as_bool(node, diagnostics_));
      case SettingType::text:
        return widen(text(node));
      case SettingType::choice:
        return widen(choice(node));
      case SettingType::path:
      case SettingType::optional_path:
        return widen(path(node));
      case SettingType::list:
        return widen(list(node));
    }
    return std::nullopt;
  }

 private:
  template <class T>
  static std::optional<Value> widen(std::optional<T> value) {
    if (!value) return std::nullopt;
    return Value(std::move(*value));
  }

  std::nullopt_t refuse(const yaml::Node& node, Text text, std::vector<Note> notes = {}) {
    diagnostics_.error("out-of-range", node.range, std::move(text), std::move(notes));
    return std::nullopt;
  }

  std::optional<std::string> text(const yaml::Node& node) {
    auto value = yaml::as_string(node, diagnostics_);
    if (value && value->size() > setting_text_bytes_max) {
      return refuse(node, {fmt::format("超过 {} 字节", setting_text_bytes_max),
                           fmt::format("longer than {} bytes", setting_text_bytes_max)});
    }
    if (value && has_controls(*value)) {
      return refuse(node, {"不允许控制字符", "control characters are not allowed"});
    }
    return value;
  }

  std::optional<std::string> choice(const yaml::Node& node) {
    auto value = text(node);
    const auto& choices = definition_.choices;
    if (!value || std::find(choices.begin(), choices.end(), *value) != choices.end()) return value;
    std::vector<Note> notes;
    if (const std::string_view near = nearest(*value, choices); !near.empty()) {
      notes.push_back(
          {{fmt::format("是否想写“{}”？", near), fmt::format("did you mean \"{}\"?", near)}, {}});
    }
    return refuse(node,
                  {fmt::format("“{}”不在可选值之中：{}", *value, fmt::join(choices, "、")),
                   fmt::format("\"{}\" is none of: {}", *value, fmt::join(choices, ", "))},
                  std::move(notes));
  }

  // Daemons run in /, so a relative path would mean something else than its writer thought.
  std::optional<std::string> path(const yaml::Node& node) {
    auto value = text(node);
    if (!value || value->substr(0, 1) == "/") return value;
    if (value->empty() && definition_.type == SettingType::optional_path) return value;
    return refuse(node, {fmt::format("“{}”不是绝对路径", *value),
                         fmt::format("\"{}\" is not an absolute path", *value)});
  }

  std::optional<std::vector<std::string>> list(const yaml::Node& node) {
    const auto items = yaml::as_list(node, diagnostics_);
    if (!items) return std::nullopt;
    if (items->size() > setting_items_max) {
      return refuse(node, {fmt::format("超过 {} 项", setting_items_max),
                           fmt::format("more than {} items", setting_items_max)});
    }
    std::vector<std::string> values;
    for (const yaml::Node* item : *items) {
      if (auto value = text(*item)) values.push_back(std::move(*value));
    }
    if (values.size() != items->size()) return std::nullopt;
    return values;
  }

  const SettingDefinition& definition_;
  Diagnostics& diagnostics_;
};

// The default as a node, so that it passes the same checks as what a person writes.
yaml::Node fallback_node(const SettingDefinition& definition) {
  yaml::Node node;
  if (definition.type == SettingType::list) {
    node.kind = yaml::Node::Kind::sequence;
    for (const std::string_view item : split_list(definition.fallback)) {
      yaml::Node& child = node.items.emplace_back();
      child.kind = yaml::Node::Kind::scalar;
      child.text = item;
    }
  } else {
    node.kind = yaml::Node::Kind::scalar;
    node.text = definition.fallback;
  }
  return node;
}

const SettingDefinition* definition_of(Table table, std::string_view section,
                                       std::string_view name) {
  for (const SettingDefinition& definition : table) {
    if (section_of(definition.key) == section && name_of(definition.key) == name)
      return &definition;
  }
  return nullptr;
}

void unknown_key(const yaml::Node::Entry& entry, const std::vector<std::string_view>& known,
                 Diagnostics& diagnostics) {
  std::vector<Note> notes;
  if (const std::string_view near = nearest(entry.key, known); !near.empty()) {
    notes.push_back(
        {{fmt::format("是否想写“{}”？", near), fmt::format("did you mean \"{}\"?", near)}, {}});
  }
  diagnostics.error("unknown-key", entry.key_range,
                    {fmt::format("没有设置项“{}”", entry.key),
                     fmt::format("there is no setting \"{}\"", entry.key)},
                    std::move(notes));
}

std::vector<std::string_view> sections_of(Table table) {
  std::vector<std::string_view> sections;
  for (const SettingDefinition& definition : table) {
    const std::string_view section = section_of(definition.key);
    if (std::find(sections.begin(), sections.end(), section) == sections.end()) {
      sections.push_back(section);
    }
  }
  return sections;
}

// As the file would have it.
std::string yaml_value(const SettingDefinition& definition) {
  const std::string_view value = definition.fallback;
  if (definition.type == SettingType::list) {
    return fmt::format("[{}]", fmt::join(split_list(value), ", "));
  }
  const bool plain = definition.type != SettingType::text && definition.type != SettingType::path &&
                     definition.type != SettingType::optional_path;
  constexpr std::string_view special = ":#{}[],&*!|>'\"%@` ";
  if (plain || (!value.empty() && value.find_first_of(special) == std::string_view::npos)) {
    return std::string(value);
  }
  std::string quoted = "'";
  for (const char c : value) quoted += c == '\'' ? std::string("''") : std::string(1, c);
  return quoted + "'";
}

Text type_of(const SettingDefinition& definition) {
  switch (definition.type) {
    case SettingType::integer:
      return {fmt::format("整数，{} 至 {}", definition.min, definition.max),
              fmt::format("integer, {} to {}", definition.min, definition.max)};
    case SettingType::boolean:
      return {"true 或 false", "true or false"};
    case SettingType::text:
      return {"文本", "text"};
    case SettingType::choice:
      return {fmt::format("{}之一", fmt::join(definition.choices, "、")),
              fmt::format("one of {}", fmt::join(definition.choices, ", "))};
    case SettingType::path:
      return {"绝对路径", "absolute path"};
    case SettingType::optional_path:
      return {"绝对路径，或为空", "absolute path, or empty"};
    case SettingType::list:
      return {"列表", "list"};
  }
  return {};
}

Text effect_of(const SettingDefinition& definition) {
  return definition.reloadable ? Text{"重新加载即生效", "takes effect on reload"}
                               : Text{"重启后生效", "takes effect after a restart"};
}

std::string table_cell(std::string_view text) {
  std::string cell;
  for (const char c : text) {
    if (c == '|') cell += '\\';
    cell += c;
  }
  return cell;
}

}  // namespace

Settings Settings::defaults(std::span<const SettingDefinition> table) {
  Settings settings;
  Diagnostics diagnostics("", "");
  for (const SettingDefinition& definition : table) {
    auto value = ValueReader(definition, diagnostics).read(fallback_node(definition));
    MENSHEN_ASSERT(value.has_value());  // a default breaks its own rule
    settings.values_.insert_or_assign(std::string(definition.key), std::move(*value));
  }
  return settings;
}

std::optional<Settings> Settings::parse(std::span<const SettingDefinition> table,
                                        std::string_view source, Diagnostics& diagnostics) {
  const std::size_t errors_before = diagnostics.errors();
  Settings settings = defaults(table);
  const auto root = yaml::parse(source, diagnostics);
  if (!root) return std::nullopt;
  if (!root->is_map() && root->kind != yaml::Node::Kind::null) {
    diagnostics.error("wrong-type", root->range,
                      {"设置文件应由“分组: {设置项: 值}”组成",
                       "a settings file consists of \"section: {name: value}\""});
    return std::nullopt;
  }
  for (const yaml::Node::Entry& section : root->entries) {
    std::vector<std::string_view> names;
    for (const SettingDefinition& definition : table) {
      if (section_of(definition.key) == section.key) names.push_back(name_of(definition.key));
    }
    if (names.empty()) {
      unknown_key(section, sections_of(table), diagnostics);
      continue;
    }
    // A section whose settings are all commented out is as good as none.
    if (section.value.kind == yaml::Node::Kind::null) continue;
    if (!section.value.is_map()) {
      diagnostics.error("wrong-type", section.value.range,
                        {fmt::format("“{}”下应为“设置项: 值”", section.key),
                         fmt::format("\"{}\" holds \"name: value\" pairs", section.key)});
      continue;
    }
    for (const yaml::Node::Entry& entry : section.value.entries) {
      const SettingDefinition* definition = definition_of(table, section.key, entry.key);
      if (definition == nullptr) {
        unknown_key(entry, names, diagnostics);
      } else if (auto value = ValueReader(*definition, diagnostics).read(entry.value)) {
        settings.values_.insert_or_assign(std::string(definition->key), std::move(*value));
      }
    }
  }
  if (diagnostics.errors() != errors_before) return std::nullopt;
  return settings;
}

template <class T>
const T& Settings::get(std::string_view key) const {
  const auto found = values_.find(key);
  MENSHEN_ASSERT(found != values_.end());
  const T* value = std::get_if<T>(&found->second);
  MENSHEN_ASSERT(value != nullptr);
  return *value;
}

std::int64_t Settings::integer(std::string_view key) const { return get<std::int64_t>(key); }
bool Settings::boolean(std::string_view key) const { return get<bool>(key); }
const std::string& Settings::text(std::string_view key) const { return get<std::string>(key); }
const std::vector<std::string>& Settings::list(std::string_view key) const {
  return get<std::vector<std::string>>(key);
}

std::string settings_template(std::span<const SettingDefinition> table) {
  std::string file;
  const auto out = std::back_inserter(file);
  for (const std::string_view section : sections_of(table)) {
    fmt::format_to(out, "{}# {}:\n", file.empty() ? "" : "\n", section);
    for (const SettingDefinition& definition : table) {
      if (section_of(definition.key) != section) continue;
      const Text type = type_of(definition);
      const Text effect = effect_of(definition);
      fmt::format_to(out, "#   # {}（{}；{}）\n", definition.help.zh, type.zh, effect.zh);
      fmt::format_to(out, "#   # {} ({}; {})\n", definition.help.en, type.en, effect.en);
      fmt::format_to(out, "#   {}: {}\n", name_of(definition.key), yaml_value(definition));
    }
  }
  return file;
}

std::string settings_reference(std::span<const SettingDefinition> table, Lang lang) {
  const bool zh = lang == Lang::zh;
  std::string page = zh ? "# 设置参考\n" : "# Settings\n";
  const auto out = std::back_inserter(page);
  for (const std::string_view section : sections_of(table)) {
    fmt::format_to(out, "\n## {}\n\n", section);
    page += zh ? "| 设置项 | 取值 | 默认 | 生效 | 说明 |\n"
               : "| setting | value | default | effect | help |\n";
    page += "| --- | --- | --- | --- | --- |\n";
    for (const SettingDefinition& definition : table) {
      if (section_of(definition.key) != section) continue;
      fmt::format_to(out, "| `{}` | {} | `{}` | {} | {} |\n", definition.key,
                     table_cell(type_of(definition).in(lang)), table_cell(yaml_value(definition)),
                     effect_of(definition).in(lang), table_cell(definition.help.in(lang)));
    }
  }
  return page;
}

}  // namespace menshen
