// SQLite behind one file: a connection and its statements, errors as Results. Internal to the
// store.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/byte_reader.hpp"
#include "base/handle.hpp"
#include "base/result.hpp"

struct sqlite3;
struct sqlite3_stmt;
extern "C" {
int sqlite3_close_v2(sqlite3* connection);
int sqlite3_finalize(sqlite3_stmt* statement);
}

namespace menshen::audit {

// A prepared statement. Views returned by text() and blob() live until the next step() or reset().
class Statement {
 public:
  Statement() = default;

  Statement& bind(int index, std::int64_t value);
  Statement& bind(int index, std::string_view value);  // not copied: must outlive the step
  Statement& bind(int index, Bytes value);             // the same
  // True: a row. Resets itself at the end and on error.
  [[nodiscard]] Result<bool> step();
  // For statements that give no row.
  [[nodiscard]] Result<void> run();
  void reset();

  [[nodiscard]] std::int64_t integer(int column) const;
  [[nodiscard]] std::string_view text(int column) const;
  [[nodiscard]] Bytes blob(int column) const;
  [[nodiscard]] bool is_null(int column) const;

 private:
  friend class Database;
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}
  Handle<sqlite3_stmt, &sqlite3_finalize> statement_;
};

class Database {
 public:
  enum class Mode : unsigned char { write, read, follow };
  // read: of a database without a WAL file nothing is created or locked (it is taken as
  // unchanging). follow: read what another connection of this user may write. ErrorCode:
  // not_found, denied, corrupt (no database), io.
  [[nodiscard]] static Result<Database> open(const std::filesystem::path& path, Mode mode,
                                             const char* vfs = nullptr);
  [[nodiscard]] Result<Statement> prepare(std::string_view sql) const;
  [[nodiscard]] Result<void> execute(std::string_view sql) const;
  // A copy of the whole database as it is now, while others write to it. The file must not exist.
  [[nodiscard]] Result<void> copy_to(const std::filesystem::path& path) const;
  // Rows changed by the last insert; 0 where a trigger ignored it.
  [[nodiscard]] int changes() const;
  [[nodiscard]] bool in_transaction() const;

 private:
  explicit Database(sqlite3* connection) : connection_(connection) {}
  Handle<sqlite3, &sqlite3_close_v2> connection_;
};

}  // namespace menshen::audit
