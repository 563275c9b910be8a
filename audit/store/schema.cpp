#include "audit/store/schema.hpp"

#include <fmt/format.h>

#include <array>
#include <map>

#include "audit/store/block.hpp"
#include "audit/store/lines.hpp"
#include "audit/store/note.hpp"

namespace menshen::audit {
namespace {

constexpr std::int64_t application_id = 0x4d534155;  // "MSAU"

struct Item {
  std::string_view name;
  std::string_view sql;
};

// The texts are compared with the database's own, so their spelling is part of the format.
// The insert triggers also stop INSERT OR REPLACE, which deletes without asking the delete trigger.
constexpr std::array<Item, 18> items{{
    {"meta", "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID"},
    {"block", "CREATE TABLE block(first INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT"},
    {"pending",
     "CREATE TABLE pending(n INTEGER PRIMARY KEY, bytes BLOB NOT NULL, leaf BLOB NOT NULL) STRICT"},
    {"node",
     "CREATE TABLE node(level INTEGER NOT NULL, position INTEGER NOT NULL, hash BLOB NOT NULL, "
     "PRIMARY KEY(level, position)) STRICT, WITHOUT ROWID"},
    {"span",
     "CREATE TABLE span(source TEXT NOT NULL, epoch INTEGER NOT NULL, first INTEGER NOT NULL, "
     "last INTEGER NOT NULL, n INTEGER NOT NULL, PRIMARY KEY(source, epoch, first)) "
     "STRICT, WITHOUT ROWID"},
    {"checkpoint",
     "CREATE TABLE checkpoint(number INTEGER PRIMARY KEY, size INTEGER NOT NULL, "
     "note TEXT NOT NULL) STRICT"},
    {"block_append",
     "CREATE TRIGGER block_append BEFORE INSERT ON block BEGIN "
     "SELECT RAISE(ABORT, 'blocks follow each other without gaps') "
     "WHERE NEW.first IS NOT COALESCE((SELECT MAX(first) + 256 FROM block), "
     "(SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'first')); END"},
    {"block_update",
     "CREATE TRIGGER block_update BEFORE UPDATE ON block BEGIN "
     "SELECT RAISE(ABORT, 'audit records are never changed'); END"},
    {"block_delete",
     "CREATE TRIGGER block_delete BEFORE DELETE ON block BEGIN "
     "SELECT RAISE(ABORT, 'audit records are never deleted'); END"},
    {"pending_append",
     "CREATE TRIGGER pending_append BEFORE INSERT ON pending BEGIN "
     "SELECT RAISE(ABORT, 'records are numbered without gaps') "
     "WHERE NEW.n IS NOT COALESCE((SELECT MAX(n) + 1 FROM pending), "
     "(SELECT MAX(first) + 256 FROM block), "
     "(SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'first')); END"},
    {"pending_update",
     "CREATE TRIGGER pending_update BEFORE UPDATE ON pending BEGIN "
     "SELECT RAISE(ABORT, 'audit records are never changed'); END"},
    {"pending_delete",
     "CREATE TRIGGER pending_delete BEFORE DELETE ON pending BEGIN "
     "SELECT RAISE(ABORT, 'audit records are never deleted') "
     "WHERE OLD.n >= COALESCE((SELECT MAX(first) + 256 FROM block), OLD.n); END"},
    {"node_update",
     "CREATE TRIGGER node_update BEFORE UPDATE ON node BEGIN "
     "SELECT RAISE(ABORT, 'the tree never changes'); END"},
    {"node_delete",
     "CREATE TRIGGER node_delete BEFORE DELETE ON node BEGIN "
     "SELECT RAISE(ABORT, 'the tree never changes'); END"},
    {"checkpoint_append",
     "CREATE TRIGGER checkpoint_append BEFORE INSERT ON checkpoint BEGIN "
     "SELECT RAISE(ABORT, 'checkpoints are numbered without gaps') "
     "WHERE EXISTS (SELECT 1 FROM checkpoint) "
     "AND NEW.number IS NOT (SELECT MAX(number) + 1 FROM checkpoint); END"},
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
static_assert(block_records == 256);  // as the triggers have it

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

Result<void> create_schema(const Database& database, const SegmentHead& head) {
  MENSHEN_CHECK(database.execute("BEGIN IMMEDIATE"));
  for (const Item& item : items) MENSHEN_CHECK(database.execute(item.sql));
  std::string peaks;
  for (const Digest& peak : head.before.peaks()) peaks += to_hex(peak);
  const std::array<std::pair<std::string_view, std::string>, 6> values{
      {{"origin", head.origin},
       {"profile", std::string(name(head.profile))},
       {"segment", fmt::format("{}", head.number)},
       {"first", fmt::format("{}", head.first)},
       {"peaks", peaks},
       {"previous", head.previous_note}}};
  Statement insert = MENSHEN_TRY(database.prepare("INSERT INTO meta VALUES (?1, ?2)"));
  for (const auto& [key, value] : values) {
    MENSHEN_CHECK(insert.bind(1, key).bind(2, std::string_view(value)).run());
  }
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

Result<SegmentHead> read_head(const Database& database) {
  std::map<std::string, std::string, std::less<>> values;
  Statement select = MENSHEN_TRY(database.prepare("SELECT key, value FROM meta LIMIT 100"));
  while (MENSHEN_TRY(select.step())) values.emplace(select.text(0), select.text(1));
  const auto profile = parse_profile(values["profile"]);
  const auto number = parse_line_number(values["segment"]);
  const auto first = parse_line_number(values["first"]);
  const std::string& hex = values["peaks"];
  std::vector<Digest> peaks;
  for (std::size_t at = 0; at < hex.size(); at += 2 * sizeof(Digest)) {
    const auto peak = parse_digest(std::string_view(hex).substr(at, 2 * sizeof(Digest)));
    if (!peak) return fail_schema("meta");
    peaks.push_back(*peak);
  }
  if (values.size() != 6 || !is_origin(values["origin"]) || !profile || !number || !first ||
      *number == 0 || *first == 0 || (*first - 1) % block_records != 0 ||
      values["previous"].size() > note_bytes_max) {
    return fail_schema("meta");
  }
  auto before = Frontier::make(*first - 1, std::move(peaks));
  if (!before) return fail_schema("meta");
  return SegmentHead{values["origin"], *profile,           *number,
                     *first,           *std::move(before), values["previous"]};
}

}  // namespace menshen::audit
