#include "sensor/packet/decode.hpp"

#include <cstring>

#include "sensor/packet/decoder.hpp"

namespace menshen::sensor {

namespace {

constexpr std::uint16_t ether_ipv4 = 0x0800;
constexpr std::uint16_t ether_ipv6 = 0x86dd;
constexpr std::uint16_t ether_vlan = 0x8100;
constexpr std::uint16_t ether_mpls = 0x8847;
constexpr std::size_t ethernet_header_bytes = 14;
constexpr std::size_t pppoe_header_bytes = 6;

}  // namespace

DecodeOutcome Decoder::run() noexcept {
  Next type = link();
  for (std::size_t layers = 0; type; ++layers) {
    if (layers == link_layers_max) return refuse(Outcome::malformed, Anomaly::too_many_layers);
    packet_.network_offset = here();
    if (*type == ether_ipv4) return ipv4();
    if (*type == ether_ipv6) return ipv6();
    type = after(*type);
  }
  return outcome_;
}

// Leaves the reader behind the link header.
Decoder::Next Decoder::link() noexcept {
  switch (packet_.link) {
    case LinkType::ethernet:
      return ethernet();
    case LinkType::linux_sll:
      return cooked();
    case LinkType::linux_sll2:
      return cooked2();
    case LinkType::null_loopback:
      return loopback();
    case LinkType::ppp:
      return ppp();
    case LinkType::cisco_hdlc:
      return hdlc();
    case LinkType::vlan:
      return ether_vlan;
    case LinkType::mpls:
      return ether_mpls;
    case LinkType::raw_ip:
      return raw();
  }
  return end(Outcome::not_ip);
}

Decoder::Next Decoder::ethernet() noexcept {
  if (reader_.remaining() < ethernet_header_bytes) {
    return end(Outcome::truncated, Anomaly::ethernet_pkt_too_small);
  }
  reader_.skip(12);
  unknown_ = Anomaly::ethernet_unknown_ethertype;
  return reader_.be16();
}

// What stands between a link header and the network header.
Decoder::Next Decoder::after(std::uint16_t type) noexcept {
  switch (type) {
    case ether_vlan:
    case 0x88a8:
    case 0x9100:
      return vlan();
    case 0x88e7:
      return service_tag();
    case 0x8926:
      return vn_tag();
    case 0x893f:
      return e_tag();
    case 0x8903:
      return fabric_path();
    case 0x894f:
      return service_function();
    case ether_mpls:
    case 0x8848:
      return mpls();
    case 0x8863:
      return pppoe_discovery();
    case 0x8864:
      return pppoe_session();
    case 0x0806:  // ARP
      return end(Outcome::not_ip);
    default:
      return unknown_type(type);
  }
}

Decoder::Next Decoder::unknown_type(std::uint16_t /*type*/) noexcept {
  if (unknown_ != Anomaly::count) packet_.note(unknown_);
  if (unknown_ == Anomaly::vlan_unknown_type && packet_.link == LinkType::ethernet) {
    packet_.note(Anomaly::ethernet_unknown_ethertype);
  }
  return end(Outcome::not_ip);
}

Decoder::Next Decoder::vlan() noexcept {
  if (reader_.remaining() < 4) return end(Outcome::truncated, Anomaly::vlan_header_too_small);
  if (packet_.vlan_count == vlan_tags_max) {
    return end(Outcome::malformed, Anomaly::vlan_too_many_layers);
  }
  if (packet_.vlan_count == 0) ++counters_.vlan;
  const unsigned at = packet_.vlan_count;
  packet_.vlan[at] = reader_.be16() & 0x0fffU;
  packet_.vlan_count = static_cast<std::uint8_t>((at + 1) & 7U);
  unknown_ = Anomaly::vlan_unknown_type;
  return reader_.be16();
}

// IEEE 802.1ah: a customer's whole frame behind a service instance tag.
Decoder::Next Decoder::service_tag() noexcept {
  if (reader_.remaining() < 18) {
    return end(Outcome::truncated, Anomaly::ieee8021ah_header_too_small);
  }
  reader_.skip(16);
  unknown_ = Anomaly::count;
  return reader_.be16();
}

// Cisco VN-Tag.
Decoder::Next Decoder::vn_tag() noexcept {
  if (reader_.remaining() < 6) return end(Outcome::truncated, Anomaly::vntag_header_too_small);
  reader_.skip(4);
  unknown_ = Anomaly::vntag_unknown_type;
  return reader_.be16();
}

// IEEE 802.1BR.
Decoder::Next Decoder::e_tag() noexcept {
  reader_.skip(6);
  unknown_ = Anomaly::count;
  const std::uint16_t type = reader_.be16();
  return reader_.ok() ? Next(type) : end(Outcome::truncated);
}

// Cisco FabricPath: two octets, then an Ethernet header of its own.
Decoder::Next Decoder::fabric_path() noexcept {
  if (reader_.remaining() < 2 + ethernet_header_bytes) {
    return end(Outcome::truncated, Anomaly::dce_pkt_too_small);
  }
  reader_.skip(2);
  return ethernet();
}

// RFC 8300.
Decoder::Next Decoder::service_function() noexcept {
  constexpr std::size_t base_bytes = 8;
  const std::size_t begin = reader_.position();
  if (reader_.remaining() < base_bytes)
    return end(Outcome::truncated, Anomaly::nsh_header_too_small);
  const std::uint16_t first = reader_.be16();
  const unsigned metadata = reader_.u8() & 0x0fU;
  const std::uint8_t next = reader_.u8();
  const std::size_t bytes = (first & 0x3fU) * std::size_t{4};
  if (first >> 14U != 0) return end(Outcome::malformed, Anomaly::nsh_unsupported_version);
  if (bytes < base_bytes || bytes > reader_.remaining() + 4) {
    return end(Outcome::malformed, Anomaly::nsh_bad_header_length);
  }
  if (metadata != 1 && metadata != 2) {
    return end(Outcome::not_ip, Anomaly::nsh_unsupported_type);
  }
  reader_.seek(begin + bytes);
  switch (next) {
    case 1:
      return ether_ipv4;
    case 2:
      return ether_ipv6;
    case 3:
      return ethernet();
    case 5:
      return ether_mpls;
    default:
      return end(Outcome::not_ip, Anomaly::nsh_unknown_payload);
  }
}

// RFC 3032: labels down to the bottom of the stack.
Decoder::Next Decoder::mpls() noexcept {
  for (std::size_t labels = 0; labels < mpls_labels_max; ++labels) {
    if (reader_.remaining() < 4) return end(Outcome::truncated, Anomaly::mpls_header_too_small);
    const std::uint32_t entry = reader_.be32();
    if ((entry & 0x100U) != 0) return mpls_payload(entry >> 12U);
  }
  return end(Outcome::malformed, Anomaly::too_many_layers);
}

Decoder::Next Decoder::mpls_payload(std::uint32_t label) noexcept {
  switch (label) {
    case 0:
      return ether_ipv4;
    case 2:
      return ether_ipv6;
    case 1:
      return end(Outcome::not_ip, Anomaly::mpls_bad_label_router_alert);
    case 3:
      return end(Outcome::not_ip, Anomaly::mpls_bad_label_implicit_null);
    default:
      break;
  }
  if (label < 16) return end(Outcome::not_ip, Anomaly::mpls_bad_label_reserved);
  if (reader_.remaining() < 4) return end(Outcome::truncated, Anomaly::mpls_pkt_too_small);
  switch (std::to_integer<unsigned>(packet_.frame()[reader_.position()]) >> 4U) {
    case 4:
      return ether_ipv4;
    case 6:
      return ether_ipv6;
    case 0:  // a pseudo wire's control word (RFC 4385)
      reader_.skip(4);
      return ethernet();
    default:
      return end(Outcome::not_ip, Anomaly::mpls_unknown_payload_type);
  }
}

Decoder::Next Decoder::pppoe_session() noexcept {
  if (reader_.remaining() < pppoe_header_bytes + 1) {
    return end(Outcome::truncated, Anomaly::pppoe_pkt_too_small);
  }
  reader_.skip(pppoe_header_bytes);
  std::uint16_t protocol = reader_.u8();
  // Protocol field compression (RFC 1661 6.5): an odd first octet is all of it.
  if ((protocol & 1U) == 0) protocol = static_cast<std::uint16_t>(protocol << 8U | reader_.u8());
  if (!reader_.ok()) return end(Outcome::truncated, Anomaly::pppoe_pkt_too_small);
  return ppp_payload(protocol);
}

Decoder::Next Decoder::pppoe_discovery() noexcept {
  if (reader_.remaining() < pppoe_header_bytes) {
    return end(Outcome::truncated, Anomaly::pppoe_pkt_too_small);
  }
  reader_.skip(1);
  switch (reader_.u8()) {
    case 0x09:  // PADI
    case 0x07:  // PADO
    case 0x19:  // PADR
    case 0x65:  // PADS
    case 0xa7:  // PADT
      break;
    default:
      return end(Outcome::not_ip, Anomaly::pppoe_wrong_code);
  }
  reader_.skip(2);
  const std::size_t length = reader_.be16();
  if (length > reader_.remaining()) return end(Outcome::not_ip, Anomaly::pppoe_malformed_tags);
  return end(Outcome::not_ip);
}

Decoder::Next Decoder::ppp() noexcept {
  constexpr unsigned address = 0xff;
  constexpr unsigned control = 0x03;
  if (reader_.remaining() < 2) return end(Outcome::truncated, Anomaly::ppp_pkt_too_small);
  unsigned first = reader_.u8();
  if (first == address) {
    if (reader_.u8() != control) return end(Outcome::not_ip, Anomaly::ppp_wrong_type);
    if (reader_.empty()) return end(Outcome::truncated, Anomaly::ppp_pkt_too_small);
    first = reader_.u8();
  }
  auto protocol = static_cast<std::uint16_t>(first);
  if ((first & 1U) == 0) protocol = static_cast<std::uint16_t>(first << 8U | reader_.u8());
  if (!reader_.ok()) return end(Outcome::truncated, Anomaly::ppp_pkt_too_small);
  return ppp_payload(protocol);
}

Decoder::Next Decoder::ppp_payload(std::uint16_t protocol) noexcept {
  switch (protocol) {
    case 0x0021:
      if (reader_.remaining() < 20) {
        return end(Outcome::truncated, Anomaly::ppp_ip4_pkt_too_small);
      }
      return ether_ipv4;
    case 0x0057:
      if (reader_.remaining() < 40) {
        return end(Outcome::truncated, Anomaly::ppp_ip6_pkt_too_small);
      }
      return ether_ipv6;
    case 0x002f: {  // Van Jacobson, uncompressed (RFC 1144)
      if (reader_.remaining() < 20) {
        return end(Outcome::truncated, Anomaly::ppp_vju_pkt_too_small);
      }
      const bool is_ipv4 =
          std::to_integer<unsigned>(packet_.frame()[reader_.position()]) >> 4U == 4;
      return is_ipv4 ? Next(ether_ipv4) : end(Outcome::not_ip);
    }
    case 0x0023:  // OSI
    case 0x0025:  // XNS
    case 0x0027:  // DECnet
    case 0x0029:  // AppleTalk
    case 0x002b:  // IPX
    case 0x002d:  // Van Jacobson, compressed
    case 0x0031:  // bridging
    case 0x0035:  // Banyan
    case 0x003f:  // NetBIOS
      return end(Outcome::not_ip, Anomaly::ppp_unsup_proto);
    case 0x8021:  // network control protocols of IPv4,
    case 0x8023:  // OSI,
    case 0x8025:  // XNS,
    case 0x8027:  // DECnet,
    case 0x8029:  // AppleTalk,
    case 0x802b:  // IPX,
    case 0x8031:  // bridging,
    case 0x8035:  // Banyan,
    case 0x803f:  // NetBIOS,
    case 0x8057:  // IPv6,
    case 0x80fd:  // compression
    case 0xc021:  // link control
    case 0xc023:  // passwords
    case 0xc025:  // link quality
    case 0xc223:  // challenges
      return end(Outcome::not_ip);
    default:
      return end(Outcome::not_ip, Anomaly::ppp_wrong_type);
  }
}

// The writer's own address family, in the writer's byte order.
Decoder::Next Decoder::loopback() noexcept {
  if (reader_.remaining() < 4) return end(Outcome::truncated, Anomaly::ltnull_pkt_too_small);
  std::uint32_t value = reader_.be32();
  if (value > 0xffff) value = std::uint32_t{__builtin_bswap32(value)};
  switch (value) {
    case 2:
      return ether_ipv4;
    case 10:  // Linux
    case 24:  // NetBSD, OpenBSD
    case 28:  // FreeBSD
    case 30:  // macOS
      return ether_ipv6;
    default:
      return end(Outcome::not_ip, Anomaly::ltnull_unsupported_type);
  }
}

Decoder::Next Decoder::cooked() noexcept {
  if (reader_.remaining() < 16) return end(Outcome::truncated, Anomaly::sll_pkt_too_small);
  reader_.skip(14);
  unknown_ = Anomaly::count;
  return reader_.be16();
}

Decoder::Next Decoder::cooked2() noexcept {
  if (reader_.remaining() < 20) return end(Outcome::truncated, Anomaly::sll2_pkt_too_small);
  const std::uint16_t type = reader_.be16();
  reader_.skip(18);
  unknown_ = Anomaly::count;
  return type;
}

Decoder::Next Decoder::hdlc() noexcept {
  if (reader_.remaining() < 4) return end(Outcome::truncated, Anomaly::chdlc_pkt_too_small);
  reader_.skip(2);
  unknown_ = Anomaly::count;
  return reader_.be16();
}

Decoder::Next Decoder::raw() noexcept {
  if (reader_.empty()) return end(Outcome::truncated, Anomaly::ipv4_pkt_too_small);
  switch (std::to_integer<unsigned>(packet_.frame()[0]) >> 4U) {
    case 4:
      return ether_ipv4;
    case 6:
      return ether_ipv6;
    default:
      return end(Outcome::not_ip, Anomaly::ipraw_invalid_ip_version);
  }
}

namespace {

void refuse(PacketMeta& packet, DropReason reason) noexcept {
  packet.refuse(Verdict::drop, reason);
  packet.payload_length = 0;
  packet.transport_offset = 0;
}

void decode_one(PacketMeta& packet, const DecodeOptions& options,
                DecodeCounters& counters) noexcept {
  ++counters.packets;
  counters.bytes += packet.length;
  switch (Decoder(packet, options, counters).run()) {
    case DecodeOutcome::ok:
      break;
    case DecodeOutcome::not_ip:
      ++counters.not_ip;
      break;
    case DecodeOutcome::truncated:
      ++counters.truncated;
      refuse(packet, DropReason::decode_truncated);
      break;
    case DecodeOutcome::malformed:
      ++counters.malformed;
      refuse(packet, DropReason::decode_malformed);
      break;
    case DecodeOutcome::checksum:
      ++counters.checksum;
      refuse(packet, DropReason::checksum);
      break;
  }
}

}  // namespace

void decode(PacketBatch& batch, const DecodeOptions& options, DecodeCounters& counters) noexcept {
  for (PacketMeta& packet : batch.packets()) decode_one(packet, options, counters);
}

void decode(PacketMeta& packet, const DecodeOptions& options, DecodeCounters& counters) noexcept {
  decode_one(packet, options, counters);
}

TcpHeader tcp_header(const PacketMeta& packet) noexcept {
  ByteReader reader(packet.frame().subspan(packet.transport_offset));
  TcpHeader header;
  reader.skip(4);
  header.seq = reader.be32();
  header.ack = reader.be32();
  reader.skip(2);
  header.window = reader.be16();
  reader.skip(2);
  header.urgent = reader.be16();
  header.options = reader.take(std::size_t{packet.payload_offset} - packet.transport_offset - 20);
  return header;
}

FiveTuple tuple_of(const PacketMeta& packet) noexcept {
  FiveTuple tuple;
  tuple.attachment = packet.attachment;
  tuple.proto = packet.proto;
  ByteReader ip(packet.frame().subspan(packet.network_offset));
  if (packet.ip_version == 4) {
    ip.skip(12);
    tuple.src = IpAddr::v4(ip.be32());
    tuple.dst = IpAddr::v4(ip.be32());
  } else {
    std::array<std::uint8_t, 16> bytes{};
    ip.skip(8);
    const Bytes src = ip.take(16);
    const Bytes dst = ip.take(16);
    if (!ip.ok()) return tuple;
    std::memcpy(bytes.data(), src.data(), bytes.size());
    tuple.src = IpAddr::v6(bytes);
    std::memcpy(bytes.data(), dst.data(), bytes.size());
    tuple.dst = IpAddr::v6(bytes);
  }
  if (packet.transport_offset == 0) return tuple;
  ByteReader transport(packet.frame().subspan(packet.transport_offset));
  if (packet.proto == IpProto::icmp || packet.proto == IpProto::icmpv6) {
    tuple.sport = transport.u8();
    tuple.dport = transport.u8();
  } else {
    tuple.sport = transport.be16();
    tuple.dport = transport.be16();
  }
  return tuple;
}

}  // namespace menshen::sensor
