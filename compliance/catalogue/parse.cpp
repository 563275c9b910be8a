// The three file kinds of the catalogue: a layer with its items, checks, and the meta file.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <utility>

#include "compliance/catalogue/catalogue.hpp"
#include "compliance/catalogue/reader.hpp"

namespace menshen::compliance {
namespace {

using yaml::Node;

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

Check parse_check(const Node& node, const Sources& sources, Diagnostics& diagnostics) {
  Reader reader(node, diagnostics,
                {"id", "items", "title", "object", "supporting", "assert", "partial", "applies",
                 "reasons", "remediation"});
  Check check;
  check.id = reader.text("id");
  check.items = reader.text_list("items");
  static_cast<void>(reader.need("items"));
  check.title = reader.both("title");
  check.object = reader.both("object");
  check.supporting = reader.flag("supporting");
  if (const Node* expression = reader.need("assert")) {
    if (auto parsed = parse_expression(*expression, sources, diagnostics))
      check.assertion = *std::move(parsed);
  }
  if (const Node* expression = reader.find("partial"))
    check.partial = parse_expression(*expression, sources, diagnostics);
  if (const Node* expression = reader.find("applies"))
    check.applies = parse_expression(*expression, sources, diagnostics);
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

std::optional<std::vector<Check>> parse_checks(std::string_view source, const Sources& sources,
                                               Diagnostics& diagnostics) {
  const auto document = yaml::parse(source, diagnostics);
  if (!document) return std::nullopt;
  Reader reader(*document, diagnostics, {"checks"});
  static_cast<void>(reader.need("checks"));
  std::vector<Check> result;
  for (const Node* node : reader.list("checks"))
    result.push_back(parse_check(*node, sources, diagnostics));
  if (diagnostics.has_errors()) return std::nullopt;
  return result;
}

std::optional<std::vector<ObjectClass>> parse_classes(std::string_view source,
                                                      Diagnostics& diagnostics) {
  const auto document = yaml::parse(source, diagnostics);
  if (!document) return std::nullopt;
  Reader reader(*document, diagnostics, {"classes"});
  static_cast<void>(reader.need("classes"));
  std::vector<ObjectClass> result;
  for (const Node* node : reader.list("classes")) {
    Reader inner(*node, diagnostics, {"id", "title", "layers", "collect"});
    ObjectClass& added = result.emplace_back();
    added.id = inner.text("id");
    added.title = inner.both("title");
    added.layers = inner.text_list("layers");
    added.host = inner.choice("collect", {"manual", "host"}) == 1;
    const auto same = [&](const ObjectClass& c) { return c.id == added.id; };
    if (std::count_if(result.begin(), result.end(), same) > 1) {
      inner.error(node->range, "duplicate-class",
                  {fmt::format("对象类别 {} 重复", added.id),
                   fmt::format("class {} occurs twice", added.id)});
    }
  }
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
