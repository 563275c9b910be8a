// A file of notes on another host's disk (a mounted path): a witness of checkpoints without
// records.
#pragma once

#include "audit/forward/forwarder.hpp"

namespace menshen::audit {

// Appends each checkpoint to the file, durably, each followed by an empty line; never shortens it.
[[nodiscard]] std::unique_ptr<Target> make_notes_target(std::filesystem::path file);

}  // namespace menshen::audit
