#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "sensor/proto/test_stage.hpp"

namespace menshen::sensor::testing {
namespace {

constexpr std::string_view mail =
    "From: a@b\r\nTo: c@d\r\nSubject: hi\r\nContent-Type: application/x; name=\"e.exe\"\r\n\r\n"
    "..dot\r\nend\r\n.\r\n";

TEST_CASE("SMTP: two mails of one session are two transactions") {
  for (const std::size_t piece : {std::size_t{1}, std::size_t{5}, std::string::npos}) {
    Stage s;
    s.server("220 mx ESMTP\r\n", piece);
    s.client("EHLO me\r\n", piece);
    s.server("250-mx\r\n250 SIZE 1\r\n", piece);
    s.client("MAIL FROM:<a@b> SIZE=3\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\nDATA\r\n", piece);
    s.server("250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n", piece);
    s.client(mail, piece);
    s.server("250 queued\r\n", piece);
    s.client("MAIL FROM:<z@b>\r\n", piece);
    s.server("250 ok\r\n", piece);
    s.client("QUIT\r\n", piece);
    s.finish();
    CHECK(s.flow.app == AppProto::smtp);
    REQUIRE(s.told.size() == 2);
    const Told& one = s.told[0];
    CHECK(one.ended);
    CHECK(one[">smtp.helo"] == "me");
    CHECK(one[">smtp.mail_from"] == "<a@b>");
    CHECK(one[">smtp.rcpt_to"] == "<c@d>,<e@f>");
    CHECK(one[">email.subject"] == "hi");
    CHECK(one[">file.name"] == "e.exe");
    CHECK(one[">file.data"] == ".dot\r\nend");
    CHECK(s.told[1][">smtp.helo"] == "me");
    CHECK(s.told[1][">smtp.mail_from"] == "<z@b>");
    CHECK(s.told[1][">file.name"] == "-");
  }
}

TEST_CASE("SMTP: a message in chunks") {
  Stage s;
  s.client("EHLO me\r\nMAIL FROM:<a@b>\r\nBDAT 6\r\nSubjecBDAT 8 LAST\r\nt: x\r\n\r\nQUIT\r\n", 3);
  s.finish();
  REQUIRE(s.told.size() == 1);
  CHECK(s.told[0][">email.subject"] == "x");
}

TEST_CASE("SMTP: after STARTTLS comes another protocol, unless it is refused") {
  Stage s;
  s.server("220 mx ESMTP\r\n");
  s.client("EHLO me\r\n");
  s.server("250 ok\r\n");
  s.client("STARTTLS\r\n");
  s.server("220 go\r\n");
  CHECK(s.flow.app == AppProto::unknown);
  Stage refused;
  refused.client("EHLO me\r\nSTARTTLS\r\n");
  refused.server("220 mx\r\n250 ok\r\n454 no\r\n");
  CHECK(refused.flow.app == AppProto::smtp);
}

TEST_CASE("SMTP: a rejected message's lines are commands again") {
  Stage s;
  s.server("220 mx ESMTP\r\n");
  s.client("EHLO me\r\n");
  s.server("250 ok\r\n");
  s.client("DATA\r\n");
  s.server("503 no\r\n");
  s.client("MAIL FROM:<a@b>\r\n");
  s.finish();
  REQUIRE(s.told.size() == 2);
  CHECK(s.told[1][">smtp.mail_from"] == "<a@b>");
}

std::vector<std::string> events_of(const Stage& s) {
  std::vector<std::string> all;
  for (const Told& t : s.told) all.insert(all.end(), t.events.begin(), t.events.end());
  return all;
}
using Events = std::vector<std::string>;

// Greeted, and said hello to.
void begin(Stage& s) {
  s.server("220 mx ESMTP\r\n");
  s.client("EHLO me\r\n");
  s.server("250 ok\r\n");
}

TEST_CASE("SMTP: a line at its limits, and beyond") {
  const auto [length, events] = GENERATE(table<std::size_t, Events>({
      {2046, {}},  // 2048 with its end
      {2047, {"smtp.max_command_line_len_exceeded"}},
      {4094, {"smtp.max_command_line_len_exceeded"}},
      {4095, {"smtp.truncated_line", "smtp.max_command_line_len_exceeded"}},
  }));
  CAPTURE(length);
  Stage s;
  begin(s);
  std::string line = "NOOP ";
  line.resize(length, 'x');
  s.client(line + "\r\nQUIT\r\n");
  CHECK(events_of(s) == events);
}

TEST_CASE("SMTP: a client that does not wait where it has to") {
  const Events pipelined{"smtp.invalid_pipelined_sequence"};
  SECTION("after STARTTLS") {
    Stage s;
    begin(s);
    s.client("STARTTLS\r\nMAIL FROM:<a@b>\r\n");
    CHECK(events_of(s) == pipelined);
  }
  SECTION("after DATA") {
    Stage s;
    begin(s);
    s.client("DATA\r\nSubject: x\r\n");
    CHECK(events_of(s) == pipelined);
  }
  SECTION("commands that may follow one another") {
    Stage s;
    begin(s);
    s.client("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n");
    s.server("250 ok\r\n250 ok\r\n354 go\r\n");
    s.client("Subject: x\r\n\r\n.\r\nMAIL FROM:<e@f>\r\n");
    CHECK(events_of(s).empty());
  }
  SECTION("nobody knows where the server's side is not seen") {
    Stage s;
    s.client("EHLO me\r\nDATA\r\nSubject: x\r\n\r\n.\r\n");
    CHECK(events_of(s).empty());
  }
}

TEST_CASE("SMTP: a message that begins inside of another one") {
  Stage s;
  begin(s);
  s.client("BDAT 3\r\nabcDATA\r\n");
  CHECK(events_of(s) == Events{"smtp.unparsable_content"});
}

TEST_CASE("SMTP: a message nested deeper, or with more headers, than is read") {
  const auto at_limit = GENERATE(true, false);
  const Events events = at_limit ? Events{} : Events{"smtp.mime_parse_failed"};
  const auto sent = [](const std::string& message) {
    Stage s;
    begin(s);
    s.client("DATA\r\n");
    s.server("354 go\r\n");
    s.client(message + "\r\nx\r\n.\r\n");
    return events_of(s);
  };
  std::string headers;
  for (std::size_t i = 0; i < (at_limit ? 256U : 257U); ++i) {
    headers += "X-" + std::to_string(i) + ": y\r\n";
  }
  CHECK(sent(headers) == events);
  std::string nested;
  for (std::size_t i = 0; i < (at_limit ? 16U : 17U); ++i) {
    nested += fmt::format("Content-Type: multipart/mixed; boundary=b{0}e\r\n\r\n--b{0}e\r\n", i);
  }
  CHECK(sent(nested) == events);
}

TEST_CASE("SMTP: a change of protocol after too many others is refused, and said") {
  for (const std::size_t tunnels : {std::size_t{7}, std::size_t{8}}) {
    Stage s;
    for (std::size_t i = 0; i < tunnels; ++i) {
      s.client("CONNECT h:25 HTTP/1.1\r\nHost: h\r\n\r\n");
      s.server("HTTP/1.1 200 ok\r\n\r\n");
    }
    s.told.clear();  // each parser counts its transactions from zero
    begin(s);
    REQUIRE(s.flow.app == AppProto::smtp);
    s.client("STARTTLS\r\n");
    s.server("220 go\r\n");
    CHECK(events_of(s) == (tunnels < 8 ? Events{} : Events{"smtp.failed_protocol_change"}));
  }
}

TEST_CASE("HTTP: a change of protocol after too many others is refused, and said") {
  Stage s;
  std::size_t refused = 0;
  for (std::size_t i = 0; i < 9; ++i) {
    s.told.clear();
    s.client("CONNECT h:25 HTTP/1.1\r\nHost: h\r\n\r\n");
    s.server("HTTP/1.1 200 ok\r\n\r\n");
    const Events events = events_of(s);
    if (std::ranges::find(events, "http.failed_protocol_change") != events.end()) refused = i + 1;
  }
  CHECK(refused == 9);
}

}  // namespace
}  // namespace menshen::sensor::testing
