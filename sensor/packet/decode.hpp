// Decode: where the headers of each packet of a batch stand, and whether they can be trusted.
//
// Link types: Ethernet, Linux cooked v1 and v2, BSD null/loopback, PPP, Cisco HDLC, raw IP. Before
// the network header: 802.1Q/802.1ad tags (0x8100, 0x88a8, 0x9100), 802.1ah, 802.1BR, VN-Tag,
// FabricPath, NSH (RFC 8300), MPLS (RFC 3032) with pseudo wires, PPPoE (RFC 2516). Network: IPv4
// with options (RFC 791), IPv6 with extension headers (RFC 8200). Transport: TCP (RFC 9293), UDP
// (RFC 768), ICMP (RFC 792), ICMPv6 (RFC 4443), SCTP's ports (RFC 9260). What is not IP (ARP ...)
// keeps ip_version 0 and is accepted.
//
// What is wrong with the headers is noted as anomalies; what leaves no sound header to go by is
// dropped too. A packet that carries another one (tunnel.hpp) is only marked here.
//
// A part of a datagram gets `fragment`, no transport header, and the part's bytes as payload;
// defrag.hpp puts datagrams together.
//
// No allocation, about 10 ns a packet. Thread-safe on different batches.
#pragma once

#include <cstdint>

#include "sensor/packet/packet.hpp"

namespace menshen::sensor {

// Headers between the link and the network header; more: malformed, too_many_layers.
inline constexpr std::size_t link_layers_max = 16;
// Labels of one MPLS stack; more: the same.
inline constexpr std::size_t mpls_labels_max = 16;
// RFC 8200 allows each extension header about once; a longer chain is malformed: an attack on
// parsers.
inline constexpr std::size_t ipv6_extensions_max = 16;
// UDP ports where the payload is a packet (IANA): anybody may use them for something else, so what
// does not look like it is left alone.
inline constexpr std::uint16_t vxlan_port = 4789;
inline constexpr std::uint16_t geneve_port = 6081;
inline constexpr std::uint16_t teredo_port = 3544;

enum class ChecksumMode : std::uint8_t { ignore, verify };

struct DecodeOptions {
  // verify: IPv4 header, TCP, UDP, ICMP, ICMPv6; never where PacketMeta::checksum_trusted, nor on
  // fragments or on a frame that the capture cut short.
  ChecksumMode checksums = ChecksumMode::verify;
};

// Of all packets decoded with it. A worker's own.
struct DecodeCounters {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  std::uint64_t vlan = 0;
  std::uint64_t ipv4 = 0;
  std::uint64_t ipv6 = 0;
  std::uint64_t not_ip = 0;
  std::uint64_t fragments = 0;
  std::uint64_t tcp = 0;
  std::uint64_t udp = 0;
  std::uint64_t icmp = 0;   // both versions
  std::uint64_t other = 0;  // IP with another transport
  std::uint64_t truncated = 0;
  std::uint64_t malformed = 0;
  std::uint64_t checksum = 0;
};

// Reads: data, length, link, checksum_trusted.
// Writes: the offsets, lengths, vlan, proto, tcp_flags, ip_version, fragment, tunnel, anomalies;
//         verdict drop with decode_truncated, decode_malformed or checksum, and ip_version 0 then
//         unless the addresses are sound.
// Next: flow. A packet that is dropped() here has no flow.
void decode(PacketBatch& batch, const DecodeOptions& options, DecodeCounters& counters) noexcept;
// The same for one packet out of another one.
void decode(PacketMeta& packet, const DecodeOptions& options, DecodeCounters& counters) noexcept;

// The TCP header's own fields, for a packet with proto tcp and transport_offset != 0. Host order.
struct TcpHeader {
  std::uint32_t seq = 0;
  std::uint32_t ack = 0;
  std::uint16_t window = 0;  // as sent, not scaled
  std::uint16_t urgent = 0;
  Bytes options;
};
[[nodiscard]] TcpHeader tcp_header(const PacketMeta& packet) noexcept;

}  // namespace menshen::sensor
