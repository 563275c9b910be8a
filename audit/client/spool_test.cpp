#include "audit/client/spool.hpp"

#include <catch2/catch.hpp>
#include <fstream>

#include "tests/testkit/temp_dir.hpp"

using namespace menshen;
using namespace menshen::audit;
using testkit::TempDir;

namespace {
constexpr std::uint64_t plenty = 1U << 30U;

std::vector<std::string> numbered(int from, int count, std::size_t bytes = 20) {
  std::vector<std::string> records;
  for (int i = from; i < from + count; ++i) {
    std::string record = std::to_string(i) + ":";
    record.resize(std::max(bytes, record.size()), 'x');
    records.push_back(record);
  }
  return records;
}
std::vector<std::string> read_all(Spool& spool) {
  std::vector<std::string> records;
  while (auto record = spool.next()) records.push_back(*std::move(record));
  return records;
}
std::filesystem::path only_segment(const TempDir& folder) {
  std::filesystem::path found;
  for (const auto& entry : std::filesystem::directory_iterator(folder / "spool")) {
    if (entry.path().filename().string().starts_with("spool-")) found = entry.path();
  }
  REQUIRE_FALSE(found.empty());
  return found;
}
}  // namespace

TEST_CASE("a spool gives back in order what it was given, also after a restart") {
  const TempDir folder;
  {
    auto spool = Spool::open(folder / "spool", plenty);
    REQUIRE(spool);
    CHECK(spool->empty());
    REQUIRE(spool->append(numbered(1, 5)));
    CHECK(spool->next() == numbered(1, 1)[0]);
    REQUIRE(spool->append(numbered(6, 5)));
    CHECK(read_all(*spool) == numbered(2, 9));
    spool->rewind();
    CHECK(read_all(*spool) == numbered(1, 10));
    spool->acknowledge(4);
    spool->rewind();
    CHECK(read_all(*spool) == numbered(5, 6));
    CHECK(spool->records() == 6);
    CHECK(Spool::open(folder / "spool", plenty).error().code == ErrorCode::exists);
  }
  auto spool = Spool::open(folder / "spool", plenty);
  REQUIRE(spool);
  CHECK(read_all(*spool) == numbered(1, 10));  // the file is not delivered whole yet
  spool->acknowledge(10);
  CHECK(spool->empty());
  CHECK(spool->bytes() == 0);
  REQUIRE(spool->append(numbered(11, 1)));
  CHECK(spool->next() == numbered(11, 1)[0]);
}

TEST_CASE("files are left behind one by one as they are delivered") {
  const TempDir folder;
  auto spool = Spool::open(folder / "spool", plenty);
  REQUIRE(spool);
  for (int i = 0; i < 30; ++i) REQUIRE(spool->append(numbered(10 * i, 10, 60'000)));
  CHECK(spool->bytes() > 4 * Spool::segment_bytes_max);
  const auto all = read_all(*spool);
  REQUIRE(all.size() == 300);
  CHECK(all == numbered(0, 300, 60'000));
  const auto before = spool->bytes();
  spool->acknowledge(100);
  CHECK(spool->bytes() < before);
  spool->rewind();
  CHECK(read_all(*spool) == numbered(100, 200, 60'000));
  spool->acknowledge(200);
  CHECK(spool->bytes() == 0);
  CHECK_FALSE(spool->next());
}

TEST_CASE("a spool takes no more than its limit") {
  const TempDir folder;
  auto spool = Spool::open(folder / "spool", 8 + 10 * (8 + 20));
  REQUIRE(spool);
  REQUIRE(spool->append(numbered(0, 9)));
  CHECK(spool->append(numbered(9, 2)).error().code == ErrorCode::limit);
  CHECK(spool->records() == 9);
}

TEST_CASE("half a frame at the end is cut off; every byte of the file may be the last") {
  const TempDir folder;
  {
    auto spool = Spool::open(folder / "spool", plenty);
    REQUIRE(spool->append(numbered(1, 3)));
  }
  const auto path = only_segment(folder);
  const std::string whole = folder.read(std::filesystem::relative(path, folder.path()).string());
  for (std::size_t n = 0; n <= whole.size(); ++n) {
    std::ofstream(path, std::ios::binary) << whole.substr(0, n);
    auto spool = Spool::open(folder / "spool", plenty);
    REQUIRE(spool);
    const int expected = n < 8 ? 0 : static_cast<int>((n - 8) / 28);
    CHECK(read_all(*spool) == numbered(1, expected));
    CHECK(spool->bytes_damaged() == 0);
    REQUIRE(spool->append(numbered(9, 1)));
    CHECK(spool->next() == numbered(9, 1)[0]);
    spool->acknowledge(static_cast<std::uint64_t>(expected) + 1);
  }
}

TEST_CASE("a damaged frame costs what follows it in its file, and says so") {
  const TempDir folder;
  auto spool = Spool::open(folder / "spool", plenty);
  REQUIRE(spool->append(numbered(1, 10)));
  {
    std::fstream file(only_segment(folder), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(8 + 4 * 28 + 12);
    file.put('!');
  }
  CHECK(read_all(*spool) == numbered(1, 4));
  CHECK(spool->bytes_damaged() == 6 * 28);
  CHECK(spool->records() == 4);
  spool->acknowledge(4);
  CHECK(spool->empty());
}

TEST_CASE("a write that fails leaves the spool as it was") {
  for (int n = 1; n <= 6; ++n) {
    const TempDir folder;
    int calls = 0;
    const auto refuse = [&] { return ++calls == n; };
    DiskCalls disk;
    disk.write = [&](int fd, const void* data, std::size_t size) -> ssize_t {
      if (!refuse()) return ::write(fd, data, size);
      const ssize_t half = ::write(fd, data, size / 2);
      errno = ENOSPC;
      return half < 0 ? half : -1;
    };
    disk.sync = [&](int fd) {
      if (!refuse()) return ::fdatasync(fd);
      errno = EIO;
      return -1;
    };
    auto spool = Spool::open(folder / "spool", plenty, disk);
    REQUIRE(spool);
    int kept = 0;
    for (int i = 0; i < 4; ++i) {
      if (spool->append(numbered(kept, 3))) kept += 3;
    }
    INFO(n);
    CHECK(kept == 9);
    CHECK(read_all(*spool) == numbered(0, 9));
    spool = fail(ErrorCode::io, {});  // closes it
    auto again = Spool::open(folder / "spool", plenty);
    CHECK(read_all(*again) == numbered(0, 9));
  }
}
