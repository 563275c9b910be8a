// File descriptors and whole files.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/byte_reader.hpp"
#include "base/result.hpp"

namespace menshen {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) noexcept : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept;
  ~UniqueFd();

  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] explicit operator bool() const noexcept { return fd_ >= 0; }
  int release() noexcept;
  void reset(int fd = -1) noexcept;

 private:
  int fd_ = -1;
};

// The whole file; ErrorCode::limit beyond bytes_max.
[[nodiscard]] Result<std::string> read_file(const std::filesystem::path& path,
                                            std::size_t bytes_max = 256U << 20U);
// All or nothing and durable: temporary file beside it, fsync, rename, fsync of the folder.
[[nodiscard]] Result<void> write_file_atomic(const std::filesystem::path& path,
                                             std::string_view content, mode_t mode = 0640);
// Writes all of it, through short writes and EINTR.
[[nodiscard]] Result<void> write_all(int fd, Bytes bytes);
// mkdir -p for our own folders: existing ones keep their mode.
[[nodiscard]] Result<void> make_directories(const std::filesystem::path& path, mode_t mode = 0750);

}  // namespace menshen
