// TCP (RFC 9293), UDP (RFC 768), ICMP (RFC 792), ICMPv6 (RFC 4443), SCTP (RFC 9260), and which
// packets carry another one.
#include "sensor/packet/checksum.hpp"
#include "sensor/packet/decoder.hpp"

namespace menshen::sensor {

namespace {

constexpr std::size_t tcp_header_bytes = 20;
constexpr std::size_t udp_header_bytes = 8;
constexpr std::size_t icmp_header_bytes = 8;
constexpr std::size_t sctp_header_bytes = 12;
constexpr std::size_t gre_header_bytes = 4;
constexpr std::size_t esp_header_bytes = 8;

constexpr std::uint8_t proto_ipv4 = 4;
constexpr std::uint8_t proto_ipv6 = 41;
constexpr std::uint8_t proto_esp = 50;
constexpr std::uint8_t proto_none = 59;
constexpr std::uint8_t proto_mpls = 137;

// The highest code of each ICMP type that has one; none: an unknown type.
std::optional<std::uint8_t> icmp_code_max(std::uint8_t type) noexcept {
  switch (type) {
    case 0:   // echo reply
    case 4:   // source quench
    case 8:   // echo
    case 10:  // router solicitation
    case 13:  // timestamp
    case 14:
    case 15:  // information
    case 16:
    case 17:  // address mask
    case 18:
      return 0;
    case 3:  // destination unreachable
      return 15;
    case 5:  // redirect
      return 3;
    case 9:  // router advertisement; 16: does not route common traffic
      return 16;
    case 11:  // time exceeded
      return 1;
    case 12:  // parameter problem
      return 2;
    default:
      return std::nullopt;
  }
}

// Whether the message carries the beginning of a datagram.
bool icmp_reports(std::uint8_t type) noexcept {
  return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

struct Icmpv6Type {
  std::uint8_t code_max = 0;
  bool listener = false;  // multicast listener discovery: never leaves the link
};
std::optional<Icmpv6Type> icmpv6_type(std::uint8_t type) noexcept {
  switch (type) {
    case 1:  // destination unreachable
      return Icmpv6Type{7};
    case 2:    // packet too big
    case 128:  // echo
    case 129:
    case 133:  // neighbour discovery
    case 134:
    case 135:
    case 136:
    case 137:
    case 141:  // inverse neighbour discovery
    case 142:
    case 143:  // multicast listeners, version 2
    case 148:  // secure neighbour discovery
    case 149:
      return Icmpv6Type{0};
    case 3:  // time exceeded
      return Icmpv6Type{1};
    case 4:  // parameter problem
      return Icmpv6Type{10};
    case 130:  // multicast listeners
    case 131:
    case 132:
      return Icmpv6Type{0, true};
    case 138:  // router renumbering
    case 139:  // node information
    case 140:
    case 144:  // mobility
    case 145:
    case 146:
    case 147:
    case 150:
    case 151:  // multicast routers
    case 152:
    case 153:
    case 154:
    case 155:
    case 157:
    case 158:
    case 159:
    case 160:
    case 161:
      return Icmpv6Type{255};
    default:
      return std::nullopt;
  }
}

}  // namespace

// `length`: bytes of the IP payload that are left, all within the frame.
DecodeOutcome Decoder::transport(IpProto proto, std::size_t length) noexcept {
  packet_.proto = proto;
  packet_.payload_offset = here();
  packet_.payload_length = static_cast<std::uint32_t>(length);
  if (packet_.fragment) {
    ++counters_.fragments;
    return Outcome::ok;
  }
  switch (proto) {
    case IpProto::tcp:
      ++counters_.tcp;
      return tcp(length);
    case IpProto::udp:
      ++counters_.udp;
      return udp(length);
    case IpProto::icmp:
      if (packet_.ip_version == 4) return icmp(length);
      packet_.note(Anomaly::ipv6_icmpv4);
      break;
    case IpProto::icmpv6:
      if (packet_.ip_version == 6) return icmpv6(length);
      packet_.note(Anomaly::ipv4_icmpv6);
      break;
    case IpProto::igmp:
      if (verifies() && !checksum_ok(packet_.payload())) {
        return refuse(Outcome::checksum, Anomaly::igmp_checksum);
      }
      break;
    case IpProto::sctp:
      return sctp(length);
    case IpProto::gre:
      if (length < gre_header_bytes) return refuse(Outcome::truncated, Anomaly::gre_pkt_too_small);
      packet_.tunnel = true;
      break;
    default:
      switch (static_cast<std::uint8_t>(proto)) {
        case proto_esp:
          if (length < esp_header_bytes) {
            return refuse(Outcome::truncated, Anomaly::esp_pkt_too_small);
          }
          break;
        case proto_ipv4:
        case proto_ipv6:
        case proto_mpls:
          packet_.tunnel = true;
          break;
        case proto_none:
          break;
        default:
          if (packet_.ip_version == 6) packet_.note(Anomaly::ipv6_unknown_next_header);
          break;
      }
      break;
  }
  ++counters_.other;
  return Outcome::ok;
}

DecodeOutcome Decoder::tcp(std::size_t length) noexcept {
  if (length < tcp_header_bytes) return refuse(Outcome::truncated, Anomaly::tcp_pkt_too_small);
  reader_.skip(12);
  const std::size_t header = (reader_.u8() >> 4U) * std::size_t{4};
  packet_.tcp_flags = reader_.u8();
  reader_.skip(6);
  if (header > length) return refuse(Outcome::truncated, Anomaly::tcp_hlen_too_small);
  if (header < tcp_header_bytes) return refuse(Outcome::malformed, Anomaly::tcp_invalid_optlen);
  if (header > tcp_header_bytes) tcp_options(reader_.take(header - tcp_header_bytes));
  return finish(header, length);
}

void Decoder::tcp_options(Bytes options) noexcept {
  enum Kind : std::uint8_t {
    end_of_list = 0,
    no_operation = 1,
    segment_size = 2,
    window_scale = 3,
    sack_permitted = 4,
    sack = 5,
    timestamps = 8,
    signature = 19,  // RFC 2385
  };
  constexpr unsigned window_scale_max = 14;  // RFC 7323 2.3
  unsigned seen = 0;
  ByteReader reader(options);
  while (!reader.empty()) {
    const std::uint8_t kind = reader.u8();
    if (kind == end_of_list) return;
    if (kind == no_operation) continue;
    if (reader.empty()) return;
    const std::size_t length = reader.u8();
    if (length < 2 || length - 2 > reader.remaining()) {
      return packet_.note(Anomaly::tcp_opt_invalid_len);
    }
    const Bytes value = reader.take(length - 2);
    std::size_t wanted = length;
    switch (kind) {
      case segment_size:
        wanted = 4;
        break;
      case window_scale:
        wanted = 3;
        break;
      case sack_permitted:
        wanted = 2;
        break;
      case timestamps:
        wanted = 10;
        break;
      case sack:
        if ((length - 2) % 8 != 0) wanted = 0;
        break;
      case signature:
        wanted = 18;
        break;
      default:
        continue;
    }
    if (length != wanted) {
      packet_.note(Anomaly::tcp_opt_invalid_len);
      continue;
    }
    if ((seen >> kind & 1U) != 0) packet_.note(Anomaly::tcp_opt_duplicate);
    seen |= 1U << kind;
    if (kind == window_scale && std::to_integer<unsigned>(value[0]) > window_scale_max) {
      packet_.note(Anomaly::tcp_opt_wscale_over_max);
    }
  }
}

DecodeOutcome Decoder::udp(std::size_t length) noexcept {
  if (length < udp_header_bytes) return refuse(Outcome::truncated, Anomaly::udp_hlen_too_small);
  const std::uint16_t source = reader_.be16();
  const std::uint16_t destination = reader_.be16();
  std::size_t stated = reader_.be16();
  if (stated == 0 && length > 0xffff) stated = length;
  if (stated > length) return refuse(Outcome::truncated, Anomaly::udp_pkt_too_small);
  if (stated < udp_header_bytes) return refuse(Outcome::malformed, Anomaly::udp_len_invalid);
  const bool unused = reader_.be16() == 0 && packet_.ip_version == 4;  // RFC 768: no checksum
  packet_.tunnel = destination == vxlan_port || destination == geneve_port ||
                   source == teredo_port || destination == teredo_port;
  return finish(udp_header_bytes, stated, !unused);
}

DecodeOutcome Decoder::icmp(std::size_t length) noexcept {
  ++counters_.icmp;
  if (length < icmp_header_bytes) return refuse(Outcome::truncated, Anomaly::icmpv4_pkt_too_small);
  const std::uint8_t type = reader_.u8();
  const std::uint8_t code = reader_.u8();
  if (const auto code_max = icmp_code_max(type)) {
    const bool gap = type == 9 && code != 0 && code != 16;
    if (code > *code_max || gap) {
      packet_.note(Anomaly::icmpv4_unknown_code);
    } else if (icmp_reports(type)) {
      embedded_ip(packet_.payload().subspan(icmp_header_bytes), 4, Anomaly::icmpv4_ipv4_trunc_pkt,
                  Anomaly::icmpv4_ipv4_unknown_ver);
    }
  } else {
    packet_.note(Anomaly::icmpv4_unknown_type);
  }
  return finish(icmp_header_bytes, length);
}

DecodeOutcome Decoder::icmpv6(std::size_t length) noexcept {
  constexpr std::uint8_t errors_end = 5;
  ++counters_.icmp;
  if (length < icmp_header_bytes) return refuse(Outcome::truncated, Anomaly::icmpv6_pkt_too_small);
  const std::uint8_t type = reader_.u8();
  const std::uint8_t code = reader_.u8();
  if (const auto known = icmpv6_type(type)) {
    const bool known_code = code <= known->code_max;
    if (!known_code) packet_.note(Anomaly::icmpv6_unknown_code);
    const auto hops = std::to_integer<unsigned>(packet_.data[packet_.network_offset + 7U]);
    if (known->listener && hops != 1) packet_.note(Anomaly::icmpv6_mld_message_with_invalid_hl);
    if (type < errors_end && known_code) {
      embedded_ip(packet_.payload().subspan(icmp_header_bytes), 6, Anomaly::icmpv6_ipv6_trunc_pkt,
                  Anomaly::icmpv6_ipv6_unknown_version);
    }
  } else if (type == 100 || type == 101 || type == 200 || type == 201) {
    packet_.note(Anomaly::icmpv6_experimentation_type);
  } else if ((type > 4 && type < 100) || (type > 101 && type < 127) || (type > 161 && type < 200) ||
             (type > 201 && type < 255)) {
    packet_.note(Anomaly::icmpv6_unassigned_type);
  } else {
    packet_.note(Anomaly::icmpv6_unknown_type);
  }
  return finish(icmp_header_bytes, length);
}

// What an error message quotes.
void Decoder::embedded_ip(Bytes datagram, unsigned version, Anomaly truncated,
                          Anomaly unknown) noexcept {
  const std::size_t header = version == 4 ? 20 : 40;
  if (datagram.empty()) return;
  if (datagram.size() < header) return packet_.note(truncated);
  if (std::to_integer<unsigned>(datagram[0]) >> 4U != version) packet_.note(unknown);
}

DecodeOutcome Decoder::sctp(std::size_t length) noexcept {
  ++counters_.other;
  if (length < sctp_header_bytes) return refuse(Outcome::truncated, Anomaly::sctp_pkt_too_small);
  return finish(sctp_header_bytes, length, false);
}

// The transport header is whole; `length` counts it and its payload.
DecodeOutcome Decoder::finish(std::size_t header, std::size_t length, bool has_checksum) noexcept {
  const std::size_t begin = packet_.payload_offset;
  if (verifies() && has_checksum) {
    const Bytes segment = packet_.frame().subspan(begin, length);
    if (!transport_checksum_ok(packet_, segment)) {
      const bool v4 = packet_.ip_version == 4;
      const Anomaly wrong = packet_.proto == IpProto::tcp
                                ? (v4 ? Anomaly::tcpv4_checksum : Anomaly::tcpv6_checksum)
                            : packet_.proto == IpProto::udp
                                ? (v4 ? Anomaly::udpv4_checksum : Anomaly::udpv6_checksum)
                                : (v4 ? Anomaly::icmpv4_checksum : Anomaly::icmpv6_checksum);
      return refuse(Outcome::checksum, wrong);
    }
  }
  // What a tunnel carries has checksums of its own.
  if (verifies() && has_checksum && !packet_.tunnel) packet_.checksum_trusted = true;
  packet_.transport_offset = static_cast<std::uint16_t>(begin);
  packet_.payload_offset = static_cast<std::uint16_t>(begin + header);
  packet_.payload_length = static_cast<std::uint32_t>(length - header);
  return Outcome::ok;
}

}  // namespace menshen::sensor
