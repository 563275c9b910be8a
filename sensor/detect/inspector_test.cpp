#include "sensor/detect/inspector.hpp"

#include <catch2/catch.hpp>

#include <deque>
#include <map>
#include <random>
#include <set>

#include "sensor/detect/compiled_rules.hpp"
#include "sensor/detect/content_match.hpp"
#include "sensor/packet/decode.hpp"
#include "tests/testkit/packet_builder.hpp"

using namespace menshen;
using namespace menshen::sensor;
using testkit::packet;

namespace {

std::shared_ptr<const RuleSet> rules_of(const std::string& text) {
  RuleSetBuilder builder;
  builder.add_text("test.rules", text);
  auto rules = std::move(builder).build();
  REQUIRE(rules);
  for (const auto& diagnostics : rules->diagnostics()) {
    INFO(diagnostics.render(Lang::en));
    REQUIRE_FALSE(diagnostics.has_errors());
  }
  return std::make_shared<const RuleSet>(std::move(*rules));
}

using Sids = std::multiset<std::uint32_t>;

// A transaction whose buffers the test fills in.
class FakeTransaction final : public Transaction {
 public:
  [[nodiscard]] AppProto proto() const noexcept override { return AppProto::http1; }
  [[nodiscard]] std::size_t instances(Buffer buffer) const noexcept override {
    const auto found = buffers.find(buffer);
    return found == buffers.end() ? 0 : found->second.size();
  }
  [[nodiscard]] View view(Buffer buffer, std::size_t instance) const noexcept override {
    const auto& [text, done] = buffers.at(buffer).at(instance);
    return {as_bytes(text), done};
  }
  [[nodiscard]] bool complete(Direction direction) const noexcept override {
    return over[static_cast<std::size_t>(direction)];
  }
  [[nodiscard]] std::string eve() const override { return "{}"; }

  std::map<Buffer, std::vector<std::pair<std::string, bool>>> buffers;
  std::array<bool, 2> over{};
};

// One TCP flow, driven by hand: what the stream and proto stages would tell the inspector.
class Bench {
 public:
  explicit Bench(const std::string& rules, InspectorOptions options = {})
      : inspector(options, rules_of(rules)) {
    flow.tuple = {
        *IpAddr::parse("10.0.0.1"), *IpAddr::parse("10.0.0.2"), 1234, 80, 0, IpProto::tcp, 0};
    flow.app = AppProto::http1;
    flow.established = true;
    flow.id = 1;
  }

  Sids stream(std::string_view bytes, Direction direction = Direction::to_server) {
    auto& offset = offsets[static_cast<std::size_t>(direction)];
    PacketMeta meta = segment(direction);
    inspector.begin(meta);
    inspector.on_stream_data(flow, direction, as_bytes(bytes), offset, meta);
    offset += bytes.size();
    if (flush) inspector.flush_stream(flow, direction, meta);
    return decide(meta);
  }

  Sids change(FakeTransaction& transaction, Direction direction = Direction::to_server) {
    PacketMeta meta = segment(direction);
    inspector.begin(meta);
    inspector.on_transaction(flow, transaction, direction, meta);
    return decide(meta);
  }

  Sids datagram(std::string_view payload, std::uint16_t port = 53) {
    frame =
        packet().ethernet().ipv4("10.0.0.1", "10.0.0.2").udp(999, port).payload(payload).build();
    return whole(nullptr);
  }

  Sids whole(Flow* of) {
    PacketBatch batch;
    PacketMeta& meta = batch.push();
    meta.data = frame.data();
    meta.length = static_cast<std::uint32_t>(frame.size());
    DecodeCounters counters;
    decode(batch, {}, counters);
    REQUIRE(!meta.dropped());
    meta.flow = of;
    meta.time = time;
    inspector.begin(meta);
    inspector.inspect_packet(meta);
    inspector.inspect_protocol(meta);
    return decide(meta);
  }

  Sids decide(PacketMeta& meta) {
    Sids sids;
    findings = inspector.decide(meta);
    for (const Finding& finding : findings) sids.insert(finding.rule->sid);
    verdict = meta.verdict;
    return sids;
  }

  PacketMeta segment(Direction direction) {
    PacketMeta meta;
    meta.flow = &flow;
    meta.direction = direction;
    meta.time = time;
    return meta;
  }

  Inspector inspector;
  Flow flow;
  std::array<std::uint64_t, 2> offsets{};
  testkit::Packet frame;
  std::vector<Finding> findings;
  Verdict verdict = Verdict::accept;
  WallTime time = 0;
  bool flush = true;  // after each segment
};

const std::string tcp_any = "alert tcp any any -> any any ";

}  // namespace

TEST_CASE("a stream rule matches across segments, once") {
  Bench bench(tcp_any + "(content:\"attack\"; sid:1;)");
  CHECK(bench.stream("xxatt").empty());
  CHECK(bench.stream("ackyy") == Sids{1});
  CHECK(bench.stream("zz").empty());
  CHECK(bench.stream("attack") == Sids{1});
}

TEST_CASE("a passive sensor looks at whole chunks, an inline one at every segment") {
  const bool is_inline = GENERATE(false, true);
  Bench bench(tcp_any + "(content:\"attack\"; sid:1;)", {.inline_mode = is_inline});
  bench.flush = false;
  CHECK(bench.stream("attack").size() == (is_inline ? 1U : 0U));
  CHECK(bench.stream("attack").size() == (is_inline ? 1U : 0U));
  CHECK(bench.stream(std::string(stream_chunk_bytes, 'x')).size() == (is_inline ? 0U : 1U));
}

TEST_CASE("the other contents of a stream rule may come later") {
  Bench bench(tcp_any + "(content:\"first-one\"; content:\"b2\"; distance:0; sid:1;)");
  CHECK(bench.stream("..first-one..").empty());
  CHECK(bench.stream(".b").empty());
  CHECK(bench.stream("2.") == Sids{1});
}

TEST_CASE("a rule on a protocol by its number costs the others nothing") {
  const auto rules = rules_of("alert ip !10.9.9.9 any -> any any (ip_proto:41; sid:1;)");
  const auto& compiled = rules->compiled();
  CHECK(compiled.packet[0][0].always.any_port.empty());
  CHECK(compiled.packet[1][0].always.any_port.empty());
  CHECK(compiled.packet[3][0].always.any_port.size() == 1);
}

TEST_CASE("what a flow's bits forbid needs no look into buffers") {
  Bench bench(
      "alert http any any -> any any (flowbits:isset,seen; http.request_body; "
      "content:\"attack\"; sid:1;)");
  FakeTransaction tx;
  tx.buffers[Buffer::http_request_body] = {{"an attack", false}};
  CHECK(bench.change(tx).empty());
  CHECK(bench.inspector.counters().examined_bytes == 0);
}

TEST_CASE("beyond the look-back a rule has to begin again") {
  Bench bench(tcp_any + "(content:\"first-one\"; content:\"b2\"; distance:0; sid:1;)");
  CHECK(bench.stream("first-one").empty());
  CHECK(bench.stream(std::string(stream_window_bytes, 'x')).empty());
  CHECK(bench.stream("b2").empty());
}

TEST_CASE("a missing part of a stream joins nothing") {
  Bench bench(tcp_any + "(content:\"attack\"; sid:1;)");
  CHECK(bench.stream("att").empty());
  bench.inspector.on_stream_gap(bench.flow, Direction::to_server);
  bench.offsets[0] += 10;
  CHECK(bench.stream("ack").empty());
}

TEST_CASE("a transaction fires a rule when its last buffer answers, once") {
  Bench bench(
      "alert http any any -> any any (http.uri; content:\"/shell\"; http.request_body; "
      "content:\"evil\"; sid:1;)");
  FakeTransaction tx;
  tx.buffers[Buffer::http_uri] = {{"/shell.php", true}};
  CHECK(bench.change(tx).empty());
  tx.buffers[Buffer::http_request_body] = {{"...ev", false}};
  CHECK(bench.change(tx).empty());
  tx.buffers[Buffer::http_request_body] = {{"...evil", false}};
  CHECK(bench.change(tx) == Sids{1});
  tx.buffers[Buffer::http_request_body] = {{"...evil evil", true}};
  tx.over[0] = true;
  CHECK(bench.change(tx).empty());
}

TEST_CASE("what a waiting rule costs grows with the buffer, not with its pieces") {
  const std::string rule =
      "alert http any any -> any any (http.request_body; content:\"begin\"; content:\"end!\"; "
      "sid:1;)";
  constexpr std::size_t piece = 100;
  constexpr std::size_t pieces = 2'000;
  for (const bool inline_mode : {false, true}) {
    InspectorOptions options;
    options.inline_mode = inline_mode;
    Bench bench(rule, options);
    FakeTransaction tx;
    std::string body = "begin";
    for (std::size_t i = 0; i < pieces; ++i) {
      body.append(piece, 'x');
      tx.buffers[Buffer::http_request_body] = {{body, false}};
      CHECK(bench.change(tx).empty());
    }
    CHECK(bench.inspector.counters().examined_bytes < 12 * body.size());
    tx.buffers[Buffer::http_request_body] = {{body + "end!", true}};
    tx.over[0] = true;
    CHECK(bench.change(tx) == Sids{1});
  }
}

TEST_CASE("of many instances each is looked at once") {
  Bench bench(
      "alert http any any -> any any (http.request_header; content:\"X-A: begin\"; "
      "content:\"end!\"; sid:1;)");
  FakeTransaction tx;
  auto& lines = tx.buffers[Buffer::http_request_header_line];
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < 500; ++i) {
    lines.emplace_back("X-A: begin, and no more", false);
    bytes += lines.back().first.size();
    CHECK(bench.change(tx).empty());
  }
  CHECK(bench.inspector.counters().examined_bytes < 3 * bytes);
  lines.emplace_back("X-A: begin end!", false);
  CHECK(bench.change(tx) == Sids{1});
}

TEST_CASE("negation and sizes wait for the whole buffer") {
  Bench bench(
      "alert http any any -> any any (http.request_body; content:\"good\"; content:!\"bad\"; "
      "sid:1;)\n"
      "alert http any any -> any any (http.request_body; content:\"good\"; bsize:9; sid:2;)");
  FakeTransaction tx;
  tx.buffers[Buffer::http_request_body] = {{"good", false}};
  CHECK(bench.change(tx).empty());
  tx.buffers[Buffer::http_request_body] = {{"good good", true}};
  CHECK(bench.change(tx) == Sids{1, 2});
}

TEST_CASE("a buffer that never comes: no match, unless the rule asks for its absence") {
  Bench bench(
      "alert http any any -> any any (http.user_agent; content:!\"x\"; sid:1;)\n"
      "alert http any any -> any any (http.user_agent; absent; sid:2;)");
  FakeTransaction tx;
  CHECK(bench.change(tx).empty());
  tx.over[0] = true;
  CHECK(bench.change(tx) == Sids{2});
}

TEST_CASE("request and response in one transactional rule") {
  Bench bench(
      "alert http any any => any any (http.uri; content:\"/login\"; http.stat_code; "
      "content:\"200\"; sid:1;)");
  FakeTransaction tx;
  tx.buffers[Buffer::http_uri] = {{"/login", true}};
  tx.over[0] = true;
  CHECK(bench.change(tx).empty());
  tx.buffers[Buffer::http_stat_code] = {{"200", true}};
  CHECK(bench.change(tx, Direction::to_client) == Sids{1});
}

TEST_CASE("inline: drop rules drop the packet, stream and protocol rules the flow") {
  const std::string rules =
      "drop http any any -> any any (http.uri; content:\"/evil\"; sid:1;)\n"
      "drop udp any any -> any any (content:\"evil\"; sid:2;)";
  SECTION("inline") {
    Bench bench(rules, {.inline_mode = true});
    FakeTransaction tx;
    tx.buffers[Buffer::http_uri] = {{"/evil", true}};
    CHECK(bench.change(tx) == Sids{1});
    CHECK(bench.verdict == Verdict::drop);
    CHECK(bench.findings.at(0).blocked);
    CHECK(bench.flow.action == FlowAction::drop);
    CHECK(bench.datagram("evil") == Sids{2});
    CHECK(bench.verdict == Verdict::drop);
  }
  SECTION("passive, or a flow that is only watched") {
    const bool watched = GENERATE(false, true);
    Bench bench(rules, {.inline_mode = watched});
    bench.flow.label.mode = watched ? InspectMode::alert : InspectMode::block;
    FakeTransaction tx;
    tx.buffers[Buffer::http_uri] = {{"/evil", true}};
    CHECK(bench.change(tx) == Sids{1});
    CHECK(bench.verdict == Verdict::accept);
    CHECK_FALSE(bench.findings.at(0).blocked);
    // Nothing more is said of a flow that would not have gone on.
    CHECK(bench.flow.action == (watched ? FlowAction::none : FlowAction::drop));
  }
}

TEST_CASE("pass stands before drop and alert; its flow is let go where it speaks of the stream") {
  Bench bench(
      "alert tcp any any -> any any (content:\"evil\"; sid:1;)\ndrop tcp any any -> any any "
      "(content:\"evil\"; sid:2;)\n"
      "pass tcp any any -> any any (content:\"trusted\"; sid:3;)",
      {.inline_mode = true});
  CHECK(bench.stream("evil trusted").empty());
  CHECK(bench.verdict == Verdict::accept);
  CHECK(bench.flow.action == FlowAction::pass);
}

TEST_CASE("flowbits and flowint join rules of one flow") {
  Bench bench(
      "alert tcp any any -> any any (content:\"login\"; flowbits:set,in; flowbits:noalert; "
      "sid:1;)\n"
      "alert tcp any any -> any any (content:\"transfer\"; flowbits:isset,in; sid:2;)\n"
      "alert tcp any any -> any any (content:\"ping\"; flowint:n,+,1; noalert; sid:3;)\n"
      "alert tcp any any -> any any (content:\"stop\"; flowint:n,>=,2; sid:4;)");
  CHECK(bench.stream("transfer").empty());
  CHECK(bench.stream("login ").empty());
  CHECK(bench.stream("transfer") == Sids{2});
  CHECK(bench.stream("ping").empty());
  // Longer than what each look repeats of the one before, or "stop" would be found again.
  CHECK(bench.stream("stop and go on").empty());
  CHECK(bench.stream("ping").empty());
  CHECK(bench.stream("stop") == Sids{4});
}

TEST_CASE("thresholds count per host") {
  Bench bench(
      "alert udp any any -> any any (content:\"flood\"; threshold:type limit,track by_src,count "
      "2,seconds 9; sid:1;)");
  CHECK(bench.datagram("flood") == Sids{1});
  CHECK(bench.datagram("flood") == Sids{1});
  CHECK(bench.datagram("flood").empty());
  CHECK(bench.inspector.counters().suppressed == 1);
  bench.time = 10'000'000'000;
  CHECK(bench.datagram("flood") == Sids{1});
}

TEST_CASE("header fields") {
  Bench bench(
      "alert udp any any -> any 53 (dsize:>3; sid:1;)\nalert udp any any -> any !53 (sid:2;)\n"
      "alert udp any any -> any any (ttl:64; udp.hdr; content:\"|00 35|\"; offset:2; depth:2; "
      "sid:3;)\n"
      "alert ip any any -> any any (ip_proto:17; sid:4;)");
  CHECK(bench.datagram("abcd") == Sids{1, 3, 4});
  CHECK(bench.datagram("abc", 99) == Sids{2, 4});
}

TEST_CASE("candidates beyond the limit are counted, not checked") {
  std::string rules;
  for (int i = 1; i <= 20; ++i)
    rules += "alert udp any any -> any any (dsize:>0; sid:" + std::to_string(i) + ";)\n";
  Bench bench(rules, {.candidates_max = 5});
  CHECK(bench.datagram("x").size() == 5);
  CHECK(bench.inspector.counters().candidate_limit == 1);
}

TEST_CASE("reports of one packet end at their limit") {
  std::string rules;
  for (int i = 1; i <= 20; ++i)
    rules += "alert udp any any -> any any (dsize:>0; sid:" + std::to_string(i) + ";)\n";
  Bench bench(rules);
  CHECK(bench.datagram("x").size() == findings_per_packet_max);
}

// ---- the slow, obvious twin: every rule on every buffer
// -----------------------------------------------------------

namespace {

class Random {
 public:
  explicit Random(std::uint32_t seed) : engine_(seed) {}
  std::size_t below(std::size_t n) { return engine_() % n; }
  std::string text(std::size_t length) {
    std::string s;
    for (std::size_t i = 0; i < length; ++i) s.push_back("abAB"[below(4)]);
    return s;
  }
  std::string content() {
    std::string s =
        "content:" + std::string(below(6) == 0 ? "!" : "") + "\"" + text(1 + below(6)) + "\"; ";
    if (below(3) == 0) s += "nocase; ";
    const auto modifier = below(8);
    if (modifier == 0) s += "offset:" + std::to_string(below(6)) + "; ";
    if (modifier == 1) s += "depth:" + std::to_string(8 + below(20)) + "; ";
    if (modifier == 2) s += "distance:" + std::to_string(below(5)) + "; ";
    if (modifier == 3) s += "within:" + std::to_string(8 + below(9)) + "; ";
    if (modifier == 4) s += "startswith; ";
    if (modifier == 5) s += "endswith; ";
    return s;
  }
  std::string rules(const std::vector<std::string>& buffers, const std::string& header,
                    std::size_t count) {
    std::string all;
    for (std::size_t i = 1; i <= count; ++i) {
      all += header + "(";
      for (std::size_t c = 0; c <= below(3); ++c) all += buffers[below(buffers.size())] + content();
      all += "sid:" + std::to_string(i) + ";)\n";
    }
    return all;
  }

 private:
  std::mt19937 engine_;
};

Sids twin(const RuleSet& rules, const std::function<Bytes(const TestList&)>& bytes_of) {
  Sids sids;
  MatchScratch scratch;
  for (const Rule& rule : rules.compiled().rules) {
    const bool all = std::all_of(rule.lists.begin(), rule.lists.end(), [&](const TestList& list) {
      return match_tests(list.tests, {bytes_of(list), 0}, scratch);
    });
    if (all) sids.insert(rule.info.sid);
  }
  return sids;
}

}  // namespace

TEST_CASE("preselection loses no match: datagrams") {
  for (std::uint32_t seed = 1; seed <= 60; ++seed) {
    Random random(seed);
    const std::string text = random.rules({""}, "alert udp any any -> any any ", 14);
    Bench bench(text);
    const auto rules = rules_of(text);
    for (int i = 0; i < 10; ++i) {
      const std::string payload = random.text(1 + random.below(60));
      INFO("seed " << seed << "\n" << text << payload);
      CHECK(bench.datagram(payload) ==
            twin(*rules, [&](const TestList&) { return as_bytes(payload); }));
    }
  }
}

TEST_CASE("preselection loses no match: transactions at every split") {
  const std::map<Buffer, std::string> names = {{Buffer::http_uri, "http.uri; "},
                                               {Buffer::http_user_agent, "http.user_agent; "},
                                               {Buffer::http_request_body, "http.request_body; "}};
  for (std::uint32_t seed = 1; seed <= 60; ++seed) {
    Random random(seed);
    const std::string text =
        random.rules({names.at(Buffer::http_uri), names.at(Buffer::http_user_agent),
                      names.at(Buffer::http_request_body)},
                     "alert http any any -> any any ", 14);
    Bench bench(text);
    std::map<Buffer, std::string> values;
    for (const auto& [buffer, name] : names) values[buffer] = random.text(1 + random.below(50));
    FakeTransaction tx;
    tx.buffers[Buffer::http_uri] = {{values[Buffer::http_uri], true}};
    Sids seen = bench.change(tx);
    tx.buffers[Buffer::http_user_agent] = {{values[Buffer::http_user_agent], true}};
    seen.merge(bench.change(tx));
    const std::string& body = values[Buffer::http_request_body];
    for (std::size_t done = 0; done < body.size();) {
      done = std::min(body.size(), done + 1 + random.below(9));
      tx.buffers[Buffer::http_request_body] = {{body.substr(0, done), done == body.size()}};
      tx.over[0] = done == body.size();
      seen.merge(bench.change(tx));
    }
    const auto rules = rules_of(text);
    INFO("seed " << seed << "\n" << text << body);
    CHECK(seen == twin(*rules, [&](const TestList& list) {
            return as_bytes(values.at(list.buffer.to_server));
          }));
  }
}

TEST_CASE("preselection loses no match: streams at every split") {
  for (std::uint32_t seed = 1; seed <= 60; ++seed) {
    Random random(seed);
    // Positive tests only: a negation may hold before the bytes that break it have come.
    std::string text;
    for (int i = 1; i <= 14; ++i) {
      text += tcp_any + "(content:\"" + random.text(1 + random.below(5)) + "\"; content:\"" +
              random.text(1 + random.below(5)) + "\"; distance:" + std::to_string(random.below(3)) +
              "; sid:" + std::to_string(i) + ";)\n";
    }
    Bench bench(text);
    const std::string bytes = random.text(80);
    std::set<std::uint32_t> seen;
    for (std::size_t done = 0; done < bytes.size();) {
      const std::size_t part = std::min(bytes.size() - done, 1 + random.below(12));
      const Sids now = bench.stream(std::string_view(bytes).substr(done, part));
      seen.insert(now.begin(), now.end());
      done += part;
    }
    const auto rules = rules_of(text);
    const Sids expected = twin(*rules, [&](const TestList&) { return as_bytes(bytes); });
    INFO("seed " << seed << "\n" << text << bytes);
    CHECK(seen == std::set<std::uint32_t>(expected.begin(), expected.end()));
  }
}
