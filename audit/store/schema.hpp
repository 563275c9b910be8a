// The tables of a segment. Shared by the writer and the verifier.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "audit/crypto/tree.hpp"
#include "audit/store/sqlite.hpp"

namespace menshen::audit {

inline constexpr std::int64_t store_format = 3;  // PRAGMA user_version

// What a segment says of itself and of all before it, so that it can be checked alone.
struct SegmentHead {
  std::string origin;
  Profile profile = Profile::sm;
  std::uint64_t number = 1;
  std::uint64_t first = 1;    // number of its first record; one more than a multiple of a block
  Frontier before;            // of the tree of all records before it
  std::string previous_note;  // the last checkpoint of the segment before; empty in the first
};

// Makes the tables in an empty database.
[[nodiscard]] Result<void> create_schema(const Database& database, const SegmentHead& head);
// The tables, indices and triggers are exactly those that create_schema makes: an added trigger or
// a view in a table's place could change what is read. ErrorCode::corrupt names what differs;
// ErrorCode::invalid: a format that this version does not know.
[[nodiscard]] Result<void> check_schema(const Database& database);
[[nodiscard]] Result<SegmentHead> read_head(const Database& database);

}  // namespace menshen::audit
