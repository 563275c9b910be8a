#include "sensor/packet/decode.hpp"

#include <catch2/catch.hpp>

#include "sensor/packet/checksum.hpp"
#include "sensor/packet/drop_reason.hpp"
#include "sensor/packet/test_batch.hpp"

namespace menshen::sensor {

using testing::TestBatch;
using testkit::packet;
using testkit::Packet;

namespace {

// The record of one decoded frame; the batch keeps its bytes alive.
struct One {
  explicit One(Packet frame, LinkType link = LinkType::ethernet,
               ChecksumMode mode = ChecksumMode::verify) {
    batch.add(std::move(frame), link);
    counters = batch.decode(mode);
    meta = (*batch).packets()[0];
  }
  TestBatch batch;
  DecodeCounters counters;
  PacketMeta meta;
};

Packet web() {
  return packet()
      .ethernet()
      .ipv4("10.0.0.1", "10.0.0.2")
      .tcp(1234, 80)
      .seq(7)
      .ack(9)
      .flags("PA")
      .payload("GET /");
}

Packet bytes(std::initializer_list<int> values) {
  Packet out;
  for (const int value : values) out.push_back(static_cast<std::byte>(value));
  return out;
}

Packet join(const Packet& a, const Packet& b) {
  Packet out = a;
  out.insert(out.end(), b.begin(), b.end());
  return out;
}

Packet raw(const Packet& ethernet) { return {ethernet.begin() + 14, ethernet.end()}; }

}  // namespace

TEST_CASE("a TCP segment in Ethernet") {
  const One one(web());
  CHECK_FALSE(one.meta.dropped());
  CHECK(one.meta.ip_version == 4);
  CHECK(one.meta.proto == IpProto::tcp);
  CHECK(one.meta.network_offset == 14);
  CHECK(one.meta.transport_offset == 34);
  CHECK(as_text(one.meta.payload()) == "GET /");
  CHECK(one.meta.tcp_flags == (tcp_psh | tcp_ack));
  const FiveTuple tuple = tuple_of(one.meta);
  CHECK(tuple.src.to_string() == "10.0.0.1");
  CHECK(tuple.dst.to_string() == "10.0.0.2");
  CHECK(tuple.sport == 1234);
  CHECK(tuple.dport == 80);
  const TcpHeader tcp = tcp_header(one.meta);
  CHECK(tcp.seq == 7);
  CHECK(tcp.ack == 9);
}

TEST_CASE("every link type finds the same packet") {
  const Packet ip = raw(web());
  const Packet sll = join(bytes({0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0}), ip);
  const Packet sll2 = join(bytes({8, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0}), ip);
  const Packet null_little = join(bytes({2, 0, 0, 0}), ip);
  const Packet null_big = join(bytes({0, 0, 0, 2}), ip);
  const Packet ppp = join(bytes({0xff, 3, 0, 0x21}), ip);
  const Packet ppp_short = join(bytes({0, 0x21}), ip);
  const Packet hdlc = join(bytes({0x0f, 0, 8, 0}), ip);
  const auto [frame, link] =
      GENERATE_COPY(table<Packet, LinkType>({{ip, LinkType::raw_ip},
                                             {sll, LinkType::linux_sll},
                                             {sll2, LinkType::linux_sll2},
                                             {null_little, LinkType::null_loopback},
                                             {null_big, LinkType::null_loopback},
                                             {ppp, LinkType::ppp},
                                             {ppp_short, LinkType::ppp},
                                             {hdlc, LinkType::cisco_hdlc}}));
  const One one(frame, link);
  CHECK_FALSE(one.meta.dropped());
  CHECK(one.meta.ip_version == 4);
  CHECK(as_text(one.meta.payload()) == "GET /");
}

TEST_CASE("VLAN tags: three are recorded, a fourth is an anomaly") {
  const One single(packet().ethernet().vlan(5).ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).payload("x"));
  CHECK(single.meta.vlan_count == 1);
  CHECK(single.meta.vlan[0] == 5);
  const One both(packet()
                     .ethernet()
                     .vlan(7, 0x88a8)
                     .vlan(5)
                     .ipv4("10.0.0.1", "10.0.0.2")
                     .udp(1, 2)
                     .payload("x"));
  CHECK(both.meta.vlan_count == 2);
  CHECK(both.meta.vlan == std::array<std::uint16_t, 3>{7, 5, 0});
  const One three(packet()
                      .ethernet()
                      .vlan(7, 0x9100)
                      .vlan(6)
                      .vlan(5)
                      .ipv4("10.0.0.1", "10.0.0.2")
                      .udp(1, 2)
                      .payload("x"));
  CHECK(three.meta.vlan_count == 3);
  CHECK(three.meta.vlan == std::array<std::uint16_t, 3>{7, 6, 5});
  CHECK(as_text(three.meta.payload()) == "x");
  auto tagged = packet().ethernet();
  for (std::uint16_t id = 1; id <= 4; ++id) tagged.vlan(id);
  const One four(tagged.ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).payload("x"));
  CHECK(four.meta.dropped());
  CHECK(four.meta.has(Anomaly::vlan_too_many_layers));
}

TEST_CASE("IPv6 with extension headers") {
  // Hop by hop, destination options, then UDP: by hand, since the builder has no such layers.
  Packet frame = packet().ethernet().ipv6("fd00::1", "fd00::2").udp(53, 5353).payload("data");
  const Packet options = bytes({60, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0});
  frame.insert(frame.begin() + 54, options.begin(), options.end());
  frame[20] = std::byte{0};  // next header: hop by hop
  frame[19] = static_cast<std::byte>(std::to_integer<int>(frame[19]) + 16);
  const One one(frame);
  CHECK_FALSE(one.meta.dropped());
  CHECK(one.meta.ip_version == 6);
  CHECK(one.meta.proto == IpProto::udp);
  CHECK(one.meta.transport_offset == 70);
  CHECK(as_text(one.meta.payload()) == "data");
  CHECK(tuple_of(one.meta).src.to_string() == "fd00::1");

  SECTION("a chain without an end is malformed") {
    Packet endless = packet().ethernet().ipv6("fd00::1", "fd00::2").protocol(60).payload("");
    for (int i = 0; i < 40; ++i) endless = join(endless, bytes({60, 0, 1, 4, 0, 0, 0, 0}));
    endless[18] = std::byte{40 * 8 >> 8};
    endless[19] = std::byte{(40 * 8) & 0xff};
    const One end(endless);
    CHECK(end.meta.reason == DropReason::decode_malformed);
  }
}

TEST_CASE("IPv4 options are stepped over") {
  const auto nop = bytes({1, 1, 1, 0});
  const One one(
      packet().ethernet().ipv4("10.0.0.1", "10.0.0.2").options(nop).udp(1, 2).payload("x"));
  CHECK_FALSE(one.meta.dropped());
  CHECK(one.meta.transport_offset == 38);
  CHECK(as_text(one.meta.payload()) == "x");
}

TEST_CASE("fragments are marked and have no transport header") {
  const auto v6 = GENERATE(false, true);
  auto builder = packet().ethernet();
  if (v6) {
    builder.ipv6("fd00::1", "fd00::2");
  } else {
    builder.ipv4("10.0.0.1", "10.0.0.2");
  }
  const One one(builder.fragment(64, true).protocol(17).payload("fragment"));
  CHECK_FALSE(one.meta.dropped());
  CHECK(one.meta.fragment);
  CHECK(one.meta.transport_offset == 0);
  CHECK(as_text(one.meta.payload()) == "fragment");
  CHECK(tuple_of(one.meta).sport == 0);
  CHECK(one.counters.fragments == 1);
}

TEST_CASE("ICMP: type and code stand for ports") {
  const One one(packet().ethernet().ipv4("10.0.0.1", "10.0.0.2").icmp(8, 0, 1).payload("ping"));
  CHECK_FALSE(one.meta.dropped());
  CHECK(tuple_of(one.meta).sport == 8);
  CHECK(as_text(one.meta.payload()) == "ping");
  const One six(packet().ethernet().ipv6("fd00::1", "fd00::2").icmpv6(128, 0, 1).payload("ping"));
  CHECK_FALSE(six.meta.dropped());
  CHECK(tuple_of(six.meta).sport == 128);
}

TEST_CASE("link padding is no payload") {
  Packet frame = packet().ethernet().ipv4("10.0.0.1", "10.0.0.2").tcp(1, 2).flags("A");
  frame.resize(60);
  const One one(frame);
  CHECK(one.meta.payload_length == 0);
}

TEST_CASE("what is not IP passes without a flow") {
  Packet arp = packet().ethernet().payload("arp");
  arp[12] = std::byte{8};
  arp[13] = std::byte{6};
  const One one(arp);
  CHECK_FALSE(one.meta.dropped());
  CHECK(one.meta.ip_version == 0);
  CHECK(one.counters.not_ip == 1);
}

TEST_CASE("checksums: wrong ones drop, unless left to hardware or ignored") {
  const auto make = [](int layer) -> Packet {
    auto builder = packet().ethernet().ipv4("10.0.0.1", "10.0.0.2");
    if (layer == 0) builder.bad_checksum();
    if (layer == 1) builder.tcp(1, 2).bad_checksum().payload("x");
    if (layer == 2) builder.udp(1, 2).bad_checksum().payload("x");
    if (layer == 3) builder.icmp(8, 0).bad_checksum().payload("x");
    if (layer == 0) builder.udp(1, 2).payload("x");
    return builder;
  };
  const int layer = GENERATE(0, 1, 2, 3);
  CAPTURE(layer);
  CHECK(One(make(layer)).meta.reason == DropReason::checksum);
  CHECK_FALSE(One(make(layer), LinkType::ethernet, ChecksumMode::ignore).meta.dropped());
  TestBatch trusted;
  trusted.add(make(layer)).checksum_trusted = true;
  trusted.decode();
  CHECK_FALSE((*trusted).packets()[0].dropped());
}

TEST_CASE("a UDP datagram without a checksum is whole") {
  Packet frame = packet().ethernet().ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).payload("x");
  frame[40] = frame[41] = std::byte{0};
  CHECK_FALSE(One(frame).meta.dropped());
}

TEST_CASE("every shorter frame is refused, never read past") {
  const Packet whole = GENERATE(
      Packet(web()),
      Packet(packet().ethernet().vlan(3).ipv6("fd00::1", "fd00::2").udp(1, 2).payload("abc")));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CAPTURE(size);
    const One one(Packet(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)));
    CHECK(one.meta.reason == DropReason::decode_truncated);
    CHECK(one.meta.payload_length == 0);
  }
}

TEST_CASE("headers that contradict themselves are malformed") {
  Packet frame = web();
  SECTION("another IP version") { frame[14] = std::byte{0x65}; }
  SECTION("an IP header of 16 bytes") { frame[14] = std::byte{0x44}; }
  SECTION("a total length below the header") {
    frame[16] = std::byte{0};
    frame[17] = std::byte{19};
  }
  SECTION("a TCP header of 16 bytes") { frame[46] = std::byte{0x40}; }
  const One one(frame, LinkType::ethernet, ChecksumMode::ignore);
  CHECK(one.meta.reason == DropReason::decode_malformed);
}

TEST_CASE("a super-frame beyond 64 kB has no length in its header") {
  const std::string text(100'000, 'x');
  Packet frame = raw(packet().ethernet().ipv4("10.0.0.1", "10.0.0.2").tcp(1, 2).flags("A"));
  const Bytes body = as_bytes(text);
  frame.insert(frame.end(), body.begin(), body.end());
  frame[2] = frame[3] = std::byte{0};
  TestBatch batch;
  batch.add(frame, LinkType::raw_ip).checksum_trusted = true;
  batch.decode();
  CHECK_FALSE((*batch).packets()[0].dropped());
  CHECK((*batch).packets()[0].payload_length == text.size());
}

TEST_CASE("the checksum agrees with the obvious one at every length") {
  std::string text;
  for (int i = 0; i < 70; ++i) {
    const Bytes all = as_bytes(text);
    CHECK((0xffffU & ~checksum_sum(all)) == testkit::internet_checksum(all));
    text.push_back(static_cast<char>(i * 37 + 200));
  }
}

TEST_CASE("every drop reason is explained") {
  for (std::size_t i = 0; i < static_cast<std::size_t>(DropReason::count); ++i) {
    const DropReasonInfo& info = drop_reason_info(static_cast<DropReason>(i));
    CHECK_FALSE(info.name.empty());
    CHECK_FALSE(info.zh.empty());
    CHECK_FALSE(info.en.empty());
  }
  CHECK(drop_reason_info(DropReason::stream_overlap).name == "stream_overlap");
  CHECK(drop_reason_info(DropReason::rule_reject).name == "rule_reject");
}

}  // namespace menshen::sensor
