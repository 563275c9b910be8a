#include "sensor/detect/inspector.hpp"

#include "sensor/detect/inspector_impl.hpp"
#include "sensor/detect/transform.hpp"
#include "sensor/proto/spoken.hpp"

namespace menshen::sensor {
namespace {

constexpr std::size_t excerpt_max = 4096;

// What the stream and the protocol's parser make of the packet is known after them.
bool wants_protocol(const Rule& rule) {
  return !rule.proto.apps.empty() ||
         std::any_of(rule.header.begin(), rule.header.end(), [](const HeaderTest& test) {
           const auto* field = std::get_if<FieldTest>(&test);
           return std::holds_alternative<AppProtoTest>(test) ||
                  std::holds_alternative<MismatchTest>(test) ||
                  (field != nullptr && field->field >= Field::stream_size_server);
         });
}

bool wants_application(const Rule& rule) {
  return !rule.proto.apps.empty() ||
         std::any_of(rule.header.begin(), rule.header.end(), [](const HeaderTest& test) {
           const auto* app = std::get_if<AppProtoTest>(&test);
           return app != nullptr && app->proto != AppProto::unknown;
         });
}

bool asks_payload(const Rule& rule) {
  return rule.has_payload_tests() ||
         std::any_of(rule.header.begin(), rule.header.end(), [](const HeaderTest& test) {
           const auto* field = std::get_if<FieldTest>(&test);
           return field != nullptr && field->field == Field::dsize && !field->range.contains(0);
         });
}

bool asks_by_keyword(const Rule& rule) {
  return std::any_of(rule.header.begin(), rule.header.end(), [](const HeaderTest& test) {
    return std::holds_alternative<AppProtoTest>(test);
  });
}

}  // namespace

Inspector::Impl::Impl(const InspectorOptions& options, std::shared_ptr<const RuleSet> rules)
    : options_(options),
      rates_(options.host_entries_max, options.seed),
      host_bits_(options.host_entries_max, options.seed),
      host_tags_(options.host_entries_max, options.seed) {
  swap_rules(std::move(rules));
}

void Inspector::Impl::swap_rules(std::shared_ptr<const RuleSet> rules) {
  if (rules_ != nullptr) {
    const Datasets& older = *rules_->compiled().datasets;
    dataset_refused_before_ += older.refused();
    rules->compiled().datasets->take_from(older);
  }
  rules_ = std::move(rules);
  compiled_ = &rules_->compiled();
  ++generation_;
  for (const MultiPattern* database : compiled_->databases())
    static_cast<void>(patterns_.prepare(*database));
  stamps_.assign(compiled_->rules.size(), 0);
  stamp_ = 0;
}

FlowMemory& Inspector::Impl::state_of(Flow& flow) {
  if (!flow.detect) flow.detect = std::make_unique<FlowMemory>();
  auto& state = static_cast<FlowMemory&>(*flow.detect);
  if (state.generation != generation_) {
    for (StreamMemory& stream : state.stream) {
      stream.pending.clear();
      stream.fired.clear();
    }
    state.generation = generation_;
  }
  return state;
}

PacketView Inspector::Impl::view_of(const PacketMeta& packet) const {
  PacketView view;
  view.packet = &packet;
  view.flow = packet.flow;
  view.tuple = packet.ip_version != 0 ? tuple_of(packet) : FiveTuple{};
  view.direction = packet.direction;
  return view;
}

PacketView Inspector::Impl::view_of(const Flow& flow, Direction direction,
                                    const PacketMeta& packet) {
  PacketView view;
  view.packet = &packet;
  view.flow = &flow;
  view.tuple = direction == Direction::to_server ? flow.tuple : flow.tuple.reversed();
  view.direction = direction;
  return view;
}

// Everything but the buffers, cheapest first.
bool Inspector::Impl::applies(const Rule& rule, const PacketView& view, Flow* flow) {
  // A transaction's rules are those of its protocol, which a later part of the flow may change.
  const bool asks_flow = !rule.proto.apps.empty() && rule.kind != RuleKind::transaction;
  if (asks_flow && (flow == nullptr || !rule.proto.apps.contains(flow->app))) return false;
  if (!match_flow(rule.flow, view) || !match_tuple(rule, view)) return false;
  for (const HeaderTest& test : rule.header) {
    if (!match_header(test, view)) return false;
  }
  return match_state(rule, view, flow);
}

bool Inspector::Impl::match_lists(const Rule& rule, const Subject& subject) {
  scratch_.captured.clear();
  for (const TestList& list : rule.lists) {
    BufferView buffer = subject.payload;
    if (list.buffer.kind != BufferKind::payload) {
      buffer = {header_bytes(list.buffer.kind, *subject.packet), 0};
    }
    // Where nothing is, nothing is missing either: no negation holds.
    if (buffer.bytes.empty()) return false;
    buffer.bytes = apply_transforms(buffer.bytes, list.transforms, scratch_.transforms);
    if (!match_tests(list.tests, buffer, scratch_)) return false;
  }
  return true;
}

void Inspector::Impl::fire(RuleIndex index, const PacketView& view, Flow* flow, Bytes payload,
                           const Transaction* transaction) {
  const Rule& fired = rule(index);
  const auto same = [&](const Match& match) {
    return match.rule == index && (!transaction || match.tx_id == transaction->id);
  };
  if (std::any_of(matches_.begin(), matches_.end(), same)) return;
  ++counters_.matches;
  Match match;
  match.rule = index;
  match.tuple = view.tuple;
  match.direction = view.direction;
  match.stream = view.stream;
  const bool reported =
      !fired.noalert && (fired.info.action != RuleAction::pass || fired.alert_anyway);
  if (transaction != nullptr) match.tx_id = transaction->id;
  if (transaction != nullptr && reported) {
    match.protocol = transaction->eve();
    match.carried = transaction->carried_eve();
  }
  if (reported) match.payload = as_text(payload.first(std::min(payload.size(), excerpt_max)));
  if (fired.captures) keep_captures(flow);
  // As if two rules stood there, one for each side.
  const bool twice = fired.two_rules && match_both_ways(fired, view);
  if (twice) matches_.push_back(match);
  matches_.push_back(std::move(match));
  change_state(fired, view, flow);
}

// Sorted, each once, not more than the packet's budget allows.
void Inspector::Impl::unique(std::vector<RuleIndex>& candidates) {
  if (++stamp_ == 0) {
    std::fill(stamps_.begin(), stamps_.end(), 0);
    stamp_ = 1;
  }
  const auto seen = [this](RuleIndex index) {
    return std::exchange(stamps_[index], stamp_) == stamp_;
  };
  candidates.erase(std::remove_if(candidates.begin(), candidates.end(), seen), candidates.end());
  std::sort(candidates.begin(), candidates.end());
  if (candidates.size() > budget_) {
    ++counters_.candidate_limit;
    candidates.resize(budget_);
  }
  budget_ -= candidates.size();
  counters_.candidates += candidates.size();
}

void Inspector::Impl::begin(PacketMeta& packet) {
  protocol_known_ = packet.flow != nullptr && packet.flow->app != AppProto::unknown;
  matches_.clear();
  findings_.clear();
  with_protocol_.clear();
  packet_captures_.clear();
  budget_ = options_.candidates_max;
}

void Inspector::Impl::check_plain(const std::vector<RuleIndex>& rules, PacketMeta& packet) {
  const PacketView view = view_of(packet);
  for (const RuleIndex index : rules) {
    if (applies(rule(index), view, packet.flow))
      fire(index, view, packet.flow, packet.payload(), nullptr);
  }
}

void Inspector::Impl::check_packet_rules(PacketMeta& packet, const PacketView& view,
                                         bool with_protocol) {
  const auto& selected = with_protocol ? with_protocol_ : candidates_;
  // A passive sensor on TCP knows the protocol from the packet after the one that decided it, as
  // its peers do.
  const bool early = with_protocol && !options_.inline_mode && packet.proto == IpProto::tcp &&
                     !protocol_known_ && packet.flow != nullptr &&
                     packet.flow->app != AppProto::unknown;
  // Ciphertext says nothing.
  const bool hidden =
      packet.flow != nullptr && packet.flow->encrypted && packet.proto == IpProto::tcp;
  for (const RuleIndex index : selected) {
    const Rule& candidate = rule(index);
    // What it replaces the stream is to see: not later than it must.
    const bool waits = !candidate.replaces || !protocol_known_;
    if (!with_protocol && waits && wants_protocol(candidate)) {
      with_protocol_.push_back(index);
      continue;
    }
    const bool stream_only =
        candidate.proto.part == RuleProto::Part::stream || candidate.flow.only_stream;
    if (stream_only && !candidate.lists.empty()) continue;
    if (hidden && asks_payload(candidate)) continue;
    if (early && wants_application(candidate)) continue;
    if (!applies(candidate, view, packet.flow)) continue;
    if (match_lists(candidate, {{packet.payload(), 0}, &packet})) {
      fire(index, view, packet.flow, packet.payload(), nullptr);
      if (candidate.replaces) replace(candidate, packet);
    }
  }
}

// Not where a pass rule, which stands before it, has spoken, nor where rules only alert.
void Inspector::Impl::replace(const Rule& candidate, PacketMeta& packet) {
  const Flow* flow = packet.flow;
  const bool only_alert = flow != nullptr && flow->label.mode != InspectMode::block;
  const bool passed = std::ranges::any_of(matches_, [this](const Match& match) {
    return rule(match.rule).info.action == RuleAction::pass;
  });
  if (options_.rewriter == nullptr || only_alert || passed) return;
  const std::span<std::byte> payload = options_.rewriter->open(packet);
  if (payload.empty()) return packet.refuse(Verdict::drop, DropReason::rule);
  for (const TestList& list : candidate.lists) {
    if (list.buffer.kind != BufferKind::payload) continue;
    for (const auto& [place, bytes] : find_replaced(list.tests, {payload, 0}, scratch_)) {
      std::ranges::copy(as_bytes(bytes), payload.subspan(place).begin());
    }
  }
  options_.rewriter->close(packet);
}

// `bytes` begin at `offset` of their stream; the first `before` of them were looked at.
void Inspector::Impl::preselect(const PayloadGroup& group, Bytes bytes, std::uint64_t offset,
                                std::size_t before) {
  const auto scan = [&](const MultiPattern& patterns, Bytes shown) {
    if (shown.size() <= before) return;
    const std::size_t overlap = std::min(before, patterns.longest() - 1);
    const std::size_t from = before - overlap;
    patterns.scan(shown.subspan(from), offset + from, patterns_, candidates_, overlap);
  };
  if (group.patterns) scan(*group.patterns, bytes);
  if (group.short_patterns) scan(*group.short_patterns, bytes);
}

void Inspector::Impl::inspect_packet(PacketMeta& packet) {
  if (packet.ip_version == 0) return;
  const std::size_t t = transport_index(packet.proto);
  const auto d = static_cast<std::size_t>(packet.direction);
  const PacketView view = view_of(packet);
  const FiveTuple& tuple = view.tuple;
  if (const auto& addresses = compiled_->ip_only[t]; !addresses.empty()) {
    const bool seen =
        packet.flow != nullptr && std::exchange(state_of(*packet.flow).addresses_seen[d], true);
    if (!seen) {
      candidates_.clear();
      addresses.by_source.find(tuple.src, candidates_);
      addresses.by_destination.find(tuple.dst, candidates_);
      unique(candidates_);
      check_plain(candidates_, packet);
    }
  }
  const PayloadGroup& group = compiled_->packet[t][d];
  candidates_.clear();
  preselect(group, packet.payload(), 0, 0);
  group.always.append(tuple.sport, tuple.dport, candidates_);
  // Bytes that no stream carries: of a connection whose beginning was not seen, or beside its SYN.
  const bool begins =
      packet.proto == IpProto::tcp && (packet.tcp_flags & tcp_syn) != 0 && !asks_fast_open(packet);
  const bool carried = packet.flow != nullptr && !packet.flow->midstream && !begins;
  if (packet.proto == IpProto::tcp && packet.payload_length != 0 && !carried) {
    const PayloadGroup& stream = compiled_->stream[d];
    preselect(stream, packet.payload(), 0, 0);
    stream.always.append(tuple.sport, tuple.dport, candidates_);
  }
  if (candidates_.empty()) return;
  unique(candidates_);
  check_packet_rules(packet, view, false);
}

void Inspector::Impl::inspect_protocol(PacketMeta& packet) {
  if (packet.ip_version == 0) return;
  if (!with_protocol_.empty()) check_packet_rules(packet, view_of(packet), true);
  if (packet.flow == nullptr || packet.flow->app == AppProto::unknown) return;
  const auto& rules = compiled_->app_only[transport_index(packet.proto)];
  if (rules.empty()) return;
  // A passive sensor on TCP speaks from the packet after the one that decided the protocol, as its
  // peers do.
  if (!options_.inline_mode && packet.proto == IpProto::tcp && !protocol_known_) return;
  const auto d = static_cast<std::size_t>(packet.direction);
  const bool seen = std::exchange(state_of(*packet.flow).protocol_seen[d], true);
  const PacketView view = view_of(packet);
  for (const RuleIndex index : rules) {
    // What the other side speaks may become known later.
    if (seen && asks_by_keyword(rule(index)) && !shows_mismatch(*packet.flow, packet)) continue;
    if (applies(rule(index), view, packet.flow))
      fire(index, view, packet.flow, packet.payload(), nullptr);
  }
}

// Rules on the flow's protocol alone that no packet could answer: the last one made it known.
void Inspector::Impl::inspect_end(Flow& flow, PacketMeta& packet) {
  if (options_.inline_mode || flow.tuple.proto != IpProto::tcp || flow.app == AppProto::unknown) {
    return;
  }
  const auto& rules = compiled_->app_only[transport_index(flow.tuple.proto)];
  if (rules.empty()) return;
  for (const Direction direction : {Direction::to_server, Direction::to_client}) {
    const auto d = static_cast<std::size_t>(direction);
    if (std::exchange(state_of(flow).protocol_seen[d], true)) continue;
    const PacketView view = view_of(flow, direction, packet);
    for (const RuleIndex index : rules) {
      if (applies(rule(index), view, &flow)) fire(index, view, &flow, {}, nullptr);
    }
  }
}

void Inspector::Impl::inspect_anomalies(PacketMeta& packet) {
  if (packet.anomalies().empty()) return;
  candidates_.clear();
  for (const Anomaly anomaly : packet.anomalies()) {
    const auto& rules = compiled_->by_anomaly[static_cast<std::size_t>(anomaly)];
    candidates_.insert(candidates_.end(), rules.begin(), rules.end());
  }
  if (candidates_.empty()) return;
  unique(candidates_);
  const PacketView view = view_of(packet);
  for (const RuleIndex index : candidates_) {
    const Rule& candidate = rule(index);
    if (!transport_fits(candidate.proto.transport, transport_index(packet.proto))) continue;
    if (!applies(candidate, view, packet.flow)) continue;
    if (match_lists(candidate, {{packet.payload(), 0}, &packet})) {
      fire(index, view, packet.flow, packet.payload(), nullptr);
    }
  }
}

const InspectorCounters& Inspector::Impl::counters() noexcept {
  counters_.inspection_limit = scratch_.limit_hits;
  counters_.regex_limit = scratch_.regex.limit_hits;
  counters_.table_evictions = rates_.evictions() + host_bits_.evictions() + host_tags_.evictions();
  counters_.dataset_refused = dataset_refused_before_ + compiled_->datasets->refused();
  return counters_;
}

// ---- the public face
// --------------------------------------------------------------------------------------------

Inspector::Inspector(const InspectorOptions& options, std::shared_ptr<const RuleSet> rules)
    : impl_(std::make_unique<Impl>(options, std::move(rules))) {}
Inspector::~Inspector() = default;
void Inspector::swap_rules(std::shared_ptr<const RuleSet> rules) {
  impl_->swap_rules(std::move(rules));
}
void Inspector::begin(PacketMeta& packet) { impl_->begin(packet); }
void Inspector::inspect_packet(PacketMeta& packet) { impl_->inspect_packet(packet); }
void Inspector::inspect_protocol(PacketMeta& packet) { impl_->inspect_protocol(packet); }
void Inspector::inspect_end(Flow& flow, PacketMeta& packet) { impl_->inspect_end(flow, packet); }
void Inspector::inspect_anomalies(PacketMeta& packet) { impl_->inspect_anomalies(packet); }
void Inspector::on_stream_data(Flow& flow, Direction direction, Bytes bytes, std::uint64_t offset,
                               PacketMeta& packet) {
  impl_->on_stream_data(flow, direction, bytes, offset, packet);
}
void Inspector::flush_stream(Flow& flow, Direction direction, PacketMeta& packet) {
  impl_->flush_stream(flow, direction, packet);
}
void Inspector::on_stream_gap(Flow& flow, Direction direction) {
  impl_->on_stream_gap(flow, direction);
}
void Inspector::on_transaction(Flow& flow, Transaction& transaction, Direction direction,
                               PacketMeta& packet, Progress progress) {
  impl_->on_transaction(flow, transaction, direction, packet, progress);
}
const std::vector<Finding>& Inspector::decide(PacketMeta& packet) { return impl_->decide(packet); }
bool Inspector::tagged() const noexcept { return impl_->tagged(); }
std::string Inspector::metadata(const Flow& flow) const { return impl_->metadata(flow); }
bool Inspector::quiet(const Transaction& transaction) noexcept {
  return transaction.detect != nullptr &&
         static_cast<const TransactionState&>(*transaction.detect).quiet;
}
const InspectorCounters& Inspector::counters() const noexcept { return impl_->counters(); }

}  // namespace menshen::sensor
