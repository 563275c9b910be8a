// Time, passed in so that tests decide it (tests/testkit/fake_clock.hpp).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace menshen {

// Nanoseconds since 1970-01-01T00:00:00Z. Signed: differences are common.
using WallTime = std::int64_t;
// Nanoseconds since some fixed moment of this boot (CLOCK_BOOTTIME); never goes back.
using MonotonicTime = std::int64_t;

class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual WallTime wall() const noexcept = 0;
  [[nodiscard]] virtual MonotonicTime monotonic() const noexcept = 0;
};

// The system's clock. Thread-safe; lives as long as the program.
[[nodiscard]] const Clock& system_clock();

// RFC 3339 in UTC with microseconds: 2026-11-23T08:15:30.000123Z.
[[nodiscard]] std::string format_utc(WallTime time);
// RFC 3339 in the local zone, as EVE writes it: 2026-11-23T16:15:30.000123+0800.
[[nodiscard]] std::string format_local(WallTime time);
// RFC 3339 with any offset; or a date alone (its midnight, UTC).
[[nodiscard]] Result<WallTime> parse_time(std::string_view text);

}  // namespace menshen
