// What a person proves to be themselves with: a password (Argon2id, RFC 9106) and a code of six
// digits (TOTP, RFC 6238: SHA-1, 30 seconds).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace menshen::console {

inline constexpr std::size_t password_characters_min = 12;
inline constexpr std::size_t password_bytes_max = 256;
inline constexpr std::size_t totp_secret_bytes = 20;
inline constexpr int totp_step_seconds = 30;
inline constexpr int totp_steps_apart_max = 1;  // clocks may differ by a step either way

// Memory in KiB and passes of Argon2id; the defaults follow RFC 9106, section 4, second choice.
struct PasswordCost {
  std::uint32_t memory_kib = 64U << 10U;
  std::uint32_t passes = 3;
};

// At least password_characters_min characters of three kinds (small, capital, digit, other), and
// not the account's name in it (of three characters or more).
[[nodiscard]] Result<void> check_new_password(std::string_view password, std::string_view name);
// The encoded form ("$argon2id$v=19$..."), which holds its own cost. Uses the cost's memory.
[[nodiscard]] Result<std::string> hash_password(std::string_view password,
                                                const PasswordCost& cost = {});
[[nodiscard]] bool password_matches(const std::string& encoded, std::string_view password);

// Base32, as authenticator apps take it.
[[nodiscard]] std::string new_totp_secret();
[[nodiscard]] std::string totp_uri(std::string_view secret, std::string_view account,
                                   std::string_view issuer);
// The code that the secret gives at that time.
[[nodiscard]] Result<std::string> totp_code(std::string_view secret, WallTime time);
// The step that the code belongs to, if it is right now and newer than `last_step`: a code counts
// once.
[[nodiscard]] std::optional<std::uint64_t> totp_step(std::string_view secret, std::string_view code,
                                                     WallTime now, std::uint64_t last_step);
// A QR code as SVG, black on white.
[[nodiscard]] Result<std::string> qr_svg(const std::string& text);

}  // namespace menshen::console
