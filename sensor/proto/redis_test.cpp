#include <catch2/catch.hpp>

#include "sensor/proto/message_dissectors.hpp"
#include "sensor/proto/test_bytes.hpp"

namespace menshen::sensor {

using namespace testing;  // NOLINT(google-build-using-namespace)

TEST_CASE("Redis commands, also with long words and in every piece") {
  const auto piece = GENERATE(values<std::size_t>({std::string_view::npos, 1, 1000}));
  StreamStage s;
  const std::string value(100'000, 'v');
  s.client("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n" + value + "\r\n*1\r\n$4\r\nPING\r\n", piece);
  s.server("+OK\r\n+PONG\r\n", piece);
  CHECK(s.flow.app == AppProto::redis);
  REQUIRE(s.told.size() == 2);
  CHECK(eve(s.told[0])["command"] == "SET");
  CHECK(eve(s.told[0])["arguments"] == 2);
  CHECK(eve(s.told[1])["command"] == "PING");
  s.client("hello\r\n");
  CHECK(s.proto.counters().parser_errors == 1);
}

TEST_CASE("what begins Redis") {
  const auto probe = [](std::string_view text) {
    return probe_redis(Direction::to_server, as_bytes(text));
  };
  CHECK(probe("*1\r\n$4\r\nPING\r\n") == Guess::yes);
  CHECK(probe("*1\r") == Guess::more);
  CHECK(probe("*1\r\n$") == Guess::more);
  CHECK(probe("*\r\n") == Guess::no);
  CHECK(probe("*1\r\n+OK\r\n") == Guess::no);
  CHECK(probe("*99999999999999999999\r\n") == Guess::no);
}

}  // namespace menshen::sensor
