// Digests of whole texts, as lower-case hex.
#pragma once

#include <string>
#include <string_view>

namespace menshen::compliance {

[[nodiscard]] std::string sha256_hex(std::string_view bytes);
[[nodiscard]] std::string sm3_hex(std::string_view bytes);  // GB/T 32905

}  // namespace menshen::compliance
