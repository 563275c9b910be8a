#include <catch2/catch.hpp>

#include "sensor/detect/rule_parser.hpp"
#include "sensor/proto/tls_transaction.hpp"

namespace menshen::sensor {

namespace {

// The rule's questions about numbers, or nothing where it is refused.
std::optional<std::vector<NumberTest>> asked_by(std::string_view options) {
  static const ParseContext context{default_variables(), default_classifications()};
  const std::string text = "alert ip any any -> any any (" + std::string(options) + " sid:1;)";
  Diagnostics diagnostics("t.rules", text);
  const auto rule = parse_rule(split_rules(text).at(0), context, diagnostics);
  if (!rule) return std::nullopt;
  std::vector<NumberTest> tests;
  for (const auto& test : rule->asks) tests.push_back(std::get<NumberTest>(test));
  return tests;
}

bool holds(std::string_view options, std::uint64_t value) {
  const auto tests = asked_by(options);
  REQUIRE(tests);
  REQUIRE_FALSE(tests->empty());
  return std::ranges::all_of(*tests, [&](const NumberTest& test) {
    return std::ranges::any_of(test.any_of,
                               [&](const NumberRange& range) { return range.contains(value); });
  });
}

}  // namespace

TEST_CASE("versions of TLS in both spellings") {
  CHECK(holds("tls.version:1.2;", 0x0303));
  CHECK_FALSE(holds("tls.version:1.2;", 0x0304));
  CHECK(holds("tls.version:0x7f12;", 0x7f12));
  CHECK_FALSE(asked_by("tls.version:2.0;"));
  CHECK(holds("ssl_version:sslv2,sslv3;", 0x0300));
  CHECK_FALSE(holds("ssl_version:sslv2,sslv3;", 0x0301));
  CHECK_FALSE(holds("ssl_version:!sslv3,!tls1.0;", 0x0301));
  CHECK(holds("ssl_version:!sslv3,!tls1.0;", 0x0302));
  CHECK_FALSE(asked_by("ssl_version:tls9;"));
}

TEST_CASE("states of a TLS handshake") {
  CHECK(holds("ssl_state:client_hello|server_keyx;",
              static_cast<std::uint64_t>(SslState::server_keyx)));
  CHECK_FALSE(holds("ssl_state:client_hello;", static_cast<std::uint64_t>(SslState::server_hello)));
  CHECK_FALSE(asked_by("ssl_state:nonsense;"));
}

TEST_CASE("dates of certificates") {
  constexpr std::uint64_t day_2015_10_22 = 1445472000;
  CHECK(holds("tls_cert_notbefore:2015-10-22;", day_2015_10_22));
  CHECK(holds("tls_cert_notafter:>2015;", day_2015_10_22));
  CHECK_FALSE(holds("tls_cert_notafter:<2015-10;", day_2015_10_22));
  CHECK(holds("tls_cert_notbefore:2015-10-21<>2015-10-22 00:00:01;", day_2015_10_22));
  CHECK_FALSE(asked_by("tls_cert_notbefore:2016<>2015;"));
  CHECK_FALSE(asked_by("tls_cert_notafter:yesterday;"));
  CHECK(holds("tls_cert_expired;", 1));
  CHECK(holds("tls_cert_valid;", 0));
}

TEST_CASE("settings of HTTP/2") {
  const auto tests = asked_by("http2.settings:SETTINGS_HEADER_TABLE_SIZE >4096;");
  REQUIRE(tests);
  CHECK(tests->at(0).to_server == Number::http2_settings_header_table_size);
  CHECK(holds("http2.settings:SETTINGS_ENABLE_PUSH=0;", 0));
  CHECK_FALSE(asked_by("http2.settings:SETTINGS_NONSENSE=1;"));
}

TEST_CASE("flags of WebSocket") {
  CHECK(holds("websocket.flags:fin,!comp;", 0x80));
  CHECK_FALSE(holds("websocket.flags:fin,!comp;", 0xc0));
  CHECK(holds("websocket.flags:&0x40=0x40;", 0xc0));
  CHECK(holds("websocket.flags:128;", 0x80));
  CHECK_FALSE(asked_by("websocket.flags:nonsense;"));
}

}  // namespace menshen::sensor
