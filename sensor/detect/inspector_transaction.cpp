// Rules on transactions: preselected by the buffers' patterns as these appear, then held until
// their other buffers can answer.
#include "sensor/detect/inspector_impl.hpp"
#include "sensor/detect/transform.hpp"
#include "sensor/proto/file.hpp"

namespace menshen::sensor {
namespace {

// A waiting rule looks again when its buffer has grown by one part in so many.
constexpr std::size_t look_again_inline = 8;
constexpr std::size_t look_again_passive = 2;

// Some buffers are the other direction's: of a rule for both messages of a transaction.
Direction direction_of(const TestList& list, Direction direction) {
  const bool other =
      list.buffer.kind == BufferKind::transaction && list.buffer.in(direction) == Buffer::count;
  return other ? reverse(direction) : direction;
}

void store_files(const FileStore& wanted, const Transaction& transaction, Direction direction) {
  if (!wanted.wanted) return;
  using Reach = FileStore::Reach;
  for (const Direction side : {Direction::to_server, Direction::to_client}) {
    const Reach other = side == Direction::to_server ? Reach::to_client : Reach::to_server;
    if (wanted.reach == other || (wanted.reach == Reach::same && side != direction)) continue;
    for (const auto& file : transaction.files[static_cast<std::size_t>(side)]) file->store = true;
  }
}

bool holds(const NumberTest& test, Number number, const Transaction& transaction,
           std::size_t instances) {
  const auto fits = [&](std::size_t instance) {
    const std::uint64_t value = transaction.field(number, instance);
    return std::ranges::any_of(test.any_of,
                               [&](const NumberRange& range) { return range.contains(value); });
  };
  using Which = NumberTest::Which;
  if (test.which == Which::one) {
    const auto place = test.place + (test.place < 0 ? static_cast<std::int64_t>(instances) : 0);
    return place >= 0 && place < static_cast<std::int64_t>(instances) &&
           fits(static_cast<std::size_t>(place));
  }
  for (std::size_t i = 0; i < instances; ++i) {
    if (fits(i) != (test.which == Which::all)) return test.which == Which::any;
  }
  return test.which == Which::all && instances != 0;
}

bool lasts(const Rule& rule) {
  return std::ranges::any_of(rule.asks, [](const TransactionTest& test) {
    const auto* stage = std::get_if<StageTest>(&test);
    return stage != nullptr && stage->lasting;
  });
}

// What shows that a direction has begun; count: nothing needs to.
Buffer beginning_of(AppProto proto, Direction direction) {
  const bool request = direction == Direction::to_server;
  switch (proto) {
    case AppProto::http1:
      return request ? Buffer::http_request_line : Buffer::http_response_line;
    case AppProto::tls:
      return request ? Buffer::tls_random : Buffer::tls_random_response;
    case AppProto::ssh:
      return request ? Buffer::ssh_software : Buffer::ssh_software_response;
    default:
      return Buffer::count;
  }
}

// What ends without having begun has come nowhere.
bool has_come(const StageTest& stage, const Transaction& transaction) {
  if (stage.known == Buffer::count && !stage.complete) return true;
  const Buffer beginning = beginning_of(stage.proto, stage.direction);
  if (beginning != Buffer::count && transaction.field_count(beginning) == 0) return false;
  if (transaction.complete(stage.direction)) return true;
  return stage.known != Buffer::count && transaction.field_count(stage.known) != 0;
}

}  // namespace

// What the response shows of a request (a coding of its body) is an event of both. A passive sensor
// looks at a request when its bytes were acknowledged, so that the response may be there already.
bool Inspector::Impl::waits_for_events(const Rule& rule) const {
  return !options_.inline_mode && std::ranges::any_of(rule.asks, [](const TransactionTest& test) {
    return std::holds_alternative<EventTest>(test);
  });
}

void Inspector::Impl::on_transaction(Flow& flow, Transaction& transaction, Direction direction,
                                     PacketMeta& packet, Progress progress) {
  const auto d = static_cast<std::size_t>(direction);
  const TransactionGroup& group =
      compiled_->transaction[static_cast<std::size_t>(transaction.proto())][d];
  if (group.buffers.empty() && group.always.any_port.empty() &&
      group.always.by_destination.empty() && group.always.by_source.empty() &&
      !transaction.detect) {
    return;
  }
  if (!transaction.detect) transaction.detect = std::make_unique<TransactionState>();
  auto& state = static_cast<TransactionState&>(*transaction.detect);
  if (state.generation != generation_) {
    state.sides = {};
    state.generation = generation_;
  }
  auto& side = state.sides[d];
  const PacketView view = view_of(flow, direction, packet);
  candidates_.clear();
  if (!side.begun || side.proto != transaction.proto()) {
    side.begun = true;
    side.proto = transaction.proto();
    side.scanned.assign(group.buffers.size(), {});
    group.always.append(view.tuple.sport, view.tuple.dport, candidates_);
  }
  const bool last = progress == Progress::ended || transaction.complete(direction);
  preselect(group, side, transaction, last);
  unique(candidates_);
  add_candidates(side, view, transaction.proto());

  std::vector<TransactionState::Candidate> waiting;
  for (auto& candidate : side.candidates) {
    const Answer answer = check_candidate(candidate, transaction, view, flow, progress);
    if (answer == Answer::yes) {
      fire(candidate.rule, view, &flow, packet.payload(), &transaction);
      store_files(rule(candidate.rule).file_store, transaction, direction);
      state.quiet = state.quiet || rule(candidate.rule).quiet_transaction;
    }
    const bool lasting = answer == Answer::yes && !last && lasts(rule(candidate.rule));
    if (lasting) candidate.lists_done = 0;
    const bool may_come =
        progress != Progress::ended && (!last || waits_for_events(rule(candidate.rule)));
    if (lasting || (answer == Answer::wait && may_come)) {
      waiting.push_back(candidate);
      continue;
    }
    // What waits for the other direction goes on there.
    const bool carried = answer == Answer::wait && rule(candidate.rule).transactional;
    if (carried && direction == Direction::to_server) {
      auto& later = state.sides[1].candidates;
      const auto behind = [](const auto& a, const auto& b) { return a.rule < b.rule; };
      later.insert(std::upper_bound(later.begin(), later.end(), candidate, behind), candidate);
    }
    side.finished.insert(
        std::lower_bound(side.finished.begin(), side.finished.end(), candidate.rule),
        candidate.rule);
  }
  side.candidates = std::move(waiting);
}

// Looks for patterns in what is new since the last call.
void Inspector::Impl::preselect(const TransactionGroup& group, TransactionState::Side& side,
                                const Transaction& transaction, bool over) {
  for (std::size_t g = 0; g < group.buffers.size(); ++g) {
    const BufferGroup& wanted = group.buffers[g];
    const MultiPattern& patterns = *wanted.patterns;
    auto& scanned = side.scanned[g];
    const std::size_t instances = transaction.field_count(wanted.buffer);
    while (scanned.instance < instances) {
      const auto view = transaction.field(wanted.buffer, scanned.instance);
      const bool last = scanned.instance + 1 == instances;
      if (view.bytes.size() > scanned.bytes) {
        if (wanted.transforms.empty()) {
          const std::size_t overlap = std::min(scanned.bytes, patterns.longest() - 1);
          const std::size_t from = scanned.bytes - overlap;
          patterns.scan(view.bytes.subspan(from), from, patterns_, candidates_, overlap);
          scanned.bytes = view.bytes.size();
        } else if (view.complete || !last || over) {
          const auto changed = apply_transforms(view.bytes, wanted.transforms, scratch_.transforms);
          patterns.scan(changed, 0, patterns_, candidates_);
          scanned.bytes = view.bytes.size();
        }
      }
      if (last) break;  // it may still grow
      ++scanned.instance;
      scanned.bytes = 0;
    }
  }
}

// What can never hold for this flow is left out at once.
void Inspector::Impl::add_candidates(TransactionState::Side& side, const PacketView& view,
                                     AppProto proto) {
  if (candidates_.empty()) return;
  for (const RuleIndex index : candidates_) {
    if (!rule(index).proto.apps.contains(proto)) continue;
    if (std::binary_search(side.finished.begin(), side.finished.end(), index)) continue;
    const auto same = [&](const auto& candidate) { return candidate.rule == index; };
    if (std::any_of(side.candidates.begin(), side.candidates.end(), same)) continue;
    if (match_tuple(rule(index), view)) side.candidates.emplace_back().rule = index;
  }
  std::sort(side.candidates.begin(), side.candidates.end(),
            [](const auto& a, const auto& b) { return a.rule < b.rule; });
}

Inspector::Impl::Answer Inspector::Impl::check_candidate(TransactionState::Candidate& candidate,
                                                         const Transaction& transaction,
                                                         const PacketView& view, Flow& flow,
                                                         Progress progress) {
  const Rule& wanted = rule(candidate.rule);
  PacketView asked = view;
  if (wanted.transactional) asked.direction = Direction::to_server;
  // What the flow's state forbids needs no look into buffers.
  const bool asks_state = !wanted.bits.empty() || !wanted.ints.empty();
  if (asks_state && !match_state(wanted, asked, &flow)) return Answer::wait;
  if (!worth_another_look(candidate, transaction, view.direction, progress)) return Answer::wait;
  scratch_.captured.clear();
  const TransactionState::Candidate before = candidate;
  candidate.waits_on = UINT32_MAX;
  candidate.absent.reset();
  bool waits = false;
  for (std::size_t i = 0; i < wanted.lists.size(); ++i) {
    const std::uint64_t bit = std::uint64_t{1} << (i % 64);
    if ((candidate.lists_done & bit) != 0) continue;
    const TestList& list = wanted.lists[i];
    const Direction direction = direction_of(list, view.direction);
    const Answer answer = list.buffer.kind == BufferKind::transaction
                              ? check_list(list, direction, transaction, progress,
                                           before.waits_on == i ? &before : nullptr)
                              : check_other_list(list, view, flow);
    if (answer == Answer::no) return Answer::no;
    // What it captured is wanted at the packet that fires.
    if (answer == Answer::yes && !wanted.captures) candidate.lists_done |= bit;
    if (answer == Answer::wait && !waits && list.buffer.kind == BufferKind::transaction) {
      candidate.waits_on = static_cast<std::uint32_t>(i);
      const Buffer buffer = list.buffer.in(direction);
      const std::size_t instances = transaction.field_count(buffer);
      candidate.instances = static_cast<std::uint32_t>(instances);
      const auto last =
          instances == 0 ? Transaction::View{} : transaction.field(buffer, instances - 1);
      candidate.bytes = last.bytes.size();
      candidate.complete = last.complete;
      candidate.absent = absent_;
    }
    waits = waits || answer == Answer::wait;
  }
  for (std::size_t i = 0; i < wanted.asks.size(); ++i) {
    const std::uint64_t bit = std::uint64_t{1} << ((wanted.lists.size() + i) % 64);
    if ((candidate.lists_done & bit) != 0) continue;
    const Answer answer = check_ask(wanted.asks[i], view.direction, transaction, progress);
    if (answer == Answer::no) return Answer::no;
    if (answer == Answer::yes) candidate.lists_done |= bit;
    waits = waits || answer == Answer::wait;
  }
  if (waits) return Answer::wait;
  return applies(wanted, asked, &flow) ? Answer::yes : Answer::wait;
}

// A buffer that grows packet by packet is not searched from its beginning with each of them: what a
// candidate costs stays linear in the buffer. Whole buffers are always looked at.
bool Inspector::Impl::worth_another_look(const TransactionState::Candidate& candidate,
                                         const Transaction& transaction, Direction direction,
                                         Progress progress) const {
  if (candidate.waits_on == UINT32_MAX || progress == Progress::ended) return true;
  const TestList& list = rule(candidate.rule).lists[candidate.waits_on];
  direction = direction_of(list, direction);
  if (transaction.complete(direction)) return true;
  const Buffer buffer = list.buffer.in(direction);
  const std::size_t instances = transaction.field_count(buffer);
  if (instances != candidate.instances) return true;
  if (instances == 0) return false;
  const auto view = transaction.field(buffer, instances - 1);
  const std::size_t growth = view.bytes.size() - std::min(candidate.bytes, view.bytes.size());
  if (view.complete != candidate.complete) return true;
  if (growth == 0) return false;
  return growth >=
         candidate.bytes / (options_.inline_mode ? look_again_inline : look_again_passive);
}

// `before`: what the candidate knew when it last waited for this list.
Inspector::Impl::Answer Inspector::Impl::check_list(const TestList& list, Direction direction,
                                                    const Transaction& transaction,
                                                    Progress progress,
                                                    const TransactionState::Candidate* before) {
  const Buffer buffer = list.buffer.in(direction);
  const std::size_t instances = transaction.field_count(buffer);
  const bool over = progress == Progress::ended || transaction.complete(direction);
  scratch_.little_endian = transaction.little_endian;
  absent_.reset();
  // Another instance may still come.
  bool waits = !over && (instances == 0 || buffer_info(buffer).many);
  if (instances == 0 && over) return list.absent ? Answer::yes : Answer::no;
  // Instances before the last one did not match, and do not change.
  const std::size_t first = before != nullptr ? std::max(before->instances, 1U) - 1U : 0;
  for (std::size_t i = first; i < instances; ++i) {
    const auto view = transaction.field(buffer, i);
    const bool complete = view.complete || over || i + 1 < instances;
    if (!complete) waits = true;
    absent_.reset();
    if (list.needs_complete && !complete) continue;
    if (i == first && before != nullptr && before->absent && view.bytes.size() >= before->bytes) {
      const auto& content = std::get<Content>(list.tests[*before->absent].what);
      counters_.examined_bytes += view.bytes.size() - before->bytes;
      absent_ = before->absent;
      if (!appears(content, view.bytes, before->bytes)) continue;
    }
    counters_.examined_bytes += view.bytes.size();
    const auto bytes = apply_transforms(view.bytes, list.transforms, scratch_.transforms);
    if (match_tests(list.tests, {bytes, 0}, scratch_)) return Answer::yes;
    absent_ = list.transforms.empty() ? scratch_.absent : std::nullopt;
  }
  return waits ? Answer::wait : Answer::no;
}

Inspector::Impl::Answer Inspector::Impl::check_ask(const TransactionTest& test, Direction direction,
                                                   const Transaction& transaction,
                                                   Progress progress) const {
  const bool ended = progress == Progress::ended;
  const bool over = ended || transaction.complete(direction);
  if (const auto* event = std::get_if<EventTest>(&test)) {
    if (std::ranges::find(transaction.events, event->event) != transaction.events.end()) {
      return Answer::yes;
    }
    return ended || (over && options_.inline_mode) ? Answer::no : Answer::wait;
  }
  if (const auto* stage = std::get_if<StageTest>(&test)) {
    // What ends without having come so far is complete for nobody.
    if (has_come(*stage, transaction)) return Answer::yes;
    return over ? Answer::no : Answer::wait;
  }
  const auto& number = std::get<NumberTest>(test);
  if (number.in(direction) == Number::count) direction = reverse(direction);
  const bool known = ended || transaction.complete(direction);
  const std::size_t instances = transaction.field_count(number.in(direction));
  // "All of them" and "the last" are known when no more can come.
  const bool whole = number.which == NumberTest::Which::all || number.place < 0;
  const bool yes = holds(number, number.in(direction), transaction, instances) && (known || !whole);
  if (yes) return Answer::yes;
  return known ? Answer::no : Answer::wait;
}

Inspector::Impl::Answer Inspector::Impl::check_other_list(const TestList& list,
                                                          const PacketView& view, Flow& flow) {
  BufferView buffer{header_bytes(list.buffer.kind, *view.packet), 0};
  if (list.buffer.kind == BufferKind::payload) {
    buffer.bytes = view.packet->payload();
    if (view.tuple.proto == IpProto::tcp) {
      const StreamMemory& stream = state_of(flow).stream[static_cast<std::size_t>(view.direction)];
      buffer = {as_bytes(stream.window), stream.end - stream.window.size()};
    }
  }
  return match_tests(list.tests, buffer, scratch_) ? Answer::yes : Answer::wait;
}

}  // namespace menshen::sensor
