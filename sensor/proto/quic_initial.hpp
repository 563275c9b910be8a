// QUIC's Initial packets opened (RFC 9001 5, RFC 9369, drafts 23 to 34): their keys follow from a
// connection identifier that is in the clear, so anyone on the path can read them. Through OpenSSL.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/byte_reader.hpp"
#include "sensor/packet/packet.hpp"

namespace menshen::sensor {

inline constexpr std::uint32_t quic_v1 = 0x00000001;
inline constexpr std::uint32_t quic_v2 = 0x6b3343cf;
inline constexpr std::size_t quic_connection_id_bytes_max = 20;

enum class QuicPacketType : std::uint8_t {
  initial,
  zero_rtt,
  handshake,
  retry,
  version_negotiation
};

// One packet with a long header (RFC 9000 17.2). Views point into the datagram.
struct QuicPacket {
  QuicPacketType type = QuicPacketType::initial;
  std::uint32_t version = 0;
  Bytes destination_id;
  Bytes source_id;
  Bytes whole;                       // header and payload
  std::size_t packet_number_at = 0;  // in `whole`; of an Initial
};

// A version whose Initial packets can be opened.
[[nodiscard]] bool is_quic_version(std::uint32_t version) noexcept;

// Takes the next packet off a datagram (several may follow one another). Nothing: no long header,
// an unknown version, or it ends early.
[[nodiscard]] std::optional<QuicPacket> next_quic_packet(Bytes& datagram) noexcept;

// The payload in the clear; nothing where it does not authenticate. `original_id` is the
// destination identifier of the client's first Initial (or of its first after a Retry).
[[nodiscard]] std::optional<std::vector<std::byte>> open_quic_initial(const QuicPacket& packet,
                                                                      Bytes original_id,
                                                                      Direction direction);

// RFC 9000 16.
[[nodiscard]] std::uint64_t quic_varint(ByteReader& reader) noexcept;

}  // namespace menshen::sensor
