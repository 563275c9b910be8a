// Transforms: what a rule makes of a buffer before it looks at it.
#pragma once

#include <span>
#include <string>

#include "base/byte_reader.hpp"
#include "sensor/detect/rule.hpp"

namespace menshen::sensor {

// The buffer after all transforms, in `storage` (reused from call to call) unless there are none.
// Linear.
[[nodiscard]] Bytes apply_transforms(Bytes input, std::span<const Transform> transforms,
                                     std::string& storage);

// Base64 up to the first byte that is not in the alphabet; blanks and line ends are skipped. At
// most bytes_max out.
void decode_base64(Bytes input, std::size_t bytes_max, std::string& output);

}  // namespace menshen::sensor
