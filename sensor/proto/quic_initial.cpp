#include "sensor/proto/quic_initial.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>

#include "base/handle.hpp"

namespace menshen::sensor {

namespace {

using CipherHandle = Handle<EVP_CIPHER_CTX, &EVP_CIPHER_CTX_free>;

constexpr std::size_t key_bytes = 16;
constexpr std::size_t iv_bytes = 12;
constexpr std::size_t sample_bytes = 16;
constexpr std::size_t tag_bytes = 16;
constexpr std::size_t packet_number_bytes_max = 4;

using Secret = std::array<unsigned char, 32>;

// RFC 9001 5.2, RFC 9369 3.3.1, and the drafts' own.
struct Salt {
  std::uint32_t first;
  std::uint32_t last;
  std::array<unsigned char, 20> bytes;
};
constexpr Salt salts[] = {
    {quic_v1, quic_v1, {0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
                        0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a}},
    {quic_v2, quic_v2, {0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93,
                        0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9}},
    {0xff00001d, 0xff000020, {0xaf, 0xbf, 0xec, 0x28, 0x99, 0x93, 0xd2, 0x4c, 0x9e, 0x97,
                              0x86, 0xf1, 0x9c, 0x61, 0x11, 0xe0, 0x43, 0x90, 0xa8, 0x99}},
    {0xff000017, 0xff00001c, {0xc3, 0xee, 0xf7, 0x12, 0xc7, 0x2e, 0xbb, 0x5a, 0x11, 0xa7,
                              0xd2, 0x43, 0x2b, 0xb4, 0x63, 0x65, 0xbe, 0xf9, 0xf5, 0x02}},
    {0xff000021, 0xff000022, {0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
                              0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a}},
};

const Salt* salt_of(std::uint32_t version) noexcept {
  for (const Salt& salt : salts) {
    if (version >= salt.first && version <= salt.last) return &salt;
  }
  return nullptr;
}

Secret hmac(std::span<const unsigned char> key, std::span<const unsigned char> text) {
  Secret out{};
  unsigned length = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), text.data(), text.size(), out.data(),
       &length);
  return out;
}

// HKDF-Expand-Label (RFC 8446 7.1) of at most one hash's length.
Secret expand(const Secret& secret, std::string_view label, std::size_t length) {
  constexpr std::string_view prefix = "tls13 ";
  std::vector<unsigned char> info{0, static_cast<unsigned char>(length),
                                  static_cast<unsigned char>(prefix.size() + label.size())};
  info.insert(info.end(), prefix.begin(), prefix.end());
  info.insert(info.end(), label.begin(), label.end());
  info.push_back(0);  // no context
  info.push_back(1);  // the first block
  return hmac(secret, info);
}

std::span<const unsigned char> unsigned_of(Bytes bytes) noexcept {
  return {reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()};
}

struct Keys {
  Secret key{};
  Secret iv{};
  Secret header{};
};

Keys keys_of(const Salt& salt, std::uint32_t version, Bytes original_id, Direction direction) {
  const Secret initial = hmac(salt.bytes, unsigned_of(original_id));
  const bool client = direction == Direction::to_server;
  const Secret secret = expand(initial, client ? "client in" : "server in", 32);
  const bool second = version == quic_v2;
  return {expand(secret, second ? "quicv2 key" : "quic key", key_bytes),
          expand(secret, second ? "quicv2 iv" : "quic iv", iv_bytes),
          expand(secret, second ? "quicv2 hp" : "quic hp", key_bytes)};
}

std::optional<std::array<unsigned char, sample_bytes>> header_mask(const Secret& key,
                                                                   Bytes sample) {
  const CipherHandle context(EVP_CIPHER_CTX_new());
  std::array<unsigned char, sample_bytes> mask{};
  int length = 0;
  if (context == nullptr ||
      EVP_EncryptInit_ex(context.get(), EVP_aes_128_ecb(), nullptr, key.data(), nullptr) != 1 ||
      EVP_CIPHER_CTX_set_padding(context.get(), 0) != 1 ||
      EVP_EncryptUpdate(context.get(), mask.data(), &length, unsigned_of(sample).data(),
                        static_cast<int>(sample.size())) != 1) {
    return std::nullopt;
  }
  return mask;
}

std::optional<std::vector<std::byte>> open_sealed(const Keys& keys, std::uint32_t packet_number,
                                                  Bytes header, Bytes sealed) {
  std::array<unsigned char, iv_bytes> nonce{};
  std::copy_n(keys.iv.begin(), iv_bytes, nonce.begin());
  for (std::size_t i = 0; i < packet_number_bytes_max; ++i) {
    nonce[iv_bytes - 1 - i] ^= static_cast<unsigned char>(packet_number >> (8 * i));
  }
  const Bytes text = sealed.first(sealed.size() - tag_bytes);
  const Bytes tag = sealed.last(tag_bytes);
  std::vector<std::byte> out(text.size());
  const CipherHandle context(EVP_CIPHER_CTX_new());
  int length = 0;
  EVP_CIPHER_CTX* c = context.get();
  const bool fine =
      c != nullptr &&
      EVP_DecryptInit_ex(c, EVP_aes_128_gcm(), nullptr, keys.key.data(), nonce.data()) == 1 &&
      EVP_DecryptUpdate(c, nullptr, &length, unsigned_of(header).data(),
                        static_cast<int>(header.size())) == 1 &&
      EVP_DecryptUpdate(c, reinterpret_cast<unsigned char*>(out.data()), &length,
                        unsigned_of(text).data(), static_cast<int>(text.size())) == 1 &&
      EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, tag_bytes, const_cast<std::byte*>(tag.data())) ==
          1 &&
      EVP_DecryptFinal_ex(c, reinterpret_cast<unsigned char*>(out.data()) + length, &length) == 1;
  if (!fine) return std::nullopt;
  return out;
}

QuicPacketType type_of(unsigned bits, std::uint32_t version) noexcept {
  // RFC 9369 3.2 moves every type by one.
  if (version == quic_v2) bits = (bits + 3) % 4;
  constexpr QuicPacketType types[] = {QuicPacketType::initial, QuicPacketType::zero_rtt,
                                      QuicPacketType::handshake, QuicPacketType::retry};
  return types[bits];
}

}  // namespace

bool is_quic_version(std::uint32_t version) noexcept { return salt_of(version) != nullptr; }

std::uint64_t quic_varint(ByteReader& reader) noexcept {
  const std::uint8_t first = reader.u8();
  std::uint64_t value = first & 0x3fU;
  for (unsigned more = (1U << (first >> 6U)) - 1U; more > 0; --more) {
    value = value << 8U | reader.u8();
  }
  return value;
}

std::optional<QuicPacket> next_quic_packet(Bytes& datagram) noexcept {
  ByteReader reader(datagram);
  const std::uint8_t first = reader.u8();
  if (!reader.ok() || (first & 0x80U) == 0) return std::nullopt;
  QuicPacket packet;
  packet.version = reader.be32();
  packet.destination_id = reader.take(reader.u8());
  packet.source_id = reader.take(reader.u8());
  if (!reader.ok()) return std::nullopt;
  packet.whole = datagram;
  if (packet.version == 0) {
    packet.type = QuicPacketType::version_negotiation;
    datagram = {};
    return packet;
  }
  if (!is_quic_version(packet.version) || (first & 0x40U) == 0 ||
      packet.destination_id.size() > quic_connection_id_bytes_max) {
    return std::nullopt;
  }
  packet.type = type_of(first >> 4U & 0x03U, packet.version);
  if (packet.type == QuicPacketType::retry) {
    datagram = {};
    return packet;
  }
  if (packet.type == QuicPacketType::initial) reader.skip(quic_varint(reader));  // token
  const std::uint64_t length = quic_varint(reader);
  packet.packet_number_at = reader.position();
  reader.skip(length);
  if (!reader.ok()) return std::nullopt;
  packet.whole = datagram.first(reader.position());
  datagram = datagram.subspan(reader.position());
  return packet;
}

std::optional<std::vector<std::byte>> open_quic_initial(const QuicPacket& packet, Bytes original_id,
                                                        Direction direction) {
  const Salt* salt = salt_of(packet.version);
  const std::size_t at = packet.packet_number_at;
  if (salt == nullptr || packet.whole.size() < at + packet_number_bytes_max + sample_bytes) {
    return std::nullopt;
  }
  const Keys keys = keys_of(*salt, packet.version, original_id, direction);
  const auto mask =
      header_mask(keys.header, packet.whole.subspan(at + packet_number_bytes_max, sample_bytes));
  if (!mask) return std::nullopt;
  std::vector<std::byte> header(packet.whole.begin(),
                                packet.whole.begin() + static_cast<std::ptrdiff_t>(at) +
                                    static_cast<std::ptrdiff_t>(packet_number_bytes_max));
  header[0] ^= static_cast<std::byte>((*mask)[0] & 0x0fU);
  const std::size_t number_bytes = (std::to_integer<std::size_t>(header[0]) & 0x03U) + 1;
  header.resize(at + number_bytes);
  std::uint32_t number = 0;
  for (std::size_t i = 0; i < number_bytes; ++i) {
    header[at + i] ^= static_cast<std::byte>((*mask)[1 + i]);
    number = number << 8U | std::to_integer<std::uint32_t>(header[at + i]);
  }
  const Bytes sealed = packet.whole.subspan(at + number_bytes);
  if (sealed.size() < tag_bytes) return std::nullopt;
  return open_sealed(keys, number, header, sealed);
}

}  // namespace menshen::sensor
