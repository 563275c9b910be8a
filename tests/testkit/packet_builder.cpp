#include "tests/testkit/packet_builder.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <stdexcept>
#include <string>

namespace menshen::testkit {
namespace {

constexpr std::uint8_t ipv6_fragment_protocol = 44;

void put8(Packet& bytes, std::size_t at, unsigned value) {
  bytes.at(at) = static_cast<std::byte>(value);
}
void put16(Packet& bytes, std::size_t at, unsigned value) {
  put8(bytes, at, value >> 8U & 0xffU);
  put8(bytes, at + 1, value & 0xffU);
}
void put32(Packet& bytes, std::size_t at, std::uint32_t value) {
  put16(bytes, at, value >> 16U);
  put16(bytes, at + 2, value & 0xffffU);
}
unsigned get16(const Packet& bytes, std::size_t at) {
  return std::to_integer<unsigned>(bytes.at(at)) << 8U |
         std::to_integer<unsigned>(bytes.at(at + 1));
}

void put_mac(Packet& bytes, std::size_t at, std::string_view text) {
  if (text.size() != 17) throw std::invalid_argument("no MAC address: " + std::string(text));
  for (std::size_t i = 0; i < 6; ++i) {
    unsigned value = 0;
    const char* begin = text.data() + 3 * i;
    if (std::from_chars(begin, begin + 2, value, 16).ptr != begin + 2) {
      throw std::invalid_argument("no MAC address: " + std::string(text));
    }
    put8(bytes, at + i, value);
  }
}

void put_address(Packet& bytes, std::size_t at, std::string_view text, bool v4) {
  const auto address = IpAddr::parse(text);
  if (!address || address->is_v4() != v4) {
    throw std::invalid_argument("no address of this family: " + std::string(text));
  }
  const auto& all = address->bytes();
  const std::size_t skipped = v4 ? 12 : 0;
  for (std::size_t i = skipped; i < all.size(); ++i) put8(bytes, at + i - skipped, all[i]);
}

std::uint32_t add_words(Bytes bytes, std::uint32_t sum) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto byte = std::to_integer<std::uint32_t>(bytes[i]);
    sum += i % 2 == 0 ? byte << 8U : byte;
    if (sum >= 0x10000U) sum -= 0xffffU;  // the carry goes round
  }
  return sum;
}

}  // namespace

std::uint16_t internet_checksum(Bytes bytes, std::uint32_t start) {
  std::uint32_t sum = add_words(bytes, start);
  while (sum > 0xffffU) sum = (sum & 0xffffU) + (sum >> 16U);
  return static_cast<std::uint16_t>(~sum);
}

PacketBuilder::Layer& PacketBuilder::add(Kind kind, std::size_t header_bytes) {
  return layers_.emplace_back(Layer{kind, Packet(header_bytes), false, false});
}

PacketBuilder::Layer& PacketBuilder::last(std::initializer_list<Kind> kinds, const char* what) {
  const auto found = std::find_if(layers_.rbegin(), layers_.rend(), [&](const Layer& layer) {
    return std::find(kinds.begin(), kinds.end(), layer.kind) != kinds.end();
  });
  if (found == layers_.rend()) throw std::logic_error(std::string("no layer here has ") + what);
  return *found;
}

PacketBuilder& PacketBuilder::ethernet(std::string_view source, std::string_view destination) {
  Packet& header = add(Kind::ethernet, 14).bytes;
  put_mac(header, 0, destination);
  put_mac(header, 6, source);
  return *this;
}

PacketBuilder& PacketBuilder::vlan(std::uint16_t id, std::uint16_t ether_type) {
  // The tag's own type stands in the header before it: kept here until that one is finished.
  Packet& header = add(Kind::vlan, 6).bytes;
  put16(header, 0, id);
  put16(header, 4, ether_type);
  return *this;
}

PacketBuilder& PacketBuilder::ipv4(std::string_view source, std::string_view destination) {
  Packet& header = add(Kind::ipv4, 20).bytes;
  put8(header, 0, 0x45);
  put8(header, 8, 64);
  put_address(header, 12, source, true);
  put_address(header, 16, destination, true);
  return *this;
}

PacketBuilder& PacketBuilder::ipv6(std::string_view source, std::string_view destination) {
  Packet& header = add(Kind::ipv6, 40).bytes;
  put8(header, 0, 0x60);
  put8(header, 7, 64);
  put_address(header, 8, source, false);
  put_address(header, 24, destination, false);
  return *this;
}

PacketBuilder& PacketBuilder::tcp(std::uint16_t source, std::uint16_t destination) {
  Packet& header = add(Kind::tcp, 20).bytes;
  put16(header, 0, source);
  put16(header, 2, destination);
  put8(header, 12, 0x50);
  put16(header, 14, 65535);
  return flags("A");
}

PacketBuilder& PacketBuilder::udp(std::uint16_t source, std::uint16_t destination) {
  Packet& header = add(Kind::udp, 8).bytes;
  put16(header, 0, source);
  put16(header, 2, destination);
  return *this;
}

PacketBuilder& PacketBuilder::icmp(std::uint8_t type, std::uint8_t code, std::uint32_t rest) {
  Packet& header = add(Kind::icmp, 8).bytes;
  put8(header, 0, type);
  put8(header, 1, code);
  put32(header, 4, rest);
  return *this;
}

PacketBuilder& PacketBuilder::icmpv6(std::uint8_t type, std::uint8_t code, std::uint32_t rest) {
  icmp(type, code, rest);
  layers_.back().kind = Kind::icmpv6;
  return *this;
}

PacketBuilder& PacketBuilder::gre() {
  add(Kind::gre, 4);
  return *this;
}

PacketBuilder& PacketBuilder::vxlan(std::uint32_t vni) {
  Packet& header = add(Kind::vxlan, 8).bytes;
  put8(header, 0, 0x08);
  put32(header, 4, vni << 8U);
  return *this;
}

PacketBuilder& PacketBuilder::payload(std::string_view text) { return payload(as_bytes(text)); }

PacketBuilder& PacketBuilder::payload(Bytes bytes) {
  add(Kind::payload, 0).bytes.assign(bytes.begin(), bytes.end());
  return *this;
}

PacketBuilder& PacketBuilder::seq(std::uint32_t number) {
  put32(last({Kind::tcp}, "a sequence number").bytes, 4, number);
  return *this;
}

PacketBuilder& PacketBuilder::ack(std::uint32_t number) {
  put32(last({Kind::tcp}, "an acknowledgement number").bytes, 8, number);
  return *this;
}

PacketBuilder& PacketBuilder::flags(std::string_view letters) {
  constexpr std::string_view names = "FSRPAUEC";
  unsigned bits = 0;
  for (const char letter : letters) {
    const std::size_t bit = names.find(letter);
    if (bit == std::string_view::npos)
      throw std::invalid_argument("no TCP flag: " + std::string(letters));
    bits |= 1U << bit;
  }
  put8(last({Kind::tcp}, "TCP flags").bytes, 13, bits);
  return *this;
}

PacketBuilder& PacketBuilder::window(std::uint16_t bytes) {
  put16(last({Kind::tcp}, "a window").bytes, 14, bytes);
  return *this;
}

PacketBuilder& PacketBuilder::options(Bytes bytes) {
  Layer& layer = last({Kind::tcp, Kind::ipv4}, "options");
  Packet& header = layer.bytes;
  header.resize(20);
  header.insert(header.end(), bytes.begin(), bytes.end());
  header.resize((header.size() + 3) / 4 * 4);
  if (header.size() > 60) throw std::invalid_argument("more than 40 bytes of options");
  const auto words = static_cast<unsigned>(header.size() / 4);
  if (layer.kind == Kind::tcp) {
    put8(header, 12, words << 4U);
  } else {
    put8(header, 0, 0x40U | words);
  }
  return *this;
}

PacketBuilder& PacketBuilder::ttl(std::uint8_t hops) {
  Layer& layer = last({Kind::ipv4, Kind::ipv6}, "a time to live");
  put8(layer.bytes, layer.kind == Kind::ipv4 ? 8 : 7, hops);
  return *this;
}

PacketBuilder& PacketBuilder::protocol(std::uint8_t number) {
  Layer& layer = last({Kind::ipv4, Kind::ipv6, Kind::ipv6_fragment}, "a protocol");
  const std::size_t at = layer.kind == Kind::ipv4 ? 9 : layer.kind == Kind::ipv6 ? 6 : 0;
  put8(layer.bytes, at, number);
  layer.protocol_set = true;
  return *this;
}

PacketBuilder& PacketBuilder::identification(std::uint16_t number) {
  put16(last({Kind::ipv4}, "an identification").bytes, 4, number);
  return *this;
}

PacketBuilder& PacketBuilder::fragment(std::uint16_t offset_bytes, bool more,
                                       std::uint32_t identification) {
  if (offset_bytes % 8 != 0)
    throw std::invalid_argument("a fragment begins at a multiple of eight");
  Layer& ip = last({Kind::ipv4, Kind::ipv6}, "fragments");
  if (ip.kind == Kind::ipv4) {
    put16(ip.bytes, 4, identification & 0xffffU);
    put16(ip.bytes, 6, (more ? 0x2000U : 0U) | offset_bytes / 8U);
    return *this;
  }
  // protocol() before or after fragment(): the number belongs into the last header of the chain.
  const bool told = ip.protocol_set;
  const std::byte number = ip.bytes.at(6);
  ip.protocol_set = false;
  Layer& extension = add(Kind::ipv6_fragment, 8);
  extension.protocol_set = told;
  extension.bytes[0] = number;
  put16(extension.bytes, 2, offset_bytes | (more ? 1U : 0U));
  put32(extension.bytes, 4, identification);
  return *this;
}

PacketBuilder& PacketBuilder::bad_checksum() {
  last({Kind::ipv4, Kind::tcp, Kind::udp, Kind::icmp, Kind::icmpv6}, "a checksum").bad_checksum =
      true;
  return *this;
}

std::uint8_t PacketBuilder::protocol_after(std::size_t index) const {
  if (index + 1 == layers_.size()) return 59;  // "no next header"
  switch (layers_[index + 1].kind) {
    case Kind::ipv4:
      return 4;
    case Kind::ipv6:
      return 41;
    case Kind::ipv6_fragment:
      return ipv6_fragment_protocol;
    case Kind::tcp:
      return 6;
    case Kind::udp:
      return 17;
    case Kind::icmp:
      return 1;
    case Kind::icmpv6:
      return 58;
    case Kind::gre:
      return 47;
    default:
      return 253;  // for experiments (RFC 3692)
  }
}

std::uint16_t PacketBuilder::ether_type_after(std::size_t index) const {
  if (index + 1 == layers_.size()) return 0x88b5;  // for experiments (IEEE 802)
  switch (layers_[index + 1].kind) {
    case Kind::vlan:
      return static_cast<std::uint16_t>(get16(layers_[index + 1].bytes, 4));
    case Kind::ipv4:
      return 0x0800;
    case Kind::ipv6:
      return 0x86dd;
    case Kind::ethernet:
      return 0x6558;
    default:
      return 0x88b5;
  }
}

void PacketBuilder::finish_ipv4(const Layer& layer, Packet& header, Bytes body,
                                std::size_t index) const {
  put16(header, 2, static_cast<unsigned>(header.size() + body.size()));
  if (!layer.protocol_set) put8(header, 9, protocol_after(index));
  const unsigned sum = internet_checksum(header);
  put16(header, 10, layer.bad_checksum ? sum ^ 0x5555U : sum);
}

// `packet` is the transport header with all that follows it.
void PacketBuilder::finish_checksum(std::size_t index, Packet& packet, std::size_t at) const {
  std::uint32_t pseudo = 0;
  const Kind kind = layers_[index].kind;
  if (kind != Kind::icmp) {
    std::size_t ip = index;
    while (ip > 0 && layers_[ip].kind != Kind::ipv4 && layers_[ip].kind != Kind::ipv6) --ip;
    const Layer& outer = layers_[ip];
    const Bytes header(outer.bytes);
    if (outer.kind == Kind::ipv4) {
      pseudo = add_words(header.subspan(12, 8), 0);
    } else if (outer.kind == Kind::ipv6) {
      pseudo = add_words(header.subspan(8, 32), 0);
    }
    pseudo += protocol_after(index - 1);
    pseudo += static_cast<std::uint32_t>(packet.size());
  }
  while (pseudo > 0xffffU) pseudo = (pseudo & 0xffffU) + (pseudo >> 16U);
  unsigned sum = internet_checksum(packet, pseudo);
  if (kind == Kind::udp && sum == 0) sum = 0xffff;  // zero means "none"
  put16(packet, at, layers_[index].bad_checksum ? sum ^ 0x5555U : sum);
}

void PacketBuilder::finish(std::size_t index, Packet& body) const {
  const Layer& layer = layers_[index];
  Packet header = layer.bytes;
  switch (layer.kind) {
    case Kind::ethernet:
      put16(header, 12, ether_type_after(index));
      break;
    case Kind::vlan:
      put16(header, 2, ether_type_after(index));
      header.resize(4);
      break;
    case Kind::ipv4:
      finish_ipv4(layer, header, body, index);
      break;
    case Kind::ipv6:
      put16(header, 4, static_cast<unsigned>(body.size()));
      if (!layer.protocol_set) put8(header, 6, protocol_after(index));
      break;
    case Kind::ipv6_fragment:
      if (!layer.protocol_set) put8(header, 0, protocol_after(index));
      break;
    case Kind::udp:
      put16(header, 4, static_cast<unsigned>(header.size() + body.size()));
      break;
    case Kind::gre:
      put16(header, 2, ether_type_after(index));
      break;
    default:
      break;
  }
  header.insert(header.end(), body.begin(), body.end());
  body = std::move(header);
  switch (layer.kind) {
    case Kind::tcp:
      finish_checksum(index, body, 16);
      break;
    case Kind::udp:
      finish_checksum(index, body, 6);
      break;
    case Kind::icmp:
    case Kind::icmpv6:
      finish_checksum(index, body, 2);
      break;
    default:
      break;
  }
}

Packet PacketBuilder::build() const {
  Packet body;
  for (std::size_t i = layers_.size(); i > 0; --i) finish(i - 1, body);
  return body;
}

std::vector<Packet> fragments_of(const Packet& whole, std::size_t bytes) {
  if (bytes == 0 || bytes % 8 != 0) throw std::invalid_argument("not a multiple of eight");
  const std::size_t ip = std::to_integer<unsigned>(whole.at(0)) >> 4U == 4 ? 0 : 14;
  const std::size_t header_bytes = (std::to_integer<std::size_t>(whole.at(ip)) & 0xfU) * 4;
  const std::size_t begin = ip + header_bytes;
  const std::size_t end = ip + get16(whole, ip + 2);
  std::vector<Packet> fragments;
  for (std::size_t at = begin; at < end; at += bytes) {
    const std::size_t size = std::min(bytes, end - at);
    Packet part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(begin));
    part.insert(part.end(), whole.begin() + static_cast<std::ptrdiff_t>(at),
                whole.begin() + static_cast<std::ptrdiff_t>(at + size));
    put16(part, ip + 2, static_cast<unsigned>(header_bytes + size));
    put16(part, ip + 6, (at + size < end ? 0x2000U : 0U) | static_cast<unsigned>((at - begin) / 8));
    put16(part, ip + 10, 0);
    put16(part, ip + 10, internet_checksum(Bytes(part).subspan(ip, header_bytes)));
    fragments.push_back(std::move(part));
  }
  return fragments;
}

namespace {

// The file's byte order is the machine's; the magic number tells which.
void put_native32(std::ofstream& file, std::uint32_t value) {
  file.write(reinterpret_cast<const char*>(&value), sizeof(value));
}

}  // namespace

PcapWriter::PcapWriter(const std::filesystem::path& path, std::uint32_t linktype)
    : file_(path, std::ios::binary | std::ios::trunc) {
  if (!file_) throw std::runtime_error("cannot write " + path.string());
  put_native32(file_, 0xa1b23c4d);      // nanoseconds
  put_native32(file_, 2U | 4U << 16U);  // version 2.4 on a little-endian machine
  put_native32(file_, 0);
  put_native32(file_, 0);
  put_native32(file_, 256U << 10U);
  put_native32(file_, linktype);
}

PcapWriter& PcapWriter::write(const Packet& packet, WallTime time) {
  constexpr WallTime second = 1'000'000'000;
  put_native32(file_, static_cast<std::uint32_t>(time / second));
  put_native32(file_, static_cast<std::uint32_t>(time % second));
  put_native32(file_, static_cast<std::uint32_t>(packet.size()));
  put_native32(file_, static_cast<std::uint32_t>(packet.size()));
  file_.write(reinterpret_cast<const char*>(packet.data()),
              static_cast<std::streamsize>(packet.size()));
  return *this;
}

void PcapWriter::close() {
  file_.close();
  if (!file_) throw std::runtime_error("cannot write the capture file");
}

}  // namespace menshen::testkit
