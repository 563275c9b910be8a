#include <catch2/catch.hpp>

#include "sensor/proto/test_bytes.hpp"

namespace menshen::sensor {

using namespace testing;  // NOLINT(google-build-using-namespace)
using namespace std::string_literals;

namespace {

std::string packet(unsigned number, const std::string& content) {
  return le16(content.size()) + '\0' + static_cast<char>(number) + content;
}
const std::string greeting = packet(0,
                                    "\x0a"
                                    "8.0.36\0"s +
                                        std::string(60, 'x'));

}  // namespace

TEST_CASE("MySQL: greeting, login, commands") {
  const auto piece = GENERATE(values<std::size_t>({std::string_view::npos, 1}));
  StreamStage s;
  s.server(greeting, piece);
  CHECK(s.flow.app == AppProto::mysql);
  s.client(packet(1, unhex("05a60f00") + std::string(28, '\0') + "root\0secret"s), piece);
  s.server(packet(2, std::string(7, '\0')), piece);
  s.client(packet(0, "\3select version()"), piece);
  s.server(packet(1, "\1"), piece);
  REQUIRE(s.told.size() == 2);
  CHECK(eve(s.told[0])["user"] == "root");
  CHECK(eve(s.told[0])["version"] == "8.0.36");
  CHECK(s.told[0].eve.find("secret") == std::string::npos);
  CHECK(eve(s.told[1])["command"] == "query");
  CHECK(eve(s.told[1])["query"] == "select version()");
  CHECK(s.told[1].ended);
}

TEST_CASE("MySQL that changes to TLS hands the connection over") {
  StreamStage s;
  s.server(greeting);
  s.client(packet(1, unhex("85ae0f00") + std::string(28, '\0')));
  CHECK(s.flow.app == AppProto::unknown);
  REQUIRE(s.told.size() == 1);
  CHECK(eve(s.told[0])["tls"] == true);
}

}  // namespace menshen::sensor
