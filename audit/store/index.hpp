// The index of one segment: which blocks may hold what is asked for, and how many records of each
// kind and severity an hour had. Derived from the records, never evidence: it may be deleted, and
// is built again. A block is named by the number of its first record.
//
// File segment-NNNNNN.index, SQLite: words (FTS5, no content, one row a block), summary, hour,
// meta. One thread at a time; a reader works beside the writer.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "audit/record/record.hpp"
#include "audit/store/block.hpp"
#include "audit/store/sqlite.hpp"
#include "audit/store/terms.hpp"

namespace menshen::audit {

inline constexpr WallTime hour_ns = 3'600LL * 1'000'000'000;

// Records of one kind and severity whose event lies in the hour from `hour` on.
struct HourCount {
  WallTime hour = 0;
  Kind kind = Kind::system;
  Severity severity = Severity::info;
  std::uint64_t records = 0;
};

struct IndexQuery {
  std::string match;  // FTS5's; empty: all blocks
  std::optional<WallTime> since;
  std::optional<WallTime> until;
  std::uint32_t kinds = ~0U;  // bit of each kind
  Severity severity_min = Severity::info;
};

class Index {
 public:
  // write: makes it, and again where it is damaged or of another version or segment.
  [[nodiscard]] static Result<Index> open(const std::filesystem::path& path, Database::Mode mode,
                                          std::uint64_t segment_first, mode_t file_mode = 0640);
  // The last record that is in the index; segment_first - 1: none.
  [[nodiscard]] Result<std::uint64_t> end() const;
  // No record is missing, and none will come.
  [[nodiscard]] Result<bool> whole() const;

  [[nodiscard]] Result<void> begin() const { return database_.execute("BEGIN"); }
  [[nodiscard]] Result<void> add(std::uint64_t first, const Block& block);
  [[nodiscard]] Result<void> commit() const { return database_.execute("COMMIT"); }
  // The segment is finished and all of it was added: makes the index small and quick to open.
  [[nodiscard]] Result<void> finish();

  // The blocks that may hold what is asked for, newest first, until `each` returns false.
  [[nodiscard]] Result<void> blocks(
      const IndexQuery& query, const std::function<Result<bool>(std::uint64_t first)>& each) const;
  [[nodiscard]] Result<std::vector<HourCount>> hours(WallTime since, WallTime until) const;

 private:
  explicit Index(Database database) : database_(std::move(database)) {}
  [[nodiscard]] static Result<Index> try_open(const std::filesystem::path& path,
                                              Database::Mode mode, std::uint64_t segment_first);
  Database database_;
  std::uint64_t segment_first_ = 1;
  Statement insert_words_;
  Statement insert_summary_;
  Statement insert_hour_;
  TermSet terms_;
};

}  // namespace menshen::audit
