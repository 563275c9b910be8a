#include <catch2/catch.hpp>

#include "sensor/proto/quic_google.hpp"
#include "sensor/proto/quic_initial.hpp"
#include "sensor/proto/test_stage.hpp"

namespace menshen::sensor {

using testing::Stage;
using namespace std::string_literals;

namespace {

std::string unhex(std::string_view digits) {
  std::string out;
  unsigned value = 0;
  std::size_t count = 0;
  for (const char c : digits) {
    if (c == ' ' || c == '\n') continue;
    value = value << 4U | static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10);
    if (++count % 2 == 0) out += static_cast<char>(value & 0xffU);
  }
  return out;
}

// RFC 9001 A.3: a server's Initial with an ACK and a ServerHello.
const std::string server_initial = unhex(
    "cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a5816b6394100f37a1c69797554780b"
    "b38cc5a99f5ede4cf73c3ec2493a1839b3dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19"
    "fb84022f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc42158407dd074ee");
const std::string client_id = unhex("8394c8f03e515708");

std::string be(std::size_t bytes, std::size_t value) {
  std::string out;
  for (std::size_t i = bytes; i-- > 0;) out += static_cast<char>(value >> (8 * i) & 0xffU);
  return out;
}
std::string le32(std::size_t value) {
  std::string out = be(4, value);
  std::ranges::reverse(out);
  return out;
}
std::string chlo() {
  return "CHLO"s + "\x03\0\0\0"s + "PAD\0"s + le32(2) + "SNI\0"s + le32(10) + "UAID"s + le32(14) +
         "--" + "quic.cn!" + "dart";
}

}  // namespace

TEST_CASE("the Initial packet of RFC 9001 opens") {
  Bytes datagram = as_bytes(server_initial);
  const auto packet = next_quic_packet(datagram);
  REQUIRE(packet);
  CHECK(datagram.empty());
  CHECK(packet->type == QuicPacketType::initial);
  CHECK(packet->version == quic_v1);
  CHECK(as_text(packet->source_id) == unhex("f067a5502a4262b5"));
  const auto payload = open_quic_initial(*packet, as_bytes(client_id), Direction::to_client);
  REQUIRE(payload);
  CHECK(
      as_text(*payload) ==
      unhex("02000000000600405a020000560303eefce7f7b37ba1d1632e96677825ddf73988cfc79825df566dc543"
            "0b9a045a1200130100002e00330024001d00209d3c940d89690b84d08a60993c144eca684d1081287c834d"
            "5311bcf32bb9da1a002b00020304"));
  CHECK_FALSE(open_quic_initial(*packet, as_bytes("another!"), Direction::to_client));
  CHECK_FALSE(open_quic_initial(*packet, as_bytes(client_id), Direction::to_server));
}

TEST_CASE("every shorter or changed datagram is harmless") {
  for (std::size_t size = 0; size < server_initial.size(); ++size) {
    Stage s;
    s.flow.tuple.proto = IpProto::udp;
    s.datagram(Direction::to_client, server_initial.substr(0, size));
    std::string changed = server_initial;
    changed[size] = static_cast<char>(changed[size] ^ 0x55);
    s.datagram(Direction::to_server, changed);
    s.finish();
    CHECK(s.told.size() <= 2);
  }
}

TEST_CASE("a client's Initial that does not open is an event") {
  Stage s;
  s.flow.tuple.proto = IpProto::udp;
  std::string initial = "\xc0"s + be(4, quic_v1) + be(1, 8) + client_id + be(1, 0) + be(1, 0) +
                        be(2, 0x4000 | 1100) + std::string(1100, 'x');
  s.datagram(Direction::to_server, initial);
  CHECK(s.flow.app == AppProto::quic);
  REQUIRE(s.told.size() == 1);
  CHECK(s.told[0].events == std::vector<std::string>{"quic.failed_decrypt"});
  CHECK(s.told[0][">quic.version"] == be(4, quic_v1));
  // The server's keys follow from the client's identifier.
  s.datagram(Direction::to_client, server_initial);
  REQUIRE(s.told.size() == 2);
  CHECK(s.told[1]["<ja3s.string"] == "771,4865,51-43");
  CHECK(s.told[1].eve.find(R"("version":"1")") != std::string::npos);
}

TEST_CASE("version 2 numbers its packets otherwise") {
  const std::string initial =
      "\xd0"s + be(4, quic_v2) + be(1, 0) + be(1, 0) + be(1, 0) + be(1, 30) + std::string(30, 'x');
  Bytes datagram = as_bytes(initial);
  const auto packet = next_quic_packet(datagram);
  REQUIRE(packet);
  CHECK(packet->type == QuicPacketType::initial);
}

TEST_CASE("Google's QUIC says who it is in the clear") {
  const std::string q046 = "\xc3"s + "Q046" + "\x50"s + "12345678" + be(4, 1) +
                           std::string(12, 'h') + "\xa0\x01"s + be(2, chlo().size()) + chlo();
  Stage s;
  s.flow.tuple.proto = IpProto::udp;
  s.datagram(Direction::to_server, q046);
  CHECK(s.flow.app == AppProto::quic);
  REQUIRE(s.told.size() == 1);
  CHECK(s.told[0][">quic.version"] == "Q046");
  CHECK(s.told[0][">quic.sni"] == "quic.cn!");
  CHECK(s.told[0][">quic.ua"] == "dart");
  CHECK(s.told[0][">quic.cyu.string"] == "46,PAD-SNI-UAID");
  const std::string q043 = "\x09"s + "12345678" + "Q043" + "\x01" + std::string(12, 'h') +
                           "\xa0\x01"s + be(2, chlo().size()) + chlo();
  const auto packet = read_google_quic(as_bytes(q043));
  REQUIRE(packet);
  CHECK(google_quic_fingerprint(*packet) == "43,PAD-SNI-UAID");
  CHECK_FALSE(read_google_quic(as_bytes("\x09 12345678Q050"s)));
}

}  // namespace menshen::sensor
