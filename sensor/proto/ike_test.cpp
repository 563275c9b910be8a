#include <catch2/catch.hpp>

#include "sensor/proto/events.hpp"
#include "sensor/proto/test_bytes.hpp"

namespace menshen::sensor {

using namespace testing;  // NOLINT(google-build-using-namespace)

namespace {

std::string payload(unsigned next, const std::string& content) {
  return std::string{static_cast<char>(next), '\0'} + be16(content.size() + 4) + content;
}
std::string message(std::string_view version_and_exchange, unsigned first,
                    const std::string& payloads) {
  return unhex("0102030405060708 1112131415161718") + static_cast<char>(first) +
         unhex(version_and_exchange) + '\0' + be32(0) + be32(28 + payloads.size()) + payloads;
}
// Version 1: one proposal with one transform: AES, SHA1, shared key, group 2, a day, 128 bits.
const std::string association_v1 =
    unhex("00000001 00000001") +
    payload(0, unhex("01 01 00 01") +
                   payload(0, unhex("01 01 0000 8001 0007 800e 0080 8002 0002 8004 0002 8003 0001"
                                    "800b 0001 000c 0004 00015180")));
std::string transform(unsigned type, unsigned id) {
  return payload(0, std::string{static_cast<char>(type), '\0'} + be16(id));
}

struct Seen : DatagramStage {
  void on_end(Flow& f, Transaction& transaction) override {
    for (const ProtoEvent event : transaction.events) {
      names.emplace_back(proto_event_info(event).name);
    }
    Stage::on_end(f, transaction);
  }
  std::vector<std::string> names;
};

}  // namespace

TEST_CASE("IKE version 1: what was chosen, keys and vendors") {
  Seen s;
  s.datagram(Direction::to_server,
             message("10 02", 1, payload(13, association_v1) + payload(0, unhex("4a131c81"))));
  s.datagram(Direction::to_client, message("10 02", 1, payload(0, association_v1)));
  s.datagram(Direction::to_server,
             message("10 02", 4, payload(10, "public") + payload(0, "nonce")));
  CHECK(s.flow.app == AppProto::ike);
  REQUIRE(s.told.size() == 3);
  CHECK(s.told[0]["<ike.init_spi"] + s.told[0][">ike.init_spi"] == "-0102030405060708");
  CHECK(eve(s.told[0])["exchange_type_verbose"] == "Identity Protection");
  CHECK_FALSE(eve(s.told[0]).contains("alg_enc"));
  CHECK(eve(s.told[0])["vendor_ids"][0] == "4a131c81");
  CHECK(eve(s.told[1])["resp_spi"] == "1112131415161718");
  CHECK(eve(s.told[1])["alg_enc"] == 7);
  CHECK(eve(s.told[1])["sa_key_length"] == 128);
  CHECK(eve(s.told[1])["sa_life_duration"] == 86400);
  CHECK(s.told[2][">ike.key_exchange_payload"] == "public");
  CHECK(s.told[2][">ike.nonce_payload"] == "nonce");
}

TEST_CASE("IKE version 2: weak proposals are events, also behind the NAT marker") {
  const std::string weak = payload(0, std::string("\x01\x01\x00\x04", 4) + transform(1, 3) +
                                          transform(2, 2) + transform(3, 2) + transform(4, 2));
  const std::string strong = payload(0, std::string("\x01\x01\x00\x03", 4) + transform(1, 20) +
                                            transform(2, 5) + transform(4, 19));
  Seen s;
  s.datagram(Direction::to_server, be32(0) + message("20 22", 33, payload(0, strong)));
  CHECK(s.names.empty());
  s.datagram(Direction::to_server, message("20 22", 33, payload(0, weak)));
  CHECK(s.names == std::vector<std::string>{"ike.weak_crypto_enc", "ike.weak_crypto_prf",
                                            "ike.weak_crypto_auth", "ike.weak_crypto_dh"});
}

TEST_CASE("an IKE message whose lengths are wrong is one event") {
  Seen s;
  s.datagram(Direction::to_server, message("20 22", 33, unhex("00 00 0400")));
  CHECK(s.names == std::vector<std::string>{"ike.malformed_data"});
  s.datagram(Direction::to_server, "an ESP packet of some size beside it");
  CHECK(s.told.size() == 1);
}

}  // namespace menshen::sensor
