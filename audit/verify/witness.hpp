// Checkpoints kept elsewhere: what makes a rewrite by the holder of the key visible.
//
// A witness is anybody who has seen a checkpoint and keeps it where the store's host cannot reach:
// a file of notes, a log server (the forwarder sends notes), or another appliance that follows the
// store with witness() and signs what it saw.
//
// A ledger is a text file of entries, each a note and a line
//   witness FINGERPRINT TIME SIGNATURE
// and an empty line. The signature, by the witness' own key, is over the note's text and that line
// up to the space before SIGNATURE.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/store/note.hpp"
#include "base/clock.hpp"

namespace menshen::audit {

inline constexpr std::size_t witness_bytes_max = 256U << 20U;

// The notes in a file of notes, a ledger, or a log in which the forwarder's messages stand
// (note="BASE64"). With `witness_key` every entry must be signed by it. ErrorCode::invalid where
// there is no note at all, ErrorCode::corrupt where one is damaged or not signed.
[[nodiscard]] Result<std::vector<SignedNote>> parse_witness(std::string_view text,
                                                            const PublicKey* witness_key = nullptr);

// Appends to a ledger or a file of notes, durably, and makes the file where there is none. What
// could not be written whole is taken back: half an entry would make those behind it unreadable.
[[nodiscard]] Result<void> append_entry(const std::filesystem::path& file, std::string_view entry);

struct Witnessed {
  Checkpoint checkpoint;
  bool fresh = false;  // false: the ledger had it already
};

// Checks that the evidence (store/evidence.hpp) is of a checkpoint which holds all that the
// ledger's last one held, signs it and appends it, durably. An empty ledger takes the proof of any
// record, later ones a consistency since its last checkpoint. `fingerprint` pins the store's key.
// ErrorCode::corrupt: the store was rewritten, or the evidence is wrong; ErrorCode::invalid: it
// does not begin at the ledger's last checkpoint (the text says which is wanted).
[[nodiscard]] Result<Witnessed> witness(const std::filesystem::path& ledger, const SigningKey& key,
                                        std::string_view evidence_json,
                                        std::string_view fingerprint, const Clock& clock);

}  // namespace menshen::audit
