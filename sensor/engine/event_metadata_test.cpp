// What events tell beside the match: variables, statistics; and rules for both directions.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "sensor/detect/content_match.hpp"
#include "sensor/detect/inspector.hpp"
#include "sensor/engine/eve.hpp"
#include "sensor/engine/test_conversation.hpp"

namespace menshen::sensor {
namespace {

using Json = nlohmann::json;
using testing::Conversation;
using testing::EventList;

struct Records final : EventSink {
  void on_events(std::span<const Event> events) override {
    for (const Event& event : events) all.push_back(Json::parse(to_eve_json(event)));
  }
  [[nodiscard]] std::vector<Json> of(std::string_view type) const {
    std::vector<Json> found;
    for (const Json& record : all) {
      if (record.at("event_type") == type) found.push_back(record);
    }
    return found;
  }
  std::vector<Json> all;
};

std::unique_ptr<Engine> engine_of(std::string_view rules, EventSink& sink,
                                  const EngineOptions& options = {}) {
  RuleSetBuilder builder;
  builder.add_text("test.rules", rules);
  auto built = std::move(builder).build();
  REQUIRE(built);
  REQUIRE(built->summary().rejected == 0);
  return std::make_unique<Engine>(options, std::make_shared<const RuleSet>(std::move(*built)),
                                  nullptr, sink);
}

}  // namespace

TEST_CASE("metadata: flowbits, flowints and captures stand in the alert and the flow record") {
  Records records;
  const auto engine = engine_of(
      "alert http any any -> any any (http.uri; pcre:\"/user=(\\w+)&id=(\\d+)/, flow:user, "
      "pkt:id\"; flowbits:set,logged.in; flowint:visits,=,3; sid:1;)",
      records);
  Conversation talk(*engine, 80);
  talk.client("GET /?user=alice&id=42 HTTP/1.1\r\nHost: a\r\n\r\n");
  talk.server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  talk.close();
  engine->flush();
  const auto alerts = records.of("alert");
  REQUIRE(alerts.size() == 1);
  CHECK(alerts[0].at("metadata") == Json::parse(R"({"flowbits":["logged.in"],
    "flowints":{"visits":3},"flowvars":[{"user":"alice"}],"pktvars":[{"id":"42"}]})"));
  const auto flows = records.of("flow");
  REQUIRE(flows.size() == 1);
  CHECK(flows[0].at("metadata").at("flowvars") == Json::parse(R"([{"user":"alice"}])"));
  CHECK_FALSE(flows[0].at("metadata").contains("pktvars"));
}

TEST_CASE("metadata: what a rule caught that did not match is told nowhere") {
  Records records;
  const auto engine = engine_of(
      "alert tcp any any -> any any (pcre:\"/x(.)/, pkt:a\"; content:\"never\"; sid:1;)\n"
      "alert tcp any any -> any any (pcre:\"/(x)(.)(?=3)/, pkt:b, pkt:c\"; sid:2;)",
      records);
  Conversation talk(*engine, 7777);
  talk.client(
      "x1 x2 x\xff"
      "3");
  talk.close();
  engine->flush();
  const auto alerts = records.of("alert");
  REQUIRE(alerts.size() == 1);
  CHECK(alerts[0].at("metadata") ==
        Json::parse("{\"pktvars\":[{\"b\":\"x\"},{\"c\":\"\xef\xbf\xbd\"}]}"));
}

TEST_CASE("metadata: what other rules caught in vain takes no room") {
  std::string rules;
  for (std::size_t i = 1; i <= captured_max; ++i) {
    rules +=
        "alert http any any -> any any (http.uri; pcre:\"/(a+)/, flow:x\"; http.user_agent; "
        "content:!\"agent\"; sid:" +
        std::to_string(i) + ";)\n";
  }
  rules += "alert http any any -> any any (http.uri; pcre:\"/(a+)/, flow:y\"; sid:1000;)\n";
  Records records;
  const auto engine = engine_of(rules, records);
  Conversation talk(*engine, 80);
  talk.client("GET /aa HTTP/1.1\r\nHost: a\r\nUser-Agent: agent\r\n\r\n");
  talk.close();
  engine->flush();
  const auto alerts = records.of("alert");
  REQUIRE(alerts.size() == 1);
  CHECK(alerts[0].at("metadata").at("flowvars") == Json::parse(R"([{"y":"aa"}])"));
}

TEST_CASE("metadata: captures are bounded in number and length") {
  std::string rules;
  for (std::size_t i = 0; i <= captures_max; ++i) {
    rules += "alert tcp any any -> any any (pcre:\"/(a+)/, flow:v" + std::to_string(i) +
             "\"; sid:" + std::to_string(i + 1) + ";)\n";
  }
  Records records;
  const auto engine = engine_of(rules, records);
  Conversation talk(*engine, 7777);
  talk.client(std::string(1000, 'a'));
  talk.close();
  engine->flush();
  const auto flows = records.of("flow");
  REQUIRE(flows.size() == 1);
  const Json& captures = flows[0].at("metadata").at("flowvars");
  CHECK(captures.size() == captures_max);
  CHECK(captures[0].at("v0") == std::string(captured_bytes_max, 'a'));
}

TEST_CASE("a flow without variables has no metadata") {
  Records records;
  const auto engine = engine_of("alert tcp any any -> any any (content:\"a\"; sid:1;)", records);
  Conversation talk(*engine, 7777);
  talk.client("a");
  talk.close();
  engine->flush();
  for (const Json& record : records.all) CHECK_FALSE(record.contains("metadata"));
}

TEST_CASE("stats: a record each interval of the packets' time, sums since the beginning") {
  Records records;
  EngineOptions options;
  options.stats_seconds = 10;
  options.inline_mode = GENERATE(false, true);
  const auto engine =
      engine_of("drop udp any any -> any any (content:\"bad\"; sid:1;)", records, options);
  constexpr WallTime second = 1'000'000'000;
  constexpr WallTime begin = 1'700'000'000 * second;
  const auto at = [&](WallTime seconds, std::string_view payload) {
    testing::send_datagram(*engine, payload, 9, begin + seconds * second);
  };
  at(0, "good");
  at(9, "bad");
  CHECK(records.of("stats").empty());
  at(10, "good");
  at(19, "good");
  engine->expire(begin + 20 * second);
  const auto stats = records.of("stats");
  REQUIRE(stats.size() == 2);
  const Json& first = stats[0].at("stats");
  CHECK(first.at("uptime") == 10);
  CHECK(first.at("decoder").at("pkts") == 3);
  CHECK(first.at("decoder").at("udp") == 3);
  CHECK(first.at("detect").at("alert") == 1);
  CHECK(first.at("detect").at("engines")[0].at("rules_loaded") == 1);
  CHECK(first.at("flow").at("total") == 1);
  CHECK(first.contains("ips") == options.inline_mode);
  if (options.inline_mode) {
    CHECK(first.at("ips").at("blocked").get<int>() >= 1);
    CHECK(first.at("menshen").at("drops").contains("rule"));
  }
  CHECK(stats[1].at("stats").at("decoder").at("pkts") == 4);
  CHECK_FALSE(stats[0].contains("src_ip"));
}

TEST_CASE("<> with two sides reports what fits both ways twice, else once") {
  EventList events;
  const auto engine = engine_of(
      "alert udp 10.0.0.0/8 any <> any any (content:\"both\"; sid:1;)\n"
      "alert udp 10.20.0.0/16 any <> 10.30.0.0/16 any (content:\"both\"; sid:2;)\n"
      "alert udp any any <> any any (content:\"both\"; sid:3;)\n"
      "alert udp any any <> any 9 (content:\"both\"; sid:4;)\n"
      "alert udp 10.0.0.0/8 any -> any any (content:\"both\"; sid:5;)\n",
      events);
  testing::send_datagram(*engine, "both", 9, 1);
  CHECK(events.alerts() == std::multiset<std::uint32_t>{1, 1, 2, 3, 4, 5});
}

}  // namespace menshen::sensor
