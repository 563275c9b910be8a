#include "sensor/stream/tcp_tracker.hpp"

#include <catch2/catch.hpp>
#include <set>
#include <string>

#include "sensor/packet/test_batch.hpp"

namespace menshen::sensor {

using testing::TestBatch;

namespace {

using Names = std::set<std::string>;

// One connection; each segment's anomalies by name.
class Talk {
 public:
  explicit Talk(bool inline_mode = false) : inline_mode_(inline_mode) {}

  Names client(std::string_view flags, std::uint32_t seq, std::uint32_t ack,
               std::string_view data = "", Bytes options = {}) {
    return say(Direction::to_server, flags, seq, ack, data, options);
  }
  Names server(std::string_view flags, std::uint32_t seq, std::uint32_t ack,
               std::string_view data = "", Bytes options = {}) {
    return say(Direction::to_client, flags, seq, ack, data, options);
  }
  // Client 100, server 900; both SYNs count.
  Talk& shake() {
    client("S", 100, 0);
    server("SA", 900, 101);
    client("A", 101, 901);
    server("A", 901, 101);
    return *this;
  }
  std::uint16_t window = 1000;
  bool one_way = false;

 private:
  Names say(Direction d, std::string_view flags, std::uint32_t seq, std::uint32_t ack,
            std::string_view data, Bytes options) {
    auto builder = testkit::packet().ethernet().ipv4("10.0.0.1", "10.0.0.2").tcp(1, 2);
    builder.seq(seq).ack(ack).flags(flags).window(window);
    if (!options.empty()) builder.options(options);
    if (!data.empty()) builder.payload(data);
    TestBatch batch;
    PacketMeta& packet = batch.add(builder);
    batch.decode();
    packet.direction = d;
    tracker_.see(packet, tcp_header(packet), inline_mode_, one_way);
    Names names;
    for (const Anomaly anomaly : packet.anomalies()) names.emplace(anomaly_info(anomaly).name);
    return names;
  }

  TcpTracker tracker_;
  bool inline_mode_;
};

std::array<std::byte, 10> stamped(std::uint8_t value, std::uint8_t echo) {
  std::array<std::byte, 10> option{std::byte{8}, std::byte{10}};
  option[5] = std::byte{value};
  option[9] = std::byte{echo};
  return option;
}

}  // namespace

TEST_CASE("a connection as it should be has no anomaly") {
  Talk talk;
  Names all;
  all.merge(talk.client("S", 100, 0));
  all.merge(talk.server("SA", 900, 101));
  all.merge(talk.client("A", 101, 901));
  all.merge(talk.client("PA", 101, 901, "request"));
  all.merge(talk.server("PA", 901, 108, "answer"));
  all.merge(talk.client("A", 108, 907));
  all.merge(talk.client("FA", 108, 907));
  all.merge(talk.server("FA", 907, 109));
  all.merge(talk.client("A", 109, 908));
  CHECK(all.empty());
}

TEST_CASE("E1: handshakes that go wrong are told apart") {
  Talk talk;
  CHECK(talk.client("F", 1, 0) == Names{"fin_but_no_session"});
  CHECK(talk.client("R", 1, 0) == Names{"rst_but_no_session"});
  CHECK(talk.client("S", 100, 5) == Names{"pkt_broken_ack"});
  CHECK(talk.client("SA", 100, 1) == Names{"3whs_synack_in_wrong_direction"});
  CHECK(talk.server("SA", 900, 99) == Names{"3whs_synack_with_wrong_ack"});
  CHECK(talk.server("SA", 900, 101).empty());
  CHECK(talk.server("SA", 900, 105) == Names{"3whs_synack_resend_with_diff_ack"});
  CHECK(talk.server("SA", 901, 101) == Names{"3whs_synack_resend_with_diff_seq"});
  CHECK(talk.client("SA", 900, 101) == Names{"3whs_synack_toserver_on_syn_recv"});
  CHECK(talk.server("S", 900, 0) == Names{"3whs_syn_toclient_on_syn_recv"});
  CHECK(talk.client("S", 77, 0) == Names{"3whs_syn_resend_diff_seq_on_syn_recv"});
  CHECK(talk.server("A", 901, 101) == Names{"3whs_ack_in_wrong_dir"});
  CHECK(talk.client("A", 101, 5) == Names{"3whs_right_seq_wrong_ack_evasion"});
  CHECK(talk.client("A", 333, 5) == Names{"3whs_wrong_seq_wrong_ack"});
  CHECK(talk.client("A", 101, 901).empty());
}

TEST_CASE("E1: a SYN resent with other numbers too often is a flood") {
  Talk talk;
  talk.client("S", 100, 0);
  for (unsigned i = 0; i < handshake_resends_max; ++i) CHECK(talk.client("S", 200 + i, 0).empty());
  CHECK(talk.client("S", 300, 0) == Names{"3whs_syn_flood"});
}

TEST_CASE("E1: inline, data from the server before the handshake ends is told") {
  Talk talk(true);
  talk.client("S", 100, 0);
  talk.server("SA", 900, 101);
  CHECK(talk.server("PA", 901, 101, "early") == Names{"3whs_ack_data_inject"});
}

TEST_CASE("E1: SYNs within a connection are told apart") {
  Talk talk;
  talk.shake();
  CHECK(talk.client("S", 100, 0) == Names{"est_syn_resend"});
  CHECK(talk.client("S", 101, 0) == Names{"est_syn_resend_diff_seq"});
  CHECK(talk.server("S", 100, 0) == Names{"est_syn_toclient"});
  CHECK(talk.client("SA", 100, 901) == Names{"est_synack_toserver"});
  CHECK(talk.server("SA", 900, 101) == Names{"est_synack_resend"});
  CHECK(talk.server("SA", 901, 101) == Names{"est_synack_resend_with_diff_seq"});
  CHECK(talk.server("SA", 900, 102) == Names{"est_synack_resend_with_diff_ack"});
}

TEST_CASE("numbers that the other end never offered are told") {
  Talk talk;
  talk.shake();
  CHECK(talk.client("A", 101, 99'999) == Names{"est_invalid_ack", "pkt_invalid_ack"});
  CHECK(talk.client("PA", 5000, 901, "far") == Names{"est_packet_out_of_window"});
  CHECK(talk.client("FA", 5000, 901) == Names{"fin_out_of_window"});
  CHECK(talk.client("PA", 101, 901, "data").empty());
  CHECK(talk.server("A", 901, 105).empty());
  CHECK(talk.client("PA", 101, 901, "data") == Names{"pkt_spurious_retransmission"});
  CHECK(talk.client("PA", 101, 901, "da") ==
        Names{"est_pkt_before_last_ack", "pkt_spurious_retransmission"});
}

TEST_CASE("E4: resets that a receiver would not take are told, and change nothing") {
  Talk talk;
  talk.shake();
  CHECK(talk.client("RA", 101, 99'999) == Names{"pkt_invalid_ack", "rst_invalid_ack"});
  CHECK(talk.client("RA", 99, 901, "data") == Names{"rst_with_data"});
  CHECK(talk.client("PA", 5000, 901, "far") == Names{"est_packet_out_of_window"});
  CHECK(talk.client("R", 101, 0).empty());
  // Who has ended it goes on: the reset was somebody else's.
  CHECK(talk.client("PA", 5000, 901, "far") == Names{"suspected_rst_inject"});
  CHECK(talk.client("PA", 5000, 901, "far").empty());  // closed: nothing to compare with
  CHECK(talk.server("PA", 5000, 901, "far").empty());
}

TEST_CASE("E4: a refused connection that goes on is told") {
  Talk talk;
  talk.client("S", 100, 0);
  CHECK(talk.client("R", 101, 0).empty());  // the client's own ends nothing
  CHECK(talk.server("RA", 0, 101).empty());
  CHECK(talk.server("SA", 900, 101) == Names{"suspected_rst_inject"});
}

TEST_CASE("a window taken back by a segment from the future is told") {
  Talk talk;
  talk.shake();
  CHECK(talk.client("PA", 101, 901, "data").empty());
  talk.window = 10;
  CHECK(talk.client("A", 106, 902) == Names{"pkt_bad_window_update"});
  CHECK(talk.client("A", 105, 901).empty());
}

TEST_CASE("a byte into a closed window is told where it is acknowledged") {
  Talk talk;
  talk.shake();
  talk.window = 0;
  CHECK(talk.server("A", 901, 101).empty());
  talk.window = 1000;
  CHECK(talk.client("PA", 101, 901, std::string(1000, 'x')).empty());  // what was offered before
  talk.window = 0;
  CHECK(talk.server("A", 901, 1101).empty());
  talk.window = 1000;
  CHECK(talk.client("PA", 1101, 901, "p").empty());
  CHECK(talk.server("A", 901, 1102) == Names{"est_ack_zwp_data"});
  CHECK(talk.client("PA", 1102, 901, "q").empty());
}

TEST_CASE("E1: both ends open at once: the last words of the handshake are compared") {
  Talk talk;
  talk.client("S", 100, 0);
  CHECK(talk.server("S", 900, 0).empty());
  CHECK(talk.client("SA", 900, 5) == Names{"4whs_synack_with_wrong_ack"});
  CHECK(talk.server("SA", 900, 101).empty());
  CHECK(talk.server("A", 950, 101) == Names{"4whs_wrong_seq"});
  CHECK(talk.server("A", 901, 99'999) == Names{"4whs_invalid_ack", "pkt_invalid_ack"});
  CHECK(talk.server("A", 901, 101).empty());
}

TEST_CASE("E10: a one-way flow that goes on with other numbers is told where these are expected") {
  Talk talk;
  talk.one_way = GENERATE(false, true);
  talk.client("S", 100, 0);
  const Names expected = talk.one_way ? Names{"3whs_async_wrong_seq"} : Names{};
  CHECK(talk.client("PA", 555, 901, "data") == expected);
  CHECK(talk.client("PA", 101, 901, "data").empty());
}

TEST_CASE("E4: timestamps that run back are told") {
  Talk talk;
  talk.client("S", 100, 0, "", stamped(50, 0));
  CHECK(talk.server("RA", 0, 101, "", stamped(9, 9)) == Names{"pkt_invalid_timestamp"});
  CHECK(talk.server("SA", 900, 101, "", stamped(70, 50)).empty());
  CHECK(talk.client("A", 101, 901, "", stamped(51, 70)).empty());
  CHECK(talk.client("PA", 101, 901, "old", stamped(20, 70)) == Names{"pkt_invalid_timestamp"});
  CHECK(talk.client("PA", 101, 901, "new", stamped(52, 70)).empty());
}

TEST_CASE("the end of a connection has its own names") {
  Talk talk;
  talk.shake();
  CHECK(talk.server("FA", 901, 101).empty());
  CHECK(talk.client("A", 101, 99'999) == Names{"fin1_invalid_ack", "pkt_invalid_ack"});
  CHECK(talk.client("A", 5000, 902) == Names{"fin1_ack_wrong_seq"});
  CHECK(talk.client("A", 101, 902).empty());
  CHECK(talk.client("FA", 5000, 902) == Names{"fin2_fin_wrong_seq"});
  CHECK(talk.client("S", 100, 0) == Names{"shutdown_syn_resend"});
}

TEST_CASE("fast open: the answer may take the SYN's data or leave it") {
  for (const std::uint32_t ack : {101U, 105U}) {
    Talk talk;
    talk.client("S", 100, 0, "data");
    CHECK(talk.server("SA", 900, ack).empty());
  }
  Talk talk;
  talk.client("S", 100, 0, "data");
  CHECK(talk.server("SA", 900, 106) == Names{"3whs_synack_with_wrong_ack"});
}

}  // namespace menshen::sensor
