// How far a receiver has everything: kept in a file, so that forwarding goes on where it stopped.
//
//   menshen-forward-cursor/1
//   target tls://log.example:6514
//   origin gov-cloud-a
//   record 4711
//   note 17
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace menshen::audit {

inline constexpr std::size_t cursor_bytes_max = 2048;

struct Cursor {
  std::string target;
  std::string origin;        // of the store
  std::uint64_t record = 0;  // number of the last record that arrived
  std::uint64_t note = 0;    // number of the last checkpoint that did
  bool operator==(const Cursor&) const = default;
};

[[nodiscard]] std::string to_text(const Cursor& cursor);
// Accepts exactly what to_text writes. ErrorCode::corrupt.
[[nodiscard]] Result<Cursor> parse_cursor(std::string_view text);
// An empty one where there is no file yet.
[[nodiscard]] Result<Cursor> load_cursor(const std::filesystem::path& file);
// Durable and whole, or as it was.
[[nodiscard]] Result<void> save_cursor(const std::filesystem::path& file, const Cursor& cursor);

}  // namespace menshen::audit
