// What rules remember of hosts: rates (threshold, detection_filter) and bits (xbits, hostbits).
// Both tables are bounded: where full, the entry that was made first gives way, which is counted.
// One worker's own.
#pragma once

#include <cstdint>
#include <deque>
#include <unordered_map>

#include "base/clock.hpp"
#include "base/ip.hpp"
#include "sensor/detect/rule.hpp"

namespace menshen::sensor {

struct HostKey {
  std::uint64_t name = 0;  // of the rule, or the bit
  IpAddr first;            // the tracked host; of a pair: both, in order
  IpAddr second;
  std::uint16_t attachment = 0;
  bool operator==(const HostKey&) const = default;
};
struct HostKeyHash {
  std::uint64_t seed = 0;
  [[nodiscard]] std::size_t operator()(const HostKey& key) const noexcept;
};

template <class Value>
class BoundedTable {
 public:
  BoundedTable(std::size_t entries_max, std::uint64_t seed)
      : entries_max_(entries_max), entries_(16, HostKeyHash{seed}) {}

  [[nodiscard]] Value* find(const HostKey& key) {
    const auto found = entries_.find(key);
    return found == entries_.end() ? nullptr : &found->second;
  }
  Value& make(const HostKey& key) {
    if (entries_.size() >= entries_max_ && !order_.empty()) {
      entries_.erase(order_.front());
      order_.pop_front();
      ++evictions_;
    }
    const auto [place, fresh] = entries_.try_emplace(key);
    if (fresh) order_.push_back(key);
    return place->second;
  }
  [[nodiscard]] std::uint64_t evictions() const noexcept { return evictions_; }
  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }

 private:
  std::size_t entries_max_;
  std::unordered_map<HostKey, Value, HostKeyHash> entries_;
  std::deque<HostKey> order_;
  std::uint64_t evictions_ = 0;
};

// One rate: how many times since when.
struct RateState {
  WallTime since = 0;
  std::uint32_t count = 0;
  std::uint64_t next = 0;  // backoff: the count that alerts next
};

// report: alert and act; silent: act only; ignore: as if the rule had not matched.
enum class RateAnswer : std::uint8_t { report, silent, ignore };
[[nodiscard]] RateAnswer count_match(const Threshold& threshold, RateState& state,
                                     WallTime now) noexcept;

[[nodiscard]] HostKey threshold_key(const Rule& rule, const Threshold& threshold,
                                    const FiveTuple& tuple) noexcept;
[[nodiscard]] HostKey bit_key(std::uint64_t name, BitScope scope, const FiveTuple& tuple) noexcept;

}  // namespace menshen::sensor
