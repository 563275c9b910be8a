#include "base/users.hpp"

#include <grp.h>
#include <pwd.h>

#include <cerrno>

namespace menshen {
namespace {

constexpr std::size_t buffer_bytes = 16U << 10U;
constexpr std::size_t buffer_bytes_max = 16U << 20U;  // a group with a few hundred thousand members

// The entry that `ask` (one of get*_r) finds; what it points to lies in `buffer`.
template <typename Entry, typename Ask>
Result<Entry> look_up(std::string& buffer, const Text& what, Ask ask) {
  for (std::size_t size = buffer_bytes;; size *= 4) {
    buffer.resize(size);
    Entry entry{};
    Entry* found = nullptr;
    const int error = ask(&entry, buffer.data(), buffer.size(), &found);
    if (found != nullptr) return entry;
    if (error == ERANGE && size < buffer_bytes_max) continue;
    // POSIX leaves open how "no such entry" is told; these are what getpwnam(3) lists.
    if (error == 0 || error == ENOENT || error == ESRCH || error == EBADF || error == EPERM)
      return fail(ErrorCode::not_found, {"没有" + what.zh, "there is no " + what.en});
    return fail_errno({"无法查询" + what.zh, "cannot look up the " + what.en}, error);
  }
}

}  // namespace

Result<User> find_user(const std::string& name) {
  std::string buffer;
  const auto entry =
      MENSHEN_TRY(look_up<passwd>(buffer, {"用户 " + name, "user " + name}, [&](auto... rest) {
        return ::getpwnam_r(name.c_str(), rest...);
      }));
  return User{entry.pw_uid, entry.pw_gid};
}

Result<Group> find_group(const std::string& name) {
  std::string buffer;
  const auto entry =
      MENSHEN_TRY(look_up<group>(buffer, {"用户组 " + name, "group " + name}, [&](auto... rest) {
        return ::getgrnam_r(name.c_str(), rest...);
      }));
  Group found{entry.gr_gid, {}};
  for (char** member = entry.gr_mem; *member != nullptr; ++member)
    found.members.emplace_back(*member);
  return found;
}

std::optional<std::string> user_name(uid_t uid) {
  std::string buffer;
  const auto entry = look_up<passwd>(buffer, {"用户", "user"},
                                     [&](auto... rest) { return ::getpwuid_r(uid, rest...); });
  if (!entry) return std::nullopt;
  return entry->pw_name;
}

std::optional<std::string> group_name(gid_t gid) {
  std::string buffer;
  const auto entry = look_up<group>(buffer, {"用户组", "group"},
                                    [&](auto... rest) { return ::getgrgid_r(gid, rest...); });
  if (!entry) return std::nullopt;
  return entry->gr_name;
}

}  // namespace menshen
