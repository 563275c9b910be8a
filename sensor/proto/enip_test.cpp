#include <catch2/catch.hpp>

#include "sensor/proto/test_bytes.hpp"

namespace menshen::sensor {

using namespace testing;  // NOLINT(google-build-using-namespace)

namespace {

std::string message(unsigned command, const std::string& content) {
  return le16(command) + le16(content.size()) + std::string(20, '\0') + content;
}
std::string connected(std::string_view cip) {
  const std::string data = unhex("0100") + unhex(cip);
  return message(0x70,
                 unhex("00000000 0000 0200 a100 0400 01020304 b100") + le16(data.size()) + data);
}

}  // namespace

TEST_CASE("EtherNet/IP: who is there") {
  const auto piece = GENERATE(values<std::size_t>({std::string_view::npos, 1}));
  StreamStage s(44818);
  s.client(message(0x63, ""), piece);
  s.server(message(0x63, unhex("0100 0c00 2600 0100") + std::string(16, '\0') +
                             unhex("0100 0c00 3a00 0304 3000 8e4d5200") + "\x05PLC-1" + '\x03'),
           piece);
  CHECK(s.flow.app == AppProto::enip);
  REQUIRE(s.told.size() == 2);
  CHECK(s.told[1]["<enip.product_name"] == "PLC-1");
  const auto identity = eve(s.told[1])["response"]["identity"];
  CHECK(identity["vendor_id"] == 1);
  CHECK(identity["product_code"] == 58);
  CHECK(identity["revision"] == "3.4");
  CHECK(identity["serial"] == 0x524d8e);
  CHECK(identity["state"] == 3);
}

TEST_CASE("CIP inside: paths, several services in one, answers") {
  StreamStage s(44818);
  s.client(connected("0e 03 20 01 24 01 30 05"));
  s.server(connected("8e 00 05 01 0100"));
  s.client(connected("0a 02 20 02 24 01 0200 0600 0e00 0e 03 20 01 24 01 30 05 4c 00"));
  REQUIRE(s.told.size() == 3);
  const auto asked = eve(s.told[0])["request"]["cip"];
  CHECK(asked["service"] == "GetAttrSingle");
  CHECK(asked["class_id"] == 1);
  CHECK(asked["instance"] == 1);
  CHECK(asked["attribute"] == 5);
  CHECK(eve(s.told[1])["response"]["cip"]["status"] == 5);
  CHECK(eve(s.told[1])["response"]["cip"]["status_extended"] == 1);
  const auto many = eve(s.told[2])["request"]["cip"]["multiple"];
  REQUIRE(many.size() == 2);
  CHECK(many[1]["service"] == "ReadTag");
}

}  // namespace menshen::sensor
