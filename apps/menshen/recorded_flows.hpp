// Flows that the appliance has on record: the sensor's event files (EVE JSON, also rotated and
// gzipped ones) and the audit store.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/control/message.hpp"
#include "base/clock.hpp"
#include "policy/model/replay.hpp"

namespace menshen::apps {

struct RecordedSources {
  std::filesystem::path events;  // the newest event file; empty: none
  std::filesystem::path store;   // the audit store's folder; empty: none
  WallTime since = 0;
};

// What was read, and what is known to be missing.
struct RecordedCoverage {
  std::uint64_t flows = 0;           // from event files
  std::uint64_t records = 0;         // from the store
  std::uint64_t not_understood = 0;  // lines of event files
  std::uint64_t uncounted = 0;       // dropped packets that were only counted (isolation.flood)
  WallTime first = 0;                // the earliest; 0: none
  std::vector<Text> missing;         // sources that could not be read
};

inline constexpr std::size_t event_files_max = 400;  // further ones are not read, and told
inline constexpr std::size_t event_line_bytes_max = 4U << 20U;  // a longer line is not understood

using RecordedSink = std::function<void(const policy::RecordedFlow&)>;

// Linear in what is there; memory is one line and one block of the store.
[[nodiscard]] RecordedCoverage read_recorded_flows(const RecordedSources& sources,
                                                   const RecordedSink& sink);

// A flow of one event; nothing for other events. `understood` is false where it is no event.
[[nodiscard]] std::optional<policy::RecordedFlow> flow_of_event(std::string_view line,
                                                                bool& understood);

}  // namespace menshen::apps
