#include <catch2/catch.hpp>

#include "sensor/proto/asn1.hpp"
#include "sensor/proto/test_bytes.hpp"

namespace menshen::sensor {

using namespace testing;  // NOLINT(google-build-using-namespace)

namespace {

std::string number(unsigned char value) { return {'\x02', '\x01', static_cast<char>(value)}; }
const std::string variables =
    tlv(0x30, tlv(0x30, unhex("06 08 2b06010201010100") + unhex("05 00")));

}  // namespace

TEST_CASE("SNMP v1 and v2c: the community, the kind of request, its variables") {
  DatagramStage s;
  s.datagram(Direction::to_server,
             tlv(0x30, number(1) + tlv(4, "public") +
                           tlv(0xa0, number(7) + number(0) + number(0) + variables)));
  CHECK(s.flow.app == AppProto::snmp);
  s.datagram(Direction::to_client,
             tlv(0x30, number(1) + tlv(4, "public") +
                           tlv(0xa2, number(7) + number(2) + number(1) + variables)));
  REQUIRE(s.told.size() == 2);
  CHECK(s.told[0][">snmp.community"] == "public");
  CHECK(eve(s.told[0])["version"] == 2);
  CHECK(eve(s.told[0])["pdu_type"] == "get_request");
  CHECK(eve(s.told[0])["vars"][0] == "1.3.6.1.2.1.1.1.0");
  CHECK(eve(s.told[1])["pdu_type"] == "response");
  CHECK(eve(s.told[1])["error"] == "NoSuchName");
}

TEST_CASE("an SNMP v1 trap names its sender") {
  DatagramStage s;
  s.datagram(Direction::to_server,
             tlv(0x30, number(0) + tlv(4, "private") +
                           tlv(0xa4, unhex("06 06 2b0601040109") + unhex("40 04 c0a80102") +
                                         number(3) + number(0) + unhex("43 01 05") + variables)));
  REQUIRE(s.told.size() == 1);
  CHECK(s.told[0][">snmp.trap_oid"] == "1.3.6.1.4.1.9");
  CHECK(s.told[0][">snmp.trap_address"] == "192.168.1.2");
  CHECK(eve(s.told[0])["trap_type"] == "link_up");
}

TEST_CASE("SNMP v3 names its user; what is encrypted stays so") {
  const auto message = [](char flags, const std::string& data) {
    const std::string user = tlv(0x30, tlv(4, "engine") + number(1) + number(2) +
                                           tlv(4, "operator") + tlv(4, "") + tlv(4, ""));
    return tlv(0x30,
               number(3) +
                   tlv(0x30, number(9) + number(100) + tlv(4, std::string(1, flags)) + number(3)) +
                   tlv(4, user) + data);
  };
  DatagramStage s;
  s.datagram(Direction::to_server, message(3, tlv(4, "?????")));
  s.datagram(Direction::to_server,
             message(0, tlv(0x30, tlv(4, "engine") + tlv(4, "") +
                                      tlv(0xa1, number(7) + number(0) + number(0) + variables))));
  REQUIRE(s.told.size() == 2);
  CHECK(s.told[0][">snmp.usm"] == "operator");
  CHECK(eve(s.told[0])["encrypted"] == true);
  CHECK(eve(s.told[1])["pdu_type"] == "get_next_request");
}

TEST_CASE("BER is read strictly") {
  const auto ok = [](std::string_view hex) {
    const std::string bytes = unhex(hex);
    Asn1Reader reader(as_bytes(bytes));
    reader.next();
    return reader.ok();
  };
  CHECK(ok("02 01 05"));
  CHECK(ok("30 81 01 00"));
  CHECK_FALSE(ok("30 80 00 00"));           // indefinite
  CHECK_FALSE(ok("3f 01 00"));              // long tag
  CHECK_FALSE(ok("30 85 00 00 00 00 00"));  // length of five bytes
  CHECK_FALSE(ok("04 05 41"));              // not whole
  CHECK_FALSE(ok(""));
  const auto integer = [](std::string_view hex) {
    const std::string bytes = unhex(hex);
    return asn1_integer(as_bytes(bytes));
  };
  CHECK(integer("ff") == -1);
  CHECK(integer("00ff") == 255);
  CHECK(integer("7fffffffffffffff") == INT64_MAX);
  CHECK_FALSE(integer("").has_value());
  CHECK_FALSE(integer("000000000000000001").has_value());
  const auto oid = [](std::string_view hex) {
    const std::string bytes = unhex(hex);
    return asn1_oid_text(as_bytes(bytes));
  };
  CHECK(oid("2a864886f70d") == "1.2.840.113549");
  CHECK(oid("8837") == "2.999");
  CHECK(oid("2a86").empty());
  CHECK(oid("ffffffffffffffffffff7f").empty());
}

}  // namespace menshen::sensor
