// Offline detection: a capture file through the engine, events to a file. Same engine as inline.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "sensor/detect/ruleset.hpp"
#include "sensor/engine/engine.hpp"

namespace menshen::sensor {

struct ReplayOptions {
  std::filesystem::path pcap;                // pcap or pcapng
  std::vector<std::filesystem::path> rules;  // none: traffic records only
  std::filesystem::path events;  // EVE JSON lines; empty: none written; "-": standard output
  RuleSetOptions rule_options;
  EngineOptions engine;  // inline_mode: verdicts as if inline (--ips)
};

struct ReplaySummary {
  std::shared_ptr<const RuleSet> rules;  // its diagnostics() name every rule that was not loaded
  Counters counters;
  std::uint64_t events_written = 0;
  std::optional<Error> damage;  // where the capture breaks off; what stood before it was inspected
  // Until the rules are ready, and for the packets: by the clock, and of all processors.
  std::chrono::nanoseconds load_time{};
  std::chrono::nanoseconds load_cpu{};
  std::chrono::nanoseconds replay_time{};
  std::chrono::nanoseconds replay_cpu{};
};

// Fails where a file cannot be read or written, or no rules could be compiled for a reason outside
// the rules.
[[nodiscard]] Result<ReplaySummary> replay(const ReplayOptions& options);

}  // namespace menshen::sensor
