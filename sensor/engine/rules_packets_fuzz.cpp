// Rules against packets, through every stage and the event log: the input up to its first NUL is a
// rule file, the rest packets, each after two bytes of length (big-endian). The highest bit of a
// length says that the bytes are one TCP payload of a connection, the client's or (next bit) the
// server's; else they are a frame.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "base/byte_reader.hpp"
#include "sensor/engine/engine.hpp"
#include "sensor/engine/eve.hpp"
#include "tests/testkit/packet_builder.hpp"

namespace {

using namespace menshen;
using namespace menshen::sensor;

constexpr std::size_t rules_bytes_max = 4096;

struct Logger final : EventSink {
  void on_events(std::span<const Event> events) override {
    for (const Event& event : events) {
      if (to_eve_json(event).find('\n') != std::string::npos) std::abort();
    }
  }
};

// One connection between fixed ends, so that payloads reach streams and parsers.
class Speaker {
 public:
  explicit Speaker(Engine& engine) : engine_(&engine) {
    segment(true, "S", {});
    segment(false, "SA", {});
    segment(true, "A", {});
  }

  void segment(bool client, std::string_view flags, Bytes payload) {
    auto builder = testkit::packet().ethernet();
    if (client) {
      builder.ipv4("10.0.0.1", "192.168.0.1").tcp(40000, 80);
    } else {
      builder.ipv4("192.168.0.1", "10.0.0.1").tcp(80, 40000);
    }
    builder.seq(sent_[client ? 0 : 1]).flags(flags).window(65535);
    if (flags != "S") builder.ack(sent_[client ? 1 : 0]);
    if (!payload.empty()) builder.payload(payload);
    frame(builder.build());
    const bool counts = flags.find('S') != std::string_view::npos;
    sent_[client ? 0 : 1] += static_cast<std::uint32_t>(payload.size()) + (counts ? 1U : 0U);
  }
  void frame(Bytes bytes) {
    batch_->clear();
    PacketMeta& meta = batch_->push();
    meta.data = bytes.data();
    meta.length = static_cast<std::uint32_t>(bytes.size());
    meta.time = time_ += 1'000'000;
    engine_->process(*batch_);
  }

 private:
  Engine* engine_;
  std::unique_ptr<PacketBatch> batch_ = std::make_unique<PacketBatch>();
  std::array<std::uint32_t, 2> sent_{1000, 5000};
  WallTime time_ = 1'700'000'000'000'000'000;
};

void run(const std::shared_ptr<const RuleSet>& rules, Bytes packets, bool inline_mode) {
  Logger logger;
  EngineOptions options;
  options.inline_mode = inline_mode;
  options.stats_seconds = 1;
  options.flows_max = 64;
  Engine engine(options, rules, nullptr, logger);
  Speaker speaker(engine);
  while (packets.size() > 2) {
    const unsigned head =
        std::to_integer<unsigned>(packets[0]) << 8U | std::to_integer<unsigned>(packets[1]);
    packets = packets.subspan(2);
    const Bytes bytes = packets.first(std::min<std::size_t>(head & 0x3fffU, packets.size()));
    packets = packets.subspan(bytes.size());
    if ((head & 0x8000U) != 0) {
      speaker.segment((head & 0x4000U) == 0, "PA", bytes);
    } else {
      speaker.frame(bytes);
    }
  }
  engine.flush();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto* end = static_cast<const std::uint8_t*>(std::memchr(data, 0, size));
  if (end == nullptr || end - data > static_cast<std::ptrdiff_t>(rules_bytes_max)) return 0;
  const auto rule_bytes = static_cast<std::size_t>(end - data);
  RuleSetBuilder builder;
  builder.add_text("fuzz.rules", {reinterpret_cast<const char*>(data), rule_bytes});
  auto built = std::move(builder).build();
  if (!built) return 0;
  const auto rules = std::make_shared<const RuleSet>(std::move(*built));
  const Bytes packets = std::as_bytes(std::span(end + 1, size - rule_bytes - 1));
  for (const bool inline_mode : {false, true}) run(rules, packets, inline_mode);
  return 0;
}
