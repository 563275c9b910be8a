// Evidence that a document existed and was vouched for, checkable without the store: the document,
// this text, and the key's fingerprint from elsewhere are enough. Made by Store::attest.
//
// JSON: {"format": "menshen-evidence/1", "profile", "origin", "number", "previous_head" (hex),
//        "record" (base64 of the record's bytes), "checkpoint" (the note), "public_key" (PEM),
//        "fingerprint"}
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "audit/record/record.hpp"
#include "audit/store/note.hpp"

namespace menshen::audit {

inline constexpr std::size_t evidence_bytes_max = 256U << 10U;

struct Evidence {
  std::uint64_t number = 0;
  Digest previous_head{};
  std::string record;  // bytes
  SignedNote checkpoint;
  std::string public_key;  // PEM

  [[nodiscard]] std::string to_json() const;
  [[nodiscard]] static Result<Evidence> parse(std::string_view json);
};

struct EvidenceReport {
  Record record;
  Checkpoint checkpoint;
  std::string fingerprint;
  bool pinned = false;
};

// Digest, record, chain, checkpoint and signature agree; ErrorCode::corrupt says which does not.
// `fingerprint` pins the key ("sm3:..."); empty: the key inside is believed, and pinned is false.
[[nodiscard]] Result<EvidenceReport> verify_evidence(const std::filesystem::path& file,
                                                     std::string_view evidence_json,
                                                     std::string_view fingerprint = {});

}  // namespace menshen::audit
