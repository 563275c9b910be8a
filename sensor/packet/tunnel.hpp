// Packets in packets: what a packet that decode() marked `tunnel` carries.
//
// IPv4 or IPv6 in either (RFC 2003, 2473, 4213), MPLS in IP (RFC 4023), GRE (RFC 2784, 2890) with
// IP, Ethernet, VLAN, MPLS and PPP, PPTP's GRE (RFC 2637), ERSPAN I, II and III, VXLAN (RFC 7348),
// GENEVE (RFC 8926), Teredo (RFC 4380). Not opened: encrypted content (ESP).
//
// UDP's tunnels are known by port, so a payload that does not look like one is nobody's tunnel: it
// stays a datagram.
//
// No allocation; linear in the headers read. Thread-safe on different packets.
#pragma once

#include <cstdint>
#include <optional>

#include "sensor/packet/packet.hpp"

namespace menshen::sensor {

// Packets in packets, this many deep, are inspected; deeper ones meet the exception policy
// (DropReason::tunnel_depth inline, not inspected else) and have the anomaly too_many_layers.
inline constexpr std::size_t tunnel_depth_max = 8;

enum class TunnelKind : std::uint8_t {
  none,
  ip_in_ip,
  mpls_in_ip,
  gre,
  erspan,
  vxlan,
  geneve,
  teredo,
};

struct TunnelContent {
  Bytes bytes;
  LinkType link = LinkType::raw_ip;
  TunnelKind kind = TunnelKind::none;
  // What tells tenants apart: VNI, GRE key, the VLAN of an ERSPAN mirror; 0: none.
  std::uint32_t id = 0;
};

// Notes what is wrong with the tunnel's header on `packet`. Nothing: it carries no packet that can
// be inspected.
[[nodiscard]] std::optional<TunnelContent> open_tunnel(PacketMeta& packet) noexcept;

// Flows inside of different tunnels never mix, whatever their addresses: a number for the way in,
// 0 only outside of tunnels. The same both ways: it does not depend on the outer addresses, but on
// the outer tags, the kinds and the ids, from the outside in.
[[nodiscard]] std::uint64_t tunnel_tenant(std::uint64_t outer, const PacketMeta& packet,
                                          const TunnelContent& content) noexcept;

}  // namespace menshen::sensor
