// Packets out of packets, through all stages: tunnels, fragments, and the rules on anomalies.
#include <catch2/catch.hpp>

#include "sensor/engine/test_conversation.hpp"

namespace menshen::sensor {
namespace {

using testing::EventList;
using testkit::packet;
using testkit::Packet;

// The policy lets this pair of addresses pass uninspected.
class TrustsInner final : public FlowLabeler {
 public:
  [[nodiscard]] FlowLabel label(const FiveTuple& tuple) const noexcept override {
    FlowLabel label;
    if (tuple.src == IpAddr::v4(0x0a000001)) label.mode = InspectMode::none;
    return label;
  }
};

struct Sensor {
  explicit Sensor(std::string_view rules, bool inline_mode = false,
                  const FlowLabeler* labeler = nullptr) {
    RuleSetBuilder builder;
    builder.add_text("test.rules", rules);
    EngineOptions options;
    options.inline_mode = inline_mode;
    engine = std::make_unique<Engine>(
        options, std::make_shared<const RuleSet>(std::move(builder).build().value()), labeler,
        events);
  }
  Verdict run(Packet frame) {
    frames.push_back(std::move(frame));
    const auto batch = std::make_unique<PacketBatch>();
    PacketMeta& meta = batch->push();
    meta.data = frames.back().data();
    meta.length = static_cast<std::uint32_t>(frames.back().size());
    meta.time = 1'700'000'000'000'000'000;
    engine->process(*batch);
    return meta.verdict;
  }
  std::multiset<std::uint32_t> alerts() const { return events.alerts(); }
  EventList events;
  std::unique_ptr<Engine> engine;
  std::vector<Packet> frames;
};

constexpr std::string_view evil = R"(alert udp any any -> any any (content:"evil"; sid:1;))";
constexpr std::string_view drop_evil = R"(drop udp any any -> any any (content:"evil"; sid:1;))";

Packet vxlan(std::uint32_t vni, std::string_view text) {
  return packet()
      .ethernet()
      .ipv4("192.0.2.1", "192.0.2.2")
      .udp(4000, 4789)
      .vxlan(vni)
      .ethernet()
      .ipv4("10.0.0.1", "10.0.0.2")
      .udp(5000, 6000)
      .payload(text);
}

}  // namespace

TEST_CASE("a rule sees what a tunnel carries, with the inner addresses") {
  Sensor sensor(R"(alert udp 10.0.0.1 any -> 10.0.0.2 6000 (content:"evil"; startswith; sid:1;))");
  sensor.run(vxlan(1, "evil"));
  REQUIRE(sensor.alerts() == std::multiset<std::uint32_t>{1});
}

TEST_CASE("inline, what is dropped in a tunnel drops the packet that brings it, once told") {
  Sensor sensor(drop_evil, true);
  CHECK(sensor.run(vxlan(1, "good")) == Verdict::accept);
  CHECK(sensor.run(vxlan(1, "evil")) == Verdict::drop);
  CHECK(sensor.events.count(EventKind::drop) == 1);
  CHECK(sensor.engine->counters().dropped == 1);
}

TEST_CASE("E6: inner addresses that the policy trusts are not trusted in a tunnel") {
  const TrustsInner policy;
  Sensor sensor(drop_evil, true, &policy);
  CHECK(sensor.run(vxlan(1, "evil")) == Verdict::drop);
}

TEST_CASE("E6: inner flows of two tenants with equal addresses never mix") {
  Sensor sensor("", false);
  sensor.run(vxlan(1, "a"));
  sensor.run(vxlan(2, "a"));
  sensor.run(vxlan(1, "b"));
  // Two inner flows and the outer one.
  CHECK(sensor.engine->counters().flows == 3);
}

TEST_CASE("E6: a drop of one tenant's flow does not touch the other's") {
  Sensor sensor(
      R"(drop udp any any -> any any (content:"evil"; flowbits:set,bad; flow:to_server; sid:1;)
drop udp any any -> any any (flowbits:isset,bad; sid:2;))",
      true);
  CHECK(sensor.run(vxlan(1, "evil")) == Verdict::drop);
  CHECK(sensor.run(vxlan(2, "good")) == Verdict::accept);
  CHECK(sensor.run(vxlan(1, "good")) == Verdict::drop);
}

TEST_CASE("D2: tunnels nested without end are opened to a limit") {
  auto builder = packet().ethernet().ipv4("10.0.0.1", "10.0.0.2");
  for (int i = 0; i < 30; ++i) builder.ipv4("10.0.0.1", "10.0.0.2");
  const Packet nested = builder.udp(1, 2).payload("evil");
  Sensor passive(R"(alert pkthdr any any -> any any (decode-event:too_many_layers; sid:1;))");
  CHECK(passive.run(nested) == Verdict::accept);
  CHECK(passive.alerts() == std::multiset<std::uint32_t>{1});
  Sensor sensor("", true);
  CHECK(sensor.run(nested) == Verdict::drop);
  CHECK(sensor.engine->counters().drops[static_cast<std::size_t>(DropReason::tunnel_depth)] == 1);
}

TEST_CASE("E5: an attack cut into fragments is seen whole, in a tunnel too") {
  const Packet whole =
      packet().ethernet().ipv4("10.0.0.1", "10.0.0.2").udp(5000, 6000).payload("12345evil67890");
  Sensor sensor(evil);
  for (const Packet& part : testkit::fragments_of(whole, 8)) sensor.run(part);
  CHECK(sensor.alerts() == std::multiset<std::uint32_t>{1});
  for (const Packet& part : testkit::fragments_of(whole, 8)) {
    const Packet ip(part.begin() + 14, part.end());
    sensor.run(packet().ethernet().ipv4("192.0.2.1", "192.0.2.2").protocol(4).payload(ip));
  }
  CHECK(sensor.alerts() == std::multiset<std::uint32_t>{1, 1});
}

TEST_CASE("anomalies of refused packets reach the rules that ask for them") {
  Sensor sensor(R"(alert pkthdr any any -> any any (decode-event:ipv4.trunc_pkt; sid:1;)
alert tcp any any -> any any (decode-event:tcp.pkt_too_small; sid:2;)
alert ip any any -> any any (engine-event:decoder.ipv4.opt_invalid_len; sid:3;)
alert udp any any -> any any (udpv4-csum:invalid; sid:4;)
alert udp any any -> any any (udpv4-csum:valid; sid:5;)
alert udp any any -> any any (vlan.id:7,1; sid:6;))");
  Packet cut = packet().ethernet().ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).payload("abcdef");
  cut.resize(cut.size() - 3);
  sensor.run(cut);
  CHECK(sensor.alerts() == std::multiset<std::uint32_t>{1});
  sensor.run(packet().ethernet().ipv4("10.0.0.1", "10.0.0.2").protocol(6).payload("short"));
  CHECK(sensor.alerts() == std::multiset<std::uint32_t>{1, 2});
  sensor.run(
      packet().ethernet().ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).bad_checksum().payload("x"));
  CHECK(sensor.alerts() == std::multiset<std::uint32_t>{1, 2, 4});
  sensor.run(
      packet().ethernet().vlan(9).vlan(7).ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).payload("x"));
  CHECK(sensor.alerts() == std::multiset<std::uint32_t>{1, 2, 4, 5, 6});
}

}  // namespace menshen::sensor
