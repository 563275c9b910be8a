// Appends the same records to the audit store, and as plain rows to SQLite with the same durability
// (WAL, synchronous FULL, the same batches): what chain and checkpoints cost over the floor.
//
//   bench_audit DIRECTORY RECORDS BATCH     one JSON line: {"store_seconds": ..., "sqlite_seconds":
// ...}
#include <sqlite3.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "audit/store/store.hpp"
#include "base/handle.hpp"

namespace {

using menshen::audit::Record;
using Database = menshen::Handle<sqlite3, &sqlite3_close>;
using Statement = menshen::Handle<sqlite3_stmt, &sqlite3_finalize>;
using Seconds = std::chrono::duration<double>;

[[noreturn]] void die(const std::string& why) {
  std::fprintf(stderr, "bench_audit: %s\n", why.c_str());
  std::exit(1);
}

std::vector<Record> make_records(std::size_t count) {
  std::vector<Record> records(count);
  for (std::size_t i = 0; i < count; ++i) {
    Record& record = records[i];
    record.time = 1'700'000'000'000'000'000 + static_cast<std::int64_t>(i) * 1'000'000;
    record.source = "bench";
    record.epoch = 1;
    record.sequence = i + 1;
    record.kind = menshen::audit::Kind::alert;
    record.severity = menshen::audit::Severity::high;
    record.outcome = menshen::audit::Outcome::blocked;
    record.action = "rule.match";
    record.domain_src = "finance";
    record.domain_dst = "portal";
    record.src = menshen::IpAddr::parse("10.10.0.10");
    record.dst = menshen::IpAddr::parse("10.30.0.10");
    record.sport = static_cast<std::uint16_t>(1024 + i % 60000);
    record.dport = 80;
    record.proto = 6;
    record.policy_line = "demo.yaml:14";
    record.message = "exploit attempt in a request header";
    record.detail = R"({"http":{"hostname":"portal.example","url":"/search","http_method":"GET"}})";
  }
  return records;
}

double run_store(const std::filesystem::path& directory, std::span<const Record> records,
                 std::size_t batch) {
  menshen::audit::StoreOptions options;
  options.directory = directory;
  auto store = menshen::audit::Store::open(options);
  if (!store) die(store.error().text.en);
  const auto begin = std::chrono::steady_clock::now();
  for (std::size_t at = 0; at < records.size(); at += batch) {
    const auto done = store->append(records.subspan(at, std::min(batch, records.size() - at)));
    if (!done) die(done.error().text.en);
  }
  const Seconds elapsed = std::chrono::steady_clock::now() - begin;
  if (const auto closed = store->close(); !closed) die(closed.error().text.en);
  return elapsed.count();
}

void execute(sqlite3* db, const char* sql) {
  if (sqlite3_exec(db, sql, nullptr, nullptr, nullptr) != SQLITE_OK) die(sqlite3_errmsg(db));
}

double run_sqlite(const std::filesystem::path& file, std::span<const Record> records,
                  std::size_t batch) {
  sqlite3* raw = nullptr;
  if (sqlite3_open(file.c_str(), &raw) != SQLITE_OK) die("cannot open " + file.string());
  const Database db(raw);
  execute(raw, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; "
               "CREATE TABLE t(n INTEGER PRIMARY KEY, body BLOB)");
  sqlite3_stmt* prepared = nullptr;
  sqlite3_prepare_v2(raw, "INSERT INTO t(body) VALUES(?)", -1, &prepared, nullptr);
  const Statement insert(prepared);
  const auto begin = std::chrono::steady_clock::now();
  for (std::size_t at = 0; at < records.size(); at += batch) {
    execute(raw, "BEGIN");
    for (const Record& record : records.subspan(at, std::min(batch, records.size() - at))) {
      std::string body;
      if (!menshen::audit::encode(record, body)) die("cannot encode");
      sqlite3_bind_blob(prepared, 1, body.data(), static_cast<int>(body.size()), SQLITE_STATIC);
      if (sqlite3_step(prepared) != SQLITE_DONE) die(sqlite3_errmsg(raw));
      sqlite3_reset(prepared);
    }
    execute(raw, "COMMIT");
  }
  return Seconds(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) die("usage: bench_audit DIRECTORY RECORDS BATCH");
  const std::filesystem::path directory = argv[1];
  const auto records = make_records(std::strtoul(argv[2], nullptr, 10));
  const std::size_t batch = std::strtoul(argv[3], nullptr, 10);
  if (records.empty() || batch == 0) die("RECORDS and BATCH must be more than 0");
  const double store = run_store(directory / "store", records, batch);
  const double sqlite = run_sqlite(directory / "floor.db", records, batch);
  const nlohmann::json line = {{"store_seconds", store}, {"sqlite_seconds", sqlite}};
  std::puts(line.dump().c_str());
}
