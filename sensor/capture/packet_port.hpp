// Where packets come from and verdicts go to: one virtual call a batch, none a packet.
//
//   for (;;) {
//     batch.clear();
//     if (MENSHEN_TRY(port.receive(batch, 100ms)) == 0 && port.finished()) break;
//     ... stages ...
//     MENSHEN_CHECK(port.give_verdicts(batch));
//   }
//
// The bytes behind a batch live until the next receive(). One thread a port.
#pragma once

#include <chrono>
#include <cstdint>

#include "base/result.hpp"
#include "sensor/packet/packet.hpp"

namespace menshen::sensor {

struct PortCounters {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  std::uint64_t accepted = 0;
  std::uint64_t dropped = 0;
  std::uint64_t rejected = 0;
  std::uint64_t cut_short = 0;     // the capture kept fewer bytes than the packet had
  std::uint64_t lost_queue = 0;    // the kernel's queue was full (NFQUEUE: queue_dropped)
  std::uint64_t lost_socket = 0;   // the socket's buffer was full (NFQUEUE: user_dropped)
  std::uint64_t reset_failed = 0;  // reject: the drop was given, the reset could not be sent
};

class PacketPort {
 public:
  virtual ~PacketPort() = default;
  // Appends up to the batch's free places; waits at most `timeout` for the first packet, for no
  // further one. Returns how many were appended. An empty result of a live port means nothing came.
  [[nodiscard]] virtual Result<std::size_t> receive(PacketBatch& batch,
                                                    std::chrono::milliseconds timeout) = 0;
  // Every packet of the batch gets its verdict; once for each batch received.
  [[nodiscard]] virtual Result<void> give_verdicts(PacketBatch& batch) = 0;
  [[nodiscard]] virtual PortCounters counters() const = 0;
  [[nodiscard]] virtual int fd() const noexcept = 0;  // readable when packets wait; -1: never waits
  [[nodiscard]] virtual bool finished() const noexcept = 0;   // a file was read to its end
  [[nodiscard]] virtual bool is_inline() const noexcept = 0;  // verdicts decide what passes
};

}  // namespace menshen::sensor
