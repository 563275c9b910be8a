// Evidence that can be checked without the store: that a record stands in it (a proof), that it
// vouches for a document, and that a later checkpoint holds all that an earlier one held.
//
// Proof, JSON: {"format": "menshen-proof/1", "profile", "origin", "number", "record" (base64 of its
//   bytes), "path" (hex digests, from the leaf up: RFC 9162 section 2.1.3), "checkpoint" (the
//   note), "public_key" (PEM), "fingerprint"}
// Consistency, JSON: {"format": "menshen-consistency/1", "profile", "origin", "earlier" (a note),
//   "path" (hex digests: RFC 9162 section 2.1.4), "checkpoint", "public_key", "fingerprint"}
//
// The key's fingerprint must come from elsewhere; pinned is false where none was given.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "audit/record/record.hpp"
#include "audit/store/note.hpp"

namespace menshen::audit {

class Tree;

inline constexpr std::size_t evidence_bytes_max = 256U << 10U;

struct Proof {
  std::uint64_t number = 0;
  std::string record;  // bytes
  std::vector<Digest> path;
  SignedNote checkpoint;
  std::string public_key;  // PEM

  [[nodiscard]] std::string to_json() const;
};

struct Consistency {
  SignedNote earlier;
  std::vector<Digest> path;
  SignedNote checkpoint;
  std::string public_key;

  [[nodiscard]] std::string to_json() const;
};

// ErrorCode::invalid where it is neither.
[[nodiscard]] Result<std::variant<Proof, Consistency>> parse_evidence(std::string_view json);

// ErrorCode::unavailable: the checkpoint does not cover the record yet; not_found: pruned.
[[nodiscard]] Result<Proof> prove_record(Tree& tree, std::uint64_t number, const SignedNote& note,
                                         const PublicKey& key);
[[nodiscard]] Result<Consistency> prove_consistency(Tree& tree, const SignedNote& earlier,
                                                    const SignedNote& note, const PublicKey& key);

struct EvidenceReport {
  std::uint64_t number = 0;  // of the record in the store; 0: a consistency, not a proof
  Record record;
  std::optional<Checkpoint> earlier;  // a consistency's
  Checkpoint checkpoint;
  std::string fingerprint;
  bool pinned = false;
};

// Record, path, checkpoint and signature agree; ErrorCode::corrupt says which does not.
// `fingerprint` pins the key ("sm3:..."); empty: the key inside is believed, and pinned is false.
[[nodiscard]] Result<EvidenceReport> verify_proof(std::string_view evidence_json,
                                                  std::string_view fingerprint = {});
// And the record vouches for this document.
[[nodiscard]] Result<EvidenceReport> verify_evidence(const std::filesystem::path& file,
                                                     std::string_view evidence_json,
                                                     std::string_view fingerprint = {});

}  // namespace menshen::audit
