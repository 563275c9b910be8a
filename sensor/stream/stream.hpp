// TCP reassembly: the bytes of each direction, once and in order (RFC 9293).
//
// Data is handed over when the packet that makes it contiguous arrives, before that packet's
// verdict: an inline sensor can stop the very packet that completes an attack. Passive mode does
// the same; it does not wait for the acknowledgement.
//
// What wins where segments overlap with other content. Inline, what came first: the later segment
// is rewritten to say the same (settle(), Anomaly reassembly_overlap_different_data), so that the
// receiver's own policy never has a say; one that cannot be rewritten (PacketRewriter) is dropped
// whole, DropReason::stream_overlap.
// Passive (the verdict is only reported): of bytes handed over already, still what came first, for
// every receiver's program has them too; of bytes that wait behind a hole, what the receiver's
// system takes (StreamOptions::hosts). Bytes in flight (not acknowledged) are kept for the
// comparison.
//
// Sequence numbers: offset 0 is the byte after the SYN. A SYN's own data (fast open) and data
// before the handshake ends are handed over at once. A SYN repeated with another sequence number
// moves offset 0 as long as no data came; the SYN/ACK's acknowledgement decides between them. A
// segment outside the window that the receiver has ever offered is stream_invalid (only where both
// SYNs were seen). RST ends both directions if its number is exactly the next expected; other
// resets are ignored (RFC 5961 3.2). So are resets and ends whose timestamp the receiver refuses
// (RFC 7323 5; inline they are dropped), ends before their SYN, and a client's reset before anybody
// answered it: it refuses what came and goes on waiting (RFC 9293 3.10.7.3). Data after the end,
// and data without the ACK flag, is stream_invalid. What was waiting behind a hole is handed over
// before a reset closes.
//
// Urgent data: what a receiver's program reads in the stream depends on its system (RFC 6093 3.1);
// see UrgentPolicy. An urgent byte that is taken out leaves no gap: offsets count what is handed
// over.
//
// Holes: a hole is given up (on_gap) when the receiver has acknowledged it, when the flow ends
// (passive), or, in passive mode, when a memory limit is reached. Data for a hole given up is
// stream_invalid.
//
// Limits: see StreamOptions. No allocation for in-order data beyond the copy in flight;
// out-of-order data costs O(log segments). One stage per worker; not thread-safe.
#pragma once

#include <cstdint>

#include "sensor/flow/exceptions.hpp"
#include "sensor/flow/flow.hpp"
#include "sensor/packet/drop_reason.hpp"
#include "sensor/packet/host_policy.hpp"
#include "sensor/packet/rewrite.hpp"

namespace menshen::sensor {

enum class SensorMode : std::uint8_t { passive, inline_ };

// The byte that a segment's urgent pointer marks.
enum class UrgentPolicy : std::uint8_t {
  out_of_band,  // taken out of the stream, as most systems' programs see it
  in_line,      // part of the stream
  drop,         // inline, a segment that marks one is dropped: stream_invalid; passive: in_line
};

// Urgent bytes of one direction that wait for bytes before them; beyond: taken as part of the
// stream, with the anomaly reassembly_urgent_oob_limit_reached; inline the segment is dropped too.
inline constexpr std::size_t urgent_waiting_max = 64;

struct StreamOptions {
  SensorMode mode = SensorMode::passive;
  // Bytes of each direction that are handed over; what follows passes uninspected (counted).
  std::uint64_t stream_depth = 1U << 20U;
  // Out-of-order bytes and bytes in flight of one direction. At the limit the exception policy
  // reassembly_memory speaks of an out-of-order packet (inline: dropped, its sender repeats it);
  // ignored: the oldest hole is given up. Data in order is always handed over, but not kept while
  // in flight: what repeats such bytes before they are acknowledged cannot be compared, and the
  // policy speaks again; ignored: it is taken for the same.
  std::uint64_t flow_bytes_max = 1U << 20U;
  // The same over all flows: stream_memory.
  std::uint64_t memory_max = 256U << 20U;
  // Resolved by the mode. Their triggers: midstream, stream_memory, reassembly_memory,
  // stream_depth.
  ExceptionPolicies exceptions;
  HostPolicies hosts;
  UrgentPolicy urgent = UrgentPolicy::out_of_band;
  // A flow whose SYN was not seen, where the exception policy lets it: true: reassembled from its
  // first packet; false: not reassembled, its packets are seen one by one only.
  bool midstream = false;
};

struct StreamCounters {
  std::uint64_t bytes = 0;  // handed over
  std::uint64_t gaps = 0;
  std::uint64_t gap_bytes = 0;
  std::uint64_t retransmitted_bytes = 0;
  std::uint64_t overlaps = 0;  // with other content
  std::uint64_t invalid = 0;
  std::uint64_t memory_limit = 0;   // packets that met flow_bytes_max or memory_max
  std::uint64_t depth_reached = 0;  // directions
  std::uint64_t memory = 0;         // bytes held now, all flows
};

// Told in stream order. A verdict is returned through the packet, which may run the other way: an
// acknowledgement that gives up a hole lets the bytes behind it follow. On the end of a flow,
// `packet` is a record of length 0 that stands for it. After both on_close, on_data from offset 0
// again means that the same ports began a new connection within the flow.
class StreamObserver {
 public:
  virtual ~StreamObserver() = default;
  // `bytes` follow what came before in this direction; `offset` is their place in the stream. They
  // may be the packet's own payload (no copy) and live for the call only.
  virtual void on_data(Flow& flow, Direction direction, Bytes bytes, std::uint64_t offset,
                       PacketMeta& packet) = 0;
  // `length` bytes at the current place will never come.
  virtual void on_gap(Flow& flow, Direction direction, std::uint64_t length,
                      PacketMeta& packet) = 0;
  // No more data in this direction: FIN reached, RST, depth reached, or the flow's end (packet null
  // then). Once per direction.
  virtual void on_close(Flow& flow, Direction direction, PacketMeta* packet) = 0;
};

class StreamStage {
 public:
  // `rewriter` may be null: nothing is rewritten. It outlives the stage.
  StreamStage(const StreamOptions& options, StreamObserver& observer,
              PacketRewriter* rewriter = nullptr);

  // Inline, before anything looks at the packet's bytes: where a TCP segment with a flow repeats
  // bytes in flight or waiting with other content, it is rewritten. Cost where it repeats nothing:
  // some comparisons of numbers.
  void settle(PacketMeta& packet);
  // A rule rewrote the packet's payload after process(): what is in flight is what it says now.
  void amend(const PacketMeta& packet);
  // Reads: a packet with a flow. Does nothing unless it is TCP with a header. Writes: Flow::stream;
  // verdict and reason as above. Next: proto, through the observer.
  void process(PacketMeta& packet);
  // The flow ends: pending data (passive), then on_close for each direction still open. Call it
  // from FlowEndObserver::on_flow_end.
  void end(Flow& flow);

  [[nodiscard]] const StreamCounters& counters() const noexcept { return counters_; }
  [[nodiscard]] const ExceptionCounts& exceptions() const noexcept { return exceptions_.counts(); }

 private:
  friend struct StreamWork;
  void pick_up(PacketMeta& packet);
  StreamOptions options_;
  Exceptions exceptions_;
  StreamObserver* observer_;
  PacketRewriter* rewriter_;
  StreamCounters counters_;
};

// How many numbers this direction has used so far: its bytes that were handed over or given up, its
// SYN and its FIN; 0 without a stream.
[[nodiscard]] std::uint64_t stream_offset(const Flow& flow, Direction direction) noexcept;

}  // namespace menshen::sensor
