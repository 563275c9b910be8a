// The files of a store. Segments are numbered from 1; see docs/formats/audit-store.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace menshen::audit {

struct StorePaths {
  std::filesystem::path directory;
  std::filesystem::path signing_key;  // 0600
  std::filesystem::path public_key;
  std::filesystem::path fingerprint;
  std::filesystem::path lock;  // held by the one writer

  [[nodiscard]] static StorePaths in(const std::filesystem::path& directory);
  [[nodiscard]] std::filesystem::path segment(std::uint64_t number) const;  // the records: SQLite
  [[nodiscard]] std::filesystem::path notes(std::uint64_t number) const;    // its checkpoints: text
  [[nodiscard]] std::filesystem::path seal(std::uint64_t number) const;     // once it is finished
  [[nodiscard]] std::filesystem::path index(std::uint64_t number) const;    // derived, for finding
  // The numbers of the segments that are there, ascending.
  [[nodiscard]] std::vector<std::uint64_t> segments() const;
  // The one that is written to; segment 1 where there is none yet.
  [[nodiscard]] std::filesystem::path newest_segment() const;
};

}  // namespace menshen::audit
