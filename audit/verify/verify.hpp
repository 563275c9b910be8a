// Proves, from the files alone, that a store is what its checkpoints say; or names the first place
// where not.
//
// Reads only; works on a live store and on a copy (the segments with their .notes and .seal files,
// the folder `retired`, and the public key from here or elsewhere). Memory is bounded; time is
// linear, one digest per record, on every core.
//
// What it means: with a pinned key, an intact report proves that the records up to the last
// checkpoint are those the key's holder signed. With a note kept elsewhere (expect_at_least) also
// that nothing up to it was cut off. Pruned segments are vouched for by the signed checkpoint at
// their end and by the record of their pruning.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "audit/store/note.hpp"
#include "base/lang.hpp"
#include "base/result.hpp"

namespace menshen::audit {

enum class BreakKind : std::uint8_t {
  edited,            // a record's bytes, or its name in the table of names, were changed
  deleted,           // records are missing in the middle
  inserted,          // records were put in
  reordered,         // records stand in another order
  rewritten,         // records and tree were made anew and contradict what was signed
  truncated,         // the end is missing: a checkpoint covers more records than there are
  signature,         // a checkpoint's signature is wrong, or a note is malformed
  key_changed,       // a checkpoint is signed by another key
  checkpoint_chain,  // checkpoints are missing, out of order or do not follow each other
  unsigned_records,  // there are records but no checkpoint at all
  damaged,           // SQLite cannot read the file consistently
};
[[nodiscard]] std::string_view name(BreakKind kind);  // "edited", ... as in JSON
[[nodiscard]] Text title(BreakKind kind);

struct Break {
  BreakKind kind = BreakKind::edited;
  std::uint64_t record = 0;       // first record concerned; 0: no record
  std::uint64_t record_last = 0;  // the break lies within [record, record_last]
  std::uint64_t checkpoint = 0;   // number of the checkpoint concerned; 0: none
  WallTime time = 0;  // of that record or checkpoint, or of the last good one before it; 0: unknown
  Text text;          // the whole finding in one sentence
};

struct VerifyOptions {
  std::filesystem::path public_key;   // PEM; empty: signing.pub of the store
  std::string fingerprint;            // pinned: "sm3:..." or "sha256:..."; empty: not pinned
  std::string expect_at_least;        // text of a note kept elsewhere; empty: none
  std::vector<SignedNote> witnessed;  // notes kept elsewhere (verify/witness.hpp), any number
  // Fingerprints of keys that followed a lost one: a change to one of them, by a record that says
  // so, is no break. Only who lost the key can know them.
  std::vector<std::string> accept_keys;
  // Also every byte of the files: by the seal of a finished segment, else by SQLite's own check.
  bool check_pages = true;
  unsigned threads = 0;  // 0: one a core
};

struct VerifyReport {
  bool intact = false;
  std::optional<Break> first_break;
  std::vector<Text> warnings;  // at most warnings_max: time going back, log behind, key not pinned
  std::uint64_t records = 0;   // the number of the last one read
  std::uint64_t first_record = 1;             // what is before was pruned
  std::uint64_t records_signed = 0;           // covered by a good checkpoint
  std::uint64_t checkpoints = 0;              // good ones
  std::optional<Checkpoint> last_checkpoint;  // the last good one
  std::string fingerprint;                    // of the key used
  bool pinned = false;
  std::uint64_t sequence_gaps = 0;  // numbers missing within a source's epoch (see loss records)
  double seconds = 0;

  static constexpr std::size_t warnings_max = 100;
};

// An error only where there is nothing to verify (no such folder, not permitted, unreadable key); a
// store that is damaged or forged is a report with a break.
[[nodiscard]] Result<VerifyReport> verify(const std::filesystem::path& directory,
                                          const VerifyOptions& options = {});

[[nodiscard]] std::string to_json(const VerifyReport& report, Lang lang);

}  // namespace menshen::audit
