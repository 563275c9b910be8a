// What rules and events say of an X.509 certificate (RFC 5280), through OpenSSL.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/byte_reader.hpp"

namespace menshen::sensor {

inline constexpr std::size_t certificate_names_max = 256;  // alternative names that are kept

struct Certificate {
  std::string subject;  // "C=CN, O=Example, CN=example.cn", in the certificate's order
  std::string issuer;
  std::string serial;       // "0A:1B:..."
  std::string fingerprint;  // SHA-1, "0a:1b:..."
  std::string not_before;   // "2026-01-31T00:00:00", UTC
  std::string not_after;
  std::int64_t not_before_s = 0;  // seconds of the Unix epoch
  std::int64_t not_after_s = 0;
  std::vector<std::string> alternative_names;  // DNS names, addresses, mail addresses, URIs
};

// Why bytes are no certificate.
enum class CertificateFault : std::uint8_t {
  length,           // it, or its first part, ends within
  missing_element,  // no more elements where some must follow
  unknown_element,  // an element of another kind than must stand there
  other,
};

// Nothing where it is not a DER certificate. Cost: some 15 us; bounded by the input's size.
[[nodiscard]] std::optional<Certificate> read_certificate(Bytes der);
// Of bytes that read_certificate() refused.
[[nodiscard]] CertificateFault find_fault(Bytes der) noexcept;

}  // namespace menshen::sensor
