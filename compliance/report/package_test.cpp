#include "compliance/report/package.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "compliance/compliance.hpp"
#include "compliance/report/oscal.hpp"
#include "compliance/testing/fake_host.hpp"

namespace menshen::compliance {
namespace {

const WallTime now = parse_time("2026-11-23T08:00:00Z").value();

const Assessment& sample() {
  static const LoadedCatalogue loaded = load_catalogue(MENSHEN_MLPS_DIR);
  static const Assessment assessment = [] {
    REQUIRE(loaded.catalogue);
    Facts facts = collect_host(testing::weak_host(now), loaded.catalogue->sources,
                               testing::FixedClock(now), "menshen-01");
    testing::add_sound_product_facts(facts, now);
    return assess(*loaded.catalogue, std::move(facts), {"云", "menshen-01", "0.1.0"}, now);
  }();
  return assessment;
}

std::vector<PackageFile> small_files() {
  return {
      {"assessment.json", R"({"facts": []})"}, {"b/c.txt", std::string(513, 'x')}, {"empty", ""}};
}

TEST_CASE("a package reads back as it was made") {
  const std::string tar = to_tar(package_files(sample()), now).value();
  const auto files = read_tar(tar);
  REQUIRE(files);
  CHECK(check_package(*files));
  CHECK(to_tar(package_files(sample()), now).value() == tar);
}

TEST_CASE("an archive with any bit flipped is refused") {
  const std::string tar = to_tar(small_files(), now).value();
  for (std::size_t i = 0; i < tar.size(); ++i) {
    std::string changed = tar;
    changed[i] = static_cast<char>(changed[i] ^ (1 << i % 8));
    const auto files = read_tar(changed);
    INFO("byte " << i);
    CHECK((!files || !check_package(*files)));
  }
  CHECK(!read_tar(tar.substr(0, tar.size() - 512)));
  CHECK(!read_tar(tar + std::string(512, '\0')));
  CHECK(!read_tar(""));
}

TEST_CASE("a package without a file, with another one or with another content is refused") {
  const std::vector<PackageFile> whole = read_tar(to_tar(small_files(), now).value()).value();
  REQUIRE(check_package(whole));
  for (std::size_t i = 0; i < whole.size(); ++i) {
    INFO(whole[i].path);
    std::vector<PackageFile> fewer = whole;
    fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
    CHECK(!check_package(fewer));
    std::vector<PackageFile> changed = whole;
    changed[i].content += "!";
    CHECK(!check_package(changed));
  }
  std::vector<PackageFile> more = whole;
  more.push_back({"zz", ""});
  CHECK(!check_package(more));
}

TEST_CASE("a raw text that a finding refers to cannot be left out") {
  std::vector<PackageFile> files = package_files(sample());
  const auto raw = std::find_if(files.begin(), files.end(),
                                [](const PackageFile& f) { return f.path.rfind("raw/", 0) == 0; });
  REQUIRE(raw != files.end());
  const std::string name = raw->path;
  files.erase(raw);
  const auto read = read_tar(to_tar(files, now).value());
  REQUIRE(read);
  const auto checked = check_package(*read);
  REQUIRE(!checked);
  CHECK_THAT(checked.error().text.en, Catch::Contains(name));
}

TEST_CASE("a package takes no path outside of it") {
  for (const char* path : {"/etc/passwd", "../x", "a b", ""}) CHECK(!to_tar({{path, "x"}}, now));
  CHECK(!to_tar({{std::string(package_path_bytes_max + 1, 'a'), "x"}}, now));
  CHECK(to_tar({{std::string(package_path_bytes_max, 'a'), "x"}}, now));
}

TEST_CASE("OSCAL documents are whole and say no more than was found") {
  using nlohmann::json;
  const json results = json::parse(oscal_results(sample()))["assessment-results"]["results"][0];
  std::size_t satisfied = 0;
  for (const json& finding : results["findings"])
    if (finding["target"]["status"]["state"] == "satisfied") ++satisfied;
  CHECK(satisfied ==
        sample().all.count(Verdict::conforming) + sample().all.count(Verdict::not_applicable));
  CHECK(results["observations"].size() == sample().checks.size());
  const json poam = json::parse(oscal_poam(sample()))["plan-of-action-and-milestones"];
  CHECK(poam["poam-items"].size() == sample().findings.size());
  std::size_t controls = 0;
  const json catalog = json::parse(oscal_catalog(*sample().catalogue, now))["catalog"];
  for (const json& layer : catalog["groups"])
    for (const json& control : layer["groups"]) controls += control["controls"].size();
  CHECK(controls == 257);
}

}  // namespace
}  // namespace menshen::compliance
