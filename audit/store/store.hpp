// The audit store: the only writer of the records.
//
// Records go in, in batches, each batch one durable SQLite transaction (WAL, synchronous FULL), and
// never change again. They are the leaves of one Merkle tree (crypto/tree.hpp) whose root is signed
// from time to time: in the database and, so that a shortened database is found, in a text file
// beside it. What this cannot show alone: that records newer than the last note kept elsewhere were
// not cut off together with that file's end. Keep notes elsewhere and give them to verify().
//
// The store is a row of segments, each one SQLite file of a day or of segment_records_max records.
// A finished segment is never written again: it is sealed by a signed digest of the file, and goes
// as a whole when its newest record is older than the retention. See docs/formats/audit-store.md.
//
// A store's own acts (start, stop, keys, refusals, pruning) are records of the source `own_source`.
//
// Errors: after any error nothing that was not answered needs to be in the store, but a batch whose
// commit failed may turn out stored after all, in part or whole; delivering it again is safe. The
// next call opens the database afresh and checks its end. Not thread-safe: one owner; the index for
// finding is built by a thread of its own (store/indexer.hpp). append costs about 4 us a record
// (SM3) and one fsync a batch.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "audit/disk/disk.hpp"
#include "audit/record/record.hpp"
#include "audit/store/note.hpp"
#include "audit/store/paths.hpp"

namespace menshen::audit {

inline constexpr std::string_view own_source = "auditd";
inline constexpr std::size_t append_records_max = 10'000;
// Six months at their longest (Cybersecurity Law, article 23).
inline constexpr std::int64_t retention_days_min = 184;

struct StoreOptions {
  std::filesystem::path directory;  // made where absent (0750)
  std::string origin = "menshen";   // names the store; fixed once it has records
  Profile profile = Profile::sm;    // the same
  std::chrono::milliseconds checkpoint_interval{5'000};  // while records come in
  mode_t file_mode = 0640;  // of everything but the key: group readers may find and verify
  // A segment ends with the first whole block after it has so many records, or after its UTC day.
  std::uint64_t segment_records_max = 4U << 20U;
  // Segments whose newest record is older go, oldest first; 0: nothing is ever pruned. Less than
  // retention_days_min needs a reason, which is recorded at each start.
  std::int64_t retention_days = 0;
  std::string retention_reason;
  // The signing key was lost: the present one follows it, on nobody's word but this. See
  // store/recover.hpp; empty otherwise.
  std::string key_lost_reason;
  bool index = true;                         // build the index for finding, in a thread of its own
  const Clock* clock = nullptr;              // null: the system's
  const char* sqlite_vfs = nullptr;          // null: SQLite's own; tests inject faults here
  DiskCalls disk;                            // and here
  std::function<std::uint64_t()> disk_free;  // null: asks the file system
};

enum class Appended : std::uint8_t {
  stored = 0,
  duplicate = 1,  // the same record is there already: as good as stored
  conflict =
      2,  // another record has this source, epoch and sequence: refused, and that is recorded
};

// A record as it came in: accepted by view(), without a stamp; and the stamp to put on.
struct Incoming {
  Bytes bytes;
  Stamp stamp;
};

struct StoreStatus {
  std::uint64_t records = 0;       // that were ever stored: the number of the last one
  std::uint64_t first_record = 1;  // the oldest that is not pruned
  std::uint64_t segments = 0;
  std::uint64_t checkpoints = 0;
  std::optional<Checkpoint> last_checkpoint;
  std::uint64_t bytes = 0;      // of all files
  std::uint64_t disk_free = 0;  // bytes
  // By what came in since the oldest segment began: when the disk is full; nothing where it grows
  // too little to tell, or pruning keeps up with it.
  std::optional<WallTime> disk_full_at;
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
  // Opens or makes the store, checks its end (records since the last checkpoint, notes, key),
  // appends a start record and signs. ErrorCode::corrupt says what is wrong and where; nothing is
  // written then. ErrorCode::exists: another process has it open. ErrorCode::invalid: a setting.
  [[nodiscard]] static Result<Store> open(StoreOptions options);
  Store(Store&&) noexcept;
  Store& operator=(Store&&) noexcept;
  ~Store();  // without close(): as after a crash

  // One answer per record, in order. At most append_records_max.
  // Records without a stamp get the store's own (its clock, uid and pid).
  [[nodiscard]] Result<std::vector<Appended>> append(std::span<const Record> records);
  [[nodiscard]] Result<std::vector<Appended>> append(std::span<const Incoming> records);
  // A record of the store's own about itself. Time, source, epoch and sequence are filled in.
  [[nodiscard]] Result<void> append_own(Record record);

  // Signs the present root, if there are records since the last note; the last note otherwise.
  [[nodiscard]] Result<SignedNote> checkpoint();
  // Whether records have waited for a checkpoint longer than the interval.
  [[nodiscard]] bool checkpoint_due() const;
  // What is to be done now and then, at most about once a second: a checkpoint that is due, sealing
  // finished segments, pruning old ones. Short: digests of whole files are made in the background.
  [[nodiscard]] Result<void> tend();
  // The evidence as JSON (store/evidence.hpp reads it).
  [[nodiscard]] Result<std::string> attest(const Attestation& attestation);
  // From now on a new key signs, for which the old one vouches by a signed record. The old public
  // key is kept in the folder `retired`.
  [[nodiscard]] Result<void> rotate_key(std::string_view subject);

  [[nodiscard]] StoreStatus status() const;
  // Bytes that this user may still write; as many as there can be where that cannot be told.
  [[nodiscard]] std::uint64_t disk_free() const;
  [[nodiscard]] const PublicKey& public_key() const;
  [[nodiscard]] const StoreOptions& options() const;

  // Appends the stop record, signs, folds the WAL into the database and seals it. The store is
  // unusable afterwards.
  [[nodiscard]] Result<void> close();

 private:
  class Impl;
  explicit Store(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace menshen::audit
