// checkpoints.log: every note once more, as plain text beside the database, each followed by an
// empty line. A database that was cut back contradicts it.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "audit/disk/disk.hpp"
#include "audit/store/note.hpp"
#include "base/file.hpp"

namespace menshen::audit {

class CheckpointLog {
 public:
  // Makes the file where absent.
  [[nodiscard]] static Result<CheckpointLog> open(const std::filesystem::path& path, mode_t mode,
                                                  DiskCalls disk);
  // The text of the last whole note; nothing in an empty log.
  [[nodiscard]] const std::optional<std::string>& last() const { return last_; }
  // What an interrupted append left behind the last whole note; append() overwrites it.
  [[nodiscard]] const std::string& torn() const { return torn_; }
  // Durable on success; on failure the file is as before, or has a torn end.
  [[nodiscard]] Result<void> append(const std::string& note);

 private:
  CheckpointLog(UniqueFd fd, DiskCalls disk) : fd_(std::move(fd)), disk_(std::move(disk)) {}
  UniqueFd fd_;
  DiskCalls disk_;
  off_t end_ = 0;  // of the last whole note
  std::optional<std::string> last_;
  std::string torn_;
};

// Reads a log from its beginning, one note at a time.
class CheckpointLogReader {
 public:
  // A log that does not exist reads as empty. What is appended later is not read.
  [[nodiscard]] static Result<CheckpointLogReader> open(const std::filesystem::path& path);
  // The text of the next note; nothing at the end. A piece that is too long for a note:
  // ErrorCode::corrupt.
  [[nodiscard]] Result<std::optional<std::string>> next();
  // After the end: bytes behind the last whole note.
  [[nodiscard]] const std::string& torn() const { return buffer_; }

 private:
  UniqueFd fd_;
  off_t unread_ = 0;
  std::string buffer_;
};

}  // namespace menshen::audit
