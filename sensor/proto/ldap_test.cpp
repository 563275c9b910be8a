#include <catch2/catch.hpp>

#include "sensor/proto/field_transaction.hpp"
#include "sensor/proto/message_dissectors.hpp"
#include "sensor/proto/test_bytes.hpp"

namespace menshen::sensor {

using namespace testing;  // NOLINT(google-build-using-namespace)

namespace {

std::string number(unsigned char value) { return tlv(2, std::string(1, static_cast<char>(value))); }
std::string choice(unsigned char value) { return {'\x0a', '\x01', static_cast<char>(value)}; }
std::string message(unsigned char id, const std::string& operation) {
  return tlv(0x30, number(id) + operation);
}
std::string search(unsigned char id) {
  return message(
      id, tlv(0x63, tlv(4, "dc=example,dc=cn") + choice(2) + choice(0) + number(0) + number(0) +
                        tlv(1, std::string(1, '\0')) + tlv(0x87, "objectClass") +
                        tlv(0x30, tlv(4, "cn") + tlv(4, "mail"))));
}
std::string entry(unsigned char id) {
  return message(id, tlv(0x64, tlv(4, "cn=a,dc=example,dc=cn") +
                                   tlv(0x30, tlv(0x30, tlv(4, "cn") + tlv(0x31, tlv(4, "a"))))));
}
std::string result(unsigned char id, unsigned char tag, unsigned char code,
                   std::string_view text = "") {
  return message(id, tlv(tag, choice(code) + tlv(4, "") + tlv(4, text)));
}

}  // namespace

TEST_CASE("an LDAP search and its responses are one transaction") {
  const auto piece = GENERATE(values<std::size_t>({std::string_view::npos, 1, 5}));
  StreamStage s;
  s.client(search(2), piece);
  s.server(entry(2) + result(2, 0x65, 4, "too many"), piece);
  CHECK(s.flow.app == AppProto::ldap);
  REQUIRE(s.told.size() == 1);
  CHECK(s.told[0].ended);
  CHECK(s.told[0][">ldap.request.dn"] == "dc=example,dc=cn");
  CHECK(s.told[0][">ldap.request.attribute_type"] == "cn,mail");
  CHECK(s.told[0]["<ldap.responses.dn"] == "cn=a,dc=example,dc=cn,");
  CHECK(s.told[0]["<ldap.responses.attribute_type"] == "cn");
  CHECK(s.told[0]["<ldap.responses.message"] == "too many");
  const auto json = eve(s.told[0]);
  CHECK(json["request"]["operation"] == "search_request");
  CHECK(json["request"]["search_request"]["scope"] == 2);
  REQUIRE(json["responses"].size() == 2);
  CHECK(json["responses"][0]["search_result_entry"]["attributes"][0]["values"][0] == "a");
  CHECK(json["responses"][1]["search_result_done"]["result_code"] == "size_limit_exceeded");
}

TEST_CASE("LDAP's requests: bind, modify, delete, unbind") {
  StreamStage s;
  s.client(message(1, tlv(0x60, number(3) + tlv(4, "cn=admin") + tlv(0x80, "secret"))));
  s.server(result(1, 0x61, 49));
  s.client(message(
      3,
      tlv(0x66, tlv(4, "cn=a") +
                    tlv(0x30, tlv(0x30, choice(2) + tlv(0x30, tlv(4, "mail") + tlv(0x31, "")))))));
  s.client(message(4, tlv(0x4a, "cn=b")));
  s.client(message(5, tlv(0x42, "")));
  REQUIRE(s.told.size() == 4);
  CHECK(s.told[0][">ldap.request.dn"] == "cn=admin");
  CHECK(s.told[0].eve.find("secret") == std::string::npos);
  CHECK(eve(s.told[0])["responses"][0]["bind_response"]["result_code"] == "invalid_credentials");
  CHECK(s.told[1][">ldap.request.attribute_type"] == "mail");
  CHECK(s.told[2][">ldap.request.dn"] == "cn=b");
  CHECK(s.told[3].ended);
}

TEST_CASE("STARTTLS hands the connection over to TLS") {
  StreamStage s;
  s.client(message(1, tlv(0x77, tlv(0x80, "1.3.6.1.4.1.1466.20037"))));
  CHECK(s.flow.app == AppProto::ldap);
  s.server(result(1, 0x78, 0));
  CHECK(s.flow.app == AppProto::unknown);
}

TEST_CASE("LDAP over UDP: several messages in one datagram") {
  DatagramStage s;
  s.datagram(Direction::to_server, search(1));
  s.datagram(Direction::to_client, entry(1) + result(1, 0x65, 0));
  REQUIRE(s.told.size() == 1);
  CHECK(s.told[0].ended);
  CHECK(eve(s.told[0])["responses"].size() == 2);
}

TEST_CASE("an endless LDAP answer stays within its bounds") {
  StreamStage s;
  s.client(search(1));
  std::string many;
  for (int i = 0; i < 2000; ++i) many += entry(1);
  s.server(many);
  s.server(result(1, 0x65, 0));
  REQUIRE(s.told.size() == 1);
  CHECK(s.told[0].ended);
  CHECK(s.told[0].buffers.size() <= 2 * fields_max);  // buffers and numbers
  CHECK(s.told[0].eve.size() < 100'000);
}

TEST_CASE("what is not LDAP is not taken for it") {
  const auto probe = [](std::string_view text) {
    return probe_ldap_stream(Direction::to_server, as_bytes(text));
  };
  CHECK(probe(search(1)) == Guess::yes);
  CHECK(probe(search(1).substr(0, 4)) == Guess::more);
  CHECK(probe(entry(1)) == Guess::no);  // an answer does not begin
  CHECK(probe("0 bytes of text") == Guess::no);
  CHECK(probe_ldap_stream(Direction::to_client, as_bytes(entry(1))) == Guess::yes);
}

}  // namespace menshen::sensor
