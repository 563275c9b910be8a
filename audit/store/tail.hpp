// The end of a store, checked before anything is appended to it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "audit/store/checkpoint_log.hpp"
#include "audit/store/note.hpp"
#include "audit/store/schema.hpp"
#include "audit/store/sqlite.hpp"

namespace menshen::audit {

struct Tail {
  std::uint64_t size = 0;  // records
  Digest head{};           // of the last record; of the origin in an empty store
  std::optional<SignedNote> last_note;
  std::uint64_t notes_restored = 0;  // into checkpoints.log
};

// Reads the last checkpoint and every record after it. The database must hold what the log's last
// note says, both must be signed by `key`, and the records must chain. Writes the notes that the
// log lacks (a crash between the two). ErrorCode::corrupt says what is wrong and where; nothing was
// written then.
[[nodiscard]] Result<Tail> check_tail(const Database& database, CheckpointLog& log,
                                      const PublicKey& key, std::string_view origin);

// The columns beside a record's bytes say the same as the bytes. `row` is at
// n, source, epoch, sequence, time, kind, severity, bytes, head.
inline constexpr std::string_view record_columns =
    "n, source, epoch, sequence, time, kind, severity, bytes, head";
struct Record;
[[nodiscard]] bool columns_agree(const Statement& row, const Record& record);

}  // namespace menshen::audit
