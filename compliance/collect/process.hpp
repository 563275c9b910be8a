// Runs one program to its end: no shell, a fixed environment, bounded time and output.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace menshen::compliance {

struct ProcessRequest {
  std::string program;                 // absolute path
  std::vector<std::string> arguments;  // the program's name first
  std::string input;                   // on its stdin, then closed
  std::chrono::milliseconds timeout{5000};
  std::size_t out_bytes_max = 8U << 20U;
  std::vector<std::string> environment{};  // NAME=VALUE, besides PATH and LC_ALL=C
};

struct ProcessResult {
  int status = 0;   // exit status, or 128 and the signal
  std::string out;  // stdout
  std::string err;  // the beginning of stderr, at most process_err_bytes_max
};
inline constexpr std::size_t process_err_bytes_max = 4096;

// ErrorCode::unavailable past the timeout (the program is killed then), ErrorCode::limit where it
// prints more than out_bytes_max. Thread-safe.
[[nodiscard]] Result<ProcessResult> run_process(const ProcessRequest& request);

// The path of a program in the system's folders; empty where it is not installed.
[[nodiscard]] std::string find_program(std::string_view name);

}  // namespace menshen::compliance
