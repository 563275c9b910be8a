// What libhtp's messages mean as events.
#pragma once

#include <optional>
#include <string_view>

#include "sensor/proto/events.hpp"

namespace menshen::sensor {

// The event of one of libhtp's warnings or errors, by how its text begins; `direction` is of the
// bytes that were read then. Nothing: it is not worth one.
[[nodiscard]] std::optional<ProtoEvent> http1_event_of(std::string_view message,
                                                       Direction direction) noexcept;

// Does the request's target hold an encoded percent sign with what makes it an escape of its own
// ("%2541")? Linear.
[[nodiscard]] bool is_double_encoded(std::string_view target) noexcept;

}  // namespace menshen::sensor
