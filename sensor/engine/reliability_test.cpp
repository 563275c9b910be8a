// The classes of failure that inspection engines had (evasions E, denial D, memory M), each as a
// test through all stages. More of each class stand beside the stage that guards against it, under
// the same letters: E1 to E5, E10 in stream/ and packet/, D1 in tests/linear, M5 in apps/control.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "sensor/engine/eve.hpp"
#include "sensor/engine/test_conversation.hpp"
#include "sensor/proto/hostile_traffic.hpp"
#include "sensor/proto/test_deflate.hpp"

#if defined(__SANITIZE_ADDRESS__)
// Debian's gcc has the function and not its header.
extern "C" std::size_t __sanitizer_get_current_allocated_bytes();
#else
#include <malloc.h>
#endif

namespace menshen::sensor {
namespace {

// Bytes in use.
std::size_t heap_bytes() {
#if defined(__SANITIZE_ADDRESS__)
  return __sanitizer_get_current_allocated_bytes();
#else
  const auto info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
#endif
}

using testing::Conversation;
using testing::deflated;
using testing::EventList;
using testing::Feeder;
using testing::gzip;
using testing::tls_client_hello;
using Sids = std::multiset<std::uint32_t>;

struct Sensor {
  explicit Sensor(std::string_view rules, EngineOptions options = {}) {
    RuleSetBuilder builder;
    builder.add_text("test.rules", rules);
    auto built = std::move(builder).build();
    REQUIRE(built);
    CHECK(built->summary().rejected == 0);
    options.log_transactions = options.log_flows = false;
    engine = std::make_unique<Engine>(options, std::make_shared<const RuleSet>(std::move(*built)),
                                      nullptr, events);
  }
  [[nodiscard]] bool alerted(std::uint32_t sid) const { return events.alerts().contains(sid); }
  EventList events;
  std::unique_ptr<Engine> engine;
};

// Every cut of `text` into two segments.
void at_every_cut(std::string_view text,
                  const std::function<void(std::string_view, std::string_view)>& run) {
  for (std::size_t cut = 1; cut < text.size(); ++cut) run(text.substr(0, cut), text.substr(cut));
}

}  // namespace

TEST_CASE("E7: a change of protocol, cut at every byte, hides nothing of what follows") {
  SECTION("STARTTLS") {
    const std::string said = "STARTTLS\r\n";
    const std::string hello = tls_client_hello("evil.example");
    at_every_cut(hello, [&](std::string_view first, std::string_view second) {
      Sensor sensor(R"(alert tls any any -> any any (tls.sni; content:"evil.example"; sid:1;))");
      Conversation mail(*sensor.engine, 25);
      mail.server("220 a ESMTP\r\n");
      mail.client("EHLO b\r\n");
      mail.server("250 STARTTLS\r\n");
      mail.client(said);
      mail.server("220 go\r\n");
      mail.client(first);
      mail.client(second);
      REQUIRE(sensor.alerted(1));
    });
  }
  SECTION("CONNECT") {
    const std::string hello = tls_client_hello("evil.example");
    Sensor sensor(R"(alert tls any any -> any any (tls.sni; content:"evil.example"; sid:1;))");
    Conversation proxy(*sensor.engine, 3128);
    proxy.client("CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    proxy.server("HTTP/1.1 200 OK\r\n\r\n");
    proxy.client(hello);
    CHECK(sensor.alerted(1));
  }
  SECTION("a protocol that breaks off: the bytes are still looked at") {
    at_every_cut("GET / HTTP/1.1\r\n\r\n", [&](std::string_view first, std::string_view) {
      Sensor sensor(R"(alert tcp any any -> any any (content:"evil bytes"; sid:1;))");
      Conversation web(*sensor.engine, 80);
      web.client(first);
      web.client(std::string("\x00\x01\x02 evil bytes", 14));
      web.close();
      sensor.engine->flush();
      REQUIRE(sensor.alerted(1));
    });
  }
}

TEST_CASE("E8: lengths at the borders of integers hide nothing behind them") {
  const std::string evil = "GET /evil HTTP/1.1\r\nHost: a\r\n\r\n";
  for (const std::size_t length : {0xffU, 0x100U, 0x101U, 0xffffU, 0x10000U, 0x10001U}) {
    Sensor sensor(R"(alert http any any -> any any (http.uri; content:"/evil"; sid:1;))"
                  "\n"
                  R"(alert sip any any -> any any (sip.uri; content:"evil"; sid:2;))");
    Conversation web(*sensor.engine, 80);
    web.client("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(length) +
               "\r\n\r\n");
    for (std::size_t sent = 0; sent < length; sent += 1000) {
      web.client(std::string(std::min<std::size_t>(1000, length - sent), 'x'));
      web.server("");  // takes them
    }
    web.client(evil);
    CAPTURE(length);
    CHECK(sensor.alerted(1));
  }
  // Beyond 32 and 64 bits: no length is taken for a small one.
  for (const char* length : {"4294967296", "4294967301", "18446744073709551616"}) {
    EngineOptions options;
    options.inline_mode = true;
    Sensor sensor(R"(drop tcp any any -> any any (content:"evil"; sid:1;))", options);
    Conversation web(*sensor.engine, 80);
    web.client(std::string("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ") + length + "\r\n\r\n");
    CHECK(web.client(evil) == Verdict::drop);
  }
}

TEST_CASE("E9: HTTP that two readers read differently is seen the receiver's way") {
  Sensor sensor(R"(alert http any any -> any any (http.response_body; content:"evil"; sid:1;)
alert http any any -> any any (http.uri; content:"/smuggled"; sid:2;)
alert http any any -> any any (http.header; content:"X-Evil|3a| a b"; sid:3;))");
  const std::string head = "HTTP/1.1 200 OK\r\n";
  struct Row {
    const char* name;
    std::string answer;
  };
  const std::string zipped = gzip("evil");
  const std::string twice = gzip(deflated("evil", testing::zlib_form));
  const Row rows[] = {
      {"chunks of one byte",
       head +
           "Transfer-Encoding: chunked\r\n\r\n1\r\ne\r\n1\r\nv\r\n1\r\ni\r\n1\r\nl\r\n0\r\n\r\n"},
      {"chunk extension",
       head + "Transfer-Encoding: chunked\r\n\r\n4;a=\"b;c\"\r\nevil\r\n0\r\n\r\n"},
      {"leading zeros", head + "Transfer-Encoding: chunked\r\n\r\n00000004\r\nevil\r\n0\r\n\r\n"},
      {"both lengths",
       head + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n"},
      {"no length", head + "\r\nevil"},
      {"gzip", head + "Content-Encoding: gzip\r\nContent-Length: " + std::to_string(zipped.size()) +
                   "\r\n\r\n" + zipped},
      {"gzip in pieces of a chunk",
       head + "Content-Encoding: x-gzip\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n" +
           zipped.substr(0, 1) + "\r\n" + fmt::format("{:x}", zipped.size() - 1) + "\r\n" +
           zipped.substr(1) + "\r\n0\r\n\r\n"},
      {"two codings", head + "Content-Encoding: deflate, gzip\r\nContent-Length: " +
                          std::to_string(twice.size()) + "\r\n\r\n" + twice},
      {"0.9", "evil"},
  };
  std::size_t expected = 0;
  for (const Row& row : rows) {
    CAPTURE(row.name);
    Sensor one(R"(alert http any any -> any any (http.response_body; content:"evil"; sid:1;))");
    Conversation web(*one.engine, 80);
    web.client(row.answer == "evil" ? "GET /\r\n" : "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    web.server(row.answer);
    web.close();
    one.engine->flush();
    CHECK(one.alerted(1));
    ++expected;
  }
  CHECK(expected == std::size(rows));
  // Chunked wins over a length: what stands behind the last chunk is the next request.
  Conversation web(*sensor.engine, 80);
  web.client(
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
      "\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\nX-Evil: a\r\n b\r\n\r\n");
  CHECK(sensor.alerted(2));
  CHECK(sensor.alerted(3));
}

TEST_CASE("D2: an expression that backtracks without end stops at its limit") {
  Sensor sensor(
      R"(alert tcp any any -> any any (content:"aaaa"; pcre:"/(?=a)(a|aa)+[bd][bd]/"; sid:1;)
alert tcp any any -> any any (content:"aaaa"; pcre:!"/(?=a)(a|aa)+[bd][bd]/"; sid:2;))");
  Conversation talk(*sensor.engine, 7777);
  for (int i = 0; i < 20; ++i) talk.client(std::string(1400, 'a') + "b");
  talk.close();
  sensor.engine->flush();
  CHECK(sensor.engine->counters().pcre_limit > 0);
  CHECK_FALSE(sensor.alerted(1));
}

TEST_CASE("D2: content within content is opened to a depth") {
  std::string body = "evil";
  for (int i = 0; i < 40; ++i) body = gzip(body);
  std::string codings = "gzip";
  for (int i = 1; i < 40; ++i) codings += ", gzip";
  Sensor sensor(
      R"(alert http any any -> any any (app-layer-event:http.too_many_encoding_layers; sid:1;))");
  Conversation web(*sensor.engine, 80);
  web.client("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  web.server("HTTP/1.1 200 OK\r\nContent-Encoding: " + codings +
             "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  web.close();
  sensor.engine->flush();
  CHECK(sensor.alerted(1));
}

TEST_CASE("M1: one flow may speak for ever: what is held does not grow") {
  constexpr std::size_t held_max = 2U << 20U;  // what one flow's limits let it keep
  for (const auto& growing : testing::growing_messages()) {
    CAPTURE(std::string(growing.name));
    Feeder feeder(false);
    const Direction direction = growing.server ? Direction::to_client : Direction::to_server;
    feeder.say(reverse(direction), growing.first, 65536);
    const std::string text = growing.text(200);
    const std::size_t before = heap_bytes();
    for (int i = 0; i < 20; ++i) feeder.say(direction, text, 1460);
    const std::size_t once = heap_bytes();
    for (int i = 0; i < 40; ++i) feeder.say(direction, text, 1460);
    const std::size_t thrice = heap_bytes();
    CHECK(once < before + held_max);
    CHECK(thrice < before + held_max);
  }
}

TEST_CASE("M2: a bomb stops at its limit, with an event") {
  Sensor sensor(R"(alert http any any -> any any (app-layer-event:http.compression_bomb; sid:1;))");
  const std::string bomb = gzip(std::string(64U << 20U, '\0'));
  CHECK(bomb.size() < 70'000);
  Conversation web(*sensor.engine, 80);
  web.client("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  web.server("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: " +
             std::to_string(bomb.size()) + "\r\n\r\n");
  for (std::size_t at = 0; at < bomb.size(); at += 1460) web.server(bomb.substr(at, 1460));
  web.close();
  sensor.engine->flush();
  CHECK(sensor.alerted(1));
}

TEST_CASE("M3: what rules report of hostile bytes goes through the event log whole") {
  std::string hostile;
  for (int i = 0; i < 256; ++i) hostile += static_cast<char>(i);
  EngineOptions options;
  RuleSetBuilder builder;
  builder.add_text("r",
                   R"(alert http any any -> any any (msg:"\"\\ 门神"; http.uri; content:"/x"; )"
                   R"(tag:session,10,packets; target:src_ip; metadata:a b, c d; sid:1;))");
  EventList events;
  class Logger final : public EventSink {
   public:
    void on_events(std::span<const Event> list) override {
      for (const Event& event : list) {
        const std::string line = to_eve_json(event);
        CHECK(line.find('\n') == std::string::npos);
        CHECK(line.back() == '}');
        ++lines;
      }
    }
    std::size_t lines = 0;
  } logger;
  Engine engine(options, std::make_shared<const RuleSet>(std::move(builder).build().value()),
                nullptr, logger);
  Conversation web(engine, 80);
  web.client("GET /x" + hostile + " HTTP/1.1\r\nHost: " + hostile + "\r\nCookie: " + hostile +
             "\r\n\r\n");
  web.server("HTTP/1.1 " + hostile + "\r\n" + hostile + ": " + hostile + "\r\n\r\n" + hostile);
  web.close();
  engine.flush();
  CHECK(logger.lines >= 2);
}

TEST_CASE(
    "M4: a tenant's hostile rules write no file, hold bounded memory, and the loader survives") {
  const auto marker = std::filesystem::temp_directory_path() / "menshen-m4-marker";
  std::filesystem::remove(marker);
  const std::string path = marker.string();
  std::string rules;
  rules += "alert tcp any any -> any any (dataset:set,x,type string,save " + path + "; sid:1;)\n";
  rules += "alert tcp any any -> any any (lua:" + path + "; sid:2;)\n";
  rules += "alert tcp any any -> any any (filestore:" + path + "; sid:3;)\n";
  rules +=
      "alert tcp any any -> any any (content:\"" + std::string(1U << 20U, 'a') + "\"; sid:4;)\n";
  rules +=
      "alert tcp any any -> any any (pcre:\"/((((a{1,9999}){1,9999}){1,9999}){1,9999})/\"; "
      "sid:5;)\n";
  rules += "alert tcp " + std::string(5000, '[') + " any -> any any (sid:6;)\n";
  rules += "alert tcp any any -> any any (content:\"x\"; offset:18446744073709551615; sid:7;)\n";
  rules += "alert tcp any any -> any any (byte_jump:9999999999,0; content:\"a\"; sid:8;)\n";
  rules += std::string("alert tcp any any -> any any (content:\"\0\xff\"; sid:9;)\n", 52);
  rules += "alert tcp any any -> any any (content:\"good\"; sid:10;)\n";
  RuleSetBuilder builder;
  builder.add_text("tenant.rules", rules);
  auto built = std::move(builder).build();
  REQUIRE(built);
  CHECK(built->summary().rejected >= 6);
  CHECK(built->summary().loaded >= 1);
  EventList events;
  Engine engine({}, std::make_shared<const RuleSet>(std::move(*built)), nullptr, events);
  Conversation talk(engine, 7777);
  talk.client("good" + std::string(3000, 'a'));
  talk.close();
  engine.flush();
  CHECK(events.alerts().contains(10));
  CHECK_FALSE(std::filesystem::exists(marker));
}

}  // namespace menshen::sensor
