#include "sensor/detect/header_match.hpp"

#include <algorithm>

#include "sensor/detect/compiled_rules.hpp"
#include "sensor/detect/reputation.hpp"
#include "sensor/packet/checksum.hpp"
#include "sensor/packet/decode.hpp"
#include "sensor/packet/header_options.hpp"
#include "sensor/proto/spoken.hpp"
#include "sensor/stream/stream.hpp"

namespace menshen::sensor {
namespace {

using Value = std::optional<std::uint64_t>;
constexpr WallTime second_ns = 1'000'000'000;

Bytes from_offset(const PacketMeta& packet, std::size_t offset) noexcept {
  const auto frame = packet.frame();
  return offset <= frame.size() ? frame.subspan(offset) : Bytes{};
}

// Up to the payload: options and extension headers belong to the header.
Bytes network_header(const PacketMeta& packet) noexcept {
  const std::size_t end =
      packet.transport_offset != 0 ? packet.transport_offset : packet.payload_offset;
  if (end < packet.network_offset) return {};
  const auto bytes = from_offset(packet, packet.network_offset);
  return bytes.first(std::min(bytes.size(), end - packet.network_offset));
}

Bytes transport_header(const PacketMeta& packet) noexcept {
  if (packet.transport_offset == 0 || packet.payload_offset < packet.transport_offset) return {};
  const auto bytes = from_offset(packet, packet.transport_offset);
  return bytes.first(
      std::min<std::size_t>(bytes.size(), packet.payload_offset - packet.transport_offset));
}

std::uint64_t at8(Bytes bytes, std::size_t i) { return std::to_integer<std::uint64_t>(bytes[i]); }
std::uint64_t at16(Bytes bytes, std::size_t i) { return at8(bytes, i) << 8U | at8(bytes, i + 1); }

Value ip_field(Field field, const PacketMeta& packet) noexcept {
  const auto header = network_header(packet);
  const bool v4 = packet.ip_version == 4;
  if (packet.ip_version == 0 || header.size() < (v4 ? 20U : 40U)) return std::nullopt;
  switch (field) {
    case Field::ttl:
      return at8(header, v4 ? 8 : 7);
    case Field::tos:
      return v4 ? Value(at8(header, 1)) : std::nullopt;
    case Field::ip_id:
      return v4 ? Value(at16(header, 4)) : std::nullopt;
    case Field::fragoffset:
      if (v4) return at16(header, 6) & 0x1FFFU;
      // IPv6: of the fragment header, which then ends the headers (RFC 8200 4.5).
      if (!packet.fragment || header.size() < 48) return std::nullopt;
      return at16(header, header.size() - 6) >> 3U;
    case Field::ip_proto:
      return v4 ? at8(header, 9) : static_cast<std::uint64_t>(packet.proto);
    default:
      return std::nullopt;
  }
}

Value icmp_field(Field field, const PacketMeta& packet) noexcept {
  const bool icmp = packet.proto == IpProto::icmp || packet.proto == IpProto::icmpv6;
  const auto bytes = from_offset(packet, packet.transport_offset);
  if (!icmp || packet.transport_offset == 0 || bytes.size() < 8) return std::nullopt;
  const auto type = at8(bytes, 0);
  const bool v6 = packet.proto == IpProto::icmpv6;
  const bool echo =
      v6 ? type == 128 || type == 129 : type == 0 || type == 8 || (type >= 13 && type <= 18);
  switch (field) {
    case Field::itype:
      return type;
    case Field::icode:
      return at8(bytes, 1);
    case Field::icmp_id:
      return echo ? Value(at16(bytes, 4)) : std::nullopt;
    case Field::icmp_seq:
      return echo ? Value(at16(bytes, 6)) : std::nullopt;
    case Field::icmpv6_mtu:
      return v6 && type == 2 ? Value(at16(bytes, 4) << 16U | at16(bytes, 6)) : std::nullopt;
    default:
      return std::nullopt;
  }
}

// The value of an option of kind `wanted` with `size` value bytes (RFC 9293 3.1).
Value tcp_option(Bytes options, unsigned wanted, std::size_t size) noexcept {
  Value found;
  walk_header_options(options, [&](unsigned kind, const std::optional<Bytes>& value) {
    if (!value || kind != wanted || value->size() != size) return true;
    ByteReader reader(*value);
    found = size == 2 ? reader.be16() : reader.u8();
    return false;
  });
  return found;
}

Value tcp_field(Field field, const PacketMeta& packet) noexcept {
  if (packet.proto != IpProto::tcp || packet.transport_offset == 0) return std::nullopt;
  const TcpHeader header = tcp_header(packet);
  switch (field) {
    case Field::tcp_seq:
      return header.seq;
    case Field::tcp_ack:
      return header.ack;
    case Field::tcp_window:
      return header.window;
    case Field::tcp_mss:
      return tcp_option(header.options, 2, 2);
    case Field::tcp_wscale:
      return tcp_option(header.options, 3, 1);
    default:
      return std::nullopt;
  }
}

Value flow_field(Field field, const Flow& flow) noexcept {
  const auto& forth = flow.sides[0];
  const auto& back = flow.sides[1];
  switch (field) {
    case Field::flow_age:
      // Of whole seconds, as they stand in the records.
      return static_cast<std::uint64_t>(
          std::max<WallTime>(0, flow.last / second_ns - flow.first / second_ns));
    case Field::flow_packets_to_server:
      return forth.packets;
    case Field::flow_packets_to_client:
      return back.packets;
    case Field::flow_bytes_to_server:
      return forth.bytes;
    case Field::flow_bytes_to_client:
      return back.bytes;
    default:
      return std::nullopt;
  }
}

// "either" and "both" ask two numbers.
bool match_two(const NumberRange& range, std::uint64_t a, std::uint64_t b, bool both) {
  return both ? range.contains(a) && range.contains(b) : range.contains(a) || range.contains(b);
}

bool match_field(const FieldTest& test, const PacketView& view) noexcept {
  const PacketMeta& packet = *view.packet;
  const Field field = test.field;
  Value value;
  if (field == Field::dsize) {
    if (packet.ip_version == 0) return false;
    value = packet.payload_length;
    // "not of this size" speaks of payloads: an empty packet has none.
    if (test.range.kind == NumberRange::Kind::not_equal && value == 0U) return false;
  } else if (field == Field::vlan_layers) {
    value = packet.vlan_count;
  } else if (field == Field::igmp_type) {
    const Bytes message = header_bytes(BufferKind::igmp_header, packet);
    if (!message.empty()) value = at8(message, 0);
  } else if (field <= Field::tos || field == Field::fragoffset) {
    value = ip_field(field, packet);
  } else if (field <= Field::icmp_seq || field == Field::icmpv6_mtu) {
    value = icmp_field(field, packet);
  } else if (field <= Field::tcp_wscale) {
    value = tcp_field(field, packet);
  } else if (view.flow == nullptr) {
    return false;
  } else if (field == Field::flow_packets) {
    return match_two(test.range, view.flow->sides[0].packets, view.flow->sides[1].packets, false);
  } else if (field == Field::flow_bytes) {
    return match_two(test.range, view.flow->sides[0].bytes, view.flow->sides[1].bytes, false);
  } else if (field >= Field::stream_size_server) {
    const auto client = stream_offset(*view.flow, Direction::to_server);
    const auto server = stream_offset(*view.flow, Direction::to_client);
    if (view.flow->stream == nullptr) return false;
    if (field == Field::stream_size_server) return test.range.contains(server);
    if (field == Field::stream_size_client) return test.range.contains(client);
    return match_two(test.range, client, server, field == Field::stream_size_both);
  } else {
    value = flow_field(field, *view.flow);
  }
  return value && test.range.contains(*value);
}

template <class Mode>
bool match_bits(Mode mode, unsigned found, unsigned wanted) {
  switch (mode) {
    case Mode::exact:
      return found == wanted;
    case Mode::all:
      return (found & wanted) == wanted;
    case Mode::any:
      return (found & wanted) != 0;
    case Mode::none:
      return (found & wanted) != wanted;
  }
  return false;
}

bool has_option(Bytes options, unsigned wanted) noexcept {
  bool found = false;
  walk_header_options(options, [&](unsigned kind, const auto&) {
    found = kind == wanted;
    return !found;
  });
  return found;
}

bool match_option(const IpOptionTest& test, const PacketMeta& packet) noexcept {
  const auto header = network_header(packet);
  if (packet.ip_version != 4 || header.size() <= 20) return false;
  return test.any || has_option(header.subspan(20), test.option);
}

// What decode did not verify (checksums are ignored) is summed here.
bool checksum_right(const ChecksumTest& test, const PacketMeta& packet) noexcept {
  if (packet.has(test.wrong)) return false;
  if (packet.checksum_trusted) return true;
  if (test.wrong == Anomaly::ipv4_checksum) return checksum_ok(network_header(packet));
  const std::size_t begin =
      packet.transport_offset != 0 ? packet.transport_offset : packet.payload_offset;
  const std::size_t end = std::size_t{packet.payload_offset} + packet.payload_length;
  const Bytes segment = packet.frame().subspan(begin, end - begin);
  if (packet.proto == IpProto::igmp) return checksum_ok(segment);
  const bool unused = packet.proto == IpProto::udp && packet.ip_version == 4 &&
                      segment[6] == std::byte{0} && segment[7] == std::byte{0};
  return unused || transport_checksum_ok(packet, segment);
}

bool match_checksum(const ChecksumTest& test, const PacketMeta& packet) noexcept {
  struct Header {
    Anomaly wrong;
    std::uint8_t ip_version;
    IpProto proto;
  };
  static constexpr Header headers[] = {
      {Anomaly::tcpv4_checksum, 4, IpProto::tcp},     {Anomaly::tcpv6_checksum, 6, IpProto::tcp},
      {Anomaly::udpv4_checksum, 4, IpProto::udp},     {Anomaly::udpv6_checksum, 6, IpProto::udp},
      {Anomaly::icmpv4_checksum, 4, IpProto::icmp},   {Anomaly::igmp_checksum, 4, IpProto::igmp},
      {Anomaly::icmpv6_checksum, 6, IpProto::icmpv6},
  };
  if (packet.has(test.wrong)) return !test.valid;
  const bool there =
      test.wrong == Anomaly::ipv4_checksum
          ? packet.ip_version == 4
          : std::any_of(std::begin(headers), std::end(headers), [&](const Header& header) {
              return header.wrong == test.wrong && packet.ip_version == header.ip_version &&
                     packet.proto == header.proto && !packet.fragment &&
                     (packet.transport_offset != 0 || header.proto == IpProto::igmp);
            });
  return there && checksum_right(test, packet) == test.valid;
}

bool match_vlan(const VlanTest& test, const PacketMeta& packet) noexcept {
  const int count = packet.vlan_count;
  const auto begin = packet.vlan.begin();
  const auto contains = [&](std::uint16_t id) { return test.id.contains(id); };
  switch (test.layer) {
    case VlanTest::Layer::any:
      return std::any_of(begin, begin + count, contains);
    case VlanTest::Layer::all:
      return count != 0 && std::all_of(begin, begin + count, contains);
    case VlanTest::Layer::numbered:
      break;
  }
  const int at = test.number < 0 ? count + test.number : test.number;
  return at >= 0 && at < count && contains(packet.vlan[static_cast<std::size_t>(at)]);
}

bool match_ends(const Rule& rule, const IpAddr& src, std::uint16_t sport, const IpAddr& dst,
                std::uint16_t dport) {
  return rule.sport.contains(sport) && rule.dport.contains(dport) && rule.src.contains(src) &&
         rule.dst.contains(dst);
}

bool match_protocol(const Rule& rule, const PacketView& view) noexcept {
  using Transport = RuleProto::Transport;
  const IpProto proto = view.tuple.proto;
  if (rule.proto.ip_version != 0) {
    const bool v4 = view.tuple.src.is_v4();
    if (v4 != (rule.proto.ip_version == 4)) return false;
  }
  switch (rule.proto.transport) {
    case Transport::any:
      return true;
    case Transport::tcp:
      return proto == IpProto::tcp;
    case Transport::udp:
      return proto == IpProto::udp;
    case Transport::icmp:
      return proto == IpProto::icmp || proto == IpProto::icmpv6;
    case Transport::icmpv4:
      return proto == IpProto::icmp;
    case Transport::icmpv6:
      return proto == IpProto::icmpv6;
    case Transport::sctp:
      return proto == IpProto::sctp;
  }
  return false;
}

}  // namespace

bool match_tuple(const Rule& rule, const PacketView& view) noexcept {
  if (!match_protocol(rule, view)) return false;
  const FiveTuple& t = view.tuple;
  // Only TCP, UDP and SCTP have ports: a rule that asks for one means them.
  const bool ports = t.proto == IpProto::tcp || t.proto == IpProto::udp || t.proto == IpProto::sctp;
  if (!ports && !(rule.sport.is_any() && rule.dport.is_any())) return false;
  const std::uint16_t sport = ports ? t.sport : std::uint16_t{0};
  const std::uint16_t dport = ports ? t.dport : std::uint16_t{0};
  if (match_ends(rule, t.src, sport, t.dst, dport)) return true;
  return rule.bidirectional && match_ends(rule, t.dst, dport, t.src, sport);
}

bool match_both_ways(const Rule& rule, const PacketView& view) noexcept {
  const FiveTuple& t = view.tuple;
  const bool ports = t.proto == IpProto::tcp || t.proto == IpProto::udp || t.proto == IpProto::sctp;
  const std::uint16_t sport = ports ? t.sport : std::uint16_t{0};
  const std::uint16_t dport = ports ? t.dport : std::uint16_t{0};
  return match_ends(rule, t.src, sport, t.dst, dport) &&
         match_ends(rule, t.dst, dport, t.src, sport);
}

bool match_flow(const FlowTest& test, const PacketView& view) noexcept {
  const bool in_parts = view.packet->reassembled;
  if (in_parts ? test.no_fragments : test.only_fragments) return false;
  if (view.flow == nullptr) {
    return !test.present || test.state == FlowTest::State::stateless;
  }
  if (view.direction == Direction::to_server ? !test.to_server : !test.to_client) return false;
  if (test.state == FlowTest::State::established && !view.flow->established) return false;
  if (test.state == FlowTest::State::not_established && view.flow->established) return false;
  return true;
}

namespace {

bool match_reputation(const ReputationTest& test, const FiveTuple& tuple) noexcept {
  using Side = ReputationTest::Side;
  const auto holds = [&test](const IpAddr& address) {
    const auto score = test.reputation->find(address, test.category);
    if (!test.score) return score.has_value() == test.known;
    return score && test.score->contains(*score);
  };
  switch (test.side) {
    case Side::source:
      return holds(tuple.src);
    case Side::destination:
      return holds(tuple.dst);
    case Side::any:
      return holds(tuple.src) || holds(tuple.dst);
    case Side::both:
      return holds(tuple.src) && holds(tuple.dst);
  }
  return false;
}

bool match_app(const AppProtoTest& test, const PacketView& view) noexcept {
  using Side = AppProtoTest::Side;
  const Flow& flow = *view.flow;
  if (test.side == Side::original) {
    const AppProto before = spoken_before(flow);
    return before != AppProto::unknown && test.protos.contains(before) != test.negated;
  }
  if (test.proto == AppProto::unknown) return flow.app == AppProto::unknown;
  if (flow.app == AppProto::unknown) return false;  // undecided: neither it nor not it
  AppProto found = flow.app;
  if (test.side == Side::to_server) found = spoken_by(flow, Direction::to_server);
  if (test.side == Side::to_client) found = spoken_by(flow, Direction::to_client);
  if (test.side == Side::packet) found = spoken_by(flow, view.direction);
  return test.protos.contains(found) != test.negated;
}

}  // namespace

bool match_header(const HeaderTest& test, const PacketView& view) noexcept {
  const PacketMeta& packet = *view.packet;
  if (const auto* field = std::get_if<FieldTest>(&test)) return match_field(*field, view);
  if (const auto* flags = std::get_if<FlagsTest>(&test)) {
    if (packet.proto != IpProto::tcp || packet.transport_offset == 0) return false;
    const unsigned found = packet.tcp_flags & static_cast<unsigned>(~flags->ignored);
    return match_bits(flags->mode, found & 0xFFU, flags->flags);
  }
  if (const auto* bits = std::get_if<FragBitsTest>(&test)) {
    const auto header = network_header(packet);
    if (packet.ip_version != 4 || header.size() < 20) return false;
    return match_bits(bits->mode, static_cast<unsigned>(at8(header, 6) >> 5U), bits->bits);
  }
  if (std::holds_alternative<SameIpTest>(test)) return view.tuple.src == view.tuple.dst;
  if (const auto* option = std::get_if<IpOptionTest>(&test)) return match_option(*option, packet);
  if (const auto* noted = std::get_if<AnomalyTest>(&test)) return packet.has(noted->anomaly);
  if (const auto* sum = std::get_if<ChecksumTest>(&test)) return match_checksum(*sum, packet);
  if (const auto* vlan = std::get_if<VlanTest>(&test)) return match_vlan(*vlan, packet);
  if (const auto* known = std::get_if<ReputationTest>(&test)) {
    return packet.ip_version != 0 && match_reputation(*known, view.tuple);
  }
  if (view.flow == nullptr) return false;
  if (std::holds_alternative<MismatchTest>(test)) return shows_mismatch(*view.flow, packet);
  return match_app(std::get<AppProtoTest>(test), view);
}

bool asks_fast_open(const PacketMeta& packet) noexcept {
  constexpr unsigned fast_open = 34;
  return has_option(tcp_header(packet).options, fast_open);
}

Bytes header_bytes(BufferKind kind, const PacketMeta& packet) noexcept {
  switch (kind) {
    case BufferKind::tcp_header:
      return packet.proto == IpProto::tcp ? transport_header(packet) : Bytes{};
    case BufferKind::udp_header:
      return packet.proto == IpProto::udp ? transport_header(packet) : Bytes{};
    case BufferKind::ipv4_header:
      return packet.ip_version == 4 ? network_header(packet) : Bytes{};
    case BufferKind::ipv6_header:
      return packet.ip_version == 6 ? network_header(packet) : Bytes{};
    case BufferKind::icmpv4_header:
      return packet.proto == IpProto::icmp && packet.transport_offset != 0
                 ? from_offset(packet, packet.transport_offset)
                 : Bytes{};
    case BufferKind::icmpv6_header:
      return packet.proto == IpProto::icmpv6 && packet.transport_offset != 0
                 ? from_offset(packet, packet.transport_offset)
                 : Bytes{};
    case BufferKind::igmp_header:
      return packet.proto == IpProto::igmp && packet.ip_version == 4 && !packet.fragment
                 ? packet.payload()
                 : Bytes{};
    case BufferKind::ethernet_header:
      return packet.link == LinkType::ethernet
                 ? packet.frame().first(std::min<std::size_t>(packet.length, 14))
                 : Bytes{};
    case BufferKind::ip_source:
    case BufferKind::ip_destination: {
      const Bytes header = network_header(packet);
      const bool v4 = packet.ip_version == 4;
      const std::size_t bytes = v4 ? 4 : 16;
      const std::size_t at = (v4 ? 12U : 8U) + (kind == BufferKind::ip_source ? 0 : bytes);
      return packet.ip_version == 0 || at + bytes > header.size() ? Bytes{}
                                                                  : header.subspan(at, bytes);
    }
    default:
      return {};
  }
}

}  // namespace menshen::sensor
