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

}  // namespace
}  // namespace menshen::sensor::testing
