#include "sensor/proto/probe.hpp"

#include <catch2/catch.hpp>

#include "sensor/proto/test_stage.hpp"

namespace menshen::sensor {

using testing::Stage;
using namespace std::string_view_literals;

TEST_CASE("what first bytes tell") {
  const auto [direction, text, guess] = GENERATE(table<Direction, std::string_view, AppProto>({
      {Direction::to_server, "GET /"sv, AppProto::http1},
      {Direction::to_server, "GE"sv, AppProto::unknown},
      {Direction::to_server, "\r\n\r\nGET /"sv, AppProto::http1},
      {Direction::to_server, "FROB /x HTTP/1.1\r\n"sv, AppProto::http1},
      {Direction::to_server, "FROB /x FTP/1.1\r\n"sv, AppProto::failed},
      {Direction::to_server, "OPTIONS sip:a SIP/2.0\r\n"sv, AppProto::sip},
      {Direction::to_server, "OPTIONS * HTTP/1.1\r\n"sv, AppProto::http1},
      {Direction::to_server, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"sv, AppProto::http2},
      {Direction::to_server, "EHLO mail\r\n"sv, AppProto::smtp},
      {Direction::to_server, "\x16\x03\x01\x00\x10\x01"sv, AppProto::tls},
      // No TLS, but it may become a DNS message of 0x1603 bytes.
      {Direction::to_server, "\x16\x03\x01\x00\x10\x02"sv, AppProto::unknown},
      {Direction::to_server, "\x16\x01\x01\x00\x10\x01"sv, AppProto::tls},
      {Direction::to_client, "\x16\x03\x03\x00\x10\x02"sv, AppProto::tls},
      {Direction::to_client, "HTTP/1.1 200"sv, AppProto::http1},
      {Direction::to_client, "HTT"sv, AppProto::unknown},
      {Direction::to_client, "HTTP/2"sv, AppProto::failed},
      {Direction::to_client, "SSH-2.0-x\r\n"sv, AppProto::ssh},
      {Direction::to_client, "\xff nothing known\r\n"sv, AppProto::failed},
  }));
  CAPTURE(std::string(text));
  const auto told = recognise(stream_dissectors(), {}, direction, as_bytes(text));
  CHECK((told.dissector != nullptr ? told.dissector->proto
         : told.more               ? AppProto::unknown
                                   : AppProto::failed) == guess);
}

TEST_CASE("an unknown method is told by the response, and nothing is lost") {
  Stage s;
  s.client("STRANGE:METHOD /x\r\nHost: a\r\n\r\n");
  CHECK(s.flow.app == AppProto::unknown);
  s.server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  CHECK(s.flow.app == AppProto::http1);
  CHECK(s.told.at(0)["<http.response_body"] == "ok");
  CHECK(s.told[0][">http.request_line"] == "STRANGE:METHOD /x");
}

TEST_CASE("neither direction is ours: the flow is looked at no more") {
  Stage s;
  s.server("\xff nothing known\r\n");
  CHECK(s.flow.app == AppProto::unknown);
  s.client("\xff nothing known\r\n");
  CHECK(s.flow.app == AppProto::failed);
  CHECK(s.flow.proto == nullptr);
  s.client("GET / HTTP/1.1\r\n\r\n");
  CHECK(s.told.empty());
}

TEST_CASE("what stays unknown is given up at probe_bytes") {
  ProtoLimits limits;
  limits.probe_bytes = 100;
  Stage s(limits);
  s.client(std::string(99, '\xff'), 10);
  CHECK(s.flow.app == AppProto::unknown);
  s.client("\xff");
  CHECK(s.flow.app == AppProto::failed);
}

TEST_CASE("the same ports after both ends closed begin anew") {
  Stage s;
  s.client("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
  s.close(Direction::to_server);
  s.close(Direction::to_client);
  CHECK(s.told.at(0).ended);
  s.client("\x16\x03\x01\x00\x10\x01"sv);
  CHECK(s.flow.app == AppProto::tls);
}

}  // namespace menshen::sensor
