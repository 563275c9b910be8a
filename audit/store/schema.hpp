// The tables of a store, and the hash chain over its records. Shared by the writer and the
// verifier.
#pragma once

#include <string_view>

#include "audit/crypto/digest.hpp"
#include "audit/store/sqlite.hpp"

namespace menshen::audit {

inline constexpr std::int64_t store_format = 1;  // PRAGMA user_version

// Makes the tables in an empty database.
[[nodiscard]] Result<void> create_schema(const Database& database, std::string_view origin,
                                         Profile profile);
// The tables, indices and triggers are exactly those that create_schema makes: an added trigger or
// a view in a table's place could change what is read. ErrorCode::corrupt names what differs;
// ErrorCode::invalid: a format that this version does not know.
[[nodiscard]] Result<void> check_schema(const Database& database);

// head_n of head_{n-1} and a record's bytes.
class Chain {
 public:
  [[nodiscard]] static Result<Chain> make(Profile profile);
  [[nodiscard]] Digest first(std::string_view origin);
  [[nodiscard]] Digest next(const Digest& head, Bytes record);
  // Of a note's whole text, as the following note names it.
  [[nodiscard]] Digest of_note(std::string_view text);

 private:
  explicit Chain(Hasher hasher) : hasher_(std::move(hasher)) {}
  Hasher hasher_;
};

}  // namespace menshen::audit
