#include <catch2/catch.hpp>

#include "sensor/proto/test_stage.hpp"

namespace menshen::sensor::testing {
namespace {

std::string le16(std::size_t value) {
  return {static_cast<char>(value & 0xffU), static_cast<char>(value >> 8U & 0xffU)};
}
std::string le32(std::size_t value) { return le16(value & 0xffffU) + le16(value >> 16U); }

std::string pdu(int type, int flags, std::uint32_t call, const std::string& body) {
  return std::string("\5\0", 2) + static_cast<char>(type) + static_cast<char>(flags) +
         std::string("\x10\0\0\0", 4) + le16(16 + body.size()) + le16(0) + le32(call) + body;
}

// 11223344-5566-7788-99aa-bbccddeeff00, version 3
const std::string interface =
    std::string("\x44\x33\x22\x11\x66\x55\x88\x77\x99\xaa\xbb\xcc\xdd\xee\xff\x00", 16) + le16(3) +
    le16(0);

std::string bind(std::uint16_t context) {
  return pdu(11, 3, 1,
             std::string(8, '\0') + std::string("\1\0\0\0", 4) + le16(context) +
                 std::string("\1\0", 2) + interface + std::string(20, 't'));
}
std::string bind_ack(unsigned result) {
  return pdu(12, 3, 1,
             std::string(8, '\0') + le16(2) + "12" + std::string("\1\0\0\0", 4) + le16(result) +
                 le16(0) + std::string(20, 't'));
}
std::string request(int flags, std::uint16_t context, const std::string& stub) {
  return pdu(0, flags, 2, le32(0) + le16(context) + le16(15) + stub);
}
std::string response(int flags, const std::string& stub) {
  return pdu(2, flags, 2, std::string(8, '\0') + stub);
}

TEST_CASE("DCE/RPC: a call's fragments join, its interface is known from the bind") {
  const std::string uuid("\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff\x00", 16);
  for (const std::size_t piece : {std::size_t{1}, std::size_t{17}, std::string::npos}) {
    Stage s;
    s.client(bind(5), piece);
    s.server(bind_ack(0), piece);
    s.client(request(1, 5, "ab") + request(2, 5, "cd"), piece);
    s.server(response(3, "answer"), piece);
    s.finish();
    CHECK(s.flow.app == AppProto::dcerpc);
    REQUIRE(s.told.size() == 2);
    const Told& call = s.told[1];
    CHECK(call["#>dcerpc.opnum"] == "15");
    CHECK(call[">dcerpc.stub_data"] == "abcd");
    CHECK(call["<dcerpc.stub_data"] == std::string(8, '\0') + "answer");
    CHECK(call[">dcerpc.iface_bytes"] == uuid + std::string("\0\3\1", 3));
    CHECK(call.ended);
  }
}

TEST_CASE("DCE/RPC: an interface that the server refused, and one that was never bound") {
  Stage s;
  s.client(bind(5));
  s.server(bind_ack(2));
  s.client(request(3, 5, "x"));
  s.finish();
  CHECK(s.told[1][">dcerpc.iface_bytes"] == "-");
  Stage unbound;
  unbound.client(request(3, 9, "x"));
  unbound.finish();
  CHECK(unbound.told[0][">dcerpc.iface_bytes"] == "-");
  CHECK(unbound.told[0][">dcerpc.stub_data"] == "x");
}

TEST_CASE("DCE/RPC: lengths that cannot be end the parser") {
  Stage s;
  s.client(bind(1));
  std::string bad = request(3, 1, "");
  bad[8] = 3;
  bad[9] = 0;
  s.client(bad);
  CHECK(s.proto.counters().parser_errors == 1);
}

TEST_CASE("DCE/RPC: open calls are bounded") {
  Stage s;
  s.client(bind(1));
  for (std::uint32_t call = 10; call < 200; ++call) {
    s.client(pdu(0, 3, call, le32(0) + le16(1) + le16(1) + "x"));
  }
  CHECK(s.proto.counters().limits_reached > 100);
  s.finish();
}

}  // namespace
}  // namespace menshen::sensor::testing
