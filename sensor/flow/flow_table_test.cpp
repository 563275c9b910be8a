#include "sensor/flow/flow_table.hpp"

#include <catch2/catch.hpp>

#include "sensor/packet/test_batch.hpp"

namespace menshen::sensor {

using testing::TestBatch;
using testkit::packet;
using testkit::Packet;

namespace {

constexpr WallTime second = 1'000'000'000;

struct Ends final : FlowEndObserver {
  void on_flow_end(Flow& flow, FlowEnd end) override { seen.emplace_back(flow.id, end); }
  std::vector<std::pair<std::uint64_t, FlowEnd>> seen;
};

struct Table {
  explicit Table(const FlowTableOptions& options = {}, const FlowLabeler* labeler = nullptr)
      : table(options, ends, labeler) {}
  ~Table() { table.finish(); }

  // Runs one packet as a batch of its own.
  PacketMeta run(Packet frame, WallTime time = 0, std::uint16_t attachment = 0) {
    batch = std::make_unique<TestBatch>();
    batch->add(std::move(frame), LinkType::ethernet, time).attachment = attachment;
    batch->decode();
    table.prepare(**batch);
    PacketMeta& meta = (**batch).packets()[0];
    table.assign(meta, 0);
    return meta;
  }

  Ends ends;
  FlowTable table;
  std::unique_ptr<TestBatch> batch;
};

Packet udp(const char* src, std::uint16_t sport, const char* dst, std::uint16_t dport) {
  return packet().ethernet().ipv4(src, dst).udp(sport, dport).payload("x");
}
Packet tcp(const char* src, std::uint16_t sport, const char* dst, std::uint16_t dport,
           std::string_view flags) {
  return packet().ethernet().ipv4(src, dst).tcp(sport, dport).flags(flags);
}

}  // namespace

TEST_CASE("both directions are one flow") {
  Table t;
  const PacketMeta ask = t.run(udp("10.0.0.1", 4000, "10.0.0.2", 53));
  CHECK(ask.direction == Direction::to_server);
  CHECK_FALSE(ask.flow->established);
  const PacketMeta answer = t.run(udp("10.0.0.2", 53, "10.0.0.1", 4000));
  CHECK(answer.flow == ask.flow);
  CHECK(answer.direction == Direction::to_client);
  CHECK(answer.flow->established);
  CHECK(answer.flow->side(Direction::to_server).packets == 1);
  CHECK(answer.flow->side(Direction::to_client).bytes == answer.length);
  CHECK(t.table.counters().begun == 1);
}

TEST_CASE("an echo and its reply are one flow") {
  Table t;
  const auto ask = t.run(packet().ethernet().ipv4("10.0.0.1", "10.0.0.2").icmp(8, 0, 1));
  const auto answer = t.run(packet().ethernet().ipv4("10.0.0.2", "10.0.0.1").icmp(0, 0, 1));
  CHECK(answer.flow == ask.flow);
  CHECK(answer.direction == Direction::to_client);
  const auto other = t.run(packet().ethernet().ipv4("10.0.0.1", "10.0.0.2").icmp(3, 1, 1));
  CHECK(other.flow != ask.flow);
}

TEST_CASE("equal addresses of different tenants never mix") {
  Table t;
  const Packet frame = udp("10.0.0.1", 4000, "10.0.0.2", 53);
  const Flow* first = t.run(frame, 0, 1).flow;
  CHECK(t.run(frame, 0, 2).flow != first);
  CHECK(t.run(frame, 0, 1).flow == first);
  const Packet tagged =
      packet().ethernet().vlan(9).ipv4("10.0.0.1", "10.0.0.2").udp(4000, 53).payload("x");
  CHECK(t.run(tagged, 0, 1).flow != first);
}

TEST_CASE("a SYN/ACK comes from the server, whoever was seen first") {
  Table t;
  const auto answer = t.run(tcp("10.0.0.2", 80, "10.0.0.1", 4000, "SA"));
  CHECK(answer.direction == Direction::to_client);
  CHECK(answer.flow->tuple.dport == 80);
  CHECK(answer.flow->midstream);
  CHECK(t.run(tcp("10.0.0.3", 80, "10.0.0.1", 4000, "A")).flow->midstream);
}

TEST_CASE("at flows_max the exception policy speaks") {
  FlowTableOptions options;
  options.flows_max = 2;
  const bool drop = GENERATE(true, false);
  options.exceptions.set(ExceptionTrigger::flow_limit,
                         drop ? ExceptionPolicy::drop_packet : ExceptionPolicy::ignore);
  Table t(options);
  t.run(udp("10.0.0.1", 1, "10.0.0.2", 53));
  t.run(udp("10.0.0.1", 2, "10.0.0.2", 53));
  const auto third = t.run(udp("10.0.0.1", 3, "10.0.0.2", 53));
  CHECK(third.flow == nullptr);
  CHECK(third.dropped() == drop);
  CHECK(third.reason == (drop ? DropReason::flow_table_full : DropReason::none));
  CHECK(t.table.counters().refused == 1);
  // A known flow is not touched by the limit.
  CHECK(t.run(udp("10.0.0.2", 53, "10.0.0.1", 2)).flow != nullptr);
  // Once one has ended there is room again.
  CHECK(t.run(udp("10.0.0.1", 4, "10.0.0.2", 53), 1000 * second).flow != nullptr);
}

TEST_CASE("flows end after their state's timeout, exactly once") {
  FlowTableOptions options;
  options.timeouts.udp = {.fresh = 10, .established = 100, .closed = 0};
  Table t(options);
  t.run(udp("10.0.0.1", 1, "10.0.0.2", 53), 0);
  t.run(udp("10.0.0.1", 2, "10.0.0.2", 53), 0);
  t.run(udp("10.0.0.2", 53, "10.0.0.1", 2), 5 * second);
  CHECK(t.table.expire(9 * second) == 0);
  CHECK(t.table.expire(10 * second) == 1);
  REQUIRE(t.ends.seen.size() == 1);
  CHECK(t.ends.seen[0] == std::pair{std::uint64_t{1}, FlowEnd::timeout});
  CHECK(t.table.expire(104 * second) == 0);
  CHECK(t.table.expire(105 * second) == 1);
  t.run(udp("10.0.0.1", 3, "10.0.0.2", 53), 105 * second);
  t.table.finish();
  t.table.finish();
  REQUIRE(t.ends.seen.size() == 3);
  CHECK(t.ends.seen[2].second == FlowEnd::shutdown);
  CHECK(t.table.counters().live == 0);
}

TEST_CASE("time that runs back ends nothing") {
  Table t;
  t.run(udp("10.0.0.1", 1, "10.0.0.2", 53), 1000 * second);
  const auto earlier = t.run(udp("10.0.0.1", 1, "10.0.0.2", 53), 0);
  CHECK(earlier.flow->last == 1000 * second);
  CHECK(t.ends.seen.empty());
}

TEST_CASE("a SYN on a closed flow begins a new one; the old one lives until the batch is done") {
  Table t;
  Flow* old = t.run(tcp("10.0.0.1", 1, "10.0.0.2", 80, "S")).flow;
  const std::uint64_t old_id = old->id;
  old->state = FlowState::closed;
  const auto again = t.run(tcp("10.0.0.1", 1, "10.0.0.2", 80, "S"));
  CHECK(again.flow != old);
  CHECK(t.ends.seen.empty());
  t.run(tcp("10.0.0.2", 80, "10.0.0.1", 1, "SA"));
  REQUIRE(t.ends.seen.size() == 1);
  CHECK(t.ends.seen[0] == std::pair{old_id, FlowEnd::reused});
}

TEST_CASE("a dropped flow drops all its packets") {
  Table t;
  t.run(udp("10.0.0.1", 1, "10.0.0.2", 53)).flow->action = FlowAction::drop;
  const auto next = t.run(udp("10.0.0.2", 53, "10.0.0.1", 1));
  CHECK(next.verdict == Verdict::drop);
  CHECK(next.reason == DropReason::flow_dropped);
}

TEST_CASE("the policy is asked once, from initiator to responder") {
  struct Labeler final : FlowLabeler {
    FlowLabel label(const FiveTuple& tuple) const noexcept override {
      ++asked;
      FlowLabel answer;
      answer.policy_line = tuple.dport;
      return answer;
    }
    mutable int asked = 0;
  } labeler;
  Table t({}, &labeler);
  t.run(udp("10.0.0.1", 1, "10.0.0.2", 53));
  const auto answer = t.run(udp("10.0.0.2", 53, "10.0.0.1", 1));
  CHECK(labeler.asked == 1);
  CHECK(answer.flow->label.policy_line == 53);
}

TEST_CASE("many flows in few buckets are all found again") {
  FlowTableOptions options;
  options.flows_max = 3000;
  Table t(options);
  for (const bool again : {false, true}) {
    for (std::uint16_t port = 1; port <= 3000; ++port) {
      const auto meta = t.run(udp("10.0.0.1", port, "10.0.0.2", 53));
      REQUIRE(meta.flow != nullptr);
      REQUIRE(meta.flow->tuple.sport == port);
      REQUIRE(meta.flow->side(Direction::to_server).packets == (again ? 2 : 1));
    }
  }
  CHECK(t.table.counters().begun == 3000);
}

}  // namespace menshen::sensor
