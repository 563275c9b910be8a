// The end of a store, checked before anything is appended to it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/store/checkpoint_log.hpp"
#include "audit/store/segment.hpp"

namespace menshen::audit {

struct Tail {
  Frontier frontier;  // of all records
  // Those behind the last whole block; the first `stored` are in the database.
  std::vector<PendingRecord> pending;
  std::size_t stored = 0;
  std::optional<SignedNote> last_note;
  std::uint64_t notes_restored = 0;  // into the segment's notes file

  [[nodiscard]] std::uint64_t size() const { return frontier.size(); }
};

// The last checkpoint must be signed by `key` (or, right after the key was rotated, by `retired`),
// the records must make its root, and so must those before the segment the note of the one before;
// the blocks after the checkpoint must be what the tree says. The database must hold what the
// log's last note says; notes that the log lacks are written to it (a crash between the two).
// `key_lost`: the last checkpoint may be of any retired key. ErrorCode::corrupt says what is wrong
// and where; nothing was written then.
[[nodiscard]] Result<Tail> check_tail(Segment& segment, CheckpointLog& log, const PublicKey& key,
                                      const std::vector<PublicKey>& retired, bool key_lost = false);

// Whether record n, which the last note ends with, hands over to `key`.
[[nodiscard]] bool hands_over(Bytes record, const PublicKey& key);
inline constexpr std::string_view action_rotate = "key.rotate";
// Of the record that says which key follows one that was lost, signed by the new one alone.
inline constexpr std::string_view action_key_lost = "key.lost";

}  // namespace menshen::audit
