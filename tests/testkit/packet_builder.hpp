// Packets that read like a sentence, with right lengths, next-protocol fields and checksums:
//
//   packet().ethernet().vlan(5).ipv4("10.0.0.1", "10.0.0.2").tcp(1234, 80).seq(1).flags("PA")
//       .payload("GET /")
//
// Layers stack as they are named; a tunnel is just more of them:
//   packet().ethernet().ipv4(a, b).udp(40000, 4789).vxlan(7).ethernet().ipv4(c, d).icmp(8, 0)
// A modifier (seq, ttl, ...) changes the last layer that has such a field; using one where there is
// none throws.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <vector>

#include "base/byte_reader.hpp"
#include "base/clock.hpp"
#include "base/ip.hpp"

namespace menshen::testkit {

using Packet = std::vector<std::byte>;

class PacketBuilder {
 public:
  PacketBuilder& ethernet(std::string_view source = "02:00:00:00:00:01",
                          std::string_view destination = "02:00:00:00:00:02");
  PacketBuilder& vlan(std::uint16_t id,
                      std::uint16_t ether_type = 0x8100);  // 0x88a8: provider's tag
  PacketBuilder& ipv4(std::string_view source, std::string_view destination);
  PacketBuilder& ipv6(std::string_view source, std::string_view destination);
  PacketBuilder& tcp(std::uint16_t source, std::uint16_t destination);
  PacketBuilder& udp(std::uint16_t source, std::uint16_t destination);
  PacketBuilder& icmp(std::uint8_t type, std::uint8_t code, std::uint32_t rest = 0);
  PacketBuilder& icmpv6(std::uint8_t type, std::uint8_t code, std::uint32_t rest = 0);
  PacketBuilder& gre();
  PacketBuilder& vxlan(std::uint32_t vni);
  PacketBuilder& payload(std::string_view text);
  PacketBuilder& payload(Bytes bytes);

  // TCP; flags from "FSRPAUEC". Without flags() a segment is "A".
  PacketBuilder& seq(std::uint32_t number);
  PacketBuilder& ack(std::uint32_t number);
  PacketBuilder& flags(std::string_view letters);
  PacketBuilder& window(std::uint16_t bytes);
  PacketBuilder& options(Bytes bytes);  // TCP or IPv4; padded to 32 bits with zeros

  // IP
  PacketBuilder& ttl(std::uint8_t hops);
  PacketBuilder& protocol(std::uint8_t number);         // where no layer follows that tells it
  PacketBuilder& identification(std::uint16_t number);  // IPv4
  // Makes it a fragment (IPv6: with the extension header). What follows is the fragment's part as
  // it is.
  PacketBuilder& fragment(std::uint16_t offset_bytes, bool more, std::uint32_t identification = 1);

  // The last layer's checksum is made wrong.
  PacketBuilder& bad_checksum();

  [[nodiscard]] Packet build() const;
  operator Packet() const {
    return build();
  }  // NOLINT(google-explicit-constructor): ends the sentence

 private:
  enum class Kind : std::uint8_t {
    ethernet,
    vlan,
    ipv4,
    ipv6,
    ipv6_fragment,
    tcp,
    udp,
    icmp,
    icmpv6,
    gre,
    vxlan,
    payload
  };
  struct Layer {
    Kind kind;
    Packet bytes;  // the header (of payload: all of it)
    bool bad_checksum = false;
    bool protocol_set = false;
  };

  Layer& add(Kind kind, std::size_t header_bytes);
  Layer& last(std::initializer_list<Kind> kinds, const char* what);
  void finish(std::size_t index, Packet& body) const;
  void finish_ipv4(const Layer& layer, Packet& header, Bytes body, std::size_t index) const;
  void finish_checksum(std::size_t index, Packet& packet, std::size_t at) const;
  [[nodiscard]] std::uint8_t protocol_after(std::size_t index) const;
  [[nodiscard]] std::uint16_t ether_type_after(std::size_t index) const;

  std::vector<Layer> layers_;
};

[[nodiscard]] inline PacketBuilder packet() { return {}; }

// An IPv4 packet (of one Ethernet or no link header) cut into fragments of at most `bytes` of IP
// payload each (a multiple of eight).
[[nodiscard]] std::vector<Packet> fragments_of(const Packet& whole, std::size_t bytes);

// The Internet checksum (RFC 1071), for tests that check checksums.
[[nodiscard]] std::uint16_t internet_checksum(Bytes bytes, std::uint32_t start = 0);

// A classic pcap file with nanoseconds; linktype 1 is Ethernet, 101 raw IP.
class PcapWriter {
 public:
  explicit PcapWriter(const std::filesystem::path& path, std::uint32_t linktype = 1);
  PcapWriter& write(const Packet& packet, WallTime time = 0);
  void close();  // flushes; throws where something could not be written

 private:
  std::ofstream file_;
};

}  // namespace menshen::testkit
