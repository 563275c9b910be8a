#include "apps/sensord/event_file.hpp"

#include <catch2/catch.hpp>

#include "tests/testkit/temp_dir.hpp"

namespace menshen::apps {
namespace {

std::vector<std::string> lines(std::initializer_list<const char*> texts) {
  return {texts.begin(), texts.end()};
}

TEST_CASE("what was pushed is in the file once it is closed, after what was there") {
  const testkit::TempDir folder;
  folder.write("eve.json", "old\n");
  {
    const auto file = EventFile::open(folder / "eve.json", 10);
    REQUIRE(file);
    (*file)->push(lines({"a", "b"}));
    (*file)->push(lines({"c"}));
  }
  CHECK(folder.read("eve.json") == "old\na\nb\nc\n");
}

TEST_CASE("after a rotation lines go to a new file, and none is lost") {
  const testkit::TempDir folder;
  {
    const auto file = EventFile::open(folder / "eve.json", 10);
    REQUIRE(file);
    (*file)->push(lines({"before"}));
    std::filesystem::rename(folder / "eve.json", folder / "eve.json.1");
    (*file)->reopen();
    while (!std::filesystem::exists(folder / "eve.json")) std::this_thread::yield();
    (*file)->push(lines({"after"}));
  }
  CHECK(folder.read("eve.json.1") == "before\n");
  CHECK(folder.read("eve.json") == "after\n");
}

TEST_CASE("every line is written or counted as dropped") {
  const testkit::TempDir folder;
  constexpr std::uint64_t pushed = 1000;
  EventFileStats stats;
  {
    const auto file = EventFile::open(folder / "eve.json", 3);
    REQUIRE(file);
    (*file)->push(lines({"1", "2", "3", "4"}));  // one more than may ever wait
    for (std::uint64_t i = 4; i < pushed; ++i) (*file)->push(lines({"x"}));
    do {
      stats = (*file)->stats();
    } while (stats.written + stats.dropped < pushed);
  }
  CHECK(stats.dropped >= 1);
  CHECK(stats.written + stats.dropped == pushed);
}

TEST_CASE("a file that cannot be written counts its lines as dropped") {
  const auto file = EventFile::open("/dev/full", 10);
  REQUIRE(file);
  (*file)->push(lines({"a", "b"}));
  while ((*file)->stats().dropped < 2) std::this_thread::yield();
  CHECK((*file)->stats().written == 0);
}

TEST_CASE("a folder that is not there is an error with the path") {
  const auto file = EventFile::open("/nonexistent/eve.json", 10);
  REQUIRE_FALSE(file);
  CHECK(file.error().text.en.find("/nonexistent/eve.json") != std::string::npos);
}

}  // namespace
}  // namespace menshen::apps
