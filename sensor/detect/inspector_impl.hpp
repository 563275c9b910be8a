// The inside of the Inspector: what it keeps with flows and transactions, and its parts by file.
#pragma once

#include <algorithm>
#include <array>
#include <utility>

#include "sensor/detect/compiled_rules.hpp"
#include "sensor/detect/content_match.hpp"
#include "sensor/detect/header_match.hpp"
#include "sensor/detect/host_state.hpp"
#include "sensor/detect/inspector.hpp"

namespace menshen::sensor {

struct StreamMemory {
  std::string window;     // the last bytes of the stream, up to stream_window_bytes between calls
  std::uint64_t end = 0;  // the window's end in the stream
  std::size_t fresh = 0;  // bytes at the window's end that were not looked at
  struct Mark {
    RuleIndex rule;
    std::uint64_t place;
  };
  std::vector<Mark> pending;  // preselected, not yet matched: until the stream is at `place`
  std::vector<Mark> fired;    // matched up to `place`: never again on the same bytes
};

// What is still to be recorded of a flow or host.
struct TagState {
  Tag tag;
  WallTime since = 0;
  std::uint64_t used = 0;
};
inline constexpr std::size_t flow_tags_max = 8;

struct FlowMemory final : FlowSlot {
  std::uint64_t generation = 0;  // of the rule set that indices belong to
  std::vector<std::uint64_t> bits;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ints;
  std::vector<std::pair<std::uint64_t, RateState>> rates;
  std::vector<TagState> tags;
  std::vector<std::pair<std::string, std::string>> captures;  // by name
  ByDirection<StreamMemory> stream;
  ByDirection<bool> addresses_seen{};
  ByDirection<bool> protocol_seen{};
};

struct TransactionState final : FlowSlot {
  struct Scanned {
    std::size_t instance = 0;  // the one being scanned
    std::size_t bytes = 0;     // of it
  };
  struct Candidate {
    RuleIndex rule = 0;
    std::uint64_t lists_done = 0;
    // The list that could not answer when it was looked at last, and what there was of it.
    std::uint32_t waits_on = UINT32_MAX;
    std::uint32_t instances = 0;
    std::size_t bytes = 0;  // of the last instance
    bool complete = false;  // it was
    // The list's content (its place among the tests) that was not in the last instance.
    std::optional<std::size_t> absent;
  };
  struct Side {
    bool begun = false;
    AppProto proto = AppProto::unknown;  // whose groups `scanned` is about: HTTP/2 may become DoH
    std::vector<Scanned> scanned;        // by BufferGroup
    std::vector<Candidate> candidates;
    std::vector<RuleIndex> finished;  // fired, or cannot any more; sorted
  };
  std::uint64_t generation = 0;
  bool quiet = false;
  ByDirection<Side> sides;
};

// A rule that matched this packet.
struct Match {
  RuleIndex rule = 0;
  FiveTuple tuple;
  Direction direction = Direction::to_server;
  bool stream = false;
  std::optional<std::uint64_t> tx_id;
  std::string protocol;
  std::string carried;
  std::string payload;
};

class Inspector::Impl {
 public:
  Impl(const InspectorOptions& options, std::shared_ptr<const RuleSet> rules);
  void swap_rules(std::shared_ptr<const RuleSet> rules);

  void begin(PacketMeta& packet);
  void inspect_packet(PacketMeta& packet);
  void inspect_protocol(PacketMeta& packet);
  void inspect_anomalies(PacketMeta& packet);
  void inspect_end(Flow& flow, PacketMeta& packet);
  void on_stream_data(Flow& flow, Direction direction, Bytes bytes, std::uint64_t offset,
                      PacketMeta& packet);
  void on_stream_gap(Flow& flow, Direction direction);
  void flush_stream(Flow& flow, Direction direction, PacketMeta& packet);
  void on_transaction(Flow& flow, Transaction& transaction, Direction direction, PacketMeta& packet,
                      Progress progress);
  const std::vector<Finding>& decide(PacketMeta& packet);
  [[nodiscard]] bool tagged() const noexcept { return tagged_; }
  [[nodiscard]] std::string metadata(const Flow& flow) const;

  [[nodiscard]] const InspectorCounters& counters() noexcept;

 private:
  // Buffers of a rule that is not bound to a transaction.
  struct Subject {
    BufferView payload;
    const PacketMeta* packet = nullptr;
  };

  // inspector.cpp
  [[nodiscard]] const Rule& rule(RuleIndex index) const { return compiled_->rules[index]; }
  FlowMemory& state_of(Flow& flow);
  [[nodiscard]] PacketView view_of(const PacketMeta& packet) const;
  [[nodiscard]] static PacketView view_of(const Flow& flow, Direction direction,
                                          const PacketMeta& packet);
  [[nodiscard]] bool applies(const Rule& rule, const PacketView& view, Flow* flow);
  [[nodiscard]] bool match_lists(const Rule& rule, const Subject& subject);
  void fire(RuleIndex index, const PacketView& view, Flow* flow, Bytes payload,
            const Transaction* transaction);
  void unique(std::vector<RuleIndex>& candidates);
  void preselect(const PayloadGroup& group, Bytes bytes, std::uint64_t offset, std::size_t before);
  void check_packet_rules(PacketMeta& packet, const PacketView& view, bool with_protocol);
  void replace(const Rule& rule, PacketMeta& packet);
  void check_plain(const std::vector<RuleIndex>& rules, PacketMeta& packet);

  // inspector_state.cpp
  [[nodiscard]] bool match_state(const Rule& rule, const PacketView& view, Flow* flow);
  void change_state(const Rule& rule, const PacketView& view, Flow* flow);
  void keep_captures(Flow* flow);
  [[nodiscard]] RateAnswer rate(const Rule& rule, const Threshold& threshold, const Match& match,
                                Flow* flow);
  [[nodiscard]] bool count_tags(const PacketMeta& packet);
  void add_tags(const Rule& rule, const Match& match, const PacketMeta& packet);
  [[nodiscard]] RuleAction action_of(const Rule& rule, const Match& match, Flow* flow);
  [[nodiscard]] bool decide_on(Match& match, PacketMeta& packet);
  void act(const Rule& rule, RuleAction action, const Match& match, PacketMeta& packet,
           Finding* finding);

  // inspector_stream.cpp
  void check_stream_rule(RuleIndex index, StreamMemory& stream, const PacketView& view, Flow& flow);

  // inspector_transaction.cpp
  enum class Answer : std::uint8_t { yes, no, wait };
  void preselect(const TransactionGroup& group, TransactionState::Side& side,
                 const Transaction& transaction, bool over);
  void add_candidates(TransactionState::Side& side, const PacketView& view, AppProto proto);
  [[nodiscard]] Answer check_candidate(TransactionState::Candidate& candidate,
                                       const Transaction& transaction, const PacketView& view,
                                       Flow& flow, Progress progress);
  [[nodiscard]] bool waits_for_events(const Rule& rule) const;
  [[nodiscard]] bool worth_another_look(const TransactionState::Candidate& candidate,
                                        const Transaction& transaction, Direction direction,
                                        Progress progress) const;
  [[nodiscard]] Answer check_list(const TestList& list, Direction direction,
                                  const Transaction& transaction, Progress progress,
                                  const TransactionState::Candidate* before);
  [[nodiscard]] Answer check_ask(const TransactionTest& test, Direction direction,
                                 const Transaction& transaction, Progress progress) const;
  [[nodiscard]] Answer check_other_list(const TestList& list, const PacketView& view, Flow& flow);

  InspectorOptions options_;
  std::shared_ptr<const RuleSet> rules_;
  const CompiledRules* compiled_ = nullptr;
  std::uint64_t generation_ = 0;
  PatternScratch patterns_;
  MatchScratch scratch_;
  std::optional<std::size_t> absent_;  // after check_list(): from the last instance; Candidate
  BoundedTable<RateState> rates_;
  BoundedTable<WallTime> host_bits_;  // until when
  BoundedTable<TagState> host_tags_;
  bool tagged_ = false;
  InspectorCounters counters_;
  std::uint64_t dataset_refused_before_ = 0;  // by the rule sets before

  std::vector<std::uint32_t> stamps_;  // by rule: the last selection it was in
  std::uint32_t stamp_ = 0;
  std::vector<RuleIndex> candidates_;
  std::vector<RuleIndex> with_protocol_;  // packet candidates that wait for the protocol
  std::size_t budget_ = 0;                // candidates left for this packet
  bool protocol_known_ = false;           // before this packet
  std::vector<std::pair<std::string, std::string>> packet_captures_;
  std::vector<Match> matches_;
  std::vector<Finding> findings_;
  WallTime findings_time_ = 0;
};

}  // namespace menshen::sensor
