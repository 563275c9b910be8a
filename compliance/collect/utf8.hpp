// Text from outside, made safe to show: well-formed UTF-8, no control characters but newline and
// tab, no direction overrides that would show a text in another order than it is read.
#pragma once

#include <string>
#include <string_view>

namespace menshen::compliance {

// Whatever cannot be shown becomes U+FFFD. At most bytes_max bytes, cut between characters. Linear.
[[nodiscard]] std::string printable(std::string_view text,
                                    std::size_t bytes_max = std::string::npos);

}  // namespace menshen::compliance
