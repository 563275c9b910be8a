#include <catch2/catch.hpp>

#include "sensor/proto/ftp_data.hpp"
#include "sensor/proto/test_stage.hpp"

namespace menshen::sensor::testing {
namespace {

const IpAddr client_address = IpAddr::v4(0x0a000001);
const IpAddr server_address = IpAddr::v4(0x0a000002);

void from_client_to_server(Flow& flow) {
  flow.tuple.src = client_address;
  flow.tuple.dst = server_address;
}

// A data connection beside the control connection of `s`.
Flow data_flow(const IpAddr& from, const IpAddr& to, std::uint16_t port) {
  Flow flow;
  flow.tuple.proto = IpProto::tcp;
  flow.tuple.src = from;
  flow.tuple.dst = to;
  flow.tuple.sport = 20;
  flow.tuple.dport = port;
  return flow;
}

void data(Stage& s, Flow& flow, Direction direction, std::string_view bytes) {
  s.told.clear();
  PacketMeta packet;
  packet.direction = direction;
  s.proto.on_stream_data(flow, direction, as_bytes(bytes), packet);
}

TEST_CASE("FTP: each command with its replies is a transaction") {
  for (const std::size_t piece : {std::size_t{1}, std::string::npos}) {
    Stage s;
    s.server("220 FTP ready\r\n", piece);
    s.client("user bob\r\n", piece);
    s.server("331-one\r\n331 two\r\n", piece);
    s.client("RETR a.txt\r\n", piece);
    s.server("150 begins\r\n", piece);
    s.server("226 done\r\n", piece);
    s.finish();
    CHECK(s.flow.app == AppProto::ftp);
    REQUIRE(s.told.size() == 3);
    CHECK(s.told[0]["<ftp.reply"] == "FTP ready");
    CHECK(s.told[1][">ftp.command"] == "USER");
    CHECK(s.told[1][">ftp.command_data"] == "bob");
    CHECK(s.told[1]["<ftp.completion_code"] == "331,331");
    CHECK(s.told[2]["<ftp.reply"] == "begins,done");
    CHECK(s.told[2].ended);
  }
}

TEST_CASE("FTP: passive and active transfers become files of their data connections") {
  Stage s;
  from_client_to_server(s.flow);
  s.server("220 FTP\r\n");
  s.client("PASV\r\n");
  s.server("227 Entering Passive Mode (10,0,0,2,4,1).\r\n");
  s.client("RETR a.txt\r\n");
  Flow passive = data_flow(client_address, server_address, 4 * 256 + 1);
  data(s, passive, Direction::to_client, "content");
  CHECK(passive.app == AppProto::ftp_data);
  REQUIRE(s.told.size() == 1);
  CHECK(s.told[0]["<file.name"] == "a.txt");
  CHECK(s.told[0]["<file.data"] == "content");
  CHECK(s.told[0][">ftpdata_command"] == "retr");

  s.client("EPRT |1|10.0.0.1|5000|\r\n");
  s.client("STOR b.txt\r\n");
  Flow active = data_flow(server_address, client_address, 5000);
  data(s, active, Direction::to_client, "upload");
  CHECK(s.told[0]["<file.data"] == "upload");
  // Announced once: the next connection there is somebody else's.
  Flow again = data_flow(server_address, client_address, 5000);
  data(s, again, Direction::to_client, "upload");
  CHECK(again.app != AppProto::ftp_data);
}

TEST_CASE("FTP: another tenant's connection is not the one that was announced") {
  Stage s;
  from_client_to_server(s.flow);
  s.flow.tuple.attachment = 7;
  s.server("220 FTP\r\n");
  s.client("EPSV\r\n");
  s.server("229 ok (|||5000|)\r\n");
  s.client("RETR a\r\n");
  Flow other = data_flow(client_address, server_address, 5000);
  data(s, other, Direction::to_client, "xxxx");
  CHECK(other.app != AppProto::ftp_data);
  Flow own = data_flow(client_address, server_address, 5000);
  own.tuple.attachment = 7;
  data(s, own, Direction::to_client, "xxxx");
  CHECK(own.app == AppProto::ftp_data);
}

TEST_CASE("FTP: announced connections are bounded, in number and in time") {
  ExpectedFlows expected;
  for (std::size_t i = 0; i <= expected_flows_max; ++i) {
    ExpectedFlow flow;
    flow.initiator = client_address;
    flow.responder = server_address;
    flow.port = static_cast<std::uint16_t>(i + 1);
    flow.until = 100;
    expected.add(flow);
  }
  CHECK(expected.size() == expected_flows_max);
  CHECK_FALSE(expected.take(data_flow(client_address, server_address, 1)).has_value());
  CHECK(expected.take(data_flow(client_address, server_address, 2)).has_value());
  Flow late = data_flow(client_address, server_address, 3);
  late.last = 101;
  CHECK_FALSE(expected.take(late).has_value());
  CHECK(expected.empty());
}

TEST_CASE("FTP: lines longer than the limit are cut, and it goes on") {
  Stage s;
  s.client("USER " + std::string(5000, 'a') + "\r\nQUIT\r\n");
  s.finish();
  REQUIRE(s.told.size() == 2);
  CHECK(s.told[0][">ftp.command_data"].size() == 4096 - 5);
  CHECK(s.told[1][">ftp.command"] == "QUIT");
}

TEST_CASE("FTP: AUTH hands over to TLS when the server agrees") {
  Stage s;
  s.server("220 FTP\r\n");
  s.client("AUTH TLS\r\n");
  s.server("234 go\r\n");
  CHECK(s.flow.app == AppProto::unknown);
}

}  // namespace
}  // namespace menshen::sensor::testing
