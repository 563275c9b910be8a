// TLS handshakes (RFC 5246, RFC 8446) as far as they are in the clear.
#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <optional>

#include "sensor/proto/buffer_set.hpp"
#include "sensor/proto/certificate.hpp"
#include "sensor/proto/parser.hpp"

namespace menshen::sensor {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t record_header_bytes = 5;
constexpr std::size_t record_bytes_max = 16384 + 2048;  // RFC 5246 6.2.3
enum Content : std::uint8_t {
  change_cipher = 20,
  alert = 21,
  handshake = 22,
  application = 23,
  heartbeat = 24
};
enum Handshake : std::uint8_t { client_hello = 1, server_hello = 2, certificate = 11 };
constexpr std::uint16_t extension_name = 0;
constexpr std::uint16_t extension_versions = 43;

std::string version_name(std::uint16_t version) {
  switch (version) {
    case 0x0101:
      return "TLCP 1.1";
    case 0x0300:
      return "SSLv3";
    case 0x0301:
      return "TLSv1";
    case 0x0302:
      return "TLS 1.1";
    case 0x0303:
      return "TLS 1.2";
    case 0x0304:
      return "TLS 1.3";
    default:
      return fmt::format("0x{:04x}", version);
  }
}

// What tls.version compares with.
std::string version_number(std::uint16_t version) {
  switch (version) {
    case 0x0300:
      return "3.0";
    case 0x0301:
      return "1.0";
    case 0x0302:
      return "1.1";
    case 0x0303:
      return "1.2";
    case 0x0304:
      return "1.3";
    default:
      return fmt::format("0x{:04x}", version);
  }
}

class TlsTransaction final : public Transaction {
 public:
  [[nodiscard]] AppProto proto() const noexcept override { return AppProto::tls; }
  [[nodiscard]] std::size_t instances(Buffer buffer) const noexcept override {
    return buffers.has(buffer) ? 1 : 0;
  }
  [[nodiscard]] View view(Buffer buffer, std::size_t instance) const noexcept override {
    if (instance != 0 || !buffers.has(buffer)) return {};
    return {as_bytes(buffers.text(buffer)), true};
  }
  [[nodiscard]] bool complete(Direction direction) const noexcept override {
    return done[static_cast<std::size_t>(direction)];
  }
  [[nodiscard]] std::string eve() const override {
    Json json = Json::object();
    const auto add = [&](const char* key, std::string_view text) {
      if (!text.empty()) json[key] = text;
    };
    if (certificate) {
      add("subject", certificate->subject);
      add("issuerdn", certificate->issuer);
      add("serial", certificate->serial);
      add("fingerprint", certificate->fingerprint);
    }
    add("sni", buffers.text(Buffer::tls_sni));
    json["version"] = version == 0 ? "UNDETERMINED" : version_name(version);
    if (certificate) {
      add("notbefore", certificate->not_before);
      add("notafter", certificate->not_after);
    }
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
  }

  BufferSet buffers;
  std::optional<Certificate> certificate;
  std::uint16_t version = 0;  // the server's choice; before it, the client's offer
  std::array<bool, 2> done{};
};

class TlsParser final : public Parser {
 public:
  explicit TlsParser(const ParserContext& context) : context_(context) {
    ++context_.counters.transactions;
  }

  ParserStatus feed(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) override {
    Side& side = sides_[static_cast<std::size_t>(direction)];
    while (!bytes.empty() && !side.quiet) {
      if (side.body_left == 0) {
        if (!header(side, bytes)) return ParserStatus::broken;
        if (side.body_left == 0) continue;
      }
      const Bytes part = bytes.first(std::min<std::size_t>(side.body_left, bytes.size()));
      bytes = bytes.subspan(part.size());
      side.body_left -= static_cast<std::uint16_t>(part.size());
      if (side.content == handshake && !side.ciphered) {
        const ParserStatus status = messages(flow, direction, part, packet);
        if (status != ParserStatus::more) return status;
      }
      if (side.content == change_cipher) side.ciphered = true;
      if (side.content == application) side.application = true;
      if (is_private()) return finish(flow, direction, packet);
    }
    return ParserStatus::more;
  }

  ParserStatus gap(Flow&, Direction, std::uint64_t, PacketMeta&) override {
    return ParserStatus::broken;
  }

  void close(Flow& flow, Direction direction, PacketMeta& packet) override {
    Side& side = sides_[static_cast<std::size_t>(direction)];
    side.quiet = true;
    complete(flow, direction, packet);
  }

  void end(Flow& flow) override {
    transaction_.done = {true, true};
    if (!ended_) context_.observer.on_end(flow, transaction_);
    ended_ = true;
  }

 private:
  struct Side {
    std::array<std::byte, record_header_bytes> head{};
    std::uint8_t head_bytes = 0;
    std::uint8_t content = 0;
    std::uint16_t body_left = 0;
    bool ciphered = false;  // what follows is encrypted
    bool application = false;
    bool quiet = false;
    std::vector<std::byte> held;  // of a handshake message that is not whole
  };

  // Takes from `bytes` what the record's header still lacks. False: not TLS.
  static bool header(Side& side, Bytes& bytes) {
    while (side.head_bytes < record_header_bytes && !bytes.empty()) {
      side.head[side.head_bytes++] = bytes.front();
      bytes = bytes.subspan(1);
    }
    if (side.head_bytes < record_header_bytes) return true;
    side.head_bytes = 0;
    ByteReader reader(side.head);
    side.content = reader.u8();
    const std::uint8_t major = reader.u8();
    reader.skip(1);
    const std::uint16_t length = reader.be16();
    side.body_left = length;
    return side.content >= change_cipher && side.content <= heartbeat &&
           (major == 3 || major == 1) && length <= record_bytes_max;
  }

  ParserStatus messages(Flow& flow, Direction direction, Bytes part, PacketMeta& packet) {
    Side& side = sides_[static_cast<std::size_t>(direction)];
    while (!part.empty()) {
      const std::size_t wanted = message_bytes(side.held) - side.held.size();
      const Bytes some = part.first(std::min(wanted, part.size()));
      side.held.insert(side.held.end(), some.begin(), some.end());
      part = part.subspan(some.size());
      const std::size_t whole = message_bytes(side.held);
      if (whole > context_.limits.tls_handshake) return ParserStatus::limit;
      if (side.held.size() >= 4 && side.held.size() == whole) {
        const std::vector<std::byte> message = std::exchange(side.held, {});
        understand(flow, direction, message, packet);
      }
    }
    return ParserStatus::more;
  }

  // Of the message that `held` begins, its header too; 4 while that is not whole.
  static std::size_t message_bytes(Bytes held) noexcept {
    if (held.size() < 4) return 4;
    ByteReader reader(held);
    reader.skip(1);
    return reader.be24() + std::size_t{4};
  }

  void understand(Flow& flow, Direction direction, Bytes message, PacketMeta& packet) {
    ByteReader reader(message);
    const std::uint8_t type = reader.u8();
    reader.skip(3);
    if (type == client_hello && direction == Direction::to_server && !client_seen_) {
      client_seen_ = true;
      hello(reader, true);
      complete(flow, direction, packet);
    } else if (type == server_hello && direction == Direction::to_client) {
      server_seen_ = true;
      hello(reader, false);
      transaction_.buffers.set(Buffer::tls_version, version_number(transaction_.version));
      // In TLS 1.3 the rest of the server's handshake is encrypted.
      if (transaction_.version >= 0x0304) transaction_.done[1] = true;
      context_.observer.on_change(flow, transaction_, direction, packet);
    } else if (type == certificate && direction == Direction::to_client) {
      certificates(reader);
      complete(flow, direction, packet);
    }
  }

  void hello(ByteReader reader, bool client) {
    transaction_.version = reader.be16();
    reader.skip(32);           // random
    reader.skip(reader.u8());  // session
    if (client) {
      reader.skip(reader.be16());  // cipher suites
      reader.skip(reader.u8());    // compression
    } else {
      reader.skip(3);
    }
    ByteReader extensions(reader.take(std::min<std::size_t>(reader.be16(), reader.remaining())));
    while (extensions.ok() && !extensions.empty()) {
      const std::uint16_t kind = extensions.be16();
      const Bytes body = extensions.take(extensions.be16());
      if (kind == extension_name && client) server_name(body);
      if (kind == extension_versions && !client && body.size() == 2) {
        transaction_.version = ByteReader(body).be16();
      }
    }
  }

  // RFC 6066 3: the first name of type host_name.
  void server_name(Bytes body) {
    ByteReader names(body);
    names.skip(2);
    while (names.ok() && !names.empty()) {
      const std::uint8_t type = names.u8();
      const Bytes name = names.take(names.be16());
      if (type == 0 && names.ok() && !transaction_.buffers.has(Buffer::tls_sni)) {
        transaction_.buffers.set(Buffer::tls_sni, as_text(name));
      }
    }
  }

  void certificates(ByteReader reader) {
    reader.skip(3);
    const Bytes first = reader.take(reader.be24());
    if (!reader.ok() || transaction_.certificate) return;
    transaction_.certificate = read_certificate(first);
    if (!transaction_.certificate) return;
    const Certificate& found = *transaction_.certificate;
    transaction_.buffers.set(Buffer::tls_cert_subject, found.subject);
    transaction_.buffers.set(Buffer::tls_cert_issuer, found.issuer);
    transaction_.buffers.set(Buffer::tls_cert_serial, found.serial);
    transaction_.buffers.set(Buffer::tls_cert_fingerprint, found.fingerprint);
  }

  void complete(Flow& flow, Direction direction, PacketMeta& packet) {
    transaction_.done[static_cast<std::size_t>(direction)] = true;
    if (!ended_) context_.observer.on_change(flow, transaction_, direction, packet);
  }

  // Only a server that answered in TLS makes it a private conversation: a client alone cannot.
  [[nodiscard]] bool is_private() const noexcept {
    const bool both = sides_[0].ciphered && sides_[1].ciphered;
    return server_seen_ && (both || sides_[0].application || sides_[1].application);
  }

  ParserStatus finish(Flow& flow, Direction direction, PacketMeta& packet) {
    for (const Direction d : {reverse(direction), direction}) {
      if (!transaction_.complete(d)) complete(flow, d, packet);
    }
    return ParserStatus::done;
  }

  ParserContext context_;
  TlsTransaction transaction_;
  std::array<Side, 2> sides_;
  bool client_seen_ = false;
  bool server_seen_ = false;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<Parser> make_tls_parser(const ParserContext& context) {
  return std::make_unique<TlsParser>(context);
}

}  // namespace menshen::sensor
