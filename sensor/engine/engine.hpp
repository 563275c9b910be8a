// The sensor, for one worker: packets in, verdicts and events out.
//
// Stages, in order: decode -> flow (and defragmentation) -> stream -> proto -> detect -> verdict.
// An Engine owns all of them with their state; it is used by one thread, never shared. What workers
// share is read-only: the RuleSet, the FlowLabeler. All packets of one flow must reach the same
// Engine.
//
//   Engine engine(options, rules, labeler, sink);
//   while (port.receive(batch)) { engine.process(batch); port.give_verdicts(batch); }
//   engine.flush();
#pragma once

#include <cstdint>
#include <memory>

#include "sensor/detect/ruleset.hpp"
#include "sensor/engine/event.hpp"
#include "sensor/engine/status.hpp"
#include "sensor/flow/flow_table.hpp"
#include "sensor/packet/defrag.hpp"
#include "sensor/packet/packet.hpp"
#include "sensor/proto/file.hpp"
#include "sensor/stream/stream.hpp"

namespace menshen::sensor {

// Whose files' contents go with their fileinfo events.
enum class FileHandOver : std::uint8_t {
  none,
  wanted,  // those that a rule wants stored
  all,     // that have any content
};

struct EngineOptions {
  bool inline_mode = false;         // verdicts count: drop rules drop; else every rule only alerts
  bool verify_checksums = true;     // wrong ones: dropped inline, not inspected otherwise
  bool log_flows = true;            // a record at each flow's end
  bool log_transactions = true;     // http, dns, tls records
  bool log_files = true;            // fileinfo records: what a transaction carried, at its end
  bool log_anomalies = true;        // anomaly records: what was odd about a transaction, at its end
  bool log_payload = true;          // payload excerpt in alerts
  std::uint32_t stats_seconds = 0;  // between stats records, by the packets' time; 0: none
  FileHandOver hand_over = FileHandOver::none;
  std::uint32_t file_bytes_max = FileLimits{}.kept;  // kept of each file, for rules and hand_over
  FileWants file_facts{};             // hashes and type of every file, also where no rule asks
  std::size_t flows_max = 1U << 18U;  // concurrent flows of this worker
  FlowTimeouts timeouts{};
  std::size_t stream_bytes_max = 256U << 20U;     // reassembly memory of this worker
  std::size_t stream_flow_bytes_max = 1U << 20U;  // the same of one direction of a flow
  std::size_t stream_depth_bytes = 1U << 20U;     // per direction; later bytes are not reassembled
  bool midstream = false;                         // reassemble flows without their beginning
  UrgentPolicy urgent = UrgentPolicy::out_of_band;
  HostPolicies hosts{};            // who receives overlapping segments and fragments how
  ExceptionPolicies exceptions{};  // automatic ones: by inline_mode
  DefragBounds defrag{};
  std::size_t threshold_entries_max = 1U << 16U;  // rate state; the oldest entry gives way
  std::size_t candidates_max = 4096;       // rules evaluated per packet; beyond: counted, skipped
  std::size_t alerts_per_packet_max = 15;  // reported; further rules still act
};

class Engine {
 public:
  // `labeler` may be null (no policy: every flow is inspected, mode block). Both outlive the
  // engine.
  Engine(const EngineOptions& options, std::shared_ptr<const RuleSet> rules,
         const FlowLabeler* labeler, EventSink& sink);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Inspects the batch, sets each packet's verdict and reason, and hands the events to the sink.
  // InspectMode::alert on a flow's label: its rules alert and never drop. InspectMode::none: no
  // inspection.
  void process(PacketBatch& batch);
  // New rules, from the next batch on. Flows keep their flowbits; half-inspected transactions start
  // afresh.
  void swap_rules(std::shared_ptr<const RuleSet> rules);
  // The end of input: open streams and transactions are completed and inspected, flow records
  // written.
  void flush();
  // For live capture without packets: ends flows that were idle for too long at `now`.
  void expire(WallTime now);

  [[nodiscard]] const Counters& counters() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace menshen::sensor
