#include "sensor/stream/stream.hpp"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <numeric>

#include "sensor/stream/test_connection.hpp"

namespace menshen::sensor {

using testing::Connection;
using testkit::Packet;

namespace {

// Writes down what it is told: bytes as they are, a hole of n as <n>, the close as |.
struct Recorder final : StreamObserver {
  void on_data(Flow&, Direction d, Bytes bytes, std::uint64_t offset, PacketMeta& packet) override {
    std::string& log = logs[static_cast<std::size_t>(d)];
    CHECK(offset == at[static_cast<std::size_t>(d)]);
    at[static_cast<std::size_t>(d)] += bytes.size();
    log += as_text(bytes);
    if (!stop_at.empty() && log.find(stop_at) != std::string::npos) packet.verdict = Verdict::drop;
  }
  void on_gap(Flow&, Direction d, std::uint64_t length, PacketMeta&) override {
    at[static_cast<std::size_t>(d)] += length;
    logs[static_cast<std::size_t>(d)] += "<" + std::to_string(length) + ">";
  }
  void on_close(Flow&, Direction d, PacketMeta*) override {
    logs[static_cast<std::size_t>(d)] += "|";
    at[static_cast<std::size_t>(d)] = 0;
  }
  const std::string& client() const { return logs[0]; }
  const std::string& server() const { return logs[1]; }
  std::array<std::string, 2> logs;
  std::array<std::uint64_t, 2> at{};
  std::string stop_at;
};

StreamOptions with(SensorMode mode) {
  StreamOptions options;
  options.mode = mode;
  return options;
}

}  // namespace

TEST_CASE("a whole connection: data at once, state, close") {
  Recorder seen;
  Connection c(with(GENERATE(SensorMode::passive, SensorMode::inline_)), seen);
  c.run(Connection::builder(true).seq(c.client_isn).ack(0).flags("S"));
  CHECK_FALSE(c.flow->established);
  c.run(Connection::builder(false).seq(c.server_isn).ack(c.client_isn + 1).flags("SA"));
  CHECK_FALSE(c.flow->established);
  c.run(Connection::builder(true).seq(c.client_isn + 1).ack(c.server_isn + 1).flags("A"));
  CHECK(c.flow->established);
  c.client(0, "GET ");
  CHECK(seen.client() == "GET ");
  c.client(4, "/");
  c.server(0, "200");
  CHECK(seen.server() == "200");
  c.client(5, "", "FA");
  CHECK(seen.client() == "GET /|");
  CHECK(c.flow->state == FlowState::established);
  c.server(3, "!", "FA", 6);
  CHECK(seen.server() == "200!|");
  CHECK(c.flow->state == FlowState::closed);
  c.finish();
  CHECK(seen.client() == "GET /|");
  CHECK(c.counters().memory == 0);
}

// The slow, obvious twin: the stream itself.
TEST_CASE("every split and order of a small stream gives the stream") {
  const std::string text = "abcdefgh";
  const auto mode = GENERATE(SensorMode::passive, SensorMode::inline_);
  std::size_t cases = 0;
  for (unsigned cuts = 0; cuts < 1U << (text.size() - 1); ++cuts) {
    std::vector<std::pair<std::size_t, std::size_t>> parts;  // offset, length
    std::size_t begin = 0;
    for (std::size_t i = 1; i <= text.size(); ++i) {
      if (i == text.size() || (cuts >> (i - 1) & 1U) != 0) {
        parts.emplace_back(begin, i - begin);
        begin = i;
      }
    }
    if (parts.size() > 5) continue;
    std::vector<std::size_t> order(parts.size());
    std::iota(order.begin(), order.end(), 0U);
    do {
      Recorder seen;
      Connection c(with(mode), seen);
      c.handshake();
      for (const std::size_t i : order) {
        c.client(parts[i].first, text.substr(parts[i].first, parts[i].second));
      }
      REQUIRE(seen.client() == text);
      REQUIRE(c.counters().overlaps == 0);
      ++cases;
    } while (cases % 7 != 0 && std::next_permutation(order.begin(), order.end()));
  }
  CHECK(cases > 500);
}

TEST_CASE("overlapping segments with the same content, in any order, give the stream") {
  const std::string text = "0123456789";
  std::uint32_t seed = 12345;
  const auto random = [&](std::uint32_t below) {
    seed = seed * 1664525U + 1013904223U;
    return (seed >> 8U) % below;
  };
  for (int round = 0; round < 300; ++round) {
    Recorder seen;
    Connection c(with(round % 2 == 0 ? SensorMode::passive : SensorMode::inline_), seen);
    c.handshake();
    for (int i = 0; i < 12; ++i) {
      const std::size_t begin = random(10);
      const std::size_t length = 1 + random(static_cast<std::uint32_t>(10 - begin));
      CHECK_FALSE(c.client(begin, text.substr(begin, length)).dropped());
    }
    for (std::size_t i = 0; i < 10; ++i) c.client(i, text.substr(i, 1));
    REQUIRE(seen.client() == text);
  }
}

TEST_CASE("E3: bytes repeated with other content: the first wins, waiting ones by the receiver") {
  const auto mode = GENERATE(SensorMode::passive, SensorMode::inline_);
  Recorder seen;
  Connection c(with(mode), seen);
  c.handshake();
  SECTION("of bytes in flight") {
    c.client(0, "attack");
    const PacketMeta again = c.client(0, "harmless");
    CHECK(again.reason == DropReason::stream_overlap);
    CHECK(again.dropped());
    CHECK(seen.client() == (mode == SensorMode::inline_ ? "attack" : "attackss"));
  }
  SECTION("of bytes behind a hole") {
    c.client(2, "tack");
    const PacketMeta again = c.client(0, "atXXXX");
    CHECK(again.reason == DropReason::stream_overlap);
    // It begins before them: the receiver's policy (windows) takes the new ones.
    CHECK(seen.client() == (mode == SensorMode::inline_ ? "" : "atXXXX"));
    c.client(0, "at");
    CHECK(seen.client() == (mode == SensorMode::inline_ ? "attack" : "atXXXX"));
  }
  CHECK(c.counters().overlaps == 1);
}

TEST_CASE("what was acknowledged may be repeated with anything: the receiver has it") {
  Recorder seen;
  Connection c(with(SensorMode::inline_), seen);
  c.handshake();
  c.client(0, "hello");
  c.server(0, "", "A", 5);
  CHECK_FALSE(c.client(0, "HELLO").dropped());
  // A keep-alive repeats one byte of nonsense.
  CHECK_FALSE(c.client(4, "x").dropped());
  CHECK(seen.client() == "hello");
}

TEST_CASE("an acknowledged hole is given up; data for it is refused") {
  const auto mode = GENERATE(SensorMode::passive, SensorMode::inline_);
  Recorder seen;
  Connection c(with(mode), seen);
  c.handshake();
  c.client(0, "ab");
  c.client(5, "fgh");
  CHECK(seen.client() == "ab");
  c.server(0, "", "A", 8);
  CHECK(seen.client() == "ab<3>fgh");
  CHECK(c.client(2, "cde").reason == DropReason::stream_invalid);
  CHECK(seen.client() == "ab<3>fgh");
}

TEST_CASE("a hole at the flow's end: passive gives it up, inline hands nothing over") {
  const auto mode = GENERATE(SensorMode::passive, SensorMode::inline_);
  Recorder seen;
  Connection c(with(mode), seen);
  c.handshake();
  c.client(3, "def");
  c.finish();
  CHECK(seen.client() == (mode == SensorMode::passive ? "<3>def|" : "|"));
  CHECK(c.counters().memory == 0);
}

TEST_CASE("only an exact RST ends the connection") {
  Recorder seen;
  Connection c(with(SensorMode::inline_), seen);
  c.handshake();
  c.client(0, "GET");
  c.client(100, "", "R");
  CHECK(c.flow->state == FlowState::established);
  CHECK_FALSE(c.client(3, " /").dropped());
  c.client(5, "", "R");
  CHECK(c.flow->state == FlowState::closed);
  CHECK(seen.client() == "GET /|");
  CHECK(seen.server() == "|");
  CHECK(c.client(5, "more").reason == DropReason::stream_invalid);
  CHECK(seen.client() == "GET /|");
}

TEST_CASE("a refused connection is closed by the server's RST") {
  Recorder seen;
  Connection c(with(SensorMode::passive), seen);
  c.run(Connection::builder(true).seq(c.client_isn).ack(0).flags("S"));
  c.run(Connection::builder(false).seq(0).ack(c.client_isn + 1).flags("RA"));
  CHECK(c.flow->state == FlowState::closed);
}

TEST_CASE("data after the FIN is refused") {
  Recorder seen;
  Connection c(with(SensorMode::inline_), seen);
  c.handshake();
  c.client(0, "end", "FPA");
  CHECK(c.client(3, "hidden").reason == DropReason::stream_invalid);
  CHECK(seen.client() == "end|");
}

TEST_CASE("a FIN before its data waits for it") {
  Recorder seen;
  Connection c(with(SensorMode::inline_), seen);
  c.handshake();
  c.client(3, "def", "FPA");
  CHECK(seen.client().empty());
  c.client(0, "abc");
  CHECK(seen.client() == "abcdef|");
}

TEST_CASE("data without the ACK flag is refused") {
  Recorder seen;
  Connection c(with(SensorMode::inline_), seen);
  c.handshake();
  CHECK(c.client(0, "x", "P").reason == DropReason::stream_invalid);
  CHECK(c.client(0, "y", "F").reason == DropReason::stream_invalid);
  CHECK(seen.client().empty());
}

TEST_CASE("beyond the offered window nothing is taken") {
  Recorder seen;
  Connection c(with(SensorMode::inline_), seen);
  c.handshake();
  CHECK(c.client(70'000, "far").reason == DropReason::stream_invalid);
  CHECK_FALSE(c.client(60'000, "near").dropped());
}

TEST_CASE("a second SYN moves the beginning; the SYN/ACK decides") {
  Recorder seen;
  Connection c(with(SensorMode::inline_), seen);
  c.run(Connection::builder(true).seq(c.client_isn).ack(0).flags("S"));
  c.run(Connection::builder(true).seq(777).ack(0).flags("S"));
  c.run(Connection::builder(false).seq(c.server_isn).ack(c.client_isn + 1).flags("SA"));
  c.run(Connection::builder(true).seq(c.client_isn + 1).ack(c.server_isn + 1).flags("A"));
  c.client(0, "GET");
  CHECK(seen.client() == "GET");
}

TEST_CASE("a SYN within an open connection changes nothing until a server accepts it") {
  Recorder seen;
  Connection c(with(SensorMode::inline_), seen);
  c.handshake();
  c.client(0, "one");
  c.run(Connection::builder(true).seq(5000).ack(0).flags("S"));
  CHECK_FALSE(c.client(3, "two").dropped());
  CHECK(seen.client() == "onetwo");
  c.run(Connection::builder(false).seq(9000).ack(5001).flags("SA"));
  CHECK(seen.client() == "onetwo|");
  CHECK(seen.server() == "|");
  c.client_isn = 5000;
  c.server_isn = 9000;
  c.client(0, "", "A", 0);
  CHECK(c.flow->established);
  c.client(0, "new", "PA", 0);
  CHECK(seen.client() == "onetwo|new");
}

TEST_CASE("data on a SYN that opens fast is the beginning of the stream") {
  Recorder seen;
  Connection c(with(SensorMode::inline_), seen);
  const std::array option{std::byte{34}, std::byte{2}};
  c.run(Connection::builder(true)
            .seq(c.client_isn)
            .ack(0)
            .flags("S")
            .options(option)
            .payload("fast"));
  CHECK(seen.client() == "fast");
  c.run(Connection::builder(false).seq(c.server_isn).ack(c.client_isn + 5).flags("SA"));
  c.client(4, " open", "PA", 0);
  CHECK(seen.client() == "fast open");
}

TEST_CASE("data on another SYN belongs to no stream: the peer does not take it") {
  Recorder seen;
  Connection c(with(SensorMode::passive), seen);
  c.run(Connection::builder(true).seq(c.client_isn).ack(0).flags("S").payload("slow"));
  c.run(Connection::builder(false).seq(c.server_isn).ack(c.client_isn + 1).flags("SA"));
  c.client(0, "again", "PA", 0);
  CHECK(seen.client() == "again");
}

namespace {

// Marks the byte before `pointer` as urgent; the checksum follows (RFC 1624).
Packet urgent(Packet frame, std::uint16_t pointer) {
  const auto at16 = [&](std::size_t at) {
    return std::to_integer<std::uint32_t>(frame[at]) << 8U |
           std::to_integer<std::uint32_t>(frame[at + 1]);
  };
  const auto put16 = [&](std::size_t at, std::uint32_t value) {
    frame[at] = static_cast<std::byte>(value >> 8U & 0xffU);
    frame[at + 1] = static_cast<std::byte>(value & 0xffU);
  };
  constexpr std::size_t tcp_at = 34;
  std::uint32_t sum = (~at16(tcp_at + 16) & 0xffffU) + pointer;
  sum = (sum & 0xffffU) + (sum >> 16U);
  put16(tcp_at + 16, ~sum);
  put16(tcp_at + 18, pointer);
  return frame;
}

PacketMeta send_urgent(Connection& c, std::uint64_t offset, std::string_view text,
                       std::uint16_t pointer) {
  return c.run(urgent(Connection::builder(true)
                          .seq(c.client_isn + 1 + static_cast<std::uint32_t>(offset))
                          .ack(c.server_isn + 1)
                          .flags("PAU")
                          .payload(text),
                      pointer));
}

}  // namespace

TEST_CASE("E2: an urgent byte is taken out of the stream, wherever it arrives") {
  Recorder seen;
  Connection c(with(GENERATE(SensorMode::passive, SensorMode::inline_)), seen);
  c.handshake();
  c.client(0, "mali");
  CHECK_FALSE(send_urgent(c, 4, "!", 1).dropped());
  send_urgent(c, 8, "us-x", 4);  // behind a hole
  c.client(5, "cio");
  c.client(12, " end");
  CHECK(seen.client() == "malicious- end");
}

TEST_CASE("E2: in line, an urgent byte is a byte; the drop policy drops it") {
  StreamOptions options;
  options.mode = SensorMode::inline_;
  options.urgent = GENERATE(UrgentPolicy::in_line, UrgentPolicy::drop);
  Recorder seen;
  Connection c(options, seen);
  c.handshake();
  const PacketMeta marked = send_urgent(c, 0, "abc", 2);
  CHECK(marked.dropped() == (options.urgent == UrgentPolicy::drop));
  CHECK(seen.client() == (marked.dropped() ? "" : "abc"));
}

TEST_CASE("E2: an urgent pointer beyond its segment marks nothing") {
  Recorder seen;
  Connection c(with(SensorMode::passive), seen);
  c.handshake();
  send_urgent(c, 0, "abc", 4);
  send_urgent(c, 3, "def", 0);
  CHECK(seen.client() == "abcdef");
}

TEST_CASE("E2: urgent bytes that wait are bounded") {
  Recorder seen;
  Connection c(with(SensorMode::inline_), seen);
  c.handshake();
  for (std::size_t i = 0; i < urgent_waiting_max; ++i) {
    REQUIRE_FALSE(send_urgent(c, 10 + 2 * i, "xy", 1).dropped());
  }
  const PacketMeta last = send_urgent(c, 10 + 2 * urgent_waiting_max, "xy", 1);
  CHECK(last.reason == DropReason::stream_invalid);
}

TEST_CASE("E10: a flow that begins with the answer is midstream until its SYN comes") {
  Recorder seen;
  Connection c(with(SensorMode::passive), seen);
  c.run(Connection::builder(false).seq(c.server_isn).ack(c.client_isn + 1).flags("SA"));
  CHECK(c.flow->midstream);
  c.client(0, "not followed");
  CHECK(seen.client().empty());
  c.handshake();
  CHECK_FALSE(c.flow->midstream);
  c.client(0, "followed");
  CHECK(seen.client() == "followed");
}

TEST_CASE("midstream: only where it is wanted") {
  StreamOptions options;
  options.midstream = GENERATE(false, true);
  Recorder seen;
  Connection c(options, seen);
  c.client(0, "in the middle");
  CHECK(seen.client() == (options.midstream ? "in the middle" : ""));
  CHECK(c.flow->established == options.midstream);
  c.server(0, "answer", "PA", 13);
  CHECK(seen.server() == (options.midstream ? "answer" : ""));
}

TEST_CASE("one direction alone is followed too") {
  Recorder seen;
  Connection c(with(SensorMode::passive), seen);
  c.run(Connection::builder(true).seq(c.client_isn).ack(0).flags("S"));
  c.client(0, "GET", "PA", 0);
  c.client(3, " /", "PA", 0);
  CHECK(seen.client() == "GET /");
  CHECK_FALSE(c.flow->established);
}

TEST_CASE("stream_depth: no byte more") {
  StreamOptions options;
  options.stream_depth = 10;
  Recorder seen;
  Connection c(options, seen);
  c.handshake();
  c.client(0, "01234567");
  c.client(8, "89abc");
  CHECK(seen.client() == "0123456789|");
  CHECK_FALSE(c.client(13, "def").dropped());
  CHECK(c.counters().depth_reached == 1);
  // The other direction has its own depth, and the end is still seen.
  c.server(0, "ok");
  CHECK(seen.server() == "ok");
  c.client(16, "", "FA");
  c.server(2, "", "FA", 17);
  CHECK(c.flow->state == FlowState::closed);
}

TEST_CASE("at flow_bytes_max: inline drops what waits, passive gives up the hole") {
  StreamOptions options;
  options.mode = GENERATE(SensorMode::inline_, SensorMode::passive);
  options.flow_bytes_max = 1000;
  Recorder seen;
  Connection c(options, seen);
  c.handshake();
  const std::string block(400, 'x');
  CHECK_FALSE(c.client(100, block).dropped());
  CHECK_FALSE(c.client(500, block).dropped());
  const PacketMeta third = c.client(900, block);
  CHECK(c.counters().memory_limit == 1);
  CHECK(c.counters().memory <= 1000);
  if (options.mode == SensorMode::inline_) {
    CHECK(third.reason == DropReason::stream_memory);
    CHECK(seen.client().empty());
    const std::string first(100, 'y');
    c.client(0, first);
    CHECK(seen.client() == first + block + block);
  } else {
    CHECK_FALSE(third.dropped());
    CHECK(seen.client() == "<100>" + block + block + block);
  }
}

TEST_CASE("tiny segments cost memory for what they are") {
  StreamOptions options;
  options.mode = SensorMode::inline_;
  options.flow_bytes_max = 10'000;
  Recorder seen;
  Connection c(options, seen);
  c.handshake();
  std::size_t taken = 0;
  for (std::size_t i = 1; i < 2000; ++i) {
    if (!c.client(i * 2, "x").dropped()) ++taken;
  }
  CHECK(taken < 110);
  CHECK(c.counters().memory <= 10'000);
}

TEST_CASE("memory_max over all flows; in-order data goes on, but is not repeated unseen") {
  StreamOptions options;
  options.mode = SensorMode::inline_;
  options.memory_max = 100;
  Recorder seen;
  Connection c(options, seen);
  c.handshake();
  const std::string block(90, 'a');
  CHECK_FALSE(c.client(0, block).dropped());
  CHECK_FALSE(c.client(90, block).dropped());
  CHECK(seen.client() == block + block);
  CHECK(c.counters().memory <= 100);
  // In flight, but not kept: the repetition cannot be compared.
  CHECK(c.client(90, block).reason == DropReason::stream_memory);
  c.server(0, "", "A", 180);
  CHECK_FALSE(c.client(180, block).dropped());
}

TEST_CASE("after encryption nothing is handed over, and nothing kept") {
  Recorder seen;
  Connection c(with(SensorMode::inline_), seen);
  c.handshake();
  c.client(0, "hello");
  c.flow->encrypted = true;
  c.client(5, "secret");
  c.client(50, "out of order");
  CHECK(seen.client() == "hello");
  CHECK(c.counters().memory == 0);
}

TEST_CASE("the observer can stop the packet that completes an attack") {
  Recorder seen;
  seen.stop_at = "attack";
  Connection c(with(SensorMode::inline_), seen);
  c.handshake();
  CHECK_FALSE(c.client(0, "att").dropped());
  CHECK_FALSE(c.client(4, "ck").dropped());
  CHECK(c.client(3, "a").dropped());
}

TEST_CASE("E3: bytes behind a hole are those that the receiver's system takes") {
  // Old ones wait at 8..16 ("o"); the new ones ("n") meet them in five ways; "-" fills the rest.
  struct Row {
    HostPolicy policy;
    std::string before;     // new 4..12
    std::string same;       // new 8..12
    std::string same_long;  // new 8..20
    std::string after;      // new 12..20
    std::string around;     // new 4..20
  };
  const Row row = GENERATE(values<Row>({
      {HostPolicy::first, "noo-", "-oo-", "-oon", "-oon", "noon"},
      {HostPolicy::last, "nno-", "-no-", "-nnn", "-onn", "nnnn"},
      {HostPolicy::bsd, "nno-", "-oo-", "-oon", "-oon", "nnnn"},
      {HostPolicy::bsd_right, "noo-", "-oo-", "-oon", "-oon", "noon"},
      {HostPolicy::linux_, "nno-", "-oo-", "-nnn", "-oon", "nnnn"},
      {HostPolicy::old_linux, "nno-", "-oo-", "-nnn", "-oon", "nnnn"},
      {HostPolicy::windows, "nno-", "-oo-", "-oon", "-oon", "nnnn"},
      {HostPolicy::windows2k3, "nno-", "-oo-", "-oon", "-oon", "nnnn"},
      {HostPolicy::vista, "noo-", "-oo-", "-oon", "-oon", "noon"},
      {HostPolicy::solaris, "noo-", "-oo-", "-nnn", "-onn", "nnnn"},
      {HostPolicy::hpux11, "noo-", "-oo-", "-nnn", "-onn", "nnnn"},
      {HostPolicy::macos, "nno-", "-oo-", "-oon", "-oon", "nnnn"},
  }));
  CAPTURE(host_policy_name(row.policy));
  const auto run = [&](std::size_t begin, std::size_t end, const std::string& expected) {
    StreamOptions options = with(SensorMode::passive);
    options.hosts = HostPolicies::all(row.policy);
    Recorder seen;
    Connection c(options, seen);
    c.handshake();
    c.client(8, std::string(8, 'o'));
    c.client(begin, std::string(end - begin, 'n'));
    CHECK(c.counters().overlaps == 1);
    // The holes last, each by itself: what waited stays as it was taken.
    if (end < 20) c.client(16, std::string(4, '-'));
    c.client(0, std::string(std::min<std::size_t>(begin, 8), '-'));
    std::string shape;
    for (std::size_t i = 4; i < 20; i += 4) shape += seen.client().at(i);
    CHECK(shape == expected);
    CHECK(seen.client().size() == 20);
    c.finish();
    CHECK(c.counters().memory == 0);
  };
  run(4, 12, row.before);
  run(8, 12, row.same);
  run(8, 20, row.same_long);
  run(12, 20, row.after);
  run(4, 20, row.around);
}

TEST_CASE("E3: inline, no receiver's policy has a say: the later segment is dropped") {
  StreamOptions options = with(SensorMode::inline_);
  options.hosts = HostPolicies::all(HostPolicy::last);
  Recorder seen;
  Connection c(options, seen);
  c.handshake();
  c.client(2, "tack");
  CHECK(c.client(1, "tXXXXX").reason == DropReason::stream_overlap);
  c.client(0, "at");
  CHECK(seen.client() == "attack");
}

TEST_CASE("E4: a client's reset before any answer, and an end that nobody takes, end nothing") {
  Recorder seen;
  Connection c(with(GENERATE(SensorMode::passive, SensorMode::inline_)), seen);
  c.run(Connection::builder(true).seq(c.client_isn).ack(0).flags("S"));
  // Forged: the client refuses it and goes on waiting.
  c.run(Connection::builder(false).seq(0).ack(c.client_isn + 1).flags("FA"));
  c.run(Connection::builder(true).seq(c.client_isn + 1).ack(0).flags("R"));
  c.run(Connection::builder(false).seq(c.server_isn).ack(c.client_isn + 1).flags("SA"));
  c.run(Connection::builder(true).seq(c.client_isn + 1).ack(c.server_isn + 1).flags("A"));
  c.client(0, "GET ");
  c.server(0, "200 ");
  CHECK(seen.client() == "GET ");
  CHECK(seen.server() == "200 ");
  CHECK(c.flow->state == FlowState::established);
}

TEST_CASE("E10: a flow whose beginning was not seen: the exception policy speaks once") {
  struct Row {
    ExceptionPolicy policy;
    bool passes;
    std::string seen_without;
    std::string seen_with;
  };
  const Row row = GENERATE(values<Row>({
      {ExceptionPolicy::ignore, true, "", "ab"},
      {ExceptionPolicy::pass_flow, true, "", "ab"},
      {ExceptionPolicy::bypass, true, "", ""},
      {ExceptionPolicy::drop_flow, false, "", ""},
      {ExceptionPolicy::reject, false, "", ""},
  }));
  const bool midstream = GENERATE(false, true);
  const bool from_client = GENERATE(true, false);
  CAPTURE(exception_policy_name(row.policy), midstream, from_client);
  StreamOptions options = with(SensorMode::inline_);
  options.midstream = midstream;
  options.exceptions.set(ExceptionTrigger::midstream, row.policy);
  Recorder seen;
  Connection c(options, seen);
  const auto say = [&](std::size_t at, std::string_view text) {
    return from_client ? c.client(at, text) : c.server(at, text);
  };
  const PacketMeta first = say(0, "a");
  CHECK(first.dropped() == !row.passes);
  CHECK((first.reason == DropReason::midstream) == !row.passes);
  CHECK((first.verdict == Verdict::reject) == (row.policy == ExceptionPolicy::reject));
  const PacketMeta second = say(1, "b");
  CHECK(second.dropped() == !row.passes);
  CHECK(second.reason == (row.passes ? DropReason::none : DropReason::flow_dropped));
  CHECK(c.flow->uninspected == (row.policy == ExceptionPolicy::pass_flow));
  // Who speaks first is the initiator as far as anybody can tell.
  const std::string& told = seen.logs[0].empty() ? seen.logs[1] : seen.logs[0];
  CHECK(told == (midstream ? row.seen_with : row.seen_without));
}

TEST_CASE("E10: at a limit of reassembly, each exception policy does what it says") {
  const auto policy = GENERATE(ExceptionPolicy::ignore, ExceptionPolicy::bypass,
                               ExceptionPolicy::drop_packet, ExceptionPolicy::drop_flow);
  const bool of_all = GENERATE(false, true);
  StreamOptions options = with(SensorMode::inline_);
  (of_all ? options.memory_max : options.flow_bytes_max) = 1000;
  options.exceptions.set(
      of_all ? ExceptionTrigger::stream_memory : ExceptionTrigger::reassembly_memory, policy);
  Recorder seen;
  Connection c(options, seen);
  c.handshake();
  const std::string block(400, 'x');
  c.client(100, block);
  c.client(500, block);
  const PacketMeta third = c.client(900, block);
  const bool drops = policy == ExceptionPolicy::drop_packet || policy == ExceptionPolicy::drop_flow;
  CHECK(third.dropped() == drops);
  CHECK(c.flow->action == (policy == ExceptionPolicy::drop_flow ? FlowAction::drop
                           : policy == ExceptionPolicy::bypass  ? FlowAction::pass
                                                                : FlowAction::none));
  if (policy == ExceptionPolicy::ignore) CHECK(seen.client() == "<100>" + block + block + block);
  CHECK(third.has(Anomaly::stream_reassembly_no_segment) == of_all);
  CHECK(third.has(Anomaly::stream_reassembly_insert_memcap));
}

TEST_CASE("at stream_depth the exception policy speaks once a direction") {
  StreamOptions options = with(SensorMode::inline_);
  options.stream_depth = 4;
  options.exceptions.set(ExceptionTrigger::stream_depth, ExceptionPolicy::drop_flow);
  Recorder seen;
  Connection c(options, seen);
  c.handshake();
  CHECK_FALSE(c.client(0, "abc").dropped());
  CHECK(c.client(3, "def").reason == DropReason::stream_depth);
  CHECK(seen.client() == "abcd|");
  CHECK(c.client(6, "g").reason == DropReason::flow_dropped);
}

}  // namespace menshen::sensor
