// What rules and events say of an X.509 certificate (RFC 5280), through OpenSSL.
#pragma once

#include <optional>
#include <string>

#include "base/byte_reader.hpp"

namespace menshen::sensor {

struct Certificate {
  std::string subject;  // "C=CN, O=Example, CN=example.cn", in the certificate's order
  std::string issuer;
  std::string serial;       // "0A:1B:..."
  std::string fingerprint;  // SHA-1, "0a:1b:..."
  std::string not_before;   // "2026-01-31T00:00:00", UTC
  std::string not_after;
};

// Nothing where it is not a DER certificate. Cost: some 50 us; bounded by the input's size.
[[nodiscard]] std::optional<Certificate> read_certificate(Bytes der);

}  // namespace menshen::sensor
