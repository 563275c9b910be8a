// The seal of a finished segment: a signed digest of its whole file, so that a flipped bit anywhere
// in it is found, also where SQLite keeps nothing.
//
//   menshen-audit-segment/1
//   origin gov-cloud-a
//   profile sm
//   segment 3
//   first 524289
//   last 786432
//   bytes 41943040
//   digest 5f0c...          64 hex digits: root of the tree over its pieces of 65,536 bytes
//   time 2026-11-23T08:15:30.000123Z    of the last checkpoint in it
//   key 77e0...
//   signature MEUC...       base64, over all bytes before this line
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "audit/crypto/sign.hpp"
#include "base/clock.hpp"

namespace menshen::audit {

struct Seal {
  std::string origin;
  Profile profile = Profile::sm;
  std::uint64_t segment = 0;
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::uint64_t bytes = 0;
  Digest digest{};
  WallTime time = 0;
  Digest key{};
  bool operator==(const Seal&) const = default;
};

struct SignedSeal {
  Seal seal;
  std::string body;
  std::string signature;
};

[[nodiscard]] Result<std::string> sign_seal(const Seal& seal, const SigningKey& key);
// Canonical: parse accepts exactly what sign_seal writes. Does not check the signature.
[[nodiscard]] Result<SignedSeal> parse_seal(std::string_view text);
[[nodiscard]] bool verify_seal(const SignedSeal& seal, const PublicKey& key);

}  // namespace menshen::audit
