// EtherNet/IP with CIP inside, over TCP and UDP: one transaction a message, in its direction.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "sensor/proto/enip.hpp"
#include "sensor/proto/events.hpp"
#include "sensor/proto/message_dissectors.hpp"
#include "sensor/proto/message_parser.hpp"

namespace menshen::sensor {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t header_bytes = 24;
constexpr std::size_t items_max = 64;      // of one message
constexpr std::size_t services_max = 128;  // of one message, those inside of others counted too
constexpr unsigned response_bit = 0x80;
constexpr unsigned multiple_services = 0x0a;
constexpr unsigned unconnected_send = 0x52;

enum Command : std::uint16_t {
  list_services = 0x04,
  list_identity = 0x63,
  register_session = 0x65,
  send_rr_data = 0x6f,
  send_unit_data = 0x70,
};
enum Item : std::uint16_t {
  identity_item = 0x0c,
  connected_data = 0xb1,
  unconnected_data = 0xb2,
  services_item = 0x100,
};

constexpr EnipName commands[] = {
    {0x00, "Nop"},
    {0x04, "ListServices"},
    {0x63, "ListIdentity"},
    {0x64, "ListInterfaces"},
    {0x65, "RegisterSession"},
    {0x66, "UnregisterSession"},
    {0x6f, "SendRRData"},
    {0x70, "SendUnitData"},
    {0x72, "IndicateStatus"},
    {0x73, "Cancel"},
};

constexpr EnipName statuses[] = {
    {0x00, "Success"},
    {0x01, "InvalidCmd"},
    {0x02, "NoResources"},
    {0x03, "IncorrectData"},
    {0x64, "InvalidSession"},
    {0x65, "InvalidLength"},
    {0x69, "UnsupportedProtRev"},
    {0x6a, "EncapHeaderError"},
};

constexpr EnipName services[] = {
    {0x00, "Reserved"},
    {0x01, "GetAttrAll"},
    {0x02, "SetAttrAll"},
    {0x03, "GetAttrList"},
    {0x04, "SetAttrList"},
    {0x05, "Reset"},
    {0x06, "Start"},
    {0x07, "Stop"},
    {0x08, "Create"},
    {0x09, "Delete"},
    {0x0a, "MultipleService"},
    {0x0d, "ApplyAttr"},
    {0x0e, "GetAttrSingle"},
    {0x10, "SetAttrSingle"},
    {0x4b, "ExecutePCCC"},
    {0x4c, "ReadTag"},
    {0x4d, "WriteTag"},
    {0x4e, "ForwardClose"},
    {0x4f, "ReadModifyWriteTag"},
    {0x52, "UnconnectedSend"},
    {0x53, "WriteTagFragmented"},
    {0x54, "ForwardOpen"},
    {0x55, "GetInstanceAttrList"},
    {0x5a, "GetConnectionOwner"},
};

std::string name_of(std::span<const EnipName> names, std::uint32_t number) {
  const auto found = std::ranges::find(names, number, &EnipName::number);
  return found == names.end() ? std::to_string(number) : std::string(found->name);
}

bool is_command(std::uint16_t number) {
  return std::ranges::find(commands, number, &EnipName::number) != std::end(commands);
}

struct Header {
  std::uint16_t command = 0;
  std::uint16_t length = 0;
  std::uint32_t session = 0;
  std::uint32_t status = 0;
  std::uint32_t options = 0;
};

Header read_header(ByteReader& reader) {
  Header header;
  header.command = le16(reader);
  header.length = le16(reader);
  header.session = le32(reader);
  header.status = le32(reader);
  reader.skip(8);  // the sender's context
  header.options = le32(reader);
  return header;
}

// One message's content, read into a transaction.
class Reading {
 public:
  Reading(FieldTransaction& into, Direction direction) : into_(into), direction_(direction) {}

  void read_items(ByteReader& reader, Json& json) {
    reader.skip(6);  // interface, timeout
    const unsigned count = le16(reader);
    for (unsigned i = 0; i < std::min<std::size_t>(count, items_max) && !reader.empty(); ++i) {
      ByteReader whole = reader;
      const std::uint16_t type = le16(reader);
      const std::uint16_t length = le16(reader);
      const Bytes content = reader.take(length);
      if (!reader.ok()) return;
      into_.add(by(direction_, Buffer::frame_item, Buffer::frame_item_response),
                as_text(whole.take(std::size_t{length} + 4)));
      ByteReader data(content);
      if (type == connected_data) data.skip(2);  // sequence
      if (type != connected_data && type != unconnected_data) continue;
      const Bytes message = data.rest();
      into_.add(by(direction_, Buffer::frame_inner, Buffer::frame_inner_response),
                as_text(message));
      read_cip(message, json["cip"]);
    }
  }

  void read_identity(ByteReader& reader, Json& json) {
    if (!find_item(reader, identity_item)) return;
    add(Number::enip_protocol_version, le16(reader), json, "protocol_version");
    reader.skip(16);  // socket address
    add(Number::enip_vendor_id, le16(reader), json, "vendor_id");
    add(Number::enip_device_type, le16(reader), json, "device_type");
    add(Number::enip_product_code, le16(reader), json, "product_code");
    const unsigned major = reader.u8();
    const unsigned minor = reader.u8();
    add(Number::enip_revision, major << 8U | minor, json, "");
    json["revision"] = std::to_string(major) + "." + std::to_string(minor);
    add(Number::enip_identity_status, le16(reader), json, "status");
    add(Number::enip_serial, le32(reader), json, "serial");
    const std::string_view name = as_text(reader.take(reader.u8()));
    add(Number::enip_state, reader.u8(), json, "state");
    if (!reader.ok()) return;
    into_.add(Buffer::enip_product_name, name);
    json["product_name"] = name;
  }

  void read_services(ByteReader& reader, Json& json) {
    if (!find_item(reader, services_item)) return;
    add(Number::enip_protocol_version, le16(reader), json, "protocol_version");
    add(Number::enip_capabilities, le16(reader), json, "capabilities");
    std::string_view name = as_text(reader.take(16));
    name = name.substr(0, name.find('\0'));
    if (!reader.ok()) return;
    into_.add(Buffer::enip_service_name, name);
    json["service_name"] = name;
  }

 private:
  void add(Number number, std::uint64_t value, Json& json, std::string_view name) {
    into_.add(number, value);
    if (!name.empty()) json[std::string(name)] = value;
  }

  // A list's first item.
  bool find_item(ByteReader& reader, std::uint16_t type) {
    const unsigned count = le16(reader);
    ByteReader whole = reader;
    const std::uint16_t found = le16(reader);
    const std::size_t length = le16(reader);
    if (!reader.ok() || count == 0 || found != type) return false;
    into_.add(by(direction_, Buffer::frame_item, Buffer::frame_item_response),
              as_text(whole.take(std::min(length + 4, whole.remaining()))));
    return true;
  }

  void read_cip(Bytes message, Json& json) {
    if (message.empty() || services_++ >= services_max) return;
    ByteReader reader(message);
    const unsigned service = reader.u8();
    const unsigned plain = service & ~response_bit;
    into_.add(by(direction_, Number::cip_service, Number::cip_service_response), plain);
    json["service"] = name_of(services, plain);
    if ((service & response_bit) != 0) {
      read_answer(reader, plain, json);
    } else {
      read_path(reader, json);
      read_inner(reader, plain, json);
    }
  }

  void read_answer(ByteReader& reader, unsigned service, Json& json) {
    reader.skip(1);
    const unsigned status = reader.u8();
    const unsigned extended = reader.u8();
    if (!reader.ok()) return;
    add(Number::enip_cip_status, status, json, "status");
    if (extended != 0) {
      add(Number::enip_cip_extendedstatus, le16(reader), json, "status_extended");
      reader.skip((extended - 1) * std::size_t{2});
    }
    if (service == multiple_services) read_many(reader.rest(), json);
  }

  void read_path(ByteReader& reader, Json& json) {
    ByteReader path(reader.take(reader.u8() * std::size_t{2}));
    while (path.remaining() >= 2) {
      const unsigned segment = path.u8();
      const bool wide = (segment & 3U) == 1;
      if (wide) path.skip(1);
      const std::uint32_t value = wide ? le16(path) : path.u8();
      switch (segment & 0xfcU) {
        case 0x20:
          add(by(direction_, Number::enip_cip_class, Number::enip_cip_class), value, json,
              "class_id");
          break;
        case 0x24:
          add(Number::enip_cip_instance, value, json, "instance");
          break;
        case 0x30:
          add(Number::enip_cip_attribute, value, json, "attribute");
          break;
        default:
          return;  // symbols, ports: not asked for
      }
    }
  }

  void read_inner(ByteReader& reader, unsigned service, Json& json) {
    if (service == multiple_services) return read_many(reader.rest(), json);
    if (service != unconnected_send) return;
    reader.skip(2);  // priority, time
    const Bytes message = reader.take(le16(reader));
    if (reader.ok()) read_cip(message, json["cip"]);
  }

  // Messages in one: a count, where each begins, then they themselves.
  void read_many(Bytes bytes, Json& json) {
    if (depth_ != 0) return;  // none inside of another
    ++depth_;
    ByteReader reader(bytes);
    const unsigned count = le16(reader);
    std::size_t begin = le16(reader);
    for (unsigned i = 0; i < count && services_ < services_max && reader.ok(); ++i) {
      const std::size_t end = i + 1 < count ? le16(reader) : bytes.size();
      if (begin >= end || end > bytes.size()) break;
      Json one = Json::object();
      read_cip(bytes.subspan(begin, end - begin), one);
      json["multiple"].push_back(std::move(one));
      begin = end;
    }
    --depth_;
  }

  FieldTransaction& into_;
  Direction direction_;
  std::size_t services_ = 0;
  unsigned depth_ = 0;
};

class EnipParser final : public MessageParser {
 public:
  EnipParser(const ParserContext& context, Over over)
      : MessageParser(context, AppProto::enip, over, ProtoEvent::enip_too_many_transactions) {}

 protected:
  std::size_t extent(Direction /*direction*/, Bytes bytes) override {
    if (bytes.size() < 4) return extent_unknown;
    ByteReader reader(bytes);
    reader.skip(2);
    return header_bytes + le16(reader);
  }

  ParserStatus message(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) override {
    ByteReader reader(bytes);
    const Header header = read_header(reader);
    FieldTransaction& transaction = exchange.begin(flow);
    transaction.one_way = direction;
    const bool whole = reader.ok() && header.length == reader.remaining();
    if (!whole) transaction.add_event(ProtoEvent::enip_invalid_pdu);
    if (reader.ok()) {
      transaction.add(by(direction, Number::enip_command, Number::enip_command_response),
                      header.command);
      transaction.add(Number::enip_status, header.status);
      transaction.add(by(direction, Buffer::frame_header, Buffer::frame_header_response),
                      as_text(bytes.first(header_bytes)));
      if (!reader.empty()) {
        transaction.add(by(direction, Buffer::frame_data, Buffer::frame_data_response),
                        as_text(bytes.subspan(header_bytes)));
      }
      Json json{{"command", name_of(commands, header.command)},
                {"status", name_of(statuses, header.status)}};
      read_content(transaction, direction, header.command, reader, json);
      add_eve(transaction, by(direction, "request", "response"), json);
    }
    exchange.finish(flow, transaction, direction, packet);
    return whole ? ParserStatus::more : ParserStatus::broken;
  }

 private:
  static void read_content(FieldTransaction& into, Direction direction, std::uint16_t command,
                           ByteReader& reader, Json& json) {
    Reading reading(into, direction);
    const bool back = direction == Direction::to_client;
    switch (command) {
      case send_rr_data:
      case send_unit_data:
        return reading.read_items(reader, json);
      case list_identity:
        if (back) reading.read_identity(reader, json["identity"]);
        return;
      case list_services:
        if (back) reading.read_services(reader, json["list_services"]);
        return;
      case register_session: {
        const std::uint16_t version = le16(reader);
        if (reader.ok()) json["register_session"]["protocol_version"] = version;
        if (reader.ok()) into.add(Number::enip_protocol_version, version);
        return;
      }
      default:
        return;
    }
  }
};

Guess check_start(Bytes bytes, Guess too_short) noexcept {
  if (bytes.size() < 2) return too_short;
  ByteReader reader(bytes);
  const Header header = read_header(reader);
  if (!is_command(header.command)) return Guess::no;
  if (!reader.ok()) return too_short;
  return header.options == 0 ? Guess::yes : Guess::no;
}

}  // namespace

std::span<const EnipName> enip_commands() noexcept { return commands; }
std::span<const EnipName> enip_statuses() noexcept { return statuses; }
std::span<const EnipName> cip_services() noexcept { return services; }

Guess probe_enip_stream(Direction /*direction*/, Bytes bytes) noexcept {
  return check_start(bytes, Guess::more);
}
Guess probe_enip_datagram(Direction /*direction*/, Bytes bytes) noexcept {
  return check_start(bytes, Guess::no);
}

std::unique_ptr<Parser> make_enip_stream_parser(const ParserContext& context) {
  return std::make_unique<EnipParser>(context, MessageParser::Over::stream);
}
std::unique_ptr<Parser> make_enip_datagram_parser(const ParserContext& context) {
  return std::make_unique<EnipParser>(context, MessageParser::Over::datagrams);
}

}  // namespace menshen::sensor
