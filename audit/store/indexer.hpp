// Builds the indices of a store's segments in a thread of its own, a little behind the writer, with
// connections of its own. A failure (a full disk) costs speed of finding, never a record: it tries
// again with the next wake.
#pragma once

#include <sys/types.h>

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include "audit/store/index.hpp"
#include "audit/store/paths.hpp"
#include "audit/store/segment.hpp"

namespace menshen::audit {

class Indexer {
 public:
  explicit Indexer(StorePaths paths, mode_t file_mode = 0640);
  ~Indexer();  // stops after the block at hand; the next one goes on there
  Indexer(const Indexer&) = delete;
  Indexer& operator=(const Indexer&) = delete;

  void wake();
  // The segment is going to be removed: lets go of it.
  void forget(std::uint64_t number);
  // Waits until everything that was stored before is in the index, whole blocks that is; false
  // where that cannot be.
  [[nodiscard]] bool catch_up();

 private:
  struct Work {
    Segment segment;
    Index index;
  };

  void run();
  // Brings every index up to its segment; an error is only remembered.
  [[nodiscard]] Result<void> round();
  [[nodiscard]] Result<void> bring_up(std::uint64_t number, bool newest);
  [[nodiscard]] bool stopping();

  StorePaths paths_;
  mode_t file_mode_;
  std::set<std::uint64_t> done_;  // finished segments whose index is whole
  std::optional<Work> live_;      // kept open between rounds
  std::uint64_t live_number_ = 0;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::uint64_t> forgotten_;
  std::uint64_t wanted_ = 0;  // wakes
  std::uint64_t rounds_ = 0;  // the wakes that a finished round answered
  bool failed_ = false;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace menshen::audit
