// Inline packets from the kernel's queue NFQUEUE, and their verdicts.
//
// GSO super-frames come whole (up to 64 kB: 65,531 bytes is netlink's own end); their checksums are
// not filled in and are not verified. Packets begin at the IP header. Verdicts go in one message
// where a run of packets is judged alike.
//
// reject: the packet is dropped. For TCP, a reset goes to both ends through a raw socket, with the
// addresses of the packet; where the raw socket could not be opened (no CAP_NET_RAW) rejecting is
// dropping, and counted in reset_failed. For other protocols, rejecting is dropping.
//
// Needs CAP_NET_ADMIN as long as it lives: the kernel asks for it again with every verdict, whoever
// opened the socket. Without it no verdict is taken, every packet waits for ever, and receive()
// fails with ErrorCode::denied. CAP_NET_RAW (for resets) is needed in open only.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "sensor/capture/packet_port.hpp"

namespace menshen::sensor {

struct NfqueueOptions {
  struct Attachment {
    std::uint32_t ifindex = 0;     // where the packet entered
    std::uint16_t attachment = 0;  // PacketMeta::attachment
  };

  std::uint16_t queue = 100;
  std::uint32_t queue_packets_max = 4096;  // beyond it the kernel drops, or passes with fail_open
  bool fail_open = false;  // a full queue passes packets uninspected instead of dropping
  std::uint32_t socket_bytes = 32U << 20U;  // receive buffer
  bool resets = true;                       // reject sends TCP resets
  std::vector<Attachment> attachments;      // an ifindex that is not listed gets attachment 0
};

// ErrorCode::denied without CAP_NET_ADMIN, unavailable where the kernel has no NFQUEUE, exists
// where another program holds the queue.
[[nodiscard]] Result<std::unique_ptr<PacketPort>> open_nfqueue(const NfqueueOptions& options);

}  // namespace menshen::sensor
