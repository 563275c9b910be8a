// For a programmer's error: kept in release builds, so use it where checking is cheap.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace menshen::detail {
[[noreturn]] inline void assertion_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, condition);
  std::abort();
}
}  // namespace menshen::detail

#define MENSHEN_ASSERT(condition)     \
  ((condition) ? static_cast<void>(0) \
               : ::menshen::detail::assertion_failed(#condition, __FILE__, __LINE__))
