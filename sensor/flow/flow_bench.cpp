// What it costs to find a packet's flow: among few flows, that the cache holds, and among many,
// that it does not.
#define CATCH_CONFIG_ENABLE_BENCHMARKING
#include <catch2/catch.hpp>

#include "sensor/flow/flow_table.hpp"
#include "sensor/packet/decode.hpp"
#include "tests/testkit/packet_builder.hpp"

using namespace menshen;
using namespace menshen::sensor;
using testkit::packet;
using testkit::Packet;

namespace {

struct NoObserver final : FlowEndObserver {
  void on_flow_end(Flow&, FlowEnd) override {}
};

// Frames of `flows` flows, in an order that no prefetcher of the processor foresees.
class Traffic {
 public:
  explicit Traffic(std::uint32_t flows) : flows_(flows) {
    const Packet one = packet().ethernet().ipv4("10.0.0.1", "10.0.0.2").udp(1, 53).payload("x");
    bytes_ = one.size();
    for (std::size_t i = 0; i < batch_packets_max; ++i) {
      frames_.insert(frames_.end(), one.begin(), one.end());
    }
  }
  void fill(PacketBatch& batch) {
    batch.clear();
    for (std::size_t i = 0; i < batch_packets_max; ++i) {
      state_ = state_ * 6364136223846793005U + 1442695040888963407U;
      const auto flow = static_cast<std::uint32_t>(state_ >> 33U) % flows_;
      std::byte* frame = frames_.data() + i * bytes_;
      for (unsigned octet = 0; octet < 4; ++octet) {
        frame[26 + octet] = static_cast<std::byte>(flow >> 8U * octet & 0xffU);
      }
      PacketMeta& meta = batch.push();
      meta.data = frame;
      meta.length = static_cast<std::uint32_t>(bytes_);
      meta.time = 1'700'000'000'000'000'000;
    }
  }

 private:
  std::uint32_t flows_;
  std::uint64_t state_ = 1;
  std::size_t bytes_ = 0;
  std::vector<std::byte> frames_;
};

}  // namespace

TEST_CASE("decode and flow lookup, a batch of 256") {
  for (const std::uint32_t flows : {100U, 100'000U}) {
    NoObserver observer;
    FlowTable table(FlowTableOptions{}, observer, nullptr);
    Traffic traffic(flows);
    const auto batch = std::make_unique<PacketBatch>();
    DecodeCounters counters;
    BENCHMARK(std::to_string(flows) + " flows") {
      traffic.fill(*batch);
      decode(*batch, {ChecksumMode::ignore}, counters);
      table.prepare(*batch);
      std::size_t place = 0;
      for (PacketMeta& meta : batch->packets()) table.assign(meta, place++);
      return table.counters().live;
    };
    CHECK(table.counters().refused == 0);
    CHECK(table.counters().live <= flows);
    table.finish();
  }
}
