// Digests of the two cryptographic profiles. The only includer of OpenSSL beside sign.cpp is
// digest.cpp.
//
//   sm    SM3 (GB/T 32905-2016) with SM2 signatures (GB/T 32918-2016)
//   intl  SHA-256 (FIPS 180-4) with Ed25519 signatures (RFC 8032)
#pragma once

#include <array>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/byte_reader.hpp"
#include "base/handle.hpp"
#include "base/result.hpp"

extern "C" {
struct evp_md_ctx_st;
struct evp_md_st;
void EVP_MD_CTX_free(evp_md_ctx_st* context);
void EVP_MD_free(evp_md_st* digest);
}

namespace menshen::audit {

enum class Profile : unsigned char { sm, intl };
[[nodiscard]] std::string_view name(Profile profile);         // "sm", "intl"
[[nodiscard]] std::string_view digest_name(Profile profile);  // "sm3", "sha256"
[[nodiscard]] std::optional<Profile> parse_profile(std::string_view text);

using Digest = std::array<std::byte, 32>;

[[nodiscard]] std::string to_hex(Bytes bytes);
[[nodiscard]] std::optional<Digest> parse_digest(std::string_view hex);
[[nodiscard]] std::string to_base64(Bytes bytes);
// Strict: padded, no white space.
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

// Reuses one context for any number of digests (about 1.5 times faster than a new one each). One
// thread at a time.
class Hasher {
 public:
  [[nodiscard]] static Result<Hasher> make(Profile profile);
  [[nodiscard]] Profile profile() const noexcept { return profile_; }

  void update(Bytes bytes);
  [[nodiscard]] Digest finish();  // and begins anew

 private:
  using Method = Handle<evp_md_st, &EVP_MD_free>;
  using Context = Handle<evp_md_ctx_st, &EVP_MD_CTX_free>;
  Hasher(Profile profile, Method method, Context context);
  void begin();
  Profile profile_;
  Method method_;
  Context context_;
};

// The digest of a file of any size, read in pieces.
[[nodiscard]] Result<Digest> digest_file(Profile profile, const std::filesystem::path& path);

}  // namespace menshen::audit
