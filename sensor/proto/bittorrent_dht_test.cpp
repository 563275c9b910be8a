#include <catch2/catch.hpp>

#include "sensor/proto/test_bytes.hpp"

namespace menshen::sensor {

using namespace testing;  // NOLINT(google-build-using-namespace)

TEST_CASE("BitTorrent's table: queries, answers, errors") {
  DatagramStage s;
  const std::string id(20, 'a');
  s.datagram(Direction::to_server, "d1:ad2:id20:" + id + "9:info_hash20:" + id +
                                       "4:porti6881ee1:q9:get_peers1:t2:xy1:v4:UT011:y1:qe");
  s.datagram(Direction::to_client, "d1:rd2:id20:" + id + "5:nodes26:" + id +
                                       unhex("0a000001 1ae1") + "5:token2:zze1:t2:xy1:y1:re");
  s.datagram(Direction::to_client, "d1:eli201e5:Errore1:t2:xy1:y1:ee");
  CHECK(s.flow.app == AppProto::bittorrent_dht);
  REQUIRE(s.told.size() == 3);
  CHECK(eve(s.told[0])["request_type"] == "get_peers");
  CHECK(eve(s.told[0])["request"]["port"] == 6881);
  CHECK(eve(s.told[1])["response"]["nodes"][0]["ip"] == "10.0.0.1");
  CHECK(eve(s.told[1])["response"]["nodes"][0]["port"] == 6881);
  CHECK(eve(s.told[2])["error"]["msg"] == "Error");
}

TEST_CASE("bencoding that lies or nests too deep is refused") {
  DatagramStage s;
  s.datagram(Direction::to_server,
             "d1:ad2:id20:" + std::string(20, 'a') + "e1:x" + std::string(60'000, 'l'));
  s.datagram(Direction::to_server, "d1:ad2:id99999999999999999999:x");
  s.datagram(Direction::to_server, "d1:ad2:id-1:x");
  CHECK(s.told.size() == 3);
  CHECK(s.proto.counters().parser_errors == 3);
}

}  // namespace menshen::sensor
