// The audit store: the only writer of the records.
//
// Records go in, in batches, each batch one durable SQLite transaction (WAL, synchronous FULL), and
// never change again. Each is chained to all before it:
//   head_0 = H("menshen-audit-origin/1\0" || origin)
//   head_n = H("menshen-audit-chain/1\0" || head_{n-1} || length as 4 bytes, big endian || record
//   bytes)
// and the head is signed from time to time: in the database and, so that a shortened database is
// found, in the text file checkpoints.log. What this cannot show alone: that records newer than the
// last note kept elsewhere were not cut off together with the log's end. Keep notes elsewhere and
// give them to verify().
//
// Folder: audit.db (+ -wal, -shm), checkpoints.log, signing.key (0600), signing.pub, fingerprint,
// lock. A store's own acts (start, stop, key made, refusals) are records of the source
// `own_source`.
//
// Errors: after any error nothing of that call is in the store, except that a batch whose commit
// failed may turn out stored after all; delivering it again is safe. The next call opens the
// database afresh and checks its end. Not thread-safe: one owner. append costs about 10 us a record
// (SM3) and one fsync a batch.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "audit/record/record.hpp"
#include "audit/disk/disk.hpp"
#include "audit/store/note.hpp"

namespace menshen::audit {

inline constexpr std::string_view own_source = "auditd";
inline constexpr std::size_t append_records_max = 10'000;

struct StorePaths {
  std::filesystem::path database;
  std::filesystem::path checkpoints_log;
  std::filesystem::path signing_key;
  std::filesystem::path public_key;
  std::filesystem::path fingerprint;
  std::filesystem::path lock;
  [[nodiscard]] static StorePaths in(const std::filesystem::path& directory);
};

struct StoreOptions {
  std::filesystem::path directory;  // made where absent (0750)
  std::string origin = "menshen";   // names the store; fixed once it has records
  Profile profile = Profile::sm;    // the same
  std::chrono::milliseconds checkpoint_interval{5'000};  // while records come in
  mode_t file_mode = 0640;           // of everything but the key: group readers may find and verify
  const Clock* clock = nullptr;      // null: the system's
  const char* sqlite_vfs = nullptr;  // null: SQLite's own; tests inject faults here
  DiskCalls disk;                    // and here
};

enum class Appended : std::uint8_t {
  stored = 0,
  duplicate = 1,  // the same record is there already: as good as stored
  conflict =
      2,  // another record has this source, epoch and sequence: refused, and that is recorded
};

struct StoreStatus {
  std::uint64_t records = 0;
  std::uint64_t checkpoints = 0;
  std::optional<Checkpoint> last_checkpoint;
  std::uint64_t bytes = 0;      // of the database with its WAL
  std::uint64_t disk_free = 0;  // bytes
  Profile profile = Profile::sm;
  std::string origin;
  std::string fingerprint;  // "sm3:..."
  bool healthy = true;      // false: the last write failed
};

// A document to be vouched for: its digest becomes a record, and that record is signed at once.
struct Attestation {
  std::string name;  // what the document is called
  Digest digest{};   // by the store's profile (digest_file)
  std::uint64_t bytes = 0;
  std::string subject;  // who asks
};

class Store {
 public:
  // Opens or makes the store, checks its end (records since the last checkpoint, checkpoints.log,
  // key), appends a start record and signs. ErrorCode::corrupt says what is wrong and where;
  // nothing is written then. ErrorCode::exists: another process has it open.
  [[nodiscard]] static Result<Store> open(StoreOptions options);
  Store(Store&&) noexcept;
  Store& operator=(Store&&) noexcept;
  ~Store();  // without close(): as after a crash

  // One answer per record, in order. All or nothing on error. At most append_records_max.
  // Records without a stamp get the store's own (its clock, uid and pid).
  [[nodiscard]] Result<std::vector<Appended>> append(std::span<const Record> records);
  // A record of the store's own about itself. Time, source, epoch and sequence are filled in.
  [[nodiscard]] Result<void> append_own(Record record);

  // Signs the present head, if there are records since the last note; the last note otherwise.
  [[nodiscard]] Result<SignedNote> checkpoint();
  // Whether records have waited for a checkpoint longer than the interval.
  [[nodiscard]] bool checkpoint_due() const;
  // The evidence as JSON (store/evidence.hpp reads it).
  [[nodiscard]] Result<std::string> attest(const Attestation& attestation);

  [[nodiscard]] StoreStatus status() const;
  [[nodiscard]] const PublicKey& public_key() const;
  [[nodiscard]] const StoreOptions& options() const;

  // Appends the stop record, signs, folds the WAL into the database. The store is unusable
  // afterwards.
  [[nodiscard]] Result<void> close();

 private:
  class Impl;
  explicit Store(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace menshen::audit
