// Every scenario beside the checks gives its verdict, and no evidence is ever dispensable.
#include <catch2/catch.hpp>
#include <filesystem>

#include "base/file.hpp"
#include "base/yaml.hpp"
#include "compliance/compliance.hpp"

namespace menshen::compliance {
namespace {

using nlohmann::json;

json to_json_value(const yaml::Node& node) {
  if (node.is_map()) {
    json object = json::object();
    for (const auto& entry : node.entries) object[entry.key] = to_json_value(entry.value);
    return object;
  }
  if (node.is_sequence()) {
    json list = json::array();
    for (const auto& item : node.items) list.push_back(to_json_value(item));
    return list;
  }
  if (node.quoted) return node.text;
  return json::parse(node.text);
}

struct Scenario {
  std::string check, name, verdict;
  Facts facts;
};

std::vector<Scenario> scenarios() {
  std::vector<Scenario> result;
  const std::filesystem::path folder = std::string(MENSHEN_MLPS_DIR) + "/checks/scenarios";
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    const std::string source = read_file(file.path()).value();
    Diagnostics diagnostics(file.path().string(), source);
    const auto document = yaml::parse(source, diagnostics);
    INFO(diagnostics.render(Lang::en));
    REQUIRE(document);
    for (const yaml::Node& node : document->find("scenarios")->items) {
      Scenario& s = result.emplace_back();
      s.check = node.find("check")->text;
      s.name = node.find("name")->text;
      s.verdict = node.find("verdict")->text;
      for (const auto& fact : node.find("facts")->entries)
        s.facts.add(fact.key, to_json_value(fact.value), make_provenance("host", "test", 0, "raw"));
    }
  }
  return result;
}

const Catalogue& catalogue() {
  static const LoadedCatalogue loaded = load_catalogue(MENSHEN_MLPS_DIR);
  for (const Diagnostics& d : loaded.diagnostics) UNSCOPED_INFO(d.render(Lang::en));
  REQUIRE(loaded.catalogue);
  return *loaded.catalogue;
}

TEST_CASE("the shipped catalogue is whole") {
  CHECK(catalogue().item_count() == 257);
  std::size_t general = 0;
  for (const Layer& layer : catalogue().layers)
    if (layer.part == Part::general) general += layer.items.size();
  CHECK(general == 211);
  CHECK(catalogue().layers.front().id == "8.1.1");
  CHECK(catalogue().layers.at(9).id == "8.1.10");
  CHECK(catalogue().digest_sha256.size() == 64);
}

TEST_CASE("every scenario gives its verdict") {
  const auto all = scenarios();
  REQUIRE(all.size() >= 2 * catalogue().checks.size());
  for (const Scenario& s : all) {
    INFO(s.check << ": " << s.name);
    const CheckResult result = run_check(catalogue().checks.at(s.check), s.facts);
    CHECK(verdict_name(result.verdict) == s.verdict);
    CHECK(!result.reason.zh.empty());
    CHECK(result.reason.zh.find('{') == std::string::npos);
  }
}

TEST_CASE("a conforming scenario without any one of its facts is not checked") {
  for (const Scenario& s : scenarios()) {
    if (s.verdict != "conforming") continue;
    for (const auto& [name, fact] : s.facts.all()) {
      INFO(s.check << ": " << s.name << " without " << name);
      Facts fewer = s.facts;
      fewer.remove(name);
      CHECK(run_check(catalogue().checks.at(s.check), fewer).verdict == Verdict::not_checked);

      Facts broken = s.facts;
      broken.fail(name, {"坏了", "broken"}, make_provenance("host", "test", 0, ""));
      CHECK(run_check(catalogue().checks.at(s.check), broken).verdict == Verdict::error);
    }
  }
}

TEST_CASE("no check judges without facts") {
  for (const auto& [id, check] : catalogue().checks) {
    INFO(id);
    CHECK(run_check(check, Facts()).verdict == Verdict::not_checked);
  }
}

}  // namespace
}  // namespace menshen::compliance
