// What a program of ours exits with. The same numbers for every command and daemon; they are a
// contract for scripts (docs/reference/exit-codes.md).
#pragma once

#include <array>
#include <string_view>

#include "base/result.hpp"

namespace menshen::apps {

enum class ExitCode : unsigned char {
  ok = 0,
  finding = 1,      // ran to its end, and what it looked at is not in order
  usage = 2,        // command line, settings or the user's input is wrong
  unavailable = 3,  // a daemon or the kernel does not answer, or lacks a feature
  denied = 4,       // not permitted
  failed = 5,       // a file or system call failed; nothing was half done
  corrupt = 6,      // stored data contradicts itself
};

struct ExitCodeHelp {
  ExitCode code;
  std::string_view name;
  Text text;
};
// In order of the numbers.
[[nodiscard]] const std::array<ExitCodeHelp, 7>& exit_codes();

[[nodiscard]] ExitCode exit_code_of(ErrorCode code) noexcept;
[[nodiscard]] constexpr int to_int(ExitCode code) noexcept { return static_cast<int>(code); }

}  // namespace menshen::apps
