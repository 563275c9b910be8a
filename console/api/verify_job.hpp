// Checking the whole audit store: takes seconds to minutes, so it runs in a thread of its own, one
// at a time. Thread-safe.
#pragma once

#include <filesystem>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <thread>

#include "base/result.hpp"

namespace menshen::console {

class VerifyJob {
 public:
  explicit VerifyJob(std::filesystem::path directory) : directory_(std::move(directory)) {}
  ~VerifyJob();  // waits for the one that runs
  // False: one runs already.
  [[nodiscard]] bool start(const std::string& who);
  // {"state": "none"|"running"|"done"|"failed", "started_at", "started_by", "report_zh",
  // "report_en", "error"}
  [[nodiscard]] nlohmann::json state() const;

 private:
  void run();

  std::filesystem::path directory_;
  mutable std::mutex mutex_;
  std::thread thread_;
  bool running_ = false;
  std::string started_at_;
  std::string started_by_;
  std::string report_zh_;
  std::string report_en_;
  std::optional<Error> error_;
};

}  // namespace menshen::console
