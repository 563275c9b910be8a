// What it costs to find the headers, to put datagrams together and to open tunnels.
#define CATCH_CONFIG_ENABLE_BENCHMARKING
#include <catch2/catch.hpp>

#include "sensor/packet/decode.hpp"
#include "sensor/packet/defrag.hpp"
#include "sensor/packet/tunnel.hpp"
#include "tests/testkit/packet_builder.hpp"

using namespace menshen;
using namespace menshen::sensor;
using testkit::packet;
using testkit::Packet;

namespace {

// A full batch of one kind of frame.
struct Batch {
  explicit Batch(Packet one) : frame(std::move(one)), batch(std::make_unique<PacketBatch>()) {
    refill();
  }
  void refill() {
    batch->clear();
    while (!batch->full()) {
      PacketMeta& meta = batch->push();
      meta.data = frame.data();
      meta.length = static_cast<std::uint32_t>(frame.size());
    }
  }
  Packet frame;
  std::unique_ptr<PacketBatch> batch;
};

}  // namespace

TEST_CASE("decode, a batch of 256") {
  const std::string payload(1400, 'x');
  struct Row {
    const char* name;
    Packet frame;
    ChecksumMode mode;
  };
  const Row rows[] = {
      {"TCP, 1400 bytes, checksums left",
       packet().ethernet().ipv4("10.0.0.1", "10.0.0.2").tcp(1, 80).payload(payload),
       ChecksumMode::ignore},
      {"TCP, 1400 bytes, checksums verified",
       packet().ethernet().ipv4("10.0.0.1", "10.0.0.2").tcp(1, 80).payload(payload),
       ChecksumMode::verify},
      {"UDP in QinQ, 64 bytes",
       packet().ethernet().vlan(1).vlan(2).ipv4("10.0.0.1", "10.0.0.2").udp(1, 53).payload("query"),
       ChecksumMode::ignore},
      {"IPv6 TCP, 64 bytes", packet().ethernet().ipv6("fd00::1", "fd00::2").tcp(1, 80),
       ChecksumMode::ignore},
  };
  for (const Row& row : rows) {
    Batch batch(row.frame);
    DecodeCounters counters;
    BENCHMARK(row.name) {
      batch.refill();
      decode(*batch.batch, {row.mode}, counters);
      return counters.packets;
    };
    CHECK(counters.malformed + counters.truncated + counters.checksum == 0);
  }
}

TEST_CASE("a datagram of 64 kB in 1480-byte parts") {
  const Packet whole =
      packet().ethernet().ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).payload(std::string(64'000, 'x'));
  const std::vector<Packet> parts = testkit::fragments_of(whole, 1480);
  Defragmenter defrag(DefragOptions{});
  std::vector<std::byte> buffer;
  std::size_t completed = 0;
  BENCHMARK("put together") {
    PacketBatch batch;
    for (const Packet& part : parts) {
      PacketMeta& meta = batch.push();
      meta.data = part.data();
      meta.length = static_cast<std::uint32_t>(part.size());
    }
    DecodeCounters counters;
    decode(batch, {ChecksumMode::ignore}, counters);
    for (PacketMeta& meta : batch.packets()) completed += defrag.add(meta, 0, buffer) ? 1U : 0U;
    return completed;
  };
  CHECK(completed != 0);
}

TEST_CASE("a VXLAN tunnel") {
  Batch batch(packet()
                  .ethernet()
                  .ipv4("192.0.2.1", "192.0.2.2")
                  .udp(4000, vxlan_port)
                  .vxlan(7)
                  .ethernet()
                  .ipv4("10.0.0.1", "10.0.0.2")
                  .tcp(1, 80)
                  .payload("GET /"));
  DecodeCounters counters;
  decode(*batch.batch, {ChecksumMode::ignore}, counters);
  PacketMeta& outer = batch.batch->packets()[0];
  BENCHMARK("opened, its content decoded") {
    PacketMeta inner;
    const auto content = open_tunnel(outer);
    inner.link = content->link;
    inner.data = content->bytes.data();
    inner.length = static_cast<std::uint32_t>(content->bytes.size());
    decode(inner, {ChecksumMode::ignore}, counters);
    return tunnel_tenant(0, outer, *content) + inner.payload_length;
  };
}
