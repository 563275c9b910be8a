// DHCP for IPv4 (RFC 2131, options RFC 2132): one transaction a message, in its direction.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/ip.hpp"
#include "sensor/proto/events.hpp"
#include "sensor/proto/message_dissectors.hpp"
#include "sensor/proto/message_parser.hpp"

namespace menshen::sensor {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t fixed_bytes = 236;
constexpr std::uint32_t magic = 0x63825363;
constexpr std::size_t options_max = 256;
constexpr std::size_t hardware_bytes_max = 16;

enum Option : unsigned {
  pad = 0,
  subnet_mask = 1,
  routers = 3,
  dns_servers = 6,
  host_name = 12,
  requested_address = 50,
  lease_time = 51,
  message_type = 53,
  parameter_list = 55,
  renewal_time = 58,
  rebinding_time = 59,
  vendor_class = 60,
  client_id = 61,
  end_of_options = 255,
};

constexpr std::array<std::string_view, 9> type_names{
    "unknown", "discover", "offer", "request", "decline", "ack", "nak", "release", "inform"};

std::string address(ByteReader& reader) { return IpAddr::v4(reader.be32()).to_string(); }

Json addresses(Bytes content) {
  ByteReader reader(content);
  Json list = Json::array();
  while (reader.remaining() >= 4) list.push_back(address(reader));
  return list;
}

Json parameters(Bytes content) {
  constexpr std::pair<unsigned, std::string_view> names[] = {
      {1, "subnet_mask"}, {3, "router"},     {6, "dns_server"},   {12, "hostname"},
      {15, "domain"},     {28, "broadcast"}, {35, "arp_timeout"}, {42, "ntp_server"},
      {44, "netbios_ns"}, {51, "lease_time"}};
  Json list = Json::array();
  for (const std::byte byte : content) {
    for (const auto& [number, name] : names) {
      if (number == std::to_integer<unsigned>(byte)) list.push_back(name);
    }
  }
  return list;
}

void add_time(FieldTransaction& into, Number number, std::string_view name, Bytes content,
              Json& json) {
  if (content.size() != 4) return into.add_event(ProtoEvent::dhcp_malformed_options);
  const std::uint32_t seconds = ByteReader(content).be32();
  into.add(number, seconds);
  json[std::string(name)] = seconds;
}

void read_option(FieldTransaction& into, unsigned option, Bytes content, Json& json) {
  ByteReader reader(content);
  switch (option) {
    case message_type: {
      const unsigned type = reader.u8();
      json["dhcp_type"] = type < type_names.size() ? type_names[type] : type_names[0];
      return;
    }
    case lease_time:
      return add_time(into, Number::dhcp_leasetime, "lease_time", content, json);
    case renewal_time:
      return add_time(into, Number::dhcp_renewal_time, "renewal_time", content, json);
    case rebinding_time:
      return add_time(into, Number::dhcp_rebinding_time, "rebinding_time", content, json);
    case requested_address:
      if (content.size() == 4) json["requested_ip"] = address(reader);
      return;
    case subnet_mask:
      if (content.size() == 4) json["subnet_mask"] = address(reader);
      return;
    case routers:
      json["routers"] = addresses(content);
      return;
    case dns_servers:
      json["dns_servers"] = addresses(content);
      return;
    case host_name:
      json["hostname"] = as_text(content);
      return;
    case vendor_class:
      json["vendor_class_identifier"] = as_text(content);
      return;
    case client_id:
      if (content.size() > 1) json["client_id"] = hex_text(content.subspan(1), ":");
      return;
    case parameter_list:
      json["params"] = parameters(content);
      return;
    default:
      return;
  }
}

void read_options(FieldTransaction& into, ByteReader& reader, Json& json) {
  for (std::size_t i = 0; i < options_max && !reader.empty(); ++i) {
    const unsigned option = reader.u8();
    if (option == pad) continue;
    if (option == end_of_options) return;
    const Bytes content = reader.take(reader.u8());
    if (!reader.ok()) return into.add_event(ProtoEvent::dhcp_truncated_options);
    read_option(into, option, content, json);
  }
}

class DhcpParser final : public MessageParser {
 public:
  explicit DhcpParser(const ParserContext& context)
      : MessageParser(context, AppProto::dhcp, Over::datagrams) {}

 protected:
  ParserStatus message(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) override {
    if (bytes.size() < fixed_bytes + 4) return ParserStatus::broken;
    ByteReader reader(bytes);
    const unsigned operation = reader.u8();
    reader.skip(1);
    const std::size_t hardware = std::min<std::size_t>(reader.u8(), hardware_bytes_max);
    reader.skip(1);
    Json json{{"type", operation == 1   ? "request"
                       : operation == 2 ? "reply"
                                        : "unknown"},
              {"id", reader.be32()}};
    reader.skip(4);
    const std::string client = address(reader);
    const std::string assigned = address(reader);
    const std::string next = address(reader);
    const std::string relay = address(reader);
    json["client_mac"] = hex_text(reader.take(hardware), ":");
    json["assigned_ip"] = assigned;
    json["client_ip"] = client;
    if (operation == 2) {
      json["relay_ip"] = relay;
      json["next_server_ip"] = next;
    }
    reader.seek(fixed_bytes + 4);
    FieldTransaction& transaction = exchange.begin(flow);
    transaction.one_way = direction;
    read_options(transaction, reader, json);
    transaction.eve_json = eve_text(json);
    exchange.finish(flow, transaction, direction, packet);
    return ParserStatus::more;
  }
};

}  // namespace

Guess probe_dhcp(Direction /*direction*/, Bytes bytes) noexcept {
  ByteReader reader(bytes);
  const unsigned operation = reader.u8();
  reader.seek(fixed_bytes);
  const bool marked = reader.be32() == magic;
  return reader.ok() && marked && (operation == 1 || operation == 2) ? Guess::yes : Guess::no;
}

std::unique_ptr<Parser> make_dhcp_parser(const ParserContext& context) {
  return std::make_unique<DhcpParser>(context);
}

}  // namespace menshen::sensor
