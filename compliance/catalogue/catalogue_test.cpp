#include "compliance/catalogue/catalogue.hpp"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>

#include "base/file.hpp"
#include "compliance/catalogue/digest.hpp"

namespace menshen::compliance {
namespace {

namespace fs = std::filesystem;

constexpr const char* layer_text = R"(layer: "8.1.3"
title: {zh: 边界, en: Boundary}
part: general
side: technical
controls:
  - id: "8.1.3.2"
    title: {zh: 访问控制, en: Access control}
    objects: [{zh: 防火墙, en: firewall}]
    methods: [examine, test]
    sag: G
    items:
      - id: "8.1.3.2.a"
        requirement: {zh: 默认拒绝。, en: Denied by default.}
        responsible: both
        automation: automatic
        weight: 3
        checks: [deny]
)";
constexpr const char* check_text = R"(checks:
  - id: deny
    items: [8.1.3.2.a]
    title: {zh: 默认拒绝, en: Default deny}
    object: {zh: 本机, en: this appliance}
    assert: {fact: policy.default_drop, equals: true}
    reasons: {pass: {zh: 是, en: "yes"}, fail: {zh: 否, en: "no"}}
    remediation: {zh: 改, en: change, commands: [x]}
)";
constexpr const char* meta_text = R"(standard: GB/T 22239-2019
version: "1"
wording: {zh: 自述, en: own}
sources: [{zh: 源, en: source}]
estimates: [{zh: 估, en: estimate}]
editions:
  - {id: e, title: {zh: 版, en: edition}, basis: {zh: 法, en: basis}, kind: rate,
     partial_tenths: 0, conforming_above: 90, basic_above: 60}
)";

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  const std::size_t at = text.find(what);
  REQUIRE(at != std::string::npos);
  return text.replace(at, what.size(), with);
}

class Folder {
 public:
  Folder() {
    std::string pattern = (fs::temp_directory_path() / "mlps-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path = pattern;
    fs::create_directory(path / "checks");
    put("8.1.3.yaml", layer_text);
    put("checks/a.yaml", check_text);
    put("meta.yaml", meta_text);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { fs::remove_all(path); }
  void put(const std::string& name, const std::string& text) const {
    REQUIRE(write_file_atomic(path / name, text));
  }
  [[nodiscard]] std::string complaint() const {
    const LoadedCatalogue loaded = load_catalogue(path);
    CHECK_FALSE(loaded.catalogue);
    std::string all;
    for (const Diagnostics& d : loaded.diagnostics) all += d.render(Lang::en) + d.render(Lang::zh);
    return all;
  }
  fs::path path;
};

TEST_CASE("a folder becomes a catalogue") {
  const Folder folder;
  const LoadedCatalogue loaded = load_catalogue(folder.path);
  for (const Diagnostics& d : loaded.diagnostics) UNSCOPED_INFO(d.render(Lang::en));
  REQUIRE(loaded.catalogue);
  const Item* item = loaded.catalogue->find_item("8.1.3.2.a");
  REQUIRE(item != nullptr);
  CHECK(item->weight == 3);
  CHECK(item->technical);
  CHECK(item->requirement.en == "Denied by default.");
  CHECK(item->checks == std::vector<std::string>{"deny"});
  CHECK(loaded.catalogue->find_item("8.1.3.2.b") == nullptr);
}

TEST_CASE("the digest names the exact rules") {
  const Folder folder;
  const auto digest = [&] { return load_catalogue(folder.path).catalogue->digest_sha256; };
  const std::string before = digest();
  CHECK(before == digest());
  folder.put("8.1.3.yaml", std::string(layer_text) + "# a comment\n");
  CHECK(before != digest());
}

TEST_CASE("mistakes in the data are told with file, line and column") {
  const Folder folder;
  const auto [what, with, said] = GENERATE(table<const char*, const char*, const char*>({
      {"weight: 3", "weight: 4", "8.1.3.yaml:16:17: error"},
      {"weight: 3", "weigth: 3", "8.1.3.yaml:16:9: error"},
      {"automation: automatic", "automation: robot",
       "\"robot\" is none of automatic, semi, manual"},
      {"id: \"8.1.3.2.a\"", "id: \"8.1.4.2.a\"", "\"8.1.4.2.a\" is no clause number below 8.1.3.2"},
      {"id: \"8.1.3.2.a\"", "id: \"8.1.3.2.aa\"", "is no clause number"},
      {"sag: G", "sag: X", "\"X\" is none of S, A, G"},
      {"{zh: 默认拒绝。, en: Denied by default.}", "{zh: 默认拒绝。}", "en is missing"},
      {"checks: [deny]", "checks: [allow]", "item 8.1.3.2.a names the unknown check allow"},
      {"        checks: [deny]\n", "", "do not name each other"},
      {"controls:", "controls: &anchor", "8.1.3.yaml:5:"},
  }));
  folder.put("8.1.3.yaml", replaced(layer_text, what, with));
  INFO(with);
  CHECK_THAT(folder.complaint(), Catch::Contains(said));
}

TEST_CASE("mistakes in a check are told with file, line and column") {
  const Folder folder;
  const auto [what, with, said] = GENERATE(table<const char*, const char*, const char*>({
      {"equals: true", "equal: true", "a.yaml:6:41: error: unknown operator \"equal\""},
      {"    assert: {fact: policy.default_drop, equals: true}\n", "", "assert is missing"},
      {"fail: {zh: 否, en: \"no\"}", "fail: {zh: 否}", "en is missing"},
      {"items: [8.1.3.2.a]", "items: [8.1.3.2.z]", "do not name each other"},
  }));
  folder.put("checks/a.yaml", replaced(check_text, what, with));
  INFO(with);
  CHECK_THAT(folder.complaint(), Catch::Contains(said));
}

TEST_CASE("one run shows the mistakes of every file") {
  const Folder folder;
  folder.put("8.1.3.yaml", replaced(layer_text, "weight: 3", "weight: 0"));
  folder.put("checks/a.yaml", replaced(check_text, "equals: true", "is: true"));
  const std::string said = folder.complaint();
  CHECK_THAT(said, Catch::Contains("8.1.3.yaml:16") && Catch::Contains("a.yaml:6"));
}

TEST_CASE("a missing folder or meta file is an error") {
  const Folder folder;
  fs::remove(folder.path / "meta.yaml");
  CHECK_THAT(folder.complaint(), Catch::Contains("meta.yaml is missing"));
  CHECK_FALSE(load_catalogue("/no/such/folder").catalogue);
}

TEST_CASE("a check defined twice is an error") {
  const Folder folder;
  folder.put("checks/b.yaml", check_text);
  CHECK_THAT(folder.complaint(), Catch::Contains("check deny is defined twice"));
}

TEST_CASE("digests are those of the standards") {
  CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sm3_hex("abc") == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0");
}

}  // namespace
}  // namespace menshen::compliance
