// Kerberos 5 (RFC 4120) over UDP and TCP: one transaction a message, in its direction.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "sensor/proto/asn1.hpp"
#include "sensor/proto/events.hpp"
#include "sensor/proto/krb5.hpp"
#include "sensor/proto/message_dissectors.hpp"
#include "sensor/proto/message_parser.hpp"

namespace menshen::sensor {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t names_max = 16;  // parts of one principal's name that are kept
constexpr std::size_t length_bytes = 4;
constexpr std::int64_t protocol_version = 5;

enum Type : unsigned {
  as_req = 10,
  as_rep = 11,
  tgs_req = 12,
  tgs_rep = 13,
  ap_req = 14,
  ap_rep = 15,
  error_message = 30,
};

constexpr struct {
  unsigned type;
  std::string_view name;
} type_names[] = {{as_req, "KRB_AS_REQ"},      {as_rep, "KRB_AS_REP"}, {tgs_req, "KRB_TGS_REQ"},
                  {tgs_rep, "KRB_TGS_REP"},    {ap_req, "KRB_AP_REQ"}, {ap_rep, "KRB_AP_REP"},
                  {error_message, "KRB_ERROR"}};

std::string type_name(unsigned type) {
  for (const auto& row : type_names) {
    if (row.type == type) return std::string(row.name);
  }
  return std::to_string(type);
}

// RFC 4120 7.5.9, the ones that are seen.
constexpr struct {
  std::int64_t code;
  std::string_view name;
} error_names[] = {
    {6, "KDC_ERR_C_PRINCIPAL_UNKNOWN"},
    {7, "KDC_ERR_S_PRINCIPAL_UNKNOWN"},
    {12, "KDC_ERR_POLICY"},
    {13, "KDC_ERR_BADOPTION"},
    {14, "KDC_ERR_ETYPE_NOSUPP"},
    {18, "KDC_ERR_CLIENT_REVOKED"},
    {23, "KDC_ERR_KEY_EXPIRED"},
    {24, "KDC_ERR_PREAUTH_FAILED"},
    {25, "KDC_ERR_PREAUTH_REQUIRED"},
    {29, "KDC_ERR_SVC_UNAVAILABLE"},
    {31, "KRB_AP_ERR_BAD_INTEGRITY"},
    {32, "KRB_AP_ERR_TKT_EXPIRED"},
    {37, "KRB_AP_ERR_SKEW"},
    {41, "KRB_AP_ERR_MODIFIED"},
    {52, "KRB_ERR_RESPONSE_TOO_BIG"},
    {60, "KRB_ERR_GENERIC"},
    {68, "KDC_ERR_WRONG_REALM"},
};

struct Message {
  unsigned type = 0;
  std::vector<std::string_view> client;
  std::vector<std::string_view> service;
  std::string_view realm;
  std::optional<std::int64_t> encryption;         // of the reply; of a request, the first wish
  std::optional<std::int64_t> ticket_encryption;  // of the ticket inside
  std::optional<std::int64_t> error;
};

// The inside of the next member if it is "[n]".
std::optional<Asn1Reader> member(Asn1Reader& reader, unsigned n) {
  const Asn1Value value = reader.next_if(asn1::context(n));
  if (value.tag == 0) return std::nullopt;
  return Asn1Reader(value.content);
}

constexpr std::uint8_t general_string = 0x1b;

// PrincipalName: the type is not told, its parts are.
std::vector<std::string_view> read_name(Asn1Reader reader) {
  std::vector<std::string_view> parts;
  Asn1Reader name = reader.enter(asn1::sequence);
  if (!member(name, 0)) return parts;
  auto strings = member(name, 1);
  if (!strings) return parts;
  Asn1Reader list = strings->enter(asn1::sequence);
  while (!list.empty() && parts.size() < names_max) {
    const Asn1Value part = list.next();
    if (list.ok() && part.is(general_string)) parts.push_back(as_text(part.content));
  }
  return parts;
}

std::optional<std::int64_t> read_encryption(Asn1Reader reader) {
  Asn1Reader data = reader.enter(asn1::sequence);
  auto type = member(data, 0);
  if (!type) return std::nullopt;
  const std::int64_t value = type->integer();
  return type->ok() ? std::optional(value) : std::nullopt;
}

bool read_request(Asn1Reader reader, Message& message) {
  member(reader, 1);
  member(reader, 2);
  member(reader, 3);  // pre-authentication
  auto body = member(reader, 4);
  if (!body) return false;
  Asn1Reader fields = body->enter(asn1::sequence);
  member(fields, 0);
  if (auto name = member(fields, 1)) message.client = read_name(*name);
  if (auto realm = member(fields, 2)) message.realm = as_text(realm->take(general_string));
  if (auto name = member(fields, 3)) message.service = read_name(*name);
  for (const unsigned n : {4U, 5U, 6U, 7U}) member(fields, n);
  if (auto types = member(fields, 8)) {
    Asn1Reader list = types->enter(asn1::sequence);
    const std::int64_t first = list.integer();
    if (list.ok()) message.encryption = first;
  }
  return fields.ok();
}

bool read_ticket(Asn1Reader reader, Message& message) {
  Asn1Reader outside = reader.enter(asn1::application(1));
  Asn1Reader ticket = outside.enter(asn1::sequence);
  member(ticket, 0);
  member(ticket, 1);
  if (auto name = member(ticket, 2)) message.service = read_name(*name);
  if (auto data = member(ticket, 3)) message.ticket_encryption = read_encryption(*data);
  return ticket.ok();
}

bool read_reply(Asn1Reader reader, Message& message) {
  member(reader, 0);
  member(reader, 1);
  member(reader, 2);
  if (auto realm = member(reader, 3)) message.realm = as_text(realm->take(general_string));
  if (auto name = member(reader, 4)) message.client = read_name(*name);
  auto ticket = member(reader, 5);
  if (!ticket || !read_ticket(*ticket, message)) return false;
  if (auto data = member(reader, 6)) message.encryption = read_encryption(*data);
  return reader.ok();
}

bool read_error(Asn1Reader reader, Message& message) {
  for (const unsigned n : {0U, 1U, 2U, 3U, 4U, 5U}) member(reader, n);
  auto code = member(reader, 6);
  if (!code) return false;
  message.error = code->integer();
  member(reader, 7);
  if (auto name = member(reader, 8)) message.client = read_name(*name);
  if (auto realm = member(reader, 9)) message.realm = as_text(realm->take(general_string));
  if (auto name = member(reader, 10)) message.service = read_name(*name);
  return reader.ok() && code->ok();
}

bool read_message(Bytes bytes, Message& message) {
  Asn1Reader outside(bytes);
  const Asn1Value value = outside.next();
  if (!outside.ok() || (value.tag & 0xe0U) != 0x60U) return false;
  message.type = value.number();
  Asn1Reader inside(value.content);
  Asn1Reader reader = inside.enter(asn1::sequence);
  if (!inside.ok()) return false;
  switch (message.type) {
    case as_req:
    case tgs_req:
      return read_request(reader, message);
    case as_rep:
    case tgs_rep:
      return read_reply(reader, message);
    case error_message:
      return read_error(reader, message);
    default:
      return message.type == ap_req || message.type == ap_rep;
  }
}

std::string joined(const std::vector<std::string_view>& parts) {
  std::string text;
  for (const std::string_view part : parts) {
    if (!text.empty()) text += '/';
    text += part;
  }
  return text;
}

std::string error_name(std::int64_t code) {
  for (const auto& row : error_names) {
    if (row.code == code) return std::string(row.name);
  }
  return std::to_string(code);
}

class Krb5Parser final : public MessageParser {
 public:
  Krb5Parser(const ParserContext& context, Over over)
      : MessageParser(context, AppProto::krb5, over) {}

 protected:
  std::size_t extent(Direction /*direction*/, Bytes bytes) override {
    if (bytes.size() < length_bytes) return extent_unknown;
    const std::size_t length = ByteReader(bytes).be32();
    return (length & 0x80000000U) != 0 ? extent_broken : length_bytes + length;
  }

  ParserStatus message(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) override {
    if (over_stream()) bytes = bytes.subspan(length_bytes);
    Message message;
    const bool whole = read_message(bytes, message);
    FieldTransaction& transaction = exchange.begin(flow);
    transaction.one_way = direction;
    if (!whole) transaction.add_event(ProtoEvent::krb5_malformed_data);
    add_fields(transaction, message);
    transaction.eve_json = eve_text(describe(message));
    transaction.add(by(direction, Buffer::frame_pdu, Buffer::frame_pdu_response), as_text(bytes));
    if (message.type == as_req || message.type == tgs_req) request_ = message.type;
    exchange.finish(flow, transaction, direction, packet);
    return whole ? ParserStatus::more : ParserStatus::broken;
  }

 private:
  static bool is_reply(const Message& message) {
    return message.type == as_rep || message.type == tgs_rep;
  }

  static void add_fields(FieldTransaction& into, const Message& message) {
    if (message.type != 0) into.add(Number::krb5_msg_type, message.type);
    if (message.error) {
      into.add(Number::krb5_err_code, static_cast<std::uint64_t>(*message.error));
    }
    for (const auto part : message.client) into.add(Buffer::krb5_cname, part);
    for (const auto part : message.service) into.add(Buffer::krb5_sname, part);
    if (message.ticket_encryption) {
      into.add(Number::krb5_ticket_encryption,
               static_cast<std::uint64_t>(*message.ticket_encryption));
    }
    if (is_reply(message) && message.encryption && is_weak_krb5_encryption(*message.encryption)) {
      into.add_event(ProtoEvent::krb5_weak_encryption);
    }
  }

  [[nodiscard]] Json describe(const Message& message) const {
    Json json{{"msg_type", type_name(message.type)}};
    if (message.error) {
      json["failed_request"] = request_ == 0 ? std::string("UNKNOWN") : type_name(request_);
      json["error_code"] = error_name(*message.error);
    }
    if (!message.client.empty()) json["cname"] = joined(message.client);
    if (!message.realm.empty()) json["realm"] = message.realm;
    if (!message.service.empty()) json["sname"] = joined(message.service);
    if (message.encryption) {
      json["encryption"] = krb5_encryption_name(*message.encryption);
      json["weak_encryption"] = is_weak_krb5_encryption(*message.encryption);
    }
    if (message.ticket_encryption) {
      json["ticket_encryption"] = krb5_encryption_name(*message.ticket_encryption);
      json["ticket_weak_encryption"] = is_weak_krb5_encryption(*message.ticket_encryption);
    }
    return json;
  }

  unsigned request_ = 0;  // the last one's type
};

// The envelope and the protocol's version.
Guess check_start(Bytes bytes, Guess too_short) noexcept {
  ByteReader reader(bytes);
  const auto outside = asn1_head(reader);
  if (!outside) return Guess::no;
  if (!reader.ok()) return too_short;
  const unsigned type = outside->tag & 0x1fU;
  const bool known = (outside->tag & 0xe0U) == 0x60U &&
                     ((type >= as_req && type <= ap_rep) || type == error_message);
  if (!known) return Guess::no;
  const auto list = asn1_head(reader);
  if (!list || (reader.ok() && list->tag != asn1::sequence)) return Guess::no;
  const auto first = asn1_head(reader);
  if (!first || (reader.ok() && first->tag != asn1::context(0) && first->tag != asn1::context(1))) {
    return Guess::no;
  }
  const auto version = asn1_head(reader);
  const std::uint8_t value = reader.u8();
  if (!reader.ok()) return too_short;
  return version && version->tag == asn1::integer && version->length == 1 &&
                 value == protocol_version
             ? Guess::yes
             : Guess::no;
}

}  // namespace

std::span<const Krb5Encryption> krb5_encryptions() noexcept {
  static constexpr Krb5Encryption rows[] = {
      {1, "des-cbc-crc"},
      {2, "des-cbc-md4"},
      {3, "des-cbc-md5"},
      {5, "des3-cbc-md5"},
      {7, "des3-cbc-sha1"},
      {9, "dsaWithSHA1-CmsOID"},
      {10, "md5WithRSAEncryption-CmsOID"},
      {11, "sha1WithRSAEncryption-CmsOID"},
      {12, "rc2CBC-EnvOID"},
      {13, "rsaEncryption-EnvOID"},
      {14, "rsaES-OAEP-ENV-OID"},
      {15, "des-ede3-cbc-Env-OID"},
      {16, "des3-cbc-sha1-kd"},
      {17, "aes128-cts-hmac-sha1-96"},
      {18, "aes256-cts-hmac-sha1-96"},
      {19, "aes128-cts-hmac-sha256-128"},
      {20, "aes256-cts-hmac-sha384-192"},
      {23, "rc4-hmac"},
      {24, "rc4-hmac-exp"},
      {25, "camellia128-cts-cmac"},
      {26, "camellia256-cts-cmac"},
      {65, "subkey-keymaterial"},
      {-128, "rc4-md4"},
      {-133, "rc4-hmac-old"},
      {-135, "rc4-hmac-old-exp"},
  };
  return rows;
}

std::string krb5_encryption_name(std::int64_t type) {
  for (const Krb5Encryption& row : krb5_encryptions()) {
    if (row.type == type) return std::string(row.name);
  }
  return std::to_string(type);
}

bool is_weak_krb5_encryption(std::int64_t type) noexcept {
  constexpr std::int64_t strong[] = {17, 18, 19, 20, 25, 26};
  return std::ranges::find(strong, type) == std::end(strong);
}

Guess probe_krb5_datagram(Direction /*direction*/, Bytes bytes) noexcept {
  return check_start(bytes, Guess::no);
}

Guess probe_krb5_stream(Direction /*direction*/, Bytes bytes) noexcept {
  if (bytes.size() < length_bytes) return Guess::more;
  constexpr std::size_t plausible_max = 1U << 20U;
  const std::size_t length = ByteReader(bytes).be32();
  if (length < 10 || length > plausible_max) return Guess::no;
  return check_start(bytes.subspan(length_bytes), Guess::more);
}

std::unique_ptr<Parser> make_krb5_stream_parser(const ParserContext& context) {
  return std::make_unique<Krb5Parser>(context, MessageParser::Over::stream);
}
std::unique_ptr<Parser> make_krb5_datagram_parser(const ParserContext& context) {
  return std::make_unique<Krb5Parser>(context, MessageParser::Over::datagrams);
}

}  // namespace menshen::sensor
