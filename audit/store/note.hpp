// The checkpoint note: a signed text that says how many records the store holds and what their
// tree's root is. Whoever holds a note can later tell whether the store still contains everything
// it stood for.
//
//   menshen-audit-checkpoint/2
//   origin gov-cloud-a
//   profile sm
//   number 17
//   size 4711
//   root 5f0c...            64 hex digits: of the tree (crypto/tree.hpp) over those records
//   time 2026-11-23T08:15:30.000123Z
//   previous 9ab1...        digest of the whole previous note; zeros for the first
//   key 77e0...             fingerprint of the signing key
//   signature MEUC...       base64, over all bytes before this line
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "audit/crypto/sign.hpp"
#include "base/clock.hpp"

namespace menshen::audit {

inline constexpr std::size_t note_bytes_max = 2048;
inline constexpr std::size_t origin_bytes_max = 128;  // printable ASCII without space

struct Checkpoint {
  std::string origin;
  Profile profile = Profile::sm;
  std::uint64_t number = 0;  // from 1
  std::uint64_t size = 0;    // records covered
  Digest root{};             // of the tree over the records 1 to size
  WallTime time = 0;         // whole microseconds
  Digest previous{};
  Digest key{};
  bool operator==(const Checkpoint&) const = default;
};

struct SignedNote {
  Checkpoint checkpoint;
  std::string signature;  // raw bytes
  std::string text;       // the whole note, as stored
};

[[nodiscard]] Result<SignedNote> sign_note(const Checkpoint& checkpoint, const SigningKey& key);
// Canonical: parse accepts exactly what sign_note writes. Does not check the signature.
[[nodiscard]] Result<SignedNote> parse_note(std::string_view text);
[[nodiscard]] bool verify_note(const SignedNote& note, const PublicKey& key);
[[nodiscard]] bool is_origin(std::string_view text);

}  // namespace menshen::audit
