// Which protocol each side of a stream speaks, where the two sides were looked at apart.
#pragma once

#include <cstdint>

#include "sensor/flow/flow.hpp"
#include "sensor/packet/packet.hpp"

namespace menshen::sensor {

// By the first bytes of this side; the flow's protocol where they say nothing.
[[nodiscard]] AppProto spoken_by(const Flow& flow, Direction side) noexcept;
// What the peers spoke before they changed to another protocol; unknown: they did not.
[[nodiscard]] AppProto spoken_before(const Flow& flow) noexcept;
// What the peers agree to change to next will be looked at: they did not change too often before.
[[nodiscard]] bool may_change_protocol(const Flow& flow) noexcept;
// This packet showed that the two sides speak different protocols.
[[nodiscard]] bool shows_mismatch(const Flow& flow, const PacketMeta& packet) noexcept;

}  // namespace menshen::sensor
