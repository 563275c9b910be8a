// Packets that an inline sensor sends on with other bytes: overlapping segments and `replace`.
#include <catch2/catch.hpp>

#include "sensor/engine/test_conversation.hpp"

namespace menshen::sensor {
namespace {

using testing::EventList;

// One connection, segment by segment, inline; the bytes that the receiver would get.
class Line {
 public:
  explicit Line(std::string_view rules, bool inline_mode = true) {
    RuleSetBuilder builder;
    builder.add_text("test.rules", rules);
    auto built = std::move(builder).build();
    REQUIRE(built);
    REQUIRE(built->summary().rejected == 0);
    EngineOptions options;
    options.inline_mode = inline_mode;
    options.log_flows = options.log_transactions = options.log_anomalies = false;
    engine = std::make_unique<Engine>(options, std::make_shared<const RuleSet>(std::move(*built)),
                                      nullptr, events);
    segment(true, 0, "S", "");
    segment(false, 0, "SA", "");
    segment(true, 1, "A", "");
  }

  // What is sent on of the client's bytes at `offset` of its stream; nullopt: dropped.
  std::optional<std::string> client(std::uint32_t offset, std::string_view bytes) {
    return segment(true, 1 + offset, "PA", bytes);
  }
  std::optional<std::string> segment(bool from_client, std::uint32_t seq, std::string_view flags,
                                     std::string_view bytes) {
    auto builder = testkit::packet().ethernet();
    if (from_client) {
      builder.ipv4("203.0.113.9", "10.30.0.10").tcp(40000, 80);
    } else {
      builder.ipv4("10.30.0.10", "203.0.113.9").tcp(80, 40000);
    }
    builder.seq(1000 + seq).flags(flags).window(65535);
    if (flags != "S") builder.ack(1001);
    if (!bytes.empty()) builder.payload(bytes);
    return send(builder.build());
  }
  std::optional<std::string> send(const testkit::Packet& frame) {
    const auto batch = std::make_unique<PacketBatch>();
    PacketMeta& meta = batch->push();
    meta.data = frame.data();
    meta.length = static_cast<std::uint32_t>(frame.size());
    meta.time = time += 1'000'000;
    engine->process(*batch);
    if (meta.dropped()) return std::nullopt;
    rewritten = meta.data != frame.data();
    return std::string(as_text(meta.payload()));
  }
  EventList events;
  std::unique_ptr<Engine> engine;
  WallTime time = 1'700'000'000'000'000'000;
  bool rewritten = false;
};

constexpr std::string_view both =
    "alert tcp-pkt any any -> any any (content:\"EVIL\"; sid:1;)\n"
    "alert tcp-stream any any -> any any (content:\"EVIL\"; sid:2;)\n"
    "alert tcp-pkt any any -> any any (content:\"GOOD\"; sid:3;)\n"
    "alert tcp any any -> any any (stream-event:reassembly_overlap_different_data; sid:4;)\n";

}  // namespace

TEST_CASE("E3: inline, a segment that repeats bytes in flight is made to say the same") {
  Line line(both);
  CHECK(line.client(0, "GOOD") == "GOOD");
  CHECK_FALSE(line.rewritten);
  CHECK(line.client(0, "EVIL") == "GOOD");
  CHECK(line.rewritten);
  CHECK(line.engine->counters().rewritten == 1);
  // Partly new bytes: the new ones stay.
  CHECK(line.client(2, "XXEVER") == "ODEVER");
  // The same again passes as it is.
  CHECK(line.client(0, "GOODEVER") == "GOODEVER");
  CHECK_FALSE(line.rewritten);
  const auto alerts = line.events.alerts();
  CHECK(alerts.count(1) == 0);
  CHECK(alerts.count(2) == 0);
  CHECK(alerts.count(3) >= 2);
  CHECK(alerts.count(4) == 2);
}

TEST_CASE("E3: inline, a segment that repeats waiting bytes is made to say the same") {
  Line line(both);
  CHECK(line.client(4, "GOOD") == "GOOD");  // a hole before it
  CHECK(line.client(2, "abEVIL") == "abGOOD");
  CHECK(line.client(0, "xyEVIL") == "xyabGO");
  CHECK(line.events.alerts().count(2) == 0);
}

TEST_CASE("E3: bytes that the receiver has acknowledged may say anything") {
  Line line(both);
  CHECK(line.client(0, "GOOD") == "GOOD");
  auto acknowledgement = testkit::packet()
                             .ethernet()
                             .ipv4("10.30.0.10", "203.0.113.9")
                             .tcp(80, 40000)
                             .seq(1001)
                             .ack(1005)
                             .flags("A")
                             .window(65535)
                             .build();
  line.send(acknowledgement);
  CHECK(line.client(0, "EVIL") == "EVIL");
}

TEST_CASE("E3: a passive sensor rewrites nothing") {
  Line line(both, false);
  CHECK(line.client(0, "GOOD") == "GOOD");
  CHECK(line.client(0, "EVIL") == "EVIL");
  CHECK(line.events.alerts().count(1) == 1);
}

TEST_CASE("replace: inline, the content becomes another in each packet that matches") {
  Line line(
      "alert tcp any any -> any any (content:\"secret\"; replace:\"******\"; sid:1;)\n"
      "alert tcp-stream any any -> any any (content:\"secret\"; sid:2;)\n");
  CHECK(line.client(0, "a secret word") == "a ****** word");
  CHECK(line.client(13, "no word") == "no word");
  // Sent again: the same again.
  CHECK(line.client(0, "a secret word") == "a ****** word");
  CHECK(line.events.alerts() == std::multiset<std::uint32_t>{1});
}

TEST_CASE("replace: each content where it stands, those that no path leads to stay") {
  Line line(
      "alert tcp any any -> any any (content:\"ab\"; replace:\"AB\"; content:\"cd\"; "
      "distance:1; within:2; replace:\"CD\"; content:\"!\"; sid:1;)\n");
  CHECK(line.client(0, "ab_ab.cd!") == "ab_AB.CD!");
  CHECK(line.client(9, "ab.cd") == "ab.cd");
}

TEST_CASE("replace: a rule on a protocol rewrites the packet that makes it known, and repeats") {
  Line line("alert http any any -> any any (content:\"/admin\"; replace:\"/nobdy\"; sid:1;)\n");
  const std::string request = "GET /admin HTTP/1.1\r\nHost: a\r\n\r\n";
  const std::string changed = "GET /nobdy HTTP/1.1\r\nHost: a\r\n\r\n";
  CHECK(line.client(0, request) == changed);
  // A part of it again, in another cut: what the receiver has is what it gets.
  CHECK(line.client(4, request.substr(4, 3)) == changed.substr(4, 3));
}

TEST_CASE("replace: a pass rule stands before it, a passive sensor changes nothing") {
  const std::string rule =
      "alert tcp any any -> any any (content:\"secret\"; replace:\"******\"; sid:1;)\n";
  Line passed("pass tcp-pkt any any -> any any (content:\"word\"; sid:2;)\n" + rule);
  CHECK(passed.client(0, "a secret word") == "a secret word");
  Line passive(rule, false);
  CHECK(passive.client(0, "a secret word") == "a secret word");
  CHECK(passive.events.alerts() == std::multiset<std::uint32_t>{1});
}

TEST_CASE("replace: what cannot be put back is rejected with the reason") {
  const std::string_view bad =
      GENERATE("alert tcp any any -> any any (content:\"abc\"; replace:\"ab\"; sid:1;)",
               "alert tcp any any -> any any (replace:\"ab\"; sid:1;)",
               "alert tcp any any -> any any (content:!\"ab\"; replace:\"cd\"; sid:1;)",
               "alert http any any -> any any (http.uri; content:\"ab\"; replace:\"cd\"; sid:1;)",
               "alert tcp any any -> any any (content:\"ab\"; replace:\"cd\"; http_uri; sid:1;)",
               "alert tcp-stream any any -> any any (content:\"ab\"; replace:\"cd\"; sid:1;)",
               "alert tcp any any -> any any (to_md5; content:\"ab\"; replace:\"cd\"; sid:1;)");
  RuleSetBuilder builder;
  builder.add_text("test.rules", bad);
  const auto built = std::move(builder).build();
  REQUIRE(built);
  CHECK(built->summary().loaded == 0);
  CHECK(built->summary().rejected == 1);
}

}  // namespace menshen::sensor
