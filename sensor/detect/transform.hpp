// Transforms: what a rule makes of a buffer before it looks at it.
#pragma once

#include <span>
#include <string>

#include "base/byte_reader.hpp"
#include "sensor/detect/rule.hpp"

namespace menshen::sensor {

inline constexpr std::size_t inflate_bytes_default = 1024;    // of gunzip, zlib_deflate
inline constexpr std::size_t inflate_bytes_max = 16U << 20U;  // what a rule may ask for

// What transforms need from call to call; a worker's own.
struct TransformScratch {
  std::string text;
  std::string other;
  RegexScratch regex;
};

// The buffer after all transforms, in `scratch` unless there are none. Linear; what decompresses
// gives at most as many bytes as the rule says. A transform that cannot be done (no base64, no
// match, no host name) leaves the bytes as they are.
[[nodiscard]] Bytes apply_transforms(Bytes input, std::span<const Transform> transforms,
                                     TransformScratch& scratch);

// At most bytes_max out. False: the input is not base64 in this mode (strict: wholly so; the others
// take what stands before the first wrong byte, RFC 2045 skips these).
[[nodiscard]] bool decode_base64(Bytes input, Base64Mode mode, std::size_t bytes_max,
                                 std::string& output);

}  // namespace menshen::sensor
