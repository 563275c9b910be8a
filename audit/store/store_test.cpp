#include "audit/store/store.hpp"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <thread>

#include "audit/store/evidence.hpp"
#include "audit/store/query.hpp"
#include "audit/testing/fault_vfs.hpp"
#include "audit/testing/samples.hpp"
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
  options.index = false;
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

std::uint64_t count(const StoreOptions& options, const Filter& filter = {}) {
  const auto reader = Reader::open(options.directory);
  if (!reader) FAIL(reader.error().text.en);
  return reader->count(filter).value();
}

// As an attacker with the file in hand would: without our code.
std::string sql(const StoreOptions& options, const std::string& text) {
  sqlite3* db = nullptr;
  REQUIRE(sqlite3_open(StorePaths::in(options.directory).newest_segment().c_str(), &db) ==
          SQLITE_OK);
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

TEST_CASE("long records in small batches need no temporary file") {
  // Where several records share a page, and where each needs more than one.
  const std::size_t length = GENERATE(400, 2'000, 9'000);
  const TempDir folder;
  FaultVfs vfs("menshen-no-temporary");
  StoreOptions options = options_in(folder);
  options.sqlite_vfs = vfs.name();
  Store store = open(options);
  for (std::uint64_t n = 1; n <= 600; n += 100) {
    auto records = alerts(n, 100);
    for (Record& record : records) record.detail = '"' + std::string(length, 'x') + '"';
    REQUIRE(store.append(records));
  }
  REQUIRE(store.close());
  require_intact(options);
}

TEST_CASE("SQL cannot change what is stored") {
  const TempDir folder;
  const StoreOptions options = options_in(folder);
  {
    Store store = open(options);
    REQUIRE(store.append(alerts(1, 300)));
    REQUIRE(store.close());
  }
  for (const std::string text :
       {"UPDATE block SET data = 'x'", "DELETE FROM block", "DELETE FROM block WHERE first = 1",
        "UPDATE pending SET bytes = 'x'", "DELETE FROM pending",
        "DELETE FROM pending WHERE n = 300", "UPDATE node SET hash = 'x'", "DELETE FROM node",
        "UPDATE checkpoint SET size = 1", "DELETE FROM checkpoint", "UPDATE meta SET value = 'x'",
        "INSERT OR REPLACE INTO block SELECT * FROM block WHERE first = 1",
        "INSERT OR REPLACE INTO pending SELECT * FROM pending WHERE n = 300",
        "INSERT OR REPLACE INTO checkpoint SELECT * FROM checkpoint",
        "INSERT INTO pending SELECT n + 100, bytes, leaf FROM pending",
        "REPLACE INTO block(first, data) VALUES (1, 'x')"}) {
    INFO(text);
    CHECK_FALSE(sql(options, text).empty());
  }
  require_intact(options);
  CHECK(count(options) == 303);
}

// Steps of SQLite's machine to do away with the pending records once their block is there.
int steps_to_fold(std::uint64_t blocks) {
  const TempDir folder;
  const StoreOptions options = options_in(folder);
  {
    Store store = open(options);
    REQUIRE(store.append(alerts(1, blocks * block_records + 100)));
    REQUIRE(store.close());
  }
  sqlite3* raw = nullptr;
  REQUIRE(sqlite3_open((options.directory / "segment-000001.db").c_str(), &raw) == SQLITE_OK);
  const Handle<sqlite3, &sqlite3_close> db(raw);
  REQUIRE(sqlite3_exec(raw, "INSERT INTO block SELECT MAX(first) + 256, x'00' FROM block", nullptr,
                       nullptr, nullptr) == SQLITE_OK);
  sqlite3_stmt* prepared = nullptr;
  REQUIRE(sqlite3_prepare_v2(raw, "DELETE FROM pending", -1, &prepared, nullptr) == SQLITE_OK);
  const Handle<sqlite3_stmt, &sqlite3_finalize> fold(prepared);
  REQUIRE(sqlite3_step(prepared) == SQLITE_DONE);
  return sqlite3_stmt_status(prepared, SQLITE_STMTSTATUS_VM_STEP, 0);
}

TEST_CASE("storing costs the same however many records the segment holds") {
  CHECK(steps_to_fold(30) == steps_to_fold(2));
}

TEST_CASE("batches of any size make the same store") {
  const TempDir folder;
  FakeClock clock;
  StoreOptions options = options_in(folder, &clock);
  const std::uint64_t batch = GENERATE(1U, 255U, 256U, 257U, 700U);
  const std::uint64_t total = batch == 1 ? 300 : 700;
  options.segment_records_max = GENERATE(std::uint64_t{4} << 20U, std::uint64_t{256});
  Store store = open(options);
  for (std::uint64_t at = 1; at <= total; at += batch) {
    REQUIRE(store.append(alerts(at, std::min(batch, total + 1 - at))));
  }
  CHECK(store.status().records == total + 2);
  REQUIRE(store.close());
  require_intact(options);
  Filter filter;
  filter.source = "sensord";
  CHECK(count(options, filter) == total);
  const auto found = Reader::open(options.directory)->find(filter).value();
  for (std::size_t i = 0; i < found.size(); ++i) CHECK(found[i].record.sequence == total - i);
}

TEST_CASE("a second delivery is known over segments, out of order and of old runs") {
  const TempDir folder;
  StoreOptions options = options_in(folder);
  options.segment_records_max = 256;
  Store store = open(options);
  const auto give = [&](std::vector<Record> records) { return store.append(records).value(); };
  const auto all = [](const std::vector<Appended>& answers, Appended answer) {
    return std::ranges::count(answers, answer) == static_cast<std::ptrdiff_t>(answers.size());
  };
  std::vector<Record> backwards = alerts(1, 300);
  std::ranges::reverse(backwards);
  CHECK(all(give(backwards), Appended::stored));
  CHECK(all(give(alerts(1, 300)), Appended::duplicate));
  CHECK(all(give(alerts(301, 700)), Appended::stored));
  for (std::uint64_t at : {1U, 200U, 299U, 300U, 301U, 600U, 999U}) {
    CHECK(give(alerts(at, 2)) == std::vector(2, Appended::duplicate));
  }
  std::vector<Record> next_run = alerts(1, 300);
  for (Record& record : next_run) record.epoch = 2;
  CHECK(all(give(next_run), Appended::stored));
  CHECK(all(give(alerts(1, 1000)), Appended::duplicate));
  Record forged = sample_alert(5);
  forged.message = "nothing happened";
  CHECK(give({forged}).front() == Appended::conflict);
  REQUIRE(store.close());
  store = open(options);
  CHECK(all(give(alerts(1, 1000)), Appended::duplicate));
  CHECK(give(alerts(1001, 1)).front() == Appended::stored);
  REQUIRE(store.close());
  require_intact(options);
}

TEST_CASE("segments end with their day, are sealed, and go after their time") {
  const TempDir folder;
  FakeClock clock;
  StoreOptions options = options_in(folder, &clock);
  options.retention_days = 200;
  Store store = open(options);
  const StorePaths paths = StorePaths::in(options.directory);
  // A seal's digest is made in the background.
  const auto tend_until = [&](const auto& done) {
    for (int i = 0; i < 10'000 && !done(); ++i) {
      REQUIRE(store.tend());
      std::this_thread::yield();
    }
    REQUIRE(done());
  };
  std::optional<SignedNote> early;
  for (std::uint64_t day = 0; day < 4; ++day) {
    REQUIRE(store.append(alerts(1 + 300 * day, 300)));
    if (day == 0) early = store.checkpoint().value();
    clock.advance(24h);
  }
  CHECK(paths.segments().size() >= 3);
  const std::uint64_t first = paths.segments().front();
  tend_until([&] { return std::filesystem::exists(paths.seal(first)); });
  require_intact(options);
  const auto grown = Reader::open(options.directory)->prover()->prove_since(*early);
  REQUIRE(grown);
  CHECK(verify_proof(grown->to_json()));

  clock.advance(200 * 24h);
  tend_until([&] { return paths.segments().front() > first; });
  CHECK_FALSE(std::filesystem::exists(paths.segment(first)));
  const auto report = verify(options.directory).value();
  if (report.first_break) FAIL(report.first_break->text.en);
  CHECK(report.first_record > 1);
  CHECK(store.status().first_record == report.first_record);
  const Reader reader = Reader::open(options.directory).value();
  Filter filter;
  filter.action = "segment.prune";
  CHECK(reader.find(filter)->size() == 1);
  REQUIRE(store.checkpoint());
  const Prover prover = reader.prover().value();
  for (const std::uint64_t n : {report.first_record, report.first_record + 100, report.records}) {
    const auto proof = prover.prove(n);
    REQUIRE(proof);
    CHECK(verify_proof(proof->to_json())->number == n);
  }
  CHECK(prover.prove(1).error().code == ErrorCode::not_found);
  REQUIRE(store.close());
  store = open(options);
  REQUIRE(store.close());
  require_intact(options);
}

TEST_CASE("a shorter retention than the law's needs a reason, which is recorded") {
  const TempDir folder;
  StoreOptions options = options_in(folder);
  options.retention_days = retention_days_min - 1;
  CHECK(Store::open(options).error().code == ErrorCode::invalid);
  options.retention_reason = "laboratory";
  REQUIRE(open(options).close());
  Filter filter;
  filter.action = "retention.short";
  CHECK(count(options, filter) == 1);
}

TEST_CASE("a key is rotated, and both the old and the new one can be pinned") {
  const Profile profile = GENERATE(Profile::sm, Profile::intl);
  const TempDir folder;
  const StoreOptions options = options_in(folder, nullptr, profile);
  Store store = open(options);
  const std::string before = store.status().fingerprint;
  REQUIRE(store.append(alerts(1, 10)));
  REQUIRE(store.rotate_key("li.wei"));
  const std::string after = store.status().fingerprint;
  CHECK(before != after);
  REQUIRE(store.append(alerts(11, 10)));
  REQUIRE(store.close());
  for (const std::string& fingerprint : {before, after}) {
    VerifyOptions pinned;
    pinned.fingerprint = fingerprint;
    const auto report = verify(options.directory, pinned).value();
    if (report.first_break) FAIL(report.first_break->text.en);
  }
  store = open(options);
  REQUIRE(store.close());
  VerifyOptions other;
  other.fingerprint = "sm3:00";
  CHECK(verify(options.directory, other)->first_break->kind == BreakKind::key_changed);
  // Without the old public key nobody can tell who signed the beginning.
  std::filesystem::remove_all(options.directory / "retired");
  CHECK(verify(options.directory)->first_break->kind == BreakKind::key_changed);
}

TEST_CASE("any record is proved to stand in the store, by its proof alone") {
  const TempDir folder;
  const StoreOptions options = options_in(folder);
  Store store = open(options);
  REQUIRE(store.append(alerts(1, 600)));
  const std::string fingerprint = store.status().fingerprint;
  const Reader reader = Reader::open(options.directory).value();
  CHECK(reader.prover()->prove(3).error().code == ErrorCode::unavailable);  // not signed yet
  REQUIRE(store.checkpoint());
  const Prover prover = reader.prover().value();
  for (const std::uint64_t n : {1U, 2U, 3U, 256U, 257U, 512U, 513U, 602U}) {
    const std::string json = prover.prove(n)->to_json();
    const auto good = verify_proof(json, fingerprint);
    REQUIRE(good);
    CHECK(good->pinned);
    CHECK(good->number == n);
    if (n > 2) CHECK(good->record.sequence == n - 2);
    std::string forged = json;
    const std::size_t at = forged.find("\"number\":") + 9;
    forged[at] = forged[at] == '9' ? '8' : '9';
    CHECK_FALSE(verify_proof(forged, fingerprint));
  }
  CHECK(verify_proof(prover.prove(3)->to_json(), "sha256:00").error().code == ErrorCode::corrupt);
  CHECK(prover.prove(603).error().code == ErrorCode::unavailable);
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
  for (const char* name : {"segment-000001.db", "segment-000001.db-wal", "segment-000001.db-shm",
                           "segment-000001.notes", "signing.pub", "fingerprint"}) {
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
              "DROP TRIGGER pending_update; UPDATE pending SET bytes = "
              "CAST(replace(bytes, '${jndi', '$(jndi') AS BLOB) WHERE n = 58; " +
                  std::string("CREATE TRIGGER pending_update BEFORE UPDATE ON pending BEGIN "
                              "SELECT RAISE(ABORT, 'audit records are never changed'); "
                              "END"))
              .empty());
    CHECK(why_not(options).find("record 58") != std::string::npos);
  }
  SECTION("a trigger taken away") {
    sql(options, "DROP TRIGGER block_delete");
    CHECK(why_not(options).find("block_delete") != std::string::npos);
  }
  SECTION("a table put in") {
    sql(options, "CREATE TABLE other(x)");
    CHECK(why_not(options).find("other") != std::string::npos);
  }
  SECTION("an older database under the newer log") {
    std::filesystem::remove(paths.segment(1).string() + "-wal");
    std::filesystem::remove(paths.segment(1).string() + "-shm");
    std::filesystem::remove(paths.segment(1));
    CHECK(why_not(options).find("missing or empty") != std::string::npos);
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
    const std::string log = read_file(paths.notes(1)).value();
    std::ofstream(paths.notes(1)) << log.substr(0, log.size() - 100);
    Store store = open(options);
    REQUIRE(store.close());
    require_intact(options);
    CHECK(read_file(paths.notes(1))->starts_with(log));
    std::ofstream(paths.notes(1), std::ios::app) << "hello";
    CHECK(why_not(options).find("no checkpoint") != std::string::npos);
  }
  SECTION("a log that lost many notes is mended, and that is recorded") {
    std::ofstream(paths.notes(1)) << "";
    Store store = open(options);
    REQUIRE(store.close());
    Filter filter;
    filter.action = "log.restore";
    CHECK(count(options, filter) == 1);
  }
}

TEST_CASE("every failed write leaves a store that verifies and keeps what it acknowledged") {
  // A disk that is full stays so; one that fails once may work again.
  const bool persistent = GENERATE(false, true);
  const int error = persistent ? SQLITE_FULL : SQLITE_IOERR_WRITE;
  constexpr std::uint64_t batches = 3;
  constexpr std::uint64_t batch_records = 90;  // the third one completes a block
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
      if (!vfs.refuse()) return ::fcntl(fd, F_GETFD) < 0 ? -1 : 0;
      errno = EIO;
      return -1;
    };
    std::uint64_t acknowledged = 0;
    vfs.fail_at(n, error, persistent);
    {
      auto store = Store::open(options);
      for (std::uint64_t batch = 0; store && batch < batches; ++batch) {
        if (store->append(alerts(1 + batch_records * batch, batch_records))) {
          acknowledged += batch_records;
        } else {
          // The disk works again: the same batch once more.
          vfs.fail_at(0, SQLITE_OK);
          const auto again = store->append(alerts(1 + batch_records * batch, batch_records));
          if (!again) FAIL(again.error().text.en);
          acknowledged += batch_records;
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
    if (!failed && acknowledged == batches * batch_records) break;
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
  CHECK(store.append(std::span<const Record>())->empty());
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
    const auto note = [](const std::string& text) {
      return std::get<Proof>(parse_evidence(text).value()).checkpoint.text;
    };
    for (std::size_t i = 0; i < evidence.size(); i += 3) {
      std::string other = evidence;
      other[i] = static_cast<char>(other[i] ^ 2);
      // Fields for people ("origin", "profile", "fingerprint") are repeated in the note.
      if (verify_evidence(file, other, fingerprint)) CHECK(note(other) == note(evidence));
    }
  }
  SECTION("no evidence at all") {
    for (const std::string bad : {"", "{}", "[]", "null", "{\"format\":\"menshen-proof/1\"}"}) {
      CHECK(verify_evidence(file, bad).error().code == ErrorCode::invalid);
    }
  }
}
