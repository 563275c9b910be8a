// Modbus over TCP: one transaction for a request and its response. Functions as in the Modbus
// Application Protocol Specification V1.1b3.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "sensor/proto/events.hpp"
#include "sensor/proto/message_dissectors.hpp"
#include "sensor/proto/message_parser.hpp"
#include "sensor/proto/modbus.hpp"

namespace menshen::sensor {
namespace {

using Json = nlohmann::ordered_json;
using namespace modbus;  // NOLINT(google-build-using-namespace): its own names

constexpr std::size_t header_bytes = 7;
constexpr std::size_t length_max = 254;  // unit, function and data
constexpr unsigned exception_bit = 0x80;
constexpr unsigned exception_max = 11;
constexpr std::uint16_t coil_on = 0xff00;
constexpr unsigned diagnostics = 8;
constexpr unsigned mei = 43;

struct Function {
  unsigned code;
  std::string_view name;
  unsigned access;
};
constexpr Function functions[] = {
    {1, "RdCoils", read | coils},
    {2, "RdDiscreteInputs", read | discretes},
    {3, "RdHoldRegs", read | holding},
    {4, "RdInputRegs", read | input},
    {5, "WrSingleCoil", write | coils | single},
    {6, "WrSingleReg", write | holding | single},
    {7, "RdExcStatus", 0},
    {8, "Diagnostic", 0},
    {11, "GetCmtEventCtr", 0},
    {12, "GetCmtEventLog", 0},
    {15, "WrMultCoils", write | coils | multiple},
    {16, "WrMultRegs", write | holding | multiple},
    {17, "RptServerID", 0},
    {20, "RdFileRec", 0},
    {21, "WrFileRec", 0},
    {22, "MaskWrReg", write | holding | single},
    {23, "RdWrMultRegs", read | write | holding | multiple},
    {24, "RdFIFOQueue", read | holding},
    {43, "MEI", 0},
};

const Function* function_of(unsigned code) {
  const auto* found = std::ranges::find(functions, code, &Function::code);
  return found == std::end(functions) ? nullptr : found;
}

unsigned category_of(unsigned code, unsigned subfunction) {
  constexpr unsigned reserved_codes[] = {9, 10, 13, 14, 41, 42, 90, 91, 125, 126, 127};
  if (code == diagnostics) {
    const bool assigned =
        subfunction <= 4 || (subfunction >= 10 && subfunction <= 18) || subfunction == 20;
    return assigned ? public_assigned : reserved;
  }
  if (code == mei) return subfunction == 13 || subfunction == 14 ? public_assigned : reserved;
  if (function_of(code) != nullptr) return public_assigned;
  if (std::ranges::find(reserved_codes, code) != std::end(reserved_codes)) return reserved;
  if ((code >= 65 && code <= 72) || (code >= 100 && code <= 110)) return user;
  return public_unassigned;
}

std::string category_text(unsigned category) {
  switch (category) {
    case public_assigned:
      return "PUBLIC_ASSIGNED";
    case public_unassigned:
      return "PUBLIC_UNASSIGNED";
    case user:
      return "USER_DEFINED";
    default:
      return "RESERVED";
  }
}

std::string access_text(unsigned access) {
  constexpr std::pair<unsigned, std::string_view> names[] = {
      {read, "READ"},   {write, "WRITE"},     {discretes, "DISCRETES"}, {coils, "COILS"},
      {input, "INPUT"}, {holding, "HOLDING"}, {single, "SINGLE"},       {multiple, "MULTIPLE"}};
  std::string text;
  for (const auto& [bit, name] : names) {
    if ((access & bit) == 0) continue;
    if (!text.empty()) text += " | ";
    text += name;
  }
  return text;
}

struct Header {
  std::uint16_t transaction = 0;
  std::uint16_t protocol = 0;
  std::uint16_t length = 0;
  std::uint8_t unit = 0;
  std::uint8_t function = 0;
};

Header read_header(ByteReader& reader) {
  Header header;
  header.transaction = reader.be16();
  header.protocol = reader.be16();
  header.length = reader.be16();
  header.unit = reader.u8();
  header.function = reader.u8();
  return header;
}

// A range of places that a request reads or writes. Rules count them from 1.
void add_range(FieldTransaction& into, std::uint16_t address, unsigned quantity) {
  into.add(Number::modbus_address, std::uint64_t{address} + 1);
  into.add(Number::modbus_address_last, std::uint64_t{address} + std::max(quantity, 1U));
}

Json describe_range(std::uint16_t address, unsigned quantity) {
  return {{"address", address}, {"quantity", quantity}};
}

class ModbusParser final : public MessageParser {
 public:
  explicit ModbusParser(const ParserContext& context)
      : MessageParser(context, AppProto::modbus, Over::stream, ProtoEvent::modbus_flooded) {}

 protected:
  std::size_t extent(Direction /*direction*/, Bytes bytes) override {
    if (bytes.size() < header_bytes + 1) return extent_unknown;
    ByteReader reader(bytes);
    const Header header = read_header(reader);
    // Unit and function at least: otherwise nothing tells where the next message begins.
    return header.length < 2 ? extent_broken : header_bytes - 1 + header.length;
  }

  ParserStatus message(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) override {
    ByteReader reader(bytes);
    const Header header = read_header(reader);
    return direction == Direction::to_server ? request(flow, header, reader, packet)
                                             : response(flow, header, reader, packet);
  }

 private:
  static std::uint64_t key_of(const Header& header) {
    return header.transaction + std::uint64_t{1};
  }

  static Json describe(const Header& header, unsigned category) {
    const unsigned code = header.function & ~exception_bit;
    const Function* function = function_of(code);
    Json json{{"transaction_id", header.transaction},
              {"protocol_id", header.protocol},
              {"unit_id", header.unit},
              {"function_raw", header.function},
              {"function_code", function != nullptr ? Json(function->name) : Json("Unknown")},
              {"access_type", function != nullptr ? access_text(function->access) : ""},
              {"category", category_text(category)}};
    if (json["access_type"] == "") json.erase("access_type");
    return json;
  }

  static void check_header(FieldTransaction& into, const Header& header) {
    if (header.protocol != 0) into.add_event(ProtoEvent::modbus_invalid_protocol_id);
    if (header.length > length_max) into.add_event(ProtoEvent::modbus_invalid_length);
    if (header.unit > 247 && header.unit != 255) {
      into.add_event(ProtoEvent::modbus_invalid_unit_identifier);
    }
  }

  ParserStatus request(Flow& flow, const Header& header, ByteReader& reader, PacketMeta& packet) {
    FieldTransaction& transaction = exchange.begin(flow, key_of(header));
    check_header(transaction, header);
    const Function* function = function_of(header.function);
    unsigned subfunction = 0;
    Json details = Json::object();
    read_request(transaction, header.function, reader, subfunction, details);
    if (!reader.ok()) transaction.add_event(ProtoEvent::modbus_invalid_length);
    const unsigned category = category_of(header.function, subfunction);
    transaction.add(Number::modbus_function, header.function);
    if (header.function == 0 || header.function >= exception_bit) {
      // What no device understands touches no unit either.
      transaction.add_event(ProtoEvent::modbus_invalid_function_code);
    } else {
      transaction.add(Number::modbus_category, category);
      transaction.add(Number::modbus_unit, header.unit);
      if (function != nullptr) transaction.add(Number::modbus_access, function->access);
    }
    Json json = describe(header, category);
    json.update(details);
    add_eve(transaction, "id", transaction.id + 1);
    add_eve(transaction, "request", json);
    transaction.finish(Direction::to_server);
    exchange.tell(flow, transaction, Direction::to_server, packet);
    return ParserStatus::more;
  }

  static void read_request(FieldTransaction& into, unsigned function, ByteReader& reader,
                           unsigned& subfunction, Json& json) {
    switch (function) {
      case 1:
      case 2:
      case 3:
      case 4:
        return read_reading(into, function, reader, json);
      case 5:
      case 6:
        return read_single(into, function, reader, json);
      case 8:
      case 43:
        subfunction = function == diagnostics ? reader.be16() : reader.u8();
        into.add(Number::modbus_subfunction, subfunction);
        json[function == diagnostics ? "diagnostic" : "mei"] = {{"raw", subfunction},
                                                                {"data", hex_text(reader.rest())}};
        return;
      case 15:
      case 16:
        return read_multiple(into, function, reader, json);
      case 22: {
        const std::uint16_t address = reader.be16();
        const std::uint16_t and_mask = reader.be16();
        const std::uint16_t or_mask = reader.be16();
        add_range(into, address, 1);
        json["mask_write"] = {{"address", address}, {"and_mask", and_mask}, {"or_mask", or_mask}};
        return;
      }
      case 23: {
        const std::uint16_t address = reader.be16();
        const std::uint16_t quantity = reader.be16();
        add_range(into, address, quantity);
        json["read"] = describe_range(address, quantity);
        return read_multiple(into, 16, reader, json);
      }
      default:
        return;
    }
  }

  static void read_reading(FieldTransaction& into, unsigned function, ByteReader& reader,
                           Json& json) {
    const std::uint16_t address = reader.be16();
    const std::uint16_t quantity = reader.be16();
    const unsigned quantity_max = function <= 2 ? 2000 : 125;
    if (quantity == 0 || quantity > quantity_max) into.add_event(ProtoEvent::modbus_invalid_value);
    if (reader.ok() && !reader.empty()) into.add_event(ProtoEvent::modbus_invalid_length);
    add_range(into, address, quantity);
    json["read"] = describe_range(address, quantity);
  }

  static void read_single(FieldTransaction& into, unsigned function, ByteReader& reader,
                          Json& json) {
    const std::uint16_t address = reader.be16();
    const std::uint16_t value = reader.be16();
    if (function == 5 && value != 0 && value != coil_on) {
      into.add_event(ProtoEvent::modbus_invalid_value);
    }
    add_range(into, address, 1);
    into.add(Number::modbus_value, function == 5 ? (value == coil_on ? 1U : 0U) : value);
    json["write"] = {{"address", address}, {"data", value}};
  }

  static void read_multiple(FieldTransaction& into, unsigned function, ByteReader& reader,
                            Json& json) {
    const std::uint16_t address = reader.be16();
    const std::uint16_t quantity = reader.be16();
    const std::size_t bytes = reader.u8();
    ByteReader values(reader.take(bytes));
    const std::size_t wanted = function == 15 ? (quantity + std::size_t{7}) / 8 : quantity * 2U;
    if (quantity == 0 || bytes != wanted) into.add_event(ProtoEvent::modbus_invalid_value);
    add_range(into, address, quantity);
    json["write"] = describe_range(address, quantity);
    if (function == 15) {
      for (std::size_t i = 0; i < quantity && !values.empty();) {
        const unsigned bits = values.u8();
        for (unsigned b = 0; b < 8 && i < quantity; ++b, ++i) {
          into.add(Number::modbus_value, bits >> b & 1U);
        }
      }
    } else {
      while (values.remaining() >= 2) into.add(Number::modbus_value, values.be16());
    }
  }

  ParserStatus response(Flow& flow, const Header& header, ByteReader& reader, PacketMeta& packet) {
    FieldTransaction* asked = exchange.find(key_of(header));
    FieldTransaction& transaction = asked != nullptr ? *asked : exchange.begin(flow);
    if (asked == nullptr) {
      transaction.one_way = Direction::to_client;
      transaction.add_event(ProtoEvent::modbus_unsolicited_response);
    }
    check_header(transaction, header);
    const unsigned code = header.function & ~exception_bit;
    Json json = describe(header, category_of(code, 0));
    if (asked != nullptr && asked->number(Number::modbus_function, 0) != code) {
      transaction.add_event(ProtoEvent::modbus_value_mismatch);
    }
    if ((header.function & exception_bit) != 0) {
      const unsigned exception = reader.u8();
      if (exception == 0 || exception > exception_max) {
        transaction.add_event(ProtoEvent::modbus_invalid_exception_code);
      }
      json["exception"] = {{"raw", exception}};
    } else {
      json["data"] = hex_text(reader.rest());
    }
    add_eve(transaction, "response", json);
    exchange.finish(flow, transaction, Direction::to_client, packet);
    return ParserStatus::more;
  }
};

}  // namespace

// The protocol's number alone is little: asked at its port.
Guess probe_modbus(Direction /*direction*/, Bytes bytes) noexcept {
  if (bytes.size() < header_bytes + 1) return Guess::more;
  ByteReader reader(bytes);
  const Header header = read_header(reader);
  return header.protocol == 0 && header.length >= 2 && header.length <= length_max ? Guess::yes
                                                                                   : Guess::no;
}

std::unique_ptr<Parser> make_modbus_parser(const ParserContext& context) {
  return std::make_unique<ModbusParser>(context);
}

}  // namespace menshen::sensor
