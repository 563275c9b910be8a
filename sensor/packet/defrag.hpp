// IP defragmentation: a datagram out of its parts (RFC 791, RFC 8200), as its receiver would have
// put it together.
//
//   if (packet.fragment) {
//     const auto datagram = defrag.add(packet, tenant, buffer);   // bytes in `buffer`
//     if (datagram) ... inspect them as a raw IP packet ...
//   }
//
// Parts belong together by addresses, protocol, identification, VLAN tags and tenant. Where parts
// overlap, the policy says whose bytes stay, as the receiver's system would decide (Shankar and
// Paxson 2003, Novak 2005); that parts overlap is noted (frag_overlap).
//
// Bounded: memory in pages of 512 bytes of datagram, so that a tiny part far behind costs one page;
// each limit is an option. A datagram costs time linear in its parts' bytes, whatever their order,
// number and overlaps. The oldest datagram gives way where memory is full; where one source's share
// is, that source's oldest. Inline the kernel has put datagrams together before (its connection
// tracking does), so parts come from capture files and passive capture.
//
// No allocation after start but for buffers that grow to 64 kB. One worker's own; not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "sensor/packet/host_policy.hpp"
#include "sensor/packet/packet.hpp"

namespace menshen::sensor {

struct DefragBounds {
  std::uint32_t datagrams_max = 16'384;    // incomplete ones at a time
  std::uint32_t pages_max = 32'768;        // of 512 bytes each, over all: 24 MiB with what tells
                                           // whose bytes they are
  std::uint32_t source_pages_max = 4'096;  // of them, of one source address: 2 MiB
  std::uint32_t parts_max = 8'192;         // of one datagram: what 64 kB in pieces of 8 can need
  std::uint32_t timeout_seconds = 60;      // after its first part
};

struct DefragOptions : DefragBounds {
  HostPolicies hosts;            // whose bytes stay where parts overlap
  std::uint64_t seed = 0;        // of the hash: draw it at start
  bool refuse_overlaps = false;  // inline: a part that repeats bytes with other content is dropped
                                 // (fragment_overlap)
};

struct DefragCounters {
  std::uint64_t parts = 0;
  std::uint64_t datagrams = 0;   // put together
  std::uint64_t overlaps = 0;    // parts that overlap others
  std::uint64_t timeouts = 0;    // datagrams that stayed incomplete
  std::uint64_t displaced = 0;   // datagrams that gave way to newer ones
  std::uint64_t refused = 0;     // parts beyond parts_max or with impossible lengths
  std::uint64_t incomplete = 0;  // now
  std::uint64_t pages = 0;       // now
};

class Defragmenter {
 public:
  explicit Defragmenter(const DefragOptions& options);
  ~Defragmenter();
  Defragmenter(const Defragmenter&) = delete;
  Defragmenter& operator=(const Defragmenter&) = delete;

  // Reads: a decoded packet with `fragment`. Writes: its anomalies; verdict drop with
  // fragment_overlap or, of which the caller's exception policy may think otherwise,
  // fragment_memory, where the part is not taken. When it completes the
  // datagram: the whole, from its IP header, in `buffer`.
  [[nodiscard]] std::optional<Bytes> add(PacketMeta& packet, std::uint64_t tenant,
                                         std::vector<std::byte>& buffer);

  [[nodiscard]] const DefragCounters& counters() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace menshen::sensor
