// Records that wait on disk for auditd: a queue in files, first in, first out.
//
// Folder: spool-<number in 16 hex digits>, each at most segment_bytes_max, deleted once delivered;
// `lock`. File: "MSSPOOL1", then frames: u32 length, u32 CRC-32 (zlib's, over length and record),
// record. Big endian. An interrupted append leaves half a frame at the end, which opening cuts off.
// A broken frame elsewhere is disk damage: what follows it in its file is lost, and bytes_damaged()
// says so.
//
// After a crash, what was delivered since the oldest file began is delivered again. Not
// thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "audit/disk/disk.hpp"
#include "base/file.hpp"
#include "base/result.hpp"

namespace menshen::audit {

class Spool {
 public:
  static constexpr std::uint64_t segment_bytes_max = 4U << 20U;

  // ErrorCode::exists: another process has it.
  [[nodiscard]] static Result<Spool> open(const std::filesystem::path& directory,
                                          std::uint64_t bytes_max, DiskCalls disk = {});

  // Durable on success; on failure nothing of it is there. ErrorCode::limit: it would exceed
  // bytes_max.
  [[nodiscard]] Result<void> append(std::span<const std::string> records);
  // The next record to deliver; nothing where all have been read. Skips what the disk has damaged.
  [[nodiscard]] std::optional<std::string> next();
  // Reading begins again with the oldest that is not acknowledged.
  void rewind();
  // The oldest n of those read are delivered.
  void acknowledge(std::uint64_t n);

  [[nodiscard]] bool empty() const { return records_ == 0; }
  [[nodiscard]] std::uint64_t records() const { return records_; }  // not acknowledged
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }      // of all files
  [[nodiscard]] std::uint64_t bytes_damaged() const { return bytes_damaged_; }

 private:
  struct Segment {
    std::uint64_t number = 0;
    UniqueFd fd;
    std::uint64_t bytes = 0;
    std::uint64_t records = 0;
    std::uint64_t acknowledged = 0;
  };

  Spool(std::filesystem::path directory, std::uint64_t bytes_max, DiskCalls disk, UniqueFd lock)
      : directory_(std::move(directory)),
        bytes_max_(bytes_max),
        disk_(std::move(disk)),
        lock_(std::move(lock)) {}
  [[nodiscard]] std::filesystem::path path_of(std::uint64_t number) const;
  [[nodiscard]] Result<void> load(std::uint64_t number, bool last);
  [[nodiscard]] Result<void> begin_segment();
  [[nodiscard]] Result<void> write_durably(Segment& segment, std::string_view frames);
  void skip_acknowledged();
  void cut_damaged(Segment& segment);
  void drop_front();

  std::filesystem::path directory_;
  std::uint64_t bytes_max_;
  DiskCalls disk_;
  UniqueFd lock_;
  std::deque<Segment> segments_;
  std::uint64_t next_number_ = 1;
  std::size_t read_segment_ = 0;
  std::uint64_t read_offset_ = 0;
  std::uint64_t read_records_ = 0;  // of that segment
  std::uint64_t records_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t bytes_damaged_ = 0;
};

}  // namespace menshen::audit
