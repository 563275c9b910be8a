#include "audit/store/index.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <tuple>

#include "audit/store/upkeep.hpp"

namespace menshen::audit {
namespace {

constexpr std::int64_t index_format = 1;  // PRAGMA user_version

// `ascii` keeps every byte from 0x80 on, so what terms.cpp made one term stays one.
constexpr std::string_view tables =
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE VIRTUAL TABLE words USING fts5(terms, content='', detail=none, columnsize=0, "
    "tokenize = \"ascii tokenchars '_:.-'\");"
    "CREATE TABLE summary(first INTEGER PRIMARY KEY, time_min INTEGER NOT NULL, "
    "time_max INTEGER NOT NULL, kinds INTEGER NOT NULL, severity INTEGER NOT NULL);"
    "CREATE TABLE hour(hour INTEGER, kind INTEGER, severity INTEGER, records INTEGER NOT NULL, "
    "PRIMARY KEY(hour, kind, severity)) WITHOUT ROWID;";

WallTime hour_of(WallTime time) {
  const WallTime hour = time / hour_ns * hour_ns;
  return hour > time ? hour - hour_ns : hour;
}

Result<std::int64_t> number_of(const Database& database, std::string_view sql) {
  Statement statement = MENSHEN_TRY(database.prepare(sql));
  static_cast<void>(MENSHEN_TRY(statement.step()));
  return statement.integer(0);
}

}  // namespace

Result<Index> Index::try_open(const std::filesystem::path& path, Database::Mode mode,
                              std::uint64_t segment_first) {
  Index index(MENSHEN_TRY(Database::open(path, mode)));
  const Database& db = index.database_;
  index.segment_first_ = segment_first;
  if (mode == Database::Mode::write) {
    // Durable in order: after a power cut it is shorter, never contradictory.
    MENSHEN_CHECK(db.execute(
        "PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL"));
    if (MENSHEN_TRY(number_of(db, "SELECT COUNT(*) FROM sqlite_schema")) == 0) {
      MENSHEN_CHECK(
          db.execute(fmt::format("BEGIN; {} INSERT INTO meta VALUES ('first', {}), ('whole', 0); "
                                 "PRAGMA user_version = {}; COMMIT",
                                 tables, segment_first, index_format)));
    }
  }
  if (MENSHEN_TRY(number_of(db, "PRAGMA user_version")) != index_format ||
      MENSHEN_TRY(number_of(db, "SELECT value FROM meta WHERE key = 'first'")) !=
          static_cast<std::int64_t>(segment_first)) {
    return fail(ErrorCode::corrupt, {"检索索引不属于该分段", "the index is not this segment's"});
  }
  if (mode == Database::Mode::write) {
    index.insert_words_ =
        MENSHEN_TRY(db.prepare("INSERT INTO words(rowid, terms) VALUES (?1, ?2)"));
    index.insert_summary_ =
        MENSHEN_TRY(db.prepare("INSERT INTO summary VALUES (?1, ?2, ?3, ?4, ?5)"));
    index.insert_hour_ = MENSHEN_TRY(
        db.prepare("INSERT INTO hour VALUES (?1, ?2, ?3, ?4) ON CONFLICT(hour, kind, severity) "
                   "DO UPDATE SET records = records + excluded.records"));
  }
  return index;
}

Result<Index> Index::open(const std::filesystem::path& path, Database::Mode mode,
                          std::uint64_t segment_first, mode_t file_mode) {
  if (mode == Database::Mode::read) return try_open(path, mode, segment_first);
  MENSHEN_CHECK(make_with_mode(path, file_mode));
  auto index = try_open(path, mode, segment_first);
  if (index || index.error().code == ErrorCode::io) return index;
  std::error_code none;
  for (const char* suffix : {"", "-wal", "-shm"}) {
    std::filesystem::remove(path.string() + suffix, none);
  }
  MENSHEN_CHECK(make_with_mode(path, file_mode));
  return try_open(path, mode, segment_first);
}

Result<std::uint64_t> Index::end() const {
  const auto last = MENSHEN_TRY(number_of(database_, "SELECT MAX(first) FROM summary"));
  return last == 0 ? segment_first_ - 1 : static_cast<std::uint64_t>(last) + block_records - 1;
}

Result<bool> Index::whole() const {
  return MENSHEN_TRY(number_of(database_, "SELECT value FROM meta WHERE key = 'whole'")) != 0;
}

Result<void> Index::add(std::uint64_t first, const Block& block) {
  WallTime time_min = std::numeric_limits<WallTime>::max();
  WallTime time_max = std::numeric_limits<WallTime>::min();
  std::int64_t kinds = 0;
  std::int64_t severity = 0;
  std::map<std::tuple<WallTime, std::int64_t, std::int64_t>, std::int64_t> hours;
  for (const Bytes bytes : block.records) {
    const auto seen = view_stored(bytes);
    if (!seen) continue;  // found by verify; a search reads past it, too
    terms_.add(*seen);
    time_min = std::min(time_min, seen->time);
    time_max = std::max(time_max, seen->time);
    kinds |= std::int64_t{1} << (static_cast<unsigned>(seen->kind) % 32U);
    severity = std::max(severity, static_cast<std::int64_t>(seen->severity));
    ++hours[{hour_of(seen->time), static_cast<std::int64_t>(seen->kind),
             static_cast<std::int64_t>(seen->severity)}];
  }
  const std::string terms = terms_.take();
  const auto row = static_cast<std::int64_t>(first);
  MENSHEN_CHECK(insert_words_.bind(1, row).bind(2, std::string_view(terms)).run());
  for (const auto& [key, records] : hours) {
    MENSHEN_CHECK(insert_hour_.bind(1, std::get<0>(key))
                      .bind(2, std::get<1>(key))
                      .bind(3, std::get<2>(key))
                      .bind(4, records)
                      .run());
  }
  return insert_summary_.bind(1, row)
      .bind(2, time_min)
      .bind(3, time_max)
      .bind(4, kinds)
      .bind(5, severity)
      .run();
}

Result<void> Index::finish() {
  MENSHEN_CHECK(database_.execute(
      "INSERT INTO words(words) VALUES ('optimize'); "
      "UPDATE meta SET value = 1 WHERE key = 'whole'; PRAGMA wal_checkpoint(TRUNCATE)"));
  return {};
}

Result<void> Index::blocks(const IndexQuery& query,
                           const std::function<Result<bool>(std::uint64_t first)>& each) const {
  constexpr std::string_view condition =
      "time_max >= ?1 AND time_min < ?2 AND severity >= ?3 AND (kinds & ?4) != 0";
  Statement rows = MENSHEN_TRY(database_.prepare(
      query.match.empty()
          ? fmt::format("SELECT first FROM summary WHERE {} ORDER BY first DESC", condition)
          : fmt::format("SELECT words.rowid FROM words CROSS JOIN summary ON "
                        "summary.first = words.rowid WHERE words MATCH ?5 AND {} "
                        "ORDER BY words.rowid DESC",
                        condition)));
  rows.bind(1, query.since.value_or(std::numeric_limits<WallTime>::min()))
      .bind(2, query.until.value_or(std::numeric_limits<WallTime>::max()))
      .bind(3, static_cast<std::int64_t>(query.severity_min))
      .bind(4, std::int64_t{query.kinds});
  if (!query.match.empty()) rows.bind(5, std::string_view(query.match));
  while (MENSHEN_TRY(rows.step())) {
    if (!MENSHEN_TRY(each(static_cast<std::uint64_t>(rows.integer(0))))) return {};
  }
  return {};
}

Result<std::vector<HourCount>> Index::hours(WallTime since, WallTime until) const {
  Statement rows = MENSHEN_TRY(database_.prepare(
      "SELECT hour, kind, severity, records FROM hour WHERE hour >= ?1 AND hour < ?2"));
  rows.bind(1, hour_of(since)).bind(2, until);
  std::vector<HourCount> counts;
  while (MENSHEN_TRY(rows.step())) {
    counts.push_back({rows.integer(0), Kind{static_cast<std::uint8_t>(rows.integer(1))},
                      Severity{static_cast<std::uint8_t>(rows.integer(2))},
                      static_cast<std::uint64_t>(rows.integer(3))});
  }
  return counts;
}

}  // namespace menshen::audit
