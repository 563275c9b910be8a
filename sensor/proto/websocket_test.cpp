#include <zlib.h>

#include <catch2/catch.hpp>

#include "sensor/proto/test_stage.hpp"

namespace menshen::sensor {

using testing::Stage;
using namespace std::string_literals;

namespace {

std::string be(std::size_t bytes, std::size_t value) {
  std::string out;
  for (std::size_t i = bytes; i-- > 0;) out += static_cast<char>(value >> (8 * i) & 0xffU);
  return out;
}
std::string length_of(std::size_t size, unsigned mask_bit) {
  if (size < 126) return be(1, size | mask_bit);
  if (size < 65536) return be(1, 126 | mask_bit) + be(2, size);
  return be(1, 127 | mask_bit) + be(8, size);
}
std::string plain(unsigned first, const std::string& payload) {
  return be(1, first) + length_of(payload.size(), 0) + payload;
}
std::string masked(unsigned first, std::string payload) {
  const std::string mask = "\x11\x22\x33\x44";
  for (std::size_t i = 0; i < payload.size(); ++i) {
    payload[i] = static_cast<char>(payload[i] ^ mask[i % 4]);
  }
  return be(1, first) + length_of(payload.size(), 0x80) + mask + payload;
}
void upgrade(Stage& s) {
  s.client("GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
  s.server("HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\r\n");
  s.told.clear();
}

}  // namespace

TEST_CASE("WebSocket frames after the upgrade, whole and in every small piece") {
  const auto piece = GENERATE(values<std::size_t>({std::string_view::npos, 1, 3}));
  Stage s;
  upgrade(s);
  s.client(masked(0x81, "hello") + masked(0x89, ""), piece);
  CHECK(s.flow.app == AppProto::websocket);
  s.server(plain(0x82, "world"), piece);
  REQUIRE(s.told.size() == 3);
  CHECK(s.told[0][">websocket.payload"] == "hello");
  CHECK(s.told[0]["#>websocket.opcode"] == "1");
  CHECK(s.told[0]["#>websocket.flags"] == "128");
  CHECK(s.told[0]["#>websocket.mask"] == std::to_string(0x11223344));
  CHECK(s.told[0].eve == R"({"fin":true,"opcode":"text","mask":287454020})");
  CHECK(s.told[1]["#>websocket.opcode"] == "9");
  CHECK(s.told[2]["<websocket.payload"] == "world");
  CHECK(s.told[2]["#<websocket.mask"] == "-");
  CHECK(s.told[2].ended);
}

TEST_CASE("a message in fragments, with a control frame between them") {
  Stage s;
  upgrade(s);
  s.client(masked(0x01, "MAL") + masked(0x89, "ping") + masked(0x00, "WA") + masked(0x80, "RE"));
  REQUIRE(s.told.size() == 4);
  CHECK(s.told[1][">websocket.payload"] == "ping");
  CHECK(s.told[3][">websocket.payload"] == "MALWARE");
}

TEST_CASE("compressed messages share their window") {
  z_stream z{};
  REQUIRE(deflateInit2(&z, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  const auto compressed = [&](std::string text) {
    std::string out(200, '\0');
    z.next_in = reinterpret_cast<Bytef*>(text.data());
    z.avail_in = static_cast<uInt>(text.size());
    z.next_out = reinterpret_cast<Bytef*>(out.data());
    z.avail_out = static_cast<uInt>(out.size());
    REQUIRE(deflate(&z, Z_SYNC_FLUSH) == Z_OK);
    out.resize(out.size() - z.avail_out - 4);
    return out;
  };
  Stage s;
  upgrade(s);
  const std::string first = plain(0xc1, compressed("the same text"));
  s.server(first + plain(0xc1, compressed("the same text")));
  deflateEnd(&z);
  REQUIRE(s.told.size() == 2);
  CHECK(s.told[0]["<websocket.payload"] == "the same text");
  CHECK(s.told[1]["<websocket.payload"] == "the same text");
}

TEST_CASE("a long frame is told of before its end") {
  Stage s;
  upgrade(s);
  s.client(be(1, 0x82) + length_of(10'000'000, 0) + std::string(70'000, 'x'));
  REQUIRE(s.told.size() == 1);
  CHECK(s.told[0][">websocket.payload"].size() == 64U << 10U);
  CHECK(s.proto.counters().limits_reached == 1);
}

}  // namespace menshen::sensor
