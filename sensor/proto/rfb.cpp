// RFB, the protocol of VNC (RFC 6143): one transaction for the handshake; what follows is not read.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "sensor/proto/events.hpp"
#include "sensor/proto/message_dissectors.hpp"
#include "sensor/proto/message_parser.hpp"

namespace menshen::sensor {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t version_bytes = 12;
constexpr std::size_t challenge_bytes = 16;
constexpr std::size_t server_init_bytes = 24;  // before the name
constexpr unsigned security_none = 1;
constexpr unsigned security_vnc = 2;

enum class Step : std::uint8_t {
  server_version,
  client_version,
  security_types,
  security_choice,
  challenge,
  challenge_answer,
  result,
  failure,
  client_init,
  server_init,
  over,
};

bool from_server(Step step) {
  switch (step) {
    case Step::client_version:
    case Step::security_choice:
    case Step::challenge_answer:
    case Step::client_init:
      return false;
    default:
      return true;
  }
}

bool is_version(std::string_view text) {
  return text.size() == version_bytes && text.starts_with("RFB ") && text[7] == '.' &&
         text.ends_with('\n');
}

Json describe_version(std::string_view text) {
  return {{"major", text.substr(4, 3)}, {"minor", text.substr(8, 3)}};
}

class RfbParser final : public MessageParser {
 public:
  explicit RfbParser(const ParserContext& context)
      : MessageParser(context, AppProto::rfb, Over::stream) {}

 protected:
  std::size_t extent(Direction direction, Bytes bytes) override {
    if (step_ == Step::over) return bytes.size();
    // Out of its turn: whatever it is.
    if (from_server(step_) != (direction == Direction::to_client)) return bytes.size();
    ByteReader reader(bytes);
    switch (step_) {
      case Step::server_version:
      case Step::client_version:
        return version_bytes;
      case Step::security_types:
        if (minor_ < 7) return 4;
        return reader.u8() == 0 ? with_text(bytes, 1) : 1 + std::to_integer<std::size_t>(bytes[0]);
      case Step::challenge:
      case Step::challenge_answer:
        return challenge_bytes;
      case Step::result:
        return 4;
      case Step::failure:
        return with_text(bytes, 0);
      case Step::server_init:
        return with_text(bytes, server_init_bytes - 4);
      default:
        return 1;
    }
  }

  ParserStatus message(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) override {
    if (step_ == Step::over) return ParserStatus::more;
    FieldTransaction& transaction = begun(flow);
    transaction.add(by(direction, Buffer::frame_pdu, Buffer::frame_pdu_response), as_text(bytes));
    const bool turn = from_server(step_) == (direction == Direction::to_client);
    if (!turn) {
      transaction.add_event(ProtoEvent::rfb_confused_state);
      step_ = Step::over;
    } else if (!read(transaction, bytes)) {
      transaction.add_event(ProtoEvent::rfb_malformed_message);
      step_ = Step::over;
    }
    transaction.eve_json = eve_text(json_);
    if (step_ == Step::over) {
      exchange.finish(flow, transaction, direction, packet);
    } else {
      exchange.tell(flow, transaction, direction, packet);
    }
    return ParserStatus::more;
  }

 private:
  // So many bytes, then a text behind four bytes of its length.
  static std::size_t with_text(Bytes bytes, std::size_t before) {
    if (bytes.size() < before + 4) return extent_unknown;
    ByteReader reader(bytes);
    reader.skip(before);
    return before + 4 + reader.be32();
  }

  FieldTransaction& begun(Flow& flow) {
    FieldTransaction* open = exchange.find(1);
    return open != nullptr ? *open : exchange.begin(flow, 1);
  }

  bool read(FieldTransaction& into, Bytes bytes) {
    ByteReader reader(bytes);
    switch (step_) {
      case Step::server_version:
      case Step::client_version:
        return read_version(as_text(bytes));
      case Step::security_types:
        return read_types(into, reader);
      case Step::security_choice:
        return choose(into, reader.u8());
      case Step::challenge:
        json_["authentication"]["vnc"]["challenge"] = hex_text(bytes);
        step_ = Step::challenge_answer;
        return true;
      case Step::challenge_answer:
        json_["authentication"]["vnc"]["response"] = hex_text(bytes);
        step_ = Step::result;
        return true;
      case Step::result:
        return read_result(into, reader.be32());
      case Step::failure:
        json_["server_security_failure_reason"] = as_text(bytes.subspan(4));
        step_ = Step::over;
        return true;
      case Step::client_init:
        json_["screen_shared"] = reader.u8() != 0;
        step_ = Step::server_init;
        return true;
      case Step::server_init:
        read_server_init(into, reader);
        return true;
      case Step::over:
        break;
    }
    return true;
  }

  bool read_version(std::string_view text) {
    if (!is_version(text)) return false;
    const bool server = step_ == Step::server_version;
    json_[server ? "server_protocol_version" : "client_protocol_version"] = describe_version(text);
    // The client's decides; 003.003, 003.007, 003.008.
    minor_ = static_cast<unsigned>(text[10] - '0');
    step_ = server ? Step::client_version : Step::security_types;
    return true;
  }

  bool read_types(FieldTransaction& into, ByteReader& reader) {
    if (minor_ < 7) return choose(into, reader.be32());
    if (reader.u8() != 0) {
      step_ = Step::security_choice;
    } else {
      json_["server_security_failure_reason"] = as_text(reader.take(reader.be32()));
      step_ = Step::over;
    }
    return true;
  }

  bool choose(FieldTransaction& into, std::uint32_t type) {
    into.add(Number::rfb_sectype, type);
    json_["authentication"]["security_type"] = type;
    if (type == security_vnc) {
      step_ = Step::challenge;
    } else if (type == security_none) {
      step_ = minor_ < 8 ? Step::client_init : Step::result;
    } else {
      into.add_event(ProtoEvent::rfb_unimplemented_security_type);
      step_ = Step::over;
    }
    return true;
  }

  bool read_result(FieldTransaction& into, std::uint32_t result) {
    constexpr std::array<std::string_view, 3> names{"OK", "FAIL", "TOOMANY"};
    into.add(Number::rfb_secresult, result);
    json_["authentication"]["security_result"] = result < names.size()
                                                     ? std::string(names[result])
                                                     : "UNKNOWN (" + std::to_string(result) + ")";
    if (result >= names.size()) into.add_event(ProtoEvent::rfb_unknown_security_result);
    step_ = result == 0 ? Step::client_init : minor_ < 8 ? Step::over : Step::failure;
    return true;
  }

  void read_server_init(FieldTransaction& into, ByteReader& reader) {
    Json screen = Json::object();
    screen["width"] = reader.be16();
    screen["height"] = reader.be16();
    Json format = Json::object();
    format["bits_per_pixel"] = reader.u8();
    format["depth"] = reader.u8();
    format["big_endian"] = reader.u8() != 0;
    format["true_color"] = reader.u8() != 0;
    for (const char* name : {"red_max", "green_max", "blue_max"}) format[name] = reader.be16();
    for (const char* name : {"red_shift", "green_shift", "blue_shift"}) format[name] = reader.u8();
    reader.skip(3);
    const std::uint32_t length = reader.be32();
    const std::string_view name =
        as_text(reader.take(std::min<std::size_t>(length, reader.remaining())));
    screen["name"] = name;
    screen["pixel_format"] = std::move(format);
    into.add(Buffer::rfb_name, name);
    json_["framebuffer"] = std::move(screen);
    step_ = Step::over;
  }

  Step step_ = Step::server_version;
  unsigned minor_ = 0;
  Json json_ = Json::object();
};

}  // namespace

Guess probe_rfb(Direction direction, Bytes bytes) noexcept {
  constexpr std::string_view start = "RFB 00";
  const std::string_view text = as_text(bytes.first(std::min(bytes.size(), version_bytes)));
  if (!std::string_view(start).starts_with(text.substr(0, start.size()))) return Guess::no;
  // The server begins: only then the turns are known.
  if (text.size() < version_bytes || direction == Direction::to_server) return Guess::more;
  return is_version(text) ? Guess::yes : Guess::no;
}

std::unique_ptr<Parser> make_rfb_parser(const ParserContext& context) {
  return std::make_unique<RfbParser>(context);
}

}  // namespace menshen::sensor
