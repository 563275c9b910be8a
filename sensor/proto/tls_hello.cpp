#include "sensor/proto/tls_hello.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>

namespace menshen::sensor {

namespace {

// IANA "TLS ExtensionType Values".
enum Extension : std::uint16_t {
  extension_server_name = 0,
  extension_groups = 10,
  extension_point_formats = 11,
  extension_signatures = 13,
  extension_alpn = 16,
  extension_versions = 43,
};
constexpr std::size_t random_bytes = 32;
constexpr std::size_t digest_shown = 12;  // digits of a JA4 part

// RFC 8701: 0x0a0a, 0x1a1a ... 0xfafa.
constexpr bool is_grease(std::uint16_t value) {
  return (value & 0x0f0fU) == 0x0a0aU && value >> 8U == (value & 0xffU);
}

std::vector<std::uint16_t> numbers(Bytes bytes) {
  std::vector<std::uint16_t> out;
  out.reserve(bytes.size() / 2);
  for (ByteReader reader(bytes); reader.remaining() >= 2;) out.push_back(reader.be16());
  return out;
}

// A list that states its length in `length_bytes` bytes.
Bytes listed(Bytes body, unsigned length_bytes, bool& damaged) {
  ByteReader reader(body);
  const Bytes list = reader.take(length_bytes == 1 ? reader.u8() : reader.be16());
  damaged = damaged || !reader.ok();
  return list;
}

// RFC 6066 3.
void read_server_name(Bytes body, TlsHello& hello) {
  if (body.empty()) return;  // a server's acknowledgement
  ByteReader names(body);
  const std::size_t length = names.be16();
  if (length != names.remaining()) hello.server_name_length_wrong = true;
  if (!names.ok() || names.empty()) return;
  const std::uint8_t type = names.u8();
  const Bytes name = names.take(names.be16());
  if (!names.ok()) {
    hello.server_name_length_wrong = true;
  } else if (type != 0) {
    hello.server_name_type_unknown = true;
  } else if (hello.server_name) {
    hello.several_server_names = true;
  } else {
    hello.server_name = as_text(name);
  }
}

void read_alpn(Bytes body, TlsHello& hello) {
  ByteReader names(listed(body, 2, hello.damaged));
  while (names.ok() && !names.empty()) {
    const Bytes name = names.take(names.u8());
    if (names.ok() && !name.empty()) hello.alpn.push_back(as_text(name));
  }
}

void read_extension(std::uint16_t kind, Bytes body, bool client, TlsHello& hello) {
  switch (kind) {
    case extension_server_name:
      return read_server_name(body, hello);
    case extension_groups:
      hello.groups = numbers(listed(body, 2, hello.damaged));
      return;
    case extension_point_formats:
      hello.point_formats = listed(body, 1, hello.damaged);
      return;
    case extension_signatures:
      hello.signatures = numbers(listed(body, 2, hello.damaged));
      return;
    case extension_alpn:
      return read_alpn(body, hello);
    case extension_versions:
      if (client) {
        hello.versions = numbers(listed(body, 1, hello.damaged));
      } else if (body.size() == 2) {
        hello.negotiated = ByteReader(body).be16();
      }
      return;
    default:
      return;
  }
}

void read_extensions(ByteReader& reader, bool client, TlsHello& hello) {
  if (reader.empty()) return;  // none before TLS 1.2
  ByteReader extensions(reader.take(reader.be16()));
  while (extensions.ok() && !extensions.empty()) {
    const std::uint16_t kind = extensions.be16();
    const Bytes body = extensions.take(extensions.be16());
    if (!extensions.ok()) break;
    hello.extensions.push_back(kind);
    read_extension(kind, body, client, hello);
  }
  hello.damaged = hello.damaged || !extensions.ok();
}

std::string joined(const std::vector<std::uint16_t>& values) {
  std::string out;
  for (const std::uint16_t value : values) {
    if (is_grease(value)) continue;
    if (!out.empty()) out += '-';
    fmt::format_to(std::back_inserter(out), "{}", value);
  }
  return out;
}

std::string digest(const EVP_MD* algorithm, std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned length = 0;
  if (EVP_Digest(text.data(), text.size(), bytes.data(), &length, algorithm, nullptr) != 1) {
    return {};
  }
  std::string out;
  for (unsigned i = 0; i < length; ++i) {
    fmt::format_to(std::back_inserter(out), "{:02x}", bytes.at(i));
  }
  return out;
}

std::string ja4_digest(const std::string& text) {
  return text.empty() ? std::string(digest_shown, '0')
                      : digest(EVP_sha256(), text).substr(0, digest_shown);
}

std::string_view ja4_version(const TlsHello& hello) {
  std::uint16_t version = 0;
  for (const std::uint16_t offered : hello.versions) {
    if (!is_grease(offered)) version = std::max(version, offered);
  }
  switch (version == 0 ? hello.version : version) {
    case 0x0304:
      return "13";
    case 0x0303:
      return "12";
    case 0x0302:
      return "11";
    case 0x0301:
      return "10";
    case 0x0300:
      return "s3";
    case 0x0002:
      return "s2";
    default:
      return "00";
  }
}

// The first and last character of the first protocol; of its hexadecimal digits where one of them
// is no letter or digit.
std::string ja4_alpn(const TlsHello& hello) {
  const auto alphanumeric = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  };
  for (const std::string_view name : hello.alpn) {
    if (name.size() == 2 && is_grease(ByteReader(as_bytes(name)).be16())) continue;
    if (alphanumeric(name.front()) && alphanumeric(name.back())) {
      return {name.front(), name.back()};
    }
    const auto byte = [](char c) { return static_cast<unsigned>(static_cast<unsigned char>(c)); };
    return fmt::format("{:x}{:x}", byte(name.front()) >> 4U, byte(name.back()) & 0x0fU);
  }
  return "00";
}

std::string hex_joined(const std::vector<std::uint16_t>& values) {
  std::string out;
  for (const std::uint16_t value : values) {
    if (!out.empty()) out += ',';
    fmt::format_to(std::back_inserter(out), "{:04x}", value);
  }
  return out;
}

std::vector<std::uint16_t> without_grease(std::vector<std::uint16_t> values) {
  std::erase_if(values, is_grease);
  return values;
}

}  // namespace

TlsHello read_client_hello(Bytes body) {
  TlsHello hello;
  ByteReader reader(body);
  hello.version = hello.negotiated = reader.be16();
  hello.random = reader.take(random_bytes);
  reader.skip(reader.u8());  // session
  hello.ciphers = numbers(reader.take(reader.be16()));
  reader.skip(reader.u8());  // compression
  read_extensions(reader, true, hello);
  hello.damaged = hello.damaged || !reader.ok();
  return hello;
}

TlsHello read_server_hello(Bytes body) {
  TlsHello hello;
  ByteReader reader(body);
  hello.version = hello.negotiated = reader.be16();
  hello.random = reader.take(random_bytes);
  reader.skip(reader.u8());  // session
  hello.ciphers.push_back(reader.be16());
  reader.skip(1);  // compression
  read_extensions(reader, false, hello);
  hello.damaged = hello.damaged || !reader.ok();
  return hello;
}

TlsHello read_ssl2_client_hello(Bytes body) {
  TlsHello hello;
  ByteReader reader(body);
  reader.skip(1);  // message type
  hello.version = hello.negotiated = reader.be16();
  const std::size_t cipher_bytes = reader.be16();
  const std::size_t session_bytes = reader.be16();
  const std::size_t challenge_bytes = reader.be16();
  ByteReader ciphers(reader.take(cipher_bytes));
  while (ciphers.remaining() >= 3) {
    // What begins with a zero byte is a cipher suite of the later versions.
    const std::uint32_t cipher = ciphers.be24();
    if (cipher <= 0xffff) hello.ciphers.push_back(static_cast<std::uint16_t>(cipher));
  }
  reader.skip(session_bytes);
  reader.skip(challenge_bytes);
  hello.damaged = !reader.ok();
  return hello;
}

std::string ja3_text(const TlsHello& client) {
  std::string formats;
  for (const std::byte format : client.point_formats) {
    if (!formats.empty()) formats += '-';
    fmt::format_to(std::back_inserter(formats), "{}", std::to_integer<unsigned>(format));
  }
  return fmt::format("{},{},{},{},{}", client.version, joined(client.ciphers),
                     joined(client.extensions), joined(client.groups), formats);
}

std::string ja3s_text(const TlsHello& server) {
  return fmt::format("{},{},{}", server.version, joined(server.ciphers), joined(server.extensions));
}

std::string ja3_hash(std::string_view text) { return digest(EVP_md5(), text); }

std::string ja4_hash(const TlsHello& client, char transport) {
  std::vector<std::uint16_t> ciphers = without_grease(client.ciphers);
  std::vector<std::uint16_t> extensions = without_grease(client.extensions);
  constexpr std::size_t count_max = 99;
  const std::string head = fmt::format(
      "{}{}{}{:02}{:02}{}", transport, ja4_version(client),
      std::ranges::find(extensions, extension_server_name) != extensions.end() ? 'd' : 'i',
      std::min(ciphers.size(), count_max), std::min(extensions.size(), count_max),
      ja4_alpn(client));
  std::ranges::sort(ciphers);
  std::erase_if(extensions, [](std::uint16_t kind) {
    return kind == extension_server_name || kind == extension_alpn;
  });
  std::ranges::sort(extensions);
  std::string tail = hex_joined(extensions);
  const std::vector<std::uint16_t> signatures = without_grease(client.signatures);
  if (!signatures.empty()) tail += "_" + hex_joined(signatures);
  return fmt::format("{}_{}_{}", head, ja4_digest(hex_joined(ciphers)), ja4_digest(tail));
}

std::string tls_version_name(std::uint16_t version) {
  switch (version) {
    case 0x0101:
      return "TLCP 1.1";
    case 0x0002:
    case 0x0200:
      return "SSLv2";
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

}  // namespace menshen::sensor
