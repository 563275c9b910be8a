// Any bytes as a logged packet.
#include <cstddef>
#include <cstdint>
#include <span>

#include "policy/nft/nflog.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  menshen::FiveTuple tuple;
  std::uint32_t length = 0;
  static_cast<void>(
      menshen::policy::nft::read_tuple(std::as_bytes(std::span(data, size)), tuple, length));
  return 0;
}
