// MQTT 3.1, 3.1.1 and 5: one transaction for a message and those that answer it.
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "sensor/proto/events.hpp"
#include "sensor/proto/message_dissectors.hpp"
#include "sensor/proto/message_parser.hpp"

namespace menshen::sensor {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t topics_max = 512;  // of one message that are kept
constexpr unsigned qos_max = 2;

enum Type : unsigned {
  unassigned,
  connect,
  connack,
  publish,
  puback,
  pubrec,
  pubrel,
  pubcomp,
  subscribe,
  suback,
  unsubscribe,
  unsuback,
  pingreq,
  pingresp,
  disconnect,
  auth,
};

constexpr std::array<std::string_view, 16> type_names{
    "unassigned", "connect",  "connack",    "publish", "puback",      "pubrec",
    "pubrel",     "pubcomp",  "subscribe",  "suback",  "unsubscribe", "unsuback",
    "pingreq",    "pingresp", "disconnect", "auth"};

// Transactions are found by the packet identifier they wait for.
constexpr std::uint64_t connect_key = 1U << 20U;
constexpr std::uint64_t key_of(std::uint16_t packet_id) { return packet_id + std::uint64_t{1}; }

// MQTT 5, 2.2.2.2.
enum class PropertyKind : std::uint8_t { u8, u16, u32, varint, text, binary, pair };
struct Property {
  std::uint8_t id;
  PropertyKind kind;
  std::string_view name;
};
constexpr Property properties[] = {
    {1, PropertyKind::u8, "payload_format_indicator"},
    {2, PropertyKind::u32, "message_expiry_interval"},
    {3, PropertyKind::text, "content_type"},
    {8, PropertyKind::text, "response_topic"},
    {9, PropertyKind::binary, "correlation_data"},
    {11, PropertyKind::varint, "subscription_identifier"},
    {17, PropertyKind::u32, "session_expiry_interval"},
    {18, PropertyKind::text, "assigned_client_identifier"},
    {19, PropertyKind::u16, "server_keep_alive"},
    {21, PropertyKind::text, "authentication_method"},
    {22, PropertyKind::binary, "authentication_data"},
    {23, PropertyKind::u8, "request_problem_information"},
    {24, PropertyKind::u32, "will_delay_interval"},
    {25, PropertyKind::u8, "request_response_information"},
    {26, PropertyKind::text, "response_information"},
    {28, PropertyKind::text, "server_reference"},
    {31, PropertyKind::text, "reason_string"},
    {33, PropertyKind::u16, "receive_maximum"},
    {34, PropertyKind::u16, "topic_alias_maximum"},
    {35, PropertyKind::u16, "topic_alias"},
    {36, PropertyKind::u8, "maximum_qos"},
    {37, PropertyKind::u8, "retain_available"},
    {38, PropertyKind::pair, "userprop"},
    {39, PropertyKind::u32, "maximum_packet_size"},
    {40, PropertyKind::u8, "wildcard_subscription_available"},
    {41, PropertyKind::u8, "subscription_identifier_available"},
    {42, PropertyKind::u8, "shared_subscription_available"},
};

std::string_view text16(ByteReader& reader) { return as_text(reader.take(reader.be16())); }

// 1 to 4 bytes of seven bits, the lowest first. Nothing: not whole or longer.
std::optional<std::uint32_t> read_varint(ByteReader& reader) {
  std::uint32_t value = 0;
  for (unsigned shift = 0; shift < 28; shift += 7) {
    const std::uint8_t byte = reader.u8();
    value |= (byte & 0x7fU) << shift;
    if ((byte & 0x80U) == 0) return reader.ok() ? std::optional(value) : std::nullopt;
  }
  return std::nullopt;
}

void read_property(ByteReader& reader, const Property& property, Json& into) {
  std::string name(property.name);
  switch (property.kind) {
    case PropertyKind::u8:
      into[name] = reader.u8();
      break;
    case PropertyKind::u16:
      into[name] = reader.be16();
      break;
    case PropertyKind::u32:
      into[name] = reader.be32();
      break;
    case PropertyKind::varint:
      into[name] = read_varint(reader).value_or(0);
      break;
    case PropertyKind::text:
    case PropertyKind::binary:
      into[name] = text16(reader);
      break;
    case PropertyKind::pair: {
      name += ':';
      name += text16(reader);
      into[name] = text16(reader);
      break;
    }
  }
}

// Behind an unknown property nothing can be read: the rest of them is left out.
void read_properties(ByteReader& reader, Json& json, std::string_view name = "properties") {
  ByteReader list(reader.take(read_varint(reader).value_or(0)));
  Json found = Json::object();
  for (std::size_t count = 0; !list.empty() && count < topics_max; ++count) {
    const auto* property = std::ranges::find(properties, list.u8(), &Property::id);
    if (property == std::end(properties)) break;
    read_property(list, *property, found);
  }
  if (!found.empty()) json[std::string(name)] = std::move(found);
}

// RFC-like names: what CONNECT begins with.
bool is_protocol_name(std::string_view name) { return name == "MQTT" || name == "MQIsdp"; }

struct Header {
  unsigned type = 0;
  unsigned qos = 0;
  bool dup = false;
  bool retain = false;
  explicit Header(std::uint8_t byte)
      : type(byte >> 4U), qos(byte >> 1U & 3U), dup((byte & 8U) != 0), retain((byte & 1U) != 0) {}
};

class MqttParser final : public MessageParser {
 public:
  explicit MqttParser(const ParserContext& context)
      : MessageParser(context, AppProto::mqtt, Over::stream,
                      ProtoEvent::mqtt_too_many_transactions) {}

 protected:
  std::size_t extent(Direction /*direction*/, Bytes bytes) override {
    ByteReader reader(bytes);
    reader.skip(1);
    const auto length = read_varint(reader);
    if (length) return reader.position() + *length;
    return bytes.size() > 4 ? extent_broken : extent_unknown;
  }

  ParserStatus message(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) override {
    ByteReader reader(bytes);
    const Header header(reader.u8());
    static_cast<void>(read_varint(reader));
    const std::size_t begin = reader.position();
    packet_id_ = 0;
    fields_.clear();
    Json json{{"qos", header.qos}, {"retain", header.retain}, {"dup", header.dup}};
    read_body(reader, header, json);
    const bool whole = reader.ok() || message_cut();
    if (message_cut()) json["truncated"] = true;

    ProtoEvent event{};
    FieldTransaction* asked = asked_by(header, event);
    FieldTransaction& transaction = asked != nullptr ? *asked : begin_one(flow, header, direction);
    if (!whole) event = ProtoEvent::mqtt_malformed_traffic;
    if (event != ProtoEvent{}) transaction.add_event(event);
    // Rules see it in the direction in which it began.
    const Direction way = *transaction.one_way;
    add_fields(transaction, header, way, bytes, begin);
    if (whole && header.type != unassigned) {
      add_eve(transaction, type_names[header.type], json);
    }
    if (ends(header) || event != ProtoEvent{}) {
      exchange.finish(flow, transaction, way, packet);
    } else {
      exchange.tell(flow, transaction, way, packet);
    }
    if (header.type == connack && asked != nullptr) connected_ = true;
    return whole ? ParserStatus::more : ParserStatus::broken;
  }

 private:
  [[nodiscard]] bool v5() const { return version_ == 5; }

  void keep(Buffer buffer, std::string_view text) { fields_.emplace_back(buffer, text); }
  void keep(Number number, std::uint64_t value) { values_.emplace_back(number, value); }

  void read_body(ByteReader& reader, const Header& header, Json& json) {
    values_.clear();
    switch (header.type) {
      case connect:
        return read_connect(reader, json);
      case connack:
        json["session_present"] = (reader.u8() & 1U) != 0;
        keep(Number::mqtt_connack_session_present, json["session_present"].get<bool>() ? 1 : 0);
        keep_code(reader, json, "return_code");
        if (v5()) read_properties(reader, json);
        return;
      case publish:
        return read_publish(reader, header, json);
      case puback:
      case pubrec:
      case pubrel:
      case pubcomp:
        read_packet_id(reader, json);
        if (v5() && !reader.empty()) keep_code(reader, json, "reason_code");
        if (v5() && !reader.empty()) read_properties(reader, json);
        return;
      case subscribe:
      case unsubscribe:
        return read_topics(reader, header.type, json);
      case suback:
      case unsuback:
        return read_codes(reader, header.type, json);
      case disconnect:
      case auth:
        if (reader.empty()) {
          // Left out, it is 0: a normal end.
          if (v5()) keep(Number::mqtt_reason_code, 0);
          return;
        }
        keep_code(reader, json, "reason_code");
        if (!reader.empty()) read_properties(reader, json);
        return;
      default:
        return;
    }
  }

  void read_packet_id(ByteReader& reader, Json& json) {
    packet_id_ = reader.be16();
    json["message_id"] = packet_id_;
  }

  void keep_code(ByteReader& reader, Json& json, std::string_view name) {
    const std::uint8_t code = reader.u8();
    json[std::string(name)] = code;
    if (reader.ok()) keep(Number::mqtt_reason_code, code);
  }

  void read_connect(ByteReader& reader, Json& json) {
    const std::string_view name = text16(reader);
    version_ = reader.u8();
    const std::uint8_t flags = reader.u8();
    reader.skip(2);  // keep alive
    if (v5()) read_properties(reader, json);
    const std::string_view client = text16(reader);
    keep(Buffer::mqtt_connect_protocol_string, name);
    keep(Buffer::mqtt_connect_clientid, client);
    keep(Number::mqtt_connect_flags, flags);
    json["protocol_string"] = name;
    json["protocol_version"] = version_;
    json["client_id"] = client;
    json["flags"] = {{"username", (flags & 0x80U) != 0},
                     {"password", (flags & 0x40U) != 0},
                     {"will_retain", (flags & 0x20U) != 0},
                     {"will", (flags & 0x04U) != 0},
                     {"clean_session", (flags & 0x02U) != 0}};
    if ((flags & 0x04U) != 0) {
      Json will = Json::object();
      if (v5()) read_properties(reader, will);
      const std::string_view topic = text16(reader);
      const std::string_view text = text16(reader);
      keep(Buffer::mqtt_connect_willtopic, topic);
      keep(Buffer::mqtt_connect_willmessage, text);
      will["topic"] = topic;
      will["message"] = text;
      json["will"] = std::move(will);
    }
    if ((flags & 0x80U) != 0) {
      const std::string_view user = text16(reader);
      keep(Buffer::mqtt_connect_username, user);
      json["username"] = user;
    }
    // A password is for rules; it does not go into events.
    if ((flags & 0x40U) != 0) keep(Buffer::mqtt_connect_password, text16(reader));
  }

  void read_publish(ByteReader& reader, const Header& header, Json& json) {
    const std::string_view topic = text16(reader);
    json["topic"] = topic;
    keep(Buffer::mqtt_publish_topic, topic);
    if (header.qos != 0) read_packet_id(reader, json);
    if (v5()) read_properties(reader, json);
    if (!reader.ok()) return;
    const std::string_view text = as_text(reader.rest());
    keep(Buffer::mqtt_publish_message, text);
    json["message"] = text;
  }

  void read_topics(ByteReader& reader, unsigned type, Json& json) {
    read_packet_id(reader, json);
    if (v5()) read_properties(reader, json);
    Json topics = Json::array();
    while (!reader.empty() && topics.size() < topics_max) {
      const std::string_view topic = text16(reader);
      if (!reader.ok()) break;
      if (type == unsubscribe) {
        keep(Buffer::mqtt_unsubscribe_topic, topic);
        topics.push_back(topic);
      } else {
        keep(Buffer::mqtt_subscribe_topic, topic);
        topics.push_back({{"topic", topic}, {"qos", reader.u8()}});
      }
    }
    json["topics"] = std::move(topics);
  }

  void read_codes(ByteReader& reader, unsigned type, Json& json) {
    read_packet_id(reader, json);
    if (v5()) read_properties(reader, json);
    Json codes = Json::array();
    while (!reader.empty() && codes.size() < topics_max) {
      const std::uint8_t code = reader.u8();
      keep(Number::mqtt_reason_code, code);
      codes.push_back(code);
    }
    if (!codes.empty()) json[type == suback ? "qos_granted" : "reason_codes"] = std::move(codes);
  }

  // The open transaction that this message answers; null: it begins one, or `event` says what is
  // wrong with it.
  FieldTransaction* asked_by(const Header& header, ProtoEvent& event) {
    switch (header.type) {
      case unassigned:
        event = ProtoEvent::mqtt_unassigned_msg_type;
        return nullptr;
      case connect:
        if (connected_) event = ProtoEvent::mqtt_double_connect;
        return nullptr;
      case connack: {
        FieldTransaction* asked = exchange.find(connect_key);
        if (asked == nullptr) event = ProtoEvent::mqtt_missing_connect;
        return asked;
      }
      default:
        break;
    }
    if (!connected_) {
      event = ProtoEvent::mqtt_unintroduced_message;
      return nullptr;
    }
    const bool answers = header.type == suback || header.type == unsuback ||
                         (header.type >= puback && header.type <= pubcomp);
    if (answers) {
      FieldTransaction* asked = exchange.find(key_of(packet_id_));
      if (asked != nullptr) return asked;
      event = header.type == suback     ? ProtoEvent::mqtt_missing_subscribe
              : header.type == unsuback ? ProtoEvent::mqtt_missing_unsubscribe
                                        : ProtoEvent::mqtt_missing_publish;
      return nullptr;
    }
    const bool asks =
        header.type == publish || header.type == subscribe || header.type == unsubscribe;
    if (asks && header.qos > qos_max) event = ProtoEvent::mqtt_invalid_qos_level;
    return nullptr;
  }

  FieldTransaction& begin_one(Flow& flow, const Header& header, Direction direction) {
    std::uint64_t key = 0;
    if (header.type == connect && !connected_) key = connect_key;
    if (connected_ && header.qos != 0 &&
        (header.type == publish || header.type == subscribe || header.type == unsubscribe)) {
      key = key_of(packet_id_);
    }
    FieldTransaction& transaction = exchange.begin(flow, key);
    transaction.one_way = direction;
    transaction.add(Number::mqtt_protocol_version, version_);
    return transaction;
  }

  [[nodiscard]] bool ends(const Header& header) const {
    switch (header.type) {
      case connect:
        return connected_;
      case publish:
      case subscribe:
      case unsubscribe:
        return header.qos == 0;
      case pubrec:
      case pubrel:
        return false;
      default:
        return true;
    }
  }

  void add_fields(FieldTransaction& into, const Header& header, Direction way, Bytes bytes,
                  std::size_t begin) {
    into.add(Number::mqtt_type, header.type);
    into.add(Number::mqtt_qos, header.qos);
    into.add(Number::mqtt_flags, (header.retain ? 1U : 0U) | (header.dup ? 8U : 0U));
    for (const auto& [number, value] : values_) into.add(number, value);
    // An empty one is none.
    for (const auto& [buffer, text] : fields_) {
      if (!text.empty()) into.add(buffer, text);
    }
    begin = std::min(begin, bytes.size());
    into.add(by(way, Buffer::frame_pdu, Buffer::frame_pdu_response), as_text(bytes));
    into.add(by(way, Buffer::frame_header, Buffer::frame_header_response),
             as_text(bytes.first(begin)));
    if (begin < bytes.size()) {
      into.add(by(way, Buffer::frame_data, Buffer::frame_data_response),
               as_text(bytes.subspan(begin)));
    }
  }

  bool connected_ = false;
  std::uint8_t version_ = 0;
  // Of the message at hand.
  std::uint16_t packet_id_ = 0;
  std::vector<std::pair<Buffer, std::string_view>> fields_;
  std::vector<std::pair<Number, std::uint64_t>> values_;
};

}  // namespace

Guess probe_mqtt(Direction direction, Bytes bytes) noexcept {
  ByteReader reader(bytes);
  const Header header(reader.u8());
  const bool forth = direction == Direction::to_server;
  if (!bytes.empty() && header.type != (forth ? connect : connack)) return Guess::no;
  if (!forth) return Guess::more;  // two bytes say too little: the client tells
  const auto length = read_varint(reader);
  if (!length) return bytes.size() > 4 ? Guess::no : Guess::more;
  const std::size_t name = reader.be16();
  if (!reader.ok()) return Guess::more;
  if (name != 4 && name != 6) return Guess::no;
  const std::string_view text = as_text(reader.take(name));
  if (!reader.ok()) return Guess::more;
  return is_protocol_name(text) ? Guess::yes : Guess::no;
}

Guess probe_mqtt_by_port(Direction /*direction*/, Bytes bytes) noexcept {
  if (bytes.size() < 2) return Guess::more;
  ByteReader reader(bytes);
  const Header header(reader.u8());
  if (header.type == unassigned || header.qos > qos_max) return Guess::no;
  if (read_varint(reader)) return Guess::yes;
  return bytes.size() > 4 ? Guess::no : Guess::more;
}

std::unique_ptr<Parser> make_mqtt_parser(const ParserContext& context) {
  return std::make_unique<MqttParser>(context);
}

}  // namespace menshen::sensor
