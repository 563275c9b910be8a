#include "sensor/detect/pattern_cache.hpp"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "sensor/detect/multi_pattern.hpp"
#include "tests/testkit/temp_dir.hpp"

namespace menshen::sensor {
namespace {

std::vector<std::filesystem::path> files_of(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) files.push_back(entry);
  return files;
}

std::vector<std::uint32_t> rules_in(const MultiPattern& patterns, std::string_view text) {
  PatternScratch scratch;
  REQUIRE(scratch.prepare(patterns));
  std::vector<std::uint32_t> rules;
  patterns.scan(as_bytes(text), 0, scratch, rules);
  return rules;
}

const std::vector<Pattern> patterns{{"attack", false, 7}, {"evil", true, 9}};

}  // namespace

TEST_CASE("a database comes back from the cache and finds the same") {
  const testkit::TempDir folder;
  const auto cache = PatternCache::open(folder / "cache").value();
  const auto made = MultiPattern::compile(patterns, &cache).value();
  REQUIRE(files_of(folder / "cache").size() == 1);
  const auto loaded = MultiPattern::compile(patterns, &cache).value();
  CHECK(files_of(folder / "cache").size() == 1);
  for (const auto text : {"an attack", "EVIL", "attack evil", "nothing"}) {
    CHECK(rules_in(loaded, text) == rules_in(made, text));
  }
  CHECK(rules_in(loaded, "an attack") == std::vector<std::uint32_t>{7});
}

TEST_CASE("the same literals for other rules share a database") {
  const testkit::TempDir folder;
  const auto cache = PatternCache::open(folder / "cache").value();
  REQUIRE(MultiPattern::compile(patterns, &cache));
  const std::vector<Pattern> others{{"attack", false, 1}, {"evil", true, 2}};
  const auto loaded = MultiPattern::compile(others, &cache).value();
  CHECK(files_of(folder / "cache").size() == 1);
  CHECK(rules_in(loaded, "an attack") == std::vector<std::uint32_t>{1});
  const std::vector<Pattern> more{{"attack", true, 1}, {"evil", true, 2}};
  REQUIRE(MultiPattern::compile(more, &cache));
  CHECK(files_of(folder / "cache").size() == 2);
}

TEST_CASE("a damaged file is compiled afresh and replaced") {
  const testkit::TempDir folder;
  const auto cache = PatternCache::open(folder / "cache").value();
  REQUIRE(MultiPattern::compile(patterns, &cache));
  const auto file = files_of(folder / "cache").at(0);
  const auto size = std::filesystem::file_size(file);
  const auto place = GENERATE_COPY(std::uintmax_t{0}, std::uintmax_t{30}, size / 2, size - 1);
  {
    std::fstream bytes(file, std::ios::in | std::ios::out | std::ios::binary);
    bytes.seekg(static_cast<std::streamoff>(place));
    const char flipped = static_cast<char>(bytes.peek() ^ 1);
    bytes.seekp(static_cast<std::streamoff>(place));
    bytes.put(flipped);
  }
  const std::string key = file.stem();
  CHECK_FALSE(cache.load(key));
  CHECK(rules_in(MultiPattern::compile(patterns, &cache).value(), "attack") ==
        std::vector<std::uint32_t>{7});
  CHECK(cache.load(key));
}

TEST_CASE("a folder that others may write to is no cache") {
  const testkit::TempDir folder;
  std::filesystem::create_directory(folder / "open");
  ::chmod((folder / "open").c_str(), 0777);
  CHECK(PatternCache::open(folder / "open").error().code == ErrorCode::denied);
}

TEST_CASE("beyond files_max what was used longest ago goes") {
  const testkit::TempDir folder;
  const auto cache = PatternCache::open(folder / "cache", 2).value();
  const std::string keys[] = {cache_digest("a"), cache_digest("b"), cache_digest("c")};
  auto time = std::filesystem::file_time_type::clock::now() - std::chrono::hours(10);
  for (const std::string& key : keys) {
    cache.store(key, "content");
    std::filesystem::last_write_time(folder / "cache" / (key + ".hsdb"),
                                     time += std::chrono::hours(1));
  }
  REQUIRE(cache.load(keys[0]));  // used now
  cache.trim();
  CHECK(cache.load(keys[0]));
  CHECK_FALSE(cache.load(keys[1]));
  CHECK(cache.load(keys[2]));
}

}  // namespace menshen::sensor
