#include "sensor/capture/nfqueue.hpp"

#include <fmt/format.h>
#include <netinet/in.h>  // before linux/netfilter.h
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>

#include <fcntl.h>

#include <array>
#include <charconv>
#include <cstring>
#include <functional>
#include <optional>

#include "base/file.hpp"
#include "base/handle.hpp"
#include "sensor/capture/tcp_reset.hpp"

namespace menshen::sensor {

namespace {

using MnlSocket = Handle<mnl_socket, &mnl_socket_close>;

// Netlink's attribute length has 16 bits; the kernel cuts a larger packet there.
constexpr std::uint32_t copy_bytes = 0xffff;
constexpr std::size_t slot_bytes = 68U
                                   << 10U;  // one packet, its attributes, and its netlink header
constexpr std::size_t verdict_message_bytes = 64;
// Of one message: the netlink socket takes no more than its send buffer holds.
constexpr std::size_t verdicts_bytes_max = 32U << 10U;

struct Unmap {
  std::size_t size = 0;
  void operator()(std::byte* memory) const noexcept { munmap(memory, size); }
};

class Request {
 public:
  Request(std::uint16_t type, std::uint16_t queue, std::uint16_t flags)
      : header_(mnl_nlmsg_put_header(buffer_.data())) {
    header_->nlmsg_type = static_cast<std::uint16_t>(NFNL_SUBSYS_QUEUE << 8U | type);
    header_->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
    auto* family = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(header_, sizeof(nfgenmsg)));
    family->nfgen_family = AF_UNSPEC;
    family->version = NFNETLINK_V0;
    family->res_id = htons(queue);
  }
  [[nodiscard]] nlmsghdr* header() noexcept { return header_; }

 private:
  alignas(nlmsghdr) std::array<char, 512> buffer_{};
  nlmsghdr* header_;
};

// What the kernel says of one packet.
struct Attributes {
  const nfqnl_msg_packet_hdr* packet = nullptr;
  Bytes payload;
  std::uint32_t indev = 0;
  std::uint32_t info = 0;
  std::uint32_t whole_length = 0;  // 0: not cut
};

int read_attribute(const nlattr* attribute, void* data) {
  auto& found = *static_cast<Attributes*>(data);
  const std::size_t length = mnl_attr_get_payload_len(attribute);
  switch (mnl_attr_get_type(attribute)) {
    case NFQA_PACKET_HDR:
      if (length >= sizeof(nfqnl_msg_packet_hdr)) {
        found.packet = static_cast<const nfqnl_msg_packet_hdr*>(mnl_attr_get_payload(attribute));
      }
      break;
    case NFQA_PAYLOAD:
      found.payload = {static_cast<const std::byte*>(mnl_attr_get_payload(attribute)), length};
      break;
    case NFQA_IFINDEX_INDEV:
      if (length >= 4) found.indev = ntohl(mnl_attr_get_u32(attribute));
      break;
    case NFQA_SKB_INFO:
      if (length >= 4) found.info = ntohl(mnl_attr_get_u32(attribute));
      break;
    case NFQA_CAP_LEN:
      if (length >= 4) found.whole_length = ntohl(mnl_attr_get_u32(attribute));
      break;
    default:
      break;
  }
  return MNL_CB_OK;
}

class NfqueuePort final : public PacketPort {
 public:
  explicit NfqueuePort(const NfqueueOptions& options) : options_(options) {}

  Result<void> open() {
    socket_.reset(mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC));
    const Text trying{fmt::format("无法打开 NFQUEUE 队列 {}", options_.queue),
                      fmt::format("cannot open NFQUEUE {}", options_.queue)};
    if (socket_ == nullptr || mnl_socket_bind(socket_.get(), 0, MNL_SOCKET_AUTOPID) < 0) {
      return fail_errno(trying);
    }
    // Kept open: a sandbox may close the way to it later.
    statistics_.reset(::open("/proc/net/netfilter/nfnetlink_queue", O_RDONLY | O_CLOEXEC));
    // The kernel answers a second owner like one without the capability.
    if (kernel_line()) {
      return fail(ErrorCode::exists,
                  {fmt::format("NFQUEUE 队列 {} 已被其他程序占用", options_.queue),
                   fmt::format("another program holds NFQUEUE {}", options_.queue)});
    }
    auto configured = configure();
    if (!configured) return fail_while(trying, configured.error());
    const std::size_t bytes = slot_bytes * batch_packets_max;
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return fail_errno(trying);
    slots_ = {static_cast<std::byte*>(memory), Unmap{bytes}};
    if (options_.resets) resetter_ = TcpResetter::open();
    return {};
  }

  Result<std::size_t> receive(PacketBatch& batch, std::chrono::milliseconds timeout) override {
    pollfd waiting{.fd = fd(), .events = POLLIN, .revents = 0};
    const int ready = poll(&waiting, 1, static_cast<int>(timeout.count()));
    if (ready == 0 || (ready < 0 && errno == EINTR)) return std::size_t{0};
    if (ready < 0) return fail_errno(reading());
    const std::size_t before = batch.packets().size();
    const std::size_t wanted = batch_packets_max - before;
    std::array<mmsghdr, batch_packets_max> messages{};
    std::array<iovec, batch_packets_max> parts{};
    for (std::size_t i = 0; i < wanted; ++i) {
      parts[i] = {.iov_base = slots_.get() + i * slot_bytes, .iov_len = slot_bytes};
      messages[i].msg_hdr.msg_iov = &parts[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
    const int got =
        recvmmsg(fd(), messages.data(), static_cast<unsigned>(wanted), MSG_DONTWAIT, nullptr);
    if (got < 0) {
      if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS) return std::size_t{0};
      return fail_errno(reading());
    }
    now_ = system_clock().wall();
    for (std::size_t i = 0; i < static_cast<std::size_t>(got); ++i) {
      const mmsghdr& message = messages[i];
      if ((message.msg_hdr.msg_flags & MSG_TRUNC) != 0) return unreadable();
      MENSHEN_CHECK(
          read_message(batch, static_cast<std::byte*>(parts[i].iov_base), message.msg_len));
    }
    return batch.packets().size() - before;
  }

  Result<void> give_verdicts(PacketBatch& batch) override {
    const auto packets = batch.packets();
    verdicts_.clear();
    for (std::size_t i = 0; i < packets.size(); ++i) {
      const PacketMeta& packet = packets[i];
      count(packet);
      if (packet.verdict == Verdict::reject) reset(packet);
      if (changed(packet)) {
        add_changed(packet);
        if (verdicts_.size() > verdicts_bytes_max) MENSHEN_CHECK(send_verdicts());
        continue;
      }
      // A batch verdict is for every waiting packet up to its number: one message a run.
      const bool last = i + 1 == packets.size() || changed(packets[i + 1]) ||
                        packets[i + 1].dropped() != packet.dropped();
      if (last) add_verdict(packet.id, packet.dropped() ? NF_DROP : NF_ACCEPT);
    }
    return send_verdicts();
  }

  Result<void> send_verdicts() {
    if (verdicts_.empty()) return {};
    while (mnl_socket_sendto(socket_.get(), verdicts_.data(), verdicts_.size()) < 0) {
      if (errno != EINTR) {
        return fail_errno({"无法向内核下发报文裁决", "cannot give the kernel the verdicts"});
      }
    }
    verdicts_.clear();
    return {};
  }

  // It passes with other bytes than those that the kernel has: they stand elsewhere.
  [[nodiscard]] bool changed(const PacketMeta& packet) const noexcept {
    const std::less<> before;
    const std::byte* end = slots_.get() + slot_bytes * batch_packets_max;
    const bool bytes = packet.length != 0 && !packet.dropped();
    return bytes && (before(packet.data, slots_.get()) || !before(packet.data, end));
  }

  PortCounters counters() const override {
    PortCounters counters = counters_;
    if (const auto line = kernel_line()) {
      counters.lost_queue = (*line)[5];
      counters.lost_socket = (*line)[6];
    }
    return counters;
  }
  int fd() const noexcept override { return mnl_socket_get_fd(socket_.get()); }
  bool finished() const noexcept override { return false; }
  bool is_inline() const noexcept override { return true; }

 private:
  static Text reading() { return {"无法读取 NFQUEUE 队列", "cannot read from NFQUEUE"}; }
  static tl::unexpected<Error> unreadable() {
    return fail(ErrorCode::unavailable,
                {"内核 NFQUEUE 消息无法解析", "the kernel's NFQUEUE message cannot be read"});
  }

  Result<void> configure() {
    Request bind(NFQNL_MSG_CONFIG, options_.queue, NLM_F_ACK);
    const nfqnl_msg_config_cmd command{.command = NFQNL_CFG_CMD_BIND, ._pad = 0, .pf = 0};
    mnl_attr_put(bind.header(), NFQA_CFG_CMD, sizeof(command), &command);
    MENSHEN_CHECK(ask(bind));

    Request parameters(NFQNL_MSG_CONFIG, options_.queue, NLM_F_ACK);
    const nfqnl_msg_config_params copy{.copy_range = htonl(copy_bytes),
                                       .copy_mode = NFQNL_COPY_PACKET};
    mnl_attr_put(parameters.header(), NFQA_CFG_PARAMS, sizeof(copy), &copy);
    mnl_attr_put_u32(parameters.header(), NFQA_CFG_QUEUE_MAXLEN, htonl(options_.queue_packets_max));
    constexpr std::uint32_t known = NFQA_CFG_F_GSO | NFQA_CFG_F_FAIL_OPEN;
    const std::uint32_t flags =
        NFQA_CFG_F_GSO | (options_.fail_open ? std::uint32_t{NFQA_CFG_F_FAIL_OPEN} : 0U);
    mnl_attr_put_u32(parameters.header(), NFQA_CFG_FLAGS, htonl(flags));
    mnl_attr_put_u32(parameters.header(), NFQA_CFG_MASK, htonl(known));
    MENSHEN_CHECK(ask(parameters));

    const int one = 1;
    if (mnl_socket_setsockopt(socket_.get(), NETLINK_NO_ENOBUFS, const_cast<int*>(&one),
                              sizeof(one)) < 0) {
      return fail_errno({"无法设置 netlink 选项", "cannot set a netlink option"});
    }
    const int bytes = static_cast<int>(options_.socket_bytes);
    if (setsockopt(fd(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) != 0) {
      return fail_errno({"无法设置接收缓冲区大小", "cannot set the receive buffer's size"});
    }
    return {};
  }

  // Sends a request and waits for its acknowledgement; packets that already come are not lost: the
  // queue copies none before the parameters are set, and those are the last request.
  Result<void> ask(Request& request) {
    if (mnl_socket_sendto(socket_.get(), request.header(), request.header()->nlmsg_len) < 0) {
      return fail_errno({"netlink 请求失败", "the netlink request failed"});
    }
    alignas(nlmsghdr) std::array<char, 8192> buffer{};
    const ssize_t got = mnl_socket_recvfrom(socket_.get(), buffer.data(), buffer.size());
    if (got < 0) return fail_errno({"netlink 无应答", "netlink does not answer"});
    const auto* header = reinterpret_cast<const nlmsghdr*>(buffer.data());
    int left = static_cast<int>(got);
    if (!mnl_nlmsg_ok(header, left) || header->nlmsg_type != NLMSG_ERROR) return unreadable();
    const int error = error_of(header);
    return error == 0 ? Result<void>{} : refused(error);
  }

  static int error_of(const nlmsghdr* header) noexcept {
    if (mnl_nlmsg_get_payload_len(header) < sizeof(nlmsgerr)) return EPROTO;
    return -static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(header))->error;
  }

  static tl::unexpected<Error> refused(int error) {
    switch (error) {
      case EPERM:
        return fail(ErrorCode::denied, {"缺少 CAP_NET_ADMIN 权限", "CAP_NET_ADMIN is missing"});
      case EBUSY:
        return fail(ErrorCode::exists,
                    {"该队列已被其他程序占用", "another program holds the queue"});
      case EOPNOTSUPP:
      case EINVAL:
        return fail(ErrorCode::unavailable,
                    {"内核不支持 NFQUEUE", "the kernel does not support NFQUEUE"});
      default:
        return fail_errno({"内核拒绝 NFQUEUE 设置", "the kernel refuses the NFQUEUE settings"},
                          error);
    }
  }

  Result<void> read_message(PacketBatch& batch, std::byte* bytes, std::size_t size) {
    const auto* header = reinterpret_cast<const nlmsghdr*>(bytes);
    int left = static_cast<int>(size);
    for (; mnl_nlmsg_ok(header, left) && !batch.full(); header = mnl_nlmsg_next(header, &left)) {
      if (header->nlmsg_type == NLMSG_ERROR && error_of(header) == EPERM) return refused(EPERM);
      // Any other error answers a verdict that came too late: the packet is gone already.
      if (header->nlmsg_type != (NFNL_SUBSYS_QUEUE << 8U | NFQNL_MSG_PACKET)) continue;
      Attributes found;
      const bool parsed = mnl_attr_parse(header, sizeof(nfgenmsg), read_attribute, &found) >= 0;
      if (!parsed || found.packet == nullptr) return unreadable();
      push(batch, found);
    }
    return {};
  }

  void push(PacketBatch& batch, const Attributes& found) {
    PacketMeta& packet = batch.push();
    packet.data = found.payload.data();
    packet.length = static_cast<std::uint32_t>(found.payload.size());
    packet.id = ntohl(found.packet->packet_id);
    packet.link = LinkType::raw_ip;
    packet.time = now_;
    packet.checksum_trusted = (found.info & (NFQA_SKB_CSUMNOTREADY | NFQA_SKB_GSO)) != 0;
    for (const NfqueueOptions::Attachment& known : options_.attachments) {
      if (known.ifindex == found.indev) packet.attachment = known.attachment;
    }
    ++counters_.packets;
    counters_.bytes += packet.length;
    if (found.whole_length > packet.length) ++counters_.cut_short;
  }

  void add_verdict(std::uint32_t id, std::uint32_t verdict) {
    const std::size_t at = verdicts_.size();
    verdicts_.resize(at + verdict_message_bytes);
    Request message(NFQNL_MSG_VERDICT_BATCH, options_.queue, 0);
    const nfqnl_msg_verdict_hdr body{.verdict = htonl(verdict), .id = htonl(id)};
    mnl_attr_put(message.header(), NFQA_VERDICT_HDR, sizeof(body), &body);
    std::memcpy(verdicts_.data() + at, message.header(), message.header()->nlmsg_len);
    verdicts_.resize(at + MNL_ALIGN(message.header()->nlmsg_len));
  }

  // A verdict of its own, with the packet's bytes.
  void add_changed(const PacketMeta& packet) {
    const std::size_t at = verdicts_.size();
    verdicts_.resize(at + verdict_message_bytes + MNL_ALIGN(sizeof(nlattr) + packet.length));
    Request message(NFQNL_MSG_VERDICT, options_.queue, 0);
    const nfqnl_msg_verdict_hdr body{.verdict = htonl(NF_ACCEPT), .id = htonl(packet.id)};
    mnl_attr_put(message.header(), NFQA_VERDICT_HDR, sizeof(body), &body);
    std::memcpy(verdicts_.data() + at, message.header(), message.header()->nlmsg_len);
    auto* header = reinterpret_cast<nlmsghdr*>(verdicts_.data() + at);
    mnl_attr_put(header, NFQA_PAYLOAD, packet.length, packet.data);
    verdicts_.resize(at + MNL_ALIGN(header->nlmsg_len));
  }

  void count(const PacketMeta& packet) {
    ++(packet.verdict == Verdict::accept ? counters_.accepted
       : packet.verdict == Verdict::drop ? counters_.dropped
                                         : counters_.rejected);
  }

  void reset(const PacketMeta& packet) {
    if (packet.proto != IpProto::tcp || packet.transport_offset == 0 || !options_.resets) return;
    if (!resetter_.send(packet)) ++counters_.reset_failed;
  }

  // The kernel's line of this queue: number, owner, waiting, copy mode, copy range, queue_dropped,
  // user_dropped ... Nothing where nobody holds the queue.
  [[nodiscard]] std::optional<std::array<std::uint64_t, 7>> kernel_line() const {
    std::array<char, 16384> buffer{};
    const ssize_t got = pread(statistics_.get(), buffer.data(), buffer.size(), 0);
    std::string_view text(buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    while (!text.empty()) {
      const std::size_t end = std::min(text.find('\n'), text.size());
      std::array<std::uint64_t, 7> field{};
      std::size_t count = 0;
      std::string_view line = text.substr(0, end);
      while (count < field.size() && !line.empty()) {
        line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
        const auto [at, error] = std::from_chars(line.begin(), line.end(), field[count]);
        if (error != std::errc{}) break;
        line.remove_prefix(static_cast<std::size_t>(at - line.begin()));
        ++count;
      }
      if (count == field.size() && field[0] == options_.queue) return field;
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    return std::nullopt;
  }

  NfqueueOptions options_;
  MnlSocket socket_;
  UniqueFd statistics_;
  TcpResetter resetter_;
  std::unique_ptr<std::byte, Unmap> slots_;
  std::vector<char> verdicts_;
  PortCounters counters_;
  WallTime now_ = 0;
};

}  // namespace

Result<std::unique_ptr<PacketPort>> open_nfqueue(const NfqueueOptions& options) {
  auto port = std::make_unique<NfqueuePort>(options);
  MENSHEN_CHECK(port->open());
  return std::unique_ptr<PacketPort>(std::move(port));
}

}  // namespace menshen::sensor
