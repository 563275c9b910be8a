// IKE versions 1 (RFC 2409) and 2 (RFC 7296) over UDP, also behind the marker of NAT traversal: one
// transaction a message, in its direction.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "sensor/proto/events.hpp"
#include "sensor/proto/message_dissectors.hpp"
#include "sensor/proto/message_parser.hpp"

namespace menshen::sensor {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t header_bytes = 28;
constexpr std::size_t spi_bytes = 8;
constexpr std::size_t payloads_max = 64;     // of one message
constexpr std::size_t transforms_max = 512;  // of one message
constexpr unsigned encrypted_flag = 1;       // version 1

struct Header {
  Bytes initiator;
  Bytes responder;
  unsigned next = 0;
  unsigned version = 0;
  unsigned exchange = 0;
  unsigned flags = 0;
  std::uint32_t message = 0;
  std::uint32_t length = 0;
  [[nodiscard]] unsigned major() const { return version >> 4U; }
};

Header read_header(ByteReader& reader) {
  Header header;
  header.initiator = reader.take(spi_bytes);
  header.responder = reader.take(spi_bytes);
  header.next = reader.u8();
  header.version = reader.u8();
  header.exchange = reader.u8();
  header.flags = reader.u8();
  header.message = reader.be32();
  header.length = reader.be32();
  return header;
}

// NAT traversal (RFC 3948): four zero bytes first.
Bytes behind_marker(Bytes bytes) {
  const bool marked = bytes.size() >= 4 && ByteReader(bytes).be32() == 0;
  return marked ? bytes.subspan(4) : bytes;
}

struct ExchangeName {
  unsigned type;
  std::string_view name;
};
constexpr ExchangeName exchange_names[] = {{1, "Base"},
                                           {2, "Identity Protection"},
                                           {3, "Authentication Only"},
                                           {4, "Aggressive"},
                                           {5, "Informational"},
                                           {6, "Transaction (Config Mode)"},
                                           {32, "Quick Mode"},
                                           {33, "New Group Mode"},
                                           {34, "IKE_SA_INIT"},
                                           {35, "IKE_AUTH"},
                                           {36, "CREATE_CHILD_SA"},
                                           {37, "INFORMATIONAL"},
                                           {38, "IKE_SESSION_RESUME"},
                                           {43, "IKE_INTERMEDIATE"}};

std::string exchange_name(unsigned type) {
  const auto* found = std::ranges::find(exchange_names, type, &ExchangeName::type);
  return found == std::end(exchange_names) ? std::to_string(type) : std::string(found->name);
}

// Version 1's attributes of a security association that rules ask for.
struct Attribute {
  unsigned type;
  Number number;
  std::string_view name;
};
constexpr Attribute attributes[] = {
    {1, Number::ike_sa_alg_enc, "alg_enc"},
    {2, Number::ike_sa_alg_hash, "alg_hash"},
    {3, Number::ike_sa_alg_auth, "alg_auth"},
    {4, Number::ike_sa_alg_dh, "alg_dh"},
    {11, Number::ike_sa_life_type, "sa_life_type"},
    {12, Number::ike_sa_life_duration, "sa_life_duration"},
    {13, Number::ike_sa_alg_prf, "alg_prf"},
    {14, Number::ike_sa_key_length, "sa_key_length"},
};
// Version 2's transforms.
constexpr Attribute transforms[] = {
    {1, Number::ike_sa_alg_enc, "alg_enc"},   {2, Number::ike_sa_alg_prf, "alg_prf"},
    {3, Number::ike_sa_alg_auth, "alg_auth"}, {4, Number::ike_sa_alg_dh, "alg_dh"},
    {5, Number::ike_sa_alg_esn, "alg_esn"},
};

const Attribute* attribute_of(std::span<const Attribute> rows, unsigned type) {
  const auto found = std::ranges::find(rows, type, &Attribute::type);
  return found == rows.end() ? nullptr : &*found;
}

bool among(unsigned value, std::initializer_list<unsigned> values) {
  return std::ranges::find(values, value) != values.end();
}

// RFC 8247: what must not be used any more.
bool is_weak_encryption(unsigned id) { return id <= 9 || id == 11; }
bool is_weak_prf(unsigned id) { return id <= 2; }
bool is_weak_integrity(unsigned id) { return among(id, {1, 2, 3, 4, 6, 7}); }
bool is_weak_group(unsigned id) { return among(id, {1, 2, 5, 22}); }
// Ciphers that need no integrity of their own.
bool is_authenticated(unsigned id) { return among(id, {14, 15, 16, 18, 19, 20, 25, 26, 27, 28}); }

class Reading {
 public:
  Reading(FieldTransaction& into, Direction direction) : into_(into), direction_(direction) {}

  // False: a payload's length is wrong.
  bool read(unsigned version, unsigned next, ByteReader& reader, Json& json) {
    for (std::size_t i = 0; next != 0 && i < payloads_max; ++i) {
      const unsigned type = next;
      next = reader.u8();
      reader.skip(1);
      const std::size_t length = reader.be16();
      if (!reader.ok() || length < 4) return false;
      const Bytes content = reader.take(length - 4);
      if (!reader.ok()) return false;
      json["payload"].push_back(type);
      if (version == 1) {
        read_v1(type, content, json);
      } else {
        read_v2(type, content, json);
      }
      if (version == 2 && (type == 46 || type == 53)) return true;  // encrypted from here on
    }
    if (!reader.empty()) into_.add_event(ProtoEvent::ike_payload_extra_data);
    return true;
  }

 private:
  [[nodiscard]] bool answers() const { return direction_ == Direction::to_client; }

  void add_bytes(Buffer to_server, Buffer to_client, Number length_to_server,
                 Number length_to_client, Bytes content) {
    into_.add(by(direction_, to_server, to_client), as_text(content));
    into_.add(by(direction_, length_to_server, length_to_client), content.size());
  }
  void add_key(Bytes content, Json& json) {
    add_bytes(Buffer::ike_key_exchange_payload, Buffer::ike_key_exchange_payload_response,
              Number::ike_key_exchange_payload_length,
              Number::ike_key_exchange_payload_length_response, content);
    json["key_exchange_payload_length"] = content.size();
  }
  void add_nonce(Bytes content, Json& json) {
    add_bytes(Buffer::ike_nonce_payload, Buffer::ike_nonce_payload_response,
              Number::ike_nonce_payload_length, Number::ike_nonce_payload_length_response, content);
    json["nonce_payload_length"] = content.size();
  }
  void add_vendor(Bytes content, Json& json) {
    const std::string text = hex_text(content);
    into_.add(Buffer::ike_vendor, text);
    json["vendor_ids"].push_back(text);
  }

  void read_v1(unsigned type, Bytes content, Json& json) {
    constexpr unsigned association = 1;
    constexpr unsigned key_exchange = 4;
    constexpr unsigned nonce = 10;
    constexpr unsigned vendor = 13;
    switch (type) {
      case association: {
        ByteReader reader(content);
        reader.skip(8);  // domain, situation
        return read_proposals(reader, json, &Reading::read_transform_v1);
      }
      case key_exchange:
        return add_key(content, json);
      case nonce:
        return add_nonce(content, json);
      case vendor:
        return add_vendor(content, json);
      default:
        return;
    }
  }

  void read_v2(unsigned type, Bytes content, Json& json) {
    switch (type) {
      case 33: {
        ByteReader reader(content);
        read_proposals(reader, json, &Reading::read_transform_v2);
        return;
      }
      case 34:
        if (content.size() >= 4) add_key(content.subspan(4), json);
        return;
      case 40:
        return add_nonce(content, json);
      case 41:
        if (content.size() >= 4) {
          ByteReader reader(content);
          reader.skip(2);
          json["notify"].push_back(reader.be16());
        }
        return;
      case 43:
        return add_vendor(content, json);
      default:
        return;
    }
  }

  using ReadTransform = void (Reading::*)(ByteReader&, Json&);

  // Both versions write proposals alike; only transforms differ.
  void read_proposals(ByteReader& reader, Json& json, ReadTransform read_transform) {
    std::size_t proposals = 0;
    while (reader.remaining() >= 8) {
      reader.skip(2);
      const std::size_t length = reader.be16();
      if (length < 8) return into_.add_event(ProtoEvent::ike_invalid_proposal);
      ByteReader proposal(reader.take(length - 4));
      proposal.skip(2);  // number, protocol
      const std::size_t spi = proposal.u8();
      const unsigned count = proposal.u8();
      proposal.skip(spi);
      if (!proposal.ok()) return into_.add_event(ProtoEvent::ike_invalid_proposal);
      ++proposals;
      seen_ = {};
      for (unsigned i = 0; i < count && !proposal.empty() && transforms_++ < transforms_max; ++i) {
        proposal.skip(2);
        const std::size_t size = proposal.be16();
        ByteReader transform(proposal.take(size - std::min<std::size_t>(size, 4)));
        if (!proposal.ok()) return into_.add_event(ProtoEvent::ike_invalid_proposal);
        (this->*read_transform)(transform, json);
      }
      if (read_transform == &Reading::read_transform_v2) judge_proposal();
    }
    if (answers() && proposals > 1) into_.add_event(ProtoEvent::ike_multiple_server_proposal);
  }

  // What the responder chose; of what was offered, events alone speak.
  void chosen(const Attribute& attribute, std::uint64_t value, Json& json) {
    if (!answers()) return;
    into_.add(attribute.number, value);
    json[std::string(attribute.name)] = value;
  }

  void read_transform_v1(ByteReader& reader, Json& json) {
    reader.skip(4);  // number, identifier
    while (reader.remaining() >= 4) {
      const unsigned type = reader.be16();
      std::uint64_t value = reader.be16();
      if ((type & 0x8000U) == 0) {
        const Bytes bytes = reader.take(value);
        value = 0;
        for (const std::byte byte : bytes) value = value << 8U | std::to_integer<unsigned>(byte);
      }
      const Attribute* attribute = attribute_of(attributes, type & 0x7fffU);
      if (reader.ok() && attribute != nullptr) chosen(*attribute, value, json);
    }
  }

  void read_transform_v2(ByteReader& reader, Json& json) {
    const unsigned type = reader.u8();
    reader.skip(1);
    const unsigned id = reader.be16();
    if (!reader.ok()) return;
    if (const Attribute* attribute = attribute_of(transforms, type)) chosen(*attribute, id, json);
    while (reader.remaining() >= 4) {
      const unsigned attribute = reader.be16();
      const unsigned value = reader.be16();
      constexpr unsigned key_length = 0x8000U | 14U;
      if (attribute == key_length) chosen(attributes[std::size(attributes) - 1], value, json);
    }
    judge_transform(type, id);
  }

  void judge_transform(unsigned type, unsigned id) {
    switch (type) {
      case 1:
        if (id == 11) into_.add_event(ProtoEvent::ike_no_encryption);
        if (is_weak_encryption(id)) into_.add_event(ProtoEvent::ike_weak_crypto_enc);
        seen_.authenticated = seen_.authenticated || is_authenticated(id);
        return;
      case 2:
        if (is_weak_prf(id)) into_.add_event(ProtoEvent::ike_weak_crypto_prf);
        return;
      case 3:
        seen_.authenticated = seen_.authenticated || id != 0;
        if (is_weak_integrity(id)) into_.add_event(ProtoEvent::ike_weak_crypto_auth);
        return;
      case 4:
        seen_.group = seen_.group || id != 0;
        if (is_weak_group(id)) into_.add_event(ProtoEvent::ike_weak_crypto_dh);
        return;
      case 5:
        return;
      default:
        return into_.add_event(ProtoEvent::ike_unknown_proposal);
    }
  }

  void judge_proposal() {
    if (!seen_.group) into_.add_event(ProtoEvent::ike_weak_crypto_no_dh);
    if (!seen_.authenticated) into_.add_event(ProtoEvent::ike_weak_crypto_no_auth);
  }

  FieldTransaction& into_;
  Direction direction_;
  std::size_t transforms_ = 0;
  struct Seen {
    bool group = false;
    bool authenticated = false;
  };
  Seen seen_;  // in the proposal at hand
};

class IkeParser final : public MessageParser {
 public:
  explicit IkeParser(const ParserContext& context)
      : MessageParser(context, AppProto::ike, Over::datagrams) {}

 protected:
  ParserStatus message(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) override {
    // Beside IKE: packets of ESP, and what keeps a path open.
    if (bytes.size() < header_bytes) return ParserStatus::more;
    bytes = behind_marker(bytes);
    ByteReader reader(bytes);
    const Header header = read_header(reader);
    if (!reader.ok() || header.length < header_bytes ||
        (header.major() != 1 && header.major() != 2))
      return ParserStatus::more;
    FieldTransaction& transaction = exchange.begin(flow);
    transaction.one_way = direction;
    const std::string initiator = hex_text(header.initiator);
    const std::string responder = hex_text(header.responder);
    if (direction == Direction::to_server) {
      transaction.add(Buffer::ike_init_spi, initiator);
    } else {
      transaction.add(Buffer::ike_resp_spi, responder);
    }
    transaction.add(Number::ike_exchtype, header.exchange);
    Json json{{"version_major", header.major()},
              {"version_minor", header.version & 0x0fU},
              {"init_spi", initiator},
              {"resp_spi", responder},
              {"message_id", header.message},
              {"exchange_type", header.exchange},
              {"exchange_type_verbose", exchange_name(header.exchange)}};
    const bool encrypted = header.major() == 1 && (header.flags & encrypted_flag) != 0;
    bool whole = header.length <= bytes.size();
    if (encrypted) {
      json["ikev1"]["encrypted_payloads"] = true;
    } else if (whole) {
      ByteReader payloads(reader.take(header.length - header_bytes));
      whole = Reading(transaction, direction).read(header.major(), header.next, payloads, json);
    }
    if (!whole) transaction.add_event(ProtoEvent::ike_malformed_data);
    transaction.eve_json = eve_text(json);
    exchange.finish(flow, transaction, direction, packet);
    return whole ? ParserStatus::more : ParserStatus::broken;
  }
};

}  // namespace

Guess probe_ike(Direction /*direction*/, Bytes bytes) noexcept {
  if (bytes.size() < header_bytes) return Guess::no;
  bytes = behind_marker(bytes);
  ByteReader reader(bytes);
  const Header header = read_header(reader);
  const bool known = header.version == 0x10 || header.version == 0x20;
  const bool exchange = (header.exchange >= 1 && header.exchange <= 6) ||
                        (header.exchange >= 32 && header.exchange <= 43);
  const bool whole = reader.ok() && header.length == bytes.size();
  return known && exchange && whole ? Guess::yes : Guess::no;
}

std::unique_ptr<Parser> make_ike_parser(const ParserContext& context) {
  return std::make_unique<IkeParser>(context);
}

}  // namespace menshen::sensor
