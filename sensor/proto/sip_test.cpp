#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "sensor/proto/message_dissectors.hpp"
#include "sensor/proto/message_parser.hpp"
#include "sensor/proto/test_stage.hpp"

namespace menshen::sensor {

using testing::Stage;

namespace {

constexpr std::string_view invite =
    "INVITE sip:bob@example.cn SIP/2.0\r\n"
    "Via: SIP/2.0/UDP pc.example.cn;branch=z9hG4bK776\r\n"
    "v: SIP/2.0/UDP second.example.cn\r\n"
    "f: <sip:alice@example.cn>;tag=1\r\n"
    "TO: <sip:bob@example.cn>\r\n"
    "User-Agent: phone\r\n  model 2\r\n"
    "Content-Type: application/sdp\r\n"
    "Content-Length: 125\r\n\r\n"
    "v=0\r\no=alice 1 1 IN IP4 10.0.0.1\r\ns=call\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n"
    "m=audio 49170 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=x\r\na=y\r\n";
constexpr std::string_view trying =
    "SIP/2.0 100 Trying now\r\nVia: SIP/2.0/UDP pc.example.cn\r\nContent-Length: 0\r\n\r\n";

}  // namespace

TEST_CASE("a SIP request and a response are a transaction each") {
  Stage s;
  s.flow.tuple.proto = IpProto::udp;
  s.datagram(Direction::to_server, invite);
  s.datagram(Direction::to_client, trying);
  CHECK(s.flow.app == AppProto::sip);
  REQUIRE(s.told.size() == 2);
  CHECK(s.told[0].ended);
  CHECK(s.told[0][">sip.method"] == "INVITE");
  CHECK(s.told[0][">sip.uri"] == "sip:bob@example.cn");
  CHECK(s.told[0][">sip.protocol"] == "SIP/2.0");
  CHECK(s.told[0][">sip.request_line"] == "INVITE sip:bob@example.cn SIP/2.0");
  CHECK(s.told[0][">sip.from"] == "<sip:alice@example.cn>;tag=1");
  CHECK(s.told[0][">sip.to"] == "<sip:bob@example.cn>");
  CHECK(s.told[0][">sip.via"] ==
        "SIP/2.0/UDP pc.example.cn;branch=z9hG4bK776,SIP/2.0/UDP second.example.cn");
  CHECK(s.told[0][">sip.user_agent"] == "phone\r\n  model 2");
  CHECK(s.told[0][">sip.content_length"] == "125");
  CHECK(s.told[1]["<sip.stat_code"] == "100");
  CHECK(s.told[1]["<sip.stat_msg"] == "Trying now");
  CHECK(s.told[1]["<sip.response_line"] == "SIP/2.0 100 Trying now");
  const auto eve = nlohmann::json::parse(s.told[1].eve);
  CHECK(eve["code"] == "100");
  CHECK(eve["reason"] == "Trying now");
}

TEST_CASE("a session description is read from a SIP body") {
  Stage s;
  s.flow.tuple.proto = IpProto::udp;
  s.datagram(Direction::to_server, invite);
  REQUIRE(s.told.size() == 1);
  CHECK(s.told[0][">sdp.session_name"] == "call");
  CHECK(s.told[0][">sdp.connection_data"] == "IN IP4 10.0.0.1");
  CHECK(s.told[0][">sdp.time"] == "0 0");
  CHECK(s.told[0][">sdp.media.media"] == "audio 49170 RTP/AVP 0");
  CHECK(s.told[0][">sdp.attribute"] == "rtpmap:0 PCMU/8000,x,y");
  const auto sdp = nlohmann::json::parse(s.told[0].eve)["sdp"];
  CHECK(sdp["origin"] == "alice 1 1 IN IP4 10.0.0.1");
  CHECK(sdp["time_descriptions"][0]["time"] == "0 0");
  CHECK(sdp["media_descriptions"][0]["attributes"].size() == 3);
}

TEST_CASE("SIP over TCP in every piece: a body belongs to its message") {
  const auto piece = GENERATE(values<std::size_t>({std::string_view::npos, 1, 7}));
  Stage s;
  s.client("\r\n\r\n" + std::string(invite) + std::string(invite), piece);
  s.server(trying, piece);
  CHECK(s.flow.app == AppProto::sip);
  REQUIRE(s.told.size() == 3);
  CHECK(s.told[1][">sip.method"] == "INVITE");
  CHECK(s.told[1][">sdp.attribute"] == "rtpmap:0 PCMU/8000,x,y");
  CHECK(s.told[2]["<sip.stat_code"] == "100");
}

TEST_CASE("what is not SIP is not taken for it, and what breaks off says so") {
  const auto probe = [](std::string_view text) {
    return probe_sip(Direction::to_server, as_bytes(text));
  };
  CHECK(probe("REGISTER sip:a SIP/2.0\r\n") == Guess::yes);
  CHECK(probe("SIP/2.0 200 OK\r\n") == Guess::yes);
  CHECK(probe("REGISTER sip:a") == Guess::more);
  CHECK(probe("SI") == Guess::more);
  CHECK(probe("GET / HTTP/1.1\r\n") == Guess::no);
  CHECK(probe("220 mail\r\n") == Guess::no);
  CHECK(probe("lowercase words here") == Guess::no);
  CHECK(probe(std::string(4000, 'A')) == Guess::no);
  Stage s;
  s.flow.tuple.proto = IpProto::udp;
  s.datagram(Direction::to_server, invite.substr(0, 200));
  REQUIRE(s.told.size() == 1);
  CHECK(s.told[0][">sip.method"] == "INVITE");
  s.datagram(Direction::to_server, "nonsense");
  CHECK(s.told.size() == 2);
  CHECK(s.proto.counters().parser_errors == 1);
}

TEST_CASE("a message longer than what is kept is cut, and the next one is read") {
  const std::string body(3 * message_bytes_max, 'x');
  Stage s;
  s.client("MESSAGE sip:a SIP/2.0\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
               body + std::string(invite),
           4000);
  REQUIRE(s.told.size() == 2);
  CHECK(s.told[0][">sip.method"] == "MESSAGE");
  CHECK(s.told[1][">sip.method"] == "INVITE");
  CHECK(s.proto.counters().limits_reached == 1);
}

}  // namespace menshen::sensor
