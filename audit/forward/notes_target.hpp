// A file of notes on another host's disk (a mounted path): a witness of checkpoints without
// records.
#pragma once

#include "audit/forward/forwarder.hpp"

namespace menshen::audit {

// Appends each checkpoint that it is given to the file, durably, each followed by an empty line. Of
// checkpoints that follow each other fast the forwarder gives the newest, which covers the others.
[[nodiscard]] std::unique_ptr<Target> make_notes_target(std::filesystem::path file);

}  // namespace menshen::audit
