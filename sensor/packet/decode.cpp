#include "sensor/packet/decode.hpp"

#include <algorithm>
#include <cstring>

#include "sensor/packet/checksum.hpp"

namespace menshen::sensor {

namespace {

constexpr std::uint16_t ether_ipv4 = 0x0800;
constexpr std::uint16_t ether_ipv6 = 0x86dd;
// More tags than the record keeps are still walked over, so that a third tag hides nothing.
constexpr std::size_t vlan_tags_max = 4;
// RFC 8200 allows each extension header about once; a longer chain is an attack on parsers.
constexpr std::size_t ipv6_extensions_max = 16;
constexpr std::size_t icmp_header_bytes = 8;
constexpr std::size_t udp_header_bytes = 8;

constexpr bool is_vlan(std::uint16_t type) {
  return type == 0x8100 || type == 0x88a8 || type == 0x9100;
}

enum class Outcome : std::uint8_t { ok, not_ip, truncated, malformed, checksum };

class Decoder {
 public:
  Decoder(PacketMeta& packet, const DecodeOptions& options, DecodeCounters& counters) noexcept
      : packet_(packet), options_(options), counters_(counters), reader_(packet.frame()) {}

  Outcome run() noexcept {
    const std::uint16_t type = link();
    if (!reader_.ok()) return Outcome::truncated;
    packet_.network_offset = here();
    if (type == ether_ipv4) return ipv4();
    if (type == ether_ipv6) return ipv6();
    return Outcome::not_ip;
  }

 private:
  std::uint16_t here() const noexcept { return static_cast<std::uint16_t>(reader_.position()); }

  // Leaves the reader behind the link header; returns the EtherType of what follows.
  std::uint16_t link() noexcept {
    switch (packet_.link) {
      case LinkType::ethernet:
        reader_.skip(12);
        return tags(reader_.be16());
      case LinkType::linux_sll:
        reader_.skip(14);
        return tags(reader_.be16());
      case LinkType::linux_sll2: {
        const std::uint16_t type = reader_.be16();
        reader_.skip(18);
        return tags(type);
      }
      case LinkType::null_loopback:
        return family();
      case LinkType::ppp:
        return ppp();
      case LinkType::cisco_hdlc:
        reader_.skip(2);
        return reader_.be16();
      case LinkType::raw_ip:
        break;
    }
    if (reader_.empty()) return 0;
    const auto version = std::to_integer<unsigned>(packet_.frame()[0]) >> 4U;
    return version == 4 ? ether_ipv4 : version == 6 ? ether_ipv6 : 0;
  }

  std::uint16_t tags(std::uint16_t type) noexcept {
    for (std::size_t i = 0; i < vlan_tags_max && is_vlan(type); ++i) {
      const std::uint16_t id = reader_.be16() & 0x0fffU;
      type = reader_.be16();
      if (!reader_.ok()) return 0;
      if (packet_.vlan_count < packet_.vlan.size()) packet_.vlan[packet_.vlan_count++] = id;
    }
    if (packet_.vlan_count != 0) ++counters_.vlan;
    return type;
  }

  std::uint16_t ppp() noexcept {
    constexpr std::uint16_t address_and_control = 0xff03;
    std::uint16_t protocol = reader_.be16();
    if (protocol == address_and_control) protocol = reader_.be16();
    return protocol == 0x0021 ? ether_ipv4 : protocol == 0x0057 ? ether_ipv6 : 0;
  }

  // The writer's own address family, in the writer's byte order.
  std::uint16_t family() noexcept {
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
        return 0;
    }
  }

  // A kernel super-frame beyond 64 kB has no room for its length in the header (0 then).
  [[nodiscard]] bool is_oversized() const noexcept { return reader_.remaining() > 0xffff; }

  Outcome ipv4() noexcept {
    const std::size_t available = reader_.remaining();
    if (available < 20) return Outcome::truncated;
    const std::uint8_t version = reader_.u8();
    reader_.skip(1);
    std::size_t total = reader_.be16();
    reader_.skip(2);
    const std::uint16_t fragment = reader_.be16();
    reader_.skip(1);
    const auto proto = static_cast<IpProto>(reader_.u8());
    const std::size_t header = (version & 0x0fU) * std::size_t{4};
    if (version >> 4U != 4 || header < 20) return Outcome::malformed;
    if (total == 0 && available > 0xffff) total = available;
    if (total < header) return Outcome::malformed;
    if (total > available) return Outcome::truncated;
    if (verifies() && !checksum_ok(packet_.frame().subspan(packet_.network_offset, header))) {
      return Outcome::checksum;
    }
    ++counters_.ipv4;
    packet_.ip_version = 4;
    packet_.fragment = (fragment & 0x3fffU) != 0;
    reader_.seek(packet_.network_offset + header);
    return transport(proto, total - header);
  }

  Outcome ipv6() noexcept {
    if (reader_.remaining() < 40) return Outcome::truncated;
    const bool oversized = is_oversized();
    const std::uint8_t version = reader_.u8();
    reader_.skip(3);
    std::size_t length = reader_.be16();
    std::uint8_t next = reader_.u8();
    reader_.skip(33);
    if (version >> 4U != 6) return Outcome::malformed;
    if (length == 0 && oversized) length = reader_.remaining();
    if (length > reader_.remaining()) return Outcome::truncated;
    ++counters_.ipv6;
    packet_.ip_version = 6;
    return extensions(next, length);
  }

  Outcome extensions(std::uint8_t next, std::size_t length) noexcept {
    for (std::size_t i = 0; i <= ipv6_extensions_max; ++i) {
      std::size_t bytes = 0;
      switch (next) {
        case 0:    // hop by hop
        case 43:   // routing
        case 60:   // destination
        case 135:  // mobility
        case 139:  // HIP
        case 140:  // shim6
        case 51:   // authentication: counts in other units
        case 44:   // fragment
          break;
        default:
          return transport(static_cast<IpProto>(next), length);
      }
      if (length < 8) return Outcome::malformed;
      const std::uint8_t header = next;
      next = reader_.u8();
      const std::uint8_t units = reader_.u8();
      bytes = header == 44   ? 8U
              : header == 51 ? (units + std::size_t{2}) * 4
                             : (units + std::size_t{1}) * 8;
      if (bytes > length || bytes < 8) return Outcome::malformed;
      if (header == 44) {
        // An atomic fragment (RFC 6946) is a whole datagram.
        packet_.fragment = packet_.fragment || (reader_.be16() & 0xfff9U) != 0;
        reader_.skip(4);
        if (packet_.fragment) return transport(static_cast<IpProto>(next), length - bytes);
      } else {
        reader_.skip(bytes - 2);
      }
      length -= bytes;
    }
    return Outcome::malformed;
  }

  // `length`: bytes of the IP payload that are left, all within the frame.
  Outcome transport(IpProto proto, std::size_t length) noexcept {
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
      case IpProto::icmpv6:
        if ((proto == IpProto::icmp) != (packet_.ip_version == 4)) break;
        ++counters_.icmp;
        if (length < icmp_header_bytes) return Outcome::truncated;
        return finish(icmp_header_bytes, length);
      default:
        break;
    }
    ++counters_.other;
    return Outcome::ok;
  }

  Outcome tcp(std::size_t length) noexcept {
    if (length < 20) return Outcome::truncated;
    reader_.skip(12);
    const std::size_t header = (reader_.u8() >> 4U) * std::size_t{4};
    packet_.tcp_flags = reader_.u8();
    if (header < 20) return Outcome::malformed;
    if (header > length) return Outcome::truncated;
    return finish(header, length);
  }

  Outcome udp(std::size_t length) noexcept {
    if (length < udp_header_bytes) return Outcome::truncated;
    reader_.skip(4);
    std::size_t stated = reader_.be16();
    if (stated == 0 && length > 0xffff) stated = length;
    if (stated < udp_header_bytes) return Outcome::malformed;
    if (stated > length) return Outcome::truncated;
    const bool unused = reader_.be16() == 0 && packet_.ip_version == 4;  // RFC 768: no checksum
    return finish(udp_header_bytes, stated, !unused);
  }

  // The transport header is whole; `length` counts it and its payload.
  Outcome finish(std::size_t header, std::size_t length, bool has_checksum = true) noexcept {
    const std::size_t begin = packet_.payload_offset;
    if (verifies() && has_checksum) {
      const Bytes segment = packet_.frame().subspan(begin, length);
      if (!transport_checksum_ok(packet_, segment)) return Outcome::checksum;
    }
    packet_.transport_offset = static_cast<std::uint16_t>(begin);
    packet_.payload_offset = static_cast<std::uint16_t>(begin + header);
    packet_.payload_length = static_cast<std::uint32_t>(length - header);
    return Outcome::ok;
  }

  [[nodiscard]] bool verifies() const noexcept {
    return options_.checksums == ChecksumMode::verify && !packet_.checksum_trusted;
  }

  PacketMeta& packet_;
  const DecodeOptions& options_;
  DecodeCounters& counters_;
  ByteReader reader_;
};

void refuse(PacketMeta& packet, DropReason reason) noexcept {
  packet.verdict = std::max(packet.verdict, Verdict::drop);
  packet.reason = reason;
  packet.payload_length = 0;
  packet.transport_offset = 0;
}

}  // namespace

void decode(PacketBatch& batch, const DecodeOptions& options, DecodeCounters& counters) noexcept {
  for (PacketMeta& packet : batch.packets()) {
    ++counters.packets;
    counters.bytes += packet.length;
    switch (Decoder(packet, options, counters).run()) {
      case Outcome::ok:
        break;
      case Outcome::not_ip:
        ++counters.not_ip;
        break;
      case Outcome::truncated:
        ++counters.truncated;
        refuse(packet, DropReason::decode_truncated);
        break;
      case Outcome::malformed:
        ++counters.malformed;
        refuse(packet, DropReason::decode_malformed);
        break;
      case Outcome::checksum:
        ++counters.checksum;
        refuse(packet, DropReason::checksum);
        break;
    }
  }
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
