// Flowbits, rates, and what a match does to its packet and flow.
#include <nlohmann/json.hpp>

#include "sensor/detect/inspector_impl.hpp"

namespace menshen::sensor {
namespace {

constexpr WallTime second_ns = 1'000'000'000;

bool is_query(BitOperation operation) {
  return operation == BitOperation::is_set || operation == BitOperation::is_not_set;
}

bool compare(Comparison comparison, std::uint64_t a, std::uint64_t b) {
  switch (comparison) {
    case Comparison::equal:
      return a == b;
    case Comparison::not_equal:
      return a != b;
    case Comparison::less:
      return a < b;
    case Comparison::less_equal:
      return a <= b;
    case Comparison::greater:
      return a > b;
    case Comparison::greater_equal:
      return a >= b;
    default:
      return false;
  }
}

const FlowMemory* known_state(const Flow* flow) {
  return flow == nullptr ? nullptr : static_cast<const FlowMemory*>(flow->detect.get());
}

std::optional<std::uint64_t> number_of(const FlowMemory* state, std::uint64_t name) {
  if (state == nullptr) return std::nullopt;
  for (const auto& [key, value] : state->ints) {
    if (key == name) return value;
  }
  return std::nullopt;
}

bool match_int(const FlowIntTest& test, const FlowMemory* state) {
  using Operation = FlowIntTest::Operation;
  const auto value = number_of(state, test.name);
  switch (test.operation) {
    case Operation::is_set:
      return value.has_value();
    case Operation::is_not_set:
      return !value.has_value();
    case Operation::compare: {
      const auto other = test.other ? number_of(state, *test.other) : std::optional(test.value);
      return value && other && compare(test.comparison, *value, *other);
    }
    default:
      return true;
  }
}

void change_int(const FlowIntTest& test, FlowMemory& state) {
  using Operation = FlowIntTest::Operation;
  const bool changes = test.operation == Operation::assign || test.operation == Operation::add ||
                       test.operation == Operation::subtract;
  const auto operand = test.other ? number_of(&state, *test.other) : std::optional(test.value);
  if (!changes || !operand) return;
  const auto found = std::find_if(state.ints.begin(), state.ints.end(),
                                  [&](const auto& entry) { return entry.first == test.name; });
  if (found == state.ints.end()) {
    state.ints.emplace_back(test.name, test.operation == Operation::subtract ? 0 : *operand);
  } else if (test.operation == Operation::assign) {
    found->second = *operand;
  } else if (test.operation == Operation::add) {
    found->second += *operand;
  } else {
    found->second -= std::min(found->second, *operand);
  }
}

void change_bit(std::vector<std::uint64_t>& bits, std::uint64_t name, BitOperation operation) {
  const auto place = std::lower_bound(bits.begin(), bits.end(), name);
  const bool there = place != bits.end() && *place == name;
  const bool wanted =
      operation == BitOperation::set || (operation == BitOperation::toggle && !there);
  if (wanted && !there) bits.insert(place, name);
  if (!wanted && there) bits.erase(place);
}

// A rule on stream, protocol or addresses speaks of the whole flow; one on packets of its packet.
bool on_flow(const Rule& rule, const Match& match) {
  switch (rule.kind) {
    case RuleKind::packet:
      return false;
    case RuleKind::stream:
    case RuleKind::packet_stream:
      return match.stream;
    default:
      return true;
  }
}

bool suppressed(const Rule& rule, const FiveTuple& tuple) {
  using Track = Suppression::Track;
  return std::ranges::any_of(rule.suppressions, [&](const Suppression& one) {
    if (one.track == Track::any) return true;
    const bool source = one.track != Track::destination && one.hosts.contains(tuple.src);
    return source || (one.track != Track::source && one.hosts.contains(tuple.dst));
  });
}

}  // namespace

bool Inspector::Impl::match_state(const Rule& rule, const PacketView& view, Flow* flow) {
  const FlowMemory* state = known_state(flow);
  for (const BitTest& test : rule.bits) {
    if (!is_query(test.operation)) continue;
    const auto is_set = [&](std::uint64_t name) {
      if (test.scope == BitScope::flow) {
        return state != nullptr && std::binary_search(state->bits.begin(), state->bits.end(), name);
      }
      const WallTime* until = host_bits_.find(bit_key(name, test.scope, view.tuple));
      return until != nullptr && *until > view.packet->time;
    };
    if (test.scope == BitScope::flow && flow == nullptr) return false;
    const bool any = std::any_of(test.names.begin(), test.names.end(), is_set);
    if (any != (test.operation == BitOperation::is_set)) return false;
  }
  return std::all_of(rule.ints.begin(), rule.ints.end(), [&](const FlowIntTest& test) {
    return flow != nullptr && match_int(test, state);
  });
}

void Inspector::Impl::change_state(const Rule& rule, const PacketView& view, Flow* flow) {
  for (const BitTest& test : rule.bits) {
    if (is_query(test.operation)) continue;
    if (test.scope == BitScope::flow) {
      if (flow != nullptr) change_bit(state_of(*flow).bits, test.names.front(), test.operation);
      continue;
    }
    const WallTime now = view.packet->time;
    WallTime& until = host_bits_.make(bit_key(test.names.front(), test.scope, view.tuple));
    const bool set = test.operation == BitOperation::set ||
                     (test.operation == BitOperation::toggle && until <= now);
    until = set ? now + static_cast<WallTime>(test.seconds) * second_ns : 0;
  }
  for (const FlowIntTest& test : rule.ints) {
    if (flow != nullptr) change_int(test, state_of(*flow));
  }
}

namespace {

// A later value takes the place of an earlier one; beyond captures_max nothing is added.
void keep(std::vector<std::pair<std::string, std::string>>& captures, const std::string& name,
          std::string value) {
  const auto found = std::ranges::find(
      captures, name, [](const auto& entry) -> const std::string& { return entry.first; });
  if (found != captures.end()) {
    found->second = std::move(value);
  } else if (captures.size() < captures_max) {
    captures.emplace_back(name, std::move(value));
  }
}

}  // namespace

void Inspector::Impl::keep_captures(Flow* flow) {
  for (auto& captured : scratch_.captured) {
    if (captured.capture->scope == Capture::Scope::packet) {
      keep(packet_captures_, captured.capture->name, std::move(captured.value));
    } else if (flow != nullptr) {
      keep(state_of(*flow).captures, captured.capture->name, std::move(captured.value));
    }
  }
}

std::string Inspector::Impl::metadata(const Flow& flow) const {
  using Json = nlohmann::ordered_json;
  Json metadata;
  const auto add = [&metadata](const char* key, const auto& captures) {
    for (const auto& [name, value] : captures) metadata[key].push_back({{name, value}});
  };
  const auto name_of = [this](std::uint64_t hash) {
    const auto found = compiled_->names.find(hash);
    return found == compiled_->names.end() ? nullptr : &found->second;
  };
  add("pktvars", packet_captures_);
  if (const FlowMemory* state = known_state(&flow)) {
    add("flowvars", state->captures);
    // Of rules that are no longer loaded the names are not known.
    for (const std::uint64_t bit : state->bits) {
      if (const auto* name = name_of(bit)) metadata["flowbits"].push_back(*name);
    }
    for (const auto& [number, value] : state->ints) {
      if (const auto* name = name_of(number)) metadata["flowints"][*name] = value;
    }
  }
  if (metadata.is_null()) return {};
  return metadata.dump(-1, ' ', false, Json::error_handler_t::replace);
}

RateAnswer Inspector::Impl::rate(const Rule& rule, const Threshold& threshold, const Match& match,
                                 Flow* flow) {
  if (threshold.kind == Threshold::Kind::none) return RateAnswer::report;
  const WallTime now = findings_time_;
  const HostKey key = threshold_key(rule, threshold, match.tuple);
  if (threshold.track != Threshold::Track::flow) {
    RateState* state = rates_.find(key);
    return count_match(threshold, state != nullptr ? *state : rates_.make(key), now);
  }
  if (flow == nullptr) return RateAnswer::report;
  auto& rates = state_of(*flow).rates;
  auto found = std::find_if(rates.begin(), rates.end(),
                            [&](const auto& entry) { return entry.first == key.name; });
  if (found == rates.end()) found = rates.insert(rates.end(), {key.name, RateState{}});
  return count_match(threshold, found->second, now);
}

// The rule's own, or beyond a rate another one.
RuleAction Inspector::Impl::action_of(const Rule& rule, const Match& match, Flow* flow) {
  if (!rule.rate_filter || (rule.rate_filter->rate.track == Threshold::Track::flow && !flow)) {
    return rule.info.action;
  }
  const RateFilter& filter = *rule.rate_filter;
  HostKey key = threshold_key(rule, filter.rate, match.tuple);
  key.name = ~key.name;  // apart from the rule's own rates
  RateState* known = rates_.find(key);
  RateState& state = known != nullptr ? *known : rates_.make(key);
  const auto now = static_cast<std::uint64_t>(findings_time_);
  if (now < state.next) return filter.action;
  if (findings_time_ - state.since >= static_cast<WallTime>(filter.rate.seconds) * second_ns) {
    state.since = findings_time_;
    state.count = 0;
  }
  if (++state.count <= filter.rate.count) return rule.info.action;
  state.next = now + std::uint64_t{filter.seconds} * static_cast<std::uint64_t>(second_ns);
  state.count = 0;
  return filter.action;
}

void Inspector::Impl::act(const Rule& rule, RuleAction action, const Match& match,
                          PacketMeta& packet, Finding* finding) {
  Flow* flow = packet.flow;
  const bool whole_flow = flow != nullptr && on_flow(rule, match);
  if (action == RuleAction::pass) {
    if (whole_flow && flow->action == FlowAction::none) flow->action = FlowAction::pass;
    return;
  }
  const bool blocks = action == RuleAction::drop || action == RuleAction::reject;
  const bool only_alert = flow != nullptr && flow->label.mode != InspectMode::block;
  if (!blocks || only_alert) return;
  // A passive sensor cannot drop; it says no more of a flow that would not have gone on.
  if (whole_flow) flow->action = FlowAction::drop;
  const bool rejects = action == RuleAction::reject;
  // A reset is sent beside the traffic: no need to stand in its way.
  if (rejects && finding != nullptr) finding->blocked = true;
  if (!options_.inline_mode) return;
  const Verdict verdict = rejects ? Verdict::reject : Verdict::drop;
  if (packet.verdict < verdict) {
    packet.verdict = verdict;
    packet.reason = rejects ? DropReason::rule_reject : DropReason::rule;
  }
  if (finding != nullptr) finding->blocked = true;
}

bool Inspector::Impl::count_tags(const PacketMeta& packet) {
  const auto goes_on = [&packet](TagState& state) {
    const Tag& tag = state.tag;
    if (tag.unit == Tag::Unit::seconds) {
      return packet.time - state.since < static_cast<WallTime>(tag.count) * second_ns;
    }
    if (state.used >= tag.count) return false;
    state.used += tag.unit == Tag::Unit::bytes ? packet.length : 1;
    return true;
  };
  bool wanted = false;
  if (packet.flow != nullptr && packet.flow->detect != nullptr) {
    auto& tags = static_cast<FlowMemory&>(*packet.flow->detect).tags;
    std::erase_if(tags, [&](TagState& state) {
      const bool on = goes_on(state);
      wanted = wanted || on;
      return !on;
    });
  }
  if (host_tags_.size() == 0 || packet.ip_version == 0) return wanted;
  const FiveTuple tuple = tuple_of(packet);
  for (const IpAddr& host : {tuple.src, tuple.dst}) {
    HostKey key;
    key.first = host;
    key.attachment = tuple.attachment;
    if (TagState* state = host_tags_.find(key); state != nullptr) wanted |= goes_on(*state);
  }
  return wanted;
}

void Inspector::Impl::add_tags(const Rule& rule, const Match& match, const PacketMeta& packet) {
  for (const Tag& tag : rule.tags) {
    const TagState state{tag, packet.time, 0};
    if (tag.scope == Tag::Scope::session) {
      if (packet.flow == nullptr) continue;
      auto& tags = state_of(*packet.flow).tags;
      if (tags.size() < flow_tags_max) tags.push_back(state);
      continue;
    }
    HostKey key;
    key.first = tag.scope == Tag::Scope::source ? match.tuple.src : match.tuple.dst;
    key.attachment = match.tuple.attachment;
    host_tags_.make(key) = state;
  }
}

// False: nothing that stands behind this match counts.
bool Inspector::Impl::decide_on(Match& match, PacketMeta& packet) {
  const Rule& matched = rule(match.rule);
  if (rate(matched, matched.detection_filter, match, packet.flow) == RateAnswer::ignore) {
    return true;
  }
  const RateAnswer answer = rate(matched, matched.threshold, match, packet.flow);
  if (answer == RateAnswer::ignore) {
    ++counters_.suppressed;
    return true;
  }
  const RuleAction action = action_of(matched, match, packet.flow);
  const bool pass = action == RuleAction::pass;
  bool reported = !matched.noalert && (!pass || matched.alert_anyway);
  if (reported && (answer == RateAnswer::silent || suppressed(matched, match.tuple))) {
    ++counters_.suppressed;
    reported = false;
  }
  Finding finding;
  act(matched, action, match, packet, reported ? &finding : nullptr);
  if (reported && findings_.size() < options_.findings_max) {
    finding.rule = &matched.info;
    finding.tuple = match.tuple;
    finding.direction = match.direction;
    finding.tx_id = match.tx_id;
    finding.protocol = std::move(match.protocol);
    finding.carried = std::move(match.carried);
    finding.payload = std::move(match.payload);
    findings_.push_back(std::move(finding));
    if (packet.flow != nullptr) packet.flow->alerted = true;
  }
  if (!matched.tags.empty()) add_tags(matched, match, packet);
  if (matched.bypass && packet.flow != nullptr && packet.flow->action == FlowAction::none) {
    packet.flow->action = FlowAction::pass;
  }
  return !pass;  // a pass rule stands before all that would alert or drop
}

// A passive sensor's peers look into a TCP stream when its bytes were acknowledged, a packet later
// than at the packet that brings them: what that packet shows by itself comes first.
const std::vector<Finding>& Inspector::Impl::decide(PacketMeta& packet) {
  findings_time_ = packet.time;
  tagged_ = count_tags(packet);
  const bool by_packet_first = !options_.inline_mode && packet.proto == IpProto::tcp;
  const auto later = [&](const Match& match) {
    const Rule& matched = rule(match.rule);
    const bool by_address =
        matched.kind == RuleKind::ip_only || matched.kind == RuleKind::like_ip_only;
    const bool of_stream = on_flow(matched, match) && !by_address;
    return by_packet_first && (of_stream || !matched.proto.apps.empty());
  };
  std::stable_sort(matches_.begin(), matches_.end(),
                   [](const Match& a, const Match& b) { return a.rule < b.rule; });
  const auto middle = std::stable_partition(matches_.begin(), matches_.end(),
                                            [&](const Match& match) { return !later(match); });
  bool passed = false;
  for (auto match = matches_.begin(); match != middle && !passed; ++match) {
    passed = !decide_on(*match, packet);
  }
  // Passing a packet says nothing of its stream.
  const bool flow_passed = packet.flow != nullptr && packet.flow->action == FlowAction::pass;
  if (by_packet_first && !flow_passed) passed = false;
  for (auto match = middle; match != matches_.end() && !passed; ++match) {
    passed = !decide_on(*match, packet);
  }
  matches_.clear();
  return findings_;
}

}  // namespace menshen::sensor
