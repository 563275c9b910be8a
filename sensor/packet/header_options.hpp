// The options of IPv4 (RFC 791 3.1) and TCP (RFC 9293 3.1) headers: a kind; then, but for the kinds
// 0 (the end) and 1 (nothing), a length that counts both, and the value.
#pragma once

#include <cstdint>
#include <optional>

#include "base/byte_reader.hpp"

namespace menshen::sensor {

// Calls visit(kind, value) for each option up to the end. `value` is nothing where the length is
// wrong, and that is the last call. visit() returns true to go on.
template <class Visit>
void walk_header_options(Bytes options, const Visit& visit) noexcept {
  ByteReader reader(options);
  while (!reader.empty()) {
    const std::uint8_t kind = reader.u8();
    std::optional<Bytes> value = Bytes{};
    if (kind > 1) {
      const std::uint8_t length = reader.u8();
      value = length < 2 ? Bytes{} : reader.take(length - std::size_t{2});
      if (length < 2 || !reader.ok()) value.reset();
    }
    if (!visit(kind, value) || kind == 0 || !value) return;
  }
}

}  // namespace menshen::sensor
