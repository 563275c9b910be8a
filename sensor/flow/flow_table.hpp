// The flow table: finds or begins the flow of a packet, keeps its TCP state, ends it.
//
//   table.prepare(batch);                       // once a batch: ends what timed out, hashes,
//   prefetches for (std::size_t i = 0; i < n; ++i) {       // packet by packet, each through ALL
//   later stages
//     if (!packets[i].dropped()) table.assign(packets[i], i);   // sets flow, direction, counters,
//     state
//     ... stream.process(packets[i]) ... detect ...
//   }
//   table.finish();                             // at the end: every flow ends
//
// Flows and their slots stay valid until the next prepare(), even where they end within the batch
// (a port pair is reused): the end callback comes in prepare() or finish(), never inside assign().
//
// Memory: at most flows_max flows, allocated in blocks as needed and kept. Cost: one hash and about
// one cache miss a packet; ageing looks only at flows that are due. One table per worker; not
// thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "sensor/flow/exceptions.hpp"
#include "sensor/flow/flow.hpp"
#include "sensor/packet/drop_reason.hpp"

namespace menshen::sensor {

// Seconds without a packet after which a flow ends.
struct FlowTimeouts {
  struct Of {
    std::uint32_t fresh = 0;  // not yet established
    std::uint32_t established = 0;
    std::uint32_t closed = 0;  // TCP only: both FIN or RST
  };
  Of tcp = {.fresh = 60, .established = 600, .closed = 10};
  Of udp = {.fresh = 30, .established = 300, .closed = 0};
  Of icmp = {.fresh = 30, .established = 300, .closed = 0};
  Of other = {.fresh = 30, .established = 300, .closed = 0};
};

struct FlowTableOptions {
  std::uint32_t flows_max =
      262'144;  // about 400 bytes each, without what the stages keep in the slots
  // Of a packet that would begin a flow when flows_max are live: flow_limit. Ignored: it has no
  // flow, rules see it by itself.
  ExceptionPolicies exceptions = ExceptionPolicies().resolved(true);
  std::uint64_t seed = 0;  // of the hash: draw it at start (an attacker must not know it)
  FlowTimeouts timeouts;
};

struct FlowTableCounters {
  std::uint64_t begun = 0;
  std::uint64_t ended = 0;
  std::uint64_t live = 0;
  std::uint64_t refused = 0;  // packets that met the limit
  std::uint64_t midstream = 0;
};

class FlowEndObserver {
 public:
  virtual ~FlowEndObserver() = default;
  // The last call for this flow: close the stages' state, write the flow record. The flow dies
  // afterwards.
  virtual void on_flow_end(Flow& flow, FlowEnd end) = 0;
};

class FlowTable {
 public:
  // `labeler` may be null (FlowLabel stays at its defaults); both must outlive the table.
  FlowTable(const FlowTableOptions& options, FlowEndObserver& observer, const FlowLabeler* labeler);
  FlowTable(FlowTable&&) = delete;
  ~FlowTable();  // without the end callbacks: call finish() first

  // Reads: decoded packets. Ends flows by their timeouts against the batch's first packet's time
  // (time never runs back: an earlier one is taken as the latest seen).
  void prepare(const PacketBatch& batch);

  // Reads: a decoded packet at `index` of the prepared batch, not dropped. Writes: flow, direction;
  // or, at the limit, verdict and reason. No flow (nullptr) for what is not IP. A fragment's flow
  // has ports 0. A flow whose action is drop drops the packet (flow_dropped).
  void assign(PacketMeta& packet, std::size_t index);

  // The same for a packet out of another one of the prepared batch; `tenant` of the tunnel it came
  // in (tunnel.hpp): flows of different tenants never mix. A tunnel's addresses are not the
  // policy's: its flows take the label of the flow that carries them; null: the labeler is asked.
  void assign_derived(PacketMeta& packet, std::uint64_t tenant, const FlowLabel* inherited);

  // Ends what has timed out at `now`, when no packets come. Returns how many ended.
  std::size_t expire(WallTime now);
  // Ends every flow, oldest first in each class.
  void finish();

  [[nodiscard]] const FlowTableCounters& counters() const noexcept;
  [[nodiscard]] const ExceptionCounts& exceptions() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace menshen::sensor
