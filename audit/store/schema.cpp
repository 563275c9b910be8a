#include "audit/store/schema.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

namespace menshen::audit {
namespace {

constexpr std::int64_t application_id = 0x4d534155;  // "MSAU"

struct Item {
  std::string_view name;
  std::string_view sql;
};

// The texts are compared with the database's own, so their spelling is part of the format.
// The insert trigger also stops INSERT OR REPLACE, which deletes without asking the delete trigger.
constexpr std::array<Item, 14> items{{
    {"meta", "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID"},
    {"record",
     "CREATE TABLE record(n INTEGER PRIMARY KEY, source TEXT NOT NULL, epoch INTEGER NOT NULL, "
     "sequence INTEGER NOT NULL, time INTEGER NOT NULL, kind INTEGER NOT NULL, "
     "severity INTEGER NOT NULL, bytes BLOB NOT NULL, head BLOB NOT NULL) STRICT"},
    {"checkpoint",
     "CREATE TABLE checkpoint(number INTEGER PRIMARY KEY, size INTEGER NOT NULL, "
     "note TEXT NOT NULL) STRICT"},
    {"record_name", "CREATE UNIQUE INDEX record_name ON record(source, epoch, sequence)"},
    {"record_time", "CREATE INDEX record_time ON record(time)"},
    {"record_grave", "CREATE INDEX record_grave ON record(time) WHERE severity >= 3"},
    {"record_acts", "CREATE INDEX record_acts ON record(time) WHERE kind >= 5"},
    {"record_append",
     "CREATE TRIGGER record_append BEFORE INSERT ON record BEGIN "
     "SELECT RAISE(ABORT, 'records are numbered without gaps') "
     "WHERE NEW.n IS NOT (SELECT COALESCE(MAX(n), 0) + 1 FROM record); "
     "SELECT RAISE(IGNORE) WHERE EXISTS (SELECT 1 FROM record WHERE source = NEW.source "
     "AND epoch = NEW.epoch AND sequence = NEW.sequence); END"},
    {"record_update",
     "CREATE TRIGGER record_update BEFORE UPDATE ON record BEGIN "
     "SELECT RAISE(ABORT, 'audit records are never changed'); END"},
    {"record_delete",
     "CREATE TRIGGER record_delete BEFORE DELETE ON record BEGIN "
     "SELECT RAISE(ABORT, 'audit records are never deleted'); END"},
    {"checkpoint_append",
     "CREATE TRIGGER checkpoint_append BEFORE INSERT ON checkpoint BEGIN "
     "SELECT RAISE(ABORT, 'checkpoints are numbered without gaps') "
     "WHERE NEW.number IS NOT (SELECT COALESCE(MAX(number), 0) + 1 FROM checkpoint); END"},
    {"checkpoint_update",
     "CREATE TRIGGER checkpoint_update BEFORE UPDATE ON checkpoint BEGIN "
     "SELECT RAISE(ABORT, 'checkpoints are never changed'); END"},
    {"checkpoint_delete",
     "CREATE TRIGGER checkpoint_delete BEFORE DELETE ON checkpoint BEGIN "
     "SELECT RAISE(ABORT, 'checkpoints are never deleted'); END"},
    {"meta_update",
     "CREATE TRIGGER meta_update BEFORE UPDATE ON meta BEGIN "
     "SELECT RAISE(ABORT, 'the store keeps its name and profile'); END"},
}};

tl::unexpected<Error> fail_schema(std::string_view item) {
  return fail(ErrorCode::corrupt,
              {fmt::format("审计库结构被改动：{}", item),
               fmt::format("the structure of the audit store was changed: {}", item)});
}

Result<std::int64_t> pragma(const Database& database, std::string_view sql) {
  Statement statement = MENSHEN_TRY(database.prepare(sql));
  static_cast<void>(MENSHEN_TRY(statement.step()));
  return statement.integer(0);
}

}  // namespace

Result<void> create_schema(const Database& database, std::string_view origin, Profile profile) {
  MENSHEN_CHECK(database.execute("BEGIN IMMEDIATE"));
  for (const Item& item : items) MENSHEN_CHECK(database.execute(item.sql));
  Statement insert = MENSHEN_TRY(database.prepare("INSERT INTO meta VALUES (?1, ?2)"));
  MENSHEN_CHECK(insert.bind(1, std::string_view("origin")).bind(2, origin).run());
  MENSHEN_CHECK(insert.bind(1, std::string_view("profile")).bind(2, name(profile)).run());
  MENSHEN_CHECK(
      database.execute(fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}; COMMIT",
                                   application_id, store_format)));
  return {};
}

Result<void> check_schema(const Database& database) {
  if (MENSHEN_TRY(pragma(database, "PRAGMA application_id")) != application_id) {
    return fail(ErrorCode::corrupt, {"不是审计库文件", "this is no audit store"});
  }
  if (const auto format = MENSHEN_TRY(pragma(database, "PRAGMA user_version"));
      format != store_format) {
    return fail(ErrorCode::invalid,
                {fmt::format("不支持审计库格式版本 {}", format),
                 fmt::format("format version {} of the audit store is not supported", format)});
  }
  std::map<std::string, std::string, std::less<>> found;
  Statement list = MENSHEN_TRY(
      database.prepare("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL LIMIT 100"));
  while (MENSHEN_TRY(list.step())) found.emplace(list.text(0), list.text(1));
  for (const Item& item : items) {
    const auto at = found.find(item.name);
    if (at == found.end() || at->second != item.sql) return fail_schema(item.name);
    found.erase(at);
  }
  if (!found.empty()) return fail_schema(found.begin()->first);
  return {};
}

Result<Chain> Chain::make(Profile profile) { return Chain(MENSHEN_TRY(Hasher::make(profile))); }

Digest Chain::first(std::string_view origin) {
  using namespace std::string_view_literals;
  hasher_.update(as_bytes("menshen-audit-origin/1\0"sv));
  hasher_.update(as_bytes(origin));
  return hasher_.finish();
}

Digest Chain::next(const Digest& head, Bytes record) {
  using namespace std::string_view_literals;
  // One update for the fixed part: each call costs as much as a short record.
  constexpr std::string_view tag = "menshen-audit-chain/1\0"sv;
  std::array<std::byte, tag.size() + 32 + 4> prefix{};
  auto out = std::ranges::copy(as_bytes(tag), prefix.begin()).out;
  out = std::ranges::copy(head, out).out;
  for (int shift = 24; shift >= 0; shift -= 8) {
    *out++ = static_cast<std::byte>(record.size() >> shift & 0xffU);
  }
  hasher_.update(prefix);
  hasher_.update(record);
  return hasher_.finish();
}

Digest Chain::of_note(std::string_view text) {
  hasher_.update(as_bytes(text));
  return hasher_.finish();
}

}  // namespace menshen::audit
