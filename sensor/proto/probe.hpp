// Which protocol do these first bytes of one direction speak? Pure functions of the bytes.
#pragma once

#include <cstdint>

#include "sensor/flow/flow.hpp"

namespace menshen::sensor {

enum class Guess : std::uint8_t { more, none, http1, dns, tls };

// `bytes` begin where the direction began. `more`: a longer prefix may still become one of ours.
// Monotonic: once it says none or a protocol for a prefix, it says the same for what begins with
// it.
[[nodiscard]] Guess probe_stream(Direction direction, Bytes bytes) noexcept;

// A datagram is DNS if its header makes sense and its questions are whole and well-formed.
[[nodiscard]] bool probe_dns_datagram(Bytes bytes) noexcept;

}  // namespace menshen::sensor
