#include "audit/store/sqlite.hpp"

#include <fmt/format.h>
#include <sqlite3.h>
#include <unistd.h>

namespace menshen::audit {
namespace {

constexpr int busy_timeout_ms = 5'000;

ErrorCode code_of(int result) {
  switch (result & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return ErrorCode::corrupt;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
      return ErrorCode::denied;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return ErrorCode::unavailable;
    case SQLITE_CONSTRAINT:
      return ErrorCode::exists;
    default:
      return ErrorCode::io;
  }
}

tl::unexpected<Error> fail_sqlite(sqlite3* connection, int result) {
  const char* text = connection != nullptr ? sqlite3_errmsg(connection) : sqlite3_errstr(result);
  return fail(code_of(result), {fmt::format("数据库：{}（{}）", text, result),
                                fmt::format("database: {} ({})", text, result)});
}

std::string as_uri(const std::filesystem::path& path, std::string_view parameters) {
  std::string uri = "file:";
  for (const char c : std::filesystem::absolute(path).string()) {
    if (c == '?' || c == '#' || c == '%') {
      uri += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    } else {
      uri += c;
    }
  }
  return uri.append(parameters);
}

}  // namespace

Statement& Statement::bind(int index, std::int64_t value) {
  sqlite3_bind_int64(statement_.get(), index, value);
  return *this;
}
Statement& Statement::bind(int index, std::string_view value) {
  sqlite3_bind_text(statement_.get(), index, value.data() != nullptr ? value.data() : "",
                    static_cast<int>(value.size()), SQLITE_STATIC);
  return *this;
}
Statement& Statement::bind(int index, Bytes value) {
  sqlite3_bind_blob(statement_.get(), index, value.data(), static_cast<int>(value.size()),
                    SQLITE_STATIC);
  return *this;
}

Result<bool> Statement::step() {
  const int result = sqlite3_step(statement_.get());
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) {
    reset();
    return false;
  }
  auto failure = fail_sqlite(sqlite3_db_handle(statement_.get()), result);
  reset();
  return failure;
}

Result<void> Statement::run() {
  if (MENSHEN_TRY(step())) reset();
  return {};
}

void Statement::reset() { sqlite3_reset(statement_.get()); }

std::int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}
std::string_view Statement::text(int column) const {
  const auto* data = sqlite3_column_text(statement_.get(), column);
  if (data == nullptr) return {};
  return {reinterpret_cast<const char*>(data),
          static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column))};
}
Bytes Statement::blob(int column) const {
  const void* data = sqlite3_column_blob(statement_.get(), column);
  if (data == nullptr) return {};
  return {static_cast<const std::byte*>(data),
          static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column))};
}
bool Statement::is_null(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

Result<Database> Database::open(const std::filesystem::path& path, Mode mode, const char* vfs) {
  if (mode != Mode::write && ::access(path.c_str(), R_OK) != 0) {
    return fail_errno({"无法打开 " + path.string(), "cannot open " + path.string()});
  }
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI;
  std::string_view parameters;
  if (mode == Mode::write) {
    flags |= SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  } else {
    flags |= SQLITE_OPEN_READONLY;
    std::error_code ignored;
    const bool still = !std::filesystem::exists(path.string() + "-wal", ignored);
    if (mode == Mode::read && still) parameters = "?immutable=1";
  }
  sqlite3* raw = nullptr;
  const int result = sqlite3_open_v2(as_uri(path, parameters).c_str(), &raw, flags, vfs);
  Database database(raw);
  if (result != SQLITE_OK) return fail_sqlite(raw, result);
  sqlite3_extended_result_codes(raw, 1);
  sqlite3_busy_timeout(raw, busy_timeout_ms);
  sqlite3_db_config(raw, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  // A hostile file must not run code of its own (views, expressions in the schema). In its sandbox
  // a daemon has no folder for the temporary file that a large statement's rollback would take.
  MENSHEN_CHECK(database.execute(
      "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY"));
  return database;
}

Result<Statement> Database::prepare(std::string_view sql) const {
  sqlite3_stmt* raw = nullptr;
  const int result = sqlite3_prepare_v3(connection_.get(), sql.data(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &raw, nullptr);
  if (result != SQLITE_OK) return fail_sqlite(connection_.get(), result);
  return Statement(raw);
}

Result<void> Database::execute(std::string_view sql) const {
  const int result =
      sqlite3_exec(connection_.get(), std::string(sql).c_str(), nullptr, nullptr, nullptr);
  if (result != SQLITE_OK) return fail_sqlite(connection_.get(), result);
  return {};
}

Result<void> Database::copy_to(const std::filesystem::path& path) const {
  sqlite3* raw = nullptr;
  const int opened =
      sqlite3_open_v2(path.c_str(), &raw,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_EXCLUSIVE, nullptr);
  const Handle<sqlite3, &sqlite3_close_v2> target(raw);
  if (opened != SQLITE_OK) return fail_sqlite(raw, opened);
  sqlite3_backup* backup = sqlite3_backup_init(raw, "main", connection_.get(), "main");
  if (backup == nullptr) return fail_sqlite(raw, sqlite3_errcode(raw));
  const int copied = sqlite3_backup_step(backup, -1);
  const int finished = sqlite3_backup_finish(backup);
  if (copied != SQLITE_DONE) return fail_sqlite(raw, copied);
  if (finished != SQLITE_OK) return fail_sqlite(raw, finished);
  return {};
}

int Database::changes() const { return sqlite3_changes(connection_.get()); }
bool Database::in_transaction() const { return sqlite3_get_autocommit(connection_.get()) == 0; }

}  // namespace menshen::audit
