// What protection costs: the same rows into the store, and into a bare SQLite table at the same
// batch size and the same durability.
#define CATCH_CONFIG_ENABLE_BENCHMARKING
#include <catch2/catch.hpp>

#include "audit/store/sqlite.hpp"
#include "audit/store/store.hpp"
#include "audit/testing/samples.hpp"
#include "audit/verify/verify.hpp"
#include "tests/testkit/temp_dir.hpp"

using namespace menshen;
using namespace menshen::audit;

namespace {
constexpr std::uint64_t batch_records = 4'000;

std::vector<Record> next_batch(std::uint64_t& sequence) {
  std::vector<Record> records;
  records.reserve(batch_records);
  for (std::uint64_t i = 0; i < batch_records; ++i) records.push_back(sample_alert(++sequence));
  return records;
}

// One batch a run: a second time the same records would be duplicates.
std::vector<std::vector<Record>> batches_for(const Catch::Benchmark::Chronometer& meter,
                                             std::uint64_t& sequence) {
  std::vector<std::vector<Record>> batches;
  for (int i = 0; i < meter.runs(); ++i) batches.push_back(next_batch(sequence));
  return batches;
}
}  // namespace

TEST_CASE("append") {
  for (const Profile profile : {Profile::sm, Profile::intl}) {
    const testkit::TempDir folder;
    StoreOptions options;
    options.directory = folder / "store";
    options.profile = profile;
    auto store = Store::open(options).value();
    std::uint64_t sequence = 0;
    BENCHMARK_ADVANCED("store, 4000 records, " + std::string(name(profile)))
    (Catch::Benchmark::Chronometer meter) {
      const auto batches = batches_for(meter, sequence);
      meter.measure(
          [&](int i) { return store.append(batches[static_cast<std::size_t>(i)]).has_value(); });
    };
    REQUIRE(store.close());
    const auto report = verify(options.directory).value();
    REQUIRE(report.intact);
    WARN("verify, " << name(profile) << ": "
                    << static_cast<std::uint64_t>(static_cast<double>(report.records) /
                                                  report.seconds)
                    << " records/s over " << report.records);
  }
}

TEST_CASE("bare inserts of the same rows") {
  const testkit::TempDir folder;
  const auto db = Database::open(folder / "bare.db", Database::Mode::write).value();
  REQUIRE(
      db.execute("PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; "
                 "PRAGMA synchronous = FULL; CREATE TABLE record(n INTEGER PRIMARY KEY, "
                 "source TEXT, epoch INTEGER, sequence INTEGER, time INTEGER, kind INTEGER, "
                 "severity INTEGER, bytes BLOB)"));
  auto insert = db.prepare("INSERT INTO record VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)").value();
  std::uint64_t sequence = 0;
  BENCHMARK_ADVANCED("bare SQLite, 4000 rows")(Catch::Benchmark::Chronometer meter) {
    const auto batches = batches_for(meter, sequence);
    meter.measure([&](int i) {
      bool ok = db.execute("BEGIN").has_value();
      for (const Record& record : batches[static_cast<std::size_t>(i)]) {
        const std::string bytes = encode(record).value();
        ok = insert.bind(1, static_cast<std::int64_t>(record.sequence))
                 .bind(2, std::string_view(record.source))
                 .bind(3, static_cast<std::int64_t>(record.epoch))
                 .bind(4, static_cast<std::int64_t>(record.sequence))
                 .bind(5, record.time)
                 .bind(6, static_cast<std::int64_t>(record.kind))
                 .bind(7, static_cast<std::int64_t>(record.severity))
                 .bind(8, as_bytes(bytes))
                 .run()
                 .has_value() &&
             ok;
      }
      return db.execute("COMMIT").has_value() && ok;
    });
  };
}
