#include "policy/nft/watch.hpp"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstddef>

#include "base/text.hpp"
#include "policy/nft/attributes.hpp"

namespace menshen::policy::nft {
namespace {

constexpr std::size_t buffer_bytes = 1U << 15U;
constexpr std::uint16_t generation_type = NFNL_SUBSYS_NFTABLES << 8U | NFT_MSG_NEWGEN;

// A transaction may be told of in a message for each element; only the one that ends it is let in.
// It has a datagram of its own. nlmsg_type is in host order; the filter loads it as big-endian.
Result<void> keep_generations(int fd) {
  std::array<sock_filter, 4> code{{
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(nlmsghdr, nlmsg_type)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(generation_type), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0xffff'ffff),
      BPF_STMT(BPF_RET | BPF_K, 0),
  }};
  const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  if (::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) != 0)
    return fail_errno({"无法设置 netlink 过滤器", "cannot set the filter of a netlink socket"});
  return {};
}

Transaction read_transaction(const nlmsghdr* message) {
  Transaction out;
  out.sender = message->nlmsg_pid;
  const auto attributes = attributes_of<NFTA_GEN_MAX>(message, sizeof(nfgenmsg));
  if (const nlattr* id = attributes[NFTA_GEN_ID]) out.generation = ntohl(mnl_attr_get_u32(id));
  if (const nlattr* pid = attributes[NFTA_GEN_PROC_PID]) out.process = ntohl(mnl_attr_get_u32(pid));
  const nlattr* name = attributes[NFTA_GEN_PROC_NAME];
  if (name != nullptr && mnl_attr_validate(name, MNL_TYPE_NUL_STRING) >= 0)
    out.process_name = escape_controls(mnl_attr_get_str(name));
  return out;
}

}  // namespace

Result<TransactionWatch> TransactionWatch::open() {
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER));
  if (!fd) return fail_errno({"无法打开 netlink 套接字", "cannot open a netlink socket"});
  MENSHEN_CHECK(keep_generations(fd.get()));
  sockaddr_nl local{};
  local.nl_family = AF_NETLINK;
  const int group = NFNLGRP_NFTABLES;
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&local), sizeof(local)) != 0 ||
      ::setsockopt(fd.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) != 0)
    return fail_errno(
        {"无法订阅内核规则集的变更通知", "cannot subscribe to changes of the kernel's ruleset"});
  return TransactionWatch(std::move(fd));
}

Result<std::vector<Transaction>> TransactionWatch::read(bool& overrun) {
  std::vector<Transaction> out;
  std::vector<char> buffer(buffer_bytes);
  for (;;) {
    sockaddr_nl from{};
    socklen_t from_bytes = sizeof(from);
    const ssize_t got = ::recvfrom(fd_.get(), buffer.data(), buffer.size(), 0,
                                   reinterpret_cast<sockaddr*>(&from), &from_bytes);
    if (got < 0) {
      if (errno == EAGAIN) return out;
      if (errno == EINTR) continue;
      if (errno == ENOBUFS) {
        overrun = true;
        continue;
      }
      return fail_errno({"读取内核变更通知失败", "cannot read the kernel's notifications"});
    }
    if (from.nl_pid != 0) continue;  // only the kernel speaks here
    int left = static_cast<int>(got);
    for (const auto* each = reinterpret_cast<const nlmsghdr*>(buffer.data());
         mnl_nlmsg_ok(each, left); each = mnl_nlmsg_next(each, &left)) {
      if (each->nlmsg_type == generation_type) out.push_back(read_transaction(each));
    }
  }
}

}  // namespace menshen::policy::nft
