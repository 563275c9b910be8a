#include "sensor/engine/eve.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "sensor/packet/drop_reason.hpp"
#include "sensor/proto/proto.hpp"

namespace menshen::sensor {
namespace {

using Json = nlohmann::ordered_json;

// A protocol's records and their object, where they are not named as the protocol is.
std::string_view record_name(AppProto proto) {
  switch (proto) {
    case AppProto::http2:
      return "http";
    case AppProto::doh2:
      return "dns";
    case AppProto::ftp_data:
      return "ftp_data";
    case AppProto::bittorrent_dht:
      return "bittorrent_dht";
    default:
      return app_proto_name(proto);
  }
}

std::string_view source_name(Event::Source source) {
  static constexpr std::string_view names[] = {"wire/pcap", "tunnel", "defrag",
                                               "stream (flow timeout)"};
  return names[static_cast<std::size_t>(source)];
}

std::string_view kind_name(const Event& event) {
  switch (event.kind) {
    case EventKind::alert:
      return "alert";
    case EventKind::drop:
      return "drop";
    case EventKind::flow:
      return "flow";
    case EventKind::transaction:
      return record_name(event.app);
    case EventKind::fileinfo:
      return "fileinfo";
    case EventKind::anomaly:
      return "anomaly";
    case EventKind::stats:
      return "stats";
    case EventKind::packet:
      return "packet";
  }
  return "unknown";
}

std::string proto_name(IpProto proto) {
  switch (proto) {
    case IpProto::icmp:
      return "ICMP";
    case IpProto::igmp:
      return "IGMP";
    case IpProto::tcp:
      return "TCP";
    case IpProto::udp:
      return "UDP";
    case IpProto::gre:
      return "GRE";
    case IpProto::icmpv6:
      return "IPv6-ICMP";
    case IpProto::sctp:
      return "SCTP";
  }
  return std::to_string(static_cast<unsigned>(proto));
}

std::string base64(std::string_view bytes) {
  static constexpr std::string_view alphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      group = group << 8U | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    }
    const std::size_t digits = std::min<std::size_t>(4, bytes.size() - i + 1);
    for (std::size_t k = 0; k < 4; ++k)
      out.push_back(k < digits ? alphabet[group >> (18 - 6 * k) & 63U] : '=');
  }
  return out;
}

std::string printable(std::string_view bytes) {
  std::string out(bytes);
  for (char& c : out) {
    const auto u = static_cast<unsigned char>(c);
    if ((u < 0x20 && c != '\n' && c != '\r' && c != '\t') || u >= 0x7f) c = '.';
  }
  return out;
}

Json alert_object(const Event& event) {
  const RuleInfo& rule = *event.rule;
  Json alert;
  alert["action"] = event.blocked ? "blocked" : "allowed";
  alert["gid"] = rule.gid;
  alert["signature_id"] = rule.sid;
  alert["rev"] = rule.rev;
  alert["signature"] = rule.msg;
  alert["category"] = rule.category.empty() ? rule.classtype : rule.category;
  alert["severity"] = rule.priority;
  for (const auto& [key, value] : rule.metadata) alert["metadata"][key].push_back(value);
  for (const auto& [system, id] : rule.references)
    alert["references"].push_back(fmt::format("{},{}", system, id));
  if (!rule.target.empty()) {
    const bool source = rule.target == "src_ip";
    const FiveTuple& t = event.tuple;
    alert["source"]["ip"] = (source ? t.dst : t.src).to_string();
    alert["target"]["ip"] = (source ? t.src : t.dst).to_string();
  }
  return alert;
}

Json flow_object(const Event& event) {
  Json flow;
  flow["pkts_toserver"] = event.flow.packets_to_server;
  flow["pkts_toclient"] = event.flow.packets_to_client;
  flow["bytes_toserver"] = event.flow.bytes_to_server;
  flow["bytes_toclient"] = event.flow.bytes_to_client;
  flow["start"] = format_local(event.flow.start);
  if (event.kind == EventKind::flow) {
    flow["end"] = format_local(event.flow.end);
    flow["age"] = (event.flow.end - event.flow.start) / 1'000'000'000;
    flow["state"] = event.flow.state;
    flow["reason"] = event.flow.reason;
    flow["alerted"] = event.alerted;
  }
  return flow;
}

// EVE's `tcp` of a flow record.
Json tcp_object(const FlowCounts& flow) {
  static constexpr std::pair<const char*, std::uint8_t> flags[] = {
      {"fin", tcp_fin}, {"syn", tcp_syn}, {"rst", tcp_rst}, {"psh", tcp_psh},
      {"ack", tcp_ack}, {"urg", tcp_urg}, {"ecn", tcp_ece}, {"cwr", tcp_cwr}};
  const auto hex = [](unsigned bits) { return fmt::format("{:02x}", bits); };
  const unsigned seen = flow.tcp_flags[0] | flow.tcp_flags[1];
  Json tcp;
  tcp["tcp_flags"] = hex(seen);
  tcp["tcp_flags_ts"] = hex(flow.tcp_flags[0]);
  tcp["tcp_flags_tc"] = hex(flow.tcp_flags[1]);
  for (const auto& [name, bit] : flags) {
    if ((seen & bit) != 0) tcp[name] = true;
  }
  tcp["state"] = flow.state == "new" ? "syn_sent" : flow.state;
  return tcp;
}

Json menshen_object(const Event& event, const DomainNames* names) {
  const auto domain = [&](std::uint16_t index) {
    return names != nullptr ? Json(std::string(names->domain(index))) : Json(index);
  };
  Json own;
  own["domain_src"] = domain(event.label.from_domain);
  own["domain_dst"] = domain(event.label.to_domain);
  const auto line = event.label.policy_line;
  own["policy_line"] = names != nullptr ? Json(std::string(names->policy_line(line))) : Json(line);
  if (event.reason != DropReason::none) own["drop_reason"] = drop_reason_info(event.reason).name;
  return own;
}

void add_addresses(Json& record, const Event& event) {
  const FiveTuple& t = event.tuple;
  const bool ports = t.proto == IpProto::tcp || t.proto == IpProto::udp || t.proto == IpProto::sctp;
  record["src_ip"] = t.src.to_string();
  if (ports) record["src_port"] = t.sport;
  record["dest_ip"] = t.dst.to_string();
  if (ports) record["dest_port"] = t.dport;
  record["proto"] = proto_name(t.proto);
  record["ip_v"] = t.src.is_v4() ? 4 : 6;
  if (t.proto == IpProto::icmp || t.proto == IpProto::icmpv6) {
    record["icmp_type"] = event.icmp_type_code >> 8U;
    record["icmp_code"] = event.icmp_type_code & 0xFFU;
  }
}

}  // namespace

std::string to_eve_json(const Event& event, const DomainNames* names) {
  Json record;
  record["timestamp"] = format_local(event.time);
  if (event.flow_id != 0) record["flow_id"] = event.flow_id;
  if (event.packet_count != 0) record["pcap_cnt"] = event.packet_count;
  record["event_type"] = kind_name(event);
  for (unsigned i = 0; i < event.vlan_count; ++i) record["vlan"].push_back(event.vlan[i]);
  if (event.kind != EventKind::stats) add_addresses(record, event);
  if (event.kind == EventKind::alert || event.kind == EventKind::drop) {
    record["pkt_src"] = source_name(event.source);
  }
  if (event.tx_id) record["tx_id"] = *event.tx_id;
  if (event.kind == EventKind::alert) record["alert"] = alert_object(event);
  if (event.kind == EventKind::drop) {
    record["drop"]["reason"] = drop_reason_info(event.reason).name;
    if (event.rule != nullptr) record["alert"] = alert_object(event);
  }
  if (event.app != AppProto::unknown) record["app_proto"] = app_proto_name(event.app);
  const bool directed = event.kind == EventKind::alert || event.kind == EventKind::drop;
  if (directed)
    record["direction"] = event.direction == Direction::to_server ? "to_server" : "to_client";
  if (event.flow_id != 0 && (directed || event.kind == EventKind::flow))
    record["flow"] = flow_object(event);
  if (event.kind == EventKind::flow && event.tuple.proto == IpProto::tcp) {
    record["tcp"] = tcp_object(event.flow);
  }
  if (event.kind == EventKind::packet) {
    record["packet"] = base64(event.payload);
  } else if (!event.payload.empty()) {
    record["payload"] = base64(event.payload);
    record["payload_printable"] = printable(event.payload);
  }
  if (event.kind != EventKind::stats) record["menshen"] = menshen_object(event, names);
  std::string text = record.dump(-1, ' ', false, Json::error_handler_t::replace);
  // The protocol's object is JSON text already.
  const auto append = [&text](std::string_view key, const std::string& object) {
    if (object.empty()) return;
    text.pop_back();
    text.append(",\"").append(key).append("\":").append(object).append("}");
  };
  append("metadata", event.metadata);
  // A record of DNS over HTTP has both objects.
  append(event.app == AppProto::doh2 ? "http" : record_name(event.app), event.protocol);
  append("dns", event.carried);
  append(kind_name(event), event.detail);
  return text;
}

}  // namespace menshen::sensor
