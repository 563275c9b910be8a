// sensor_work: hostile packets through one stage, for counting what they cost.
//
//   sensor_work STAGE N
//
// Stages: decode, tunnel, defrag, flow, stream. N: packets of the stage's own worst kind. Prints
// what the stage holds at the end, so that nothing is optimised away. tests/linear runs it under
// callgrind at n, 2n, 4n, 8n.
#include <fmt/format.h>

#include <array>
#include <functional>
#include <map>
#include <random>
#include <string>

#include "sensor/flow/flow_table.hpp"
#include "sensor/packet/decode.hpp"
#include "sensor/packet/defrag.hpp"
#include "sensor/packet/tunnel.hpp"
#include "sensor/stream/stream.hpp"

namespace menshen::sensor {
namespace {

using Frame = std::vector<std::byte>;

void put16(Frame& frame, std::size_t at, std::uint32_t value) {
  frame[at] = static_cast<std::byte>(value >> 8U & 0xffU);
  frame[at + 1] = static_cast<std::byte>(value & 0xffU);
}

// A raw IPv4 packet with `length` zero bytes behind the header.
Frame ipv4(std::uint8_t protocol, std::size_t length, std::uint32_t source = 1) {
  Frame frame(20 + length);
  frame[0] = std::byte{0x45};
  put16(frame, 2, static_cast<std::uint32_t>(frame.size()));
  frame[9] = static_cast<std::byte>(protocol);
  put16(frame, 12, 0x0a00 | source >> 16U);
  put16(frame, 14, source);
  put16(frame, 18, 2);
  return frame;
}

PacketMeta& add(PacketBatch& batch, const Frame& frame, WallTime time) {
  batch.clear();
  PacketMeta& packet = batch.push();
  packet.data = frame.data();
  packet.length = static_cast<std::uint32_t>(frame.size());
  packet.link = LinkType::raw_ip;
  packet.time = time;
  DecodeCounters counters;
  decode(batch, {ChecksumMode::ignore}, counters);
  return packet;
}

// IPv4 options, TCP options and IPv6 extension headers as many as fit.
std::uint64_t run_decode(std::uint32_t n) {
  PacketBatch batch;
  Frame v4 = ipv4(6, 40 + 60);
  v4[0] = std::byte{0x4f};
  for (std::size_t i = 20; i < 60; i += 2) v4[i + 1] = std::byte{2};
  v4[60 + 12] = std::byte{0xf0};
  Frame v6(40 + 16 * 8 + 8);
  v6[0] = std::byte{0x60};
  put16(v6, 4, 16 * 8 + 8);
  std::uint64_t anomalies = 0;
  for (std::uint32_t i = 0; i < n; ++i) {
    anomalies += add(batch, (i & 1U) == 0 ? v4 : v6, 0).anomalies().size();
  }
  return anomalies;
}

// IP in IP, deeper than is opened.
std::uint64_t run_tunnel(std::uint32_t n) {
  PacketBatch batch;
  Frame nested;
  for (int depth = 0; depth < 40; ++depth) {
    Frame outer = ipv4(4, nested.size());
    std::copy(nested.begin(), nested.end(), outer.begin() + 20);
    nested = std::move(outer);
  }
  std::uint64_t tenant = 0;
  DecodeCounters counters;
  for (std::uint32_t i = 0; i < n; ++i) {
    PacketMeta packet = add(batch, nested, 0);
    for (std::size_t depth = 0; depth < tunnel_depth_max && packet.tunnel; ++depth) {
      const auto content = open_tunnel(packet);
      if (!content) break;
      tenant = tunnel_tenant(tenant, packet, *content);
      PacketMeta inner;
      inner.link = content->link;
      inner.data = content->bytes.data();
      inner.length = static_cast<std::uint32_t>(content->bytes.size());
      decode(inner, {ChecksumMode::ignore}, counters);
      packet = inner;
    }
  }
  return tenant;
}

// Parts of eight bytes in random order, overlapping, of datagrams that stay incomplete.
std::uint64_t run_defrag(std::uint32_t n) {
  PacketBatch batch;
  Defragmenter defrag(DefragOptions{});
  std::vector<std::byte> buffer;
  std::mt19937 random(1);
  Frame part = ipv4(17, 24);
  for (std::uint32_t i = 0; i < n; ++i) {
    const auto draw = static_cast<std::uint32_t>(random());
    put16(part, 4, draw % 64);
    put16(part, 6, 0x2000U | draw / 64 % 8000);
    static_cast<void>(defrag.add(add(batch, part, 0), 0, buffer));
  }
  return defrag.counters().pages;
}

struct Silent final : FlowEndObserver, StreamObserver {
  void on_flow_end(Flow& flow, FlowEnd) override {
    if (stream != nullptr) stream->end(flow);
  }
  void on_data(Flow&, Direction, Bytes bytes, std::uint64_t, PacketMeta&) override {
    seen += bytes.size();
  }
  void on_gap(Flow&, Direction, std::uint64_t, PacketMeta&) override {}
  void on_close(Flow&, Direction, PacketMeta*) override {}
  StreamStage* stream = nullptr;
  std::uint64_t seen = 0;
};

// Every packet a new flow.
std::uint64_t run_flow(std::uint32_t n) {
  PacketBatch batch;
  Silent silent;
  FlowTableOptions options;
  options.flows_max = 4096;
  FlowTable table(options, silent, nullptr);
  for (std::uint32_t i = 0; i < n; ++i) {
    const Frame frame = ipv4(17, 8, i);
    const WallTime time = WallTime{i} * 10'000'000;
    PacketMeta& packet = add(batch, frame, time);
    table.prepare(batch);
    if (!packet.dropped()) table.assign(packet, 0);
  }
  return table.counters().begun;
}

// One connection in one-byte segments that arrive in pairs the wrong way round, each twice.
std::uint64_t run_stream(std::uint32_t n) {
  PacketBatch batch;
  Silent silent;
  FlowTable table(FlowTableOptions{}, silent, nullptr);
  StreamOptions options;
  options.midstream = true;
  options.stream_depth = std::uint64_t{1} << 40U;
  StreamStage stream(options, silent);
  silent.stream = &stream;
  Frame segment = ipv4(6, 21);
  segment[20 + 12] = std::byte{0x50};
  segment[20 + 13] = static_cast<std::byte>(tcp_ack);
  for (std::uint32_t i = 0; i < n; ++i) {
    const std::uint32_t seq = (i / 2 ^ 1U) + 1;
    put16(segment, 24, seq >> 16U);
    put16(segment, 26, seq);
    PacketMeta& packet = add(batch, segment, i);
    table.prepare(batch);
    table.assign(packet, 0);
    stream.process(packet);
  }
  table.finish();
  return silent.seen;
}

int run(int argc, char** argv) {
  static const std::map<std::string, std::function<std::uint64_t(std::uint32_t)>> stages = {
      {"decode", run_decode},
      {"tunnel", run_tunnel},
      {"defrag", run_defrag},
      {"flow", run_flow},
      {"stream", run_stream}};
  const auto found = argc == 3 ? stages.find(argv[1]) : stages.end();
  if (found == stages.end()) {
    fmt::print(stderr, "sensor_work decode|tunnel|defrag|flow|stream N\n");
    return 2;
  }
  fmt::print("{}\n", found->second(static_cast<std::uint32_t>(std::stoul(argv[2]))));
  return 0;
}

}  // namespace
}  // namespace menshen::sensor

int main(int argc, char** argv) { return menshen::sensor::run(argc, argv); }
