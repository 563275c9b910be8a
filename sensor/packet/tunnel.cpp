#include "sensor/packet/tunnel.hpp"

#include "sensor/packet/decode.hpp"

namespace menshen::sensor {

namespace {

using Content = std::optional<TunnelContent>;

constexpr std::uint8_t proto_ipv4 = 4;
constexpr std::uint8_t proto_ipv6 = 41;
constexpr std::uint8_t proto_mpls = 137;

enum EtherType : std::uint16_t {
  ether_ipv4 = 0x0800,
  ether_erspan3 = 0x22eb,
  ether_bridge = 0x6558,
  ether_vlan = 0x8100,
  ether_ipv6 = 0x86dd,
  ether_ppp = 0x880b,
  ether_mpls = 0x8847,
  ether_erspan = 0x88be,
};

std::optional<LinkType> link_of(std::uint16_t type) noexcept {
  switch (type) {
    case ether_ipv4:
    case ether_ipv6:
      return LinkType::raw_ip;
    case ether_bridge:
      return LinkType::ethernet;
    case ether_vlan:
      return LinkType::vlan;
    case ether_ppp:
      return LinkType::ppp;
    case ether_mpls:
      return LinkType::mpls;
    default:
      return std::nullopt;
  }
}

unsigned version_of(Bytes datagram) noexcept {
  return datagram.empty() ? 0 : std::to_integer<unsigned>(datagram[0]) >> 4U;
}

Content ip_in_ip(PacketMeta& packet, unsigned version) noexcept {
  const Bytes inner = packet.payload();
  const std::size_t header = version == 4 ? 20 : 40;
  const bool in_v6 = packet.ip_version == 6;
  if (inner.size() < header) {
    if (in_v6) {
      packet.note(version == 4 ? Anomaly::ipv6_ipv4_in_ipv6_too_small
                               : Anomaly::ipv6_ipv6_in_ipv6_too_small);
    }
    return std::nullopt;
  }
  if (version_of(inner) != version) {
    if (in_v6) {
      packet.note(version == 4 ? Anomaly::ipv6_ipv4_in_ipv6_wrong_version
                               : Anomaly::ipv6_ipv6_in_ipv6_wrong_version);
    }
    return std::nullopt;
  }
  return TunnelContent{inner, LinkType::raw_ip, TunnelKind::ip_in_ip, 0};
}

// ---- GRE ----------------------------------------------------------------------------------------

constexpr unsigned gre_checksum = 0x8000;
constexpr unsigned gre_routing = 0x4000;
constexpr unsigned gre_key = 0x2000;
constexpr unsigned gre_sequence = 0x1000;
constexpr unsigned gre_strict = 0x0800;
constexpr unsigned gre_recursion = 0x0700;
constexpr unsigned gre_acknowledge = 0x0080;  // version 1
constexpr unsigned gre_reserved = 0x00f8;
constexpr unsigned gre_reserved1 = 0x0078;
constexpr unsigned gre_version = 0x0007;

// Source route entries (RFC 1701) up to the empty one. False: they run past the end.
bool skip_routes(ByteReader& reader) noexcept {
  for (;;) {
    const std::uint16_t family = reader.be16();
    reader.skip(1);
    const std::uint8_t length = reader.u8();
    reader.skip(length);
    if (!reader.ok()) return false;
    if (family == 0 && length == 0) return true;
  }
}

struct GreHeader {
  unsigned flags = 0;
  std::uint16_t type = 0;
  std::uint32_t key = 0;
};

Content erspan(PacketMeta& packet, const GreHeader& gre, ByteReader& reader) noexcept {
  // Without a sequence number it is type I: no header of its own.
  if (gre.type == ether_erspan && (gre.flags & gre_sequence) == 0) {
    return TunnelContent{reader.rest(), LinkType::ethernet, TunnelKind::erspan, 0};
  }
  const std::uint16_t first = reader.be16();
  if (!reader.ok() || reader.remaining() < 6) {
    packet.note(Anomaly::erspan_header_too_small);
    return std::nullopt;
  }
  const unsigned version = first >> 12U;
  if (version != 1 && version != 2) {
    packet.note(Anomaly::erspan_unsupported_version);
    return std::nullopt;
  }
  reader.skip(version == 1 ? 6 : 9);
  if (version == 2) {  // type III: twelve octets, eight more where it says so
    const bool more = (reader.u8() & 1U) != 0;
    if (more) reader.skip(8);
  }
  const Bytes inner = reader.rest();
  if (!reader.ok()) {
    packet.note(Anomaly::erspan_header_too_small);
    return std::nullopt;
  }
  return TunnelContent{inner, LinkType::ethernet, TunnelKind::erspan, first & 0x0fffU};
}

Content gre_content(PacketMeta& packet, const GreHeader& gre, ByteReader& reader) noexcept {
  if (gre.type == ether_erspan || gre.type == ether_erspan3) return erspan(packet, gre, reader);
  const auto link = link_of(gre.type);
  if (!link) return std::nullopt;
  return TunnelContent{reader.rest(), *link, TunnelKind::gre, gre.key};
}

Content gre_version0(PacketMeta& packet, GreHeader gre, ByteReader& reader) noexcept {
  if ((gre.flags & gre_recursion) != 0) packet.note(Anomaly::gre_version0_recur);
  if ((gre.flags & gre_reserved) != 0) {
    packet.note(Anomaly::gre_version0_flags);
    return std::nullopt;
  }
  if ((gre.flags & (gre_checksum | gre_routing)) != 0) reader.skip(4);
  if ((gre.flags & gre_key) != 0) gre.key = reader.be32();
  if ((gre.flags & gre_sequence) != 0) reader.skip(4);
  if (!reader.ok()) {
    packet.note(Anomaly::gre_version0_hdr_too_big);
    return std::nullopt;
  }
  if ((gre.flags & gre_routing) != 0 && !skip_routes(reader)) {
    packet.note(Anomaly::gre_version0_malformed_sre_hdr);
    return std::nullopt;
  }
  return gre_content(packet, gre, reader);
}

// PPTP's (RFC 2637). Its key is a length and the receiver's call number: not the same both ways.
Content gre_version1(PacketMeta& packet, const GreHeader& gre, ByteReader& reader) noexcept {
  struct Forbidden {
    unsigned bits;
    Anomaly anomaly;
  };
  constexpr Forbidden forbidden[] = {{gre_checksum, Anomaly::gre_version1_chksum},
                                     {gre_routing, Anomaly::gre_version1_route},
                                     {gre_strict, Anomaly::gre_version1_ssr},
                                     {gre_recursion, Anomaly::gre_version1_recur},
                                     {gre_reserved1, Anomaly::gre_version1_flags}};
  for (const Forbidden& rule : forbidden) {
    if ((gre.flags & rule.bits) == 0) continue;
    packet.note(rule.anomaly);
    return std::nullopt;
  }
  if (gre.type != ether_ppp) {
    packet.note(Anomaly::gre_version1_wrong_protocol);
    return std::nullopt;
  }
  if ((gre.flags & gre_key) == 0) {
    packet.note(Anomaly::gre_version1_no_key);
    return std::nullopt;
  }
  reader.skip(4);
  if ((gre.flags & gre_sequence) != 0) reader.skip(4);
  if ((gre.flags & gre_acknowledge) != 0) reader.skip(4);
  if (!reader.ok()) {
    packet.note(Anomaly::gre_version1_hdr_too_big);
    return std::nullopt;
  }
  if (reader.empty()) return std::nullopt;  // a bare acknowledgement
  return gre_content(packet, gre, reader);
}

Content gre(PacketMeta& packet) noexcept {
  ByteReader reader(packet.payload());
  GreHeader header;
  header.flags = reader.be16();
  header.type = reader.be16();
  if (!reader.ok()) return std::nullopt;  // decode() has said so
  switch (header.flags & gre_version) {
    case 0:
      return gre_version0(packet, header, reader);
    case 1:
      return gre_version1(packet, header, reader);
    default:
      packet.note(Anomaly::gre_wrong_version);
      return std::nullopt;
  }
}

// ---- in UDP -------------------------------------------------------------------------------------

constexpr std::size_t ethernet_header_bytes = 14;

// EtherTypes that a virtual network carries.
bool is_known_ethernet(Bytes frame) noexcept {
  ByteReader reader(frame);
  reader.skip(12);
  switch (reader.be16()) {
    case ether_ipv4:
    case ether_ipv6:
    case ether_vlan:
    case ether_mpls:
    case 0x88a8:
    case 0x9100:
    case 0x0806:
      return true;
    default:
      return false;
  }
}

Content vxlan(PacketMeta& packet) noexcept {
  constexpr std::uint8_t has_vni = 0x08;
  ByteReader reader(packet.payload());
  const std::uint8_t flags = reader.u8();
  const std::uint32_t reserved = reader.be24();
  const std::uint32_t vni = reader.be24();
  reader.skip(1);
  const Bytes inner = reader.rest();
  if ((flags & has_vni) == 0 || reserved != 0 || inner.size() < ethernet_header_bytes) {
    return std::nullopt;
  }
  if (!is_known_ethernet(inner)) {
    packet.note(Anomaly::vxlan_unknown_payload_type);
    return std::nullopt;
  }
  return TunnelContent{inner, LinkType::ethernet, TunnelKind::vxlan, vni};
}

Content geneve(PacketMeta& packet) noexcept {
  ByteReader reader(packet.payload());
  const std::uint8_t first = reader.u8();
  const std::uint8_t flags = reader.u8();
  const std::uint16_t type = reader.be16();
  const std::uint32_t vni = reader.be24();
  const std::uint8_t reserved = reader.u8();
  reader.skip((first & 0x3fU) * std::size_t{4});
  const Bytes inner = reader.rest();
  if (!reader.ok() || first >> 6U != 0 || (flags & 0x3fU) != 0 || reserved != 0) {
    return std::nullopt;
  }
  const auto link = link_of(type);
  if (!link || inner.empty() || (type == ether_bridge && !is_known_ethernet(inner))) {
    packet.note(Anomaly::geneve_unknown_payload_type);
    return std::nullopt;
  }
  return TunnelContent{inner, *link, TunnelKind::geneve, vni};
}

Content teredo(PacketMeta& packet) noexcept {
  Bytes bytes = packet.payload();
  ByteReader reader(bytes);
  std::uint16_t indicator = reader.be16();
  if (indicator == 1) {  // authentication: identifier, value, nonce, confirmation
    const std::uint8_t identifier = reader.u8();
    const std::uint8_t value = reader.u8();
    reader.skip(identifier + std::size_t{value} + 9);
    bytes = bytes.subspan(reader.position());
    indicator = reader.be16();
  }
  if (indicator == 0) {  // the origin's address and port
    reader.skip(6);
    bytes = bytes.subspan(std::min(bytes.size(), std::size_t{8}));
  }
  constexpr std::size_t ipv6_header_bytes = 40;
  if (bytes.size() < ipv6_header_bytes || version_of(bytes) != 6) return std::nullopt;
  ByteReader ip(bytes.subspan(4));
  if (ip.be16() + ipv6_header_bytes > bytes.size()) return std::nullopt;
  return TunnelContent{bytes, LinkType::raw_ip, TunnelKind::teredo, 0};
}

Content in_udp(PacketMeta& packet) noexcept {
  ByteReader reader(packet.frame().subspan(packet.transport_offset));
  reader.skip(2);
  switch (reader.be16()) {
    case vxlan_port:
      return vxlan(packet);
    case geneve_port:
      return geneve(packet);
    default:
      return teredo(packet);
  }
}

std::uint64_t mix(std::uint64_t value) noexcept {  // splitmix64's finaliser: a bijection
  value = (value ^ value >> 30U) * 0xbf58476d1ce4e5b9U;
  value = (value ^ value >> 27U) * 0x94d049bb133111ebU;
  return value ^ value >> 31U;
}

}  // namespace

std::optional<TunnelContent> open_tunnel(PacketMeta& packet) noexcept {
  switch (packet.proto) {
    case IpProto::gre:
      return gre(packet);
    case IpProto::udp:
      return in_udp(packet);
    default:
      break;
  }
  switch (static_cast<std::uint8_t>(packet.proto)) {
    case proto_ipv4:
      return ip_in_ip(packet, 4);
    case proto_ipv6:
      return ip_in_ip(packet, 6);
    case proto_mpls:
      return TunnelContent{packet.payload(), LinkType::mpls, TunnelKind::mpls_in_ip, 0};
    default:
      return std::nullopt;
  }
}

std::uint64_t tunnel_tenant(std::uint64_t outer, const PacketMeta& packet,
                            const TunnelContent& content) noexcept {
  std::uint64_t tags = packet.vlan_count;
  for (const std::uint16_t id : packet.vlan) tags = tags << 12U | id;
  const std::uint64_t own =
      std::uint64_t{static_cast<std::uint8_t>(content.kind)} << 32U | content.id;
  // Each step is a bijection of what came before, so ways of one depth differ where one step does.
  const std::uint64_t tenant = mix(mix(outer + 0x9e3779b97f4a7c15U) ^ own) ^ mix(tags);
  return tenant == 0 ? 1 : tenant;
}

}  // namespace menshen::sensor
