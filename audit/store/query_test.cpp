#include "audit/store/query.hpp"

#include <fcntl.h>
#include <grp.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <utility>

#include "audit/store/indexer.hpp"
#include "audit/store/store.hpp"
#include "audit/testing/samples.hpp"
#include "base/file.hpp"
#include "tests/testkit/temp_dir.hpp"

using namespace menshen;
using namespace menshen::audit;
using testkit::TempDir;

namespace {

// Three hours of records, ten minutes apart: alerts, with an isolation violation and an
// administrator's act each.
StoreOptions fill(const TempDir& folder) {
  StoreOptions options;
  options.directory = folder / "store";
  options.profile = Profile::intl;
  auto store = Store::open(options);
  REQUIRE(store);
  std::vector<Record> records;
  for (std::uint64_t i = 1; i <= 18; ++i) {
    Record alert = sample_alert(i);
    alert.time = static_cast<WallTime>(i) * 600'000'000'000;
    alert.severity = Severity{static_cast<std::uint8_t>(i % 5)};
    alert.rule->sid = static_cast<std::uint32_t>(1000 + i % 3);
    records.push_back(alert);
    Record isolation = sample_alert(100 + i);
    isolation.time = alert.time + 1;
    isolation.kind = Kind::isolation;
    isolation.severity = Severity::medium;
    isolation.domain_src = "tax";
    isolation.src = IpAddr::parse("fd00:20::5");
    isolation.dst = IpAddr::parse("10.10.0." + std::to_string(i));
    isolation.rule.reset();
    records.push_back(isolation);
    Record admin = sample_admin(i);
    admin.time = alert.time + 2;
    records.push_back(admin);
  }
  REQUIRE(store->append(records));
  REQUIRE(store->close());
  return options;
}

}  // namespace

TEST_CASE("records are found by what an officer asks for") {
  const TempDir folder;
  const StoreOptions options = fill(folder);
  const auto reader = Reader::open(options.directory);
  REQUIRE(reader);
  Filter filter;
  filter.until = 20'000'000'000'000;  // not the store's own records, which are of today
  filter.limit = 0;
  const auto n = [&] { return reader->count(filter).value(); };
  CHECK(n() == 54);

  SECTION("last stored first, with a limit") {
    filter.limit = 3;
    const auto found = reader->find(filter).value();
    REQUIRE(found.size() == 3);
    CHECK(found[0].record.kind == Kind::admin);
    CHECK(found[1].record.kind == Kind::isolation);
    CHECK(found[2].record.sequence == 18);
  }
  SECTION("time, from inclusive to exclusive") {
    filter.since = 600'000'000'000;
    filter.until = 1'200'000'000'000;
    CHECK(n() == 3);
    filter.until = 1'200'000'000'001;
    CHECK(n() == 4);
  }
  SECTION("kind") {
    filter.kinds = {Kind::admin};
    CHECK(n() == 18);
    filter.kinds = {Kind::admin, Kind::alert};
    CHECK(n() == 36);
    filter.kinds = {Kind::loss};
    CHECK(n() == 0);
  }
  SECTION("severity") {
    filter.severity_min = Severity::medium;
    CHECK(n() == 11 + 18);
    filter.severity_min = Severity::high;
    CHECK(n() == 7);
    filter.severity_min = Severity::critical;
    CHECK(n() == 3);
  }
  SECTION("acts of some severity") {
    filter.kinds = {Kind::admin};
    filter.severity_min = Severity::high;
    CHECK(n() == 0);
  }
  SECTION("domain, either side") {
    filter.domain = "tax";
    CHECK(n() == 18);
    filter.domain = "portal";
    CHECK(n() == 36);
  }
  SECTION("address and prefix, either side") {
    filter.address = Prefix::parse("10.10.0.5").value();
    CHECK(n() == 18 + 1);
    filter.address = Prefix::parse("10.10.0.0/24").value();
    CHECK(n() == 36);
    filter.address = Prefix::parse("fd00:20::/32").value();
    CHECK(n() == 18);
  }
  SECTION("rule, actor, action, policy line, outcome, source") {
    filter.sid = 1001;
    CHECK(n() == 6);
    filter.sid.reset();
    filter.subject = "li.wei";
    filter.action = "policy.apply";
    filter.policy_line = "demo.yaml:14";
    filter.outcome = Outcome::success;
    filter.source = "policyd";
    CHECK(n() == 18);
    filter.outcome = Outcome::failure;
    CHECK(n() == 0);
  }
  SECTION("text in either case") {
    filter.text = "log4shell";
    CHECK(n() == 36);
    filter.text = "利用尝试";
    CHECK(n() == 36);
    filter.text = "JNDI:LDAP";
    CHECK(n() == 36);
    filter.text = "no such thing";
    CHECK(n() == 0);
  }
  SECTION("the caller may stop") {
    std::uint64_t seen = 0;
    CHECK(reader->find(filter, [&](const Found&) { return ++seen < 5; }).value() == 5);
  }
  SECTION("size and last checkpoint") {
    CHECK(reader->records().value() == 57);
    CHECK(reader->last_checkpoint().value()->checkpoint.size == 57);
  }
}

TEST_CASE("what is no store cannot be searched") {
  const TempDir folder;
  CHECK(Reader::open(folder / "none").error().code == ErrorCode::not_found);
  folder.write("segment-000001.db", "this is not a database, whatever its name says");
  CHECK(Reader::open(folder.path()).error().code == ErrorCode::corrupt);
}

namespace {

// A reader in a process of its own, as another user. It is made before the store and its threads:
// of several threads a fork would keep one, and whatever locks the others held for ever.
class ForeignReader {
 public:
  ForeignReader(const std::filesystem::path& store, gid_t group) {
    int go[2];
    REQUIRE(::pipe2(go, O_CLOEXEC) == 0);
    go_ = UniqueFd(go[1]);
    const UniqueFd wait(go[0]);
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ > 0) return;
    go_.reset();
    char byte = 0;
    if (::read(wait.get(), &byte, 1) != 1) ::_exit(8);
    constexpr uid_t nobody = 65'534;
    if (::setgroups(0, nullptr) != 0 || ::setgid(group) != 0 || ::setuid(nobody) != 0) ::_exit(9);
    const auto reader = Reader::open(store);
    if (!reader) ::_exit(reader.error().code == ErrorCode::denied ? denied : 2);
    ::_exit(static_cast<int>(100 + reader->count({}).value_or(0)));
  }
  ForeignReader(const ForeignReader&) = delete;
  ForeignReader& operator=(const ForeignReader&) = delete;
  ~ForeignReader() { static_cast<void>(read()); }

  static constexpr int denied = 1;
  static constexpr int found(int records) { return 100 + records; }

  // Lets it open the store and count; says what it saw.
  int read() {
    if (pid_ <= 0) return -1;
    static_cast<void>(::write(go_.get(), "r", 1) > 0);
    int status = 0;
    ::waitpid(std::exchange(pid_, 0), &status, 0);
    return WEXITSTATUS(status);
  }

 private:
  UniqueFd go_;
  pid_t pid_ = 0;
};

}  // namespace

TEST_CASE("another user of the group finds while the store is written") {
  if (::geteuid() != 0) {
    WARN("needs root to become another user: not tested");
    return;
  }
  constexpr gid_t auditors = 64'999;
  const TempDir folder;
  StoreOptions options;
  options.directory = folder / "store";
  options.profile = Profile::intl;
  ForeignReader auditor(options.directory, auditors);
  ForeignReader stranger(options.directory, auditors - 1);
  auto store = Store::open(options);
  REQUIRE(store);
  ::chmod(folder.path().c_str(), 0755);
  const StorePaths paths = StorePaths::in(options.directory);
  for (const std::string& path :
       {options.directory.string(), paths.segment(1).string(), paths.segment(1).string() + "-wal",
        paths.segment(1).string() + "-shm"}) {
    REQUIRE(::chown(path.c_str(), 0, auditors) == 0);
  }
  const Record record = sample_alert(1);
  REQUIRE(store->append(std::span(&record, 1)));
  CHECK(auditor.read() == ForeignReader::found(3));
  CHECK(stranger.read() == ForeignReader::denied);
  const Record next = sample_alert(2);
  CHECK(store->append(std::span(&next, 1)));
}

namespace {

// Records that differ in what an index knows, over several segments; the last ones not indexed yet.
void fill_many(const StoreOptions& options) {
  auto store = Store::open(options);
  REQUIRE(store);
  std::uint64_t sequence = 0;
  for (int batch = 0; batch < 5; ++batch) {
    std::vector<Record> records;
    for (int i = 0; i < 300; ++i) {
      Record record = sample_alert(++sequence);
      record.time = static_cast<WallTime>(sequence) * 10'000'000'000;
      record.severity = Severity{static_cast<std::uint8_t>(sequence % 97 == 0 ? 4 : sequence % 3)};
      record.kind = sequence % 41 == 0 ? Kind::isolation : Kind::alert;
      record.domain_src = "domain-" + std::to_string(sequence % 50);
      record.src = IpAddr::parse("10.1." + std::to_string(sequence % 7) + "." +
                                 std::to_string(sequence % 251));
      record.rule->sid = static_cast<std::uint32_t>(1000 + sequence % 300);
      record.message =
          "第 " + std::to_string(sequence) + " 次跨域访问 needle" + std::to_string(sequence % 500);
      records.push_back(record);
    }
    REQUIRE(store->append(records));
  }
  REQUIRE(store->close());
}

std::vector<std::uint64_t> numbers(const Reader& reader, const Filter& filter) {
  std::vector<std::uint64_t> out;
  const auto all = reader.find(filter).value();
  out.reserve(all.size());
  for (const Found& found : all) out.push_back(found.number);
  return out;
}

}  // namespace

TEST_CASE("what stands before a number is found page by page, indexed or not") {
  const TempDir folder;
  StoreOptions options;
  options.directory = folder / "store";
  options.profile = Profile::intl;
  options.segment_records_max = 512;
  fill_many(options);
  const auto reader = Reader::open(options.directory);
  REQUIRE(reader);
  Filter filter;
  filter.kinds = {Kind::isolation};
  filter.limit = 0;
  filter.scan = GENERATE(true, false);
  const auto all = numbers(*reader, filter);
  REQUIRE(all.size() > 30);
  // At a record, right behind one, right before one: in every segment and at both ends.
  for (const std::uint64_t found : all) {
    for (const std::uint64_t before : {found, found + 1}) {
      INFO(before);
      filter.before = before;
      std::vector<std::uint64_t> expected = all;
      std::erase_if(expected, [&](std::uint64_t n) { return n >= before; });
      CHECK(numbers(*reader, filter) == expected);
    }
  }
  filter.limit = 7;
  filter.before = 0;
  std::vector<std::uint64_t> paged;
  for (;;) {
    const auto page = numbers(*reader, filter);
    paged.insert(paged.end(), page.begin(), page.end());
    if (page.size() < filter.limit) break;
    filter.before = page.back();
  }
  CHECK(paged == all);
}

TEST_CASE("the index finds what reading everything finds") {
  const TempDir folder;
  StoreOptions options;
  options.directory = folder / "store";
  options.profile = Profile::intl;
  options.index = false;
  options.segment_records_max = 512;
  fill_many(options);
  const StorePaths paths = StorePaths::in(options.directory);
  {
    Indexer indexer(paths);
    REQUIRE(indexer.catch_up());
  }
  REQUIRE(std::filesystem::exists(paths.index(1)));
  const Reader reader = Reader::open(options.directory).value();
  std::vector<Filter> filters(1);
  const auto with = [&](const auto& set) { set(filters.emplace_back()); };
  with([](Filter& f) { f.domain = "domain-7"; });
  with([](Filter& f) { f.address = Prefix::parse("10.1.3.0/24").value(); });
  with([](Filter& f) { f.address = Prefix::parse("10.1.2.128/25").value(); });
  with([](Filter& f) { f.address = Prefix::parse("10.1.2.9").value(); });
  with([](Filter& f) { f.sid = 1100; });
  with([](Filter& f) { f.severity_min = Severity::critical; });
  with([](Filter& f) { f.kinds = {Kind::isolation}; });
  with([](Filter& f) { f.text = "NEEDLE42"; });
  with([](Filter& f) { f.text = "跨域访问 needle7"; });
  with([](Filter& f) { f.text = "域访"; });
  with([](Filter& f) { f.text = "eedle42"; });  // no word begins so
  with([](Filter& f) { f.text = "no such thing"; });
  with([](Filter& f) { f.text = "\""; });
  with([](Filter& f) {
    f.since = 3'000'000'000'000;
    f.until = 9'000'000'000'000;
    f.domain = "domain-3";
  });
  with([](Filter& f) {
    f.subject = "auditd";
    f.action = "store.start";
  });
  with([](Filter& f) {
    f.domain = "domain-7";
    f.limit = 3;
  });
  for (Filter& filter : filters) {
    INFO(filter.text << filter.domain);
    const auto quick = numbers(reader, filter);
    filter.scan = true;
    CHECK(quick == numbers(reader, filter));
    if (filter.text.empty() || filter.text.starts_with("NEEDLE") || filter.text == "域访") {
      CHECK_FALSE(quick.empty());
    }
  }
  SECTION("counts per hour") {
    const auto hours = reader.hours(0, 20'000'000'000'000).value();
    std::uint64_t sum = 0;
    for (const HourCount& count : hours) sum += count.records;
    CHECK(sum == 1500);
    CHECK(hours.size() > 4);
    CHECK(hours.front().hour == 0);
    for (const std::uint64_t number : paths.segments()) {
      std::filesystem::remove(paths.index(number));
    }
    const auto read = Reader::open(options.directory)->hours(0, 20'000'000'000'000).value();
    CHECK(read.size() == hours.size());
    for (std::size_t i = 0; i < read.size(); ++i) CHECK(read[i].records == hours[i].records);
  }
  SECTION("a damaged index is built again") {
    folder.write("store/segment-000001.index", "this is no database at all, or no longer");
    Filter filter;
    filter.domain = "domain-7";
    filter.limit = 0;
    CHECK(Reader::open(options.directory)->count(filter).value() == 30);
    Indexer indexer(paths);
    REQUIRE(indexer.catch_up());
    CHECK(Reader::open(options.directory)->count(filter).value() == 30);
  }
}
