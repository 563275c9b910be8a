// The sensor's counters, each with its name and a line of help in both languages: `menshen status`,
// metrics.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/lang.hpp"
#include "sensor/flow/exceptions.hpp"
#include "sensor/packet/packet.hpp"

namespace menshen::sensor {

// Of one worker; sums over workers are the sensor's. Written by its worker only.
struct Counters {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  std::uint64_t dropped = 0;
  std::uint64_t rejected = 0;
  std::uint64_t rewritten = 0;  // passed with other bytes than they came with
  std::array<std::uint64_t, static_cast<std::size_t>(DropReason::count)> drops{};  // by reason
  ExceptionCounts exceptions{};  // by trigger and the policy that was applied
  std::uint64_t alerts = 0;
  std::uint64_t alerts_suppressed = 0;  // by threshold
  std::uint64_t flows = 0;              // seen
  std::uint64_t flows_active = 0;
  std::uint64_t transactions = 0;
  std::uint64_t rules_loaded = 0;
  std::uint64_t rules_rejected = 0;
  std::uint64_t stream_bytes = 0;         // memory held by reassembly
  std::uint64_t candidates = 0;           // rules evaluated after preselection
  std::uint64_t candidate_limit = 0;      // packets whose candidates reached the limit
  std::uint64_t inspection_limit = 0;     // evaluations cut off by the step limit
  std::uint64_t pcre_limit = 0;           // regular expressions cut off by their match limit
  std::uint64_t dataset_refused = 0;      // values that found no room in a rule's set
  std::uint64_t threshold_evictions = 0;  // threshold entries displaced from a full table
  std::uint64_t events = 0;

  Counters& operator+=(const Counters& other);
};

void add(ExceptionCounts& sum, const ExceptionCounts& more) noexcept;

struct CounterInfo {
  std::string_view name;  // "sensor.packets"
  std::uint64_t Counters::*member;
  Text help;
};
[[nodiscard]] std::span<const CounterInfo> counter_table();

}  // namespace menshen::sensor
