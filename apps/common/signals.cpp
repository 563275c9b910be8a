#include "apps/common/signals.hpp"

#include <poll.h>
#include <sys/eventfd.h>

namespace menshen::apps {
namespace {

void watch(Signals& signals, EventLoop& loop, OnSignal on_stop, OnSignal on_reload) {
  loop.watch(signals.fd(), POLLIN,
             [&signals, &loop, stop = std::move(on_stop), reload = std::move(on_reload)](short) {
               switch (signals.take()) {
                 case Signal::none:
                   return;
                 case Signal::stop:
                   stop();
                   return loop.stop();
                 case Signal::reload:
                   return reload();
               }
             });
}

}  // namespace

void watch_signals(Signals& signals, EventLoop& loop, OnSignal on_reload) {
  watch(
      signals, loop, [] {}, std::move(on_reload));
}

void tell_changed_settings(const Daemon& daemon, std::string_view status) {
  notify_reloading();
  static_cast<void>(daemon.reload());
  notify_ready(status);
}

Result<std::unique_ptr<SignalThread>> SignalThread::start(Signals& signals, OnSignal on_stop,
                                                          OnSignal on_reload) {
  UniqueFd quit(::eventfd(0, EFD_CLOEXEC));
  if (!quit) return fail_errno({"无法创建 eventfd", "cannot make an eventfd"});
  std::unique_ptr<SignalThread> made(new SignalThread(std::move(quit)));
  SignalThread& self = *made;
  watch(signals, self.loop_, std::move(on_stop), std::move(on_reload));
  self.loop_.watch(self.quit_.get(), POLLIN, [&self](short) { self.loop_.stop(); });
  self.thread_ = std::thread([&self] {
    if (const auto ended = self.loop_.run(); !ended) log_error(LogLevel::error, ended.error());
  });
  return made;
}

SignalThread::~SignalThread() {
  static_cast<void>(::eventfd_write(quit_.get(), 1));
  thread_.join();
}

}  // namespace menshen::apps
