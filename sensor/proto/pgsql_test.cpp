#include <catch2/catch.hpp>

#include "sensor/proto/test_bytes.hpp"

namespace menshen::sensor {

using namespace testing;  // NOLINT(google-build-using-namespace)
using namespace std::string_literals;

namespace {

std::string typed(char type, const std::string& content) {
  return type + be32(content.size() + 4) + content;
}
const std::string startup = be32(8 + 21) + be32(196608) + "user\0app\0"s + "database\0x\0"s + '\0';
const std::string ready = typed('Z', "I");

}  // namespace

TEST_CASE("PostgreSQL: startup, password, queries until the server is ready again") {
  const auto piece = GENERATE(values<std::size_t>({std::string_view::npos, 1, 6}));
  StreamStage s;
  s.client(be32(8) + be32(80877103), piece);
  s.server("N", piece);
  s.client(startup, piece);
  s.server(typed('R', be32(5) + "salt"), piece);
  s.client(typed('p', "md5secret\0"s), piece);
  s.server(typed('R', be32(0)) + typed('S', "TimeZone\0UTC\0"s) + ready, piece);
  s.client(typed('Q', "select 1\0"s), piece);
  s.server(typed('T', be16(1)) + typed('D', "xx") + typed('D', "yyy") + typed('C', "SELECT 2\0"s) +
               ready,
           piece);
  s.client(typed('P', "\0delete from t\0\0\0"s), piece);
  s.server(typed('E', "SERROR\0C42P01\0Mno such table\0\0"s) + ready, piece);
  s.client(typed('X', ""), piece);
  CHECK(s.flow.app == AppProto::pgsql);
  REQUIRE(s.told.size() == 6);
  CHECK(eve(s.told[1])["request"]["startup_parameters"]["user"] == "app");
  CHECK(eve(s.told[1])["response"]["message"] == "authentication_md5_password");
  CHECK(s.told[2].eve.find("secret") == std::string::npos);
  CHECK(s.told[3][">pgsql.query"] == "select 1");
  CHECK(eve(s.told[3])["response"]["data_rows"] == 2);
  CHECK(eve(s.told[3])["response"]["command_completed"] == "SELECT 2");
  CHECK(s.told[4][">pgsql.query"] == "delete from t");
  CHECK(eve(s.told[4])["response"]["code"] == "42P01");
  CHECK(s.told[5].ended);
}

TEST_CASE("PostgreSQL that agrees on TLS hands the connection over") {
  StreamStage s;
  s.client(be32(8) + be32(80877103));
  s.server("S");
  CHECK(s.flow.app == AppProto::unknown);
  REQUIRE(s.told.size() == 1);
  CHECK(eve(s.told[0])["response"]["ssl_accepted"] == true);
}

}  // namespace menshen::sensor
