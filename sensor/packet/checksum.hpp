// The Internet checksum (RFC 1071). Linear in the bytes, several a cycle; no allocation.
#pragma once

#include <cstdint>

#include "sensor/packet/packet.hpp"

namespace menshen::sensor {

// The folded one's complement sum of `bytes` and what `start` brings in, not complemented, network
// order. An odd last byte is padded with zero.
[[nodiscard]] std::uint16_t checksum_sum(Bytes bytes, std::uint64_t start = 0) noexcept;

// A header that holds its own checksum, right.
[[nodiscard]] bool checksum_ok(Bytes header) noexcept;

// The checksum that a transport segment must hold, computed over it with that field zero.
[[nodiscard]] std::uint16_t transport_checksum(const PacketMeta& packet, Bytes segment) noexcept;

// A transport segment (header and payload) under the pseudo header of `packet`'s IP header. For
// ICMP, without.
[[nodiscard]] bool transport_checksum_ok(const PacketMeta& packet, Bytes segment) noexcept;

}  // namespace menshen::sensor
