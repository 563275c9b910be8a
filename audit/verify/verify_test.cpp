#include "audit/verify/verify.hpp"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "audit/store/block.hpp"
#include "audit/store/query.hpp"
#include "audit/store/segment.hpp"
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

// 4 checkpoints: of 2 records (key, start), of 202, of 402, and at the close of 603: two whole
// blocks and 91 records behind them.
constexpr std::uint64_t records_of_sample = 603;
constexpr std::uint64_t one_segment = 4U << 20U;

struct Sample {
  TempDir folder;
  StoreOptions options;
  StorePaths paths;

  explicit Sample(std::uint64_t segment_records_max = one_segment) {
    FakeClock clock;
    options.directory = folder / "store";
    options.origin = "test";
    options.profile = Profile::intl;
    options.clock = &clock;
    options.index = false;
    options.segment_records_max = segment_records_max;
    paths = StorePaths::in(options.directory);
    auto store = Store::open(options);
    REQUIRE(store);
    for (std::uint64_t i = 0; i < 3; ++i) {
      clock.advance(10s);
      std::vector<Record> records;
      for (std::uint64_t k = 1; k <= 200; ++k) records.push_back(sample_alert(200 * i + k));
      REQUIRE(store->append(records));
      if (i < 2) REQUIRE(store->checkpoint());
    }
    REQUIRE(store->close());
    options.clock = nullptr;
  }

  // As an attacker who owns the file: triggers away, change, triggers back.
  void attack(const std::string& text, std::uint64_t segment = 1) const {
    sqlite3* db = nullptr;
    REQUIRE(sqlite3_open(paths.segment(segment).c_str(), &db) == SQLITE_OK);
    std::vector<std::string> triggers;
    std::vector<std::string> names;
    const auto keep = [](void* out, int, char** columns, char**) {
      static_cast<std::vector<std::string>*>(out)->emplace_back(columns[0]);
      return 0;
    };
    sqlite3_exec(db, "SELECT sql FROM sqlite_schema WHERE type = 'trigger'", keep, &triggers,
                 nullptr);
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

  enum class Tags : std::uint8_t { kept, anew };
  // Puts a block made of other records in the place of the one that begins with `first`.
  void rewrite(std::uint64_t first, Tags tags,
               const std::function<void(std::vector<std::string>&)>& change) const {
    std::string data;
    {
      auto segment = Segment::open(paths.segment(1), Database::Mode::read).value();
      const Block block = segment.block(first).value();
      auto hasher = TreeHasher::make(Profile::intl).value();
      std::vector<std::string> records;
      std::vector<Digest> leaves;
      for (const Bytes bytes : block.records) {
        records.emplace_back(as_text(bytes));
        leaves.push_back(hasher.leaf(bytes));
      }
      change(records);
      std::vector<Bytes> views;
      if (tags == Tags::anew) leaves.clear();
      for (const std::string& record : records) {
        views.push_back(as_bytes(record));
        if (tags == Tags::anew) leaves.push_back(hasher.leaf(as_bytes(record)));
      }
      data = encode_block(views, leaves).value();
    }
    attack("UPDATE block SET data = X'" + to_hex(as_bytes(data)) +
           "' WHERE first = " + std::to_string(first));
  }
  static void edit(std::string& record) { record[record.find("203.0.113.9") + 10] = '8'; }

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
  [[nodiscard]] VerifyOptions with_last_note() const {
    VerifyOptions kept;
    kept.expect_at_least = Reader::open(options.directory)->last_checkpoint().value()->text;
    return kept;
  }
};

}  // namespace

TEST_CASE("an untouched store is intact") {
  const Sample sample(GENERATE(one_segment, 256));
  const auto report = sample.report();
  if (report.first_break) FAIL(report.first_break->text.en);
  CHECK(report.intact);
  CHECK(report.records == records_of_sample);
  CHECK(report.records_signed == records_of_sample);
  CHECK_FALSE(report.pinned);
  CHECK(report.sequence_gaps == 0);

  VerifyOptions pinned;
  pinned.fingerprint = report.fingerprint;
  pinned.threads = 3;
  CHECK(sample.report(pinned).intact);
  const auto json = nlohmann::json::parse(to_json(report, Lang::en));
  CHECK(json["intact"] == true);
  CHECK(json["first_break"].is_null());
}

TEST_CASE("each kind of change to records is found, with its place") {
  const Sample sample;
  using Tags = Sample::Tags;
  SECTION("a record's bytes in a block") {
    sample.rewrite(1, Tags::kept, [](auto& records) { Sample::edit(records[49]); });
    const Break found = sample.first_break();
    CHECK(found.kind == BreakKind::edited);
    CHECK(found.record == 50);
    CHECK(found.record_last == 50);
    CHECK(found.time == sample_alert(48).time);
    const auto json = nlohmann::json::parse(to_json(sample.report(), Lang::zh));
    CHECK(json["first_break"]["kind"] == "edited");
    CHECK(json["first_break"]["record"] == 50);
  }
  SECTION("a block made anew contradicts the tree") {
    sample.rewrite(257, Tags::anew, [](auto& records) { Sample::edit(records[0]); });
    const Break found = sample.first_break();
    CHECK(found.kind == BreakKind::rewritten);
    CHECK(found.record == 203);  // between two checkpoints
    CHECK(found.record_last == 402);
    CHECK(found.checkpoint == 3);
  }
  SECTION("the last record of all, with its leaf") {
    sample.attack(
        "UPDATE pending SET bytes = CAST(replace(bytes, 'store.stop', 'store.stay') "
        "AS BLOB) WHERE n = 603");
    const Break found = sample.first_break();
    CHECK(found.kind == BreakKind::edited);
    CHECK(found.record == 603);
  }
  SECTION("a pending record and its leaf: the checkpoint signed another") {
    std::string bytes;
    {
      auto segment = Segment::open(sample.paths.segment(1), Database::Mode::read).value();
      bytes = segment.record(550).value();
    }
    Sample::edit(bytes);
    auto hasher = TreeHasher::make(Profile::intl).value();
    sample.attack("UPDATE pending SET bytes = X'" + to_hex(as_bytes(bytes)) + "', leaf = X'" +
                  to_hex(hasher.leaf(as_bytes(bytes))) + "' WHERE n = 550");
    const Break found = sample.first_break();
    CHECK(found.kind == BreakKind::rewritten);
    CHECK(found.record == 403);
    CHECK(found.record_last == 603);
    CHECK(found.checkpoint == 4);
  }
  SECTION("two exchanged in a block") {
    sample.rewrite(1, Tags::kept, [](auto& records) { std::swap(records[49], records[50]); });
    const Break found = sample.first_break();
    CHECK(found.kind == BreakKind::reordered);
    CHECK(found.record == 50);
    CHECK(found.record_last == 51);
  }
  SECTION("one left out of a block") {
    sample.rewrite(1, Tags::anew, [](auto& records) { records.erase(records.begin() + 49); });
    const Break found = sample.first_break();
    CHECK(found.kind == BreakKind::deleted);
    CHECK(found.record == 1);
    CHECK(found.record_last == 256);
  }
  SECTION("a whole block deleted") {
    sample.attack("DELETE FROM block WHERE first = 1");
    const Break found = sample.first_break();
    CHECK(found.kind == BreakKind::deleted);
    CHECK(found.record == 1);
    CHECK(found.record_last == 256);
  }
  SECTION("deleted behind the blocks") {
    sample.attack("DELETE FROM pending WHERE n BETWEEN 550 AND 552");
    const Break found = sample.first_break();
    CHECK(found.kind == BreakKind::deleted);
    CHECK(found.record == 550);
    CHECK(found.record_last == 552);
  }
  SECTION("a record put in under an old number") {
    sample.attack("INSERT INTO pending SELECT 100, bytes, leaf FROM pending WHERE n = 550");
    CHECK(sample.first_break().kind == BreakKind::inserted);
  }
  SECTION("the end cut off, checkpoint left") {
    sample.attack("DELETE FROM pending WHERE n > 580");
    const Break found = sample.first_break();
    CHECK(found.kind == BreakKind::truncated);
    CHECK(found.record == 581);
    CHECK(found.record_last == 603);
  }
  SECTION("the table of names") {
    sample.attack("UPDATE span SET n = n + 1 WHERE source = 'sensord'");
    const Break found = sample.first_break();
    CHECK(found.kind == BreakKind::edited);
    CHECK(found.record == 3);
  }
  SECTION("a node of the tree") {
    sample.attack("UPDATE node SET hash = zeroblob(32) WHERE level = 8 AND position = 1");
    CHECK(sample.first_break().kind == BreakKind::rewritten);
  }
}

TEST_CASE("each kind of change to checkpoints is found") {
  const Sample sample;
  SECTION("the end cut off with its checkpoints") {
    sample.attack("DELETE FROM pending WHERE n > 520; DELETE FROM checkpoint WHERE number > 3");
    const Break found = sample.first_break();
    CHECK(found.kind == BreakKind::truncated);
    CHECK(found.record == 521);
    CHECK(found.record_last == 603);
    CHECK(found.checkpoint == 4);
  }
  SECTION("the end cut off everywhere: only a note kept elsewhere tells") {
    const VerifyOptions kept = sample.with_last_note();
    CHECK(sample.report(kept).intact);
    const std::string log = read_file(sample.paths.notes(1)).value();
    sample.attack("DELETE FROM pending WHERE n > 520; DELETE FROM checkpoint WHERE number > 3");
    std::ofstream(sample.paths.notes(1)) << log.substr(0, log.rfind("menshen-audit-checkpoint"));
    std::filesystem::remove(sample.paths.seal(1));
    CHECK(sample.report().intact);
    const Break found = sample.first_break(kept);
    CHECK(found.kind == BreakKind::truncated);
    CHECK(found.record == 521);
    CHECK(found.record_last == 603);
  }
  SECTION("the database gone") {
    std::filesystem::remove(sample.paths.segment(1));
    CHECK(sample.first_break().kind == BreakKind::truncated);
  }
  SECTION("a checkpoint's text") {
    sample.attack(
        "UPDATE checkpoint SET note = replace(note, 'size 402', 'size 401'), size = 401 "
        "WHERE number = 3");
    CHECK(sample.first_break().checkpoint == 3);
    std::filesystem::remove(sample.paths.notes(1));
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
    std::filesystem::remove(sample.paths.notes(1));
    CHECK(sample.first_break().kind == BreakKind::unsigned_records);
  }
  SECTION("signed again by another key") {
    const auto key = SigningKey::generate(Profile::intl).value();
    auto segment = Segment::open(sample.paths.segment(1), Database::Mode::read).value();
    Checkpoint c = segment.note(3).value()->checkpoint;
    c.key = key.public_key().fingerprint();
    sample.attack("UPDATE checkpoint SET note = '" + sign_note(c, key).value().text +
                  "' WHERE number = 3");
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
  SECTION("the notes file says otherwise") {
    std::string log = read_file(sample.paths.notes(1)).value();
    log.replace(log.find("size 402"), 8, "size 403");
    std::ofstream(sample.paths.notes(1)) << log;
    const Break found = sample.first_break();
    CHECK(found.kind == BreakKind::checkpoint_chain);
    CHECK(found.checkpoint == 3);
  }
  SECTION("a shorter notes file is a warning: the database has it all") {
    const std::string log = read_file(sample.paths.notes(1)).value();
    std::ofstream(sample.paths.notes(1)) << log.substr(0, log.size() - 10);
    const auto report = sample.report();
    CHECK(report.intact);
    CHECK(report.warnings.size() == 3);  // note 4 lacks, half of it is there, no fingerprint
  }
  SECTION("a trigger removed") {
    sqlite3* db = nullptr;
    sqlite3_open(sample.paths.segment(1).c_str(), &db);
    sqlite3_exec(db, "DROP TRIGGER block_delete", nullptr, nullptr, nullptr);
    sqlite3_close(db);
    CHECK(sample.first_break().kind == BreakKind::damaged);
  }
}

TEST_CASE("segments stand one behind the other, and none can be taken away") {
  const Sample sample(256);
  REQUIRE(sample.paths.segments() == std::vector<std::uint64_t>{1, 2, 3});
  SECTION("the middle one gone") {
    std::filesystem::remove(sample.paths.segment(2));
    const Break found = sample.first_break();
    CHECK(found.kind == BreakKind::deleted);
    CHECK(found.record == 257);
    CHECK(found.record_last == 512);
  }
  SECTION("the first one gone, and nobody pruned it") {
    std::filesystem::remove(sample.paths.segment(1));
    const Break found = sample.first_break();
    CHECK(found.kind == BreakKind::deleted);
    CHECK(found.record == 1);
    CHECK(found.record_last == 256);
  }
  SECTION("the last one gone: a note kept elsewhere tells") {
    const VerifyOptions kept = sample.with_last_note();
    std::filesystem::remove(sample.paths.segment(3));
    const Break found = sample.first_break(kept);
    CHECK(found.kind == BreakKind::truncated);
    CHECK(found.record == 513);
  }
  SECTION("two exchanged") {
    std::filesystem::rename(sample.paths.segment(1), sample.folder / "x");
    std::filesystem::rename(sample.paths.segment(2), sample.paths.segment(1));
    std::filesystem::rename(sample.folder / "x", sample.paths.segment(2));
    CHECK_FALSE(sample.report().intact);
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
  options.segment_records_max = 256;
  auto store = Store::open(options);
  REQUIRE(store);
  for (std::uint64_t i = 0; i < 10; ++i) {
    std::vector<Record> records;
    for (std::uint64_t k = 1; k <= 97; ++k) records.push_back(sample_alert(97 * i + k));
    REQUIRE(store->append(records));
    if (i % 3 == 0) REQUIRE(store->tend());
    if (i % 3 == 1) REQUIRE(store->checkpoint());
    const auto report = verify(options.directory);
    REQUIRE(report);
    if (report->first_break) FAIL(report->first_break->text.en);
    CHECK(report->records == 2 + 97 * (i + 1));
  }
}

TEST_CASE("every flipped bit of a closed store is found") {
  const bool seal = GENERATE(false, true);
  const Sample sample;
  const auto file = seal ? sample.paths.seal(1) : sample.paths.segment(1);
  const std::string original = read_file(file).value();
  const unsigned seed = Catch::rngSeed() != 0 ? Catch::rngSeed() : 20'261'123;
  std::mt19937_64 random(seed);
  for (int i = 0; i < 120; ++i) {
    const std::size_t at = random() % original.size();
    const unsigned bit = random() % 8;
    INFO("seed " << seed << " " << file << " byte " << at << " bit " << bit);
    const UniqueFd fd(::open(file.c_str(), O_RDWR | O_CLOEXEC));
    const char flipped = static_cast<char>(original[at] ^ (1 << bit));
    REQUIRE(::pwrite(fd.get(), &flipped, 1, static_cast<off_t>(at)) == 1);
    const auto report = verify(sample.options.directory);
    REQUIRE(report);
    CHECK_FALSE(report->intact);
    REQUIRE(::pwrite(fd.get(), &original[at], 1, static_cast<off_t>(at)) == 1);
  }
  CHECK(sample.report().intact);
}
