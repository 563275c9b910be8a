// Keywords on what decode and stream noted, on checksums and on link headers.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "sensor/detect/keyword.hpp"

namespace menshen::sensor {
namespace {

// Of other engines' captures and threads: a rule that asks for one could never match here.
struct NeverRaised {
  Anomaly anomaly;
  Text why;
};
const NeverRaised* never_raised(Anomaly anomaly) {
  static const NeverRaised table[] = {
      {Anomaly::stream_wrong_thread,
       {"同一条流的数据包总由同一线程检测", "all packets of a flow meet one worker"}},
      {Anomaly::afpacket_trunc_pkt,
       {"不经 AF_PACKET 捕获", "packets are not captured through AF_PACKET"}},
  };
  const auto* const found = std::ranges::find(table, anomaly, &NeverRaised::anomaly);
  return found == std::end(table) ? nullptr : found;
}

Result<void> add_anomaly(RuleDraft& draft, AnomalyLayer layer, std::string_view name) {
  const auto anomaly = anomaly_of(layer, name);
  if (!anomaly) {
    return invalid(fmt::format("未知事件 \"{}\"", name), fmt::format("unknown event \"{}\"", name));
  }
  if (const NeverRaised* never = never_raised(*anomaly)) {
    return invalid(fmt::format("事件 \"{}\" 不会发生：{}", name, never->why.zh),
                   fmt::format("the event \"{}\" never happens: {}", name, never->why.en));
  }
  draft.rule.header.emplace_back(AnomalyTest{*anomaly});
  return {};
}

template <AnomalyLayer layer>
Result<void> parse_event(RuleDraft& draft, const KeywordUse& use) {
  return add_anomaly(draft, layer, use.value);
}

// The name with its layer before it: "decoder.ipv4.trunc_pkt", "stream.est_syn_resend".
Result<void> parse_engine_event(RuleDraft& draft, const KeywordUse& use) {
  static constexpr std::pair<std::string_view, AnomalyLayer> layers[] = {
      {"decoder.", AnomalyLayer::decode}, {"stream.", AnomalyLayer::stream}};
  for (const auto& [prefix, layer] : layers) {
    if (use.value.starts_with(prefix)) {
      return add_anomaly(draft, layer, use.value.substr(prefix.size()));
    }
  }
  return invalid_value(use.value);
}

Result<void> parse_checksum(RuleDraft& draft, const KeywordUse& use) {
  const std::string_view value = unquote(use.value).value_or(use.value);
  if (value != "valid" && value != "invalid") return invalid_value(use.value);
  const auto wrong = anomaly_of(AnomalyLayer::checksum, use.name);
  draft.rule.header.emplace_back(ChecksumTest{*wrong, value == "valid"});
  return {};
}

// vlan.id:RANGE[,LAYER]
Result<void> parse_vlan_id(RuleDraft& draft, const KeywordUse& use) {
  const auto parts = split(use.value, ',');
  if (parts.empty() || parts.size() > 2) return invalid_value(use.value);
  VlanTest test;
  test.id = MENSHEN_TRY(parse_range(parts[0], 4095));
  if (parts.size() == 2 && parts[1] == "all") {
    test.layer = VlanTest::Layer::all;
  } else if (parts.size() == 2 && parts[1] != "any") {
    const auto number = parse_signed(parts[1]);
    constexpr auto max = static_cast<std::int64_t>(vlan_tags_max);
    if (!number || *number < -max || *number >= max) return invalid_value(parts[1]);
    test.layer = VlanTest::Layer::numbered;
    test.number = static_cast<int>(*number);
  }
  draft.rule.header.emplace_back(test);
  return {};
}

Result<void> parse_igmp_type(RuleDraft& draft, const KeywordUse& use) {
  const NumberRange range = MENSHEN_TRY(parse_range(use.value, 255));
  draft.rule.header.emplace_back(FieldTest{Field::igmp_type, range});
  return {};
}

using Value = Keyword::Value;
constexpr std::array keywords = {
    Keyword{"decode-event", Value::required, &parse_event<AnomalyLayer::decode>},
    Keyword{"stream-event", Value::required, &parse_event<AnomalyLayer::stream>},
    Keyword{"engine-event", Value::required, &parse_engine_event},
    Keyword{"ipv4-csum", Value::required, &parse_checksum},
    Keyword{"tcpv4-csum", Value::required, &parse_checksum},
    Keyword{"tcpv6-csum", Value::required, &parse_checksum},
    Keyword{"udpv4-csum", Value::required, &parse_checksum},
    Keyword{"udpv6-csum", Value::required, &parse_checksum},
    Keyword{"icmpv4-csum", Value::required, &parse_checksum},
    Keyword{"icmpv6-csum", Value::required, &parse_checksum},
    Keyword{"igmp-csum", Value::required, &parse_checksum},
    Keyword{"igmp.type", Value::required, &parse_igmp_type},
    Keyword{"vlan.id", Value::required, &parse_vlan_id},
};

}  // namespace

std::span<const Keyword> network_keywords() { return keywords; }

}  // namespace menshen::sensor
