#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

#include "base/file.hpp"
#include "policy/nft/kernel.hpp"

namespace menshen::policy::nft {
namespace {

constexpr int receive_buffer_bytes = 8 << 20;
constexpr int send_buffer_slack_bytes = 1 << 16;

class SocketPort final : public NetlinkPort {
 public:
  SocketPort(UniqueFd fd, std::uint32_t address) : fd_(std::move(fd)), address_(address) {}

  Result<void> send(std::span<const std::byte> message) override {
    // A transaction is one datagram, however large.
    const int bytes = static_cast<int>(message.size()) + send_buffer_slack_bytes;
    if (::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) != 0 &&
        ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)) != 0)
      return fail_errno({"无法设置 netlink 发送缓冲", "cannot size the netlink send buffer"});
    sockaddr_nl kernel{};
    kernel.nl_family = AF_NETLINK;
    for (;;) {
      const ssize_t sent = ::sendto(fd_.get(), message.data(), message.size(), 0,
                                    reinterpret_cast<const sockaddr*>(&kernel), sizeof(kernel));
      if (sent >= 0) return {};
      if (errno != EINTR)
        return fail_errno({"无法向内核发送 netlink 消息", "cannot send to the kernel"});
    }
  }

  Result<std::size_t> receive(std::span<std::byte> buffer, int timeout_ms) override {
    pollfd ready{fd_.get(), POLLIN, 0};
    for (;;) {
      const int count = ::poll(&ready, 1, timeout_ms);
      if (count == 0) return std::size_t{0};
      if (count < 0) {
        if (errno == EINTR) continue;
        return fail_errno({"等待内核应答失败", "cannot wait for the kernel's answer"});
      }
      sockaddr_nl from{};
      socklen_t from_bytes = sizeof(from);
      const ssize_t got = ::recvfrom(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT,
                                     reinterpret_cast<sockaddr*>(&from), &from_bytes);
      if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      if (got < 0) return fail_errno({"读取内核应答失败", "cannot read the kernel's answer"});
      if (from.nl_pid != 0) continue;  // only the kernel speaks here
      return static_cast<std::size_t>(got);
    }
  }

  std::uint32_t address() const override { return address_; }

 private:
  UniqueFd fd_;
  std::uint32_t address_;
};

}  // namespace

Result<std::unique_ptr<NetlinkPort>> open_netlink() {
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  if (!fd) return fail_errno({"无法打开 netlink 套接字", "cannot open a netlink socket"});
  sockaddr_nl local{};
  local.nl_family = AF_NETLINK;
  socklen_t bytes = sizeof(local);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&local), sizeof(local)) != 0 ||
      ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&local), &bytes) != 0)
    return fail_errno({"无法绑定 netlink 套接字", "cannot bind the netlink socket"});
  // Best effort: a failed transaction may be answered with one message per error.
  static_cast<void>(::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer_bytes,
                                 sizeof(receive_buffer_bytes)));
  const int on = 1;
  static_cast<void>(::setsockopt(fd.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on)));
  static_cast<void>(::setsockopt(fd.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on)));
  return std::unique_ptr<NetlinkPort>(std::make_unique<SocketPort>(std::move(fd), local.nl_pid));
}

}  // namespace menshen::policy::nft
