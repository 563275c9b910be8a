#include "sensor/packet/rewrite.hpp"

#include <cstring>
#include <functional>
#include <optional>

#include "sensor/packet/checksum.hpp"

namespace menshen::sensor {

namespace {

constexpr std::uint16_t udp_checksum_offset = 6;

// Where the transport header keeps its checksum.
std::optional<std::uint16_t> checksum_offset(IpProto proto) noexcept {
  switch (proto) {
    case IpProto::tcp:
      return 16;
    case IpProto::udp:
      return udp_checksum_offset;
    case IpProto::icmp:
    case IpProto::icmpv6:
      return 2;
    default:
      return std::nullopt;
  }
}

}  // namespace

std::span<std::byte> PacketRewriter::open(PacketMeta& packet) {
  if (packet.derived || packet.fragment || packet.transport_offset == 0) return {};
  if (!checksum_offset(packet.proto)) return {};
  if (!rewrote(packet)) {
    if (packet.length > rewrite_bytes_max - used_) return {};
    if (!memory_) memory_ = std::make_unique_for_overwrite<std::byte[]>(rewrite_bytes_max);
    std::byte* copy = memory_.get() + used_;
    std::memcpy(copy, packet.data, packet.length);
    used_ += packet.length;
    packet.data = copy;
  }
  // A rewritten packet's bytes are memory_'s own.
  std::byte* frame = memory_.get() + (packet.data - memory_.get());
  return {frame + packet.payload_offset, packet.payload_length};
}

bool PacketRewriter::rewrote(const PacketMeta& packet) const noexcept {
  const std::less<> before;
  return memory_ && !before(packet.data, memory_.get()) &&
         before(packet.data, memory_.get() + used_);
}

void PacketRewriter::close(PacketMeta& packet) noexcept {
  std::byte* header = memory_.get() + (packet.data - memory_.get()) + packet.transport_offset;
  std::byte* field = header + *checksum_offset(packet.proto);
  const bool unused = packet.proto == IpProto::udp && packet.ip_version == 4 &&
                      field[0] == std::byte{0} && field[1] == std::byte{0};
  if (unused) return;  // RFC 768
  field[0] = field[1] = std::byte{0};
  const std::size_t length =
      packet.payload_offset - std::size_t{packet.transport_offset} + packet.payload_length;
  std::uint16_t sum = transport_checksum(packet, {header, length});
  if (sum == 0 && packet.proto == IpProto::udp) sum = 0xffff;
  field[0] = static_cast<std::byte>(sum >> 8U);
  field[1] = static_cast<std::byte>(sum & 0xffU);
  packet.checksum_trusted = true;
}

}  // namespace menshen::sensor
