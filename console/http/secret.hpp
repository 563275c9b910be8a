// Randomness, digests and comparison for what must not be guessed.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace menshen::console {

// `bytes` random bytes of the system's generator. Ends the program where there are none.
[[nodiscard]] std::string random_bytes(std::size_t bytes);
// Base64url without padding of so many random bytes.
[[nodiscard]] std::string random_token(std::size_t bytes = 32);
[[nodiscard]] std::string sha256_hex(std::string_view text);
// Takes the same time wherever they differ.
[[nodiscard]] bool equal_secrets(std::string_view a, std::string_view b);
// Overwrites it in a way that is not optimised away.
void wipe(std::string& secret);

}  // namespace menshen::console
