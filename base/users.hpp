// The system's users and groups (passwd and group databases): owners, peers, least privilege. Each
// call asks the name service, which may read files or wait for a server. Thread safe.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace menshen {

struct User {
  uid_t uid = 0;
  gid_t gid = 0;  // the primary group
};

struct Group {
  gid_t gid = 0;
  std::vector<std::string> members;  // without those whose primary group it is
};

// not_found: there is no such name (an empty one is none). Other errors: the database could not be
// asked.
[[nodiscard]] Result<User> find_user(const std::string& name);
[[nodiscard]] Result<Group> find_group(const std::string& name);

// Nothing: the number has no name, or the database could not be asked.
[[nodiscard]] std::optional<std::string> user_name(uid_t uid);
[[nodiscard]] std::optional<std::string> group_name(gid_t gid);

}  // namespace menshen
