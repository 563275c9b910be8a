// The store's records in the order in which they were stored, for whoever carries them on.
//
// Reads a live store beside auditd, as query.hpp does, and holds nothing open between two calls, so
// that finished segments can be sealed. One thread at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "audit/store/note.hpp"
#include "audit/store/paths.hpp"
#include "audit/store/segment.hpp"

namespace menshen::audit {

struct FeedRecord {
  std::uint64_t number = 0;
  std::string bytes;  // as stored, with its stamp
};

class Feed {
 public:
  static constexpr std::size_t batch_bytes_max = 4U << 20U;

  explicit Feed(const std::filesystem::path& directory) : paths_(StorePaths::in(directory)) {}

  // The records behind number `after`, at most so many and about batch_bytes_max; none: there are
  // none yet. Numbers are without gaps, but the first may be later where records were pruned.
  [[nodiscard]] Result<std::vector<FeedRecord>> records(std::uint64_t after, std::size_t most);
  // The newest checkpoint that covers no record behind number `size`.
  [[nodiscard]] Result<std::optional<SignedNote>> note_within(std::uint64_t size);
  // The number of the last record.
  [[nodiscard]] Result<std::uint64_t> end();
  [[nodiscard]] Result<std::string> origin();

 private:
  // The segment that record n stands in, or the oldest where it was pruned.
  [[nodiscard]] Result<Segment> segment_of(std::uint64_t n);
  [[nodiscard]] Result<Segment> newest();

  StorePaths paths_;
  std::map<std::uint64_t, std::uint64_t> first_;  // segment -> its first record: never changes
};

}  // namespace menshen::audit
