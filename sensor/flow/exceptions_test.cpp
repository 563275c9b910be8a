#include "sensor/flow/exceptions.hpp"

#include <catch2/catch.hpp>

#include <vector>

namespace menshen::sensor {
namespace {

using Policy = ExceptionPolicy;
using Trigger = ExceptionTrigger;

Result<ExceptionPolicies> parse(const std::vector<std::string>& entries) {
  return ExceptionPolicies::parse(entries);
}

}  // namespace

TEST_CASE("exception policies: inline closed at the limits, a passive sensor drops nothing") {
  const ExceptionPolicies inline_ones = ExceptionPolicies().resolved(true);
  CHECK(inline_ones.of(Trigger::flow_limit) == Policy::drop_packet);
  CHECK(inline_ones.of(Trigger::stream_memory) == Policy::drop_packet);
  CHECK(inline_ones.of(Trigger::defrag_memory) == Policy::drop_packet);
  CHECK(inline_ones.of(Trigger::app_limit) == Policy::drop_flow);
  CHECK(inline_ones.of(Trigger::midstream) == Policy::ignore);
  CHECK(inline_ones.of(Trigger::app_error) == Policy::ignore);
  const ExceptionPolicies passive =
      parse({"all=drop-flow", "stream-depth=bypass"})->resolved(false);
  for (std::size_t i = 0; i < exception_triggers; ++i) {
    const auto trigger = static_cast<Trigger>(i);
    CHECK(passive.of(trigger) ==
          (trigger == Trigger::stream_depth ? Policy::bypass : Policy::ignore));
  }
}

TEST_CASE("exception policies: all stands for what nothing else names, the nearest that fits") {
  const auto policies = parse({"midstream=reject", "all=drop-flow"});
  REQUIRE(policies);
  CHECK(policies->of(Trigger::midstream) == Policy::reject);
  CHECK(policies->of(Trigger::app_error) == Policy::drop_flow);
  CHECK(policies->of(Trigger::flow_limit) == Policy::drop_packet);
  CHECK(parse({"all=bypass"})->of(Trigger::defrag_memory) == Policy::pass_packet);
  CHECK(parse({"all=drop-packet"})->of(Trigger::midstream) == Policy::drop_flow);
}

TEST_CASE("exception policies that fit nothing are refused by name") {
  for (const char* bad : {"midstream", "midstream=", "midstream=drop-packet", "x=ignore",
                          "flow-limit=drop-flow", "defrag-memory=bypass", "all=no"}) {
    const auto policies = parse({bad});
    REQUIRE_FALSE(policies);
    CHECK(policies.error().text.en.find(bad) != std::string::npos);
    CHECK(policies.error().text.zh.find(bad) != std::string::npos);
  }
  CHECK_FALSE(parse({"midstream=ignore", "midstream=ignore"}));
  CHECK_FALSE(parse({"all=ignore", "all=ignore"}));
}

TEST_CASE("each exception policy does what it says, and is counted") {
  struct Row {
    Policy policy;
    Verdict verdict;
    FlowAction action;
    bool packet_unseen;
    bool flow_unseen;
  };
  const Row row = GENERATE(values<Row>({
      {Policy::ignore, Verdict::accept, FlowAction::none, false, false},
      {Policy::pass_packet, Verdict::accept, FlowAction::none, true, false},
      {Policy::pass_flow, Verdict::accept, FlowAction::none, true, true},
      {Policy::bypass, Verdict::accept, FlowAction::pass, false, false},
      {Policy::drop_packet, Verdict::drop, FlowAction::none, false, false},
      {Policy::drop_flow, Verdict::drop, FlowAction::drop, false, false},
      {Policy::reject, Verdict::reject, FlowAction::drop, false, false},
  }));
  Exceptions exceptions(ExceptionPolicies().set(Trigger::app_error, row.policy));
  PacketMeta packet;
  Flow flow;
  CHECK(exceptions.meet(Trigger::app_error, packet, &flow) == row.policy);
  CHECK(packet.verdict == row.verdict);
  CHECK((packet.reason == DropReason::proto_error) == packet.dropped());
  CHECK(flow.action == row.action);
  CHECK(packet.uninspected == row.packet_unseen);
  CHECK(flow.uninspected == row.flow_unseen);
  const auto& counts = exceptions.counts()[static_cast<std::size_t>(Trigger::app_error)];
  CHECK(counts[static_cast<std::size_t>(row.policy)] == 1);
}

TEST_CASE("a flow that only alerts is never dropped by an exception policy") {
  Exceptions exceptions(ExceptionPolicies().set(Trigger::app_limit, Policy::drop_flow));
  PacketMeta packet;
  Flow flow;
  flow.label.mode = InspectMode::alert;
  CHECK(exceptions.meet(Trigger::app_limit, packet, &flow) == Policy::ignore);
  CHECK_FALSE(packet.dropped());
  CHECK(flow.action == FlowAction::none);
}

}  // namespace menshen::sensor
