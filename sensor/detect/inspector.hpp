// Which rules a packet, a stream or a transaction fires, and what follows for the packet and its
// flow.
//
// For each packet, in this order:
//   inspector.begin(packet, number);
//   inspector.inspect_packet(packet);                      // header and packet rules that ask no
// protocol
//   (stream stage) -> inspector.on_stream_data(...)        // stream rules
//   (proto stage)  -> inspector.on_transaction(...)        // protocol rules
//   inspector.inspect_protocol(packet);                    // packet rules that ask for a protocol
//   inspector.inspect_anomalies(packet);                   // rules that ask for an anomaly
//   inspector.decide(packet);                              // precedence, thresholds, verdict;
// appends findings A flow's end: begin() and decide() with the record that stands for it.
//
// Action order: pass, drop, reject, alert. What a rule is checked on decides how far its action
// reaches (RuleKind). One worker's own. Bounds, each counted when met: candidates_max per packet,
// inspection_steps_max, regex limits, stream_window_bytes of look-back, pending_rules_max per
// stream direction.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sensor/detect/ruleset.hpp"
#include "sensor/flow/flow.hpp"
#include "sensor/packet/packet.hpp"
#include "sensor/packet/rewrite.hpp"
#include "sensor/proto/transaction.hpp"

namespace menshen::sensor {

inline constexpr std::size_t stream_window_bytes =
    4096;  // kept of a stream for matches across segments
inline constexpr std::size_t stream_chunk_bytes =
    2560;  // looked at together; inline: every segment at once
inline constexpr std::size_t pending_rules_max =
    256;  // rules waiting for more of a stream, per direction
inline constexpr std::size_t captures_max =
    16;  // kept of a flow, of a packet; further ones are not
inline constexpr std::size_t findings_per_packet_max = 15;  // InspectorOptions::findings_max

struct InspectorOptions {
  bool inline_mode = false;
  PacketRewriter* rewriter = nullptr;  // null: replace changes nothing; outlives the inspector
  std::size_t candidates_max = 4096;
  std::size_t findings_max = findings_per_packet_max;  // reported for one packet; all act
  std::size_t host_entries_max = 1U << 16U;
  std::uint64_t seed = 0;  // of hash tables
};

// A rule that fired and is to be reported.
struct Finding {
  const RuleInfo* rule = nullptr;  // lives as long as the rule set
  FiveTuple tuple;                 // as the data ran
  Direction direction = Direction::to_server;
  bool blocked = false;
  std::optional<std::uint64_t> tx_id;
  std::string protocol;  // the transaction's EVE object
  std::string carried;   // that of what it carries
  std::string payload;   // what was inspected, cut to payload_excerpt_max
};

struct InspectorCounters {
  std::uint64_t matches = 0;
  std::uint64_t suppressed = 0;
  std::uint64_t candidates = 0;
  std::uint64_t examined_bytes = 0;  // of transactions' buffers, by rules that their patterns chose
  std::uint64_t candidate_limit = 0;
  std::uint64_t inspection_limit = 0;
  std::uint64_t regex_limit = 0;
  std::uint64_t pending_limit = 0;
  std::uint64_t table_evictions = 0;
  std::uint64_t dataset_refused = 0;
};

class Inspector {
 public:
  Inspector(const InspectorOptions& options, std::shared_ptr<const RuleSet> rules);
  ~Inspector();

  void swap_rules(std::shared_ptr<const RuleSet> rules);

  void begin(PacketMeta& packet);
  void inspect_packet(PacketMeta& packet);
  void on_stream_data(Flow& flow, Direction direction, Bytes bytes, std::uint64_t offset,
                      PacketMeta& packet);
  void on_stream_gap(Flow& flow, Direction direction);
  // Looks at what waits for a full chunk: at a message's end, a direction's end, a flow's end.
  void flush_stream(Flow& flow, Direction direction, PacketMeta& packet);
  // ended: nothing more comes, whatever the transaction says.
  enum class Progress : std::uint8_t { going_on, ended };
  void on_transaction(Flow& flow, Transaction& transaction, Direction direction, PacketMeta& packet,
                      Progress progress = Progress::going_on);
  void inspect_protocol(PacketMeta& packet);
  // Once all stages have noted theirs; also for packets that decode() refused.
  void inspect_anomalies(PacketMeta& packet);
  // Before decide() at a flow's end.
  void inspect_end(Flow& flow, PacketMeta& packet);
  // What was found for this packet: valid until the next begin().
  const std::vector<Finding>& decide(PacketMeta& packet);
  // An earlier match wants the packet of the last decide() on record (tag).
  [[nodiscard]] bool tagged() const noexcept;
  // EVE's `metadata` object: the flow's bits, numbers and captures, and what was captured for the
  // packet at hand; empty where there is nothing.
  [[nodiscard]] std::string metadata(const Flow& flow) const;
  // A rule said not to log this transaction (config).
  [[nodiscard]] static bool quiet(const Transaction& transaction) noexcept;

  [[nodiscard]] const InspectorCounters& counters() const noexcept;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace menshen::sensor
