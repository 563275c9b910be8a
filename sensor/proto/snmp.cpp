// SNMP v1, v2c and v3 (RFC 1157, 3416, 3412): one transaction a message, in its direction.
#include <array>
#include <nlohmann/json.hpp>

#include "base/ip.hpp"
#include "sensor/proto/asn1.hpp"
#include "sensor/proto/events.hpp"
#include "sensor/proto/message_dissectors.hpp"
#include "sensor/proto/message_parser.hpp"

namespace menshen::sensor {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t variables_max = 256;  // of one message that events name
constexpr unsigned trap_v1 = 4;
constexpr unsigned pdu_type_max = 8;
constexpr std::int64_t usm_model = 3;
constexpr std::int64_t encrypted_flag = 2;

constexpr std::array<std::string_view, pdu_type_max + 1> pdu_names{
    "get_request",      "get_next_request", "response", "set_request", "trap_v1",
    "get_bulk_request", "inform_request",   "trap_v2",  "report"};
constexpr std::array<std::string_view, 7> trap_names{
    "cold_start",   "warm_start",        "link_down",          "link_up",
    "auth_failure", "egp_neighbor_loss", "enterprise_specific"};
constexpr std::array<std::string_view, 6> error_names{"NoError",  "TooBig",   "NoSuchName",
                                                      "BadValue", "ReadOnly", "GenErr"};

bool is_version(std::int64_t version) { return version == 0 || version == 1 || version == 3; }

// What rules and events are told of a message.
struct Message {
  std::int64_t version = 0;  // 1, 2, 3
  std::string_view community;
  std::string_view user;
  bool unknown_model = false;
  bool encrypted = false;
  std::optional<unsigned> pdu_type;
  std::optional<std::int64_t> trap_type;
  std::string trap_oid;
  std::string trap_address;
  std::int64_t error = 0;
  std::vector<std::string> variables;
};

bool read_variables(Asn1Reader list, Message& message) {
  while (!list.empty() && message.variables.size() < variables_max) {
    Asn1Reader variable = list.enter(asn1::sequence);
    message.variables.push_back(asn1_oid_text(variable.take(asn1::oid)));
    if (!variable.ok()) return false;
  }
  return list.ok();
}

bool read_pdu(Asn1Value pdu, Message& message) {
  if ((pdu.tag & 0xe0U) != 0xa0U || pdu.number() > pdu_type_max) return false;
  message.pdu_type = pdu.number();
  Asn1Reader reader(pdu.content);
  if (pdu.number() == trap_v1) {
    message.trap_oid = asn1_oid_text(reader.take(asn1::oid));
    const Bytes address = reader.take(asn1::application(0, false));
    if (address.size() == 4)
      message.trap_address = IpAddr::v4(ByteReader(address).be32()).to_string();
    message.trap_type = reader.integer();
    reader.integer();                          // specific
    reader.take(asn1::application(3, false));  // time
  } else {
    reader.integer();  // request
    const std::int64_t error = reader.integer();
    reader.integer();  // error's place
    if (pdu.number() == 2) message.error = error;
  }
  return reader.ok() && read_variables(reader.enter(asn1::sequence), message);
}

// RFC 3414: the user of the user-based security model.
bool read_user(Bytes parameters, Message& message) {
  Asn1Reader outside(parameters);
  Asn1Reader reader = outside.enter(asn1::sequence);
  reader.take(asn1::octets);  // engine
  reader.integer();
  reader.integer();
  message.user = as_text(reader.take(asn1::octets));
  return reader.ok();
}

bool read_v3(Asn1Reader reader, Message& message) {
  Asn1Reader header = reader.enter(asn1::sequence);
  header.integer();  // message
  header.integer();  // largest size
  const Bytes flags = header.take(asn1::octets);
  const std::int64_t model = header.integer();
  const Bytes parameters = reader.take(asn1::octets);
  if (!header.ok() || !reader.ok() || flags.size() != 1) return false;
  message.unknown_model = model != usm_model;
  if (!message.unknown_model && !read_user(parameters, message)) return false;
  message.encrypted = (std::to_integer<std::int64_t>(flags[0]) & encrypted_flag) != 0;
  if (message.encrypted) return true;
  Asn1Reader scoped = reader.enter(asn1::sequence);
  scoped.take(asn1::octets);  // engine
  scoped.take(asn1::octets);  // context
  return scoped.ok() && read_pdu(scoped.next(), message);
}

// False: broken; what was read until then stands in `message`.
bool read_message(Bytes bytes, Message& message) {
  Asn1Reader outside(bytes);
  Asn1Reader reader = outside.enter(asn1::sequence);
  const std::int64_t version = reader.integer();
  if (!reader.ok() || !is_version(version)) return false;
  message.version = version == 3 ? 3 : version + 1;
  if (version == 3) return read_v3(reader, message);
  message.community = as_text(reader.take(asn1::octets));
  return reader.ok() && read_pdu(reader.next(), message);
}

Json describe(const Message& message) {
  Json json{{"version", message.version}};
  if (message.version == 3) {
    json["usm"] = message.user;
    if (message.encrypted) json["encrypted"] = true;
  } else {
    json["community"] = message.community;
  }
  if (message.pdu_type) json["pdu_type"] = pdu_names[*message.pdu_type];
  if (message.error != 0) {
    const auto error = static_cast<std::size_t>(message.error);
    json["error"] = error < error_names.size() ? Json(error_names[error]) : Json(message.error);
  }
  if (message.trap_type) {
    const auto trap = static_cast<std::size_t>(*message.trap_type);
    json["trap_type"] =
        trap < trap_names.size() ? Json(trap_names[trap]) : Json(*message.trap_type);
    json["trap_oid"] = message.trap_oid;
    json["trap_address"] = message.trap_address;
  }
  if (!message.variables.empty()) json["vars"] = message.variables;
  return json;
}

class SnmpParser final : public MessageParser {
 public:
  explicit SnmpParser(const ParserContext& context)
      : MessageParser(context, AppProto::snmp, Over::datagrams) {}

 protected:
  ParserStatus message(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) override {
    Message message;
    const bool whole = read_message(bytes, message);
    FieldTransaction& transaction = exchange.begin(flow);
    transaction.one_way = direction;
    if (!whole) transaction.add_event(ProtoEvent::snmp_malformed_data);
    if (message.unknown_model) transaction.add_event(ProtoEvent::snmp_unknown_security_model);
    if (message.version != 0) {
      if (version_ != 0 && message.version != version_) {
        transaction.add_event(ProtoEvent::snmp_version_mismatch);
      }
      version_ = message.version;
      add_fields(transaction, message);
      transaction.eve_json = eve_text(describe(message));
    }
    transaction.add(by(direction, Buffer::frame_pdu, Buffer::frame_pdu_response), as_text(bytes));
    exchange.finish(flow, transaction, direction, packet);
    return whole ? ParserStatus::more : ParserStatus::broken;
  }

 private:
  static void add_fields(FieldTransaction& into, const Message& message) {
    into.add(Number::snmp_version, static_cast<std::uint64_t>(message.version));
    if (!message.community.empty()) into.add(Buffer::snmp_community, message.community);
    if (!message.user.empty()) into.add(Buffer::snmp_usm, message.user);
    if (message.pdu_type) into.add(Number::snmp_pdu_type, *message.pdu_type);
    if (message.trap_type) {
      into.add(Number::snmp_trap_type, static_cast<std::uint64_t>(*message.trap_type));
      into.add(Buffer::snmp_trap_oid, message.trap_oid);
      into.add(Buffer::snmp_trap_address, message.trap_address);
    }
  }

  std::int64_t version_ = 0;  // of the last message
};

}  // namespace

Guess probe_snmp(Direction /*direction*/, Bytes bytes) noexcept {
  Asn1Reader outside(bytes);
  Asn1Reader reader = outside.enter(asn1::sequence);
  const std::int64_t version = reader.integer();
  if (!reader.ok() || !is_version(version)) return Guess::no;
  const std::uint8_t next = reader.next().tag;
  const std::uint8_t then = reader.next().tag;
  if (!reader.ok()) return Guess::no;
  const bool v3 = version == 3 && next == asn1::sequence && then == asn1::octets;
  const bool v1 = version != 3 && next == asn1::octets && (then & 0xe0U) == 0xa0U;
  return v1 || v3 ? Guess::yes : Guess::no;
}

std::unique_ptr<Parser> make_snmp_parser(const ParserContext& context) {
  return std::make_unique<SnmpParser>(context);
}

}  // namespace menshen::sensor
