// Making, finishing, sealing and removing whole segments. Internal to the store.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "audit/store/paths.hpp"
#include "audit/store/seal.hpp"
#include "audit/store/segment.hpp"
#include "base/file.hpp"

namespace menshen::audit {

// ErrorCode::exists: another process has the store.
[[nodiscard]] Result<UniqueFd> take_lock(const std::filesystem::path& path);
// The signing key, made where the store is new. ErrorCode::corrupt: lost.
[[nodiscard]] Result<SigningKey> load_key(const StorePaths& paths, Profile profile);
// The files for people who verify. Written at each start: a crash after the key was made may have
// kept them back.
[[nodiscard]] Result<void> publish_key(const PublicKey& key, const StorePaths& paths, mode_t mode);

// A file that SQLite then fills: it gives its WAL and shared memory the same mode.
[[nodiscard]] Result<void> make_with_mode(const std::filesystem::path& path, mode_t mode);
[[nodiscard]] std::uint64_t file_bytes(const std::filesystem::path& path);
// Of every file in the folder.
[[nodiscard]] std::uint64_t folder_bytes(const std::filesystem::path& directory);
[[nodiscard]] Result<void> sync_folder(const std::filesystem::path& directory);

// The segment after `from`, whole or not at all: made beside, then renamed.
[[nodiscard]] Result<void> make_next_segment(const StorePaths& paths, const Segment& from,
                                             const SegmentHead& head, mode_t mode, const char* vfs);

// Folds the WAL into the file and does away with it. False: a reader holds it, try again later.
[[nodiscard]] Result<bool> fold_segment(const std::filesystem::path& path, const char* vfs);
// The seal of a folded segment, but for its key: reads the whole file.
[[nodiscard]] Result<Seal> examine_segment(const std::filesystem::path& path, const char* vfs);

// The root of the tree whose leaves are the file's pieces: of any size, many pieces at once.
inline constexpr std::size_t seal_piece_bytes = 64U << 10U;
[[nodiscard]] Result<Digest> digest_pieces(Profile profile, const std::filesystem::path& path);

// The seal of a segment that is signed by one of the keys; nothing where there is none or not so.
[[nodiscard]] std::optional<Seal> read_seal(const StorePaths& paths, std::uint64_t number,
                                            const std::vector<const PublicKey*>& keys);

// When the disk is full, if it goes on as it did over `span`; nothing where that is too short to
// tell, more than ten years away, or where pruning after `retention` (0: never) keeps up.
struct Growth {
  std::uint64_t bytes = 0;
  std::uint64_t free = 0;
  WallTime span = 0;
  WallTime retention = 0;
};
[[nodiscard]] std::optional<WallTime> forecast_full(const Growth& growth, WallTime now);

void remove_segment(const StorePaths& paths, std::uint64_t number);

// The public keys in the folder `retired`, those that can be read.
[[nodiscard]] std::vector<PublicKey> retired_keys(const StorePaths& paths);
[[nodiscard]] Result<void> retire_key(const StorePaths& paths, const PublicKey& key, mode_t mode);

}  // namespace menshen::audit
