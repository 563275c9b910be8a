#include "sensor/engine/engine.hpp"

#include <fmt/format.h>

#include <random>
#include <vector>

#include "sensor/detect/compiled_rules.hpp"
#include "sensor/detect/inspector.hpp"
#include "sensor/engine/stats.hpp"
#include "sensor/flow/flow_table.hpp"
#include "sensor/packet/decode.hpp"
#include "sensor/packet/defrag.hpp"
#include "sensor/packet/tunnel.hpp"
#include "sensor/proto/events.hpp"
#include "sensor/proto/file.hpp"
#include "sensor/proto/proto.hpp"
#include "sensor/stream/stream.hpp"

namespace menshen::sensor {
namespace {

std::uint64_t random_seed() {
  std::random_device device;
  return static_cast<std::uint64_t>(device()) << 32U | device();
}

FlowTableOptions table_options(const EngineOptions& options) {
  FlowTableOptions table;
  table.flows_max = static_cast<std::uint32_t>(options.flows_max);
  table.exceptions = options.exceptions.resolved(options.inline_mode);
  table.timeouts = options.timeouts;
  table.seed = random_seed();
  return table;
}

StreamOptions stream_options(const EngineOptions& options) {
  StreamOptions stream;
  stream.mode = options.inline_mode ? SensorMode::inline_ : SensorMode::passive;
  stream.stream_depth = options.stream_depth_bytes;
  stream.memory_max = options.stream_bytes_max;
  stream.flow_bytes_max = options.stream_flow_bytes_max;
  stream.midstream = options.midstream;
  stream.urgent = options.urgent;
  stream.hosts = options.hosts;
  stream.exceptions = options.exceptions;
  return stream;
}

ProtoLimits proto_limits(const EngineOptions& options) {
  ProtoLimits limits;
  limits.exceptions = options.exceptions.resolved(options.inline_mode);
  limits.files.kept = options.file_bytes_max;
  return limits;
}

DefragOptions defrag_options(const EngineOptions& options) {
  DefragOptions defrag;
  static_cast<DefragBounds&>(defrag) = options.defrag;
  defrag.hosts = options.hosts;
  defrag.seed = random_seed();
  defrag.refuse_overlaps = options.inline_mode;
  return defrag;
}

InspectorOptions inspector_options(const EngineOptions& options, PacketRewriter& rewriter) {
  InspectorOptions inspector;
  if (options.inline_mode) inspector.rewriter = &rewriter;
  inspector.inline_mode = options.inline_mode;
  inspector.candidates_max = options.candidates_max;
  inspector.findings_max = options.alerts_per_packet_max;
  inspector.host_entries_max = options.threshold_entries_max;
  inspector.seed = random_seed();
  return inspector;
}

// What rules ask of files, and what output wants of every one.
FileWants file_wants(const RuleSet& rules, const EngineOptions& options) {
  FileWants wants = options.file_facts;
  const auto ask = [&](Buffer buffer) {
    const auto hash = [&](FileHash h) { wants.hashes[static_cast<std::size_t>(h)] = true; };
    if (buffer == Buffer::file_magic || buffer == Buffer::file_magic_response) wants.magic = true;
    if (buffer == Buffer::file_md5 || buffer == Buffer::file_md5_response) hash(FileHash::md5);
    if (buffer == Buffer::file_sha1 || buffer == Buffer::file_sha1_response) hash(FileHash::sha1);
    if (buffer == Buffer::file_sha256 || buffer == Buffer::file_sha256_response) {
      hash(FileHash::sha256);
    }
  };
  for (const Rule& rule : rules.compiled().rules) {
    for (const TestList& list : rule.lists) {
      if (list.buffer.kind != BufferKind::transaction) continue;
      ask(list.buffer.to_server);
      ask(list.buffer.to_client);
    }
  }
  return wants;
}

// EVE's `anomaly` object: the event as rules name it, without its protocol, in capitals.
std::string anomaly_eve(ProtoEvent event) {
  const ProtoEventInfo& info = proto_event_info(event);
  std::string name(info.name.substr(info.name.find('.') + 1));
  for (char& c : name) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  return fmt::format(
      R"({{"app_proto":"{}","type":"applayer","event":"{}","layer":"proto_parser"}})",
      app_proto_name(info.proto), name);
}

}  // namespace

struct Engine::Impl final : StreamObserver, TransactionObserver, FlowEndObserver {
  Impl(const EngineOptions& wanted, std::shared_ptr<const RuleSet> rules,
       const FlowLabeler* labeler, EventSink& out)
      : options(wanted),
        sink(&out),
        rule_set(rules),
        // NOLINTNEXTLINE(bugprone-throw-keyword-missing): policies for what cannot be inspected
        exceptions(wanted.exceptions.resolved(wanted.inline_mode)),
        defrag(defrag_options(wanted)),
        stream(stream_options(wanted), *this, &rewriter),
        proto(proto_limits(wanted), *this),
        inspector(inspector_options(wanted, rewriter), std::move(rules)),
        table(table_options(wanted), *this, labeler) {
    proto.want_files(file_wants(*rule_set, options));
  }

  // ---- one packet through the stages
  // ----------------------------------------------------------------------------

  void process(PacketBatch& batch) {
    rewriter.begin_batch();
    decode(batch, decode_options(), decode_counters);
    table.prepare(batch);
    std::size_t index = 0;
    for (PacketMeta& packet : batch.packets()) {
      ++counters.packets;
      counters.bytes += packet.length;
      one(packet, index++);
      settle(packet);
    }
    if (!batch.empty()) tell_stats(batch.packets().back().time);
    hand_over();
  }

  // A record where the time for one has come; the first one begins the count.
  void tell_stats(WallTime now) {
    if (options.stats_seconds == 0) return;
    constexpr WallTime second = 1'000'000'000;
    if (began == 0) began = stats_told = now;
    if (now - stats_told < WallTime{options.stats_seconds} * second) return;
    stats_told = now;
    Stats stats;
    stats.uptime_seconds = static_cast<std::uint64_t>((now - began) / second);
    stats.counters = summed();
    stats.decode = decode_counters;
    stats.stream = stream.counters();
    stats.inline_mode = options.inline_mode;
    Event& event = events.emplace_back();
    event.kind = EventKind::stats;
    event.time = now;
    event.detail = stats_eve(stats);
  }

  [[nodiscard]] DecodeOptions decode_options() const {
    return {options.verify_checksums ? ChecksumMode::verify : ChecksumMode::ignore};
  }

  void one(PacketMeta& packet, std::size_t index) {
    drop_told = false;
    if (packet.dropped()) return refused(packet);
    if (!packet.fragment) table.assign(packet, index);
    if (packet.dropped()) return;
    if (packet.tunnel || packet.fragment) open(packet, {});
    if (packet.dropped()) return refused(packet);
    inspect(packet);
  }

  // What decode or defragmentation has dropped belongs to no flow: its addresses and its anomalies
  // are left to look at.
  void refused(PacketMeta& packet) {
    const bool has_header = packet.reason == DropReason::decode_truncated ||
                            packet.reason == DropReason::decode_malformed;
    if (packet.anomalies().empty()) return;
    current = &packet;
    inspector.begin(packet);
    if (has_header) inspector.inspect_packet(packet);
    inspector.inspect_anomalies(packet);
    report(packet);
    current = nullptr;
  }

  void inspect(PacketMeta& packet) {
    if (packet.dropped()) return;
    Flow* flow = packet.flow;
    if (flow != nullptr &&
        (flow->action == FlowAction::pass || flow->label.mode == InspectMode::none))
      return;
    current = &packet;
    stream.settle(packet);
    inspector.begin(packet);
    const auto by_rules = [&] {
      return !packet.uninspected && (flow == nullptr || !flow->uninspected);
    };
    if (by_rules()) inspector.inspect_packet(packet);
    if (flow != nullptr && packet.transport_offset != 0) {
      if (packet.proto == IpProto::tcp) stream.process(packet);
      if (packet.proto == IpProto::udp) proto.on_udp(*flow, packet);
    }
    if (by_rules()) {
      inspector.inspect_protocol(packet);
      if (rewriter.rewrote(packet)) stream.amend(packet);
      inspector.inspect_anomalies(packet);
      report(packet);
    }
    current = nullptr;
  }

  // ---- packets out of packets -------------------------------------------------------------------

  // How an inner packet was come by.
  struct Way {
    std::uint64_t tenant = 0;
    std::size_t depth = 0;
    const FlowLabel* label = nullptr;  // of the flow whose packets carry it; null: no tunnel
  };

  // The datagram that this part completes, or the tunnel's content, goes through all stages before
  // the packet that brought it; inline, what happens to it happens to that packet.
  void open(PacketMeta& outer, Way way) {
    if (outer.flow != nullptr && outer.flow->label.mode == InspectMode::none) return;
    PacketMeta inner;
    std::array<Anomaly, packet_anomalies_max> places;
    inner.anomaly_places = places.data();
    inner.link = LinkType::raw_ip;
    Bytes bytes;
    if (outer.fragment) {
      if (datagrams.size() <= way.depth) datagrams.resize(way.depth + 1);
      const auto whole = defrag.add(outer, way.tenant, datagrams[way.depth]);
      if (outer.reason == DropReason::fragment_memory) {
        outer.verdict = Verdict::accept;
        outer.reason = DropReason::none;
        exceptions.meet(ExceptionTrigger::defrag_memory, outer, nullptr);
      }
      outer.payload_length = 0;  // a part is not looked into by itself
      if (!whole) return;
      bytes = *whole;
      inner.reassembled = true;
    } else {
      const auto content = open_tunnel(outer);
      if (!content) return;
      bytes = content->bytes;
      inner.link = content->link;
      inner.checksum_trusted = outer.checksum_trusted;
      way.tenant = tunnel_tenant(way.tenant, outer, *content);
      if (outer.flow != nullptr) way.label = &outer.flow->label;
    }
    if (way.depth++ == tunnel_depth_max) {
      outer.note(Anomaly::too_many_layers);
      exceptions.meet(ExceptionTrigger::tunnel_depth, outer, nullptr);
      return;
    }
    inner.data = bytes.data();
    inner.length = static_cast<std::uint32_t>(bytes.size());
    inner.time = outer.time;
    inner.id = outer.id;
    inner.attachment = outer.attachment;
    inner.derived = true;
    if (inner.link == LinkType::raw_ip) {
      inner.vlan = outer.vlan;
      inner.vlan_count = outer.vlan_count;
    }
    decode(inner, decode_options(), decode_counters);
    derived(inner, way);
    if (inner.dropped()) outer.refuse(Verdict::drop, inner.reason);
  }

  void derived(PacketMeta& inner, const Way& way) {
    const bool whole = !inner.dropped();
    if (whole && !inner.fragment) table.assign_derived(inner, way.tenant, way.label);
    if (!inner.dropped() && (inner.tunnel || inner.fragment)) open(inner, way);
    if (!inner.dropped()) {
      inspect(inner);
    } else if (inner.reason != DropReason::flow_dropped) {
      refused(inner);
    }
    if (!inner.dropped()) return;
    if (options.inline_mode) return tell_drop(inner);
    ++counters.drops[static_cast<std::size_t>(inner.reason)];
    inner.verdict = Verdict::accept;
  }

  // What the packet's verdict means outside: counters, the drop record; a passive sensor only
  // watches.
  void settle(PacketMeta& packet) {
    if (!packet.dropped()) {
      counters.rewritten += rewriter.rewrote(packet) ? 1U : 0U;
      return;
    }
    ++counters.drops[static_cast<std::size_t>(packet.reason)];
    if (!options.inline_mode) {
      packet.verdict = Verdict::accept;
      return;
    }
    ++(packet.verdict == Verdict::reject ? counters.rejected : counters.dropped);
    if (!drop_told) tell_drop(packet);
  }

  // The record of a drop: once, of the innermost packet that had the reason.
  void tell_drop(const PacketMeta& packet) {
    drop_told = true;
    const bool new_flow_drop = packet.reason != DropReason::flow_dropped;
    if (!new_flow_drop || packet.ip_version == 0) return;
    Event& event = make_event(EventKind::drop, packet);
    event.tuple = tuple_of(packet);
    event.direction = packet.direction;
    event.reason = packet.reason;
    event.rule = drop_rule;
    event.blocked = true;
  }

  void report(PacketMeta& packet) {
    drop_rule = nullptr;
    for (const Finding& finding : inspector.decide(packet)) {
      ++counters.alerts;
      Event& event = make_event(EventKind::alert, packet);
      event.tuple = finding.tuple;
      event.direction = finding.direction;
      event.rule = finding.rule;
      event.blocked = finding.blocked;
      event.reason = finding.blocked ? packet.reason : DropReason::none;
      event.tx_id = finding.tx_id;
      event.protocol = finding.protocol;
      event.carried = finding.carried;
      if (options.log_payload) event.payload = finding.payload;
      if (finding.blocked && drop_rule == nullptr) drop_rule = finding.rule;
    }
    if (inspector.tagged() && packet.length != 0) {
      Event& event = make_event(EventKind::packet, packet);
      if (packet.ip_version != 0) event.tuple = tuple_of(packet);
      event.direction = packet.direction;
      event.payload = as_text(packet.frame());
    }
  }

  Event& make_event(EventKind kind, const PacketMeta& packet) {
    Event& event = events.emplace_back();
    event.kind = kind;
    event.time = packet.time;
    event.packet_count = packet.length != 0 ? counters.packets : 0;
    if (packet.ip_version != 0 && packet.transport_offset != 0 &&
        packet.length > packet.transport_offset + 1U &&
        (packet.proto == IpProto::icmp || packet.proto == IpProto::icmpv6)) {
      event.icmp_type_code = static_cast<std::uint16_t>(
          std::to_integer<unsigned>(packet.data[packet.transport_offset]) << 8U |
          std::to_integer<unsigned>(packet.data[packet.transport_offset + 1U]));
    }
    event.vlan = packet.vlan;
    event.vlan_count = packet.vlan_count;
    if (packet.flow != nullptr && packet.length == 0) {
      event.vlan = packet.flow->vlan;
      event.vlan_count = packet.flow->vlan_count;
    }
    event.source = packet.length == 0   ? Event::Source::flow_end
                   : packet.reassembled ? Event::Source::defrag
                   : packet.derived     ? Event::Source::tunnel
                                        : Event::Source::wire;
    if (packet.flow != nullptr) {
      fill_flow(event, *packet.flow);
      event.metadata = inspector.metadata(*packet.flow);
    }
    return event;
  }

  static void fill_flow(Event& event, const Flow& flow) {
    event.flow_id = flow.id;
    event.app = flow.app;
    event.label = flow.label;
    event.alerted = flow.alerted;
    event.flow = {flow.sides[0].packets,
                  flow.sides[1].packets,
                  flow.sides[0].bytes,
                  flow.sides[1].bytes,
                  flow.first,
                  flow.last,
                  {},
                  {},
                  {flow.sides[0].tcp_flags, flow.sides[1].tcp_flags}};
  }

  void hand_over() {
    if (events.empty()) return;
    counters.events += events.size();
    sink->on_events(events);
    events.clear();
  }

  // ---- stream -> proto -> detect
  // --------------------------------------------------------------------------------

  void on_data(Flow& flow, Direction direction, Bytes bytes, std::uint64_t offset,
               PacketMeta& packet) override {
    if (!flow.uninspected) inspector.on_stream_data(flow, direction, bytes, offset, packet);
    proto.on_stream_data(flow, direction, bytes, packet);
  }
  void on_gap(Flow& flow, Direction direction, std::uint64_t length, PacketMeta& packet) override {
    if (!flow.uninspected) {
      inspector.flush_stream(flow, direction, packet);
      inspector.on_stream_gap(flow, direction);
    }
    proto.on_stream_gap(flow, direction, length, packet);
  }
  void on_close(Flow& flow, Direction direction, PacketMeta* packet) override {
    proto.on_stream_close(flow, direction, packet);
    inspector.flush_stream(flow, direction, packet != nullptr ? *packet : *current);
  }
  void on_change(Flow& flow, Transaction& transaction, Direction direction,
                 PacketMeta& packet) override {
    if (flow.uninspected) return;
    if (transaction.complete(direction)) inspector.flush_stream(flow, direction, packet);
    inspector.on_transaction(flow, transaction, direction, packet);
  }
  void on_end(Flow& flow, Transaction& transaction) override {
    ++counters.transactions;
    PacketMeta& packet = *current;
    for (const Direction direction : {Direction::to_server, Direction::to_client}) {
      if (flow.uninspected || transaction.one_way.value_or(direction) != direction) continue;
      inspector.on_transaction(flow, transaction, direction, packet, Inspector::Progress::ended);
    }
    report_files(flow, transaction, packet);
    report_anomalies(flow, transaction, packet);
    if (!options.log_transactions || Inspector::quiet(transaction)) return;
    Event& event = make_event(EventKind::transaction, packet);
    event.app = transaction.proto();
    event.tuple = flow.tuple;
    event.tx_id = transaction.id;
    event.protocol = transaction.eve();
    event.carried = transaction.carried_eve();
  }
  void report_anomalies(const Flow& flow, const Transaction& transaction,
                        const PacketMeta& packet) {
    if (!options.log_anomalies) return;
    for (const ProtoEvent noted : transaction.events) {
      Event& event = make_event(EventKind::anomaly, packet);
      event.app = transaction.proto();
      event.tuple = flow.tuple;
      event.tx_id = transaction.id;
      event.detail = anomaly_eve(noted);
    }
  }
  [[nodiscard]] std::shared_ptr<FileContent> content_of(File& file) const {
    const bool wanted = options.hand_over == FileHandOver::all ||
                        (options.hand_over == FileHandOver::wanted && file.store);
    if (!wanted || file.data.empty()) return nullptr;
    auto content = std::make_shared<FileContent>();
    content->whole = file.keep_whole && file.state == File::State::closed;
    content->store = file.store;
    content->bytes = file.take();
    return content;
  }
  // Nothing more comes of them.
  void report_files(const Flow& flow, const Transaction& transaction, const PacketMeta& packet) {
    if (!options.log_files) return;
    for (const Direction direction : {Direction::to_server, Direction::to_client}) {
      for (const auto& file : transaction.files[static_cast<std::size_t>(direction)]) {
        Event& event = make_event(EventKind::fileinfo, packet);
        event.app = transaction.proto();
        event.tuple = flow.tuple;
        event.direction = direction;
        event.tx_id = transaction.id;
        event.protocol = transaction.eve();
        event.detail = file_eve(*file, transaction.id);
        event.file = content_of(*file);
      }
    }
  }
  void on_flow_end(Flow& flow, FlowEnd end) override {
    PacketMeta stand_in;
    stand_in.flow = &flow;
    stand_in.time = flow.last;
    stand_in.proto = flow.tuple.proto;
    current = &stand_in;
    inspector.begin(stand_in);
    stream.end(flow);
    for (const Direction direction : {Direction::to_server, Direction::to_client}) {
      inspector.flush_stream(flow, direction, stand_in);
    }
    proto.on_close(flow);
    // What is let pass or dropped was decided before.
    const bool watched = flow.action == FlowAction::none && !flow.uninspected &&
                         flow.label.mode != InspectMode::none;
    if (watched) {
      inspector.inspect_end(flow, stand_in);
      report(stand_in);
    }
    current = nullptr;
    if (!options.log_flows) return;
    Event& event = make_event(EventKind::flow, stand_in);
    event.tuple = flow.tuple;
    event.flow.state = flow.state == FlowState::closed ? "closed"
                       : flow.established              ? "established"
                                                       : "new";
    event.flow.reason = end == FlowEnd::timeout  ? "timeout"
                        : end == FlowEnd::reused ? "forced"
                                                 : "shutdown";
  }

  // With what the stages counted.
  const Counters& summed() const {
    const InspectorCounters& found = inspector.counters();
    counters.exceptions = {};
    add(counters.exceptions, exceptions.counts());
    add(counters.exceptions, table.exceptions());
    add(counters.exceptions, stream.exceptions());
    add(counters.exceptions, proto.exceptions());
    counters.flows = table.counters().begun;
    counters.flows_active = table.counters().live;
    counters.rules_loaded = rule_set->summary().loaded;
    counters.rules_rejected = rule_set->summary().rejected;
    counters.stream_bytes = stream.counters().memory;
    counters.alerts_suppressed = found.suppressed;
    counters.candidates = found.candidates;
    counters.candidate_limit = found.candidate_limit;
    counters.inspection_limit = found.inspection_limit;
    counters.pcre_limit = found.regex_limit;
    counters.threshold_evictions = found.table_evictions;
    counters.dataset_refused = found.dataset_refused;
    return counters;
  }

  EngineOptions options;
  EventSink* sink;
  std::shared_ptr<const RuleSet> rule_set;
  DecodeCounters decode_counters;
  Exceptions exceptions;  // of the triggers that the engine meets itself
  Defragmenter defrag;
  std::vector<std::vector<std::byte>> datagrams;  // put together, by depth
  PacketRewriter rewriter;
  StreamStage stream;
  ProtoStage proto;
  Inspector inspector;
  FlowTable table;  // ends first: what its flows keep belongs to the stages above
  PacketMeta* current = nullptr;
  const RuleInfo* drop_rule = nullptr;
  bool drop_told = false;   // of the packet at hand
  WallTime began = 0;       // the first packet's time
  WallTime stats_told = 0;  // the last stats record's
  std::vector<Event> events;
  mutable Counters counters;
};

Engine::Engine(const EngineOptions& options, std::shared_ptr<const RuleSet> rules,
               const FlowLabeler* labeler, EventSink& sink)
    : impl_(std::make_unique<Impl>(options, std::move(rules), labeler, sink)) {}
Engine::~Engine() = default;

void Engine::process(PacketBatch& batch) { impl_->process(batch); }

void Engine::swap_rules(std::shared_ptr<const RuleSet> rules) {
  impl_->inspector.swap_rules(rules);
  impl_->rule_set = std::move(rules);
  impl_->proto.want_files(file_wants(*impl_->rule_set, impl_->options));
}

void Engine::flush() {
  impl_->table.finish();
  impl_->hand_over();
}

void Engine::expire(WallTime now) {
  impl_->table.expire(now);
  impl_->tell_stats(now);
  impl_->hand_over();
}

const Counters& Engine::counters() const noexcept { return impl_->summed(); }

}  // namespace menshen::sensor
