// One DNS message (RFC 1035), read from untrusted bytes.
//
// Cost: linear in the message for its first `records_max` records; a compressed name follows at
// most dns_jumps_max pointers and yields at most dns_name_bytes_max bytes (it is cut there, and
// marked so). Thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/byte_reader.hpp"

namespace menshen::sensor {

inline constexpr std::size_t dns_header_bytes = 12;
inline constexpr std::size_t dns_name_bytes_max =
    1024;  // RFC 1035 allows 255; attackers do not care
inline constexpr std::size_t dns_jumps_max = 64;

struct DnsRecord {
  std::string name;  // labels joined by dots, their bytes as they are; the root is empty
  std::uint16_t type = 0;
  std::uint16_t klass = 0;
  std::uint32_t ttl = 0;  // not of a question
  std::string rdata;      // A, AAAA, names, MX's name, TXT as text; empty for other types
  bool rdata_is_name = false;
  std::string details;  // SOA, SRV, SSHFP, CAA, SVCB and HTTPS: EVE's object for it, as JSON text
};

// What is wrong with a message, as bits.
enum class DnsFault : std::uint8_t {
  none = 0,
  malformed = 1,            // questions or answers end early, or are broken
  invalid_authorities = 2,  // their section does
  invalid_additionals = 4,
  name_too_long = 8,  // RFC 1035 2.3.4: longer than 255 bytes
};

struct DnsMessage {
  std::uint16_t id = 0;
  std::uint16_t flags = 0;
  std::vector<DnsRecord> questions;
  std::vector<DnsRecord> answers;
  std::vector<DnsRecord> authorities;
  std::vector<DnsRecord> additionals;
  std::uint8_t faults = 0;  // DnsFault
  bool damaged =
      false;         // ends before its counts say, or a name is broken: what came before is here
  bool cut = false;  // more records than records_max, or a longer name

  [[nodiscard]] bool has(DnsFault fault) const noexcept {
    return (faults & static_cast<std::uint8_t>(fault)) != 0;
  }

  [[nodiscard]] bool is_response() const noexcept { return (flags & 0x8000U) != 0; }
  [[nodiscard]] unsigned opcode() const noexcept { return flags >> 11U & 0x0fU; }
  [[nodiscard]] unsigned rcode() const noexcept { return flags & 0x0fU; }
};

// Nothing where not even a header is there.
[[nodiscard]] std::optional<DnsMessage> parse_dns(Bytes bytes, std::size_t records_max);

enum class DnsStart : std::uint8_t { plausible, too_short, wrong };

// Does the message begin like a query or a response: known opcode, sensible counts, a first
// question of printable or escaped labels and a known class? Needs the header and the first
// question; no allocation.
[[nodiscard]] DnsStart check_dns_start(Bytes bytes, bool response) noexcept;

// At a port where DNS, mDNS (RFC 6762) or LLMNR (RFC 4795) is expected: a header whose counts fit,
// and a first name? Flags may be anything: what is wrong with them is an event. No allocation.
[[nodiscard]] DnsStart check_dns_shape(Bytes bytes) noexcept;

// "A", "AAAA" ...; the number where it has no name.
[[nodiscard]] std::string dns_type_name(std::uint16_t type);
[[nodiscard]] std::string dns_rcode_name(unsigned rcode);

}  // namespace menshen::sensor
