// Parts and requests as a hostile local peer may send them.
#include <cstddef>
#include <cstdint>

#include "apps/control/message.hpp"
#include "apps/control/parts.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  static_cast<void>(menshen::apps::decode_request(input));
  static_cast<void>(menshen::apps::decode_reply(input));
  // The input as a series of parts: one byte of length before each.
  menshen::apps::PartAssembler assembler(1U << 16U);
  for (std::size_t at = 0; at < size;) {
    const std::size_t length = data[at++];
    const auto whole = assembler.add(input.substr(at, length));
    if (!whole) break;
    if (*whole) static_cast<void>(menshen::apps::decode_request(**whole));
    at += length;
  }
  return 0;
}
