// EVE's `stats` object: the counters that mean the same under the names that Suricata gives them,
// what is this sensor's own under `menshen`.
#pragma once

#include <cstdint>
#include <string>

#include "sensor/engine/status.hpp"
#include "sensor/packet/decode.hpp"
#include "sensor/stream/stream.hpp"

namespace menshen::sensor {

struct Stats {
  std::uint64_t uptime_seconds = 0;
  Counters counters;
  DecodeCounters decode;
  StreamCounters stream;
  bool inline_mode = false;
};

// Sums since the beginning, not since the last record.
[[nodiscard]] std::string stats_eve(const Stats& stats);

}  // namespace menshen::sensor
