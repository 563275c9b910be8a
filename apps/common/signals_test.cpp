#include "apps/common/signals.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

namespace menshen::apps {
namespace {

// In a process of its own, since signal masks belong to the whole of it. Waits end with an alarm.
bool in_child(bool (*work)()) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::alarm(30);
    ::_exit(work() ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool arrives(int fd) {
  eventfd_t times = 0;
  return ::eventfd_read(fd, &times) == 0 && times == 1;
}

TEST_CASE("a loop reloads at SIGHUP and ends at SIGTERM") {
  CHECK(in_child([] {
    auto signals = Signals::make();
    EventLoop loop;
    int reloads = 0;
    watch_signals(*signals, loop, [&] {
      ++reloads;
      ::kill(::getpid(), SIGTERM);
    });
    ::kill(::getpid(), SIGHUP);
    return loop.run() && reloads == 1;
  }));
}

TEST_CASE("signals reach a daemon whose main thread waits elsewhere") {
  CHECK(in_child([] {
    auto signals = Signals::make();
    const UniqueFd stopped(::eventfd(0, EFD_CLOEXEC));
    const UniqueFd reloaded(::eventfd(0, EFD_CLOEXEC));
    const auto tell = [](const UniqueFd& fd) { static_cast<void>(::eventfd_write(fd.get(), 1)); };
    const auto thread = SignalThread::start(
        *signals, [&] { tell(stopped); }, [&] { tell(reloaded); });
    ::kill(::getpid(), SIGHUP);
    const bool first = arrives(reloaded.get());
    ::kill(::getpid(), SIGTERM);
    return thread && first && arrives(stopped.get());
  }));
}

TEST_CASE("the thread for signals ends without one") {
  CHECK(in_child([] {
    auto signals = Signals::make();
    return SignalThread::start(
               *signals, [] {}, [] {})
        .has_value();
  }));
}

}  // namespace
}  // namespace menshen::apps
