#include <catch2/catch.hpp>

#include "sensor/proto/test_bytes.hpp"

namespace menshen::sensor {

using namespace testing;  // NOLINT(google-build-using-namespace)

namespace {

std::string framed(std::string_view code, const std::string& rest) {
  const std::string header = unhex(code) + unhex("0000 0000 00") + rest;
  return unhex("0300") + be16(header.size() + 5) + static_cast<char>(header.size()) + header;
}
const std::string request =
    framed("e0", "Cookie: mstshash=admin\r\n" + unhex("01 00 0800 03000000"));

}  // namespace

TEST_CASE("RDP's request and confirmation") {
  const auto piece = GENERATE(values<std::size_t>({std::string_view::npos, 1}));
  StreamStage s;
  s.client(request, piece);
  CHECK(s.flow.app == AppProto::rdp);
  s.server(framed("d0", unhex("02 00 0800 00000000")), piece);
  s.client(std::string(3000, 'x'), piece);
  REQUIRE(s.told.size() == 1);
  CHECK(s.told[0].ended);
  CHECK(eve(s.told[0])["cookie"] == "admin");
  CHECK(eve(s.told[0])["flags"] == nlohmann::json::parse(R"(["ssl","credssp"])"));
  CHECK(eve(s.told[0])["response"]["protocol"] == "rdp");
}

TEST_CASE("RDP that agrees on TLS hands the connection over") {
  StreamStage s;
  s.client(request);
  s.server(framed("d0", unhex("02 00 0800 01000000")));
  CHECK(s.flow.app == AppProto::unknown);
}

}  // namespace menshen::sensor
