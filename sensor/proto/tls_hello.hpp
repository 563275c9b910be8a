// The hello messages of TLS (RFC 8446 4.1; TLCP: GB/T 38636), read from untrusted bytes, and the
// fingerprints made of them. Shared by TLS and QUIC.
//
// Cost: linear in the message. Views point into the message.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/byte_reader.hpp"

namespace menshen::sensor {

struct TlsHello {
  std::uint16_t version = 0;              // as the message's head says
  std::uint16_t negotiated = 0;           // a server's choice, in supported_versions if it is there
  Bytes random;                           // 32 bytes
  std::vector<std::uint16_t> ciphers;     // a server's: one
  std::vector<std::uint16_t> extensions;  // in their order
  std::vector<std::uint16_t> versions;    // supported_versions of a client
  std::vector<std::uint16_t> groups;
  std::vector<std::uint16_t> signatures;
  Bytes point_formats;
  std::vector<std::string_view> alpn;
  std::optional<std::string_view> server_name;
  bool damaged = false;  // ends before it says, or an extension does
  bool several_server_names = false;
  bool server_name_type_unknown = false;
  bool server_name_length_wrong = false;
};

// The message without its handshake header.
[[nodiscard]] TlsHello read_client_hello(Bytes body);
[[nodiscard]] TlsHello read_server_hello(Bytes body);
// SSL 2's form of a client's hello, which may offer later versions (RFC 5246 E.2), behind its
// record header.
[[nodiscard]] TlsHello read_ssl2_client_hello(Bytes body);

// "771,4865-4866,0-23,29-23,0": JA3 of a client, without GREASE values (RFC 8701).
[[nodiscard]] std::string ja3_text(const TlsHello& client);
// "771,4865,43-51": JA3S of a server.
[[nodiscard]] std::string ja3s_text(const TlsHello& server);
// MD5 in lower-case hexadecimal digits.
[[nodiscard]] std::string ja3_hash(std::string_view text);
// "t13d1516h2_8daaf6152771_e5627efa2ab1"; `transport` is 't' for TCP, 'q' for QUIC.
[[nodiscard]] std::string ja4_hash(const TlsHello& client, char transport);

// "TLS 1.2", "TLCP 1.1": as events name a version.
[[nodiscard]] std::string tls_version_name(std::uint16_t version);

}  // namespace menshen::sensor
