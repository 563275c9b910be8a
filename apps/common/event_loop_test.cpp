#include "apps/common/event_loop.hpp"

#include <poll.h>
#include <sys/eventfd.h>

#include <catch2/catch.hpp>

#include "base/file.hpp"
#include "tests/testkit/fake_clock.hpp"

namespace menshen::apps {
namespace {

using namespace std::chrono_literals;

TEST_CASE("a timer runs when its time has come, once a period, and does not catch up") {
  testkit::FakeClock clock;
  EventLoop loop(clock);
  int ran = 0;
  loop.every(10s, [&] { ++ran; });
  REQUIRE(loop.run_once(0ms));
  CHECK(ran == 0);
  clock.advance(10s);
  REQUIRE(loop.run_once(0ms));
  CHECK(ran == 1);
  REQUIRE(loop.run_once(0ms));
  CHECK(ran == 1);
  clock.advance(100s);
  REQUIRE(loop.run_once(0ms));
  REQUIRE(loop.run_once(0ms));
  CHECK(ran == 2);
}

TEST_CASE("a descriptor's callback runs, and may drop another that is ready too") {
  EventLoop loop;
  UniqueFd first(::eventfd(1, EFD_NONBLOCK));
  UniqueFd second(::eventfd(1, EFD_NONBLOCK));
  int ran = 0;
  loop.watch(first.get(), POLLIN, [&](short) {
    ++ran;
    loop.unwatch(second.get());
  });
  loop.watch(second.get(), POLLIN, [&](short) {
    ++ran;
    loop.unwatch(first.get());
  });
  REQUIRE(loop.run_once(0ms));
  CHECK(ran == 1);
}

TEST_CASE("a loop that is stopped from a timer ends") {
  testkit::FakeClock clock;
  EventLoop loop(clock);
  loop.every(1ms, [&] { loop.stop(); });
  clock.advance(1ms);
  REQUIRE(loop.run());
}

}  // namespace
}  // namespace menshen::apps
