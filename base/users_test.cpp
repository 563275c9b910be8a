#include "base/users.hpp"

#include <unistd.h>

#include <catch2/catch.hpp>

namespace menshen {
namespace {

constexpr uid_t nobody_has = 3'999'999'001;

TEST_CASE("users: root is found by its name and its number") {
  const auto root = find_user("root");
  REQUIRE(root);
  CHECK(root->uid == 0);
  CHECK(root->gid == 0);
  CHECK(user_name(0) == "root");
  CHECK(group_name(0) == "root");
  const auto group = find_group("root");
  REQUIRE(group);
  CHECK(group->gid == 0);
}

TEST_CASE("users: a name that nobody has is not found") {
  for (const std::string name : {"", "menshen-nobody-is-called-this", "root\n", "../root"}) {
    CAPTURE(name);
    const auto user = find_user(name);
    REQUIRE_FALSE(user);
    CHECK(user.error().code == ErrorCode::not_found);
    const auto group = find_group(name);
    REQUIRE_FALSE(group);
    CHECK(group.error().code == ErrorCode::not_found);
  }
  CHECK_FALSE(user_name(nobody_has).has_value());
  CHECK_FALSE(group_name(nobody_has).has_value());
}

}  // namespace
}  // namespace menshen
