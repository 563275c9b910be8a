// Tells when policyd has put another policy in force, and reads it.
#pragma once

#include <memory>
#include <optional>

#include "apps/common/active_policy.hpp"
#include "base/file.hpp"

namespace menshen::apps {

struct PolicyForLabels {
  ActivePolicy active;
  std::shared_ptr<const policy::Policy> policy;
};

class PolicyWatch {
 public:
  // Watches the folder of `file` through inotify(7); ErrorCode::not_found while the folder is not
  // there.
  [[nodiscard]] static Result<PolicyWatch> make(const std::filesystem::path& file);
  [[nodiscard]] int fd() const noexcept {
    return inotify_.get();
  }              // readable: something has changed
  void clear();  // takes the notices
  // Nothing where no policy was ever applied.
  [[nodiscard]] Result<std::optional<PolicyForLabels>> read(const Clock& clock) const;

 private:
  PolicyWatch(std::filesystem::path file, UniqueFd inotify)
      : file_(std::move(file)), inotify_(std::move(inotify)) {}
  std::filesystem::path file_;
  UniqueFd inotify_;
};

}  // namespace menshen::apps
