#include "policy/nft/surroundings.hpp"

#include <fmt/format.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include <array>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <string>

#include "base/handle.hpp"
#include "base/text.hpp"
#include "policy/nft/attributes.hpp"

namespace menshen::policy::nft {
namespace {

using SocketHandle = Handle<mnl_socket, &mnl_socket_close>;

constexpr std::size_t buffer_bytes = 1U << 16U;

std::string text(const nlattr* attribute) {
  return attribute == nullptr || mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) < 0
             ? ""
             : escape_controls(mnl_attr_get_str(attribute));
}

struct Link {
  std::string name;
  std::string kind;
  int master = 0;
  bool program = false;
};

class Routing {
 public:
  Result<void> open() {
    socket_.reset(mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC));
    if (!socket_ || mnl_socket_bind(socket_.get(), 0, MNL_SOCKET_AUTOPID) < 0)
      return fail_errno({"无法打开 rtnetlink 套接字", "cannot open an rtnetlink socket"});
    return {};
  }
  template <class Header>
  Result<void> dump(std::uint16_t type, const std::function<void(const nlmsghdr*)>& on_message) {
    std::array<char, 256> request{};
    nlmsghdr* message = mnl_nlmsg_put_header(request.data());
    message->nlmsg_type = type;
    message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    message->nlmsg_seq = ++sequence_;
    mnl_nlmsg_put_extra_header(message, sizeof(Header));
    if (mnl_socket_sendto(socket_.get(), message, message->nlmsg_len) < 0)
      return fail_errno({"无法查询网络接口", "cannot ask about the interfaces"});
    for (;;) {
      const ssize_t got = mnl_socket_recvfrom(socket_.get(), buffer_.data(), buffer_.size());
      if (got < 0) return fail_errno({"无法查询网络接口", "cannot ask about the interfaces"});
      int left = static_cast<int>(got);
      for (const auto* each = reinterpret_cast<const nlmsghdr*>(buffer_.data());
           mnl_nlmsg_ok(each, left); each = mnl_nlmsg_next(each, &left)) {
        if (each->nlmsg_seq != sequence_) continue;
        if (each->nlmsg_type == NLMSG_DONE) return {};
        if (each->nlmsg_type == NLMSG_ERROR)
          return fail(ErrorCode::io,
                      {"内核拒绝查询网络接口", "the kernel refused to list interfaces"});
        if (mnl_nlmsg_get_payload_len(each) >= sizeof(Header)) on_message(each);
      }
    }
  }

 private:
  SocketHandle socket_;
  std::vector<char> buffer_ = std::vector<char>(buffer_bytes);
  std::uint32_t sequence_ = 0;
};

Link read_link(const nlmsghdr* message) {
  Link link;
  const auto attributes = attributes_of<IFLA_XDP>(message, sizeof(ifinfomsg));
  link.name = text(attributes[IFLA_IFNAME]);
  if (attributes[IFLA_MASTER] != nullptr)
    link.master = static_cast<int>(mnl_attr_get_u32(attributes[IFLA_MASTER]));
  link.kind = text(nested_of<IFLA_INFO_KIND>(attributes[IFLA_LINKINFO])[IFLA_INFO_KIND]);
  const auto xdp = nested_of<IFLA_XDP_ATTACHED>(attributes[IFLA_XDP]);
  link.program = xdp[IFLA_XDP_ATTACHED] != nullptr && mnl_attr_get_u8(xdp[IFLA_XDP_ATTACHED]) != 0;
  return link;
}

// Tables of iptables' older kernel part, which nf_tables does not show.
void add_old_tables(std::vector<Text>& out) {
  for (const char* file : {"/proc/self/net/ip_tables_names", "/proc/self/net/ip6_tables_names"}) {
    std::ifstream in(file);
    for (std::string name; std::getline(in, name);) {
      out.push_back({fmt::format("iptables（旧式）表 {}", escape_controls(name)),
                     fmt::format("a table of legacy iptables, {}", escape_controls(name))});
    }
  }
}

}  // namespace

Result<std::vector<Text>> surroundings() {
  Routing routing;
  MENSHEN_CHECK(routing.open());
  std::map<int, Link> links;
  MENSHEN_CHECK(routing.dump<ifinfomsg>(RTM_GETLINK, [&](const nlmsghdr* message) {
    const auto* header = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(message));
    links[header->ifi_index] = read_link(message);
  }));
  std::set<int> filtered;
  MENSHEN_CHECK(routing.dump<tcmsg>(RTM_GETQDISC, [&](const nlmsghdr* message) {
    const auto* header = static_cast<const tcmsg*>(mnl_nlmsg_get_payload(message));
    const std::string kind = text(attributes_of<TCA_KIND>(message, sizeof(tcmsg))[TCA_KIND]);
    if (kind == "clsact" || kind == "ingress") filtered.insert(header->tcm_ifindex);
  }));
  std::vector<Text> out;
  std::map<int, std::size_t> ports;
  for (const auto& [index, link] : links)
    if (link.master != 0) ++ports[link.master];
  for (const auto& [index, link] : links) {
    if (link.kind == "bridge" && ports[index] > 1) {
      out.push_back({fmt::format("网桥 {}：其端口之间的报文不经过转发规则", link.name),
                     fmt::format("bridge {}: packets between its ports pass by the forward rules",
                                 link.name)});
    }
    if (link.program)
      out.push_back({fmt::format("接口 {} 上的 XDP 程序", link.name),
                     fmt::format("an XDP program on interface {}", link.name)});
    if (filtered.contains(index))
      out.push_back({fmt::format("接口 {} 上的 tc 过滤器", link.name),
                     fmt::format("tc filters on interface {}", link.name)});
  }
  add_old_tables(out);
  return out;
}

}  // namespace menshen::policy::nft
