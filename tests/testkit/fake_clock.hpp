// A clock that goes only when the test says so.
#pragma once

#include <atomic>
#include <chrono>

#include "base/clock.hpp"

namespace menshen::testkit {

// Thread-safe. Starts at 2026-11-23T08:00:00Z, one hour after boot.
class FakeClock final : public Clock {
 public:
  static constexpr WallTime start = 1'795'420'800'000'000'000;

  [[nodiscard]] WallTime wall() const noexcept override { return wall_; }
  [[nodiscard]] MonotonicTime monotonic() const noexcept override { return monotonic_; }

  void advance(std::chrono::nanoseconds by) noexcept {
    wall_ += by.count();
    monotonic_ += by.count();
  }
  // As NTP or an administrator does: also backwards, and the monotonic clock does not notice.
  void set_wall(WallTime time) noexcept { wall_ = time; }

 private:
  std::atomic<WallTime> wall_ = start;
  std::atomic<MonotonicTime> monotonic_ = 3'600'000'000'000;
};

}  // namespace menshen::testkit
