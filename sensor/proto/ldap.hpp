// LDAP's operations and result codes by name (RFC 4511), for the parser and for rules.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace menshen::sensor {

struct LdapName {
  std::uint32_t number;
  std::string_view name;
};
[[nodiscard]] std::span<const LdapName> ldap_operations() noexcept;
[[nodiscard]] std::span<const LdapName> ldap_result_codes() noexcept;

}  // namespace menshen::sensor
