// Signing keys and signatures of the two profiles (see digest.hpp). SM2 signs with the default
// identifier of GM/T 0009-2012 ("1234567812345678"). Keys are PEM: PKCS #8 without a password, and
// SubjectPublicKeyInfo. Not thread-safe: one owner each.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "audit/crypto/digest.hpp"

extern "C" {
struct evp_pkey_st;
void EVP_PKEY_free(evp_pkey_st* key);
}

namespace menshen::audit {

using KeyHandle = Handle<evp_pkey_st, &EVP_PKEY_free>;

// Checks signatures.
class PublicKey {
 public:
  // PEM text. ErrorCode::invalid where it is no key of either profile.
  [[nodiscard]] static Result<PublicKey> parse(std::string_view pem);
  [[nodiscard]] Profile profile() const noexcept { return profile_; }
  // The profile's digest of the DER SubjectPublicKeyInfo.
  [[nodiscard]] const Digest& fingerprint() const noexcept { return fingerprint_; }
  [[nodiscard]] const std::string& pem() const noexcept { return pem_; }
  [[nodiscard]] bool verify(Bytes message, Bytes signature) const;

 private:
  friend class SigningKey;
  PublicKey(Profile profile, KeyHandle key, Digest fingerprint, std::string pem)
      : profile_(profile), key_(std::move(key)), fingerprint_(fingerprint), pem_(std::move(pem)) {}
  [[nodiscard]] static Result<PublicKey> from_handle(KeyHandle key);
  Profile profile_;
  KeyHandle key_;
  Digest fingerprint_;
  std::string pem_;
};

class SigningKey {
 public:
  [[nodiscard]] static Result<SigningKey> generate(Profile profile);
  // Refuses a file that others may read (mode & 077): ErrorCode::denied.
  [[nodiscard]] static Result<SigningKey> load(const std::filesystem::path& path);
  // Mode 0600, durable. ErrorCode::exists where the file is there: a key is never overwritten.
  [[nodiscard]] Result<void> save(const std::filesystem::path& path) const;

  [[nodiscard]] const PublicKey& public_key() const noexcept { return public_; }
  [[nodiscard]] Result<std::string> sign(Bytes message) const;

 private:
  explicit SigningKey(KeyHandle key, PublicKey pub)
      : key_(std::move(key)), public_(std::move(pub)) {}
  [[nodiscard]] static Result<SigningKey> from_handle(KeyHandle key);
  KeyHandle key_;
  PublicKey public_;
};

// "sm3:0123..." / "sha256:0123...".
[[nodiscard]] std::string format_fingerprint(Profile profile, const Digest& fingerprint);

}  // namespace menshen::audit
