// QUIC (RFC 9000) as far as its handshake is in the clear: a transaction for each Initial packet;
// and Google's earlier QUIC (Q039 to Q046), whose hello is not encrypted.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>

#include "sensor/proto/buffer_set.hpp"
#include "sensor/proto/events.hpp"
#include "sensor/proto/parser.hpp"
#include "sensor/proto/quic_google.hpp"
#include "sensor/proto/quic_initial.hpp"
#include "sensor/proto/tls_hello.hpp"

namespace menshen::sensor {

namespace {

using Json = nlohmann::ordered_json;

// Of one side's handshake; beyond: no more is read.
constexpr std::size_t crypto_bytes_max = 64U << 10U;
constexpr std::size_t crypto_pieces_max = 256;
// Initials that did not open: after so many nobody is there.
constexpr std::size_t failures_max = 16;

constexpr std::size_t index(Direction direction) { return static_cast<std::size_t>(direction); }

std::string version_name(std::uint32_t version) {
  if (version == quic_v1) return "1";
  if (version == quic_v2) return "2";
  if (version >> 8U == 0xff0000) return fmt::format("draft-{}", version & 0xffU);
  if (version >> 24U == 'Q') return quic_version_text(version);
  return fmt::format("0x{:08x}", version);
}

class QuicTransaction final : public KnownTransaction {
 public:
  QuicTransaction(Direction direction, std::uint32_t version) : version_(version) {
    one_way = direction;
    const bool request = direction == Direction::to_server;
    buffers.set(request ? Buffer::quic_version : Buffer::quic_version_response,
                quic_version_text(version));
    known.set(Number::quic_version_number, version);
  }
  [[nodiscard]] AppProto proto() const noexcept override { return AppProto::quic; }
  [[nodiscard]] bool complete(Direction) const noexcept override { return true; }
  [[nodiscard]] std::string eve() const override {
    Json json{{"version", version_name(version_)}};
    const auto add = [&](const char* key, Buffer buffer) {
      if (buffers.has(buffer)) json[key] = buffers.text(buffer);
    };
    const auto add_pair = [&](const char* key, Buffer hash, Buffer text) {
      if (!buffers.has(hash)) return;
      json[key] = {{"hash", buffers.text(hash)}, {"string", buffers.text(text)}};
    };
    add("sni", Buffer::quic_sni);
    add("ua", Buffer::quic_ua);
    if (buffers.has(Buffer::quic_cyu_hash)) {
      json["cyu"].push_back({{"hash", buffers.text(Buffer::quic_cyu_hash)},
                             {"string", buffers.text(Buffer::quic_cyu_string)}});
    }
    add_pair("ja3", Buffer::ja3_hash, Buffer::ja3_string);
    add_pair("ja3s", Buffer::ja3s_hash, Buffer::ja3s_string);
    add("ja4", Buffer::ja4_hash);
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
  }

 private:
  std::uint32_t version_;
};

// The pieces of one side's handshake (CRYPTO frames) in the order of their places.
class CryptoStream {
 public:
  // False: at a limit.
  bool add(std::uint64_t offset, Bytes bytes) {
    if (offset > crypto_bytes_max || bytes.size() > crypto_bytes_max - offset) return false;
    if (offset > whole_.size()) {
      if (pieces_.size() >= crypto_pieces_max) return false;
      pieces_.emplace_back(offset, std::string(as_text(bytes)));
      return true;
    }
    append(offset, as_text(bytes));
    // What waited for it, in any order.
    for (bool grown = true; grown;) {
      grown = false;
      for (auto piece = pieces_.begin(); piece != pieces_.end();) {
        if (piece->first > whole_.size()) {
          ++piece;
          continue;
        }
        append(piece->first, piece->second);
        piece = pieces_.erase(piece);
        grown = true;
      }
    }
    return true;
  }
  // The first message, its header too, when it is whole.
  [[nodiscard]] std::optional<Bytes> message() const noexcept {
    ByteReader reader(as_bytes(whole_));
    reader.skip(1);
    const std::size_t length = reader.be24() + std::size_t{4};
    if (!reader.ok() || whole_.size() < length) return std::nullopt;
    return as_bytes(whole_).first(length);
  }

 private:
  void append(std::uint64_t offset, std::string_view bytes) {
    const std::uint64_t known = whole_.size() - offset;
    if (known < bytes.size()) whole_ += bytes.substr(known);
  }

  std::string whole_;
  std::vector<std::pair<std::uint64_t, std::string>> pieces_;
};

class QuicParser final : public Parser {
 public:
  explicit QuicParser(const ParserContext& context) : context_(context) {}

  ParserStatus feed(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) override {
    if (const auto hello = read_google_quic(bytes)) {
      tell_google(flow, direction, *hello, packet);
      return ParserStatus::more;
    }
    while (!bytes.empty() && failures_ < failures_max) {
      const auto next = next_quic_packet(bytes);
      if (!next) break;  // a short header: encrypted
      if (next->type == QuicPacketType::retry) {
        original_id_.reset();
      } else if (next->type == QuicPacketType::initial) {
        initial(flow, direction, *next, packet);
      }
    }
    return ParserStatus::more;
  }
  ParserStatus gap(Flow&, Direction, std::uint64_t, PacketMeta&) override {
    return ParserStatus::more;
  }
  void close(Flow&, Direction, PacketMeta&) override {}
  void end(Flow&) override {}

 private:
  void initial(Flow& flow, Direction direction, const QuicPacket& sealed, PacketMeta& packet) {
    if (!original_id_) {
      if (direction == Direction::to_client) return;  // its beginning was not seen
      original_id_ = std::string(as_text(sealed.destination_id));
    }
    QuicTransaction transaction(direction, sealed.version);
    const auto payload = open_quic_initial(sealed, as_bytes(*original_id_), direction);
    if (!payload) {
      ++failures_;
      transaction.add_event(ProtoEvent::quic_failed_decrypt);
    } else {
      failures_ = 0;
      read_frames(direction, *payload, transaction);
    }
    tell(flow, direction, transaction, packet);
  }

  void tell(Flow& flow, Direction direction, QuicTransaction& transaction, PacketMeta& packet) {
    transaction.id = next_id_++;
    ++context_.counters.transactions;
    context_.observer.on_change(flow, transaction, direction, packet);
    context_.observer.on_end(flow, transaction);
  }

  // RFC 9000 12.4: what an Initial may carry.
  void read_frames(Direction direction, Bytes payload, QuicTransaction& transaction) {
    ByteReader reader(payload);
    while (reader.ok() && !reader.empty()) {
      const std::uint64_t type = quic_varint(reader);
      if (type == 0x00 || type == 0x01) continue;  // PADDING, PING
      if (type == 0x02 || type == 0x03) {
        skip_acknowledgement(reader, type == 0x03);
      } else if (type == 0x06) {
        const std::uint64_t offset = quic_varint(reader);
        const Bytes bytes = reader.take(quic_varint(reader));
        if (!reader.ok()) break;
        crypto(direction, offset, bytes, transaction);
      } else {
        return;  // CONNECTION_CLOSE, or none that belongs here
      }
    }
    if (!reader.ok()) transaction.add_event(ProtoEvent::quic_error_on_data);
  }

  static void skip_acknowledgement(ByteReader& reader, bool with_counts) {
    static_cast<void>(quic_varint(reader));  // largest
    static_cast<void>(quic_varint(reader));  // delay
    const std::uint64_t ranges = quic_varint(reader);
    static_cast<void>(quic_varint(reader));  // first range
    for (std::uint64_t i = 0; i < ranges && reader.ok(); ++i) {
      static_cast<void>(quic_varint(reader));
      static_cast<void>(quic_varint(reader));
    }
    for (int i = 0; with_counts && i < 3; ++i) static_cast<void>(quic_varint(reader));
  }

  void crypto(Direction direction, std::uint64_t offset, Bytes bytes,
              QuicTransaction& transaction) {
    Side& side = sides_[index(direction)];
    if (side.understood) return;
    if (!side.crypto.add(offset, bytes)) {
      ++context_.counters.limits_reached;
      side.understood = true;
      transaction.add_event(ProtoEvent::quic_crypto_frag_too_long);
      return;
    }
    const auto message = side.crypto.message();
    if (!message) return;
    side.understood = true;
    const auto type = std::to_integer<unsigned>(message->front());
    const Bytes body = message->subspan(4);
    BufferSet& buffers = transaction.buffers;
    if (type == 1 && direction == Direction::to_server) {
      const TlsHello hello = read_client_hello(body);
      if (hello.server_name) buffers.set(Buffer::quic_sni, *hello.server_name);
      for (const std::string_view name : hello.alpn) buffers.add(Buffer::tls_alpn, name);
      buffers.set(Buffer::ja3_string, ja3_text(hello));
      buffers.set(Buffer::ja3_hash, ja3_hash(buffers.text(Buffer::ja3_string)));
      buffers.set(Buffer::ja4_hash, ja4_hash(hello, 'q'));
    } else if (type == 2 && direction == Direction::to_client) {
      const TlsHello hello = read_server_hello(body);
      buffers.set(Buffer::ja3s_string, ja3s_text(hello));
      buffers.set(Buffer::ja3s_hash, ja3_hash(buffers.text(Buffer::ja3s_string)));
    }
    side.crypto = {};
  }

  void tell_google(Flow& flow, Direction direction, const GoogleQuicPacket& said,
                   PacketMeta& packet) {
    QuicTransaction transaction(direction, said.version);
    if (!said.tags.empty()) {
      BufferSet& buffers = transaction.buffers;
      if (said.server_name) buffers.set(Buffer::quic_sni, *said.server_name);
      if (said.user_agent) buffers.set(Buffer::quic_ua, *said.user_agent);
      const std::string text = google_quic_fingerprint(said);
      buffers.set(Buffer::quic_cyu_string, text);
      buffers.set(Buffer::quic_cyu_hash, ja3_hash(text));
    }
    tell(flow, direction, transaction, packet);
  }

  struct Side {
    CryptoStream crypto;
    bool understood = false;  // its hello, or no more of it
  };

  ParserContext context_;
  std::array<Side, 2> sides_;
  std::optional<std::string> original_id_;
  std::size_t failures_ = 0;  // in a row
  std::uint64_t next_id_ = 0;
};

}  // namespace

std::unique_ptr<Parser> make_quic_parser(const ParserContext& context) {
  return std::make_unique<QuicParser>(context);
}

}  // namespace menshen::sensor
