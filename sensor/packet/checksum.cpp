#include "sensor/packet/checksum.hpp"

#include <array>
#include <bit>
#include <cstring>

namespace menshen::sensor {

namespace {

std::uint16_t fold(std::uint64_t sum) noexcept {
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16U);
  return static_cast<std::uint16_t>(sum);
}

std::uint16_t swap_to_network(std::uint16_t value) noexcept {
  if constexpr (std::endian::native == std::endian::little) {
    return static_cast<std::uint16_t>(value << 8U | value >> 8U);
  }
  return value;
}

}  // namespace

// Sums host-order words and swaps once at the end: the sum does not depend on the byte order (RFC
// 1071 2B).
std::uint16_t checksum_sum(Bytes bytes, std::uint64_t start) noexcept {
  std::uint64_t sum = swap_to_network(fold(start));
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  // Independent sums, so that the compiler adds several words at once.
  std::array<std::uint64_t, 8> lanes{};
  while (left >= 32) {
    std::array<std::uint32_t, 8> words;
    std::memcpy(words.data(), at, sizeof words);
    for (std::size_t i = 0; i < words.size(); ++i) lanes[i] += words[i];
    at += sizeof words;
    left -= sizeof words;
  }
  for (const std::uint64_t lane : lanes) sum += lane;
  while (left >= 4) {
    std::uint32_t word = 0;
    std::memcpy(&word, at, 4);
    sum += word;
    at += 4;
    left -= 4;
  }
  if (left != 0) {
    std::uint32_t word = 0;
    std::memcpy(&word, at, left);
    sum += word;
  }
  return swap_to_network(fold(sum));
}

bool checksum_ok(Bytes header) noexcept { return checksum_sum(header) == 0xffff; }

namespace {

// The sum of a segment and its pseudo header.
std::uint16_t transport_sum(const PacketMeta& packet, Bytes segment) noexcept {
  if (packet.proto == IpProto::icmp) return checksum_sum(segment);
  const bool v4 = packet.ip_version == 4;
  const Bytes addresses =
      packet.frame().subspan(packet.network_offset + (v4 ? 12U : 8U), v4 ? 8U : 32U);
  const std::uint64_t pseudo = std::uint64_t{checksum_sum(addresses)} + segment.size() +
                               static_cast<std::uint8_t>(packet.proto);
  return checksum_sum(segment, pseudo);
}

}  // namespace

std::uint16_t transport_checksum(const PacketMeta& packet, Bytes segment) noexcept {
  return static_cast<std::uint16_t>(~transport_sum(packet, segment));
}

bool transport_checksum_ok(const PacketMeta& packet, Bytes segment) noexcept {
  return transport_sum(packet, segment) == 0xffff;
}

}  // namespace menshen::sensor
