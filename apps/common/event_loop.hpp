// A daemon's main loop: descriptors and timers, one thread, no callbacks from signal handlers.
//
// Not thread-safe. A callback may watch, unwatch and stop; it must not block for long, since
// everything else of the daemon waits meanwhile.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace menshen::apps {

class EventLoop {
 public:
  using OnEvent = std::function<void(short revents)>;

  explicit EventLoop(const Clock& clock = system_clock()) : clock_(clock) {}

  // `events` as in poll(2). A descriptor watched again gets the new events and callback.
  void watch(int fd, short events, OnEvent on_event);
  void unwatch(int fd);
  // First after one period. A period that is overrun is skipped, not caught up with.
  void every(std::chrono::milliseconds period, std::function<void()> on_time);

  // Until stop(). Fails where poll(2) does.
  [[nodiscard]] Result<void> run();
  // One round: waits at most `wait` for events, then runs what is due.
  [[nodiscard]] Result<void> run_once(std::chrono::milliseconds wait);
  void stop() noexcept { stopped_ = true; }

 private:
  struct Watch {
    short events = 0;
    OnEvent on_event;
  };
  struct Timer {
    MonotonicTime period = 0;
    MonotonicTime due = 0;
    std::function<void()> on_time;
  };
  [[nodiscard]] std::chrono::milliseconds until_next_timer() const;
  void run_timers();

  const Clock& clock_;
  std::map<int, Watch> watches_;
  std::vector<Timer> timers_;
  bool stopped_ = false;
};

}  // namespace menshen::apps
