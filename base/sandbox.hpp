// Least privilege, once a daemon holds what it needs. Every step is one way, and a step that the
// kernel refuses is an error for the daemon to report, not to skip.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace menshen {

struct SandboxPlan {
  std::string user;                    // switch to it when started as root; empty: stay
  std::vector<int> keep_capabilities;  // CAP_* numbers kept after the switch, in this process only
  std::vector<std::filesystem::path> read_only;   // Landlock: trees that may be read
  std::vector<std::filesystem::path> read_write;  // Landlock: trees that may be written
  bool network = false;                           // may still make sockets other than Unix ones
};

// Sets no_new_privs, switches user, drops capabilities (bounding set too), then Landlock, then a
// seccomp filter that kills on calls no daemon of ours makes (execve, ptrace, mount, bpf, module
// and keyring calls ...). Call it from the main thread before others start. Linux >= 5.13 for
// Landlock: older is ErrorCode::unavailable.
[[nodiscard]] Result<void> enter_sandbox(const SandboxPlan& plan);

}  // namespace menshen
