#include <catch2/catch.hpp>

#include "sensor/proto/krb5.hpp"
#include "sensor/proto/message_dissectors.hpp"
#include "sensor/proto/test_bytes.hpp"

namespace menshen::sensor {

using namespace testing;  // NOLINT(google-build-using-namespace)

namespace {

std::string number(int value) { return tlv(2, std::string(1, static_cast<char>(value))); }
unsigned char tag(unsigned n) { return static_cast<unsigned char>(0xa0 + n); }
std::string name(std::initializer_list<std::string_view> parts) {
  std::string list;
  for (const auto part : parts) list += tlv(0x1b, part);
  return tlv(0x30, tlv(tag(0), number(1)) + tlv(tag(1), tlv(0x30, list)));
}
std::string encrypted(int type) {
  return tlv(0x30, tlv(tag(0), number(type)) + tlv(tag(2), tlv(4, "????")));
}
std::string request(unsigned char type) {
  const std::string body = tlv(
      0x30, tlv(tag(0), unhex("03 05 00 40810010")) + tlv(tag(1), name({"alice"})) +
                tlv(tag(2), tlv(0x1b, "EXAMPLE.CN")) + tlv(tag(3), name({"krbtgt", "EXAMPLE.CN"})) +
                tlv(tag(5), tlv(0x18, "20370913024805Z")) + tlv(tag(7), number(9)) +
                tlv(tag(8), tlv(0x30, number(18) + number(23))));
  return tlv(static_cast<unsigned char>(0x60 + type),
             tlv(0x30, tlv(tag(1), number(5)) + tlv(tag(2), number(type)) + tlv(tag(4), body)));
}
std::string reply(unsigned char type, int ticket_type, int reply_type) {
  const std::string ticket =
      tlv(0x61, tlv(0x30, tlv(tag(0), number(5)) + tlv(tag(1), tlv(0x1b, "EXAMPLE.CN")) +
                              tlv(tag(2), name({"MSSQLSvc", "db.example.cn"})) +
                              tlv(tag(3), encrypted(ticket_type))));
  return tlv(static_cast<unsigned char>(0x60 + type),
             tlv(0x30, tlv(tag(0), number(5)) + tlv(tag(1), number(type)) +
                           tlv(tag(3), tlv(0x1b, "EXAMPLE.CN")) + tlv(tag(4), name({"alice"})) +
                           tlv(tag(5), ticket) + tlv(tag(6), encrypted(reply_type))));
}
std::string failure(int code) {
  return tlv(0x7e,
             tlv(0x30, tlv(tag(0), number(5)) + tlv(tag(1), number(30)) +
                           tlv(tag(4), tlv(0x18, "20240101000000Z")) + tlv(tag(5), number(0)) +
                           tlv(tag(6), number(code)) + tlv(tag(9), tlv(0x1b, "EXAMPLE.CN")) +
                           tlv(tag(10), name({"krbtgt", "EXAMPLE.CN"}))));
}
std::string framed(const std::string& message) { return be32(message.size()) + message; }

}  // namespace

TEST_CASE("Kerberos over UDP: request, refusal, request, ticket") {
  DatagramStage s;
  s.datagram(Direction::to_server, request(10));
  s.datagram(Direction::to_client, failure(25));
  s.datagram(Direction::to_client, reply(11, 23, 18));
  CHECK(s.flow.app == AppProto::krb5);
  REQUIRE(s.told.size() == 3);
  CHECK(eve(s.told[0])["msg_type"] == "KRB_AS_REQ");
  CHECK(eve(s.told[0])["sname"] == "krbtgt/EXAMPLE.CN");
  CHECK(eve(s.told[1])["msg_type"] == "KRB_ERROR");
  CHECK(eve(s.told[1])["error_code"] == "KDC_ERR_PREAUTH_REQUIRED");
  CHECK(eve(s.told[1])["failed_request"] == "KRB_AS_REQ");
  CHECK(s.told[2]["<krb5.cname"] == "alice");
  CHECK(s.told[2]["<krb5.sname"] == "MSSQLSvc,db.example.cn");
  CHECK(eve(s.told[2])["encryption"] == "aes256-cts-hmac-sha1-96");
  CHECK(eve(s.told[2])["weak_encryption"] == false);
  CHECK(eve(s.told[2])["ticket_encryption"] == "rc4-hmac");
  CHECK(eve(s.told[2])["ticket_weak_encryption"] == true);
}

TEST_CASE("Kerberos over TCP in every piece") {
  const auto piece = GENERATE(values<std::size_t>({std::string_view::npos, 1, 9}));
  StreamStage s;
  s.client(framed(request(12)), piece);
  s.server(framed(reply(13, 18, 18)) + framed(failure(7)), piece);
  CHECK(s.flow.app == AppProto::krb5);
  REQUIRE(s.told.size() == 3);
  CHECK(eve(s.told[0])["msg_type"] == "KRB_TGS_REQ");
  CHECK(eve(s.told[1])["msg_type"] == "KRB_TGS_REP");
  CHECK(eve(s.told[2])["error_code"] == "KDC_ERR_S_PRINCIPAL_UNKNOWN");
}

TEST_CASE("every shorter Kerberos message is refused or read as far as it goes") {
  const std::string whole = reply(11, 23, 18);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CHECK(probe_krb5_stream(Direction::to_client,
                            as_bytes(be32(whole.size()) + whole.substr(0, size))) != Guess::no);
    DatagramStage s;
    s.datagram(Direction::to_server, request(10));
    s.datagram(Direction::to_client, whole.substr(0, size));
    if (size > 0) CHECK(s.proto.counters().parser_errors == 1);
  }
  CHECK(probe_krb5_datagram(Direction::to_server, as_bytes("\x6a\x03\x30\x01")) == Guess::no);
}

TEST_CASE("Kerberos' weak encryption types") {
  CHECK(is_weak_krb5_encryption(23));
  CHECK(is_weak_krb5_encryption(3));
  CHECK_FALSE(is_weak_krb5_encryption(18));
  CHECK(krb5_encryption_name(17) == "aes128-cts-hmac-sha1-96");
  CHECK(krb5_encryption_name(99) == "99");
}

}  // namespace menshen::sensor
