// What the proof speaks about: a packet at the forward hook with what connection tracking knows of
// it, and what becomes of it.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

#include "base/ip.hpp"
#include "base/lang.hpp"

namespace menshen::policy::prove {

// As the kernel's bits of `ct state`.
enum class State : std::uint8_t {
  invalid = 1,
  established = 2,
  related = 4,
  new_ = 8,
  untracked = 64,
};

struct Packet {
  bool v6 = false;
  IpAddr src;
  IpAddr dst;
  std::string in_interface;
  std::string out_interface;
  std::uint8_t protocol = 6;  // of this packet: of an ICMP error, ICMP
  State state = State::new_;
  std::uint32_t ct_mark = 0;
  // Of the connection, in the direction of the packet that opened it.
  IpAddr original_src;
  IpAddr original_dst;
  std::uint8_t original_protocol = 6;
  std::uint16_t original_port = 0;  // destination port
  bool within_limits = true;        // of log rates

  // The packet that opens a connection.
  [[nodiscard]] static Packet opening(const IpAddr& src, const IpAddr& dst, std::uint8_t protocol,
                                      std::uint16_t port, std::string in_interface,
                                      std::string out_interface);
};

// One line for a person: "tcp 10.1.0.1 -> 10.2.0.1:80, in fin0, out tax0, new connection".
[[nodiscard]] Text words(const Packet& packet);

enum class Fate : std::uint8_t { pass, inspect, drop, unmodelled };

struct Outcome {
  Fate fate = Fate::drop;
  std::uint16_t queue = 0;  // inspect: NFQUEUE number
  bool bypass = false;      // inspect: passes while nobody listens
  // What the connection is marked with; 0: it is left as it was. A mark of the ruleset's own
  // generation is told as its low byte, any other with the highest bit set.
  std::uint32_t mark = 0;
  std::string reason;  // the counter that counts it
  auto operator<=>(const Outcome&) const = default;
};

[[nodiscard]] Text words(const Outcome& outcome);

// How Outcome::mark tells of a connection mark.
[[nodiscard]] constexpr std::uint32_t told_mark(std::uint32_t mark, std::uint32_t generation) {
  return mark >> 8U == generation && (mark & 0xffU) != 0 ? mark & 0xffU : mark | 0x8000'0000U;
}

}  // namespace menshen::policy::prove
