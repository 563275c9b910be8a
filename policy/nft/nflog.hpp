// Packets that the ruleset logged: read from an NFLOG group (nfnetlink_log).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/file.hpp"
#include "base/ip.hpp"
#include "base/result.hpp"
#include "policy/nft/ruleset.hpp"

namespace menshen::policy::nft {

struct DroppedPacket {
  WallTime time = 0;
  FiveTuple tuple;           // of this packet; ICMP: type in sport, code in dport
  bool tuple_known = false;  // false: headers too short to tell
  std::string in_interface;  // empty: none
  std::string out_interface;
  Reason reason = Reason::count;   // count: a prefix that is not ours
  std::uint32_t length = 0;        // of the IP packet
  std::vector<std::byte> excerpt;  // its first bytes, from the IP header
};

// The addresses, protocol and ports of an IP packet, and its length by its own header. False: cut
// short, a later fragment, or no IP. Hostile bytes are expected.
[[nodiscard]] bool read_tuple(Bytes packet, FiveTuple& tuple, std::uint32_t& length);

// Not thread-safe.
class NflogReader {
 public:
  static constexpr std::size_t batch_packets_max = 1024;
  static constexpr std::size_t socket_bytes = 4U << 20U;

  // Binds the group in the caller's network namespace. Needs CAP_NET_ADMIN. ErrorCode::exists where
  // another program holds the group.
  [[nodiscard]] static Result<NflogReader> open(std::uint16_t group,
                                                std::uint32_t snap_bytes = 256);

  // Readable: read() has something. Never blocks.
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  // What has come, up to batch_packets_max; empty: nothing now.
  [[nodiscard]] Result<std::vector<DroppedPacket>> read();
  // How often the kernel had more than the socket could hold (ENOBUFS); each may stand for many
  // packets.
  [[nodiscard]] std::uint64_t overruns() const noexcept { return overruns_; }
  // Messages lost between kernel and reader, by the group's sequence numbers.
  [[nodiscard]] std::uint64_t lost() const noexcept { return lost_; }

 private:
  explicit NflogReader(UniqueFd fd) : fd_(std::move(fd)) {}
  void parse(Bytes message, std::vector<DroppedPacket>& out);

  UniqueFd fd_;
  std::uint64_t overruns_ = 0;
  std::uint64_t lost_ = 0;
  std::uint32_t sequence_next_ = 0;
  bool sequence_known_ = false;
};

}  // namespace menshen::policy::nft
