// A session description (RFC 8866), as SIP carries it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "sensor/proto/field_transaction.hpp"

namespace menshen::sensor {

// Of one description that are kept; the rest is not looked at.
inline constexpr std::size_t sdp_lines_max = 512;

// Adds the sdp buffers of a direction and returns EVE's object; null where it does not begin like
// one ("v="). Lines that are none are skipped. Linear.
[[nodiscard]] nlohmann::ordered_json read_sdp(std::string_view text, Direction direction,
                                              FieldTransaction& into);

}  // namespace menshen::sensor
