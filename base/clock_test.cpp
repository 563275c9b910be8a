#include "base/clock.hpp"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <ctime>
#include <random>
#include <string>

namespace menshen {
namespace {

constexpr WallTime second = 1'000'000'000;

TEST_CASE("UTC, also before 1970") {
  CHECK(format_utc(0) == "1970-01-01T00:00:00.000000Z");
  CHECK(format_utc(1795421730LL * second + 123999) == "2026-11-23T08:15:30.000123Z");
  CHECK(format_utc(-1) == "1969-12-31T23:59:59.999999Z");
  CHECK(format_utc(951782399LL * second) == "2000-02-28T23:59:59.000000Z");
  CHECK(format_utc(951782400LL * second) == "2000-02-29T00:00:00.000000Z");
  CHECK(format_utc(INT64_MIN).substr(0, 10) == "1677-09-21");
  CHECK(format_utc(INT64_MAX).substr(0, 10) == "2262-04-11");
}

TEST_CASE("the local zone, with its offset") {
  const char* zone = ::secure_getenv("TZ");
  const std::string old = zone != nullptr ? zone : "";
  // NOLINTBEGIN(concurrency-mt-unsafe): the tests of base have one thread here
  const auto at = [](const char* tz) {
    ::setenv("TZ", tz, 1);
    ::tzset();
    return format_local(1795421730LL * second + 123000);
  };
  CHECK(at("CST-8") == "2026-11-23T16:15:30.000123+0800");
  CHECK(at("XXX9:30") == "2026-11-22T22:45:30.000123-0930");
  CHECK(at("UTC0") == "2026-11-23T08:15:30.000123+0000");
  if (zone != nullptr) {
    ::setenv("TZ", old.c_str(), 1);
  } else {
    ::unsetenv("TZ");
  }
  ::tzset();
  // NOLINTEND(concurrency-mt-unsafe)
}

TEST_CASE("times as people and other programs write them") {
  const WallTime noon = 1795421730LL * second;
  CHECK(parse_time("2026-11-23T08:15:30Z").value() == noon);
  CHECK(parse_time("2026-11-23t08:15:30z").value() == noon);
  CHECK(parse_time("2026-11-23 08:15:30Z").value() == noon);
  CHECK(parse_time("2026-11-23T16:15:30+08:00").value() == noon);
  CHECK(parse_time("2026-11-23T16:15:30.000123+0800").value() == noon + 123000);
  CHECK(parse_time("2026-11-22T22:45:30-09:30").value() == noon);
  CHECK(parse_time("2026-11-23T08:15:30.1234567899Z").value() == noon + 123456789);
  CHECK(parse_time("2026-11-23").value() == noon - 29730 * second);
  CHECK(parse_time("1969-12-31T23:59:59.5Z").value() == -second / 2);
  CHECK(parse_time("2016-12-31T23:59:60Z").value() == parse_time("2017-01-01").value());
  CHECK(parse_time("2017-01-01T07:59:60+08:00").value() == parse_time("2017-01-01").value());
}

TEST_CASE("what is no time is refused") {
  for (const char* text : {"",
                           "2026",
                           "2026-11",
                           "2026-1-2",
                           "2026-13-01",
                           "2026-02-29",
                           "2026-11-31",
                           "20261123",
                           "2026-11-23T",
                           "2026-11-23T08:15",
                           "2026-11-23T08:15:30",
                           "2026-11-23T24:00:00Z",
                           "2026-11-23T08:60:00Z",
                           "2026-11-23T08:15:60Z",
                           "2026-11-23T08:15:61Z",
                           "2026-11-23T08:15:30.Z",
                           "2026-11-23T08:15:30+8",
                           "2026-11-23T08:15:30+08:60",
                           "2026-11-23T08:15:30+24:00",
                           "2026-11-23T08:15:30Zx",
                           " 2026-11-23",
                           "2026-11-23 ",
                           "1677-12-31",
                           "2262-01-01",
                           "+026-11-23"}) {
    CAPTURE(text);
    const auto time = parse_time(text);
    REQUIRE_FALSE(time);
    CHECK(time.error().code == ErrorCode::invalid);
  }
}

TEST_CASE("what is written is read again") {
  std::mt19937_64 random(Catch::rngSeed());
  std::uniform_int_distribution<WallTime> times(-9'000'000'000 * second, 9'000'000'000 * second);
  for (int i = 0; i < 1000; ++i) {
    const WallTime time = times(random) / 1000 * 1000;
    CAPTURE(time);
    CHECK(parse_time(format_utc(time)).value() == time);
    CHECK(parse_time(format_local(time)).value() == time);
  }
}

TEST_CASE("the system's clock is the system's") {
  const Clock& clock = system_clock();
  CHECK(clock.wall() / second >= std::time(nullptr) - 1);
  const MonotonicTime before = clock.monotonic();
  CHECK(clock.monotonic() >= before);
}

}  // namespace
}  // namespace menshen
