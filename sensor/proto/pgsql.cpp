// PostgreSQL's frontend/backend protocol, version 3: one transaction for a request and what answers
// it, until the server is ready again.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "sensor/proto/events.hpp"
#include "sensor/proto/message_dissectors.hpp"
#include "sensor/proto/message_parser.hpp"

namespace menshen::sensor {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint32_t version_3 = 196608;
constexpr std::uint32_t cancel_request = 80877102;
constexpr std::uint32_t ssl_request = 80877103;
constexpr std::uint32_t gss_request = 80877104;
constexpr std::size_t length_max = 1U << 30U;
constexpr std::size_t startup_length_max = 10'000;  // what the server itself takes
constexpr std::size_t parameters_max = 64;

bool is_startup(std::uint32_t code) {
  return code == version_3 || (code >= cancel_request && code <= gss_request);
}

// A text that ends with a zero byte, or with the message.
std::string_view take_text(ByteReader& reader) {
  ByteReader ahead = reader;
  const std::string_view rest = as_text(ahead.rest());
  const std::size_t end = std::min(rest.find('\0'), rest.size());
  const std::string_view text = as_text(reader.take(end));
  if (!reader.empty()) reader.skip(1);
  return text;
}

Json read_parameters(ByteReader& reader) {
  Json json = Json::object();
  Json others = Json::array();
  for (std::size_t i = 0; i < parameters_max && !reader.empty(); ++i) {
    const std::string_view name = take_text(reader);
    if (name.empty()) break;
    const std::string_view value = take_text(reader);
    if (name == "user") {
      json["user"] = value;
    } else {
      others.push_back({{std::string(name), value}});
    }
  }
  if (!others.empty()) json["optional_parameters"] = std::move(others);
  return json;
}

// ErrorResponse and NoticeResponse: fields by letter.
Json read_error(ByteReader& reader) {
  constexpr std::pair<char, std::string_view> names[] = {{'S', "severity_localizable"},
                                                         {'V', "severity_non_localizable"},
                                                         {'C', "code"},
                                                         {'M', "message"},
                                                         {'D', "detail"},
                                                         {'H', "hint"},
                                                         {'P', "position"},
                                                         {'F', "file"},
                                                         {'L', "line"},
                                                         {'R', "routine"}};
  Json json = Json::object();
  for (std::size_t i = 0; i < parameters_max && !reader.empty(); ++i) {
    const char letter = static_cast<char>(reader.u8());
    if (letter == '\0') break;
    const std::string_view value = take_text(reader);
    const auto* found = std::ranges::find(names, letter, &std::pair<char, std::string_view>::first);
    if (found != std::end(names)) json[std::string(found->second)] = value;
  }
  return json;
}

std::string authentication_name(std::uint32_t how) {
  constexpr std::pair<std::uint32_t, std::string_view> names[] = {
      {0, "authentication_ok"},
      {3, "authentication_cleartext_password"},
      {5, "authentication_md5_password"},
      {7, "authentication_gss"},
      {9, "authentication_sspi"},
      {10, "authentication_sasl"},
      {11, "authentication_sasl_continue"},
      {12, "authentication_sasl_final"}};
  for (const auto& [number, name] : names) {
    if (number == how) return std::string(name);
  }
  return "authentication_" + std::to_string(how);
}

class PgsqlParser final : public MessageParser {
 public:
  explicit PgsqlParser(const ParserContext& context)
      : MessageParser(context, AppProto::pgsql, Over::stream,
                      ProtoEvent::pgsql_too_many_transactions) {}

 protected:
  std::size_t extent(Direction direction, Bytes bytes) override {
    const bool forth = direction == Direction::to_server;
    if (!forth && one_byte_answer_) return 1;
    const std::size_t before = forth && !started_ ? 0 : 1;  // a type comes first
    if (bytes.size() < before + 4) return extent_unknown;
    ByteReader reader(bytes);
    reader.skip(before);
    const std::size_t length = reader.be32();
    // A wrong length ends with itself: message() says so.
    return is_length(length) ? before + length : before + 4;
  }

  ParserStatus message(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) override {
    ByteReader reader(bytes);
    const bool back = direction == Direction::to_client;
    if (back && one_byte_answer_) return answer_ssl(flow, reader.u8(), packet);
    const bool typed = back || started_;
    const char type = typed ? static_cast<char>(reader.u8()) : '\0';
    if (!is_length(reader.be32())) {
      return wrong(flow, direction, ProtoEvent::pgsql_invalid_length, packet);
    }
    if (!typed) return startup(flow, reader, packet);
    return back ? response(flow, type, reader, packet) : request(flow, type, reader, packet);
  }

 private:
  static bool is_length(std::size_t length) { return length >= 4 && length <= length_max; }

  ParserStatus wrong(Flow& flow, Direction direction, ProtoEvent event, PacketMeta& packet) {
    FieldTransaction& transaction = exchange.begin(flow);
    transaction.one_way = direction;
    transaction.add_event(event);
    exchange.finish(flow, transaction, direction, packet);
    return ParserStatus::broken;
  }

  ParserStatus startup(Flow& flow, ByteReader& reader, PacketMeta& packet) {
    const std::uint32_t code = reader.be32();
    if (!reader.ok() || !is_startup(code)) {
      return wrong(flow, Direction::to_server, ProtoEvent::pgsql_malformed_request, packet);
    }
    Json json = Json::object();
    if (code == version_3) {
      started_ = true;
      json["protocol_version"] = "3.0";
      json["startup_parameters"] = read_parameters(reader);
    } else if (code == cancel_request) {
      json["message"] = "cancel_request";
      json["process_id"] = reader.be32();
    } else {
      one_byte_answer_ = true;
      json["message"] = code == ssl_request ? "SSL Request" : "GSSENC Request";
    }
    begin(flow, json, packet);
    return ParserStatus::more;
  }

  void begin(Flow& flow, const Json& json, PacketMeta& packet) {
    FieldTransaction& transaction = exchange.begin(flow, 1);
    add_eve(transaction, "tx_id", transaction.id + 1);
    add_eve(transaction, "request", json);
    transaction.finish(Direction::to_server);
    exchange.tell(flow, transaction, Direction::to_server, packet);
    response_ = Json::object();
  }

  ParserStatus answer_ssl(Flow& flow, unsigned answer, PacketMeta& packet) {
    one_byte_answer_ = false;
    response_["ssl_accepted"] = answer == 'S';
    finish(flow, packet);
    return answer == 'S' ? ParserStatus::tunnel : ParserStatus::more;
  }

  void finish(Flow& flow, PacketMeta& packet) {
    if (FieldTransaction* open = exchange.find(1)) {
      if (!response_.empty()) add_eve(*open, "response", response_);
      exchange.finish(flow, *open, Direction::to_client, packet);
    }
    response_ = Json::object();
  }

  ParserStatus request(Flow& flow, char type, ByteReader& reader, PacketMeta& packet) {
    switch (type) {
      case 'Q':
        query(flow, take_text(reader), packet);
        return ParserStatus::more;
      case 'P':
        static_cast<void>(take_text(reader));  // the statement's name
        query(flow, take_text(reader), packet);
        return ParserStatus::more;
      case 'p':  // never told: a password, or an answer to a challenge
        begin(flow, {{"password_redacted", true}}, packet);
        return ParserStatus::more;
      case 'X': {
        begin(flow, {{"message", "terminate"}}, packet);
        finish(flow, packet);
        return ParserStatus::more;
      }
      default:
        // Bind, Execute, Sync, COPY's data: they belong to a query that was told.
        if (type >= 'A' && type <= 'z') return ParserStatus::more;
        return wrong(flow, Direction::to_server, ProtoEvent::pgsql_malformed_request, packet);
    }
  }

  void query(Flow& flow, std::string_view text, PacketMeta& packet) {
    FieldTransaction& transaction = exchange.begin(flow, 1);
    transaction.add(Buffer::pgsql_query, text);
    add_eve(transaction, "tx_id", transaction.id + 1);
    add_eve(transaction, "request", {{"simple_query", text}});
    transaction.finish(Direction::to_server);
    exchange.tell(flow, transaction, Direction::to_server, packet);
    response_ = Json::object();
  }

  ParserStatus response(Flow& flow, char type, ByteReader& reader, PacketMeta& packet) {
    switch (type) {
      case 'R': {
        const std::uint32_t how = reader.be32();
        response_["message"] = authentication_name(how);
        if (how != 0 && how != 12) finish(flow, packet);
        return ParserStatus::more;
      }
      case 'S': {
        const std::string_view name = take_text(reader);
        const std::string_view value = take_text(reader);
        Json& list = response_["parameter_status"];
        if (list.size() < parameters_max) list.push_back({{std::string(name), value}});
        return ParserStatus::more;
      }
      case 'K':
        response_["process_id"] = reader.be32();
        return ParserStatus::more;
      case 'T':
        response_["field_count"] = reader.be16();
        return ParserStatus::more;
      case 'D':
        response_["data_rows"] = response_.value("data_rows", 0) + 1;
        response_["data_size"] = response_.value("data_size", std::size_t{0}) + reader.remaining();
        return ParserStatus::more;
      case 'C':
        response_["command_completed"] = take_text(reader);
        return ParserStatus::more;
      case 'E':
        response_.update(read_error(reader));
        // During startup the server closes without being ready again.
        return ParserStatus::more;
      case 'Z':
        finish(flow, packet);
        return ParserStatus::more;
      default:
        if ((type >= 'A' && type <= 'z') || (type >= '1' && type <= '3')) return ParserStatus::more;
        return wrong(flow, Direction::to_client, ProtoEvent::pgsql_malformed_response, packet);
    }
  }

  bool started_ = false;
  bool one_byte_answer_ = false;
  Json response_ = Json::object();  // to the open request
};

}  // namespace

Guess probe_pgsql(Direction direction, Bytes bytes) noexcept {
  if (direction == Direction::to_client) return Guess::no;  // the client tells
  ByteReader reader(bytes);
  const std::uint32_t length = reader.be32();
  const std::uint32_t code = reader.be32();
  if (bytes.size() >= 4 && (length < 8 || length > startup_length_max)) return Guess::no;
  if (!reader.ok()) return Guess::more;
  return is_startup(code) ? Guess::yes : Guess::no;
}

std::unique_ptr<Parser> make_pgsql_parser(const ParserContext& context) {
  return std::make_unique<PgsqlParser>(context);
}

}  // namespace menshen::sensor
