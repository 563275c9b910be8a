#include "compliance/catalogue/expression.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <initializer_list>
#include <utility>

namespace menshen::compliance {
namespace {

using nlohmann::json;

struct Named {
  std::string_view name;
  Operator op;
};
constexpr std::array<Named, 12> operators{{{"equals", Operator::equals},
                                           {"not_equals", Operator::not_equals},
                                           {"at_least", Operator::at_least},
                                           {"at_most", Operator::at_most},
                                           {"contains", Operator::contains},
                                           {"lacks", Operator::lacks},
                                           {"one_of", Operator::one_of},
                                           {"matches", Operator::matches},
                                           {"matches_none", Operator::matches_none},
                                           {"exists", Operator::exists},
                                           {"empty", Operator::empty},
                                           {"mode_at_most", Operator::mode_at_most}}};

constexpr std::size_t path_bytes_max = 200;
constexpr std::size_t values_max = 200;

// One parse of one expression tree; collects diagnostics and goes on.
class Parser {
 public:
  Parser(const Sources& sources, Diagnostics& diagnostics)
      : sources_(sources), diagnostics_(diagnostics) {}

  std::optional<Expression> parse(const yaml::Node& node, std::size_t depth) {
    if (depth > Expression::depth_max) {
      error(node, "too-deep",
            {fmt::format("表达式嵌套超过 {} 层", Expression::depth_max),
             fmt::format("expressions nest deeper than {}", Expression::depth_max)});
      return std::nullopt;
    }
    if (!node.is_map() || node.entries.empty()) {
      error(node, "wrong-type",
            {"此处应为表达式（映射）", "an expression (a map) is expected here"});
      return std::nullopt;
    }
    for (const auto& [name, kind] : {std::pair{"all_of", Expression::Kind::all_of},
                                     std::pair{"any_of", Expression::Kind::any_of}}) {
      if (const yaml::Node* list = node.find(name)) return group(node, name, *list, kind, depth);
    }
    if (node.find("fact") != nullptr) return comparison(node, "fact", "");
    if (node.find("sysctl") != nullptr) return comparison(node, "sysctl", "host.sysctl.");
    if (node.find("file_setting") != nullptr) return file_setting(node);
    if (node.find("package") != nullptr)
      return flag(node, "package", "host.packages.", "installed");
    if (node.find("service") != nullptr) return flag(node, "service", "host.processes.", "running");
    if (node.find("permission") != nullptr) return permission(node);
    if (node.find("command") != nullptr) return command(node);
    if (node.find("text") != nullptr) return lines(node);
    error(node, "unknown-expression",
          {"表达式须以 all_of、any_of、fact、file_setting、sysctl、package、service、permission、"
           "command 或 text 开头",
           "an expression is one of all_of, any_of, fact, file_setting, sysctl, package, service, "
           "permission, command, text"});
    return std::nullopt;
  }

 private:
  void error(const yaml::Node& node, std::string code, Text text) {
    diagnostics_.error(std::move(code), node.range, std::move(text));
  }

  std::optional<Expression> group(const yaml::Node& node, std::string_view name,
                                  const yaml::Node& list, Expression::Kind kind,
                                  std::size_t depth) {
    yaml::reject_unknown_keys(node, {name}, diagnostics_);
    if (!list.is_sequence() || list.items.empty() || list.items.size() > Expression::children_max) {
      error(list, "out-of-range",
            {fmt::format("{} 应为 1 至 {} 个表达式的列表", name, Expression::children_max),
             fmt::format("{} is a list of 1 to {} expressions", name, Expression::children_max)});
      return std::nullopt;
    }
    Expression result;
    result.kind = kind;
    bool good = true;
    for (const yaml::Node& item : list.items) {
      if (auto child = parse(item, depth + 1)) {
        result.children.push_back(*std::move(child));
      } else {
        good = false;
      }
    }
    if (!good) return std::nullopt;
    return result;
  }

  std::optional<std::string> text_of(const yaml::Node& node, std::string_view key) {
    auto text = yaml::as_string(*node.find(key), diagnostics_);
    if (!text) return std::nullopt;
    if (text->empty() || text->size() > path_bytes_max) {
      error(*node.find(key), "out-of-range",
            {fmt::format("{} 应为 1 至 {} 字节", key, path_bytes_max),
             fmt::format("{} takes 1 to {} bytes", key, path_bytes_max)});
      return std::nullopt;
    }
    return text;
  }

  // A scalar as JSON: quoted is text; true, false and plain integers are themselves.
  static json scalar(const yaml::Node& node) {
    if (!node.quoted) {
      if (node.text == "true") return true;
      if (node.text == "false") return false;
      std::int64_t number = 0;
      const char* end = node.text.data() + node.text.size();
      const auto [stop, code] = std::from_chars(node.text.data(), end, number);
      const bool padded = node.text.size() > 1 && node.text[0] == '0';
      if (code == std::errc{} && stop == end && !padded) return number;
    }
    return node.text;
  }

  std::optional<json> value_of(const yaml::Node& node) {
    if (node.is_scalar()) return scalar(node);
    if (!node.is_sequence() || node.items.size() > values_max) {
      error(node, "wrong-type",
            {"此处应为标量或标量列表", "a scalar or a list of scalars is expected"});
      return std::nullopt;
    }
    json list = json::array();
    for (const yaml::Node& item : node.items) {
      if (!item.is_scalar()) {
        error(item, "wrong-type", {"列表中应为标量", "the list holds scalars only"});
        return std::nullopt;
      }
      list.push_back(scalar(item));
    }
    return list;
  }

  bool fits(const yaml::Node& node, Operator op, const json& value) {
    const bool list = value.is_array();
    switch (op) {
      case Operator::at_least:
      case Operator::at_most:
        if (value.is_number_integer()) return true;
        break;
      case Operator::exists:
      case Operator::empty:
        if (value.is_boolean()) return true;
        break;
      case Operator::one_of:
        if (list && !value.empty()) return true;
        break;
      case Operator::matches:
      case Operator::matches_none:
        if (value.is_string() &&
            value.get_ref<const std::string&>().size() <= Expression::regex_bytes_max) {
          return true;
        }
        break;
      case Operator::mode_at_most:
        if (value.is_string()) return octal(node, value.get<std::string>());
        break;
      case Operator::contains:
      case Operator::lacks:
        if (!list || !value.empty()) return true;
        break;
      case Operator::equals:
      case Operator::not_equals:
        return true;
    }
    error(node, "wrong-type",
          {fmt::format("{} 的取值类型不对", operator_name(op)),
           fmt::format("wrong type of value for {}", operator_name(op))});
    return false;
  }

  bool octal(const yaml::Node& node, const std::string& text) {
    if (text.size() == 4 && text.find_first_not_of("01234567") == std::string::npos) return true;
    error(node, "out-of-range",
          {"文件权限应写作四位八进制，如 \"0640\"",
           "a file mode is four octal digits, such as \"0640\""});
    return false;
  }

  // The one operator of the map and its value; `keys` are the map's other allowed keys.
  std::optional<Expression> finish(const yaml::Node& node, std::string path,
                                   std::initializer_list<std::string_view> keys) {
    Expression result;
    result.predicate.path = std::move(path);
    std::size_t found = 0;
    bool good = true;
    for (const yaml::Node::Entry& entry : node.entries) {
      if (std::find(keys.begin(), keys.end(), entry.key) != keys.end()) continue;
      const auto* named = std::find_if(operators.begin(), operators.end(),
                                       [&](const Named& o) { return o.name == entry.key; });
      auto value = value_of(entry.value);
      if (entry.key == "default") {
        if (value) result.predicate.fallback = *std::move(value);
        good = good && result.predicate.fallback.has_value();
        continue;
      }
      if (named == operators.end()) {
        diagnostics_.error("unknown-operator", entry.key_range,
                           {fmt::format("未知的比较“{}”", entry.key),
                            fmt::format("unknown operator \"{}\"", entry.key)});
        good = false;
        continue;
      }
      ++found;
      if (!value || !fits(entry.value, named->op, *value)) {
        good = false;
        continue;
      }
      result.predicate.op = named->op;
      result.predicate.expected = *std::move(value);
    }
    if (good && found != 1) {
      error(node, "one-operator",
            {"每个条件须恰有一个比较", "a condition has exactly one operator"});
      good = false;
    }
    if (!good) return std::nullopt;
    return result;
  }

  std::optional<Expression> comparison(const yaml::Node& node, std::string_view key,
                                       std::string_view prefix) {
    const auto path = text_of(node, key);
    if (!path) return std::nullopt;
    return finish(node, fmt::format("{}{}", prefix, *path), {key});
  }

  std::optional<Expression> file_setting(const yaml::Node& node) {
    const auto file = text_of(node, "file_setting");
    if (!file) return std::nullopt;
    const auto& known = sources_.settings;
    if (std::none_of(known.begin(), known.end(),
                     [&](const SettingsFile& f) { return f.name == *file; })) {
      error(*node.find("file_setting"), "unknown-file",
            {fmt::format("“{}”不在采集的文件清单中", *file),
             fmt::format("\"{}\" is not among the collected files", *file)});
      return std::nullopt;
    }
    if (node.find("key") == nullptr) {
      error(node, "missing-key", {"file_setting 缺少 key", "file_setting needs a key"});
      return std::nullopt;
    }
    const auto key = text_of(node, "key");
    if (!key) return std::nullopt;
    auto result =
        finish(node, fmt::format("host.file.{}.settings.{}", *file, *key), {"file_setting", "key"});
    if (result) result->predicate.absent_is_unmet = true;
    return result;
  }

  // {package: NAME, installed: true}: the key exists in the fact.
  std::optional<Expression> flag(const yaml::Node& node, std::string_view key,
                                 std::string_view prefix, std::string_view state) {
    yaml::reject_unknown_keys(node, {key, state}, diagnostics_);
    const auto name = text_of(node, key);
    const yaml::Node* wanted = node.find(state);
    if (wanted == nullptr) {
      error(node, "missing-key",
            {fmt::format("缺少 {}", state), fmt::format("{} is missing", state)});
      return std::nullopt;
    }
    const auto value = yaml::as_bool(*wanted, diagnostics_);
    if (!name || !value) return std::nullopt;
    Expression result;
    result.predicate.path = fmt::format("{}{}", prefix, *name);
    result.predicate.op = Operator::exists;
    result.predicate.expected = *value;
    return result;
  }

  std::optional<Expression> permission(const yaml::Node& node) {
    yaml::reject_unknown_keys(node, {"permission", "mode_at_most", "owner", "group"}, diagnostics_);
    const auto path = text_of(node, "permission");
    if (!path) return std::nullopt;
    Expression result;
    result.kind = Expression::Kind::all_of;
    for (const auto& [key, op] :
         {std::pair{"mode_at_most", Operator::mode_at_most}, std::pair{"owner", Operator::equals},
          std::pair{"group", Operator::equals}}) {
      const yaml::Node* wanted = node.find(key);
      if (wanted == nullptr) continue;
      const auto value = yaml::as_string(*wanted, diagnostics_);
      if (!value || (op == Operator::mode_at_most && !octal(*wanted, *value))) return std::nullopt;
      Expression part;
      part.predicate.path =
          fmt::format("host.modes.{}.{}", *path, op == Operator::mode_at_most ? "mode" : key);
      part.predicate.op = op;
      part.predicate.expected = *value;
      result.children.push_back(std::move(part));
    }
    if (result.children.empty()) {
      error(node, "missing-key",
            {"permission 须给出 mode_at_most、owner 或 group",
             "permission needs mode_at_most, owner or group"});
      return std::nullopt;
    }
    return result;
  }

  std::optional<Expression> command(const yaml::Node& node) {
    const auto name = text_of(node, "command");
    if (!name) return std::nullopt;
    if (sources_.command(*name) == nullptr) {
      error(*node.find("command"), "unknown-command",
            {fmt::format("“{}”不在只读命令清单中", *name),
             fmt::format("\"{}\" is not among the read-only commands", *name)});
      return std::nullopt;
    }
    return finish(node, fmt::format("host.command.{}.out", *name), {"command"});
  }

  std::optional<Expression> lines(const yaml::Node& node) {
    const auto name = text_of(node, "text");
    if (!name) return std::nullopt;
    const auto& known = sources_.texts;
    if (std::none_of(known.begin(), known.end(),
                     [&](const SettingsFile& f) { return f.name == *name; })) {
      error(*node.find("text"), "unknown-file",
            {fmt::format("“{}”不在采集的文本清单中", *name),
             fmt::format("\"{}\" is not among the collected texts", *name)});
      return std::nullopt;
    }
    return finish(node, fmt::format("host.text.{}.lines", *name), {"text"});
  }

  const Sources& sources_;
  Diagnostics& diagnostics_;
};

}  // namespace

std::string_view operator_name(Operator op) {
  for (const Named& named : operators)
    if (named.op == op) return named.name;
  return "";
}

std::optional<Expression> parse_expression(const yaml::Node& node, const Sources& sources,
                                           Diagnostics& diagnostics) {
  const std::size_t before = diagnostics.errors();
  auto result = Parser(sources, diagnostics).parse(node, 1);
  if (diagnostics.errors() != before) return std::nullopt;
  return result;
}

}  // namespace menshen::compliance
