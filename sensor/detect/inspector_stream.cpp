// Rules on a reassembled stream: each chunk is looked at with the bytes before it, never twice for
// the same match.
#include "sensor/detect/inspector_impl.hpp"

namespace menshen::sensor {
namespace {

void forget_passed(std::vector<StreamMemory::Mark>& marks, std::uint64_t place) {
  marks.erase(std::remove_if(marks.begin(), marks.end(),
                             [&](const auto& mark) { return mark.place <= place; }),
              marks.end());
}

}  // namespace

void Inspector::Impl::on_stream_data(Flow& flow, Direction direction, Bytes bytes,
                                     std::uint64_t offset, PacketMeta& packet) {
  if (!compiled_->stream_wanted[static_cast<std::size_t>(direction)]) return;
  StreamMemory& stream = state_of(flow).stream[static_cast<std::size_t>(direction)];
  if (offset != stream.end) {  // bytes between are missing
    stream.window.clear();
    stream.pending.clear();
    stream.fresh = 0;
  }
  stream.window += as_text(bytes);
  stream.end = offset + bytes.size();
  stream.fresh += bytes.size();
  // A passive sensor has time: fewer, larger looks, and one report where a pattern repeats within a
  // message.
  if (options_.inline_mode || stream.fresh >= stream_chunk_bytes)
    flush_stream(flow, direction, packet);
}

void Inspector::Impl::flush_stream(Flow& flow, Direction direction, PacketMeta& packet) {
  const auto d = static_cast<std::size_t>(direction);
  if (!compiled_->stream_wanted[d] || !flow.detect) return;
  StreamMemory& stream = state_of(flow).stream[d];
  if (stream.fresh == 0) return;
  const PayloadGroup& group = compiled_->stream[d];
  const std::size_t before = stream.window.size() - std::exchange(stream.fresh, 0);
  const std::uint64_t start = stream.end - stream.window.size();

  candidates_.clear();
  preselect(group, as_bytes(stream.window), start, before);
  for (const auto& mark : stream.pending) candidates_.push_back(mark.rule);
  PacketView view = view_of(flow, direction, packet);
  view.stream = true;
  group.always.append(view.tuple.sport, view.tuple.dport, candidates_);
  unique(candidates_);
  for (const RuleIndex index : candidates_) check_stream_rule(index, stream, view, flow);

  if (stream.window.size() > stream_window_bytes) {
    stream.window.erase(0, stream.window.size() - stream_window_bytes);
  }
  forget_passed(stream.pending, start);
  forget_passed(stream.fired, stream.end - stream.window.size());
}

void Inspector::Impl::on_stream_gap(Flow& flow, Direction direction) {
  StreamMemory& stream = state_of(flow).stream[static_cast<std::size_t>(direction)];
  stream.window.clear();
  stream.pending.clear();
  stream.fresh = 0;
}

void Inspector::Impl::check_stream_rule(RuleIndex index, StreamMemory& stream,
                                        const PacketView& view, Flow& flow) {
  const Rule& candidate = rule(index);
  const std::uint64_t start = stream.end - stream.window.size();
  const auto by_rule = [&](const StreamMemory::Mark& mark) { return mark.rule == index; };
  const auto fired = std::find_if(stream.fired.begin(), stream.fired.end(), by_rule);
  std::string_view window = stream.window;
  std::uint64_t from = start;
  if (fired != stream.fired.end() && fired->place > start) {
    window.remove_prefix(static_cast<std::size_t>(fired->place - start));
    from = fired->place;
  }
  const bool undecided = !candidate.proto.apps.empty() && flow.app == AppProto::unknown;
  // What the flow's state forbids now is not tried again on the same bytes.
  if (!undecided && !applies(candidate, view, &flow)) return;
  if (!undecided && match_lists(candidate, {{as_bytes(window), from}, view.packet})) {
    fire(index, view, &flow, as_bytes(window), nullptr);
    if (fired != stream.fired.end()) {
      fired->place = stream.end;
    } else if (stream.fired.size() < pending_rules_max) {
      stream.fired.push_back({index, stream.end});
    }
    return;
  }
  const bool preselected =
      compiled_->stream_preselected[static_cast<std::size_t>(view.direction)][index];
  if (!preselected || !match_tuple(candidate, view)) return;
  if (std::none_of(stream.pending.begin(), stream.pending.end(), by_rule)) {
    if (stream.pending.size() < pending_rules_max) {
      stream.pending.push_back({index, stream.end});
    } else {
      ++counters_.pending_limit;
    }
  }
}

}  // namespace menshen::sensor
