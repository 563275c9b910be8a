// A packet on its way through the stages: one 64-byte record beside the frame's own bytes.
//
// The record never owns bytes: `data` points into the capture buffer (or a defragmentation buffer)
// that lives until the batch's verdicts are given. A frame may be a 64 kB GSO super-frame (limits:
// frame_bytes_max).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/byte_reader.hpp"
#include "base/clock.hpp"
#include "base/ip.hpp"

namespace menshen::sensor {

struct Flow;

inline constexpr std::size_t frame_bytes_max = 256U << 10U;
inline constexpr std::size_t batch_packets_max = 256;

enum class LinkType : std::uint8_t {
  ethernet,
  raw_ip,
  linux_sll,
  linux_sll2,
  null_loopback,
  ppp,  // RFC 1661, with or without address and control octets
  cisco_hdlc,
};

enum class Direction : std::uint8_t { to_server, to_client };
[[nodiscard]] constexpr Direction reverse(Direction d) {
  return d == Direction::to_server ? Direction::to_client : Direction::to_server;
}

// What becomes of a packet. Ordered: a later stage may only raise it.
enum class Verdict : std::uint8_t { accept, drop, reject };

// Why a packet was dropped or not inspected. One value = one counter = one line of help
// (drop_reason.cpp).
enum class DropReason : std::uint8_t {
  none,
  decode_truncated,  // a header runs past the frame's end
  decode_malformed,  // header fields contradict each other
  checksum,          // a checksum is wrong (and not left to hardware)
  flow_table_full,   // flows_max reached: exception policy
  stream_memory,     // reassembly memory reached its limit: exception policy
  stream_overlap,    // a segment repeats bytes with other content (inline: first content wins)
  stream_invalid,    // TCP outside the window, after the connection's end, or in a hole given up
  proto_limit,       // a parser's limit was reached: exception policy
  flow_dropped,      // an earlier packet of the flow was dropped by a rule
  rule,              // a drop rule matched
  rule_reject,       // a reject rule matched
  count,
};

// TCP flags as in the header.
enum TcpFlag : std::uint8_t {
  tcp_fin = 1,
  tcp_syn = 2,
  tcp_rst = 4,
  tcp_psh = 8,
  tcp_ack = 16,
  tcp_urg = 32,
  tcp_ece = 64,
  tcp_cwr = 128
};

struct PacketMeta {
  const std::byte* data = nullptr;  // the frame, from its link header
  Flow* flow = nullptr;             // after the flow stage; not owned
  WallTime time = 0;
  std::uint32_t length = 0;  // bytes at `data`
  std::uint32_t id = 0;      // capture's own: packet number (file) or NFQUEUE packet id
  std::uint32_t payload_length =
      0;  // after the transport header, by the IP length (no link padding)
  std::uint16_t network_offset = 0;  // of the IP header
  std::uint16_t transport_offset =
      0;  // of the TCP/UDP/ICMP header; 0: none (fragment, unknown protocol)
  std::uint16_t payload_offset = 0;
  std::uint16_t attachment =
      0;  // index of where it entered (interface, VLAN ...), given by the capture
  std::array<std::uint16_t, 2> vlan{};  // outer, inner id; valid up to vlan_count
  std::uint16_t mtu = 0;
  std::uint8_t vlan_count = 0;
  LinkType link = LinkType::ethernet;
  IpProto proto{};  // of the transport header
  std::uint8_t tcp_flags = 0;
  Direction direction = Direction::to_server;  // after the flow stage
  Verdict verdict = Verdict::accept;
  DropReason reason = DropReason::none;
  bool checksum_trusted = false;  // hardware or GSO: the checksum is not filled in, do not verify
  std::uint8_t ip_version = 0;    // 4, 6; 0: no IP
  bool fragment = false;          // part of a datagram (not its whole)

  [[nodiscard]] Bytes frame() const noexcept { return {data, length}; }
  [[nodiscard]] Bytes payload() const noexcept { return {data + payload_offset, payload_length}; }
  [[nodiscard]] bool dropped() const noexcept { return verdict != Verdict::accept; }
};
static_assert(sizeof(PacketMeta) == 64);

// Up to batch_packets_max packets that share one life: captured, inspected, judged together.
class PacketBatch {
 public:
  [[nodiscard]] std::span<PacketMeta> packets() noexcept { return {packets_.data(), count_}; }
  [[nodiscard]] std::span<const PacketMeta> packets() const noexcept {
    return {packets_.data(), count_};
  }
  [[nodiscard]] bool full() const noexcept { return count_ == batch_packets_max; }
  [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
  [[nodiscard]] PacketMeta& push() noexcept {
    return packets_[count_++] = PacketMeta{};
  }  // not when full()
  void clear() noexcept { count_ = 0; }

 private:
  std::array<PacketMeta, batch_packets_max> packets_;
  std::size_t count_ = 0;
};

// Addresses and ports from the headers at the recorded offsets. Only for ip_version != 0.
[[nodiscard]] FiveTuple tuple_of(const PacketMeta& packet) noexcept;

}  // namespace menshen::sensor
