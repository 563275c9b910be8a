#include "sensor/stream/tcp_tracker.hpp"
#include "sensor/packet/header_options.hpp"

#include <algorithm>

namespace menshen::sensor {

namespace {

// Sequence numbers compare modulo 2^32 (RFC 9293 3.4).
bool before(std::uint32_t a, std::uint32_t b) noexcept {
  return static_cast<std::int32_t>(a - b) < 0;
}

struct Options {
  std::uint32_t stamp = 0;
  std::uint32_t echo = 0;
  std::uint8_t shift = 0;
  bool scales = false;
  bool stamps = false;
};

Options options_of(Bytes bytes) noexcept {
  Options found;
  walk_header_options(bytes, [&](unsigned kind, const std::optional<Bytes>& option) {
    if (!option) return false;
    ByteReader value(*option);
    if (kind == 3 && option->size() == 1) {
      found.shift = std::min<std::uint8_t>(value.u8(), 14);
      found.scales = true;
    } else if (kind == 8 && option->size() == 8) {
      found.stamp = value.be32();
      found.echo = value.be32();
      found.stamps = true;
    }
    return true;
  });
  return found;
}

}  // namespace

struct TcpTracker::Segment {
  PacketMeta& packet;
  const TcpHeader& tcp;
  Options options;
  Direction direction;
  bool inline_mode;
  bool one_way;
  End& own;
  End& peer;

  [[nodiscard]] bool is(unsigned flags) const noexcept {
    return (packet.tcp_flags & flags) == flags;
  }
  [[nodiscard]] bool to_server() const noexcept { return direction == Direction::to_server; }
  [[nodiscard]] std::uint32_t end() const noexcept { return tcp.seq + packet.payload_length; }
  void note(Anomaly anomaly) const noexcept { packet.note(anomaly); }
};

void TcpTracker::see(PacketMeta& packet, const TcpHeader& tcp, bool inline_mode,
                     bool one_way) noexcept {
  const Direction d = packet.direction;
  const Segment segment{.packet = packet,
                        .tcp = tcp,
                        .options = options_of(tcp.options),
                        .direction = d,
                        .inline_mode = inline_mode,
                        .one_way = one_way,
                        .own = end_of(d),
                        .peer = end_of(reverse(d))};
  if (!segment.is(tcp_ack) && tcp.ack != 0) segment.note(Anomaly::stream_pkt_broken_ack);
  if (state_ != State::none && segment.is(tcp_rst) && packet.payload_length != 0) {
    segment.note(Anomaly::stream_rst_with_data);
  }
  if (segment.own.reset && !segment.is(tcp_rst)) {
    segment.own.reset = false;
    segment.note(Anomaly::stream_suspected_rst_inject);
  }
  switch (state_) {
    case State::none:
      return open(segment);
    case State::syn_sent:
      return handshake(segment);
    case State::syn_received:
      return answered(segment);
    case State::closed:
      if (segment.is(tcp_fin | tcp_syn)) segment.note(Anomaly::stream_fin_syn);
      return;
    default:
      break;
  }
  if (segment.is(tcp_rst)) return reset(segment);
  if (segment.is(tcp_syn)) return repeated_syn(segment);
  if (!stamp_fits(segment)) return;
  if (packet.payload_length != 0 && !before(segment.own.acked, segment.end())) {
    segment.note(Anomaly::stream_pkt_spurious_retransmission);
  }
  if (shrinks_window(segment)) return segment.note(Anomaly::stream_pkt_bad_window_update);
  state_ == State::established ? confirm(segment) : ending(segment);
}

void TcpTracker::open(const Segment& segment) noexcept {
  if (segment.is(tcp_rst)) return segment.note(Anomaly::stream_rst_but_no_session);
  if (segment.is(tcp_fin) && !segment.is(tcp_syn)) {
    return segment.note(Anomaly::stream_fin_but_no_session);
  }
  if (!segment.is(tcp_syn) || segment.is(tcp_ack)) return;
  End& own = segment.own;
  own.first = segment.tcp.seq;
  own.acked = own.first + 1;
  own.next = own.edge = own.acked + segment.packet.payload_length;  // fast open: RFC 7413
  own.stamp = segment.options.stamp;
  own.stamps = segment.options.stamps;
  own.shift = segment.options.shift;
  own.scales = segment.options.scales;
  own.window = segment.tcp.window;
  offered_ = segment.tcp.window;
  state_ = State::syn_sent;
}

// A SYN waits for its answer.
void TcpTracker::handshake(const Segment& segment) noexcept {
  End& own = segment.own;
  End& peer = segment.peer;
  // Only who has seen the SYN can echo its timestamp.
  if (!segment.to_server() && segment.options.echo != 0 && resends_ == 0 &&
      (!peer.stamps || segment.options.echo != peer.stamp)) {
    return segment.note(Anomaly::stream_pkt_invalid_timestamp);
  }
  if (segment.is(tcp_rst)) {
    // A client's own is its answer to what it does not take; it goes on waiting.
    const bool answers =
        !segment.to_server() && segment.is(tcp_ack) && segment.tcp.ack == peer.next;
    if (answers) {
      state_ = State::closed;
      own.reset = true;
    }
    return;
  }
  if (!segment.is(tcp_syn)) {
    if (segment.one_way && segment.to_server() && segment.is(tcp_ack) &&
        segment.tcp.seq != own.next) {
      segment.note(Anomaly::stream_3whs_async_wrong_seq);
    }
    return;
  }
  if (!segment.is(tcp_ack)) {
    if (!segment.to_server()) {
      both_syn_ = true;
      own.first = segment.tcp.seq;
      own.next = own.acked = own.first + 1;
    } else if (++resends_ > handshake_resends_max) {
      resends_ = handshake_resends_max;
      segment.note(Anomaly::stream_3whs_syn_flood);
    } else if (segment.tcp.seq != own.first) {
      own.first = segment.tcp.seq;
      own.next = own.acked = own.edge = own.first + 1;
      own.stamp = segment.options.stamp;
    }
    return;
  }
  if (both_syn_) {
    if (segment.tcp.ack != peer.next) {
      return segment.note(Anomaly::stream_4whs_synack_with_wrong_ack);
    }
    if (segment.tcp.seq != own.first) {
      return segment.note(Anomaly::stream_4whs_synack_with_wrong_syn);
    }
  } else if (segment.to_server()) {
    return segment.note(Anomaly::stream_3whs_synack_in_wrong_direction);
  } else if (before(segment.tcp.ack, peer.acked) || before(peer.next, segment.tcp.ack)) {
    return segment.note(Anomaly::stream_3whs_synack_with_wrong_ack);
  }
  own.first = segment.tcp.seq;
  own.next = own.acked = own.first + 1;
  own.edge = own.next + offered_;
  own.stamp = segment.options.stamp;
  own.stamps = segment.options.stamps && peer.stamps;
  peer.stamps = own.stamps;
  own.shift = segment.options.shift;
  own.scales = segment.options.scales && peer.scales;
  peer.scales = own.scales;
  peer.acked = segment.tcp.ack;
  peer.edge = segment.tcp.ack + segment.tcp.window;
  own.window = segment.tcp.window;
  state_ = State::syn_received;
}

// A SYN/ACK waits to be confirmed.
void TcpTracker::answered(const Segment& segment) noexcept {
  End& own = segment.own;
  End& peer = segment.peer;
  if (segment.is(tcp_rst)) return reset(segment);
  if (segment.is(tcp_syn | tcp_ack)) {
    if (segment.to_server()) {
      return segment.note(Anomaly::stream_3whs_synack_toserver_on_syn_recv);
    }
    if (segment.tcp.ack != peer.acked) {
      return segment.note(Anomaly::stream_3whs_synack_resend_with_diff_ack);
    }
    if (segment.tcp.seq == own.first) return;
    if (++answers_ > handshake_answers_max) {
      answers_ = handshake_answers_max;
      segment.note(Anomaly::stream_3whs_synack_flood);
    }
    return segment.note(Anomaly::stream_3whs_synack_resend_with_diff_seq);
  }
  if (segment.is(tcp_syn)) {
    if (!segment.to_server()) {
      segment.note(Anomaly::stream_3whs_syn_toclient_on_syn_recv);
    } else if (segment.tcp.seq != own.first) {
      segment.note(Anomaly::stream_3whs_syn_resend_diff_seq_on_syn_recv);
    }
    return;
  }
  if (!segment.is(tcp_ack) || !stamp_fits(segment)) return;
  if (!segment.to_server()) {
    const bool data = segment.packet.payload_length != 0 && segment.tcp.seq == own.next &&
                      segment.tcp.ack == peer.acked;
    if (both_syn_) {
      if (segment.tcp.seq != own.next) return segment.note(Anomaly::stream_4whs_wrong_seq);
      if (!ack_fits(segment)) return segment.note(Anomaly::stream_4whs_invalid_ack);
    }
    if (!data && !both_syn_) return segment.note(Anomaly::stream_3whs_ack_in_wrong_dir);
    if (data && segment.inline_mode) segment.note(Anomaly::stream_3whs_ack_data_inject);
    return advance(segment);
  }
  const bool right_seq = segment.tcp.seq == own.next || segment.tcp.seq == own.acked;
  const bool right_ack =
      !before(segment.tcp.ack, peer.first + 1) && !before(peer.next, segment.tcp.ack);
  if (right_seq && !right_ack) {
    return segment.note(Anomaly::stream_3whs_right_seq_wrong_ack_evasion);
  }
  if (!right_ack) return segment.note(Anomaly::stream_3whs_wrong_seq_wrong_ack);
  state_ = State::established;
  confirm(segment);
}

void TcpTracker::repeated_syn(const Segment& segment) noexcept {
  if (state_ != State::established) return segment.note(Anomaly::stream_shutdown_syn_resend);
  if (!segment.is(tcp_ack)) {
    segment.note(!segment.to_server()                   ? Anomaly::stream_est_syn_toclient
                 : segment.tcp.seq != segment.own.first ? Anomaly::stream_est_syn_resend_diff_seq
                                                        : Anomaly::stream_est_syn_resend);
    return;
  }
  if (segment.to_server()) return segment.note(Anomaly::stream_est_synack_toserver);
  if (segment.tcp.ack != segment.peer.first + 1) {
    return segment.note(Anomaly::stream_est_synack_resend_with_diff_ack);
  }
  if (segment.tcp.seq != segment.own.first) {
    return segment.note(Anomaly::stream_est_synack_resend_with_diff_seq);
  }
  if (confirmed_) segment.note(Anomaly::stream_est_synack_resend);
}

void TcpTracker::reset(const Segment& segment) noexcept {
  if (!stamp_fits(segment)) return;
  if (segment.is(tcp_ack) && segment.tcp.ack != 0 && !ack_fits(segment)) {
    return segment.note(Anomaly::stream_rst_invalid_ack);
  }
  const bool in_window =
      !before(segment.tcp.seq, segment.own.acked) && !before(segment.own.edge, segment.tcp.seq);
  if (segment.tcp.seq != segment.own.next && !in_window) return;
  state_ = State::closed;
  segment.own.reset = true;
}

// A window is taken back while both numbers run ahead of the connection.
bool TcpTracker::shrinks_window(const Segment& segment) noexcept {
  const End& own = segment.own;
  if (segment.is(tcp_fin) || !segment.is(tcp_ack)) return false;
  const std::uint32_t window = std::uint32_t{segment.tcp.window} << (own.scales ? own.shift : 0U);
  return window < own.window && own.window - window > segment.packet.payload_length &&
         before(segment.peer.next, segment.tcp.ack) && before(own.next, segment.tcp.seq);
}

// One byte into a window that is closed (RFC 9293 3.8.6.1): it belongs to the stream once it is
// acknowledged.
bool TcpTracker::probes(const Segment& segment) noexcept {
  if (segment.packet.payload_length != 1 || segment.tcp.seq != segment.own.next ||
      segment.peer.window != 0 || segment.own.edge != segment.own.next) {
    return false;
  }
  segment.own.probed = true;
  return true;
}

// PAWS (RFC 7323 5.3), where both ends stamp.
bool TcpTracker::stamp_fits(const Segment& segment) noexcept {
  if (!segment.own.stamps || !segment.options.stamps) return true;
  const auto step = static_cast<std::int32_t>(segment.options.stamp - segment.own.stamp);
  if (step < -1) {
    segment.note(Anomaly::stream_pkt_invalid_timestamp);
    return false;
  }
  if (step > 0 && !before(segment.own.next, segment.tcp.seq)) {
    segment.own.stamp = segment.options.stamp;
  }
  return true;
}

bool TcpTracker::ack_fits(const Segment& segment) noexcept {
  const End& peer = segment.peer;
  const std::uint32_t most = before(peer.edge, peer.next) ? peer.next : peer.edge;
  if (!before(most, segment.tcp.ack) && !before(segment.tcp.ack, peer.first)) return true;
  segment.note(Anomaly::stream_pkt_invalid_ack);
  return false;
}

// In the middle of the connection.
void TcpTracker::confirm(const Segment& segment) noexcept {
  const End& own = segment.own;
  const bool fin = segment.is(tcp_fin);
  if (segment.is(tcp_ack) && segment.peer.probed && segment.tcp.ack == segment.peer.next + 1) {
    segment.peer.probed = false;
    segment.peer.next = segment.tcp.ack;
    segment.note(Anomaly::stream_est_ack_zwp_data);
  } else if (segment.is(tcp_ack) && !ack_fits(segment)) {
    return segment.note(fin ? Anomaly::stream_fin_invalid_ack : Anomaly::stream_est_invalid_ack);
  }
  if (fin && before(own.edge, segment.tcp.seq)) {
    return segment.note(Anomaly::stream_fin_out_of_window);
  }
  if (probes(segment)) return;
  if (segment.packet.payload_length != 0) {
    if (before(segment.end(), own.acked)) {
      return segment.note(Anomaly::stream_est_pkt_before_last_ack);
    }
    if (before(own.edge, segment.end())) {
      segment.note(Anomaly::stream_est_packet_out_of_window);
      return;
    }
  }
  advance(segment);
  if (fin) finish(segment);
}

// One side or both have said that they end.
void TcpTracker::ending(const Segment& segment) noexcept {
  struct Names {
    State state;
    Anomaly ack;
    Anomaly fin;
    Anomaly invalid;
  };
  static constexpr Names names[] = {
      {State::close_wait, Anomaly::stream_closewait_ack_out_of_window,
       Anomaly::stream_closewait_fin_out_of_window, Anomaly::stream_closewait_invalid_ack},
      {State::last_ack, Anomaly::stream_lastack_ack_wrong_seq,
       Anomaly::stream_lastack_ack_wrong_seq, Anomaly::stream_lastack_invalid_ack},
      {State::fin_wait1, Anomaly::stream_fin1_ack_wrong_seq, Anomaly::stream_fin1_fin_wrong_seq,
       Anomaly::stream_fin1_invalid_ack},
      {State::fin_wait2, Anomaly::stream_fin2_ack_wrong_seq, Anomaly::stream_fin2_fin_wrong_seq,
       Anomaly::stream_fin2_invalid_ack},
      {State::closing, Anomaly::stream_closing_ack_wrong_seq, Anomaly::stream_closing_ack_wrong_seq,
       Anomaly::stream_closing_invalid_ack},
      {State::time_wait, Anomaly::stream_timewait_ack_wrong_seq,
       Anomaly::stream_timewait_ack_wrong_seq, Anomaly::stream_timewait_invalid_ack},
  };
  const auto found = std::find_if(std::begin(names), std::end(names),
                                  [this](const Names& row) { return row.state == state_; });
  if (found == std::end(names)) return;
  End& own = segment.own;
  const bool data = segment.packet.payload_length != 0;
  const bool repeats = data && !before(own.next, segment.end());
  if (repeats && before(own.acked, segment.end()) && state_ == State::fin_wait1) {
    segment.note(Anomaly::stream_pkt_retransmission);
  } else if (data && state_ == State::close_wait && before(segment.end(), own.acked)) {
    segment.note(Anomaly::stream_closewait_pkt_before_last_ack);
  } else if (before(own.edge, segment.tcp.seq) && own.next != segment.tcp.seq) {
    return segment.note(segment.is(tcp_fin) ? found->fin : found->ack);
  }
  if (segment.is(tcp_ack) && !ack_fits(segment)) return segment.note(found->invalid);
  advance(segment);
  if (segment.is(tcp_fin)) return finish(segment);
  const End& server = end_of(Direction::to_client);
  const bool server_ended = !segment.to_server() || server.acked == server.next;
  if (state_ == State::fin_wait1 && segment.to_server() && server_ended) {
    state_ = State::fin_wait2;
  } else if (state_ == State::closing && server_ended) {
    state_ = State::time_wait;
  } else if (state_ == State::last_ack && segment.to_server() && server_ended) {
    state_ = State::closed;
  }
}

// Numbers and windows go on by what this segment says.
void TcpTracker::advance(const Segment& segment) noexcept {
  End& own = segment.own;
  End& peer = segment.peer;
  if (before(own.next, segment.end())) own.next = segment.end();
  if (!segment.is(tcp_ack)) return;
  // From here on the server knows that its SYN/ACK has arrived.
  if (!segment.to_server()) confirmed_ = true;
  if (before(peer.acked, segment.tcp.ack)) peer.acked = segment.tcp.ack;
  const std::uint32_t window = std::uint32_t{segment.tcp.window} << (own.scales ? own.shift : 0U);
  own.window = window;
  const std::uint32_t edge = segment.tcp.ack + window;
  if (before(peer.edge, edge)) peer.edge = edge;
}

void TcpTracker::finish(const Segment& segment) noexcept {
  End& own = segment.own;
  if (own.next == segment.end()) own.next = segment.end() + 1;
  switch (state_) {
    case State::established:
      state_ = segment.to_server() ? State::close_wait : State::fin_wait1;
      return;
    case State::close_wait:
      if (!segment.to_server()) state_ = State::last_ack;
      return;
    case State::fin_wait1:
      if (segment.to_server()) {
        const bool both = segment.peer.acked == segment.peer.next;
        state_ = both ? State::time_wait : State::closing;
      }
      return;
    case State::fin_wait2:
      if (segment.to_server()) state_ = State::time_wait;
      return;
    default:
      return;
  }
}

}  // namespace menshen::sensor
