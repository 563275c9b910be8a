// Rules on transactions: preselected by the buffers' patterns as these appear, then held until
// their other buffers can answer.
#include "sensor/detect/inspector_impl.hpp"
#include "sensor/detect/transform.hpp"

namespace menshen::sensor {

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
  if (!side.begun) {
    side.begun = true;
    side.scanned.resize(group.buffers.size());
    group.always.append(view.tuple.sport, view.tuple.dport, candidates_);
  }
  const bool last = progress == Progress::ended || transaction.complete(direction);
  preselect(group, side, transaction, last);
  unique(candidates_);
  add_candidates(side, view);

  std::vector<TransactionState::Candidate> waiting;
  for (auto& candidate : side.candidates) {
    const Answer answer = check_candidate(candidate, transaction, view, flow, progress);
    if (answer == Answer::yes) fire(candidate.rule, view, &flow, packet.payload(), &transaction);
    if (answer == Answer::wait && !last) {
      waiting.push_back(candidate);
      continue;
    }
    // What waits for the other direction goes on there.
    const bool carried = answer == Answer::wait && rule(candidate.rule).transactional;
    if (carried && direction == Direction::to_server)
      state.sides[1].candidates.push_back(candidate);
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
    auto& scanned = side.scanned[g];
    const std::size_t instances = transaction.instances(wanted.buffer);
    while (scanned.instance < instances) {
      const auto view = transaction.view(wanted.buffer, scanned.instance);
      const bool last = scanned.instance + 1 == instances;
      if (view.bytes.size() > scanned.bytes) {
        if (wanted.transforms.empty()) {
          const std::size_t overlap = std::min(scanned.bytes, wanted.patterns.longest() - 1);
          const std::size_t from = scanned.bytes - overlap;
          wanted.patterns.scan(view.bytes.subspan(from), from, patterns_, candidates_, overlap);
          scanned.bytes = view.bytes.size();
        } else if (view.complete || !last || over) {
          const auto changed =
              apply_transforms(view.bytes, wanted.transforms, scratch_.transformed);
          wanted.patterns.scan(changed, 0, patterns_, candidates_);
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
void Inspector::Impl::add_candidates(TransactionState::Side& side, const PacketView& view) {
  for (const RuleIndex index : candidates_) {
    if (std::binary_search(side.finished.begin(), side.finished.end(), index)) continue;
    const auto same = [&](const auto& candidate) { return candidate.rule == index; };
    if (std::any_of(side.candidates.begin(), side.candidates.end(), same)) continue;
    if (match_tuple(rule(index), view)) side.candidates.push_back({index, 0});
  }
  std::sort(side.candidates.begin(), side.candidates.end(),
            [](const auto& a, const auto& b) { return a.rule < b.rule; });
}

Inspector::Impl::Answer Inspector::Impl::check_candidate(TransactionState::Candidate& candidate,
                                                         const Transaction& transaction,
                                                         const PacketView& view, Flow& flow,
                                                         Progress progress) {
  const Rule& wanted = rule(candidate.rule);
  bool waits = false;
  for (std::size_t i = 0; i < wanted.lists.size(); ++i) {
    const std::uint64_t bit = std::uint64_t{1} << (i % 64);
    if ((candidate.lists_done & bit) != 0) continue;
    const TestList& list = wanted.lists[i];
    Direction direction = view.direction;
    if (list.buffer.kind == BufferKind::transaction && list.buffer.in(direction) == Buffer::count) {
      direction = reverse(direction);
    }
    const Answer answer = list.buffer.kind == BufferKind::transaction
                              ? check_list(list, direction, transaction, progress)
                              : check_other_list(list, view, flow);
    if (answer == Answer::no) return Answer::no;
    if (answer == Answer::yes) candidate.lists_done |= bit;
    waits = waits || answer == Answer::wait;
  }
  if (waits) return Answer::wait;
  PacketView asked = view;
  if (wanted.transactional) asked.direction = Direction::to_server;
  return applies(wanted, asked, &flow) ? Answer::yes : Answer::wait;
}

Inspector::Impl::Answer Inspector::Impl::check_list(const TestList& list, Direction direction,
                                                    const Transaction& transaction,
                                                    Progress progress) {
  const Buffer buffer = list.buffer.in(direction);
  const std::size_t instances = transaction.instances(buffer);
  const bool over = progress == Progress::ended || transaction.complete(direction);
  bool waits = instances == 0 && !over;
  if (instances == 0 && over) return list.absent ? Answer::yes : Answer::no;
  for (std::size_t i = 0; i < instances; ++i) {
    const auto view = transaction.view(buffer, i);
    const bool complete = view.complete || over || i + 1 < instances;
    if (!complete) waits = true;
    if (list.needs_complete && !complete) continue;
    const auto bytes = apply_transforms(view.bytes, list.transforms, scratch_.transformed);
    if (match_tests(list.tests, {bytes, 0}, scratch_)) return Answer::yes;
  }
  return waits ? Answer::wait : Answer::no;
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
