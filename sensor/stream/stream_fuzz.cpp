// Each six bytes of the input are a segment of one connection: direction, flags, sequence number,
// length, acknowledgement. The content of a byte is a function of its offset, or of the segment
// where a bit says so. Whatever comes: what is handed over is contiguous, and memory stays within
// its limit.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "sensor/flow/flow_table.hpp"
#include "sensor/packet/decode.hpp"
#include "sensor/stream/stream.hpp"

namespace {

using namespace menshen;
using namespace menshen::sensor;

struct Checker final : StreamObserver, FlowEndObserver {
  void on_data(Flow&, Direction d, Bytes bytes, std::uint64_t offset, PacketMeta&) override {
    std::uint64_t& next = at[static_cast<std::size_t>(d)];
    if (offset != next || bytes.empty() || closed[static_cast<std::size_t>(d)]) std::abort();
    next += bytes.size();
  }
  void on_gap(Flow&, Direction d, std::uint64_t length, PacketMeta&) override {
    if (length == 0 || closed[static_cast<std::size_t>(d)]) std::abort();
    at[static_cast<std::size_t>(d)] += length;
  }
  void on_close(Flow&, Direction d, PacketMeta*) override {
    if (std::exchange(closed[static_cast<std::size_t>(d)], true)) std::abort();
    // The same ports may begin anew once both are closed.
    if (closed[0] && closed[1]) {
      at = {};
      closed = {};
    }
  }
  void on_flow_end(Flow& flow, FlowEnd) override { stream->end(flow); }
  StreamStage* stream = nullptr;
  std::array<std::uint64_t, 2> at{};
  std::array<bool, 2> closed{};
};

std::vector<std::byte> segment(const std::uint8_t* in) {
  const bool client = (in[0] & 1U) != 0;
  const std::size_t length = in[3] & 0x3fU;
  const std::uint32_t seq = 0xffff'ff80U + in[2];
  const std::uint32_t ack = 0xffff'ff80U + in[4];
  std::vector<std::byte> frame(40 + length);
  const auto put = [&](std::size_t at, std::uint32_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) {
      frame[at + static_cast<std::size_t>(i)] =
          static_cast<std::byte>(value >> (8 * (bytes - 1 - i)) & 0xffU);
    }
  };
  put(0, 0x4500'0000U | static_cast<std::uint32_t>(frame.size()), 4);
  put(8, 0x4006'0000U, 4);
  put(client ? 12 : 16, 0x0a00'0001U, 4);
  put(client ? 16 : 12, 0x0a00'0002U, 4);
  put(client ? 20 : 22, 4000, 2);
  put(client ? 22 : 20, 80, 2);
  put(24, seq, 4);
  put(28, ack, 4);
  put(32, 0x5000U | in[1], 2);
  put(34, in[5] * 16U, 2);
  const bool other = (in[0] & 0x20U) != 0;
  for (std::size_t i = 0; i < length; ++i) {
    frame[40 + i] = static_cast<std::byte>(other ? in[5] : seq + i);
  }
  return frame;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  StreamOptions options;
  options.mode = (data[0] & 1U) != 0 ? SensorMode::inline_ : SensorMode::passive;
  options.midstream = (data[0] & 2U) != 0;
  options.stream_depth = (data[0] & 4U) != 0 ? 64 : 1U << 20U;
  options.flow_bytes_max = (data[0] & 8U) != 0 ? 256 : 1U << 20U;
  options.memory_max = (data[0] & 16U) != 0 ? 200 : 1U << 20U;
  Checker checker;
  StreamStage stream(options, checker);
  checker.stream = &stream;
  FlowTable table({}, checker, nullptr);
  for (std::size_t at = 1; at + 6 <= size; at += 6) {
    const std::vector<std::byte> frame = segment(data + at);
    PacketBatch batch;
    PacketMeta& packet = batch.push();
    packet.data = frame.data();
    packet.length = static_cast<std::uint32_t>(frame.size());
    packet.link = LinkType::raw_ip;
    DecodeCounters counters;
    decode(batch, {.checksums = ChecksumMode::ignore}, counters);
    table.prepare(batch);
    if (!packet.dropped()) table.assign(packet, 0);
    stream.process(packet);
    if (stream.counters().memory > options.memory_max) std::abort();
  }
  table.finish();
  if (stream.counters().memory != 0) std::abort();
  return 0;
}
