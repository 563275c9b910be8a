#include "sensor/detect/host_state.hpp"

#include <catch2/catch.hpp>

using namespace menshen;
using namespace menshen::sensor;

namespace {

constexpr WallTime second = 1'000'000'000;
using Kind = Threshold::Kind;
using Answer = RateAnswer;

std::vector<Answer> answers(Threshold threshold, std::initializer_list<WallTime> seconds) {
  RateState state;
  std::vector<Answer> given;
  for (const WallTime at : seconds) given.push_back(count_match(threshold, state, at * second));
  return given;
}

}  // namespace

TEST_CASE("limit reports the first few of a period, then acts silently") {
  CHECK(
      answers({Kind::limit, {}, 2, 10, 0}, {1, 2, 3, 11, 12}) ==
      std::vector{Answer::report, Answer::report, Answer::silent, Answer::report, Answer::report});
}

TEST_CASE("threshold reports every n-th") {
  CHECK(answers({Kind::threshold, {}, 2, 10, 0}, {1, 2, 3, 4}) ==
        std::vector{Answer::ignore, Answer::report, Answer::ignore, Answer::report});
}

TEST_CASE("both reports once a period, at the n-th") {
  CHECK(
      answers({Kind::both, {}, 2, 10, 0}, {1, 2, 3, 12, 13}) ==
      std::vector{Answer::ignore, Answer::report, Answer::silent, Answer::ignore, Answer::report});
}

TEST_CASE("detection_filter lets matches count after the n-th") {
  CHECK(
      answers({Kind::detection_filter, {}, 2, 10, 0}, {1, 2, 3, 4, 20}) ==
      std::vector{Answer::ignore, Answer::ignore, Answer::report, Answer::report, Answer::ignore});
}

TEST_CASE("backoff reports at multiplying counts") {
  RateState state;
  int reports = 0;
  for (int i = 0; i < 6676; ++i) {
    reports +=
        count_match({Kind::backoff, Threshold::Track::flow, 1, 0, 2}, state, i) == Answer::report;
  }
  CHECK(reports == 13);
}

TEST_CASE("a full table gives up its oldest entry and counts it") {
  BoundedTable<int> table(2, 7);
  const auto key = [](std::uint32_t host) { return HostKey{1, IpAddr::v4(host), {}, 0}; };
  table.make(key(1)) = 1;
  table.make(key(2)) = 2;
  table.make(key(3)) = 3;
  CHECK(table.size() == 2);
  CHECK(table.find(key(1)) == nullptr);
  CHECK(*table.find(key(3)) == 3);
  CHECK(table.evictions() == 1);
}

TEST_CASE("tenants with equal addresses are told apart") {
  FiveTuple a;
  FiveTuple b;
  b.attachment = 1;
  CHECK_FALSE(bit_key(1, BitScope::source, a) == bit_key(1, BitScope::source, b));
}
