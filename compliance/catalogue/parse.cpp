// The three file kinds of the catalogue: a layer with its items, checks, and the meta file.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <utility>

#include "base/yaml.hpp"
#include "compliance/catalogue/catalogue.hpp"

namespace menshen::compliance {
namespace {

using yaml::Node;

constexpr std::size_t text_bytes_max = 4096;

// Reads keys of one map; every failure is a diagnostic, the result is then a default value.
class Reader {
 public:
  Reader(const Node& node, Diagnostics& diagnostics,
         std::initializer_list<std::string_view> allowed)
      : node_(node), diagnostics_(diagnostics) {
    if (!node.is_map()) {
      error(node.range, "wrong-type", {"此处应为映射", "a map is expected here"});
    } else {
      yaml::reject_unknown_keys(node, allowed, diagnostics);
    }
  }

  [[nodiscard]] const Node* find(std::string_view key) const {
    const Node* value = node_.find(key);
    return value != nullptr && value->kind == Node::Kind::null ? nullptr : value;
  }
  const Node* need(std::string_view key) {
    const Node* value = find(key);
    if (value == nullptr && node_.is_map()) {
      error(node_.range, "missing-key",
            {fmt::format("缺少 {}", key), fmt::format("{} is missing", key)});
    }
    return value;
  }
  std::string text(std::string_view key) {
    const Node* value = need(key);
    return value == nullptr ? std::string() : text_of(*value);
  }
  std::string text_or(std::string_view key, std::string fallback) {
    const Node* value = find(key);
    return value == nullptr ? std::move(fallback) : text_of(*value);
  }
  Text both(std::string_view key) {
    const Node* value = need(key);
    return value == nullptr ? Text{} : both_of(*value);
  }
  Text both_or_empty(std::string_view key) {
    const Node* value = find(key);
    return value == nullptr ? Text{} : both_of(*value);
  }
  Text both_of(const Node& value) {
    Reader inner(value, diagnostics_, {"zh", "en"});
    return {inner.text("zh"), inner.text("en")};
  }
  std::vector<Text> both_list(std::string_view key) {
    std::vector<Text> result;
    for (const Node* item : list(key)) result.push_back(both_of(*item));
    return result;
  }
  std::vector<std::string> text_list(std::string_view key) {
    std::vector<std::string> result;
    for (const Node* item : list(key)) result.push_back(text_of(*item));
    return result;
  }
  std::vector<const Node*> list(std::string_view key) {
    std::vector<const Node*> result;
    const Node* value = find(key);
    if (value == nullptr) return result;
    if (!value->is_sequence()) {
      error(value->range, "wrong-type",
            {fmt::format("{} 应为列表", key), fmt::format("{} is a list", key)});
      return result;
    }
    for (const Node& item : value->items) result.push_back(&item);
    return result;
  }
  std::int64_t integer(std::string_view key, std::int64_t min, std::int64_t max) {
    const Node* value = need(key);
    return value == nullptr ? min : yaml::as_integer(*value, min, max, diagnostics_).value_or(min);
  }
  bool flag(std::string_view key) {
    const Node* value = find(key);
    return value != nullptr && yaml::as_bool(*value, diagnostics_).value_or(false);
  }
  // The index of the value among `names`.
  std::size_t choice(std::string_view key, std::initializer_list<std::string_view> names) {
    const Node* value = need(key);
    return value == nullptr ? 0 : choice_of(*value, names);
  }
  std::size_t choice_of(const Node& value, std::initializer_list<std::string_view> names) {
    const std::string name = text_of(value);
    const auto* found = std::find(names.begin(), names.end(), name);
    if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
    error(value.range, "unknown-value",
          {fmt::format("“{}”不是可用的取值（{}）", name, fmt::join(names, "、")),
           fmt::format("\"{}\" is none of {}", name, fmt::join(names, ", "))});
    return 0;
  }
  std::string text_of(const Node& value) {
    std::string result = yaml::as_string(value, diagnostics_).value_or("");
    if (value.is_scalar() && (result.empty() || result.size() > text_bytes_max)) {
      error(value.range, "out-of-range",
            {fmt::format("文本应为 1 至 {} 字节", text_bytes_max),
             fmt::format("a text takes 1 to {} bytes", text_bytes_max)});
    }
    return result;
  }
  void error(SourceRange range, std::string code, Text text) {
    diagnostics_.error(std::move(code), range, std::move(text));
  }
  [[nodiscard]] const Node& node() const { return node_; }
  Diagnostics& diagnostics() { return diagnostics_; }

 private:
  const Node& node_;
  Diagnostics& diagnostics_;
};

// 8.1.3.2.a, 8.1.1.8: digits and dots, at most one letter at the end.
bool is_clause(std::string_view id) {
  if (id.size() > 16 || id.substr(0, 2) != "8.") return false;
  bool digit = false;
  for (std::size_t i = 0; i < id.size(); ++i) {
    const char c = id[i];
    if (c >= '0' && c <= '9') {
      digit = true;
    } else if (c == '.') {
      if (!digit) return false;
      digit = false;
    } else {
      return c >= 'a' && c <= 'z' && !digit && i + 1 == id.size();
    }
  }
  return digit;
}

void need_clause(Reader& reader, std::string_view key, const std::string& id,
                 std::string_view parent) {
  const bool inside = parent.empty() || id.substr(0, parent.size()) == parent;
  if (is_clause(id) && inside) return;
  const Node* place = reader.find(key);
  reader.error(
      place != nullptr ? place->range : reader.node().range, "bad-clause",
      {fmt::format("“{}”不是 {} 之下的条款号", id, parent.empty() ? "8" : parent),
       fmt::format("\"{}\" is no clause number below {}", id, parent.empty() ? "8" : parent)});
}

HighRisk parse_high_risk(const Node& node, Diagnostics& diagnostics) {
  Reader reader(node, diagnostics, {"reason", "references", "trigger"});
  HighRisk risk;
  risk.reason = reader.both("reason");
  risk.references = reader.text_list("references");
  risk.trigger = reader.text_or("trigger", "");
  return risk;
}

// What the items of one control point share.
struct Control {
  std::string id;
  Text title;
  std::vector<Text> objects;
  std::vector<Method> methods;
  char sag = 'G';
  bool technical = false;
};

Item parse_item(const Node& node, const Control& control, Diagnostics& diagnostics) {
  Reader reader(node, diagnostics,
                {"id", "requirement", "responsible", "automation", "weight", "high_risk",
                 "optional", "checks", "guidance"});
  Item item;
  item.id = reader.text("id");
  need_clause(reader, "id", item.id, control.id);
  item.control = control.id;
  item.control_title = control.title;
  item.objects = control.objects;
  item.methods = control.methods;
  item.sag = control.sag;
  item.technical = control.technical;
  item.requirement = reader.both("requirement");
  item.responsible =
      static_cast<Responsible>(reader.choice("responsible", {"provider", "tenant", "both"}));
  item.automation =
      static_cast<Automation>(reader.choice("automation", {"automatic", "semi", "manual"}));
  item.weight = static_cast<int>(reader.integer("weight", 1, 3));
  if (const Node* risk = reader.find("high_risk"))
    item.high_risk = parse_high_risk(*risk, diagnostics);
  item.optional_wording = reader.flag("optional");
  item.checks = reader.text_list("checks");
  item.guidance = reader.both_or_empty("guidance");
  return item;
}

void parse_control(const Node& node, Layer& layer, bool technical, Diagnostics& diagnostics) {
  Reader reader(node, diagnostics, {"id", "title", "objects", "methods", "sag", "items"});
  Control control;
  control.id = reader.text("id");
  need_clause(reader, "id", control.id, layer.id);
  control.title = reader.both("title");
  control.objects = reader.both_list("objects");
  for (const Node* method : reader.list("methods")) {
    control.methods.push_back(
        static_cast<Method>(reader.choice_of(*method, {"interview", "examine", "test"})));
  }
  control.sag = "SAG"[reader.choice("sag", {"S", "A", "G"})];
  control.technical = technical;
  static_cast<void>(reader.need("items"));
  for (const Node* item : reader.list("items"))
    layer.items.push_back(parse_item(*item, control, diagnostics));
}

Check parse_check(const Node& node, Diagnostics& diagnostics) {
  Reader reader(
      node, diagnostics,
      {"id", "items", "title", "object", "assert", "partial", "applies", "reasons", "remediation"});
  Check check;
  check.id = reader.text("id");
  check.items = reader.text_list("items");
  static_cast<void>(reader.need("items"));
  check.title = reader.both("title");
  check.object = reader.both("object");
  if (const Node* expression = reader.need("assert")) {
    if (auto parsed = parse_expression(*expression, diagnostics))
      check.assertion = *std::move(parsed);
  }
  if (const Node* expression = reader.find("partial"))
    check.partial = parse_expression(*expression, diagnostics);
  if (const Node* expression = reader.find("applies"))
    check.applies = parse_expression(*expression, diagnostics);
  if (const Node* reasons = reader.need("reasons")) {
    Reader inner(*reasons, diagnostics, {"pass", "partial", "fail"});
    check.pass_reason = inner.both("pass");
    check.partial_reason = check.partial ? inner.both("partial") : inner.both_or_empty("partial");
    check.fail_reason = inner.both("fail");
  }
  if (const Node* remediation = reader.need("remediation")) {
    Reader inner(*remediation, diagnostics, {"zh", "en", "commands"});
    check.remediation.text = {inner.text("zh"), inner.text("en")};
    check.remediation.commands = inner.text_list("commands");
  }
  return check;
}

Edition parse_edition(const Node& node, Diagnostics& diagnostics) {
  Reader reader(
      node, diagnostics,
      {"id", "title", "basis", "kind", "partial_tenths", "conforming_above", "basic_above"});
  Edition edition;
  edition.id = reader.text("id");
  edition.title = reader.both("title");
  edition.basis = reader.both("basis");
  edition.score = reader.choice("kind", {"rate", "score"}) == 1;
  edition.partial_share = static_cast<double>(reader.integer("partial_tenths", 0, 10)) / 10;
  edition.conforming_above = static_cast<double>(reader.integer("conforming_above", 0, 100));
  edition.basic_above = static_cast<double>(reader.integer("basic_above", 0, 100));
  return edition;
}

}  // namespace

std::optional<Layer> parse_layer(std::string_view source, Diagnostics& diagnostics) {
  const auto document = yaml::parse(source, diagnostics);
  if (!document) return std::nullopt;
  Reader reader(*document, diagnostics, {"layer", "title", "part", "side", "controls"});
  Layer layer;
  layer.id = reader.text("layer");
  need_clause(reader, "layer", layer.id, "");
  layer.title = reader.both("title");
  layer.part = static_cast<Part>(reader.choice("part", {"general", "cloud"}));
  const bool technical = reader.choice("side", {"management", "technical"}) == 1;
  static_cast<void>(reader.need("controls"));
  for (const Node* control : reader.list("controls"))
    parse_control(*control, layer, technical, diagnostics);
  if (layer.items.size() > catalogue_items_max) {
    reader.error({}, "limit",
                 {fmt::format("测评项超过 {} 个", catalogue_items_max),
                  fmt::format("more than {} items", catalogue_items_max)});
  }
  if (diagnostics.has_errors()) return std::nullopt;
  return layer;
}

std::optional<std::vector<Check>> parse_checks(std::string_view source, Diagnostics& diagnostics) {
  const auto document = yaml::parse(source, diagnostics);
  if (!document) return std::nullopt;
  Reader reader(*document, diagnostics, {"checks"});
  static_cast<void>(reader.need("checks"));
  std::vector<Check> result;
  for (const Node* node : reader.list("checks")) result.push_back(parse_check(*node, diagnostics));
  if (diagnostics.has_errors()) return std::nullopt;
  return result;
}

std::optional<Meta> parse_meta(std::string_view source, Diagnostics& diagnostics) {
  const auto document = yaml::parse(source, diagnostics);
  if (!document) return std::nullopt;
  Reader reader(*document, diagnostics,
                {"standard", "version", "wording", "sources", "estimates", "editions"});
  Meta meta;
  meta.standard = reader.text("standard");
  meta.version = reader.text("version");
  meta.wording = reader.both("wording");
  meta.sources = reader.both_list("sources");
  meta.estimates = reader.both_list("estimates");
  for (const Node* edition : reader.list("editions"))
    meta.editions.push_back(parse_edition(*edition, diagnostics));
  if (meta.editions.empty()) {
    reader.error(document->range, "missing-key",
                 {"至少要有一个版次（editions）", "at least one edition is needed"});
  }
  if (diagnostics.has_errors()) return std::nullopt;
  return meta;
}

}  // namespace menshen::compliance
