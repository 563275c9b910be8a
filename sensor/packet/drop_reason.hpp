// The names and help of DropReason: what counters, EVE records, `menshen status` and the manual
// print.
#pragma once

#include <string_view>

#include "base/lang.hpp"
#include "sensor/packet/packet.hpp"

namespace menshen::sensor {

struct DropReasonInfo {
  std::string_view name;  // stable, for programs: "stream_overlap"
  std::string_view zh;    // one sentence of help
  std::string_view en;

  [[nodiscard]] std::string_view in(Lang lang) const { return lang == Lang::zh ? zh : en; }
};

// Every value below DropReason::count has an entry.
[[nodiscard]] const DropReasonInfo& drop_reason_info(DropReason reason) noexcept;

// One counter a reason; owned by one worker.
class DropCounters {
 public:
  void count(DropReason reason) noexcept { ++counts_[static_cast<std::size_t>(reason)]; }
  [[nodiscard]] std::uint64_t of(DropReason reason) const noexcept {
    return counts_[static_cast<std::size_t>(reason)];
  }

 private:
  std::array<std::uint64_t, static_cast<std::size_t>(DropReason::count)> counts_{};
};

}  // namespace menshen::sensor
