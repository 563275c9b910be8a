// New security events as they come into the audit store, for pages that are open. Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/result.hpp"

namespace menshen::console {

inline constexpr std::size_t live_events_kept_max = 500;
inline constexpr std::size_t live_streams_max = 16;

class Live {
 public:
  // Looks into the store so often, from a thread of its own, for what is stored from now on.
  Live(std::filesystem::path audit_directory, std::chrono::milliseconds interval);
  ~Live();
  Live(const Live&) = delete;
  Live& operator=(const Live&) = delete;

  struct Event {
    std::uint64_t number = 0;
    std::string domain_src;
    std::string domain_dst;
    std::string json;
  };
  // The number after which a new stream begins.
  [[nodiscard]] std::uint64_t newest() const;
  // Events after that number; waits for one at most so long. Empty: none came, or ending.
  [[nodiscard]] std::vector<Event> after(std::uint64_t number, std::chrono::milliseconds wait);
  // False: there are live_streams_max already.
  [[nodiscard]] bool enter();
  void leave();
  [[nodiscard]] bool ending() const;
  void end();  // wakes everybody who waits

 private:
  void watch();
  void look();

  std::filesystem::path directory_;
  std::chrono::milliseconds interval_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Event> events_;
  std::uint64_t seen_ = 0;
  bool started_ = false;
  std::size_t streams_ = 0;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace menshen::console
