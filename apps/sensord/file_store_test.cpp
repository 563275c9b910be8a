#include "apps/sensord/file_store.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "sensor/proto/file.hpp"
#include "tests/testkit/temp_dir.hpp"

namespace menshen::apps {
namespace {

std::string digest(std::string_view bytes) {
  return sensor::hash_hex(sensor::FileHash::sha256, as_bytes(bytes));
}

FileStoreOptions in(const testkit::TempDir& folder) {
  FileStoreOptions options;
  options.directory = folder / "files";
  options.free_bytes_min = 0;
  return options;
}

FileStore opened(const FileStoreOptions& options) {
  auto store = FileStore::open(options);
  REQUIRE(store);
  return std::move(*store);
}

FileKept keep(FileStore& store, std::string_view bytes, std::string_view about = "{}") {
  return store.keep(digest(bytes), bytes, about);
}

std::size_t files_below(const std::filesystem::path& folder) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    count += entry.is_regular_file() ? 1 : 0;
  }
  return count;
}

}  // namespace

TEST_CASE("a stored file lies under its digest with its event beside it, once for each content") {
  const testkit::TempDir folder;
  FileStore store = opened(in(folder));
  CHECK(keep(store, "content", R"({"n":1})") == FileKept::stored);
  const std::string name = digest("content");
  const std::string place = "files/" + name.substr(0, 2) + "/" + name;
  CHECK(folder.read(place) == "content");
  CHECK(folder.read(place + ".json") == R"({"n":1})");
  struct stat found {};
  REQUIRE(::stat((folder / place).c_str(), &found) == 0);
  CHECK((found.st_mode & 0777U) == 0640);

  CHECK(keep(store, "content", R"({"n":2})") == FileKept::known);
  CHECK(folder.read(place + ".json") == R"({"n":1})");
  CHECK(store.bytes() == 7 + 7);
  CHECK(files_below(folder / "files") == 2);
}

TEST_CASE("a file store at its bound keeps what fits, and what is there stays") {
  const testkit::TempDir folder;
  FileStoreOptions options = in(folder);
  options.bytes_max = 20;
  FileStore store = opened(options);
  CHECK(keep(store, std::string(18, 'a')) == FileKept::stored);
  CHECK(keep(store, "b") == FileKept::full);
  CHECK(keep(store, std::string(18, 'a')) == FileKept::known);
  CHECK(store.bytes() == 20);
  // Counted again by the next run.
  FileStore again = opened(options);
  CHECK(again.bytes() == 20);
  CHECK(keep(again, "b") == FileKept::full);
  CHECK(files_below(folder / "files") == 2);
}

TEST_CASE("a file store leaves the file system the room that it was told to leave") {
  const testkit::TempDir folder;
  FileStoreOptions options = in(folder);
  options.free_bytes_min = 1ULL << 60U;
  FileStore store = opened(options);
  CHECK(keep(store, "x") == FileKept::disk_low);
  CHECK(files_below(folder / "files") == 0);
}

TEST_CASE("what a crash left half written in a file store goes at the next start") {
  const testkit::TempDir folder;
  const auto half = folder.write("files/ab/.abc.Xy12", "half");
  FileStore store = opened(in(folder));
  CHECK_FALSE(std::filesystem::exists(half));
  CHECK(store.bytes() == 0);
}

TEST_CASE("a stored file goes when it was not seen for as long as files are kept") {
  const testkit::TempDir folder;
  FileStoreOptions options = in(folder);
  options.keep_for = std::chrono::hours(24);
  FileStore store = opened(options);
  REQUIRE(keep(store, "old") == FileKept::stored);
  REQUIRE(keep(store, "again") == FileKept::stored);
  const auto set_time = [&](std::string_view content, time_t seconds) {
    const timespec times[2] = {{seconds, 0}, {seconds, 0}};
    REQUIRE(::utimensat(AT_FDCWD, store.path_of(digest(content)).c_str(), times, 0) == 0);
  };
  constexpr WallTime second = 1'000'000'000;
  constexpr time_t day = 86'400;
  set_time("old", 1'000'000);
  set_time("again", 1'000'001);
  store.expire((1'000'000 + day) * second);
  CHECK(files_below(folder / "files") == 4);
  store.expire((1'000'000 + day) * second + 1);
  CHECK_FALSE(std::filesystem::exists(store.path_of(digest("old"))));
  CHECK(std::filesystem::exists(store.path_of(digest("again"))));
  CHECK(files_below(folder / "files") == 2);
  CHECK(store.bytes() == 5 + 2);
}

TEST_CASE("a disk that refuses a file is told of, and the store goes on") {
  const testkit::TempDir folder;
  FileStore store = opened(in(folder));
  // A file stands where the shard's folder should be.
  const std::string name = digest("content");
  folder.write("files/" + name.substr(0, 2), "in the way");
  CHECK(keep(store, "content") == FileKept::failed);
  CHECK(store.keep("../../escape", "x", "{}") == FileKept::failed);
  CHECK(keep(store, "other") == FileKept::stored);
}

}  // namespace menshen::apps
