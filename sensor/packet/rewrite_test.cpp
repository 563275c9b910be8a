#include "sensor/packet/rewrite.hpp"

#include <algorithm>
#include <catch2/catch.hpp>

#include "sensor/packet/checksum.hpp"
#include "sensor/packet/decode.hpp"
#include "tests/testkit/packet_builder.hpp"

namespace menshen::sensor {
namespace {

PacketMeta decoded(const testkit::Packet& frame) {
  PacketMeta packet;
  packet.data = frame.data();
  packet.length = static_cast<std::uint32_t>(frame.size());
  DecodeCounters counters;
  decode(packet, {ChecksumMode::verify}, counters);
  REQUIRE_FALSE(packet.dropped());
  return packet;
}

bool checksum_right(const PacketMeta& packet) {
  const std::size_t end = packet.payload_offset + packet.payload_length;
  return transport_checksum_ok(packet, packet.frame().first(end).subspan(packet.transport_offset));
}

void put(std::span<std::byte> payload, std::string_view text) {
  REQUIRE(payload.size() >= text.size());
  std::ranges::copy(as_bytes(text), payload.begin());
}

}  // namespace

TEST_CASE("a rewritten packet has the new bytes and a right checksum; the captured ones stay") {
  const auto ethernet = [] { return testkit::packet().ethernet(); };
  constexpr std::string_view text = "harmful";
  const testkit::Packet frame =
      GENERATE_COPY(ethernet().ipv4("10.0.0.1", "10.0.0.2").tcp(1, 2).payload(text).build(),
                    ethernet().ipv6("fd00::1", "fd00::2").tcp(1, 2).payload(text).build(),
                    ethernet().ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).payload(text).build(),
                    ethernet().ipv6("fd00::1", "fd00::2").udp(1, 2).payload(text).build(),
                    ethernet().ipv4("10.0.0.1", "10.0.0.2").icmp(8, 0).payload(text).build());
  // NOLINTNEXTLINE(performance-unnecessary-copy-initialization): compared with what it was
  const testkit::Packet before = frame;
  PacketMeta packet = decoded(frame);
  PacketRewriter rewriter;
  put(rewriter.open(packet), "pleased");
  rewriter.close(packet);
  CHECK(as_text(packet.payload()) == "pleased");
  CHECK(checksum_right(packet));
  CHECK(rewriter.rewrote(packet));
  CHECK(frame == before);
  put(rewriter.open(packet), "amazed!");
  rewriter.close(packet);
  CHECK(as_text(packet.payload()) == "amazed!");
  CHECK(checksum_right(packet));
}

TEST_CASE("a UDP datagram without a checksum stays without") {
  testkit::Packet frame =
      testkit::packet().ethernet().ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).payload("bad").build();
  frame[14 + 20 + 6] = frame[14 + 20 + 7] = std::byte{0};
  PacketMeta packet = decoded(frame);
  PacketRewriter rewriter;
  put(rewriter.open(packet), "new");
  rewriter.close(packet);
  CHECK(as_text(packet.payload()) == "new");
  CHECK(packet.data[14 + 20 + 6] == std::byte{0});
  CHECK(packet.data[14 + 20 + 7] == std::byte{0});
}

TEST_CASE("what comes out of another packet is not rewritten") {
  const testkit::Packet frame =
      testkit::packet().ethernet().ipv4("10.0.0.1", "10.0.0.2").tcp(1, 2).payload("bad").build();
  PacketMeta packet = decoded(frame);
  packet.derived = true;
  PacketRewriter rewriter;
  CHECK(rewriter.open(packet).empty());
  CHECK_FALSE(rewriter.rewrote(packet));
}

TEST_CASE("rewrite_bytes_max: full until the next batch") {
  const testkit::Packet frame = testkit::packet()
                                    .ethernet()
                                    .ipv4("10.0.0.1", "10.0.0.2")
                                    .tcp(1, 2)
                                    .payload(std::string(60'000, 'x'))
                                    .build();
  PacketRewriter rewriter;
  const std::size_t room = rewrite_bytes_max / frame.size();
  for (std::size_t i = 0; i < room; ++i) {
    PacketMeta packet = decoded(frame);
    REQUIRE_FALSE(rewriter.open(packet).empty());
  }
  PacketMeta late = decoded(frame);
  CHECK(rewriter.open(late).empty());
  CHECK(late.data == frame.data());
  rewriter.begin_batch();
  CHECK_FALSE(rewriter.open(late).empty());
}

}  // namespace menshen::sensor
