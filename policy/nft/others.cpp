#include "policy/nft/others.hpp"

#include <fmt/format.h>
#include <libnftnl/chain.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <array>
#include <string_view>

#include "base/handle.hpp"
#include "base/text.hpp"
#include "policy/nft/attributes.hpp"

namespace menshen::policy::nft {
namespace {

using ChainHandle = Handle<nftnl_chain, &nftnl_chain_free>;

std::string_view family_name(std::uint32_t family) {
  switch (family) {
    case NFPROTO_INET:
      return "inet";
    case NFPROTO_IPV4:
      return "ip";
    case NFPROTO_IPV6:
      return "ip6";
    case NFPROTO_ARP:
      return "arp";
    case NFPROTO_BRIDGE:
      return "bridge";
    case NFPROTO_NETDEV:
      return "netdev";
    default:
      return "?";
  }
}

// Empty: forwarded packets do not come by.
std::string_view hook_name(std::uint32_t family, std::uint32_t hook) {
  if (family == NFPROTO_ARP) return {};
  if (family == NFPROTO_NETDEV) return hook == NF_NETDEV_INGRESS ? "ingress" : "egress";
  switch (hook) {
    case NF_INET_PRE_ROUTING:
      return "prerouting";
    case NF_INET_FORWARD:
      return "forward";
    case NF_INET_POST_ROUTING:
      return "postrouting";
    case NF_INET_INGRESS:
      return "ingress";
    default:
      return {};
  }
}

std::string text(const char* value) { return value == nullptr ? "" : escape_controls(value); }

}  // namespace

std::optional<Text> describe_chain(const nlmsghdr* message, const std::string& own) {
  const ChainHandle chain(nftnl_chain_alloc());
  if (!chain || nftnl_chain_nlmsg_parse(message, chain.get()) < 0) return std::nullopt;
  if (!nftnl_chain_is_set(chain.get(), NFTNL_CHAIN_HOOKNUM)) return std::nullopt;
  const std::uint32_t family = nftnl_chain_get_u32(chain.get(), NFTNL_CHAIN_FAMILY);
  const std::string table = text(nftnl_chain_get_str(chain.get(), NFTNL_CHAIN_TABLE));
  if (family == NFPROTO_INET && table == own) return std::nullopt;
  const std::string_view hook =
      hook_name(family, nftnl_chain_get_u32(chain.get(), NFTNL_CHAIN_HOOKNUM));
  if (hook.empty()) return std::nullopt;
  const std::string name = fmt::format("{} {} {}", family_name(family), table,
                                       text(nftnl_chain_get_str(chain.get(), NFTNL_CHAIN_NAME)));
  return Text{fmt::format("其他规则链 {}（{} 挂接点）", name, hook),
              fmt::format("another chain, {} (hook {})", name, hook)};
}

Text describe_flowtable(const nlmsghdr* message) {
  const auto attributes = attributes_of<NFTA_FLOWTABLE_MAX>(message, sizeof(nfgenmsg));
  const auto word = [&](std::uint16_t type) {
    const nlattr* attribute = attributes.at(type);
    return attribute == nullptr || mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) < 0
               ? std::string("?")
               : text(mnl_attr_get_str(attribute));
  };
  const std::string name =
      fmt::format("{} {}", word(NFTA_FLOWTABLE_TABLE), word(NFTA_FLOWTABLE_NAME));
  return {fmt::format("流表 {}：其中的流不经过转发规则", name),
          fmt::format("flowtable {}: its flows pass by the forward rules", name)};
}

}  // namespace menshen::policy::nft
