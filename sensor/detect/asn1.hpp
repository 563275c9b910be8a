// What the asn1 keyword looks for: encodings (BER, ITU-T X.690) that overran decoders.
#pragma once

#include <cstdint>

#include "base/byte_reader.hpp"

namespace menshen::sensor {

inline constexpr unsigned asn1_values_max = 256;  // looked at; what follows is not
inline constexpr unsigned asn1_depth_max = 16;

struct Asn1Checks {
  bool bitstring_overflow = false;  // more unused bits than the string has
  bool double_overflow = false;     // a REAL in text of more than 256 bytes
  std::uint32_t longer_than = 0;    // a value of more bytes than these; 0: not asked
};

// Whether one of the values that begin at the first byte, or inside them, is such. Linear.
[[nodiscard]] bool asn1_suspicious(Bytes bytes, const Asn1Checks& checks) noexcept;

}  // namespace menshen::sensor
