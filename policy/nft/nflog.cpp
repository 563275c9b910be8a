#include "policy/nft/nflog.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "policy/nft/attributes.hpp"
#include "policy/nft/reason.hpp"

namespace menshen::policy::nft {
namespace {

constexpr std::uint16_t subsystem = NFNL_SUBSYS_ULOG << 8;
constexpr std::size_t receive_bytes = 1U << 16U;
constexpr int answer_timeout_ms = 5'000;
constexpr std::uint32_t flush_centiseconds = 10;

struct Request {
  std::array<char, 512> bytes{};
  nlmsghdr* message = nullptr;

  Request(std::uint16_t group, std::uint32_t sequence) {
    message = mnl_nlmsg_put_header(bytes.data());
    message->nlmsg_type = subsystem | NFULNL_MSG_CONFIG;
    message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    message->nlmsg_seq = sequence;
    auto* header = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(nfgenmsg)));
    header->nfgen_family = AF_UNSPEC;
    header->version = NFNETLINK_V0;
    header->res_id = htons(group);
  }
};

// refusal: what EPERM means here.
Result<void> ask(int fd, const Request& request, ErrorCode refusal) {
  const Text what{"无法绑定 NFLOG 组", "cannot bind the NFLOG group"};
  if (::send(fd, request.bytes.data(), request.message->nlmsg_len, 0) < 0) return fail_errno(what);
  std::array<char, 8192> buffer{};
  for (;;) {
    pollfd ready{fd, POLLIN, 0};
    if (::poll(&ready, 1, answer_timeout_ms) == 0)
      return fail(ErrorCode::unavailable,
                  {"内核未应答 NFLOG 请求", "the kernel does not answer the NFLOG request"});
    const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got < 0) return fail_errno(what);
    const auto* answer = reinterpret_cast<const nlmsghdr*>(buffer.data());
    if (!mnl_nlmsg_ok(answer, static_cast<int>(got)) || answer->nlmsg_type != NLMSG_ERROR ||
        answer->nlmsg_seq != request.message->nlmsg_seq)
      continue;
    nlmsgerr error{};
    std::memcpy(&error, mnl_nlmsg_get_payload(answer), sizeof(error));
    if (error.error == 0) return {};
    if (error.error != -EPERM && error.error != -EBUSY) return fail_errno(what, -error.error);
    if (refusal == ErrorCode::exists)
      return fail(refusal, {"NFLOG 组已被其他程序占用", "another program holds the NFLOG group"});
    return fail(refusal,
                {"读取 NFLOG 需要 CAP_NET_ADMIN 权限", "reading NFLOG needs CAP_NET_ADMIN"});
  }
}

std::uint32_t be32(const nlattr* attribute) { return ntohl(mnl_attr_get_u32(attribute)); }

std::string interface_name(const nlattr* index) {
  if (index == nullptr || mnl_attr_get_payload_len(index) < 4) return {};
  std::array<char, IF_NAMESIZE> name{};
  const std::uint32_t number = be32(index);
  if (::if_indextoname(number, name.data()) != nullptr) return name.data();
  return fmt::format("#{}", number);  // gone by now
}

WallTime time_of(const nlattr* stamp) {
  if (stamp != nullptr && mnl_attr_get_payload_len(stamp) >= sizeof(nfulnl_msg_packet_timestamp)) {
    ByteReader reader(Bytes(static_cast<const std::byte*>(mnl_attr_get_payload(stamp)),
                            mnl_attr_get_payload_len(stamp)));
    const auto seconds = static_cast<WallTime>(reader.be64());
    const auto microseconds = static_cast<WallTime>(reader.be64());
    if (seconds != 0) return seconds * 1'000'000'000 + microseconds * 1'000;
  }
  return system_clock().wall();  // the kernel stamps only packets that came from outside
}

void read_ports(ByteReader& reader, std::uint8_t protocol, FiveTuple& tuple) {
  tuple.proto = static_cast<IpProto>(protocol);
  switch (tuple.proto) {
    case IpProto::tcp:
    case IpProto::udp:
    case IpProto::sctp:
      tuple.sport = reader.be16();
      tuple.dport = reader.be16();
      break;
    case IpProto::icmp:
    case IpProto::icmpv6:
      tuple.sport = reader.u8();
      tuple.dport = reader.u8();
      break;
    default:
      break;
  }
}

IpAddr read_v6(ByteReader& reader) {
  std::array<std::uint8_t, 16> bytes{};
  for (auto& byte : bytes) byte = reader.u8();
  return IpAddr::v6(bytes);
}

}  // namespace

bool read_tuple(Bytes packet, FiveTuple& tuple, std::uint32_t& length) {
  ByteReader reader(packet);
  const std::uint8_t first = reader.u8();
  if (first >> 4 == 4) {
    reader.skip(1);
    length = reader.be16();
    reader.skip(2);
    const bool later_fragment = (reader.be16() & 0x1fffU) != 0;
    reader.skip(1);
    const std::uint8_t protocol = reader.u8();
    reader.skip(2);
    tuple.src = IpAddr::v4(reader.be32());
    tuple.dst = IpAddr::v4(reader.be32());
    tuple.proto = static_cast<IpProto>(protocol);
    reader.seek((first & 0xfU) * 4U);
    if (!later_fragment) read_ports(reader, protocol, tuple);
    return reader.ok() && !later_fragment;
  }
  if (first >> 4 != 6) return false;
  reader.skip(3);
  length = reader.be16() + 40U;
  std::uint8_t next = reader.u8();
  reader.skip(1);
  tuple.src = read_v6(reader);
  tuple.dst = read_v6(reader);
  // Extension headers in front of the transport header (RFC 8200 4.1).
  constexpr int headers_max = 8;
  for (int i = 0; i < headers_max && (next == 0 || next == 43 || next == 60); ++i) {
    next = reader.u8();
    reader.skip(reader.u8() * 8U + 6U);
  }
  tuple.proto = static_cast<IpProto>(next);
  if (next == 44) return false;  // a fragment: the ports may be elsewhere
  read_ports(reader, next, tuple);
  return reader.ok();
}

Result<NflogReader> NflogReader::open(std::uint16_t group, std::uint32_t snap_bytes) {
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER));
  if (!fd) return fail_errno({"无法打开 netlink 套接字", "cannot open a netlink socket"});
  const int bytes = static_cast<int>(socket_bytes);
  static_cast<void>(::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)));

  // A no-op that needs the same right, since the kernel answers EPERM for a group in other hands,
  // too.
  Request permitted(0, 1);
  nfulnl_msg_config_cmd command{NFULNL_CFG_CMD_PF_BIND};
  mnl_attr_put(permitted.message, NFULA_CFG_CMD, sizeof(command), &command);
  MENSHEN_CHECK(ask(fd.get(), permitted, ErrorCode::denied));

  Request bind(group, 2);
  command.command = NFULNL_CFG_CMD_BIND;
  mnl_attr_put(bind.message, NFULA_CFG_CMD, sizeof(command), &command);
  MENSHEN_CHECK(ask(fd.get(), bind, ErrorCode::exists));

  Request configure(group, 3);
  nfulnl_msg_config_mode mode{};
  mode.copy_mode = NFULNL_COPY_PACKET;
  mode.copy_range = htonl(snap_bytes);
  mnl_attr_put(configure.message, NFULA_CFG_MODE, sizeof(mode), &mode);
  mnl_attr_put_u16(configure.message, NFULA_CFG_FLAGS, htons(NFULNL_CFG_F_SEQ));
  // Every packet at once: the ruleset limits the rate, and an auditor wants to see it now.
  mnl_attr_put_u32(configure.message, NFULA_CFG_QTHRESH, htonl(1));
  mnl_attr_put_u32(configure.message, NFULA_CFG_TIMEOUT, htonl(flush_centiseconds));
  MENSHEN_CHECK(ask(fd.get(), configure, ErrorCode::denied));
  return NflogReader(std::move(fd));
}

void NflogReader::parse(Bytes datagram, std::vector<DroppedPacket>& out) {
  int left = static_cast<int>(datagram.size());
  for (const auto* message = reinterpret_cast<const nlmsghdr*>(datagram.data());
       mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
    if (message->nlmsg_type != (subsystem | NFULNL_MSG_PACKET) ||
        mnl_nlmsg_get_payload_len(message) < sizeof(nfgenmsg))
      continue;
    const auto fields = attributes_of<NFULA_MAX>(message, sizeof(nfgenmsg));
    if (const nlattr* sequence = fields[NFULA_SEQ]) {
      const std::uint32_t number = be32(sequence);
      if (sequence_known_) lost_ += number - sequence_next_;
      sequence_next_ = number + 1;
      sequence_known_ = true;
    }
    DroppedPacket packet;
    packet.time = time_of(fields[NFULA_TIMESTAMP]);
    packet.in_interface = interface_name(fields[NFULA_IFINDEX_INDEV]);
    packet.out_interface = interface_name(fields[NFULA_IFINDEX_OUTDEV]);
    if (const nlattr* prefix = fields[NFULA_PREFIX];
        prefix != nullptr && mnl_attr_validate(prefix, MNL_TYPE_NUL_STRING) == 0)
      packet.reason = parse_reason(mnl_attr_get_str(prefix)).value_or(Reason::count);
    if (const nlattr* payload = fields[NFULA_PAYLOAD]) {
      const Bytes bytes(static_cast<const std::byte*>(mnl_attr_get_payload(payload)),
                        mnl_attr_get_payload_len(payload));
      packet.tuple_known = read_tuple(bytes, packet.tuple, packet.length);
      packet.excerpt.assign(bytes.begin(), bytes.end());
    }
    out.push_back(std::move(packet));
  }
}

Result<std::vector<DroppedPacket>> NflogReader::read() {
  std::vector<DroppedPacket> out;
  std::vector<std::byte> buffer(receive_bytes);
  while (out.size() < batch_packets_max) {
    sockaddr_nl from{};
    socklen_t from_bytes = sizeof(from);
    const ssize_t got = ::recvfrom(fd_.get(), buffer.data(), buffer.size(), 0,
                                   reinterpret_cast<sockaddr*>(&from), &from_bytes);
    if (got >= 0) {
      if (from.nl_pid == 0) parse(Bytes(buffer).first(static_cast<std::size_t>(got)), out);
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == ENOBUFS) {
      ++overruns_;
      continue;
    }
    if (errno == EAGAIN) break;
    return fail_errno({"读取 NFLOG 失败", "cannot read from NFLOG"});
  }
  return out;
}

}  // namespace menshen::policy::nft
