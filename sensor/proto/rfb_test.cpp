#include <catch2/catch.hpp>

#include "sensor/proto/test_bytes.hpp"

namespace menshen::sensor {

using namespace testing;  // NOLINT(google-build-using-namespace)

namespace {

const std::string server_init =
    be16(800) + be16(600) + unhex("20 18 00 01 00ff 00ff 00ff 10 08 00 000000") + be32(4) + "desk";

}  // namespace

TEST_CASE("RFB's handshake is one transaction, what follows is not read") {
  const auto piece = GENERATE(values<std::size_t>({std::string_view::npos, 1, 5}));
  StreamStage s;
  s.server("RFB 003.008\n", piece);
  s.client("RFB 003.008\n", piece);
  CHECK(s.flow.app == AppProto::rfb);
  s.server(unhex("02 01 02"), piece);
  s.client("\x02", piece);
  s.server("0123456789abcdef", piece);
  s.client("fedcba9876543210", piece);
  s.server(be32(0), piece);
  s.client(std::string(1, '\1'), piece);
  s.server(server_init + std::string(5000, 'x'), piece);
  s.client(std::string(5000, 'y'), piece);
  REQUIRE(s.told.size() == 1);
  CHECK(s.told[0].ended);
  CHECK(s.told[0]["<rfb.name"] == "desk");
  const auto json = eve(s.told[0]);
  CHECK(json["server_protocol_version"]["minor"] == "008");
  CHECK(json["authentication"]["security_type"] == 2);
  CHECK(json["authentication"]["security_result"] == "OK");
  CHECK(json["screen_shared"] == true);
  CHECK(json["framebuffer"]["width"] == 800);
}

TEST_CASE("RFB: a refused client, an old server, one out of its turn") {
  StreamStage refused;
  refused.server("RFB 003.008\n");
  refused.client("RFB 003.008\n");
  refused.server(std::string(1, '\0') + be32(4) + "busy");
  CHECK(eve(refused.told.at(0))["server_security_failure_reason"] == "busy");
  CHECK(refused.told[0].ended);
  StreamStage old;
  old.server("RFB 003.003\n");
  old.client("RFB 003.003\n");
  old.server(be32(1));
  old.client(std::string(1, '\0'));
  old.server(server_init);
  CHECK(old.told.at(0)["<rfb.name"] == "desk");
  StreamStage early;
  early.server("RFB 003.008\n");
  early.server(unhex("02 01 02"));
  CHECK(early.flow.app == AppProto::rfb);
  CHECK(early.told.at(0).ended);
}

}  // namespace menshen::sensor
