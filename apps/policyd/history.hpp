// The policies that were in force, in the order in which they came into force, kept as files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "apps/common/active_policy.hpp"

namespace menshen::apps {

class PolicyHistory {
 public:
  static constexpr std::size_t entries_max = 100;  // the oldest gives way

  struct Entry {
    std::uint32_t number = 0;  // from 1, never used again
    ActivePolicy policy;
  };

  explicit PolicyHistory(std::filesystem::path directory) : directory_(std::move(directory)) {}

  // Durable before it returns. The entry's number.
  [[nodiscard]] Result<std::uint32_t> add(const ActivePolicy& policy);
  // The newest first. A damaged file is left out.
  [[nodiscard]] Result<std::vector<Entry>> list() const;
  // ErrorCode::not_found.
  [[nodiscard]] Result<ActivePolicy> get(std::uint32_t number) const;
  // Of the newest entry; 0: there is none.
  [[nodiscard]] std::uint32_t newest() const;

 private:
  [[nodiscard]] std::filesystem::path file(std::uint32_t number) const;
  [[nodiscard]] std::vector<std::uint32_t> numbers() const;  // ascending

  std::filesystem::path directory_;
};

}  // namespace menshen::apps
