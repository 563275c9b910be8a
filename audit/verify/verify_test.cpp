#include "audit/verify/verify.hpp"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "audit/store/query.hpp"
#include "audit/store/schema.hpp"
#include "audit/store/store.hpp"
#include "audit/testing/samples.hpp"
#include "base/file.hpp"
#include "tests/testkit/fake_clock.hpp"
#include "tests/testkit/temp_dir.hpp"

using namespace menshen;
using namespace menshen::audit;
using namespace std::chrono_literals;
using testkit::FakeClock;
using testkit::TempDir;

namespace {

// 4 checkpoints: of 2 records (key, start), of 32, of 62, and at the close of 93.
constexpr std::uint64_t records_of_sample = 93;

struct Sample {
  TempDir folder;
  StoreOptions options;
  StorePaths paths;

  Sample() {
    FakeClock clock;
    options.directory = folder / "store";
    options.origin = "test";
    options.profile = Profile::intl;
    options.clock = &clock;
    paths = StorePaths::in(options.directory);
    auto store = Store::open(options);
    REQUIRE(store);
    for (std::uint64_t i = 0; i < 3; ++i) {
      clock.advance(10s);
      std::vector<Record> records;
      for (std::uint64_t k = 1; k <= 30; ++k) records.push_back(sample_alert(30 * i + k));
      REQUIRE(store->append(records));
      if (i < 2) REQUIRE(store->checkpoint());
    }
    REQUIRE(store->close());
    options.clock = nullptr;
  }

  // As an attacker who owns the file: triggers away, change, triggers back.
  void attack(const std::string& text) const {
    sqlite3* db = nullptr;
    REQUIRE(sqlite3_open(paths.database.c_str(), &db) == SQLITE_OK);
    std::vector<std::string> triggers;
    const auto keep = [](void* out, int, char** columns, char**) {
      static_cast<std::vector<std::string>*>(out)->emplace_back(columns[0]);
      return 0;
    };
    sqlite3_exec(db, "SELECT sql FROM sqlite_schema WHERE type = 'trigger'", keep, &triggers,
                 nullptr);
    std::vector<std::string> names;
    sqlite3_exec(db, "SELECT name FROM sqlite_schema WHERE type = 'trigger'", keep, &names,
                 nullptr);
    for (const std::string& name : names) {
      sqlite3_exec(db, ("DROP TRIGGER " + name).c_str(), nullptr, nullptr, nullptr);
    }
    char* error = nullptr;
    sqlite3_exec(db, text.c_str(), nullptr, nullptr, &error);
    const std::string message = error != nullptr ? error : "";
    sqlite3_free(error);
    for (const std::string& trigger : triggers) {
      sqlite3_exec(db, trigger.c_str(), nullptr, nullptr, nullptr);
    }
    sqlite3_close(db);
    REQUIRE(message.empty());
  }

  // Makes the chain anew from record n on, as an attacker does who knows how it is made.
  void rehash(std::uint64_t n) const {
    sqlite3* raw = nullptr;
    REQUIRE(sqlite3_open(paths.database.c_str(), &raw) == SQLITE_OK);
    sqlite3_close(raw);
    auto chain = Chain::make(Profile::intl).value();
    Digest head{};
    std::vector<std::string> heads;
    {
      const auto db = Database::open(paths.database, Database::Mode::read).value();
      auto rows = db.prepare("SELECT n, bytes, head FROM record WHERE n >= ?1 ORDER BY n").value();
      rows.bind(1, static_cast<std::int64_t>(n - 1));
      while (rows.step().value()) {
        if (static_cast<std::uint64_t>(rows.integer(0)) < n) {
          std::ranges::copy(rows.blob(2), head.begin());
          continue;
        }
        head = chain.next(head, rows.blob(1));
        heads.push_back(to_hex(head));
      }
    }
    std::string sql;
    for (std::size_t i = 0; i < heads.size(); ++i) {
      sql +=
          "UPDATE record SET head = X'" + heads[i] + "' WHERE n = " + std::to_string(n + i) + ";";
    }
    attack(sql);
  }

  [[nodiscard]] VerifyReport report(const VerifyOptions& verify_options = {}) const {
    auto result = verify(options.directory, verify_options);
    if (!result) FAIL(result.error().text.en);
    return *std::move(result);
  }
  [[nodiscard]] Break first_break(const VerifyOptions& verify_options = {}) const {
    const auto found = report(verify_options);
    CHECK_FALSE(found.intact);
    REQUIRE(found.first_break);
    CHECK_FALSE(found.first_break->text.zh.empty());
    INFO(found.first_break->text.en);
    return *found.first_break;
  }
};

const std::string edit_50 =
    "UPDATE record SET bytes = CAST(replace(bytes, '203.0.113.9', '203.0.113.8') AS BLOB) "
    "WHERE n = 50;";
// Row a's content into row b and the other way round, under names that do not collide.
const std::string swap_50_51 =
    "UPDATE record SET n = 1000 WHERE n = 50; UPDATE record SET n = 50 WHERE n = 51; "
    "UPDATE record SET n = 51 WHERE n = 1000;";
std::string close_gap(int n) {
  std::string sql;
  for (int i = n; i <= 93; ++i) {
    sql +=
        "UPDATE record SET n = " + std::to_string(i) + " WHERE n = " + std::to_string(i + 1) + ";";
  }
  return sql;
}

}  // namespace

TEST_CASE("an untouched store is intact") {
  const Sample sample;
  const auto report = sample.report();
  CHECK(report.intact);
  CHECK(report.records == records_of_sample);
  CHECK(report.records_signed == records_of_sample);
  CHECK(report.checkpoints == 4);
  CHECK_FALSE(report.pinned);
  CHECK(report.warnings.size() == 1);  // that no fingerprint was given
  CHECK(report.sequence_gaps == 0);

  VerifyOptions pinned;
  pinned.fingerprint = report.fingerprint;
  CHECK(sample.report(pinned).warnings.empty());
  const auto json = nlohmann::json::parse(to_json(report, Lang::en));
  CHECK(json["intact"] == true);
  CHECK(json["first_break"].is_null());
}

TEST_CASE("each kind of forgery is found, with its place") {
  const Sample sample;
  SECTION("a record's bytes") {
    sample.attack(edit_50);
    const Break found = sample.first_break();
    CHECK(found.kind == BreakKind::edited);
    CHECK(found.record == 50);
    CHECK(found.record_last == 50);
    CHECK(found.time == sample_alert(48).time);
    const auto json = nlohmann::json::parse(to_json(sample.report(), Lang::zh));
    CHECK(json["first_break"]["kind"] == "edited");
    CHECK(json["first_break"]["record"] == 50);
  }
  SECTION("a record behind the last checkpoint but one") {
    sample.attack(
        "UPDATE record SET bytes = CAST(replace(bytes, '203.0.113.9', '203.0.113.8') "
        "AS BLOB) WHERE n = 92");
    CHECK(sample.first_break().record == 92);
  }
  SECTION("a record's bytes and its head") {
    sample.attack(edit_50 + "UPDATE record SET head = zeroblob(32) WHERE n = 50;");
    const Break found = sample.first_break();
    CHECK(found.kind == BreakKind::edited);
    CHECK(found.record == 50);
  }
  SECTION("the columns only") {
    sample.attack("UPDATE record SET severity = 0 WHERE n = 50");
    const Break found = sample.first_break();
    CHECK(found.kind == BreakKind::edited);
    CHECK(found.record == 50);
  }
  SECTION("rewritten from a record on, heads and all") {
    sample.attack(edit_50);
    sample.rehash(50);
    const Break found = sample.first_break();
    CHECK(found.kind == BreakKind::rewritten);
    CHECK(found.record == 33);  // since the last checkpoint that still holds
    CHECK(found.record_last == 62);
    CHECK(found.checkpoint == 3);
  }
  SECTION("deleted in the middle") {
    sample.attack("DELETE FROM record WHERE n BETWEEN 50 AND 52");
    const Break found = sample.first_break();
    CHECK(found.kind == BreakKind::deleted);
    CHECK(found.record == 50);
    CHECK(found.record_last == 52);
  }
  SECTION("deleted in the middle and the numbers closed") {
    sample.attack("DELETE FROM record WHERE n = 50;" + close_gap(50));
    const Break found = sample.first_break();
    CHECK(found.kind == BreakKind::deleted);
    CHECK(found.record == 50);
    CHECK(found.record_last == 50);
  }
  SECTION("inserted, and the numbers moved") {
    std::string sql;
    for (int i = 93; i >= 50; --i) {
      sql += "UPDATE record SET n = " + std::to_string(i + 1) + " WHERE n = " + std::to_string(i) +
             ";";
    }
    sample.attack(sql +
                  "INSERT INTO record SELECT 50, source, epoch, 999, time, kind, severity, "
                  "bytes, head FROM record WHERE n = 49");
    const Break found = sample.first_break();
    CHECK(found.kind == BreakKind::inserted);
    CHECK(found.record == 50);
  }
  SECTION("two exchanged") {
    sample.attack(swap_50_51);
    const Break found = sample.first_break();
    CHECK(found.kind == BreakKind::reordered);
    CHECK(found.record == 50);
    CHECK(found.record_last == 51);
  }
  SECTION("the end cut off, checkpoint left") {
    sample.attack("DELETE FROM record WHERE n > 80");
    const Break found = sample.first_break();
    CHECK(found.kind == BreakKind::truncated);
    CHECK(found.record == 81);
    CHECK(found.record_last == 93);
  }
  SECTION("the end cut off with its checkpoints") {
    sample.attack("DELETE FROM record WHERE n > 62; DELETE FROM checkpoint WHERE number > 3");
    const Break found = sample.first_break();
    CHECK(found.kind == BreakKind::truncated);
    CHECK(found.record == 63);
    CHECK(found.record_last == 93);
    CHECK(found.checkpoint == 4);
  }
  SECTION("the end cut off everywhere: only a note kept elsewhere tells") {
    const std::string log = read_file(sample.paths.checkpoints_log).value();
    const std::size_t last = log.rfind("menshen-audit-checkpoint/1");
    VerifyOptions kept;
    kept.expect_at_least = log.substr(last, log.size() - last - 1);
    CHECK(sample.report(kept).intact);
    sample.attack("DELETE FROM record WHERE n > 62; DELETE FROM checkpoint WHERE number > 3");
    std::ofstream(sample.paths.checkpoints_log) << log.substr(0, last);
    CHECK(sample.report().intact);
    const Break found = sample.first_break(kept);
    CHECK(found.kind == BreakKind::truncated);
    CHECK(found.record == 63);
    CHECK(found.record_last == 93);
  }
  SECTION("the database gone") {
    std::filesystem::remove(sample.paths.database);
    CHECK(sample.first_break().kind == BreakKind::truncated);
  }
  SECTION("a checkpoint's text") {
    sample.attack(
        "UPDATE checkpoint SET note = replace(note, 'size 62', 'size 61'), size = 61 "
        "WHERE number = 3");
    const Break found = sample.first_break();
    CHECK(found.kind == BreakKind::signature);
    CHECK(found.checkpoint == 3);
  }
  SECTION("a checkpoint deleted") {
    sample.attack("DELETE FROM checkpoint WHERE number = 2");
    const Break found = sample.first_break();
    CHECK(found.kind == BreakKind::checkpoint_chain);
    CHECK(found.checkpoint == 3);
  }
  SECTION("all checkpoints deleted, log too") {
    sample.attack("DELETE FROM checkpoint");
    std::filesystem::remove(sample.paths.checkpoints_log);
    CHECK(sample.first_break().kind == BreakKind::unsigned_records);
  }
  SECTION("signed again by another key") {
    const auto key = SigningKey::generate(Profile::intl).value();
    const auto db = Database::open(sample.paths.database, Database::Mode::read).value();
    auto select = db.prepare("SELECT note FROM checkpoint WHERE number = 3").value();
    REQUIRE(select.step().value());
    Checkpoint c = parse_note(select.text(0)).value().checkpoint;
    select.reset();
    c.key = key.public_key().fingerprint();
    const std::string note = sign_note(c, key).value().text;
    sample.attack("UPDATE checkpoint SET note = '" + note + "' WHERE number = 3");
    const Break found = sample.first_break();
    CHECK(found.kind == BreakKind::key_changed);
    CHECK(found.checkpoint == 3);
  }
  SECTION("everything made anew with another key: only the pinned fingerprint tells") {
    VerifyOptions pinned;
    pinned.fingerprint = sample.report().fingerprint;
    std::filesystem::remove_all(sample.options.directory);
    auto store = Store::open(sample.options);
    REQUIRE(store);
    REQUIRE(store->close());
    CHECK(sample.report().intact);
    CHECK(sample.first_break(pinned).kind == BreakKind::key_changed);
  }
  SECTION("the log says otherwise") {
    std::string log = read_file(sample.paths.checkpoints_log).value();
    log.replace(log.find("size 62"), 7, "size 63");
    std::ofstream(sample.paths.checkpoints_log) << log;
    const Break found = sample.first_break();
    CHECK(found.kind == BreakKind::checkpoint_chain);
    CHECK(found.checkpoint == 3);
  }
  SECTION("a shorter log is a warning: the database has it all") {
    const std::string log = read_file(sample.paths.checkpoints_log).value();
    std::ofstream(sample.paths.checkpoints_log) << log.substr(0, log.size() - 10);
    const auto report = sample.report();
    CHECK(report.intact);
    CHECK(report.warnings.size() == 3);  // note 4 lacks, half of it is there, no fingerprint
  }
  SECTION("a trigger removed") {
    sqlite3* db = nullptr;
    sqlite3_open(sample.paths.database.c_str(), &db);
    sqlite3_exec(db, "DROP TRIGGER record_delete", nullptr, nullptr, nullptr);
    sqlite3_close(db);
    CHECK(sample.first_break().kind == BreakKind::damaged);
  }
}

TEST_CASE("what cannot be verified is an error, not a verdict") {
  const TempDir folder;
  CHECK(verify(folder / "none").error().code == ErrorCode::not_found);
  const Sample sample;
  VerifyOptions options;
  options.expect_at_least = "not a note";
  CHECK(verify(sample.options.directory, options).error().code == ErrorCode::invalid);
}

TEST_CASE("a store can be verified while it is written") {
  const TempDir folder;
  StoreOptions options;
  options.directory = folder / "store";
  options.profile = Profile::intl;
  auto store = Store::open(options);
  REQUIRE(store);
  for (std::uint64_t i = 1; i <= 20; ++i) {
    const Record record = sample_alert(i);
    REQUIRE(store->append(std::span(&record, 1)));
    if (i % 3 == 0) REQUIRE(store->checkpoint());
    const auto report = verify(options.directory);
    REQUIRE(report);
    CHECK(report->intact);
    CHECK(report->records == 2 + i);
  }
}

// Every bit flip is either found, or lies in bytes that mean nothing: then every record and
// checkpoint still reads as it was written.
TEST_CASE("bit flips anywhere in the database are found or mean nothing") {
  const Sample sample;
  const std::string original = read_file(sample.paths.database).value();
  const auto content = [&]() -> std::string {
    const auto db = Database::open(sample.paths.database, Database::Mode::read);
    std::string all;
    for (const char* sql : {"SELECT n, bytes, head FROM record ORDER BY n",
                            "SELECT number, note, '' FROM checkpoint ORDER BY number"}) {
      auto rows = db ? db->prepare(sql) : Result<Statement>(tl::make_unexpected(db.error()));
      while (rows && rows->step().value_or(false)) {
        all += std::to_string(rows->integer(0)) + "|" + std::string(as_text(rows->blob(1))) + "|" +
               std::string(as_text(rows->blob(2))) + "\n";
      }
    }
    return all;
  };
  const std::string expected = content();
  REQUIRE(expected.size() > 30'000);
  const unsigned seed = Catch::rngSeed() != 0 ? Catch::rngSeed() : 20'261'123;
  std::mt19937_64 random(seed);
  int meaningless = 0;
  constexpr int flips = 1'000;
  for (int i = 0; i < flips; ++i) {
    const std::size_t at = random() % original.size();
    const unsigned bit = random() % 8;
    INFO("seed " << seed << " byte " << at << " bit " << bit);
    const UniqueFd fd(::open(sample.paths.database.c_str(), O_RDWR | O_CLOEXEC));
    const char flipped = static_cast<char>(original[at] ^ (1 << bit));
    REQUIRE(::pwrite(fd.get(), &flipped, 1, static_cast<off_t>(at)) == 1);
    const auto report = verify(sample.options.directory);
    REQUIRE(report);
    if (report->intact) {
      ++meaningless;
      CHECK(content() == expected);
    }
    REQUIRE(::pwrite(fd.get(), &original[at], 1, static_cast<off_t>(at)) == 1);
  }
  CHECK(sample.report().intact);
  WARN(meaningless << " of " << flips << " flips lay in unused bytes");
}
