// One segment, read. Records lie in whole blocks, and behind them, one by one, those that do not
// fill a block yet.
//
// All reads of one call see one state; snapshot() holds that state over several calls while auditd
// writes on. One thread at a time.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "audit/store/block.hpp"
#include "audit/store/note.hpp"
#include "audit/store/paths.hpp"
#include "audit/store/schema.hpp"

namespace menshen::audit {

// A record that waits for its block, and the digest of its leaf as it was when it was stored.
struct PendingRecord {
  std::string bytes;
  Digest leaf{};
};

class Segment {
 public:
  // Checks the tables. Errors as Database::open's and check_schema's.
  [[nodiscard]] static Result<Segment> open(const std::filesystem::path& path, Database::Mode mode,
                                            const char* vfs = nullptr);
  [[nodiscard]] const SegmentHead& head() const { return head_; }
  [[nodiscard]] const Database& database() const { return database_; }

  [[nodiscard]] Result<void> snapshot() const { return database_.execute("BEGIN"); }
  [[nodiscard]] Result<void> release() const { return database_.execute("COMMIT"); }

  // The number of the last record in a whole block; head().first - 1: none.
  [[nodiscard]] Result<std::uint64_t> blocks_end();
  // The number of the last record; head().first - 1: none.
  [[nodiscard]] Result<std::uint64_t> end();
  // The block that begins with record `first`, as stored; nothing where it is missing.
  [[nodiscard]] Result<std::optional<std::string>> block_bytes(std::uint64_t first);
  [[nodiscard]] Result<Block> block(std::uint64_t first);  // missing: ErrorCode::corrupt
  // Those behind the blocks, in order. ErrorCode::corrupt where their numbers have gaps.
  [[nodiscard]] Result<std::vector<PendingRecord>> pending();
  // The bytes of record n; ErrorCode::not_found outside of this segment.
  [[nodiscard]] Result<std::string> record(std::uint64_t n);
  [[nodiscard]] Result<std::optional<Digest>> node(unsigned level, std::uint64_t position);

  [[nodiscard]] Result<std::optional<SignedNote>> note(std::uint64_t number);
  // The last one that this segment has.
  [[nodiscard]] Result<std::optional<SignedNote>> last_note();
  // Where (source, epoch, sequence) stands by this segment's spans; 0: not in them.
  [[nodiscard]] Result<std::uint64_t> find_name(std::string_view source, std::uint64_t epoch,
                                                std::uint64_t sequence);

 private:
  Segment(Database database, SegmentHead head)
      : database_(std::move(database)), head_(std::move(head)) {}
  Database database_;
  SegmentHead head_;
  Statement select_block_;
  Statement select_node_;
  Statement select_name_;
  // The block that record() read last: it never changes, and neighbours are asked for together.
  std::uint64_t recent_first_ = 0;
  Block recent_;
};

// Nodes of the tree and records over all segments of a folder that are there, opened as needed.
class Tree {
 public:
  [[nodiscard]] static Result<Tree> open(const StorePaths& paths, Profile profile);
  // As RangeRoot, of leaves numbered from 0. ErrorCode::not_found where they were pruned.
  [[nodiscard]] Result<Digest> range(std::uint64_t begin, std::uint64_t end);
  [[nodiscard]] Result<std::string> record(std::uint64_t n);  // numbered from 1
  // As Segment::find_name, in the segments before `number`, newest first.
  [[nodiscard]] Result<std::uint64_t> find_name(std::uint64_t number, std::string_view source,
                                                std::uint64_t epoch, std::uint64_t sequence);
  [[nodiscard]] TreeHasher& hasher() { return hasher_; }

 private:
  explicit Tree(TreeHasher hasher) : hasher_(std::move(hasher)) {}
  [[nodiscard]] Segment* segment_of(std::uint64_t n);
  [[nodiscard]] Result<Digest> perfect(unsigned level, std::uint64_t position);
  [[nodiscard]] Result<Digest> small(std::uint64_t begin, std::uint64_t end);
  // The block that was read last: proofs of neighbours need the same one again and again.
  struct Opened {
    std::uint64_t first = 0;
    Block block;
    std::vector<Digest> leaves;
  };
  [[nodiscard]] Result<const Opened*> open_block(std::uint64_t n);

  TreeHasher hasher_;
  std::vector<Segment> segments_;  // ascending
  Opened opened_;
};

}  // namespace menshen::audit
