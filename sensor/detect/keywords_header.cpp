// Keywords on header fields and on the flow's counters.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "sensor/detect/keyword.hpp"
#include "sensor/proto/registry.hpp"

namespace menshen::sensor {
namespace {

void add_field(RuleDraft& draft, Field field, NumberRange range) {
  draft.rule.header.emplace_back(FieldTest{field, range});
}

template <Field field, std::uint64_t max>
Result<void> parse_field(RuleDraft& draft, const KeywordUse& use) {
  add_field(draft, field, MENSHEN_TRY(parse_range(use.value, max)));
  return {};
}

struct FlagLetter {
  char letter;
  std::uint8_t bit;
};

Result<std::uint8_t> flag_bits(std::string_view letters, std::span<const FlagLetter> table) {
  std::uint8_t bits = 0;
  for (const char letter : letters) {
    const char upper = letter >= 'a' && letter <= 'z' ? static_cast<char>(letter - 32) : letter;
    const auto found =
        std::find_if(table.begin(), table.end(), [&](FlagLetter f) { return f.letter == upper; });
    if (found == table.end() && upper != ',' && upper != ' ') return invalid_value(letters);
    if (found != table.end()) bits = static_cast<std::uint8_t>(bits | found->bit);
  }
  return bits;
}

// '+' all of them, '*' any of them, '!' none... before or after the letters.
template <class Mode>
std::string_view take_mode(std::string_view text, Mode& mode) {
  const auto pick = [&mode](char c) {
    if (c == '+') mode = Mode::all;
    if (c == '*') mode = Mode::any;
    if (c == '!' || c == '-') mode = Mode::none;
    return c == '+' || c == '*' || c == '!' || c == '-';
  };
  if (!text.empty() && pick(text.front())) return trim(text.substr(1));
  if (!text.empty() && pick(text.back())) return trim(text.substr(0, text.size() - 1));
  return text;
}

Result<void> parse_flags(RuleDraft& draft, const KeywordUse& use) {
  static constexpr FlagLetter letters[] = {{'F', tcp_fin}, {'S', tcp_syn}, {'R', tcp_rst},
                                           {'P', tcp_psh}, {'A', tcp_ack}, {'U', tcp_urg},
                                           {'E', tcp_ece}, {'C', tcp_cwr}, {'1', tcp_cwr},
                                           {'2', tcp_ece}, {'0', 0}};
  FlagsTest test;
  std::string_view text = use.value;
  // "SA,12": flags, then those to ignore. "R,A" of tcp.flags means both.
  const auto comma = text.rfind(',');
  if (comma != std::string_view::npos) {
    test.ignored = MENSHEN_TRY(flag_bits(trim(text.substr(comma + 1)), letters));
    text = trim(text.substr(0, comma));
  }
  test.flags = MENSHEN_TRY(flag_bits(take_mode(text, test.mode), letters));
  draft.rule.header.emplace_back(test);
  return {};
}

Result<void> parse_fragbits(RuleDraft& draft, const KeywordUse& use) {
  static constexpr FlagLetter letters[] = {{'R', 4}, {'D', 2}, {'M', 1}};
  FragBitsTest test;
  test.bits = MENSHEN_TRY(flag_bits(take_mode(use.value, test.mode), letters));
  draft.rule.header.emplace_back(test);
  return {};
}

Result<void> parse_sameip(RuleDraft& draft, const KeywordUse&) {
  draft.rule.header.emplace_back(SameIpTest{});
  return {};
}

Result<void> parse_ip_proto(RuleDraft& draft, const KeywordUse& use) {
  static constexpr std::pair<std::string_view, std::uint64_t> names[] = {
      {"icmp", 1}, {"igmp", 2}, {"ipip", 4},  {"tcp", 6},    {"udp", 17},      {"gre", 47},
      {"esp", 50}, {"ah", 51},  {"pim", 103}, {"sctp", 132}, {"ipv6-icmp", 58}};
  std::string_view text = use.value;
  const bool negated = text.starts_with('!');
  if (negated) text = trim(text.substr(1));
  for (const auto& [name, number] : names) {
    if (text != name) continue;
    add_field(draft, Field::ip_proto,
              {negated ? NumberRange::Kind::not_equal : NumberRange::Kind::equal, number, 0});
    return {};
  }
  add_field(draft, Field::ip_proto, MENSHEN_TRY(parse_range(use.value, 255)));
  return {};
}

Result<void> parse_l3_proto(RuleDraft& draft, const KeywordUse& use) {
  const bool v4 = use.value == "ipv4" || use.value == "ip4";
  const bool v6 = use.value == "ipv6" || use.value == "ip6";
  if (!v4 && !v6) return invalid_value(use.value);
  if (draft.rule.proto.ip_version != 0)
    return invalid("与规则头重复", "the header says it already");
  draft.rule.proto.ip_version = v4 ? 4 : 6;
  return {};
}

// Some fields are customarily quoted, with an option after a comma that changes nothing here.
template <Field field, std::uint64_t max>
Result<void> parse_quoted_field(RuleDraft& draft, const KeywordUse& use) {
  add_field(draft, field, MENSHEN_TRY(parse_range(unquote(use.value).value_or(use.value), max)));
  return {};
}

Result<void> parse_ipopts(RuleDraft& draft, const KeywordUse& use) {
  static constexpr std::pair<std::string_view, std::uint8_t> names[] = {
      {"rr", 7},    {"lsrr", 131}, {"eol", 0},     {"nop", 1},   {"ts", 68},
      {"sec", 130}, {"ssrr", 137}, {"satid", 136}, {"esec", 133}};
  if (use.value == "any") {
    draft.rule.header.emplace_back(IpOptionTest{0, true});
    return {};
  }
  for (const auto& [name, option] : names) {
    if (use.value != name) continue;
    draft.rule.header.emplace_back(IpOptionTest{option, false});
    return {};
  }
  return invalid_value(use.value);
}

Result<void> parse_stream_size(RuleDraft& draft, const KeywordUse& use) {
  const auto parts = split(use.value, ',');
  if (parts.size() != 3) return invalid_value(use.value);
  static constexpr std::pair<std::string_view, Field> sides[] = {
      {"server", Field::stream_size_server},
      {"client", Field::stream_size_client},
      {"either", Field::stream_size_either},
      {"both", Field::stream_size_both}};
  for (const auto& [name, field] : sides) {
    if (parts[0] != name) continue;
    add_field(draft, field,
              MENSHEN_TRY(parse_range(fmt::format("{}{}", parts[1], parts[2]), UINT32_MAX)));
    return {};
  }
  return invalid_value(parts[0]);
}

// flow.pkts:toserver,>5 is flow.pkts_toserver:>5.
template <Field either, Field to_server, Field to_client>
Result<void> parse_flow_count(RuleDraft& draft, const KeywordUse& use) {
  const auto parts = split(use.value, ',');
  Field field = either;
  std::string_view range = use.value;
  if (parts.size() == 2) {
    if (parts[0] != "toserver" && parts[0] != "toclient" && parts[0] != "either" &&
        parts[0] != "both") {
      return invalid_value(parts[0]);
    }
    if (parts[0] == "both") {
      const NumberRange range_of_each = MENSHEN_TRY(parse_range(parts[1], UINT64_MAX));
      add_field(draft, to_server, range_of_each);
      add_field(draft, to_client, range_of_each);
      return {};
    }
    if (parts[0] == "toserver") field = to_server;
    if (parts[0] == "toclient") field = to_client;
    range = parts[1];
  }
  add_field(draft, field, MENSHEN_TRY(parse_range(range, UINT64_MAX)));
  return {};
}

Result<void> parse_app_layer_protocol(RuleDraft& draft, const KeywordUse& use) {
  AppProtoTest test;
  auto parts = split(use.value, ',');
  if (parts.empty()) return invalid_value(use.value);
  if (parts[0].starts_with('!')) {
    test.negated = true;
    parts[0] = trim(parts[0].substr(1));
  }
  if (parts.size() > 2) return invalid_value(use.value);
  if (parts.size() == 2) {
    using Side = AppProtoTest::Side;
    if (parts[1] == "to_server" || parts[1] == "toserver") {
      test.side = Side::to_server;
    } else if (parts[1] == "to_client" || parts[1] == "toclient") {
      test.side = Side::to_client;
    } else if (parts[1] == "direction") {
      test.side = Side::packet;
    } else if (parts[1] == "original") {
      test.side = Side::original;
    } else if (parts[1] != "final" && parts[1] != "either") {
      return invalid_value(parts[1]);
    }
  }
  const auto proto = app_proto_of(parts[0]);
  const bool told =
      proto && (is_parsed(*proto) || *proto == AppProto::unknown || *proto == AppProto::failed);
  if (!told) {
    return invalid(fmt::format("尚不能识别协议 {}", parts[0]),
                   fmt::format("protocol {} is not recognised by this sensor", parts[0]));
  }
  test.proto = *proto;
  test.protos = parts[0] == "http1" ? std::span(&*proto, 1) : carriers(*proto);
  if (*proto == AppProto::unknown) test.protos = std::span(&*proto, 1);
  draft.rule.header.emplace_back(test);
  return {};
}

using Value = Keyword::Value;
constexpr std::array keywords = {
    Keyword{"dsize", Value::required, &parse_field<Field::dsize, 65'535>},
    Keyword{"ttl", Value::required, &parse_field<Field::ttl, 255>},
    Keyword{"tos", Value::required, &parse_field<Field::tos, 255>},
    Keyword{"id", Value::required, &parse_quoted_field<Field::ip_id, 65'535>},
    Keyword{"ip_proto", Value::required, &parse_ip_proto},
    Keyword{"l3_proto", Value::required, &parse_l3_proto},
    Keyword{"itype", Value::required, &parse_field<Field::itype, 255>},
    Keyword{"icode", Value::required, &parse_field<Field::icode, 255>},
    Keyword{"icmp_id", Value::required, &parse_quoted_field<Field::icmp_id, 65'535>},
    Keyword{"icmp_seq", Value::required, &parse_quoted_field<Field::icmp_seq, 65'535>},
    Keyword{"icmpv6.mtu", Value::required, &parse_field<Field::icmpv6_mtu, UINT32_MAX>},
    Keyword{"seq", Value::required, &parse_field<Field::tcp_seq, UINT32_MAX>},
    Keyword{"tcp.seq", Value::required, &parse_field<Field::tcp_seq, UINT32_MAX>},
    Keyword{"ack", Value::required, &parse_field<Field::tcp_ack, UINT32_MAX>},
    Keyword{"tcp.ack", Value::required, &parse_field<Field::tcp_ack, UINT32_MAX>},
    Keyword{"window", Value::required, &parse_field<Field::tcp_window, 65'535>},
    Keyword{"tcp.window", Value::required, &parse_field<Field::tcp_window, 65'535>},
    Keyword{"tcp.mss", Value::required, &parse_field<Field::tcp_mss, 65'535>},
    Keyword{"tcp.wscale", Value::required, &parse_field<Field::tcp_wscale, 255>},
    Keyword{"fragoffset", Value::required, &parse_field<Field::fragoffset, 65'535>},
    Keyword{"vlan.layers", Value::required, &parse_field<Field::vlan_layers, 3>},
    Keyword{"flags", Value::required, &parse_flags},
    Keyword{"tcp.flags", Value::required, &parse_flags},
    Keyword{"fragbits", Value::required, &parse_fragbits},
    Keyword{"sameip", Value::none, &parse_sameip},
    Keyword{"ipopts", Value::required, &parse_ipopts},
    Keyword{"stream_size", Value::required, &parse_stream_size},
    Keyword{"app-layer-protocol", Value::required, &parse_app_layer_protocol},
    Keyword{"flow.age", Value::required, &parse_field<Field::flow_age, UINT32_MAX>},
    Keyword{"flow.pkts", Value::required,
            &parse_flow_count<Field::flow_packets, Field::flow_packets_to_server,
                              Field::flow_packets_to_client>},
    Keyword{"flow.pkts_toserver", Value::required,
            &parse_field<Field::flow_packets_to_server, UINT64_MAX>},
    Keyword{"flow.pkts_toclient", Value::required,
            &parse_field<Field::flow_packets_to_client, UINT64_MAX>},
    Keyword{"flow.bytes", Value::required,
            &parse_flow_count<Field::flow_bytes, Field::flow_bytes_to_server,
                              Field::flow_bytes_to_client>},
    Keyword{"flow.bytes_toserver", Value::required,
            &parse_field<Field::flow_bytes_to_server, UINT64_MAX>},
    Keyword{"flow.bytes_toclient", Value::required,
            &parse_field<Field::flow_bytes_to_client, UINT64_MAX>},
};

}  // namespace

std::span<const Keyword> header_keywords() { return keywords; }

}  // namespace menshen::sensor
