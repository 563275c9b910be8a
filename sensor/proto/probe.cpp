#include "sensor/proto/probe.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "sensor/proto/dns_message.hpp"
#include "sensor/proto/quic_google.hpp"
#include "sensor/proto/quic_initial.hpp"

namespace menshen::sensor {

namespace {

// Methods that no other text protocol begins a line with (OPTIONS, NOTIFY ... are SIP's and RTSP's
// too).
constexpr std::array<std::string_view, 22> methods{
    "GET",      "POST",      "HEAD",  "PUT",    "DELETE", "TRACE", "CONNECT", "PATCH",
    "PROPFIND", "PROPPATCH", "MKCOL", "COPY",   "MOVE",   "LOCK",  "UNLOCK",  "REPORT",
    "CHECKOUT", "CHECKIN",   "MERGE", "SEARCH", "BCOPY",  "BMOVE"};
constexpr std::size_t method_bytes_max = 32;
constexpr std::size_t request_line_max = 2048;
constexpr std::size_t blank_bytes_max = 64;

// RFC 9110 5.6.2.
constexpr bool is_token(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

Guess http_request(std::string_view text) noexcept {
  const std::size_t start = text.find_first_not_of("\r\n");
  if (start == std::string_view::npos) {
    return text.size() < blank_bytes_max ? Guess::more : Guess::no;
  }
  if (start > blank_bytes_max) return Guess::no;
  text.remove_prefix(start);
  const auto method_end =
      static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), is_token) - text.begin());
  if (method_end == 0 || method_end > method_bytes_max) return Guess::no;
  if (method_end == text.size()) return Guess::more;
  if (text[method_end] != ' ' && text[method_end] != '\t') return Guess::no;
  const std::string_view method = text.substr(0, method_end);
  if (std::find(methods.begin(), methods.end(), method) != methods.end()) return Guess::yes;
  const std::string_view line = text.substr(0, std::min(text.find('\n'), request_line_max));
  const std::size_t version = line.find(" HTTP/");
  if (version != std::string_view::npos && version + 6 < line.size()) {
    // "PRI * HTTP/2.0" is another protocol's.
    return line[version + 6] == '1' || line[version + 6] == '0' ? Guess::yes : Guess::no;
  }
  return line.size() < text.size() ? Guess::no : Guess::more;
}

Guess http_response(std::string_view text) noexcept {
  constexpr std::string_view start = "HTTP/";
  const std::size_t known = std::min(text.size(), start.size());
  if (text.substr(0, known) != start.substr(0, known)) return Guess::no;
  if (text.size() <= start.size()) return Guess::more;
  return text[start.size()] == '1' || text[start.size()] == '0' ? Guess::yes : Guess::no;
}

// SSL 2's form of a hello, which may offer TLS (RFC 5246 E.2).
Guess probe_ssl2(Direction direction, Bytes bytes) noexcept {
  constexpr std::size_t head_bytes = 11;
  if (bytes.size() < head_bytes) {
    const auto type = bytes.size() < 3 ? 1U : std::to_integer<unsigned>(bytes[2]);
    return type == 1 || type == 4 ? Guess::more : Guess::no;
  }
  ByteReader reader(bytes);
  reader.skip(2);
  const unsigned type = reader.u8();
  if (direction == Direction::to_client) {
    const unsigned session_known = reader.u8();
    reader.skip(1);
    return type == 4 && session_known <= 1 && reader.be16() == 2 ? Guess::yes : Guess::no;
  }
  const unsigned version = reader.be16();
  const unsigned cipher_bytes = reader.be16();
  const unsigned session_bytes = reader.be16();
  const unsigned challenge_bytes = reader.be16();
  const bool plausible = (version == 2 || (version >= 0x0300 && version <= 0x0304)) &&
                         cipher_bytes != 0 && cipher_bytes % 3 == 0 && session_bytes <= 32 &&
                         challenge_bytes >= 16 && challenge_bytes <= 32;
  return type == 1 && plausible ? Guess::yes : Guess::no;
}

// RFC 1035 4.2.2: two bytes of length before each message.
template <class Check>
Guess dns_behind_length(Bytes bytes, const Check& check) noexcept {
  if (bytes.size() < 2) return Guess::more;
  ByteReader reader(bytes);
  const std::size_t length = reader.be16();
  if (length < dns_header_bytes) return Guess::no;
  const Bytes message = reader.rest();
  switch (check(message.first(std::min(message.size(), length)))) {
    case DnsStart::plausible:
      return Guess::yes;
    case DnsStart::too_short:
      return message.size() < length ? Guess::more : Guess::no;
    case DnsStart::wrong:
      break;
  }
  return Guess::no;
}

}  // namespace

Guess probe_http1(Direction direction, Bytes bytes) noexcept {
  if (bytes.empty()) return Guess::more;
  return direction == Direction::to_server ? http_request(as_text(bytes))
                                           : http_response(as_text(bytes));
}

Guess probe_http2(Direction direction, Bytes bytes) noexcept {
  constexpr std::string_view preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  if (direction == Direction::to_client) return Guess::no;
  const std::size_t known = std::min(bytes.size(), preface.size());
  if (as_text(bytes.first(known)) != preface.substr(0, known)) return Guess::no;
  return known == preface.size() ? Guess::yes : Guess::more;
}

Guess probe_websocket(Direction /*direction*/, Bytes /*bytes*/) noexcept { return Guess::no; }

Guess probe_tls(Direction direction, Bytes bytes) noexcept {
  if (bytes.empty()) return Guess::more;
  if ((std::to_integer<unsigned>(bytes.front()) & 0x80U) != 0) return probe_ssl2(direction, bytes);
  constexpr unsigned handshake = 22;
  constexpr std::size_t record_bytes_max = 16384 + 2048;
  const auto at = [&](std::size_t i) { return std::to_integer<unsigned>(bytes[i]); };
  if (at(0) != handshake) return Guess::no;
  if (bytes.size() < 2) return Guess::more;
  if (at(1) != 3 && at(1) != 1) return Guess::no;
  if (bytes.size() < 3) return Guess::more;
  // 3.0-3.4: SSL 3 to TLS 1.3; 1.1: TLCP (GB/T 38636).
  if (at(1) == 3 ? at(2) > 4 : at(2) != 1) return Guess::no;
  if (bytes.size() < 5) return Guess::more;
  const std::size_t length = at(3) << 8U | at(4);
  if (length == 0 || length > record_bytes_max) return Guess::no;
  if (bytes.size() < 6) return Guess::more;
  return at(5) == (direction == Direction::to_server ? 1U : 2U) ? Guess::yes : Guess::no;
}

Guess probe_dns_stream(Direction direction, Bytes bytes) noexcept {
  return dns_behind_length(bytes, [&](Bytes message) {
    return check_dns_start(message, direction == Direction::to_client);
  });
}

Guess probe_dns_datagram(Direction /*direction*/, Bytes bytes) noexcept {
  const bool plausible = check_dns_start(bytes, false) == DnsStart::plausible ||
                         check_dns_start(bytes, true) == DnsStart::plausible;
  return plausible ? Guess::yes : Guess::no;
}

Guess probe_quic(Direction /*direction*/, Bytes bytes) noexcept {
  if (bytes.empty()) return Guess::no;
  ByteReader reader(bytes);
  const std::uint8_t flags = reader.u8();
  if ((flags & 0x80U) != 0) {
    const std::uint32_t version = reader.be32();
    if (is_google_quic_version(version)) return Guess::yes;
    const bool lengths = (flags & 0x40U) != 0 && reader.u8() <= quic_connection_id_bytes_max;
    return lengths && is_quic_version(version) && reader.ok() ? Guess::yes : Guess::no;
  }
  // Q043 and before: a connection identifier, then the version.
  constexpr unsigned wanted = 0x09;
  reader.skip(8);
  const bool google = (flags & wanted) == wanted && is_google_quic_version(reader.be32());
  return google && reader.ok() ? Guess::yes : Guess::no;
}

Guess probe_dns_port_stream(Direction /*direction*/, Bytes bytes) noexcept {
  return dns_behind_length(bytes, &check_dns_shape);
}

Guess probe_dns_port_datagram(Direction /*direction*/, Bytes bytes) noexcept {
  return check_dns_shape(bytes) == DnsStart::plausible ? Guess::yes : Guess::no;
}

}  // namespace menshen::sensor
