#include "sensor/proto/proto.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "sensor/proto/ftp_data.hpp"
#include "sensor/proto/parser.hpp"
#include "sensor/proto/registry.hpp"
#include "sensor/proto/spoken.hpp"

namespace menshen::sensor {

namespace {

constexpr std::size_t index(Direction direction) { return static_cast<std::size_t>(direction); }
// Tunnels in tunnels: after so many changes of protocol nobody is served any more.
constexpr std::uint8_t changes_max = 8;

struct ProtoSlot final : FlowSlot {
  std::unique_ptr<Parser> parser;
  std::array<std::vector<std::byte>, 2> held;  // while the protocol is not known
  std::array<bool, 2> undecided{true, true};   // more bytes of this direction may tell
  std::array<bool, 2> closed{};
  std::array<AppProto, 2> spoken{};  // by each side's own first bytes; unknown: these say nothing
  std::array<bool, 2> heard{};
  std::optional<std::uint32_t> mismatch;  // the packet that showed it
  std::uint8_t changes = 0;
  AppProto before = AppProto::unknown;  // the last change
};

// A packet for what happens without one.
PacketMeta stand_in(Flow& flow, Direction direction) {
  PacketMeta packet;
  packet.flow = &flow;
  packet.time = flow.last;
  packet.proto = flow.tuple.proto;
  packet.ip_version = flow.tuple.src.is_v4() ? 4 : 6;
  packet.direction = direction;
  return packet;
}

constexpr std::uint16_t dns_port = 53;

// Ports where other protocols use DNS's message format: mDNS, LLMNR, NetBIOS names. What goes to a
// DNS server is DNS whatever port it comes from: a client chooses its own.
bool is_dns_lookalike(const FiveTuple& tuple) {
  constexpr std::array<std::uint16_t, 3> ports{5353, 5355, 137};
  if (tuple.dport == dns_port) return false;
  return std::any_of(ports.begin(), ports.end(), [&](std::uint16_t port) {
    return tuple.sport == port || tuple.dport == port;
  });
}

}  // namespace

struct ProtoStage::State {
  ProtoLimits limits;
  ProtoCounters counters;
  TransactionObserver& observer;
  Files files{limits.files};
  ExpectedFlows expected;
  Exceptions exceptions{limits.exceptions};

  [[nodiscard]] ParserContext context() { return {limits, counters, observer, files, expected}; }

  static ProtoSlot& slot(Flow& flow) {
    if (flow.proto == nullptr) flow.proto = std::make_unique<ProtoSlot>();
    return static_cast<ProtoSlot&>(*flow.proto);
  }

  void give_up(Flow& flow) {
    flow.app = AppProto::failed;
    ++counters.failed_flows;
    flow.proto.reset();
  }

  void let_go(Flow& flow) {
    ProtoSlot& s = slot(flow);
    if (s.parser != nullptr) s.parser->end(flow);
    s.parser.reset();
  }

  void begin(Flow& flow, ProtoSlot& s, const Dissector& dissector) {
    flow.app = dissector.proto;
    ++counters.flows[static_cast<std::size_t>(flow.app)];
    s.parser = dissector.make(context());
  }

  // A connection that another one announced: nothing in it says what it is.
  void begin_expected(Flow& flow, ProtoSlot& s) {
    const auto found = expected.take(flow);
    if (!found) return;
    flow.app = AppProto::ftp_data;
    ++counters.flows[static_cast<std::size_t>(flow.app)];
    s.parser = make_ftp_data_parser(context(), *found);
  }

  // What the parser said of the bytes it was last fed.
  void follow(Flow& flow, Direction direction, ParserStatus status, Bytes bytes,
              PacketMeta& packet) {
    switch (status) {
      case ParserStatus::more:
        return;
      case ParserStatus::done:
        flow.encrypted = true;
        let_go(flow);
        return;
      case ParserStatus::broken:
        ++counters.parser_errors;
        let_go(flow);
        exceptions.meet(ExceptionTrigger::app_error, packet, &flow);
        return;
      case ParserStatus::limit:
        ++counters.limits_reached;
        let_go(flow);
        exceptions.meet(ExceptionTrigger::app_limit, packet, &flow);
        return;
      case ParserStatus::tunnel: {
        ProtoSlot& s = slot(flow);
        const std::size_t used = s.parser->consumed();
        const AppProto next = s.parser->next();
        let_go(flow);
        if (++s.changes > changes_max) return;
        s.before = std::exchange(flow.app, AppProto::unknown);
        s.undecided = {true, true};
        s.heard = {};
        s.spoken = {};
        const Bytes rest = bytes.subspan(std::min(used, bytes.size()));
        const auto agreed = std::ranges::find(stream_dissectors(), next, &Dissector::proto);
        if (next != AppProto::unknown && agreed != stream_dissectors().end()) {
          begin(flow, s, *agreed);
          if (!rest.empty()) parse(flow, direction, rest, packet);
          return;
        }
        if (!rest.empty()) probe(flow, direction, rest, packet);
        return;
      }
    }
  }

  // DNS over HTTP begins as HTTP/2.
  static AppProto begun_as(AppProto proto) {
    return proto == AppProto::doh2 ? AppProto::http2 : proto;
  }

  // The protocol is known by the other side: does this one speak it too?
  static void compare(const Flow& flow, ProtoSlot& s, Direction direction, Bytes bytes,
                      const PacketMeta& packet) {
    if (std::exchange(s.heard[index(direction)], true)) return;
    const auto* found = recognise(stream_dissectors(), flow.tuple, direction, bytes).dissector;
    if (found == nullptr) return;
    s.spoken[index(direction)] = found->proto;
    if (found->proto != begun_as(flow.app)) s.mismatch = packet.id;
  }

  void parse(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) {
    ProtoSlot& s = slot(flow);
    follow(flow, direction, s.parser->feed(flow, direction, bytes, packet), bytes, packet);
  }

  // The protocol is not known: adds `bytes` to what is held, and looks again.
  void probe(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) {
    ProtoSlot& s = slot(flow);
    std::vector<std::byte>& held = s.held[index(direction)];
    const bool first = held.empty();
    const std::size_t room =
        limits.probe_bytes - std::min<std::size_t>(held.size(), limits.probe_bytes);
    const Bytes kept = bytes.first(std::min(room, bytes.size()));
    const bool looked = s.undecided[index(direction)];
    const Dissector* found = nullptr;
    if (looked) {
      if (!first) held.insert(held.end(), kept.begin(), kept.end());
      const Recognised now =
          recognise(stream_dissectors(), flow.tuple, direction, first ? kept : Bytes(held));
      found = now.dissector;
      s.undecided[index(direction)] = now.more && kept.size() < room;
    }
    if (found == nullptr) {
      // The other direction may still tell what these bytes are.
      if (first || !looked) held.insert(held.end(), kept.begin(), kept.end());
      const bool hopeless = !s.undecided[index(direction)] &&
                            (!s.undecided[index(reverse(direction))] || kept.size() == room);
      if (hopeless) give_up(flow);
      return;
    }
    begin(flow, s, *found);
    s.spoken[index(direction)] = found->proto;
    s.heard[index(direction)] = true;
    // First what the other side said before, then these bytes: with what was held of them.
    const std::vector<std::byte> earlier = std::exchange(s.held[index(reverse(direction))], {});
    const std::vector<std::byte> mine = std::exchange(held, {});
    if (!earlier.empty()) compare(flow, s, reverse(direction), earlier, packet);
    const Bytes whole = first ? bytes : Bytes(mine);
    const Bytes rest = first ? Bytes{} : bytes.subspan(kept.size());
    // A response that came first still follows its request.
    const bool mine_first = direction == Direction::to_server;
    const auto feed = [&](Direction d, Bytes part) {
      if (!part.empty() && s.parser != nullptr) parse(flow, d, part, packet);
    };
    if (!mine_first) feed(reverse(direction), earlier);
    feed(direction, whole);
    feed(direction, rest);
    if (mine_first) feed(reverse(direction), earlier);
  }

  void close(Flow& flow, Direction direction, PacketMeta& packet) {
    ProtoSlot& s = slot(flow);
    if (s.closed[index(direction)]) return;
    s.closed[index(direction)] = true;
    if (s.parser != nullptr) s.parser->close(flow, direction, packet);
    if (s.closed[0] && s.closed[1]) let_go(flow);
  }
};

ProtoStage::ProtoStage(const ProtoLimits& limits, TransactionObserver& observer)
    : state_(new State{.limits = limits,
                       .counters = {},
                       .observer = observer,
                       .files = Files(limits.files),
                       .expected = {}}) {}

ProtoStage::~ProtoStage() = default;

void ProtoStage::on_stream_data(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) {
  if (flow.app == AppProto::failed || flow.encrypted || bytes.empty()) return;
  State& s = *state_;
  ProtoSlot& slot = State::slot(flow);
  if (slot.closed[0] && slot.closed[1]) {
    // The same ports began a new connection.
    flow.proto.reset();
    flow.app = AppProto::unknown;
  }
  ProtoSlot& current = State::slot(flow);
  if (flow.app == AppProto::unknown && current.held[0].empty() && current.held[1].empty() &&
      !s.expected.empty()) {
    s.begin_expected(flow, current);
  }
  if (current.parser != nullptr) {
    State::compare(flow, current, direction, bytes, packet);
    return s.parse(flow, direction, bytes, packet);
  }
  if (flow.app == AppProto::unknown) s.probe(flow, direction, bytes, packet);
}

void ProtoStage::on_stream_gap(Flow& flow, Direction direction, std::uint64_t length,
                               PacketMeta& packet) {
  if (flow.app == AppProto::failed || flow.encrypted) return;
  State& s = *state_;
  ProtoSlot& slot = State::slot(flow);
  if (slot.parser != nullptr) {
    s.follow(flow, direction, slot.parser->gap(flow, direction, length, packet), {}, packet);
  } else if (flow.app == AppProto::unknown) {
    // What was held no longer joins what follows; the other direction may still tell.
    slot.held[index(direction)].clear();
    slot.undecided[index(direction)] = false;
    if (!slot.undecided[index(reverse(direction))]) s.give_up(flow);
  }
}

void ProtoStage::on_stream_close(Flow& flow, Direction direction, PacketMeta* packet) {
  if (flow.proto == nullptr) return;
  PacketMeta without = stand_in(flow, direction);
  state_->close(flow, direction, packet == nullptr ? without : *packet);
}

void ProtoStage::on_udp(Flow& flow, PacketMeta& packet) {
  if (flow.app == AppProto::failed) return;
  State& s = *state_;
  const Bytes payload = packet.payload();
  if (flow.app == AppProto::unknown) {
    if (payload.empty()) return;
    FiveTuple asked = flow.tuple;
    if (asked.dport == dns_port) asked.sport = 0;
    const Dissector* found =
        recognise(datagram_dissectors(), asked, packet.direction, payload).dissector;
    if (found != nullptr && found->proto == AppProto::dns && is_dns_lookalike(flow.tuple)) {
      found = nullptr;
    }
    if (found == nullptr) return s.give_up(flow);
    s.begin(flow, State::slot(flow), *found);
  }
  ProtoSlot& slot = State::slot(flow);
  if (slot.parser == nullptr || payload.empty()) return;
  s.follow(flow, packet.direction, slot.parser->feed(flow, packet.direction, payload, packet),
           payload, packet);
}

void ProtoStage::on_close(Flow& flow) {
  if (flow.proto == nullptr) return;
  state_->let_go(flow);
  flow.proto.reset();
}

void ProtoStage::want_files(const FileWants& wants) { state_->files.want(wants); }

const FileCounters& ProtoStage::file_counters() const noexcept { return state_->files.counters(); }

const ProtoCounters& ProtoStage::counters() const noexcept { return state_->counters; }

const ExceptionCounts& ProtoStage::exceptions() const noexcept {
  return state_->exceptions.counts();
}

AppProto spoken_by(const Flow& flow, Direction side) noexcept {
  const auto* slot = static_cast<const ProtoSlot*>(flow.proto.get());
  const AppProto spoken = slot == nullptr ? AppProto::unknown : slot->spoken[index(side)];
  if (flow.app == AppProto::doh2) return flow.app;
  return spoken == AppProto::unknown ? flow.app : spoken;
}

AppProto spoken_before(const Flow& flow) noexcept {
  const auto* slot = static_cast<const ProtoSlot*>(flow.proto.get());
  if (flow.app == AppProto::doh2) return AppProto::http2;
  return slot == nullptr ? AppProto::unknown : slot->before;
}

bool may_change_protocol(const Flow& flow) noexcept {
  const auto* slot = static_cast<const ProtoSlot*>(flow.proto.get());
  return slot == nullptr || slot->changes < changes_max;
}

bool shows_mismatch(const Flow& flow, const PacketMeta& packet) noexcept {
  const auto* slot = static_cast<const ProtoSlot*>(flow.proto.get());
  return slot != nullptr && slot->mismatch == packet.id;
}

}  // namespace menshen::sensor
