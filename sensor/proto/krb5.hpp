// Kerberos' encryption types (IANA "Kerberos Encryption Type Numbers"), for the parser and for
// rules.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace menshen::sensor {

struct Krb5Encryption {
  std::int64_t type;
  std::string_view name;
};
[[nodiscard]] std::span<const Krb5Encryption> krb5_encryptions() noexcept;
// The number where it has no name.
[[nodiscard]] std::string krb5_encryption_name(std::int64_t type);
// Not one of AES and Camellia.
[[nodiscard]] bool is_weak_krb5_encryption(std::int64_t type) noexcept;

}  // namespace menshen::sensor
