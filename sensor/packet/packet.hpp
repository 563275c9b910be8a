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
#include "sensor/packet/anomaly.hpp"

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
  // Inside a tunnel only:
  vlan,  // begins at a tag, behind its EtherType
  mpls,  // begins at a label
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
  midstream,         // a TCP flow whose beginning was not seen: exception policy
  stream_depth,      // a direction reached stream_depth: exception policy
  proto_error,       // what came breaks its protocol: exception policy
  fragment_memory,   // defragmentation reached a limit: exception policy
  fragment_overlap,  // fragments repeat bytes with other content
  tunnel_depth,      // packets in packets, deeper than inspected: exception policy
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

// Anomalies kept of one packet; further ones are not noted.
inline constexpr std::size_t packet_anomalies_max = 32;
// VLAN tags kept of one packet, outermost first (Suricata keeps as many).
inline constexpr std::size_t vlan_tags_max = 3;

struct PacketMeta {
  const std::byte* data = nullptr;  // the frame, from its link header
  Flow* flow = nullptr;             // after the flow stage; not owned
  WallTime time = 0;
  Anomaly* anomaly_places = nullptr;  // packet_anomalies_max of them, the batch's; see note()
  std::uint32_t length = 0;           // bytes at `data`
  std::uint32_t id = 0;               // capture's own: packet number (file) or NFQUEUE packet id
  std::uint32_t payload_length =
      0;  // after the transport header, by the IP length (no link padding)
  std::uint16_t network_offset = 0;  // of the IP header
  std::uint16_t transport_offset =
      0;  // of the TCP/UDP/ICMP header; 0: none (fragment, unknown protocol)
  std::uint16_t payload_offset = 0;
  std::uint16_t attachment =
      0;  // index of where it entered (interface, VLAN ...), given by the capture
  std::array<std::uint16_t, vlan_tags_max> vlan{};  // ids, outermost first; valid up to vlan_count
  IpProto proto{};                                  // of the transport header
  std::uint8_t tcp_flags = 0;
  std::uint8_t anomaly_count : 7 = 0;
  bool uninspected : 1 = false;  // an exception policy lets it pass without rules
  LinkType link : 4 = LinkType::ethernet;
  std::uint8_t vlan_count : 3 = 0;
  bool fragment : 1 = false;        // part of a datagram (not its whole)
  std::uint8_t ip_version : 3 = 0;  // 4, 6; 0: no IP
  Verdict verdict : 2 = Verdict::accept;
  Direction direction : 1 = Direction::to_server;  // after the flow stage
  bool checksum_trusted : 1 =
      false;                // hardware or GSO: the checksum is not filled in, do not verify
  bool tunnel : 1 = false;  // carries a packet of its own (tunnel.hpp)
  DropReason reason : 6 = DropReason::none;
  bool derived : 1 = false;  // out of another packet: a tunnel's content, a datagram put together
  bool reassembled : 1 = false;  // a datagram put together

  [[nodiscard]] Bytes frame() const noexcept { return {data, length}; }
  [[nodiscard]] Bytes payload() const noexcept { return {data + payload_offset, payload_length}; }
  [[nodiscard]] bool dropped() const noexcept { return verdict != Verdict::accept; }
  // A later stage may only raise the verdict; the reason is the last one's.
  void refuse(Verdict wanted, DropReason why) noexcept {
    if (verdict < wanted) verdict = wanted;
    reason = why;
  }
  // Each anomaly is noted once. Nowhere to note (a record that stands for a flow's end): nothing.
  void note(Anomaly anomaly) noexcept {
    if (anomaly_places == nullptr || anomaly_count == packet_anomalies_max) return;
    for (std::size_t i = 0; i < anomaly_count; ++i) {
      if (anomaly_places[i] == anomaly) return;
    }
    anomaly_places[anomaly_count] = anomaly;
    ++anomaly_count;
  }
  [[nodiscard]] std::span<const Anomaly> anomalies() const noexcept {
    return {anomaly_places, anomaly_count};
  }
  [[nodiscard]] bool has(Anomaly anomaly) const noexcept {
    for (const Anomaly noted : anomalies()) {
      if (noted == anomaly) return true;
    }
    return false;
  }
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
  [[nodiscard]] PacketMeta& push() noexcept {  // not when full()
    PacketMeta& packet = packets_[count_] = PacketMeta{};
    packet.anomaly_places = anomalies_[count_++].data();
    return packet;
  }
  void clear() noexcept { count_ = 0; }

 private:
  std::array<PacketMeta, batch_packets_max> packets_;
  // Written only where a packet has an anomaly, so most of it is never touched.
  std::array<std::array<Anomaly, packet_anomalies_max>, batch_packets_max> anomalies_;
  std::size_t count_ = 0;
};

// Addresses and ports from the headers at the recorded offsets. Only for ip_version != 0.
[[nodiscard]] FiveTuple tuple_of(const PacketMeta& packet) noexcept;

}  // namespace menshen::sensor
