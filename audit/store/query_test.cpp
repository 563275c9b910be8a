#include "audit/store/query.hpp"

#include <grp.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "audit/store/store.hpp"
#include "audit/testing/samples.hpp"
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

  SECTION("newest first, with a limit") {
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
  SECTION("severity, with and without the index for it") {
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
  folder.write("audit.db", "this is not a database, whatever its name says");
  CHECK(Reader::open(folder.path()).error().code == ErrorCode::corrupt);
}

TEST_CASE("another user of the group finds while the store is written") {
  if (::geteuid() != 0) {
    WARN("needs root to become another user: not tested");
    return;
  }
  constexpr uid_t nobody = 65'534;
  constexpr gid_t auditors = 64'999;
  const TempDir folder;
  StoreOptions options;
  options.directory = folder / "store";
  options.profile = Profile::intl;
  auto store = Store::open(options);
  REQUIRE(store);
  ::chmod(folder.path().c_str(), 0755);
  const StorePaths paths = StorePaths::in(options.directory);
  for (const std::string& path :
       {options.directory.string(), paths.database.string(), paths.database.string() + "-wal",
        paths.database.string() + "-shm"}) {
    REQUIRE(::chown(path.c_str(), 0, auditors) == 0);
  }
  const Record record = sample_alert(1);
  REQUIRE(store->append(std::span(&record, 1)));
  const auto as_nobody = [&](gid_t group) {
    const pid_t child = ::fork();
    if (child == 0) {
      if (::setgroups(0, nullptr) != 0 || ::setgid(group) != 0 || ::setuid(nobody) != 0) ::_exit(9);
      const auto reader = Reader::open(options.directory);
      if (!reader) ::_exit(reader.error().code == ErrorCode::denied ? 1 : 2);
      ::_exit(reader->count({}).value_or(0) == 3 ? 0 : 3);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WEXITSTATUS(status);
  };
  CHECK(as_nobody(auditors) == 0);
  CHECK(as_nobody(64'998) == 1);
  const Record next = sample_alert(2);
  CHECK(store->append(std::span(&next, 1)));
}
