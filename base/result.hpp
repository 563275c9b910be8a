// Results of operations that can fail for reasons outside the program.
//
// Control plane: every such function returns Result<T>; a dropped one does not compile (-Werror).
// Packet path: no Result; an enum, no allocation (see sensor/packet/drop_reason.hpp).
// Exceptions of a library stop in the one file that includes it.
#pragma once

#include <cerrno>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

#include "base/lang.hpp"

namespace menshen {

// What kind of failure it is, for callers that act on it. Finding a kind by its text is not needed.
enum class ErrorCode : unsigned char {
  invalid,      // the caller's input is wrong
  not_found,    // what was named is not there
  exists,       // what should be made is there already
  denied,       // not permitted (capability, file mode, peer credentials)
  unavailable,  // a peer or the kernel does not answer, or lacks a feature
  limit,        // a stated limit was reached
  corrupt,      // stored data contradicts itself
  io,           // the system refused a read, write or call
};

struct Error {
  ErrorCode code = ErrorCode::io;
  Text text;  // one sentence for a person, without the program's name
};

template <class T = void>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
  Result(tl::expected<T, Error> e) : tl::expected<T, Error>(std::move(e)) {}
};

[[nodiscard]] inline tl::unexpected<Error> fail(ErrorCode code, Text text) {
  return tl::make_unexpected(Error{code, std::move(text)});
}

// The failure of a system call: `what` names what was tried, errno's text is added.
[[nodiscard]] tl::unexpected<Error> fail_errno(Text what, int error = errno);

// Puts what was being done before the reason: "cannot open the store: permission denied".
[[nodiscard]] tl::unexpected<Error> fail_while(Text what, const Error& reason);

}  // namespace menshen

// The value of a Result, or an early return of its error.
#define MENSHEN_TRY(...)                                                                \
  __extension__({                                                                       \
    auto&& menshen_result = (__VA_ARGS__);                                              \
    if (!menshen_result) return tl::make_unexpected(std::move(menshen_result).error()); \
    std::move(menshen_result).value();                                                  \
  })

// The same for Result<void>.
#define MENSHEN_CHECK(...)                                                              \
  do {                                                                                  \
    auto&& menshen_result = (__VA_ARGS__);                                              \
    if (!menshen_result) return tl::make_unexpected(std::move(menshen_result).error()); \
  } while (false)
