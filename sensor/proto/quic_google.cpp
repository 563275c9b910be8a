#include "sensor/proto/quic_google.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace menshen::sensor {

namespace {

constexpr std::size_t tags_max = 128;  // as the protocol's own parser
constexpr std::size_t message_hash_bytes = 12;
constexpr std::uint32_t first_long_header = 44;

constexpr unsigned number_of(std::uint32_t version) {
  return (version >> 8U & 0x0fU) * 10 + (version & 0x0fU);
}

std::uint32_t little_endian(Bytes bytes) noexcept {
  std::uint32_t value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) {
    value = value << 8U | std::to_integer<std::uint32_t>(bytes[i]);
  }
  return value;
}

// Leaves the reader at the message's hash. False: another header.
bool read_header(ByteReader& reader, GoogleQuicPacket& packet) {
  const std::uint8_t flags = reader.u8();
  if ((flags & 0x80U) != 0) {  // Q044 and later: the shape of the IETF's header
    packet.version = reader.be32();
    if (!is_google_quic_version(packet.version) || number_of(packet.version) < first_long_header) {
      return false;
    }
    const std::uint8_t lengths = reader.u8();
    const auto length = [](unsigned coded) { return coded == 0 ? 0U : coded + 3U; };
    reader.skip(length(lengths >> 4U) + length(lengths & 0x0fU));
    reader.skip((flags & 0x03U) + std::size_t{1});
    return reader.ok();
  }
  constexpr unsigned version_flag = 0x01;
  constexpr unsigned id_flag = 0x08;
  if ((flags & version_flag) == 0 || (flags & id_flag) == 0 || (flags & 0x40U) != 0) return false;
  reader.skip(8);
  packet.version = reader.be32();
  if (!is_google_quic_version(packet.version) || number_of(packet.version) >= first_long_header) {
    return false;
  }
  const unsigned coded = flags >> 4U & 0x03U;
  reader.skip(coded == 0 ? 1 : coded * std::size_t{2});
  return reader.ok();
}

// The data of the first STREAM frame; empty: there is none.
Bytes stream_data(ByteReader& reader) {
  while (!reader.empty()) {
    const std::uint8_t type = reader.u8();
    if (type == 0x00 || type == 0x07) continue;  // PADDING, PING
    if ((type & 0x80U) == 0) return {};
    const unsigned offset_coded = type >> 2U & 0x07U;
    reader.skip((type & 0x03U) + std::size_t{1});
    reader.skip(offset_coded == 0 ? 0 : offset_coded + std::size_t{1});
    const bool has_length = (type & 0x20U) != 0;
    return has_length ? reader.take(reader.be16()) : reader.rest();
  }
  return {};
}

void read_hello(Bytes data, GoogleQuicPacket& packet) {
  ByteReader reader(data);
  if (as_text(reader.take(4)) != "CHLO") return;
  const std::size_t count = little_endian(reader.take(2));
  reader.skip(2);
  if (!reader.ok() || count > tags_max) return;
  ByteReader index(reader.take(count * 8));
  const Bytes values = reader.rest();
  std::size_t begin = 0;
  for (std::size_t i = 0; i < count && index.ok(); ++i) {
    std::string_view tag = as_text(index.take(4));
    const std::size_t end = little_endian(index.take(4));
    if (!index.ok()) return;
    tag = tag.substr(0, tag.find_last_not_of('\0') + 1);
    packet.tags.push_back(tag);
    if (begin <= end && end <= values.size()) {
      const std::string_view value = as_text(values.subspan(begin, end - begin));
      if (tag == "SNI") packet.server_name = value;
      if (tag == "UAID") packet.user_agent = value;
    }
    begin = end;
  }
}

}  // namespace

bool is_google_quic_version(std::uint32_t version) noexcept {
  const auto is_digit = [](std::uint32_t c) { return c >= '0' && c <= '9'; };
  if (version >> 16U != ('Q' << 8U | '0') || !is_digit(version >> 8U & 0xffU) ||
      !is_digit(version & 0xffU)) {
    return false;
  }
  const unsigned number = number_of(version);
  return number >= 39 && number <= 46;
}

std::optional<GoogleQuicPacket> read_google_quic(Bytes datagram) {
  GoogleQuicPacket packet;
  ByteReader reader(datagram);
  if (!read_header(reader, packet)) return std::nullopt;
  reader.skip(message_hash_bytes);
  read_hello(stream_data(reader), packet);
  return packet;
}

std::string google_quic_fingerprint(const GoogleQuicPacket& hello) {
  return fmt::format("{},{}", number_of(hello.version), fmt::join(hello.tags, "-"));
}

std::string quic_version_text(std::uint32_t version) {
  return {static_cast<char>(version >> 24U), static_cast<char>(version >> 16U & 0xffU),
          static_cast<char>(version >> 8U & 0xffU), static_cast<char>(version & 0xffU)};
}

}  // namespace menshen::sensor
