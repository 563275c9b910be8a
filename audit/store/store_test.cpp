#include "audit/store/store.hpp"

#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "audit/store/query.hpp"
#include "audit/testing/fault_vfs.hpp"
#include "audit/testing/samples.hpp"
#include "audit/store/evidence.hpp"
#include "audit/verify/verify.hpp"
#include "base/file.hpp"
#include "tests/testkit/fake_clock.hpp"
#include "tests/testkit/temp_dir.hpp"

using namespace menshen;
using namespace menshen::audit;
using namespace std::chrono_literals;
using testkit::FakeClock;
using testkit::TempDir;

namespace {

StoreOptions options_in(const TempDir& folder, const Clock* clock = nullptr,
                        Profile profile = Profile::intl) {
  StoreOptions options;
  options.directory = folder / "store";
  options.origin = "test";
  options.profile = profile;
  options.clock = clock;
  return options;
}

Store open(const StoreOptions& options) {
  auto store = Store::open(options);
  if (!store) FAIL(store.error().text.en);
  return *std::move(store);
}

std::string why_not(const StoreOptions& options) {
  const auto store = Store::open(options);
  REQUIRE_FALSE(store);
  CHECK_FALSE(store.error().text.zh.empty());
  return store.error().text.en;
}

std::vector<Record> alerts(std::uint64_t from, std::uint64_t count) {
  std::vector<Record> records;
  for (std::uint64_t i = 0; i < count; ++i) records.push_back(sample_alert(from + i));
  return records;
}

void require_intact(const StoreOptions& options) {
  const auto report = verify(options.directory);
  REQUIRE(report);
  if (report->first_break) FAIL(report->first_break->text.en);
}

std::uint64_t count(const StoreOptions& options, Filter filter = {}) {
  const auto reader = Reader::open(options.directory);
  if (!reader) FAIL(reader.error().text.en);
  return reader->count(filter).value();
}

// As an attacker with the file in hand would: without our code.
std::string sql(const StoreOptions& options, const std::string& text) {
  sqlite3* db = nullptr;
  REQUIRE(sqlite3_open(StorePaths::in(options.directory).database.c_str(), &db) == SQLITE_OK);
  char* error = nullptr;
  sqlite3_exec(db, text.c_str(), nullptr, nullptr, &error);
  std::string message = error != nullptr ? error : "";
  sqlite3_free(error);
  sqlite3_close(db);
  return message;
}

}  // namespace

TEST_CASE("a store keeps what it is given, in both profiles") {
  const Profile profile = GENERATE(Profile::sm, Profile::intl);
  const TempDir folder;
  FakeClock clock;
  const StoreOptions options = options_in(folder, &clock, profile);
  {
    Store store = open(options);
    const auto answers = store.append(alerts(1, 300));
    REQUIRE(answers);
    CHECK(*answers == std::vector<Appended>(300, Appended::stored));
    CHECK(store.status().records == 302);  // key made, store opened
    CHECK(store.status().last_checkpoint->size == 2);
    REQUIRE(store.close());
  }
  require_intact(options);
  const auto report = verify(options.directory).value();
  CHECK(report.records == 303);
  CHECK(report.records_signed == 303);
  CHECK(report.checkpoints == 2);

  const auto reader = Reader::open(options.directory);
  REQUIRE(reader);
  Filter filter;
  filter.source = "sensord";
  filter.limit = 1;
  const auto newest = reader->find(filter).value();
  REQUIRE(newest.size() == 1);
  Record expected = sample_alert(300);
  expected.stamp = newest[0].record.stamp;
  CHECK(newest[0].record == expected);
  CHECK(newest[0].record.stamp->received == FakeClock::start);
  CHECK(newest[0].number == 302);

  Store again = open(options);
  CHECK(again.status().records == 304);
  CHECK(again.append(alerts(301, 1)).value()[0] == Appended::stored);
}

TEST_CASE("the same record twice is stored once, another with its name never") {
  const TempDir folder;
  const StoreOptions options = options_in(folder);
  Store store = open(options);
  REQUIRE(store.append(alerts(1, 10)));
  const auto again = store.append(alerts(6, 10)).value();
  CHECK(std::ranges::count(again, Appended::duplicate) == 5);
  CHECK(std::ranges::count(again, Appended::stored) == 5);

  Record forged = sample_alert(3);
  forged.message = "nothing happened";
  forged.stamp = Stamp{1, 2, 3};
  const std::vector<Record> batch{forged, sample_alert(16)};
  CHECK(store.append(batch).value() == std::vector{Appended::conflict, Appended::stored});
  // Twice within one batch, too.
  const std::vector<Record> twins{sample_alert(17), sample_alert(17)};
  CHECK(store.append(twins).value() == std::vector{Appended::stored, Appended::duplicate});
  REQUIRE(store.close());

  Filter filter;
  filter.source = "sensord";
  CHECK(count(options, filter) == 17);
  filter = {};
  filter.action = "record.conflict";
  const auto told = Reader::open(options.directory)->find(filter).value();
  REQUIRE(told.size() == 1);
  CHECK(told[0].record.object == "sensord/1/3");
  CHECK(told[0].record.severity == Severity::high);
  require_intact(options);
}

TEST_CASE("SQL cannot change what is stored") {
  const TempDir folder;
  const StoreOptions options = options_in(folder);
  {
    Store store = open(options);
    REQUIRE(store.append(alerts(1, 3)));
    REQUIRE(store.close());
  }
  for (const std::string text :
       {"UPDATE record SET severity = 0", "DELETE FROM record", "DELETE FROM record WHERE n = 5",
        "UPDATE checkpoint SET size = 1", "DELETE FROM checkpoint", "UPDATE meta SET value = 'x'",
        "INSERT OR REPLACE INTO record SELECT * FROM record WHERE n = 1",
        "INSERT OR REPLACE INTO checkpoint SELECT * FROM checkpoint",
        "INSERT INTO record SELECT n + 100, source, epoch, sequence + 100, time, kind, severity, "
        "bytes, head FROM record",
        "REPLACE INTO record(n, source, epoch, sequence, time, kind, severity, bytes, head) "
        "VALUES (1, 'x', 1, 1, 1, 1, 1, 'x', 'x')"}) {
    INFO(text);
    CHECK_FALSE(sql(options, text).empty());
  }
  // With the next number, but the name of another: ignored, and the old record stays.
  CHECK(sql(options,
            "INSERT OR REPLACE INTO record SELECT (SELECT MAX(n) + 1 FROM record), source, "
            "epoch, sequence, time, kind, severity, bytes, head FROM record WHERE n = 3")
            .empty());
  require_intact(options);
  CHECK(count(options) == 6);
}

TEST_CASE("checkpoints are due a while after the first record, and not without one") {
  const TempDir folder;
  FakeClock clock;
  StoreOptions options = options_in(folder, &clock);
  options.checkpoint_interval = 5s;
  Store store = open(options);
  CHECK_FALSE(store.checkpoint_due());
  clock.advance(60s);
  CHECK_FALSE(store.checkpoint_due());
  REQUIRE(store.append(alerts(1, 1)));
  CHECK_FALSE(store.checkpoint_due());
  clock.advance(4'999ms);
  REQUIRE(store.append(alerts(2, 1)));
  CHECK_FALSE(store.checkpoint_due());
  clock.advance(1ms);
  CHECK(store.checkpoint_due());
  const auto note = store.checkpoint().value();
  CHECK(note.checkpoint.number == 2);
  CHECK(note.checkpoint.size == 4);
  CHECK_FALSE(store.checkpoint_due());
  // Nothing new: the same note again.
  CHECK(store.checkpoint()->text == note.text);
}

TEST_CASE("a clock that goes back is recorded") {
  const TempDir folder;
  FakeClock clock;
  const StoreOptions options = options_in(folder, &clock);
  Store store = open(options);
  clock.set_wall(FakeClock::start - 3'600'000'000'000);
  REQUIRE(store.append(alerts(1, 1)));
  REQUIRE(store.checkpoint());
  REQUIRE(store.close());
  Filter filter;
  filter.action = "clock.back";
  CHECK(count(options, filter) >= 1);
  const auto report = verify(options.directory).value();
  CHECK(report.intact);
  CHECK(std::ranges::count_if(report.warnings, [](const Text& w) {
          return w.en.find("before the one ahead") != std::string::npos;
        }) >= 2);
}

TEST_CASE("one store, one writer") {
  const TempDir folder;
  const StoreOptions options = options_in(folder);
  Store store = open(options);
  const auto second = Store::open(options);
  REQUIRE_FALSE(second);
  CHECK(second.error().code == ErrorCode::exists);
}

TEST_CASE("files have the modes they need") {
  const TempDir folder;
  const StoreOptions options = options_in(folder);
  Store store = open(options);
  REQUIRE(store.append(alerts(1, 1)));
  const auto mode = [&](const char* name) {
    struct stat info {};
    REQUIRE(::stat((options.directory / name).c_str(), &info) == 0);
    return info.st_mode & 0777U;
  };
  CHECK(mode("signing.key") == 0600U);
  for (const char* name : {"audit.db", "audit.db-wal", "audit.db-shm", "checkpoints.log",
                           "signing.pub", "fingerprint"}) {
    INFO(name);
    CHECK(mode(name) == 0640U);
  }
}

TEST_CASE("a store that does not verify is not opened, and says what is wrong") {
  const TempDir folder;
  FakeClock clock;
  StoreOptions options = options_in(folder, &clock);
  const StorePaths paths = StorePaths::in(options.directory);
  {
    Store store = open(options);
    for (std::uint64_t i = 0; i < 5; ++i) {
      REQUIRE(store.append(alerts(1 + 10 * i, 10)));
      REQUIRE(store.checkpoint());
    }
    REQUIRE(store.append(alerts(51, 10)));
    // Not closed: the last ten records are behind the last checkpoint, as after a crash.
  }
  SECTION("untouched, it opens") {
    Store store = open(options);
    CHECK(store.status().records == 63);
    REQUIRE(store.close());
    require_intact(options);
  }
  SECTION("a changed record behind the last checkpoint") {
    CHECK(sql(options,
              "DROP TRIGGER record_update; UPDATE record SET bytes = "
              "CAST(replace(bytes, '${jndi', '$(jndi') AS BLOB) WHERE n = 58; " +
                  std::string("CREATE TRIGGER record_update BEFORE UPDATE ON record BEGIN "
                              "SELECT RAISE(ABORT, 'audit records are never changed'); "
                              "END"))
              .empty());
    CHECK(why_not(options).find("record 58") != std::string::npos);
  }
  SECTION("a trigger taken away") {
    sql(options, "DROP TRIGGER record_delete");
    CHECK(why_not(options).find("record_delete") != std::string::npos);
  }
  SECTION("a table put in") {
    sql(options, "CREATE TABLE other(x)");
    CHECK(why_not(options).find("other") != std::string::npos);
  }
  SECTION("an older database under the newer log") {
    std::filesystem::remove(paths.database.string() + "-wal");
    std::filesystem::remove(paths.database.string() + "-shm");
    std::filesystem::remove(paths.database);
    CHECK(why_not(options).find("database is missing") != std::string::npos);
  }
  SECTION("a lost key") {
    std::filesystem::remove(paths.signing_key);
    CHECK(why_not(options).find("signing key is missing") != std::string::npos);
  }
  SECTION("another key") {
    std::filesystem::remove(paths.signing_key);
    REQUIRE(SigningKey::generate(Profile::intl)->save(paths.signing_key));
    CHECK(why_not(options).find("another key") != std::string::npos);
  }
  SECTION("another profile") {
    options.profile = Profile::sm;
    CHECK(why_not(options).find("profile") != std::string::npos);
  }
  SECTION("another name") {
    options.origin = "other";
    CHECK(why_not(options).find("the settings say other") != std::string::npos);
  }
  SECTION("a log with half a note is mended, one with foreign text is not") {
    const std::string log = read_file(paths.checkpoints_log).value();
    std::ofstream(paths.checkpoints_log) << log.substr(0, log.size() - 100);
    Store store = open(options);
    REQUIRE(store.close());
    require_intact(options);
    CHECK(read_file(paths.checkpoints_log)->starts_with(log));
    std::ofstream(paths.checkpoints_log, std::ios::app) << "hello";
    CHECK(why_not(options).find("no checkpoint") != std::string::npos);
  }
  SECTION("a log that lost many notes is mended, and that is recorded") {
    std::ofstream(paths.checkpoints_log) << "";
    Store store = open(options);
    REQUIRE(store.close());
    Filter filter;
    filter.action = "log.restore";
    CHECK(count(options, filter) == 1);
  }
}

TEST_CASE("every failed write leaves a store that verifies and keeps what it acknowledged") {
  const int error = GENERATE(SQLITE_FULL, SQLITE_IOERR_WRITE);
  const bool persistent = GENERATE(false, true);
  FaultVfs vfs("menshen-fault");
  int n = 1;
  for (;; ++n) {
    REQUIRE(n < 2'000);
    const TempDir folder;
    StoreOptions options = options_in(folder);
    options.sqlite_vfs = vfs.name();
    options.disk.write = [&](int fd, const void* data, std::size_t size) -> ssize_t {
      if (!vfs.refuse()) return ::write(fd, data, size);
      static_cast<void>(::write(fd, data, size / 2));
      errno = ENOSPC;
      return -1;
    };
    options.disk.sync = [&](int fd) {
      if (!vfs.refuse()) return ::fdatasync(fd);
      errno = EIO;
      return -1;
    };
    std::uint64_t acknowledged = 0;
    vfs.fail_at(n, error, persistent);
    {
      auto store = Store::open(options);
      for (std::uint64_t batch = 0; store && batch < 6; ++batch) {
        if (store->append(alerts(1 + 20 * batch, 20))) {
          acknowledged += 20;
        } else {
          // The disk works again: the same batch once more.
          vfs.fail_at(0, SQLITE_OK);
          const auto again = store->append(alerts(1 + 20 * batch, 20));
          if (!again) FAIL(again.error().text.en);
          acknowledged += 20;
        }
        if (!store->checkpoint()) vfs.fail_at(0, SQLITE_OK);
      }
      if (store) static_cast<void>(store->close());
    }
    const bool failed = vfs.failed();
    vfs.fail_at(0, SQLITE_OK);
    INFO("call " << n << " failed");
    {
      Store store = open(options);  // as the next start would
      REQUIRE(store.close());
    }
    require_intact(options);
    Filter filter;
    filter.source = "sensord";
    CHECK(count(options, filter) >= acknowledged);
    if (!failed && acknowledged == 120) break;
  }
  CHECK(n > 30);  // there were calls to fail
}

TEST_CASE("a full disk is an error until there is room again") {
  FaultVfs vfs("menshen-full");
  const TempDir folder;
  StoreOptions options = options_in(folder);
  options.sqlite_vfs = vfs.name();
  Store store = open(options);
  vfs.fail_at(1, SQLITE_FULL, true);
  for (int i = 0; i < 3; ++i) {
    CHECK_FALSE(store.append(alerts(1, 1'000)));
    CHECK_FALSE(store.status().healthy);
  }
  vfs.fail_at(0, SQLITE_OK);
  CHECK(store.append(alerts(1, 1'000)).value()[999] == Appended::stored);
  CHECK(store.status().healthy);
  REQUIRE(store.close());
  require_intact(options);
}

TEST_CASE("batches have a limit") {
  const TempDir folder;
  Store store = open(options_in(folder));
  CHECK(store.append(alerts(1, append_records_max)));
  CHECK(store.append(alerts(20'000, append_records_max + 1)).error().code == ErrorCode::limit);
  CHECK(store.append({})->empty());
  Record bad = sample_alert(1);
  bad.source = "No!";
  CHECK(store.append(std::span(&bad, 1)).error().code == ErrorCode::invalid);
  CHECK(store.status().healthy);
}

TEST_CASE("an attested document can be checked without the store") {
  const Profile profile = GENERATE(Profile::sm, Profile::intl);
  const TempDir folder;
  const auto file = folder.write("report.html", "<h1>符合</h1>");
  const StoreOptions options = options_in(folder, nullptr, profile);
  Store store = open(options);
  REQUIRE(store.append(alerts(1, 7)));
  Attestation attestation;
  attestation.name = "report.html";
  attestation.digest = digest_file(profile, file).value();
  attestation.bytes = 15;
  attestation.subject = "inspector.zhang";
  const std::string evidence = store.attest(attestation).value();
  const std::string fingerprint = store.status().fingerprint;
  REQUIRE(store.append(alerts(8, 7)));
  REQUIRE(store.close());
  std::filesystem::remove_all(options.directory);

  const auto good = verify_evidence(file, evidence, fingerprint);
  if (!good) FAIL(good.error().text.en);
  CHECK(good->pinned);
  CHECK(good->record.subject == "inspector.zhang");
  CHECK(good->checkpoint.origin == "test");
  CHECK_FALSE(verify_evidence(file, evidence)->pinned);

  SECTION("another document") {
    folder.write("report.html", "<h1>不符合</h1>");
    CHECK(verify_evidence(file, evidence, fingerprint).error().code == ErrorCode::corrupt);
  }
  SECTION("another key") {
    CHECK(verify_evidence(file, evidence, "sm3:00").error().code == ErrorCode::corrupt);
  }
  SECTION("no changed byte makes it say something else") {
    for (std::size_t i = 0; i < evidence.size(); i += 3) {
      std::string other = evidence;
      other[i] = static_cast<char>(other[i] ^ 2);
      const auto report = verify_evidence(file, other, fingerprint);
      // Fields for people ("origin", "profile", "fingerprint") are repeated in the note.
      const auto again = Evidence::parse(other);
      if (report) CHECK(again->checkpoint.text == Evidence::parse(evidence)->checkpoint.text);
    }
  }
  SECTION("no evidence at all") {
    for (const std::string bad : {"", "{}", "[]", "null", "{\"format\":\"menshen-evidence/1\"}"}) {
      CHECK(verify_evidence(file, bad).error().code == ErrorCode::invalid);
    }
  }
}
