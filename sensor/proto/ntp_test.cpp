#include <catch2/catch.hpp>

#include "sensor/proto/test_bytes.hpp"

namespace menshen::sensor {

using namespace testing;  // NOLINT(google-build-using-namespace)

TEST_CASE("NTP's header, at its port alone") {
  std::string request = unhex("23");
  request.resize(48);
  std::string answer = unhex("24 02 06 e9 00000000 00000000 0a000001");
  answer.resize(48);
  DatagramStage s(123);
  s.datagram(Direction::to_server, request);
  s.datagram(Direction::to_client, answer);
  CHECK(s.flow.app == AppProto::ntp);
  REQUIRE(s.told.size() == 2);
  CHECK(eve(s.told[0])["version"] == 4);
  CHECK(eve(s.told[0])["mode"] == 3);
  CHECK(eve(s.told[1])["stratum"] == 2);
  CHECK(eve(s.told[1])["reference_id"] == "10.0.0.1");
  s.datagram(Direction::to_client, answer.substr(0, 20));
  CHECK(s.proto.counters().parser_errors == 1);
  DatagramStage elsewhere(8000);
  elsewhere.datagram(Direction::to_server, request);
  CHECK(elsewhere.flow.app == AppProto::failed);
}

}  // namespace menshen::sensor
