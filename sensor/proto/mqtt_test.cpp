#include <catch2/catch.hpp>

#include "sensor/proto/events.hpp"
#include "sensor/proto/message_dissectors.hpp"
#include "sensor/proto/test_bytes.hpp"

namespace menshen::sensor {

using namespace testing;  // NOLINT(google-build-using-namespace)

namespace {

std::string packet(unsigned first, const std::string& body) {
  return std::string{static_cast<char>(first), static_cast<char>(body.size())} + body;
}
std::string connect(unsigned version = 4) {
  return packet(0x10, text16("MQTT") + static_cast<char>(version) + '\xee' + be16(60) +
                          (version == 5 ? std::string("\x03\x21\x00\x14", 4) : std::string()) +
                          text16("device") + (version == 5 ? std::string(1, '\0') : std::string()) +
                          text16("last") + text16("gone") + text16("user") + text16("secret"));
}
const std::string connack = packet(0x20, std::string("\x01\x00", 2));

}  // namespace

TEST_CASE("an MQTT connection's messages and their answers are transactions") {
  const auto piece = GENERATE(values<std::size_t>({std::string_view::npos, 1, 3}));
  StreamStage s;
  s.client(connect(), piece);
  s.server(connack, piece);
  CHECK(s.flow.app == AppProto::mqtt);
  s.client(packet(0x32, text16("room/1") + be16(7) + "21 C"), piece);
  s.server(packet(0x40, be16(7)), piece);
  s.client(packet(0x82, be16(8) + text16("room/#") + '\1' + text16("hall") + '\0'), piece);
  s.server(packet(0x90, be16(8) + std::string("\x01\x80")), piece);
  s.client(packet(0xe0, ""), piece);
  REQUIRE(s.told.size() == 4);
  CHECK(s.told[0].ended);
  CHECK(s.told[0][">mqtt.connect.clientid"] == "device");
  CHECK(s.told[0][">mqtt.connect.willtopic"] == "last");
  CHECK(s.told[0][">mqtt.connect.willmessage"] == "gone");
  CHECK(s.told[0][">mqtt.connect.username"] == "user");
  CHECK(s.told[0][">mqtt.connect.password"] == "secret");
  CHECK(eve(s.told[0])["connack"]["session_present"] == true);
  CHECK(s.told[0].eve.find("secret") == std::string::npos);
  CHECK(s.told[1][">mqtt.publish.topic"] == "room/1");
  CHECK(s.told[1][">mqtt.publish.message"] == "21 C");
  CHECK(eve(s.told[1])["puback"]["message_id"] == 7);
  CHECK(s.told[1].ended);
  CHECK(s.told[2][">mqtt.subscribe.topic"] == "room/#,hall");
  CHECK(eve(s.told[2])["suback"]["qos_granted"] == nlohmann::json::parse("[1,128]"));
  CHECK(eve(s.told[3]).contains("disconnect"));
}

TEST_CASE("MQTT 5 has properties") {
  StreamStage s;
  s.client(connect(5));
  s.server(packet(0x20, std::string("\x00\x00\x03\x24\x01\xff", 6)));
  REQUIRE(s.told.size() == 1);
  CHECK(eve(s.told[0])["connect"]["properties"]["receive_maximum"] == 20);
  CHECK(s.told[0][">mqtt.connect.password"] == "secret");
  CHECK(eve(s.told[0])["connack"]["properties"]["maximum_qos"] == 1);
}

TEST_CASE("what an MQTT peer does wrong is an event") {
  struct Seen : StreamStage {
    using StreamStage::StreamStage;
    void on_end(Flow& f, Transaction& transaction) override {
      for (const ProtoEvent event : transaction.events) {
        names.emplace_back(proto_event_info(event).name);
      }
      Stage::on_end(f, transaction);
    }
    std::vector<std::string> names;
  };
  const auto events = [](const std::string& client, const std::string& server,
                         const std::string& then = "") {
    Seen s(1883);
    s.client(client);
    if (!server.empty()) s.server(server);
    if (!then.empty()) s.client(then);
    s.finish();
    return s.names;
  };
  using Names = std::vector<std::string>;
  CHECK(events(packet(0x30, text16("a") + "b"), "") == Names{"mqtt.unintroduced_message"});
  CHECK(events("", connack) == Names{"mqtt.missing_connect"});
  CHECK(events(connect(), connack, connect()) == Names{"mqtt.double_connect"});
  CHECK(events(connect(), connack, packet(0x36, text16("a") + be16(1) + "b")) ==
        Names{"mqtt.invalid_qos_level"});
  CHECK(events(connect(), connack, packet(0x00, "")) == Names{"mqtt.unassigned_msg_type"});
  CHECK(events(connect(), connack + packet(0x90, be16(9) + '\0')) ==
        Names{"mqtt.missing_subscribe"});
  CHECK(events(connect(), connack, packet(0x82, be16(9) + be16(400))) ==
        Names{"mqtt.malformed_traffic"});
}

TEST_CASE("MQTT is known by its first message, at its port by any") {
  const auto probe = [](std::string_view text) {
    return probe_mqtt(Direction::to_server, as_bytes(text));
  };
  CHECK(probe(connect()) == Guess::yes);
  CHECK(probe(connect().substr(0, 5)) == Guess::more);
  CHECK(probe("\x10 hello") == Guess::no);
  CHECK(probe("GET / HTTP/1.1") == Guess::no);
  StreamStage elsewhere;
  elsewhere.client(packet(0x30, text16("a") + "b"));
  CHECK(elsewhere.flow.app != AppProto::mqtt);
}

}  // namespace menshen::sensor
