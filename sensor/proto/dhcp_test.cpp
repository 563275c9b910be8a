#include <catch2/catch.hpp>

#include "sensor/proto/test_bytes.hpp"

namespace menshen::sensor {

using namespace testing;  // NOLINT(google-build-using-namespace)

namespace {

std::string message(std::string_view operation, std::string_view options) {
  std::string text = unhex(operation) + unhex("01 06 00 ef645744 0000 0000") +
                     unhex("00000000 0a100104 0a100101 00000000 001132174 9f0");
  text.resize(236);
  return text + unhex("63825363") + unhex(options);
}

}  // namespace

TEST_CASE("DHCP messages and their options") {
  DatagramStage s(67);
  s.datagram(Direction::to_server,
             message("01", "35 01 03 32 04 0a100104 0c 02 7063 37 02 0103 3d 03 01aabb ff"));
  s.datagram(Direction::to_client, message("02",
                                           "35 01 05 33 04 00000e10 3a 04 00000708 3b 04 00000c4e"
                                           "01 04 ffffff00 06 08 08080808 01010101 ff"));
  CHECK(s.flow.app == AppProto::dhcp);
  REQUIRE(s.told.size() == 2);
  const auto asked = eve(s.told[0]);
  CHECK(asked["type"] == "request");
  CHECK(asked["dhcp_type"] == "request");
  CHECK(asked["client_mac"] == "00:11:32:17:49:f0");
  CHECK(asked["requested_ip"] == "10.16.1.4");
  CHECK(asked["hostname"] == "pc");
  CHECK(asked["client_id"] == "aa:bb");
  CHECK(asked["params"] == nlohmann::json::parse(R"(["subnet_mask","router"])"));
  const auto answer = eve(s.told[1]);
  CHECK(answer["assigned_ip"] == "10.16.1.4");
  CHECK(answer["lease_time"] == 3600);
  CHECK(answer["renewal_time"] == 1800);
  CHECK(answer["rebinding_time"] == 3150);
  CHECK(answer["dns_servers"][1] == "1.1.1.1");
}

TEST_CASE("DHCP options that break off are read until there") {
  DatagramStage s(67);
  s.datagram(Direction::to_server, message("01", "35 01 01 0c 20 7063"));
  REQUIRE(s.told.size() == 1);
  CHECK(eve(s.told[0])["dhcp_type"] == "discover");
  DatagramStage bootp(67);
  bootp.datagram(Direction::to_server, message("01", "").substr(0, 236));
  CHECK(bootp.flow.app == AppProto::failed);
}

}  // namespace menshen::sensor
