#include "sensor/capture/tcp_reset.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

#include "sensor/packet/checksum.hpp"
#include "sensor/packet/decode.hpp"

namespace menshen::sensor {

namespace {

constexpr std::size_t tcp_bytes = 20;
constexpr std::uint8_t hop_limit = 64;

class Writer {
 public:
  void u8(unsigned value) { bytes_.push_back(static_cast<std::byte>(value)); }
  void be16(std::uint32_t value) {
    u8(value >> 8U & 0xffU);
    u8(value & 0xffU);
  }
  void be32(std::uint32_t value) {
    be16(value >> 16U);
    be16(value & 0xffffU);
  }
  void address(const IpAddr& address, bool v4) {
    const auto& bytes = address.bytes();
    for (std::size_t i = v4 ? 12 : 0; i < bytes.size(); ++i) u8(bytes[i]);
  }
  void set_be16(std::size_t at, std::uint32_t value) {
    bytes_[at] = static_cast<std::byte>(value >> 8U);
    bytes_[at + 1] = static_cast<std::byte>(value & 0xffU);
  }
  [[nodiscard]] Bytes bytes() const { return bytes_; }
  [[nodiscard]] std::vector<std::byte> take() && { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

std::vector<std::byte> make_reset(const FiveTuple& tuple, std::uint32_t seq, std::uint32_t ack,
                                  unsigned flags) {
  Writer out;
  const bool v4 = tuple.src.is_v4();
  if (v4) {
    out.u8(0x45);
    out.u8(0);
    out.be16(20 + tcp_bytes);
    out.be32(0x4000);  // identification 0, do not fragment
    out.u8(hop_limit);
    out.u8(IPPROTO_TCP);
    out.be16(0);
  } else {
    out.be32(0x6000'0000);
    out.be16(tcp_bytes);
    out.u8(IPPROTO_TCP);
    out.u8(hop_limit);
  }
  out.address(tuple.src, v4);
  out.address(tuple.dst, v4);
  const std::size_t begin = out.bytes().size();
  if (v4) out.set_be16(10, 0xffffU & ~checksum_sum(out.bytes()));
  out.be16(tuple.sport);
  out.be16(tuple.dport);
  out.be32(seq);
  out.be32(ack);
  out.u8(0x50);
  out.u8(flags);
  out.be16(0);  // window
  out.be32(0);  // checksum, urgent
  const Bytes addresses = out.bytes().subspan(v4 ? 12 : 8, v4 ? 8 : 32);
  const std::uint64_t pseudo =
      std::uint64_t{checksum_sum(addresses)} + tcp_bytes + std::uint64_t{IPPROTO_TCP};
  out.set_be16(begin + 16, 0xffffU & ~checksum_sum(out.bytes().subspan(begin), pseudo));
  return std::move(out).take();
}

bool send_one(const UniqueFd& socket, const std::vector<std::byte>& segment, const IpAddr& to) {
  sockaddr_storage address{};
  socklen_t length = 0;
  if (to.is_v4()) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_addr.s_addr = htonl(to.v4_value());
    std::memcpy(&address, &in, sizeof(in));
    length = sizeof(in);
  } else {
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    std::memcpy(&in.sin6_addr, to.bytes().data(), to.bytes().size());
    std::memcpy(&address, &in, sizeof(in));
    length = sizeof(in);
  }
  return sendto(socket.get(), segment.data(), segment.size(), MSG_DONTWAIT,
                reinterpret_cast<const sockaddr*>(&address),
                length) == static_cast<ssize_t>(segment.size());
}

}  // namespace

std::vector<std::vector<std::byte>> make_resets(const PacketMeta& packet) {
  if ((packet.tcp_flags & tcp_rst) != 0) return {};
  const FiveTuple tuple = tuple_of(packet);
  const TcpHeader tcp = tcp_header(packet);
  const bool acks = (packet.tcp_flags & tcp_ack) != 0;
  const std::uint32_t after = tcp.seq + packet.payload_length +
                              ((packet.tcp_flags & tcp_syn) != 0 ? 1U : 0U) +
                              ((packet.tcp_flags & tcp_fin) != 0 ? 1U : 0U);
  std::vector<std::vector<std::byte>> both;
  // Its sender expects what it has acknowledged; with no acknowledgement, the reset acknowledges.
  both.push_back(acks ? make_reset(tuple.reversed(), tcp.ack, 0, tcp_rst)
                      : make_reset(tuple.reversed(), 0, after, tcp_rst | tcp_ack));
  // Its receiver never got this packet, so it still expects its number.
  both.push_back(make_reset(tuple, tcp.seq, acks ? tcp.ack : 0,
                            acks ? unsigned{tcp_rst} | unsigned{tcp_ack} : unsigned{tcp_rst}));
  return both;
}

TcpResetter TcpResetter::open() {
  TcpResetter resetter;
  resetter.v4_.reset(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
  resetter.v6_.reset(socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
  return resetter;
}

bool TcpResetter::send(const PacketMeta& packet) const {
  const UniqueFd& socket = packet.ip_version == 4 ? v4_ : v6_;
  if (!socket) return false;
  const auto resets = make_resets(packet);
  const FiveTuple tuple = tuple_of(packet);
  bool sent = true;
  for (std::size_t i = 0; i < resets.size(); ++i) {
    sent = send_one(socket, resets[i], i == 0 ? tuple.src : tuple.dst) && sent;
  }
  return sent;
}

}  // namespace menshen::sensor
