#include <catch2/catch.hpp>

#include "sensor/proto/message_dissectors.hpp"
#include "sensor/proto/test_bytes.hpp"

namespace menshen::sensor {

using namespace testing;  // NOLINT(google-build-using-namespace)

namespace {

std::string framed(unsigned id, std::string_view hex) {
  const std::string body = unhex(hex);
  return be16(id) + be16(0) + be16(body.size()) + body;
}

}  // namespace

TEST_CASE("a Modbus request and its response are one transaction") {
  const auto piece = GENERATE(values<std::size_t>({std::string_view::npos, 1}));
  StreamStage s(502);
  s.client(framed(1, "0a 01 0001 0008"), piece);
  s.server(framed(1, "0a 01 01 ff"), piece);
  s.client(framed(2, "0a 10 0010 0002 04 0001 0002") + framed(3, "0a 06 0005 002a"), piece);
  s.server(framed(3, "0a 86 02") + framed(2, "0a 10 0010 0002"), piece);
  CHECK(s.flow.app == AppProto::modbus);
  REQUIRE(s.told.size() == 3);
  CHECK(s.told[0].ended);
  CHECK(eve(s.told[0])["request"]["function_code"] == "RdCoils");
  CHECK(eve(s.told[0])["request"]["access_type"] == "READ | COILS");
  CHECK(eve(s.told[0])["request"]["read"]["quantity"] == 8);
  CHECK(eve(s.told[0])["response"]["data"] == "01ff");
  CHECK(eve(s.told[1])["request"]["write"]["address"] == 16);
  CHECK(s.told[1].ended);
  CHECK(eve(s.told[2])["response"]["exception"]["raw"] == 2);
}

TEST_CASE("Modbus is asked at its port alone") {
  StreamStage elsewhere(8000);
  elsewhere.client(framed(1, "0a 01 0001 0008"));
  CHECK(elsewhere.flow.app != AppProto::modbus);
  const std::string other = unhex("0001 0001 0006 0a01 0001 0008");
  CHECK(probe_modbus(Direction::to_server, as_bytes(other)) == Guess::no);
  CHECK(probe_modbus(Direction::to_server, as_bytes(other.substr(0, 5))) == Guess::more);
}

TEST_CASE("a Modbus request that is cut short ends by its own length") {
  StreamStage s(502);
  s.client(framed(1, "0a 03 00") + framed(2, "0a 03 0000 0001"));
  REQUIRE(s.told.size() == 2);
  CHECK(eve(s.told[1])["request"]["read"]["quantity"] == 1);
  s.client(unhex("0003 0000 0000 0000 00"));
  CHECK(s.proto.counters().parser_errors == 1);
}

}  // namespace menshen::sensor
