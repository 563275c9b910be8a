// What detection cannot be faster than, on a capture: reading it; finding its flows; one Hyperscan
// pass over its payload with the databases that the rules make.
//   bench_detect_floor read|flows|hyperscan FILE.pcap [FILE.rules]
// Prints CPU seconds of the process for that work alone.
#include <fmt/format.h>

#include <ctime>
#include <memory>
#include <string_view>

#include "sensor/capture/pcap_file.hpp"
#include "sensor/detect/compiled_rules.hpp"
#include "sensor/flow/flow_table.hpp"
#include "sensor/packet/decode.hpp"

namespace menshen::sensor {
namespace {

double cpu_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

struct Nobody final : FlowEndObserver {
  void on_flow_end(Flow&, FlowEnd) override {}
};

class Floor {
 public:
  Result<void> load(const char* rules) {
    RuleSetBuilder builder;
    MENSHEN_CHECK(builder.add_file(rules));
    rules_ = std::make_unique<RuleSet>(MENSHEN_TRY(std::move(builder).build()));
    for (const MultiPattern* database : rules_->compiled().databases()) {
      MENSHEN_CHECK(scratch_.prepare(*database));
    }
    return {};
  }

  Result<double> run(std::string_view what, const char* capture) {
    const auto port = MENSHEN_TRY(open_pcap_file(capture));
    Nobody nobody;
    FlowTable table({}, nobody, nullptr);
    DecodeCounters counters;
    const auto batch = std::make_unique<PacketBatch>();
    const double begin = cpu_seconds();
    while (true) {
      batch->clear();
      const auto received = MENSHEN_TRY(port->receive(*batch, std::chrono::milliseconds(0)));
      if (received == 0 && port->finished()) break;
      if (what == "read") continue;
      decode(*batch, {ChecksumMode::ignore}, counters);
      if (what == "flows") table.prepare(*batch);
      std::size_t index = 0;
      for (PacketMeta& packet : batch->packets()) {
        if (what == "flows") {
          if (!packet.dropped()) table.assign(packet, index++);
        } else {
          scan(packet);
        }
      }
    }
    return cpu_seconds() - begin;
  }

  [[nodiscard]] std::size_t hits() const { return hits_; }

 private:
  // The direction of rules that go both ways hardly differs; one is enough for a floor.
  void scan(const PacketMeta& packet) {
    if (packet.dropped() || packet.payload_length == 0) return;
    const CompiledRules& compiled = rules_->compiled();
    const std::size_t transport = transport_index(packet.proto);
    found_.clear();
    const auto look = [&](const PayloadGroup& group) {
      if (group.patterns) group.patterns->scan(packet.payload(), 0, scratch_, found_);
    };
    look(compiled.packet[transport][0]);
    if (packet.proto == IpProto::tcp) look(compiled.stream[0]);
    hits_ += found_.size();
  }

  std::unique_ptr<RuleSet> rules_;
  PatternScratch scratch_;
  std::vector<std::uint32_t> found_;
  std::size_t hits_ = 0;
};

int run(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "";
  const bool scans = what == "hyperscan";
  if ((what != "read" && what != "flows" && !scans) || argc != (scans ? 4 : 3)) {
    fmt::print(stderr, "usage: bench_detect_floor read|flows|hyperscan FILE.pcap [FILE.rules]\n");
    return 2;
  }
  Floor floor;
  if (scans) {
    if (const auto loaded = floor.load(argv[3]); !loaded) {
      fmt::print(stderr, "{}\n", loaded.error().text.en);
      return 1;
    }
  }
  const auto seconds = floor.run(what, argv[2]);
  if (!seconds) {
    fmt::print(stderr, "{}\n", seconds.error().text.en);
    return 1;
  }
  fmt::print("{:.6f}\n", *seconds);
  return 0;
}

}  // namespace
}  // namespace menshen::sensor

int main(int argc, char** argv) { return menshen::sensor::run(argc, argv); }
