// TLS handshakes (RFC 5246, RFC 8446; TLCP: GB/T 38636) as far as they are in the clear.
#include <array>
#include <optional>

#include "sensor/proto/events.hpp"
#include "sensor/proto/parser.hpp"
#include "sensor/proto/tls_hello.hpp"
#include "sensor/proto/tls_transaction.hpp"

namespace menshen::sensor {

namespace {

constexpr std::size_t record_header_bytes = 5;
constexpr std::size_t record_bytes_max = 16384 + 2048;  // RFC 5246 6.2.3
constexpr std::size_t ssl2_header_bytes = 2;
constexpr std::size_t ssl2_hello_bytes_min = 9;
constexpr std::size_t certificates_max = 32;  // of one chain that are kept
constexpr std::size_t alpn_max = 64;          // names of one hello that are kept
constexpr std::size_t records_in_feed_max = 255;
constexpr std::size_t random_time_bytes = 4;
constexpr std::size_t heartbeat_padding_bytes = 16;  // RFC 6520 4
constexpr std::uint16_t ssl2_version = 0x0002;
constexpr std::uint16_t tls13_version = 0x0304;
constexpr std::int64_t ns_per_s = 1'000'000'000;

enum Content : std::uint8_t {
  change_cipher = 20,
  alert = 21,
  handshake = 22,
  application = 23,
  heartbeat = 24
};
// RFC 8446 4, RFC 5246 7.4, RFC 6066, RFC 5077, RFC 8879.
enum Handshake : std::uint8_t {
  hello_request = 0,
  client_hello = 1,
  server_hello = 2,
  certificate = 11,
  server_key_exchange = 12,
  server_hello_done = 14,
  client_key_exchange = 16,
};
constexpr bool is_handshake(std::uint8_t type) {
  return type <= 6 || type == 8 || (type >= 11 && type <= 16) || (type >= 20 && type <= 25) ||
         type == 67 || type == 254;
}

class TlsParser final : public Parser {
 public:
  explicit TlsParser(const ParserContext& context) : context_(context) {
    ++context_.counters.transactions;
  }

  ParserStatus feed(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) override {
    Side& side = sides_[index(direction)];
    std::size_t records = 0;
    ParserStatus status = ParserStatus::more;
    while (status == ParserStatus::more && !bytes.empty() && !side.quiet) {
      if (side.body_left == 0) {
        if (!header(side, direction, bytes)) {
          status = ParserStatus::broken;
          break;
        }
        if (side.body_left == 0) continue;
        if (side.content == heartbeat) judge_heartbeat(side, sides_[index(reverse(direction))]);
        if (++records > records_in_feed_max) event(ProtoEvent::tls_too_many_records_in_packet);
      }
      const Bytes part = bytes.first(std::min<std::size_t>(side.body_left, bytes.size()));
      bytes = bytes.subspan(part.size());
      side.body_left -= static_cast<std::uint16_t>(part.size());
      status = content(flow, direction, part, packet);
      if (status == ParserStatus::more && is_private()) return finish(flow, direction, packet);
    }
    if (event_added_ && !ended_) {
      event_added_ = false;
      context_.observer.on_change(flow, transaction_, direction, packet);
    }
    return status;
  }

  ParserStatus gap(Flow&, Direction, std::uint64_t, PacketMeta&) override {
    return ParserStatus::broken;
  }

  void close(Flow& flow, Direction direction, PacketMeta& packet) override {
    sides_[index(direction)].quiet = true;
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
    bool begun = false;
    bool ssl2 = false;      // the record at hand has SSL 2's form
    bool ciphered = false;  // what follows is encrypted
    bool application = false;
    bool quiet = false;
    std::optional<std::size_t> heartbeat_asked;  // bytes of a heartbeat without an answer
    std::vector<std::byte> held;                 // of a handshake message that is not whole
    std::vector<std::byte> record;               // of a heartbeat or SSL 2 record that is not whole
  };

  static std::size_t index(Direction direction) noexcept {
    return static_cast<std::size_t>(direction);
  }

  void event(ProtoEvent what) {
    transaction_.add_event(what);
    event_added_ = true;
  }

  // Takes from `bytes` what the record's header still lacks. False: not TLS.
  bool header(Side& side, Direction direction, Bytes& bytes) {
    // Only a conversation's first record may have SSL 2's form: its length comes first.
    const bool first = !std::exchange(side.begun, true);
    if (first) side.ssl2 = (std::to_integer<unsigned>(bytes.front()) & 0x80U) != 0;
    const std::size_t whole = side.ssl2 ? ssl2_header_bytes : record_header_bytes;
    while (side.head_bytes < whole && !bytes.empty()) {
      side.head[side.head_bytes++] = bytes.front();
      bytes = bytes.subspan(1);
    }
    if (side.head_bytes < whole) return true;
    side.head_bytes = 0;
    side.record.clear();
    ByteReader reader(side.head);
    if (side.ssl2) {
      side.content = handshake;
      side.body_left = reader.be16() & 0x7fffU;
      if (side.body_left >= ssl2_hello_bytes_min) return true;
      event(ProtoEvent::tls_invalid_sslv2_header);
      return false;
    }
    side.content = reader.u8();
    const std::uint16_t version = reader.be16();
    side.body_left = reader.be16();
    return is_record(side, direction, version);
  }

  bool is_record(const Side& side, Direction direction, std::uint16_t version) {
    const unsigned major = version >> 8U;
    if (side.content < change_cipher || side.content > heartbeat) {
      event(ProtoEvent::tls_invalid_record_type);
      event(ProtoEvent::tls_invalid_tls_header);
      return false;
    }
    if (major != 3 && major != 1) {
      event(ProtoEvent::tls_invalid_record_version);
      event(ProtoEvent::tls_invalid_tls_header);
      return false;
    }
    if (side.body_left > record_bytes_max) {
      event(ProtoEvent::tls_invalid_record_length);
      event(ProtoEvent::tls_invalid_ssl_record);
      return false;
    }
    // What the first record says, until a hello says more.
    const Number number = version_number(direction);
    if (transaction_.known.instances(number) == 0) transaction_.known.set(number, version);
    return true;
  }

  static Number version_number(Direction direction) noexcept {
    return direction == Direction::to_server ? Number::tls_version : Number::tls_version_response;
  }

  ParserStatus content(Flow& flow, Direction direction, Bytes part, PacketMeta& packet) {
    Side& side = sides_[index(direction)];
    switch (side.content) {
      case handshake:
        if (side.ciphered) return ParserStatus::more;
        return side.ssl2 ? ssl2_record(flow, direction, part, packet)
                         : messages(flow, direction, part, packet);
      case change_cipher:
        side.ciphered = true;
        if (!transaction_.complete(direction)) complete(flow, direction, packet);
        return ParserStatus::more;
      case application:
        side.application = true;
        return ParserStatus::more;
      case heartbeat:
        if (!side.ciphered) heartbeat_record(side, part);
        return ParserStatus::more;
      default:
        return ParserStatus::more;
    }
  }

  // An answer repeats its request (RFC 6520 4): a longer one carries what else was in the memory,
  // which shows even where both are encrypted.
  void judge_heartbeat(Side& side, Side& other) {
    const auto asked = std::exchange(other.heartbeat_asked, std::nullopt);
    if (!asked) {
      side.heartbeat_asked = side.body_left;
    } else if (side.body_left > *asked) {
      event(ProtoEvent::tls_dataleak_heartbeat_mismatch);
    }
  }

  // RFC 6520: a request whose payload is said to be longer than the record makes a vulnerable peer
  // answer with its memory (CVE-2014-0160).
  void heartbeat_record(Side& side, Bytes part) {
    constexpr std::size_t head_bytes = 3;
    const std::size_t length = side.record.size() + part.size() + side.body_left;
    const bool judged = side.record.size() >= head_bytes;
    side.record.insert(
        side.record.end(), part.begin(),
        part.begin() + static_cast<std::ptrdiff_t>(std::min(part.size(), judged ? 0 : head_bytes)));
    event(ProtoEvent::tls_heartbeat_message);
    if (judged || side.record.size() < head_bytes) return;
    ByteReader reader(side.record);
    const std::uint8_t type = reader.u8();
    const std::size_t payload = reader.be16();
    if (type != 1 && type != 2) return event(ProtoEvent::tls_invalid_heartbeat_message);
    if (head_bytes + payload > length) {
      event(ProtoEvent::tls_overflow_heartbeat_message);
      event(ProtoEvent::tls_invalid_heartbeat_message);
    } else if (head_bytes + payload + heartbeat_padding_bytes > length) {
      event(ProtoEvent::tls_invalid_heartbeat_message);
    }
  }

  ParserStatus ssl2_record(Flow& flow, Direction direction, Bytes part, PacketMeta& packet) {
    Side& side = sides_[index(direction)];
    side.record.insert(side.record.end(), part.begin(), part.end());
    if (side.body_left != 0) return ParserStatus::more;
    const std::vector<std::byte> message = std::exchange(side.record, {});
    side.ssl2 = false;
    const auto type = std::to_integer<std::uint8_t>(message.front());
    if (direction == Direction::to_server && type == client_hello) {
      client_seen_ = true;
      hello(direction, read_ssl2_client_hello(message));
      context_.observer.on_change(flow, transaction_, direction, packet);
      return ParserStatus::more;
    }
    constexpr std::uint8_t ssl2_server_hello = 4;
    if (direction == Direction::to_client && type == ssl2_server_hello) {
      // From the client's next message on all is encrypted.
      server_seen_ = true;
      transaction_.version = ssl2_version;
      transaction_.known.set(Number::tls_version_response, ssl2_version);
      state(SslState::server_hello);
      return finish(flow, direction, packet);
    }
    if (type == 0) event(ProtoEvent::tls_error_message_encountered);
    return ParserStatus::broken;
  }

  ParserStatus messages(Flow& flow, Direction direction, Bytes part, PacketMeta& packet) {
    Side& side = sides_[index(direction)];
    while (!part.empty()) {
      const std::size_t wanted = message_bytes(side.held) - side.held.size();
      const Bytes some = part.first(std::min(wanted, part.size()));
      side.held.insert(side.held.end(), some.begin(), some.end());
      part = part.subspan(some.size());
      if (!is_handshake(std::to_integer<std::uint8_t>(side.held.front()))) {
        event(ProtoEvent::tls_invalid_handshake_message);
        return ParserStatus::broken;
      }
      const std::size_t whole = message_bytes(side.held);
      if (whole > context_.limits.tls_handshake) {
        event(ProtoEvent::tls_handshake_invalid_length);
        return ParserStatus::limit;
      }
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
    const bool client = direction == Direction::to_server;
    if (type == client_hello && client) {
      if (std::exchange(client_seen_, true)) return;  // again after a HelloRetryRequest
      hello(direction, read_client_hello(reader.rest()));
    } else if (type == server_hello && !client) {
      server_seen_ = true;
      hello(direction, read_server_hello(reader.rest()));
      // The rest of TLS 1.3's handshake is encrypted.
      if (transaction_.version >= tls13_version) transaction_.done = {true, true};
    } else if (type == certificate) {
      certificates(direction, reader, packet);
      state(SslState::unknown);
    } else if (type == server_key_exchange && !client) {
      state(SslState::server_keyx);
    } else if (type == client_key_exchange && client) {
      state(SslState::client_keyx);
      transaction_.done[index(direction)] = true;
    } else if (type == server_hello_done && !client) {
      state(SslState::unknown);
      transaction_.done[index(direction)] = true;
    } else {
      return;
    }
    event_added_ = false;
    context_.observer.on_change(flow, transaction_, direction, packet);
  }

  void state(SslState reached) {
    const auto value = static_cast<std::uint64_t>(reached);
    for (std::size_t i = 0; i < transaction_.known.instances(Number::ssl_state); ++i) {
      if (transaction_.known.value(Number::ssl_state, i) == value) return;
    }
    transaction_.known.add(Number::ssl_state, value);
  }

  void hello(Direction direction, const TlsHello& said) {
    const bool client = direction == Direction::to_server;
    state(client ? SslState::client_hello : SslState::server_hello);
    BufferSet& buffers = transaction_.buffers;
    transaction_.version = said.negotiated;
    transaction_.known.set(version_number(direction), said.negotiated);
    const std::string_view random = as_text(said.random);
    if (!random.empty()) {
      buffers.set(client ? Buffer::tls_random : Buffer::tls_random_response, random);
      buffers.set(client ? Buffer::tls_random_time : Buffer::tls_random_time_response,
                  random.substr(0, random_time_bytes));
      buffers.set(client ? Buffer::tls_random_bytes : Buffer::tls_random_bytes_response,
                  random.substr(random_time_bytes));
    }
    for (const std::string_view name : said.alpn) {
      const Buffer buffer = client ? Buffer::tls_alpn : Buffer::tls_alpn_response;
      if (buffers.instances(buffer) < alpn_max) buffers.add(buffer, name);
    }
    if (client) {
      offer(said);
    } else {
      buffers.set(Buffer::ja3s_string, ja3s_text(said));
      buffers.set(Buffer::ja3s_hash, ja3_hash(buffers.text(Buffer::ja3s_string)));
    }
    if (said.damaged) event(ProtoEvent::tls_invalid_handshake_message);
  }

  void offer(const TlsHello& said) {
    BufferSet& buffers = transaction_.buffers;
    if (said.server_name) buffers.set(Buffer::tls_sni, *said.server_name);
    buffers.set(Buffer::ja3_string, ja3_text(said));
    buffers.set(Buffer::ja3_hash, ja3_hash(buffers.text(Buffer::ja3_string)));
    buffers.set(Buffer::ja4_hash, ja4_hash(said, 't'));
    if (said.several_server_names) event(ProtoEvent::tls_multiple_sni_extensions);
    if (said.server_name_type_unknown) event(ProtoEvent::tls_invalid_sni_type);
    if (said.server_name_length_wrong) event(ProtoEvent::tls_invalid_sni_length);
  }

  // TLCP: the certificate for signatures, then the one for encryption, then their issuers.
  void certificates(Direction direction, ByteReader reader, const PacketMeta& packet) {
    const bool client = direction == Direction::to_server;
    auto& known = transaction_.certificates[index(direction)];
    const Buffer each = client ? Buffer::tls_certs : Buffer::tls_certs_response;
    if (transaction_.buffers.instances(each) != 0) return;
    ByteReader chain(reader.take(reader.be24()));
    std::size_t count = 0;
    while (chain.ok() && !chain.empty()) {
      const Bytes der = chain.take(chain.be24());
      if (!chain.ok()) break;
      if (++count > certificates_max) continue;
      transaction_.buffers.add(each, as_text(der));
      if (count == 1) first_certificate(direction, der);
    }
    transaction_.known.set(
        client ? Number::tls_cert_chain_len : Number::tls_cert_chain_len_response, count);
    if (!reader.ok() || !chain.ok()) event(ProtoEvent::tls_certificate_invalid_length);
    if (!known || client) return;
    const std::int64_t now_s = packet.time / ns_per_s;
    transaction_.known.set(
        Number::tls_cert_notbefore,
        static_cast<std::uint64_t>(std::max<std::int64_t>(known->not_before_s, 0)));
    transaction_.known.set(
        Number::tls_cert_notafter,
        static_cast<std::uint64_t>(std::max<std::int64_t>(known->not_after_s, 0)));
    transaction_.known.set(Number::tls_cert_validity, known->not_after_s < now_s    ? 1U
                                                      : known->not_before_s > now_s ? 2U
                                                                                    : 0U);
  }

  void first_certificate(Direction direction, Bytes der) {
    const bool client = direction == Direction::to_server;
    auto& known = transaction_.certificates[index(direction)];
    known = read_certificate(der);
    if (!known) return certificate_event(find_fault(der));
    BufferSet& buffers = transaction_.buffers;
    buffers.set(client ? Buffer::tls_cert_subject_client : Buffer::tls_cert_subject,
                known->subject);
    buffers.set(client ? Buffer::tls_cert_issuer_client : Buffer::tls_cert_issuer, known->issuer);
    buffers.set(client ? Buffer::tls_cert_serial_client : Buffer::tls_cert_serial, known->serial);
    buffers.set(client ? Buffer::tls_cert_fingerprint_client : Buffer::tls_cert_fingerprint,
                known->fingerprint);
    if (client) return;
    for (const std::string& name : known->alternative_names) {
      buffers.add(Buffer::tls_subjectaltname, name);
    }
  }

  void certificate_event(CertificateFault fault) {
    switch (fault) {
      case CertificateFault::length:
        return event(ProtoEvent::tls_certificate_invalid_length);
      case CertificateFault::missing_element:
        return event(ProtoEvent::tls_certificate_missing_element);
      case CertificateFault::unknown_element:
        return event(ProtoEvent::tls_certificate_unknown_element);
      case CertificateFault::other:
        return event(ProtoEvent::tls_invalid_certificate);
    }
  }

  void complete(Flow& flow, Direction direction, PacketMeta& packet) {
    transaction_.done[index(direction)] = true;
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
  bool event_added_ = false;  // since the observer was told
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<Parser> make_tls_parser(const ParserContext& context) {
  return std::make_unique<TlsParser>(context);
}

}  // namespace menshen::sensor
