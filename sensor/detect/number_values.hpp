// Names that rules may write instead of a number: "mqtt.type:CONNECT". One row a name.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "sensor/proto/fields.hpp"

namespace menshen::sensor {

// Case does not matter. Not a name of this number's values: nothing.
[[nodiscard]] std::optional<std::uint64_t> named_value(const NumberName& number,
                                                       std::string_view name) noexcept;

}  // namespace menshen::sensor
