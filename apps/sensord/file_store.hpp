// Files out of the traffic, kept on disk: each content once, named by its SHA-256.
//
//   DIRECTORY/ab/ab12...     the bytes that were kept of it
//   DIRECTORY/ab/ab12....json  the event of the file that brought it first
//
// Both appear whole (written beside, synced, renamed). What does not fit is not kept, and nothing
// that is kept gives way to what comes later: only age removes files (keep_for). One store a
// directory; not thread-safe. Cost of keep: two synced writes, milliseconds; not for the packet
// thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace menshen::apps {

struct FileStoreOptions {
  std::filesystem::path directory;
  std::uint64_t bytes_max = 1ULL << 30U;  // of all that is kept; beyond: FileKept::full
  // Of the file system, for others' use; below: FileKept::disk_low.
  std::uint64_t free_bytes_min = 1ULL << 30U;
  std::chrono::hours keep_for{0};  // since it was seen last; 0: for ever
};

enum class FileKept : std::uint8_t {
  stored,
  known,     // the same content is there already; it counts as seen now
  full,      // bytes_max
  disk_low,  // free_bytes_min
  failed,    // the disk refused
};
inline constexpr std::size_t file_kept_outcomes = 5;

class FileStore {
 public:
  // Makes the directory (0750) where it is absent, takes away what a crash left half written, and
  // counts what is there. Reads the names of all kept files.
  [[nodiscard]] static Result<FileStore> open(FileStoreOptions options);

  // `about` is the JSON text to lie beside it. What failed is told once, until it works again.
  [[nodiscard]] FileKept keep(std::string_view sha256, std::string_view bytes,
                              std::string_view about);
  // Removes what was seen last before now - keep_for.
  void expire(WallTime now);

  [[nodiscard]] std::filesystem::path path_of(std::string_view sha256) const;
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  explicit FileStore(FileStoreOptions options) : options_(std::move(options)) {}
  // Calls with each kept file and what lies beside it.
  template <class Visit>
  void each(const Visit& visit) const;
  [[nodiscard]] Result<void> write(const std::filesystem::path& path, std::string_view bytes,
                                   std::string_view about);

  FileStoreOptions options_;
  std::uint64_t bytes_ = 0;  // kept now
  bool failing_ = false;
};

}  // namespace menshen::apps
