#include <catch2/catch.hpp>

#include "sensor/proto/test_bytes.hpp"

namespace menshen::sensor {

using namespace testing;  // NOLINT(google-build-using-namespace)

TEST_CASE("Telnet: lines without the negotiation, in every piece") {
  const auto piece = GENERATE(values<std::size_t>({std::string_view::npos, 1, 3}));
  StreamStage s;
  s.client(unhex("fffd03 fffb18 fffa1f00500020fff0"), piece);
  s.server(unhex("fffb01"), piece);
  s.client("cat /etc" + unhex("fff1") + "/passwd\r\n" + "next\n", piece);
  CHECK(s.flow.app == AppProto::telnet);
  std::vector<std::string> lines;
  for (const auto& told : s.told) {
    if (const std::string line = told[">frame.data"]; line != "-") lines.push_back(line);
  }
  CHECK(lines == std::vector<std::string>{"cat /etc", "/passwd\r\n", "next\n"});
  CHECK(s.told[0][">frame.header"] == unhex("fffd03"));
  CHECK(s.told[2][">frame.header"] == unhex("fffa1f00500020fff0"));
}

TEST_CASE("a Telnet line without an end is given in parts") {
  StreamStage s;
  s.client(unhex("fffd03") + std::string(10'000, 'x'), 999);
  CHECK(s.told.size() == 10);
}

}  // namespace menshen::sensor
