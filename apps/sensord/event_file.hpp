// The event file: lines in, appended by a thread of its own.
//
// push() never blocks on the disk: beyond lines_max waiting lines it drops and counts. A write that
// fails is counted too, and tried again with the next lines; the first failure and the recovery are
// logged.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/file.hpp"
#include "base/result.hpp"

namespace menshen::apps {

struct EventFileStats {
  std::uint64_t written = 0;  // lines
  std::uint64_t dropped = 0;  // lines: queue full or write failed
  std::uint64_t waiting = 0;  // lines, now
};

class EventFile {
 public:
  [[nodiscard]] static Result<std::unique_ptr<EventFile>> open(const std::filesystem::path& path,
                                                               std::size_t lines_max);
  ~EventFile();  // writes what waits
  EventFile(const EventFile&) = delete;
  EventFile& operator=(const EventFile&) = delete;

  // Each without its line end. Thread-safe.
  void push(std::vector<std::string>&& lines);
  // Opens the path again, after what waits has been written: the file was renamed (log rotation).
  // Thread-safe.
  void reopen();
  [[nodiscard]] EventFileStats stats() const;

 private:
  EventFile(std::filesystem::path path, UniqueFd fd, std::size_t lines_max);
  void run();
  void write(const std::vector<std::string>& lines);
  void open_again();

  std::filesystem::path path_;
  UniqueFd fd_;  // the writer's
  std::size_t lines_max_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> waiting_;
  bool reopen_ = false;
  bool stop_ = false;
  std::atomic<std::uint64_t> written_{0};
  std::atomic<std::uint64_t> dropped_{0};
  bool failing_ = false;  // the writer's
  std::thread thread_;
};

}  // namespace menshen::apps
