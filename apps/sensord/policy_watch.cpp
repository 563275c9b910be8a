#include "apps/sensord/policy_watch.hpp"

#include <sys/inotify.h>
#include <unistd.h>

#include <array>

namespace menshen::apps {

Result<PolicyWatch> PolicyWatch::make(const std::filesystem::path& file) {
  UniqueFd inotify(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  const std::filesystem::path folder = file.parent_path();
  // The file is replaced by rename, so its folder is what to watch.
  if (!inotify || ::inotify_add_watch(inotify.get(), folder.c_str(), IN_MOVED_TO | IN_CREATE) < 0) {
    const int error = errno;
    if (error == ENOENT) {
      return fail(ErrorCode::not_found, {"策略状态目录不存在：" + folder.string(),
                                         "there is no policy state folder " + folder.string()});
    }
    return fail_errno({"无法监视 " + folder.string(), "cannot watch " + folder.string()}, error);
  }
  return PolicyWatch(file, std::move(inotify));
}

void PolicyWatch::clear() {
  std::array<char, 4096> buffer{};
  while (::read(inotify_.get(), buffer.data(), buffer.size()) > 0) {
  }
}

Result<std::optional<PolicyForLabels>> PolicyWatch::read(const Clock& clock) const {
  auto active = MENSHEN_TRY(load_active_policy(file_));
  if (!active) return std::optional<PolicyForLabels>{};
  auto compiled = MENSHEN_TRY(compile_active(*active, clock));
  return std::optional<PolicyForLabels>(PolicyForLabels{
      std::move(*active), std::make_shared<const policy::Policy>(std::move(compiled))});
}

}  // namespace menshen::apps
