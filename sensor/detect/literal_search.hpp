// The first place of one literal in some bytes. Sixteen places at a time where the processor can:
// two bytes of the literal that are rare in traffic must stand at their distance before anything
// is compared.
#pragma once

#include <cstddef>
#include <string_view>

namespace menshen::sensor {

// Where `literal` begins in `text`, or npos. `folded`: letters of either case are equal, and the
// literal is in lower case. Reads nothing outside of `text`. Cost: linear for literals that do not
// repeat themselves, at most text times literal.
[[nodiscard]] std::size_t find_literal(std::string_view text, std::string_view literal,
                                       bool folded) noexcept;

}  // namespace menshen::sensor
