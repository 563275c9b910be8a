// Compiled pattern databases on disk, so that a restart or a reload does not compile again what did
// not change.
//
// A database is found by the SHA-256 of everything that it is made of (literals, flags, the
// matcher's version and the processor's features); one file each, with a checksum over its content.
// A cache is never needed: what is missing, damaged, of another version or in a folder that others
// may write to is compiled afresh. The matcher trusts its databases, so the folder must belong to
// root or to the user of this process, and be writable by nobody else.
//
// Beyond files_max the files used longest ago are removed. Thread-safe: several databases may be
// looked for at the same time, also by several processes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace menshen::sensor {

inline constexpr std::size_t pattern_cache_files_max = 512;
inline constexpr std::size_t pattern_cache_file_bytes_max = 256U << 20U;

class PatternCache {
 public:
  // Makes the folder where it is missing. ErrorCode::denied: others may write to it.
  [[nodiscard]] static Result<PatternCache> open(std::filesystem::path folder,
                                                 std::size_t files_max = pattern_cache_files_max);

  // The content stored under this key (64 hexadecimal digits), or nothing.
  [[nodiscard]] std::optional<std::string> load(std::string_view key) const;
  void store(std::string_view key, std::string_view content) const;
  // Removes what was used longest ago, beyond files_max.
  void trim() const;

 private:
  PatternCache(std::filesystem::path folder, std::size_t files_max)
      : folder_(std::move(folder)), files_max_(files_max) {}
  [[nodiscard]] std::filesystem::path path_of(std::string_view key) const;

  std::filesystem::path folder_;
  std::size_t files_max_;
};

// SHA-256 in hexadecimal: the keys and checksums of the cache.
[[nodiscard]] std::string cache_digest(std::string_view bytes);

}  // namespace menshen::sensor
