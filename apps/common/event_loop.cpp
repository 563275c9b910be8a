#include "apps/common/event_loop.hpp"

#include <poll.h>

#include <algorithm>
#include <cerrno>

namespace menshen::apps {
namespace {

constexpr std::chrono::milliseconds wait_longest{60'000};
constexpr MonotonicTime ns_per_ms = 1'000'000;

}  // namespace

void EventLoop::watch(int fd, short events, OnEvent on_event) {
  watches_[fd] = Watch{events, std::move(on_event)};
}

void EventLoop::unwatch(int fd) { watches_.erase(fd); }

void EventLoop::every(std::chrono::milliseconds period, std::function<void()> on_time) {
  const MonotonicTime ns = period.count() * ns_per_ms;
  timers_.push_back({ns, clock_.monotonic() + ns, std::move(on_time)});
}

std::chrono::milliseconds EventLoop::until_next_timer() const {
  std::chrono::milliseconds wait = wait_longest;
  const MonotonicTime now = clock_.monotonic();
  for (const Timer& timer : timers_) {
    // Rounded up: waking a fraction early would spin until the timer is due.
    const MonotonicTime left = std::max<MonotonicTime>(0, timer.due - now);
    wait = std::min(wait, std::chrono::milliseconds((left + ns_per_ms - 1) / ns_per_ms));
  }
  return wait;
}

void EventLoop::run_timers() {
  for (std::size_t i = 0; i < timers_.size() && !stopped_; ++i) {
    const MonotonicTime now = clock_.monotonic();
    if (timers_[i].due > now) continue;
    timers_[i].due = now + timers_[i].period;
    const auto on_time = timers_[i].on_time;  // a callback may add timers
    on_time();
  }
}

Result<void> EventLoop::run_once(std::chrono::milliseconds wait) {
  std::vector<pollfd> fds;
  fds.reserve(watches_.size());
  for (const auto& [fd, watch] : watches_) fds.push_back({fd, watch.events, 0});
  const auto timeout = std::min(wait, until_next_timer());
  const int ready = ::poll(fds.data(), fds.size(), static_cast<int>(timeout.count()));
  if (ready < 0 && errno != EINTR) {
    return fail_errno({"等待事件失败", "cannot wait for events"});
  }
  for (const pollfd& fd : fds) {
    if (ready <= 0 || fd.revents == 0 || stopped_) continue;
    const auto found = watches_.find(fd.fd);
    if (found == watches_.end()) continue;  // an earlier callback dropped it
    const OnEvent on_event = found->second.on_event;
    on_event(fd.revents);
  }
  run_timers();
  return {};
}

Result<void> EventLoop::run() {
  while (!stopped_) MENSHEN_CHECK(run_once(wait_longest));
  return {};
}

}  // namespace menshen::apps
