// The console's own certificate. Key and chain are one PEM file, so that they can only be replaced
// together.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

struct ssl_ctx_st;

namespace menshen::console {

inline constexpr int self_signed_days = 825;
inline constexpr std::size_t certificate_bytes_max = 256U << 10U;

struct CertificateInfo {
  std::string subject;
  std::string issuer;
  std::string not_before;  // RFC 3339
  std::string not_after;
  std::string sha256;              // of the DER form, hex: what a browser shows
  std::vector<std::string> names;  // subject alternative names
  bool self_signed = false;
};

// Makes an ECDSA P-256 key and a self-signed certificate for `name`, localhost and the loopback
// addresses, where the file (0600) does not exist. True: made.
[[nodiscard]] Result<bool> ensure_certificate(const std::filesystem::path& file,
                                              const std::string& name);
[[nodiscard]] Result<CertificateInfo> read_certificate(const std::filesystem::path& file);
// The file's chain and key for a TLS server, which asks more of them than that they can be read:
// strength, and that they belong together.
[[nodiscard]] Result<void> use_certificate(ssl_ctx_st* context, const std::filesystem::path& file);
// A PEM chain and its PEM key that use_certificate() would take, valid now; the error says what is
// wrong, and nothing is changed.
[[nodiscard]] Result<CertificateInfo> replace_certificate(const std::filesystem::path& file,
                                                          std::string_view certificate,
                                                          std::string_view key);

}  // namespace menshen::console
