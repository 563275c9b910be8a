// Packets that leave with other bytes than those they came with: an inline sensor makes a segment
// that repeats bytes say what was inspected, and rules replace content.
//
// The captured bytes are never written: the first change copies the frame into memory of this
// object, and PacketMeta::data points there until the next begin_batch(). Lengths stay as they
// are; the checksum over the changed bytes is made right, also where it was left to hardware.
//
// Limits: rewrite_bytes_max of copies in one batch (allocated once, at the first change); no room,
// a packet out of another one (a tunnel's content, a datagram put together), or one whose checksum
// is not the Internet's (SCTP): open() says no, and the caller drops the packet. Cost: a copy of
// the frame and its checksum. One worker's own.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "sensor/packet/packet.hpp"

namespace menshen::sensor {

inline constexpr std::size_t rewrite_bytes_max = 4U << 20U;

class PacketRewriter {
 public:
  void begin_batch() noexcept { used_ = 0; }
  // The packet's payload, to be changed; empty: cannot be. close() follows every change.
  [[nodiscard]] std::span<std::byte> open(PacketMeta& packet);
  // Makes the transport checksum right.
  void close(PacketMeta& packet) noexcept;
  // The packet's bytes are no longer those that came.
  [[nodiscard]] bool rewrote(const PacketMeta& packet) const noexcept;

 private:
  std::unique_ptr<std::byte[]> memory_;
  std::size_t used_ = 0;
};

}  // namespace menshen::sensor
