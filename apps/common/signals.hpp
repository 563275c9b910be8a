// What a daemon does when it is told to stop (SIGTERM, SIGINT) or to read its settings again
// (SIGHUP): in its own loop, or beside a main thread that waits elsewhere.
#pragma once

#include <functional>
#include <memory>
#include <thread>

#include "apps/common/daemon.hpp"
#include "apps/common/event_loop.hpp"

namespace menshen::apps {

using OnSignal = std::function<void()>;

// SIGTERM stops the loop. Both must outlive it.
void watch_signals(Signals& signals, EventLoop& loop, OnSignal on_reload);

// The SIGHUP of a daemon whose settings all need a restart: it says which have changed, and is
// ready again as `status`.
void tell_changed_settings(const Daemon& daemon, std::string_view status);

// For a daemon whose main thread does not wait in an EventLoop. The callbacks run on the thread of
// this object, which ends after `on_stop` or with it.
class SignalThread {
 public:
  [[nodiscard]] static Result<std::unique_ptr<SignalThread>> start(Signals& signals,
                                                                   OnSignal on_stop,
                                                                   OnSignal on_reload);
  ~SignalThread();
  SignalThread(const SignalThread&) = delete;
  SignalThread& operator=(const SignalThread&) = delete;

 private:
  explicit SignalThread(UniqueFd quit) : quit_(std::move(quit)) {}

  UniqueFd quit_;
  EventLoop loop_;
  std::thread thread_;
};

}  // namespace menshen::apps
