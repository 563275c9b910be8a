// Ends a rejected TCP connection: a reset to each end, in the other's name (RFC 9293 3.10.7).
#pragma once

#include <vector>

#include "base/file.hpp"
#include "sensor/packet/packet.hpp"

namespace menshen::sensor {

// The two segments for a decoded TCP packet, as whole IP packets: first to its sender, then to its
// receiver. No reset answers a reset: empty then.
[[nodiscard]] std::vector<std::vector<std::byte>> make_resets(const PacketMeta& packet);

class TcpResetter {
 public:
  // Raw sockets of both families; without CAP_NET_RAW it has none, and send() fails.
  [[nodiscard]] static TcpResetter open();
  // Whether both resets were handed to the kernel.
  [[nodiscard]] bool send(const PacketMeta& packet) const;

 private:
  UniqueFd v4_;
  UniqueFd v6_;
};

}  // namespace menshen::sensor
