#include "apps/menshen/person.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <cstdint>

#include "base/file.hpp"
#include "base/users.hpp"

namespace menshen::apps {
namespace {

constexpr uid_t unset = static_cast<uid_t>(-1);

uid_t login_uid() {
  const auto text = read_file("/proc/self/loginuid", 64);
  std::uint32_t uid = unset;
  if (text) std::from_chars(text->data(), text->data() + text->size(), uid);
  return uid;
}

}  // namespace

std::string acting_person() {
  const uid_t login = login_uid();
  const uid_t uid = login == unset ? ::getuid() : login;
  return user_name(uid).value_or(fmt::format("uid {}", uid));
}

}  // namespace menshen::apps
