#include "policy/prove/packet.hpp"

#include <fmt/format.h>

#include <utility>

#include "base/text.hpp"

namespace menshen::policy::prove {
namespace {

std::string protocol_name(std::uint8_t protocol) {
  switch (static_cast<IpProto>(protocol)) {
    case IpProto::tcp:
      return "tcp";
    case IpProto::udp:
      return "udp";
    case IpProto::icmp:
      return "icmp";
    case IpProto::icmpv6:
      return "icmpv6";
    default:
      return fmt::format("protocol {}", protocol);
  }
}

Text state_words(const Packet& packet) {
  switch (packet.state) {
    case State::new_:
      return {"新建连接", "new connection"};
    case State::established:
      return {fmt::format("已建立的连接（标记 {:#x}）", packet.ct_mark),
              fmt::format("established connection (mark {:#x})", packet.ct_mark)};
    case State::related:
      return {fmt::format("关联报文（标记 {:#x}）", packet.ct_mark),
              fmt::format("related to a connection (mark {:#x})", packet.ct_mark)};
    case State::untracked:
      return {"未跟踪", "untracked"};
    case State::invalid:
      break;
  }
  return {"无效连接", "no valid connection"};
}

}  // namespace

Packet Packet::opening(const IpAddr& src, const IpAddr& dst, std::uint8_t protocol,
                       std::uint16_t port, std::string in_interface, std::string out_interface) {
  Packet packet;
  packet.v6 = !src.is_v4();
  packet.src = packet.original_src = src;
  packet.dst = packet.original_dst = dst;
  packet.protocol = packet.original_protocol = protocol;
  packet.original_port = port;
  packet.in_interface = std::move(in_interface);
  packet.out_interface = std::move(out_interface);
  return packet;
}

Text words(const Packet& packet) {
  const bool ports = packet.original_protocol == 6 || packet.original_protocol == 17;
  const std::string port = ports ? fmt::format(" port {}", packet.original_port) : "";
  const std::string in = escape_controls(packet.in_interface);
  const std::string out = escape_controls(packet.out_interface);
  std::string flow =
      fmt::format("{} {} -> {}{}", protocol_name(packet.original_protocol),
                  packet.original_src.to_string(), packet.original_dst.to_string(), port);
  const bool own = packet.src == packet.original_src && packet.dst == packet.original_dst &&
                   packet.protocol == packet.original_protocol;
  const Text state = state_words(packet);
  if (own) {
    return {fmt::format("{}，入接口 {}，出接口 {}，{}", flow, in, out, state.zh),
            fmt::format("{}, in {}, out {}, {}", flow, in, out, state.en)};
  }
  const std::string carried = fmt::format("{} {} -> {}", protocol_name(packet.protocol),
                                          packet.src.to_string(), packet.dst.to_string());
  return {
      fmt::format("{}（所属连接 {}），入接口 {}，出接口 {}，{}", carried, flow, in, out, state.zh),
      fmt::format("{} (of {}), in {}, out {}, {}", carried, flow, in, out, state.en)};
}

Text words(const Outcome& outcome) {
  const std::string counter = outcome.reason.empty() ? "-" : outcome.reason;
  std::string mark;
  if (outcome.mark != 0) mark = fmt::format(", ct mark {:#x}", outcome.mark);
  switch (outcome.fate) {
    case Fate::pass:
      return {fmt::format("放行（{}{}）", counter, mark),
              fmt::format("passes ({}{})", counter, mark)};
    case Fate::inspect: {
      const std::string queue =
          fmt::format("queue {}{}", outcome.queue, outcome.bypass ? " bypass" : "");
      return {fmt::format("送检（{}，{}{}）", counter, queue, mark),
              fmt::format("is inspected ({}, {}{})", counter, queue, mark)};
    }
    case Fate::drop:
      return {fmt::format("丢弃（{}{}）", counter, mark),
              fmt::format("is dropped ({}{})", counter, mark)};
    case Fate::unmodelled:
      break;
  }
  return {"无法判定", "cannot be told"};
}

}  // namespace menshen::policy::prove
