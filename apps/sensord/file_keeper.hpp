// What becomes of files out of the traffic, away from the packet thread: stored (FileStore), asked
// about at ClamAV (Clamd), and then written as events that say so.
//
//   packets ── take() ──► bounded queue ──► store ──► bounded queue ──► scan ──► event, record
//
// take() is a short lock and a move; where its queue is full the file is neither stored nor
// scanned, and counted. Storing never waits for clamd: where the second queue is full, the file is
// stored and not scanned, and counted. All of it happens after the traffic has passed: nothing here
// blocks.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "apps/sensord/clamd.hpp"
#include "apps/sensord/file_store.hpp"
#include "audit/record/record.hpp"
#include "sensor/engine/event.hpp"

namespace menshen::apps {

struct FileKeeperOptions {
  std::optional<FileStoreOptions> store;  // nothing: files are not stored
  std::filesystem::path clamd_socket;     // empty: files are not scanned
  std::chrono::milliseconds clamd_timeout{10'000};
  std::uint64_t waiting_bytes_max = 64ULL << 20U;  // of each of the two queues
  std::size_t waiting_files_max = 1024;            // the same
};

struct FileJob {
  std::string line;  // the file's fileinfo event, EVE JSON
  std::shared_ptr<sensor::FileContent> content;
  audit::Record record;  // of the file and its flow; goes out when something was found in it
  std::string sha256;    // of the content; the keeper's
};

struct FileKeeperStats {
  std::uint64_t bytes = 0;      // kept in the store now
  std::uint64_t stored = 0;     // files
  std::uint64_t known = 0;      // their content was there already
  std::uint64_t full = 0;       // not stored: the store is full
  std::uint64_t disk_low = 0;   // not stored: the disk has too little room
  std::uint64_t failed = 0;     // not stored: the disk refused
  std::uint64_t scanned = 0;    // clamd has answered
  std::uint64_t infected = 0;   // of them
  std::uint64_t unscanned = 0;  // clamd was absent, too slow, failed, or busy
  std::uint64_t refused = 0;    // neither stored nor scanned: too much waits
  std::uint64_t waiting = 0;    // files, now
};

// The jobs between two threads.
class FileQueue {
 public:
  FileQueue(std::uint64_t bytes_max, std::size_t files_max)
      : bytes_max_(bytes_max), files_max_(files_max) {}
  // False: there is no room, or it is closed; `job` is as it was.
  bool push(FileJob& job);
  // Waits. Nothing: closed, and all taken.
  std::optional<FileJob> pop();
  void close();
  [[nodiscard]] std::size_t size() const;

 private:
  std::uint64_t bytes_max_;
  std::size_t files_max_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<FileJob> jobs_;
  std::uint64_t bytes_ = 0;
  bool closed_ = false;
};

class FileKeeper {
 public:
  // Where events and records go; called on the keeper's threads.
  struct Outputs {
    std::function<void(std::string line)> event;
    std::function<void(audit::Record record)> record;
  };

  [[nodiscard]] static Result<std::unique_ptr<FileKeeper>> start(FileKeeperOptions options,
                                                                 Outputs outputs);
  ~FileKeeper();  // stop()
  FileKeeper(const FileKeeper&) = delete;
  FileKeeper& operator=(const FileKeeper&) = delete;

  // Whether files are scanned: only then a job needs its record.
  [[nodiscard]] bool scans() const noexcept { return clamd_.has_value(); }
  // False: refused, and counted; the job is as it was. Thread-safe.
  bool take(FileJob& job);
  // What waits is stored and told, but no longer scanned. Nothing is taken afterwards.
  void stop();

  [[nodiscard]] FileKeeperStats stats() const;

 private:
  FileKeeper(const FileKeeperOptions& options, std::optional<FileStore> store, Outputs outputs);
  void run_store();
  void run_scan();
  static void name(FileJob& job);
  void store(FileJob& job);
  void scan(FileJob& job);
  // What happened to it is in its line.
  void tell(FileJob&& job);
  void note_clamd(bool answers, const std::string& why);

  Outputs outputs_;
  std::optional<FileStore> store_;  // the store thread's
  std::optional<Clamd> clamd_;
  FileQueue to_store_;
  FileQueue to_scan_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> full_told_{false};
  bool clamd_failing_ = false;  // the scan thread's
  std::atomic<std::uint64_t> bytes_{0};
  std::array<std::atomic<std::uint64_t>, file_kept_outcomes> kept_{};  // by FileKept
  std::atomic<std::uint64_t> scanned_{0};
  std::atomic<std::uint64_t> infected_{0};
  std::atomic<std::uint64_t> unscanned_{0};
  std::atomic<std::uint64_t> refused_{0};
  std::thread store_thread_;
  std::thread scan_thread_;
};

}  // namespace menshen::apps
