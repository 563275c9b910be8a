#include "sensor/stream/stream.hpp"

#include <algorithm>

#include "sensor/packet/decode.hpp"
#include "sensor/packet/header_options.hpp"
#include "sensor/stream/half_stream.hpp"
#include "sensor/stream/tcp_tracker.hpp"

namespace menshen::sensor {

namespace {

constexpr std::uint8_t window_shift_max = 14;  // RFC 7323 2.3
// An acknowledgement further ahead than TCP's largest window is noise.
constexpr std::int64_t ack_ahead_max = std::int64_t{1} << 30U;

struct StreamSlot final : FlowSlot {
  std::array<HalfStream, 2> halves;
  TcpTracker tracker;
  bool handshake = false;  // a SYN/ACK answered a SYN
  bool reset = false;
  bool released = false;  // encrypted: nothing more is kept
  bool restart_asked = false;
  std::uint32_t restart_base = 0;

  HalfStream& half(Direction d) noexcept { return halves[static_cast<std::size_t>(d)]; }
};

struct SynOptions {
  std::uint8_t window_shift = 0;
  bool scaled = false;
  bool fast_open = false;  // RFC 7413
};

SynOptions syn_options(Bytes options) noexcept {
  SynOptions found;
  walk_header_options(options, [&](unsigned kind, const std::optional<Bytes>& value) {
    if (!value) return false;
    if (kind == 34) found.fast_open = true;
    if (kind == 3 && value->size() == 1) {
      found.window_shift = std::min(std::to_integer<std::uint8_t>((*value)[0]), window_shift_max);
      found.scaled = true;
    }
    return true;
  });
  return found;
}

}  // namespace

// The work on one packet (or on a flow's end).
struct StreamWork {
  StreamStage& stage;
  const StreamOptions& options = stage.options_;
  StreamCounters& counters = stage.counters_;
  Flow& flow;
  StreamSlot& slot;
  PacketMeta& packet;

  [[nodiscard]] bool is_inline() const noexcept { return options.mode == SensorMode::inline_; }

  void refuse(DropReason reason) const noexcept { packet.refuse(Verdict::drop, reason); }

  void run(const TcpHeader& tcp) {
    const Direction d = packet.direction;
    if ((packet.tcp_flags & tcp_rst) != 0) return reset(d, tcp);
    if ((packet.tcp_flags & tcp_syn) != 0) {
      synchronise(d, tcp);
    } else if ((packet.tcp_flags & tcp_ack) == 0) {
      return invalid();  // RFC 9293 3.10.7.4: dropped by every receiver
    }
    if (flow.encrypted && !slot.released) release();
    learn_base(d, tcp);
    if ((packet.tcp_flags & tcp_ack) != 0) acknowledge(d, tcp);
    track_handshake(d);
    if (packet.payload_length != 0 && !packet.dropped()) segment(d, tcp);
    if ((packet.tcp_flags & tcp_fin) != 0 && !packet.dropped()) finish(d, tcp);
    track_state(d);
  }

  void invalid() {
    ++counters.invalid;
    refuse(DropReason::stream_invalid);
  }

  // SYN: offset 0 is the next number. Only while nothing was handed over may it move.
  void synchronise(Direction d, const TcpHeader& tcp) {
    HalfStream& half = slot.half(d);
    HalfStream& peer = slot.half(reverse(d));
    const bool answers = (packet.tcp_flags & tcp_ack) != 0;
    const SynOptions syn = syn_options(tcp.options);
    const std::uint32_t base = tcp.seq + 1;
    if (answers && slot.restart_asked && tcp.ack == slot.restart_base) return restart(d, tcp, syn);
    if (!half.untouched() || slot.reset || half.closed) {
      if (!answers && base != half.base) {
        slot.restart_asked = true;
        slot.restart_base = base;
      }
      return;
    }
    half.base = base;
    half.base_known = half.syn_seen = true;
    half.window_shift = syn.window_shift;
    half.fin.reset();  // of no connection
    if (!answers) return;
    slot.handshake = true;
    // Both ends scale or none does (RFC 7323 2.2).
    if (!syn.scaled) peer.window_shift = 0;
    if (peer.untouched()) {
      peer.base = tcp.ack;
      peer.base_known = true;
    }
  }

  // The responder has accepted a second SYN on the same ports: its old connection was gone.
  void restart(Direction d, const TcpHeader& tcp, const SynOptions& syn) {
    close(d, &packet);
    close(reverse(d), &packet);
    const std::uint32_t base = slot.restart_base;
    forget();
    for (HalfStream& half : slot.halves) {
      const HostPolicy policy = half.policy;
      half = {};
      half.policy = policy;
    }
    slot.handshake = true;
    slot.reset = slot.restart_asked = slot.released = false;
    flow.encrypted = false;
    flow.established = false;
    flow.state = FlowState::fresh;
    HalfStream& half = slot.half(d);
    half.base = tcp.seq + 1;
    half.base_known = half.syn_seen = true;
    half.window_shift = syn.window_shift;
    HalfStream& peer = slot.half(reverse(d));
    peer.base = base;
    peer.base_known =
        true;  // its window scale is not known: no window check (syn_seen stays false)
  }

  void learn_base(Direction d, const TcpHeader& tcp) {
    HalfStream& half = slot.half(d);
    if (half.base_known) return;
    half.base = tcp.seq;
    half.base_known = true;
  }

  void reset(Direction d, const TcpHeader& tcp) {
    HalfStream& half = slot.half(d);
    HalfStream& peer = slot.half(reverse(d));
    if (slot.reset) return;
    const bool unanswered = half.syn_seen && !peer.syn_seen && half.untouched();
    if (unanswered && (packet.tcp_flags & tcp_ack) == 0) return;
    bool exact = false;
    if (half.base_known) {
      const auto expected = half.next + (half.fin && half.next >= *half.fin ? 1U : 0U);
      const std::int64_t at = half.offset_of(tcp.seq);
      exact =
          at == static_cast<std::int64_t>(expected) || at == static_cast<std::int64_t>(half.next);
    }
    // The answer to a SYN: no number of its own, but it acknowledges the SYN.
    if (!exact && !half.syn_seen && peer.base_known && (packet.tcp_flags & tcp_ack) != 0) {
      exact = tcp.ack == peer.base + static_cast<std::uint32_t>(peer.next);
    }
    if (!exact) {
      ++counters.invalid;
      return;
    }
    slot.reset = true;
    flow.state = FlowState::closed;
    for (const Direction side : {d, reverse(d)}) {
      // What waits behind a hole will wait for ever: it is looked at now.
      while (!slot.half(side).pending.empty() && !slot.half(side).closed) {
        give_up_hole(side);
        drain(side);
      }
      close(side, &packet);
    }
    forget();
  }

  // What d's packet says of the other direction: bytes that have arrived there, and room for more.
  void acknowledge(Direction d, const TcpHeader& tcp) {
    HalfStream& peer = slot.half(reverse(d));
    if (!peer.base_known) {
      peer.base = tcp.ack;
      peer.base_known = true;
    }
    const std::int64_t at = peer.offset_of(tcp.ack);
    if (at < 0 || at > static_cast<std::int64_t>(peer.next) + ack_ahead_max) return;
    const auto acked = static_cast<std::uint64_t>(at);
    const bool syn = (packet.tcp_flags & tcp_syn) != 0;
    const std::uint64_t window = std::uint64_t{tcp.window}
                                 << (syn ? 0U : slot.half(d).window_shift);
    peer.window_edge = std::max(peer.window_edge, acked + window);
    if (acked <= peer.acked) return;
    peer.acked = acked;
    account(peer, [&] { peer.flight.trim(std::min(acked, peer.next)); });
    while (!peer.pending.empty() && peer.pending.begin() <= peer.acked) {
      give_up_hole(reverse(d));
      drain(reverse(d));
    }
    // The FIN was acknowledged, but bytes before it were never seen.
    if (peer.fin && acked > *peer.fin && peer.pending.empty() && peer.next < *peer.fin) {
      give_up(reverse(d), *peer.fin);
      peer.gap_to_tell = false;
    }
    if (peer.gap_to_tell && acked > peer.gap_end) {
      peer.gap_to_tell = false;
      packet.note(Anomaly::stream_reassembly_seq_gap);
    }
  }

  void segment(Direction d, const TcpHeader& tcp) {
    HalfStream& half = slot.half(d);
    Bytes bytes = packet.payload();
    std::int64_t at = half.offset_of(tcp.seq);
    if ((packet.tcp_flags & tcp_syn) != 0) {
      if (!syn_options(tcp.options).fast_open) return;  // the peer does not take it
      ++at;
    }
    if (at < 0) {
      const auto before = static_cast<std::uint64_t>(-at);
      if (before >= bytes.size()) return;
      bytes = bytes.subspan(before);
      at = 0;
    }
    const auto begin = static_cast<std::uint64_t>(at);
    if ((packet.tcp_flags & tcp_urg) != 0 && !mark_urgent(half, tcp, begin, bytes.size())) return;
    if (slot.released || half.depth_reached) return skip(half, begin + bytes.size());
    if (slot.reset) return invalid();
    if (slot.halves[0].syn_seen && slot.halves[1].syn_seen && half.window_edge != 0 &&
        begin > half.window_edge + 1) {
      return invalid();
    }
    if (half.fin && begin + bytes.size() > *half.fin && half.next >= *half.fin) return invalid();
    if (begin < half.next && !repeat(half, begin, bytes)) return;
    const std::uint64_t fresh = std::max(begin, half.next);
    if (fresh >= begin + bytes.size()) return;
    arrive(d, fresh, bytes.subspan(fresh - begin));
  }

  // RFC 6093 3.1: the pointer counts from the segment's first byte, and systems take the byte
  // before the place where it points. False: the packet is refused.
  bool mark_urgent(HalfStream& half, const TcpHeader& tcp, std::uint64_t begin, std::size_t size) {
    if (tcp.urgent == 0 || tcp.urgent > size) return true;
    if (options.urgent == UrgentPolicy::in_line) return true;
    if (options.urgent == UrgentPolicy::drop) {
      if (is_inline()) invalid();
      return !is_inline();
    }
    const std::uint64_t place = begin + tcp.urgent - 1;
    const auto after = std::lower_bound(half.urgent.begin(), half.urgent.end(), place);
    if (place < half.next || (after != half.urgent.end() && *after == place)) return true;
    if (half.urgent.size() == urgent_waiting_max) {
      packet.note(Anomaly::stream_reassembly_urgent_oob_limit_reached);
      if (is_inline()) invalid();
      return !is_inline();
    }
    half.urgent.insert(after, place);
    return true;
  }

  // Without the urgent bytes among them.
  void hand_over(Direction d, HalfStream& half, Bytes bytes, std::uint64_t offset) {
    while (!half.urgent.empty() && half.urgent.front() < offset + bytes.size()) {
      const auto before = static_cast<std::size_t>(half.urgent.front() - offset);
      half.urgent.erase(half.urgent.begin());
      if (before != 0) {
        stage.observer_->on_data(flow, d, bytes.first(before), offset - half.taken_out, packet);
      }
      ++half.taken_out;
      bytes = bytes.subspan(before + 1);
      offset += before + 1;
    }
    if (bytes.empty()) return;
    stage.observer_->on_data(flow, d, bytes, offset - half.taken_out, packet);
  }

  // Not inspected any more: only follows the numbers.
  static void skip(HalfStream& half, std::uint64_t end) noexcept {
    half.next = std::max(half.next, end);
  }

  // Bytes below `next` came again. False: the packet is refused.
  bool repeat(HalfStream& half, std::uint64_t begin, Bytes bytes) {
    const std::uint64_t end = std::min(begin + bytes.size(), half.next);
    const Bytes old = bytes.first(end - begin);
    counters.retransmitted_bytes += old.size();
    if (begin < half.gap_end && end > half.gap_begin) {
      if (end > half.acked) packet.note(Anomaly::stream_reassembly_segment_before_base_seq);
      ++counters.invalid;
      refuse(DropReason::stream_invalid);
      return !is_inline();
    }
    if (!half.flight.agrees(begin, old)) {
      ++counters.overlaps;
      packet.note(Anomaly::stream_reassembly_overlap_different_data);
      refuse(DropReason::stream_overlap);
      return !is_inline();
    }
    // In flight, but no longer known: it cannot be told whether it is the same.
    if (half.unverified && is_inline() && end > half.acked && begin < half.flight.begin()) {
      meet_memory_limit(half, 0);
      return !packet.dropped();
    }
    return true;
  }

  // No room for `more` bytes: which limit, and what its policy says.
  void meet_memory_limit(const HalfStream& half, std::size_t more) {
    ++counters.memory_limit;
    const bool own = half.memory() + more > options.flow_bytes_max;
    if (!own) packet.note(Anomaly::stream_reassembly_no_segment);
    stage.exceptions_.meet(
        own ? ExceptionTrigger::reassembly_memory : ExceptionTrigger::stream_memory, packet, &flow);
  }

  // New bytes at `offset` >= next.
  void arrive(Direction d, std::uint64_t offset, Bytes bytes) {
    HalfStream& half = slot.half(d);
    if (half.pending.empty() && offset == half.next) return deliver(d, bytes);
    if (!half.pending.agrees(offset, bytes)) {
      ++counters.overlaps;
      packet.note(Anomaly::stream_reassembly_overlap_different_data);
      refuse(DropReason::stream_overlap);
      if (is_inline()) return;
    } else if (offset == half.next) {
      deliver(d, bytes);
      return drain(d);
    }
    if (!has_room(half, offset, bytes.size())) {
      packet.note(Anomaly::stream_reassembly_insert_memcap);
      if (offset == half.next) {
        ++counters.memory_limit;
      } else {
        meet_memory_limit(half, half.pending.cost(offset, bytes.size()));
        if (packet.dropped()) return;
      }
      while (!half.pending.empty() && !half.closed && half.pending.begin() <= offset) {
        give_up_hole(d);
        drain(d);
      }
      // What is still before `offset` has no room to wait for.
      if (half.next < offset) give_up(d, offset);
      if (half.closed || half.next >= offset + bytes.size()) return;
      bytes = bytes.subspan(half.next - offset);
      deliver(d, bytes);
      return drain(d);
    }
    account(half, [&] { half.pending.insert(offset, bytes, half.policy); });
    if (half.acked >= half.pending.begin() && half.next < half.pending.begin()) give_up_hole(d);
    drain(d);
  }

  [[nodiscard]] bool has_room(const HalfStream& half, std::uint64_t offset,
                              std::size_t bytes) const noexcept {
    const std::size_t more = half.pending.cost(offset, bytes);
    return half.memory() + more <= options.flow_bytes_max &&
           counters.memory + more <= options.memory_max;
  }

  template <class Change>
  void account(HalfStream& half, Change change) {
    const std::size_t before = half.memory();
    change();
    counters.memory += half.memory();
    counters.memory -= before;
  }

  // Hands `bytes` over as the next ones.
  void deliver(Direction d, Bytes bytes) {
    HalfStream& half = slot.half(d);
    if (half.closed) return skip(half, half.next + bytes.size());
    const std::uint64_t left = options.stream_depth - std::min(options.stream_depth, half.next);
    const bool deep = bytes.size() >= left;
    const Bytes shown = deep ? bytes.first(left) : bytes;
    const std::uint64_t offset = half.next;
    half.next += bytes.size();
    counters.bytes += shown.size();
    account(half, [&] { keep_in_flight(half, offset, bytes); });
    if (!shown.empty()) hand_over(d, half, shown, offset);
    if (deep && !half.depth_reached) {
      half.depth_reached = true;
      ++counters.depth_reached;
      packet.note(Anomaly::stream_reassembly_depth_reached);
      stage.exceptions_.meet(ExceptionTrigger::stream_depth, packet, &flow);
      close(d, &packet);
      account(half, [&] {
        half.pending.clear();
        half.flight.restart(half.next);
      });
    }
    if (flow.encrypted && !slot.released) release();
  }

  void keep_in_flight(HalfStream& half, std::uint64_t offset, Bytes bytes) {
    const std::uint64_t end = offset + bytes.size();
    if (half.acked >= end) return half.flight.restart(end);
    const bool room = half.memory() + bytes.size() <= options.flow_bytes_max &&
                      counters.memory + bytes.size() <= options.memory_max;
    if (!room) {
      half.unverified = true;
      return half.flight.restart(end);
    }
    if (half.flight.size() == 0) half.flight.restart(offset);
    half.flight.append(bytes);
  }

  // Hands over what has become contiguous.
  void drain(Direction d) {
    HalfStream& half = slot.half(d);
    for (;;) {
      std::optional<PendingBytes::Piece> piece;
      account(half, [&] { piece = half.pending.take(half.next); });
      if (!piece) return;
      deliver(d, piece->view());
    }
  }

  // Not when nothing is pending.
  void give_up_hole(Direction d) {
    HalfStream& half = slot.half(d);
    if (half.pending.begin() > half.next) give_up(d, half.pending.begin());
  }

  void give_up(Direction d, std::uint64_t end) {
    HalfStream& half = slot.half(d);
    const std::uint64_t length = end - half.next;
    half.gap_begin = half.next;
    half.gap_end = half.next = end;
    std::erase_if(half.urgent, [&](std::uint64_t place) { return place < end; });
    account(half, [&] { half.flight.restart(end); });
    ++counters.gaps;
    counters.gap_bytes += length;
    half.gap_to_tell = flow.app != AppProto::unknown;
    if (!half.closed) stage.observer_->on_gap(flow, d, length, packet);
  }

  void finish(Direction d, const TcpHeader& tcp) {
    HalfStream& half = slot.half(d);
    // Before its SYN: nobody takes it, for there is no connection yet.
    if (!half.syn_seen && half.untouched() && slot.half(reverse(d)).syn_seen && !slot.handshake) {
      return;
    }
    const std::int64_t at = half.offset_of(tcp.seq) + packet.payload_length;
    if (at < static_cast<std::int64_t>(half.next)) return;
    if (!half.fin) half.fin = static_cast<std::uint64_t>(at);
  }

  void close(Direction d, PacketMeta* with) {
    HalfStream& half = slot.half(d);
    if (half.closed) return;
    half.closed = true;
    stage.observer_->on_close(flow, d, with);
  }

  // The packet that answers the responder's SYN may bring data already.
  void track_handshake(Direction d) const noexcept {
    if (flow.state != FlowState::fresh) return;
    const bool answered = slot.handshake && d == Direction::to_server &&
                          (packet.tcp_flags & (tcp_ack | tcp_syn)) == tcp_ack;
    if (!answered && !flow.midstream) return;
    flow.state = FlowState::established;
    flow.established = true;
  }

  void track_state(Direction d) {
    const auto ended = [](const HalfStream& half) { return half.fin && half.next >= *half.fin; };
    for (const Direction side : {d, reverse(d)}) {
      if (ended(slot.half(side))) close(side, &packet);
    }
    if (ended(slot.halves[0]) && ended(slot.halves[1])) flow.state = FlowState::closed;
  }

  // Nothing is kept any more.
  void forget() {
    for (HalfStream& half : slot.halves) {
      account(half, [&] {
        half.pending.clear();
        half.flight.restart(half.next);
      });
    }
  }

  void release() {
    slot.released = true;
    forget();
  }
};

StreamStage::StreamStage(const StreamOptions& options, StreamObserver& observer,
                         PacketRewriter* rewriter)
    : options_(options),
      exceptions_(options.exceptions.resolved(options.mode == SensorMode::inline_)),
      observer_(&observer),
      rewriter_(rewriter) {}

namespace {

// Where a segment's payload stands in its half of the stream; no half: what it says is not
// compared. A SYN's data is not: it stands at another number.
struct Placed {
  HalfStream* half = nullptr;
  std::uint64_t begin = 0;  // offset of its first byte that is in the stream
  std::size_t before = 0;   // its bytes that stand before the stream's first
};
Placed place_of(const PacketMeta& packet) noexcept {
  if (packet.flow == nullptr || packet.proto != IpProto::tcp || packet.payload_length == 0 ||
      packet.flow->stream == nullptr || (packet.tcp_flags & (tcp_syn | tcp_rst)) != 0) {
    return {};
  }
  auto& slot = static_cast<StreamSlot&>(*packet.flow->stream);
  HalfStream& half = slot.half(packet.direction);
  if (!half.base_known || slot.released || half.depth_reached) return {};
  const std::int64_t at = half.offset_of(tcp_header(packet).seq);
  if (at >= 0) return {&half, static_cast<std::uint64_t>(at), 0};
  return {&half, 0, std::min<std::size_t>(static_cast<std::size_t>(-at), packet.payload_length)};
}

}  // namespace

void StreamStage::settle(PacketMeta& packet) {
  if (rewriter_ == nullptr || options_.mode != SensorMode::inline_) return;
  const auto [half, begin, before] = place_of(packet);
  if (half == nullptr) return;
  const bool new_bytes = before == 0 && begin >= half->next;
  if (new_bytes && half->pending.empty()) return;
  const Bytes bytes = packet.payload().subspan(before);
  if (half->flight.agrees(begin, bytes) && half->pending.agrees(begin, bytes)) return;
  ++counters_.overlaps;
  packet.note(Anomaly::stream_reassembly_overlap_different_data);
  const std::span<std::byte> changed = rewriter_->open(packet);
  if (changed.empty()) return packet.refuse(Verdict::drop, DropReason::stream_overlap);
  half->flight.copy_to(begin, changed.subspan(before));
  half->pending.copy_to(begin, changed.subspan(before));
  rewriter_->close(packet);
}

void StreamStage::amend(const PacketMeta& packet) {
  const auto [half, begin, before] = place_of(packet);
  if (half != nullptr) half->flight.overwrite(begin, packet.payload().subspan(before));
}

// The first packet of a flow whose beginning was not seen.
void StreamStage::pick_up(PacketMeta& packet) {
  Flow& flow = *packet.flow;
  const bool first = flow.sides[0].packets + flow.sides[1].packets == 1;
  if (first) exceptions_.meet(ExceptionTrigger::midstream, packet, &flow);
}

void StreamStage::process(PacketMeta& packet) {
  if (packet.flow == nullptr || packet.proto != IpProto::tcp || packet.transport_offset == 0 ||
      packet.dropped()) {
    return;
  }
  Flow& flow = *packet.flow;
  const TcpHeader tcp = tcp_header(packet);
  const bool is_inline = options_.mode == SensorMode::inline_;
  // What came before its SYN was no connection.
  constexpr unsigned both = tcp_syn | tcp_ack;
  if (flow.midstream && flow.stream == nullptr && (packet.tcp_flags & both) == tcp_syn) {
    flow.midstream = false;
  }
  if (flow.midstream) pick_up(packet);
  if (flow.midstream && !options_.midstream) {
    TcpTracker{}.see(packet, tcp, is_inline);
    return;
  }
  if (packet.dropped() || flow.action == FlowAction::pass) return;
  if (flow.stream == nullptr) {
    auto made = std::make_unique<StreamSlot>();
    made->half(Direction::to_server).policy = options_.hosts.of(flow.tuple.dst);
    made->half(Direction::to_client).policy = options_.hosts.of(flow.tuple.src);
    flow.stream = std::move(made);
  }
  auto& slot = static_cast<StreamSlot&>(*flow.stream);
  if (!flow.midstream) slot.tracker.see(packet, tcp, is_inline, options_.midstream);
  // A reset or an end with a timestamp that the receiver refuses ends nothing.
  const bool ends = (packet.tcp_flags & (tcp_rst | tcp_fin)) != 0 && packet.payload_length == 0;
  if (ends && packet.has(Anomaly::stream_pkt_invalid_timestamp)) {
    ++counters_.invalid;
    return packet.refuse(Verdict::drop, DropReason::stream_invalid);
  }
  StreamWork{.stage = *this, .flow = flow, .slot = slot, .packet = packet}.run(tcp);
}

void StreamStage::end(Flow& flow) {
  if (flow.stream == nullptr) return;
  PacketMeta stand_in;
  stand_in.flow = &flow;
  stand_in.time = flow.last;
  stand_in.proto = IpProto::tcp;
  stand_in.ip_version = flow.tuple.src.is_v4() ? 4 : 6;
  StreamWork work{.stage = *this,
                  .flow = flow,
                  .slot = static_cast<StreamSlot&>(*flow.stream),
                  .packet = stand_in};
  for (const Direction d : {Direction::to_server, Direction::to_client}) {
    HalfStream& half = work.slot.half(d);
    stand_in.direction = d;
    // Inline, what waits behind a hole never reached its receiver.
    while (options_.mode == SensorMode::passive && !half.pending.empty() && !half.closed) {
      work.give_up_hole(d);
      work.drain(d);
    }
    work.close(d, nullptr);
  }
  work.forget();
}

std::uint64_t stream_offset(const Flow& flow, Direction direction) noexcept {
  if (flow.stream == nullptr) return 0;
  const HalfStream& half = static_cast<StreamSlot&>(*flow.stream).half(direction);
  if (!half.base_known) return 0;
  return half.next + (half.syn_seen ? 1U : 0U) + (half.fin && half.next >= *half.fin ? 1U : 0U);
}

}  // namespace menshen::sensor
