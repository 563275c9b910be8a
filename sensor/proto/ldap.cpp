// LDAP (RFC 4511) over TCP and UDP: one transaction for a request and its responses.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "sensor/proto/asn1.hpp"
#include "sensor/proto/events.hpp"
#include "sensor/proto/ldap.hpp"
#include "sensor/proto/message_dissectors.hpp"
#include "sensor/proto/message_parser.hpp"

namespace menshen::sensor {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t attributes_max = 256;  // of one message that are kept
constexpr std::size_t eve_bytes_max = 32U
                                      << 10U;  // of one transaction; further responses are left out
constexpr std::string_view start_tls_oid = "1.3.6.1.4.1.1466.20037";

enum Operation : unsigned {
  bind_request = 0,
  bind_response = 1,
  unbind_request = 2,
  search_request = 3,
  search_result_entry = 4,
  search_result_done = 5,
  modify_request = 6,
  modify_response = 7,
  add_request = 8,
  add_response = 9,
  del_request = 10,
  del_response = 11,
  mod_dn_request = 12,
  mod_dn_response = 13,
  compare_request = 14,
  compare_response = 15,
  abandon_request = 16,
  search_result_reference = 19,
  extended_request = 23,
  extended_response = 24,
  intermediate_response = 25,
};

constexpr LdapName operations[] = {
    {bind_request, "bind_request"},
    {bind_response, "bind_response"},
    {unbind_request, "unbind_request"},
    {search_request, "search_request"},
    {search_result_entry, "search_result_entry"},
    {search_result_done, "search_result_done"},
    {modify_request, "modify_request"},
    {modify_response, "modify_response"},
    {add_request, "add_request"},
    {add_response, "add_response"},
    {del_request, "del_request"},
    {del_response, "del_response"},
    {mod_dn_request, "mod_dn_request"},
    {mod_dn_response, "mod_dn_response"},
    {compare_request, "compare_request"},
    {compare_response, "compare_response"},
    {abandon_request, "abandon_request"},
    {search_result_reference, "search_result_reference"},
    {extended_request, "extended_request"},
    {extended_response, "extended_response"},
    {intermediate_response, "intermediate_response"},
};

constexpr LdapName result_codes[] = {
    {0, "success"},
    {1, "operations_error"},
    {2, "protocol_error"},
    {3, "time_limit_exceeded"},
    {4, "size_limit_exceeded"},
    {5, "compare_false"},
    {6, "compare_true"},
    {7, "auth_method_not_supported"},
    {8, "stronger_auth_required"},
    {10, "referral"},
    {11, "admin_limit_exceeded"},
    {12, "unavailable_critical_extension"},
    {13, "confidentiality_required"},
    {14, "sasl_bind_in_progress"},
    {16, "no_such_attribute"},
    {17, "undefined_attribute_type"},
    {18, "inappropriate_matching"},
    {19, "constraint_violation"},
    {20, "attribute_or_value_exists"},
    {21, "invalid_attribute_syntax"},
    {32, "no_such_object"},
    {33, "alias_problem"},
    {34, "invalid_dn_syntax"},
    {35, "is_leaf"},
    {36, "alias_dereferencing_problem"},
    {48, "inappropriate_authentication"},
    {49, "invalid_credentials"},
    {50, "insufficient_access_rights"},
    {51, "busy"},
    {52, "unavailable"},
    {53, "unwilling_to_perform"},
    {54, "loop_detect"},
    {60, "sort_control_missing"},
    {61, "offset_range_error"},
    {64, "naming_violation"},
    {65, "object_class_violation"},
    {66, "not_allowed_on_non_leaf"},
    {67, "not_allowed_on_rdn"},
    {68, "entry_already_exists"},
    {69, "object_class_mods_prohibited"},
    {70, "results_too_large"},
    {71, "affects_multiple_dsas"},
    {76, "control_error"},
    {80, "other"},
    {118, "canceled"},
    {119, "no_such_operation"},
    {120, "too_late"},
    {121, "cannot_cancel"},
    {122, "assertion_failed"},
    {123, "authorization_denied"},
    {4096, "e_sync_refresh_required"},
};

std::string name_of(std::span<const LdapName> names, std::uint32_t number) {
  const auto found = std::ranges::find(names, number, &LdapName::number);
  return found == names.end() ? std::to_string(number) : std::string(found->name);
}

bool is_known(unsigned operation) {
  return std::ranges::find(operations, operation, &LdapName::number) != std::end(operations);
}

bool is_request(unsigned operation) {
  switch (operation) {
    case bind_request:
    case unbind_request:
    case search_request:
    case modify_request:
    case add_request:
    case del_request:
    case mod_dn_request:
    case compare_request:
    case abandon_request:
    case extended_request:
      return true;
    default:
      return false;
  }
}

// Further responses follow it.
bool is_part(unsigned operation) {
  return operation == search_result_entry || operation == search_result_reference ||
         operation == intermediate_response;
}

std::string_view text_of(Asn1Reader& reader) { return as_text(reader.take(asn1::octets)); }

// A filter may be nested: rules and events do not ask for it, so it is skipped whole.
void read_search(Asn1Reader reader, FieldTransaction& into, Json& json) {
  const std::string_view base = text_of(reader);
  json["base_object"] = base;
  json["scope"] = reader.integer(asn1::enumerated);
  json["deref_alias"] = reader.integer(asn1::enumerated);
  json["size_limit"] = reader.integer();
  json["time_limit"] = reader.integer();
  const Bytes types_only = reader.take(asn1::boolean);
  json["types_only"] = types_only.size() == 1 && types_only[0] != std::byte{0};
  into.add(Buffer::ldap_request_dn, base);
  reader.next();  // filter
  Asn1Reader list = reader.enter(asn1::sequence);
  Json attributes = Json::array();
  while (!list.empty() && attributes.size() < attributes_max) {
    const std::string_view attribute = text_of(list);
    if (!list.ok()) break;
    into.add(Buffer::ldap_request_attribute_type, attribute);
    attributes.push_back(attribute);
  }
  json["attributes"] = std::move(attributes);
}

// PartialAttribute: a type and a set of values.
Json read_attribute(Asn1Reader attribute, FieldTransaction& into, Buffer buffer) {
  const std::string_view type = text_of(attribute);
  if (!attribute.ok()) return nullptr;
  into.add(buffer, type);
  Asn1Reader values = attribute.enter(asn1::set);
  Json list = Json::array();
  while (!values.empty() && list.size() < attributes_max) {
    const std::string_view value = text_of(values);
    if (values.ok()) list.push_back(value);
  }
  return {{"name", type}, {"values", std::move(list)}};
}

Json read_attributes(Asn1Reader list, FieldTransaction& into, Buffer buffer) {
  Json all = Json::array();
  while (!list.empty() && all.size() < attributes_max) {
    Json one = read_attribute(list.enter(asn1::sequence), into, buffer);
    if (one.is_null()) break;
    all.push_back(std::move(one));
  }
  return all;
}

void read_modify(Asn1Reader reader, FieldTransaction& into, Json& json) {
  const std::string_view entry = text_of(reader);
  into.add(Buffer::ldap_request_dn, entry);
  json["object"] = entry;
  Asn1Reader changes = reader.enter(asn1::sequence);
  Json list = Json::array();
  while (!changes.empty() && list.size() < attributes_max) {
    Asn1Reader change = changes.enter(asn1::sequence);
    const std::int64_t how = change.integer(asn1::enumerated);
    Json one =
        read_attribute(change.enter(asn1::sequence), into, Buffer::ldap_request_attribute_type);
    if (one.is_null()) break;
    constexpr std::array<std::string_view, 4> names{"add", "delete", "replace", "increment"};
    const auto index = static_cast<std::size_t>(how);
    list.push_back({{"operation", index < names.size() ? names[index] : "unknown"},
                    {"modification_type", one["name"]},
                    {"attribute_values", one["values"]}});
  }
  json["changes"] = std::move(list);
}

void read_bind(Asn1Reader reader, FieldTransaction& into, Json& json) {
  json["version"] = reader.integer();
  const std::string_view name = text_of(reader);
  into.add(Buffer::ldap_request_dn, name);
  json["name"] = name;
  const Asn1Value how = reader.next();
  if (how.is(asn1::context(3))) {
    Asn1Reader sasl(how.content);
    json["sasl"]["mechanism"] = text_of(sasl);
  }
}

// Requests whose DN comes first and matters alone.
void read_named(Asn1Reader reader, FieldTransaction& into, Json& json) {
  const std::string_view entry = text_of(reader);
  into.add(Buffer::ldap_request_dn, entry);
  json["entry"] = entry;
}

void read_request(unsigned operation, Bytes content, FieldTransaction& into, Json& json) {
  const Asn1Reader reader(content);
  switch (operation) {
    case bind_request:
      return read_bind(reader, into, json);
    case search_request:
      return read_search(reader, into, json);
    case modify_request:
      return read_modify(reader, into, json);
    case add_request: {
      Asn1Reader fields = reader;
      read_named(fields, into, json);
      fields.next();
      json["attributes"] =
          read_attributes(fields.enter(asn1::sequence), into, Buffer::ldap_request_attribute_type);
      return;
    }
    case compare_request: {
      Asn1Reader fields = reader;
      read_named(fields, into, json);
      fields.next();
      Asn1Reader assertion = fields.enter(asn1::sequence);
      const std::string_view attribute = text_of(assertion);
      if (assertion.ok()) into.add(Buffer::ldap_request_attribute_type, attribute);
      return;
    }
    case mod_dn_request:
      return read_named(reader, into, json);
    case del_request:
      into.add(Buffer::ldap_request_dn, as_text(content));
      json["dn"] = as_text(content);
      return;
    case extended_request: {
      Asn1Reader fields = reader;
      json["name"] = as_text(fields.take(asn1::context(0, false)));
      return;
    }
    default:
      return;
  }
}

void read_result(Asn1Reader reader, FieldTransaction& into, Json& json) {
  const std::int64_t code = reader.integer(asn1::enumerated);
  if (!reader.ok()) return;
  const std::string_view matched = text_of(reader);
  const std::string_view text = text_of(reader);
  into.add(Number::ldap_responses_result_code, static_cast<std::uint64_t>(code));
  into.add(Buffer::ldap_responses_dn, matched);
  into.add(Buffer::ldap_responses_message, text);
  json["result_code"] = name_of(result_codes, static_cast<std::uint32_t>(code));
  json["matched_dn"] = matched;
  json["message"] = text;
}

void read_response(unsigned operation, Bytes content, FieldTransaction& into, Json& json) {
  Asn1Reader reader(content);
  into.add(Number::ldap_responses_operation, operation);
  if (operation == search_result_entry) {
    const std::string_view entry = text_of(reader);
    into.add(Buffer::ldap_responses_dn, entry);
    json["base_object"] = entry;
    json["attributes"] =
        read_attributes(reader.enter(asn1::sequence), into, Buffer::ldap_responses_attribute_type);
  } else if (!is_part(operation)) {
    read_result(reader, into, json);
  }
}

struct Message {
  std::int64_t id = 0;
  unsigned operation = 0;
  Bytes content;
};

std::optional<Message> read_message(Bytes bytes) {
  Asn1Reader outside(bytes);
  Asn1Reader reader = outside.enter(asn1::sequence);
  Message message;
  message.id = reader.integer();
  const Asn1Value operation = reader.next();
  const bool known = (operation.tag & 0xc0U) == 0x40U && is_known(operation.number());
  if (!reader.ok() || !known || message.id < 0) return std::nullopt;
  message.operation = operation.number();
  message.content = operation.content;
  return message;
}

class LdapParser final : public MessageParser {
 public:
  LdapParser(const ParserContext& context, Over over)
      : MessageParser(context, AppProto::ldap, over, ProtoEvent::ldap_too_many_transactions) {}

 protected:
  std::size_t extent(Direction /*direction*/, Bytes bytes) override {
    if (bytes[0] != std::byte{asn1::sequence}) return extent_broken;  // wrapped by SASL
    return asn1_extent(bytes).value_or(extent_broken);
  }

  ParserStatus message(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) override {
    if (over_stream()) return one(flow, direction, bytes, packet);
    // A datagram may carry several.
    while (!bytes.empty()) {
      const std::size_t whole = asn1_extent(bytes).value_or(0);
      if (whole == 0 || whole > bytes.size()) return ParserStatus::broken;
      const ParserStatus status = one(flow, direction, bytes.first(whole), packet);
      if (status != ParserStatus::more) return status;
      bytes = bytes.subspan(whole);
    }
    return ParserStatus::more;
  }

 private:
  ParserStatus one(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) {
    const auto message = read_message(bytes);
    if (!message) {
      FieldTransaction& transaction = exchange.begin(flow);
      transaction.one_way = direction;
      transaction.add_event(message_cut() ? ProtoEvent::ldap_incomplete_data
                                          : ProtoEvent::ldap_invalid_data);
      exchange.finish(flow, transaction, direction, packet);
      return message_cut() ? ParserStatus::more : ParserStatus::broken;
    }
    if (is_request(message->operation)) return request(flow, *message, bytes, packet);
    return response(flow, *message, bytes, packet);
  }

  ParserStatus request(Flow& flow, const Message& message, Bytes bytes, PacketMeta& packet) {
    FieldTransaction& transaction = exchange.begin(flow, key_of(message.id));
    transaction.add(Number::ldap_request_operation, message.operation);
    transaction.add(Buffer::frame_pdu, as_text(bytes));
    const std::string name = name_of(operations, message.operation);
    Json body = Json::object();
    read_request(message.operation, message.content, transaction, body);
    if (message.operation == extended_request && body["name"] == start_tls_oid) {
      start_tls_ = message.id;
    }
    Json json{{"operation", name}, {"message_id", message.id}};
    if (!body.empty()) json[name] = std::move(body);
    add_eve(transaction, "request", json);
    transaction.finish(Direction::to_server);
    if (message.operation == unbind_request || message.operation == abandon_request) {
      transaction.add(Number::ldap_responses_count, 0);
      exchange.finish(flow, transaction, Direction::to_server, packet);
    } else {
      exchange.tell(flow, transaction, Direction::to_server, packet);
    }
    return ParserStatus::more;
  }

  ParserStatus response(Flow& flow, const Message& message, Bytes bytes, PacketMeta& packet) {
    FieldTransaction* asked = exchange.find(key_of(message.id));
    FieldTransaction& transaction = asked != nullptr ? *asked : exchange.begin(flow);
    if (asked == nullptr) {
      transaction.one_way = Direction::to_client;
      if (message.id != 0) transaction.add_event(ProtoEvent::ldap_request_not_found);
    }
    const std::string name = name_of(operations, message.operation);
    Json body = Json::object();
    read_response(message.operation, message.content, transaction, body);
    transaction.add(Buffer::frame_pdu_response, as_text(bytes));
    Json json{{"operation", name}, {"message_id", message.id}};
    const bool success = body.value("result_code", "") == "success";
    if (!body.empty()) json[name] = std::move(body);
    add_response(transaction, json);
    if (asked != nullptr && is_part(message.operation)) {
      exchange.tell(flow, transaction, Direction::to_client, packet);
      return ParserStatus::more;
    }
    transaction.add(Number::ldap_responses_count,
                    transaction.numbers(Number::ldap_responses_operation));
    exchange.finish(flow, transaction, Direction::to_client, packet);
    return success && start_tls_ == message.id ? ParserStatus::tunnel : ParserStatus::more;
  }

  static std::uint64_t key_of(std::int64_t id) { return static_cast<std::uint64_t>(id) + 1; }

  // The responses are the object's last member.
  static void add_response(FieldTransaction& transaction, const Json& json) {
    std::string& text = transaction.eve_json;
    if (text.size() > eve_bytes_max) return;
    if (transaction.numbers(Number::ldap_responses_operation) < 2) {
      add_eve(transaction, "responses", Json::array({json}));
      return;
    }
    text.resize(text.size() - 2);
    text += ',' + eve_text(json) + "]}";
  }

  std::optional<std::int64_t> start_tls_;  // asked for by this message
};

Guess check_start(Bytes bytes, Direction direction, Guess too_short) noexcept {
  if (bytes.empty()) return too_short;
  if (bytes[0] != std::byte{asn1::sequence}) return Guess::no;
  ByteReader reader(bytes);
  const auto outside = asn1_head(reader);
  if (!outside) return Guess::no;
  const auto id = asn1_head(reader);
  if (!reader.ok()) return too_short;
  if (!id || id->tag != asn1::integer || id->length == 0 || id->length > 4) return Guess::no;
  reader.skip(id->length);
  const auto operation = asn1_head(reader);
  if (!reader.ok()) return too_short;
  if (!operation || (operation->tag & 0xc0U) != 0x40U) return Guess::no;
  const unsigned number = operation->tag & 0x1fU;
  const bool forth = direction == Direction::to_server;
  return is_known(number) && is_request(number) == forth ? Guess::yes : Guess::no;
}

}  // namespace

std::span<const LdapName> ldap_operations() noexcept { return operations; }
std::span<const LdapName> ldap_result_codes() noexcept { return result_codes; }

Guess probe_ldap_stream(Direction direction, Bytes bytes) noexcept {
  return check_start(bytes, direction, Guess::more);
}
Guess probe_ldap_datagram(Direction direction, Bytes bytes) noexcept {
  return check_start(bytes, direction, Guess::no);
}

std::unique_ptr<Parser> make_ldap_stream_parser(const ParserContext& context) {
  return std::make_unique<LdapParser>(context, MessageParser::Over::stream);
}
std::unique_ptr<Parser> make_ldap_datagram_parser(const ParserContext& context) {
  return std::make_unique<LdapParser>(context, MessageParser::Over::datagrams);
}

}  // namespace menshen::sensor
