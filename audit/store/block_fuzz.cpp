// Any bytes: decode_block must refuse them or give records that lie within its content.
#include <cstdint>
#include <cstdlib>

#include "audit/store/block.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace menshen;
  using namespace menshen::audit;
  const auto block = decode_block(std::as_bytes(std::span(data, size)));
  if (!block) return 0;
  std::size_t sum = 4 * block->records.size();
  for (const Bytes record : block->records) {
    sum += record.size();
    static_cast<void>(view_stored(record));
  }
  if (sum != block->content.size() || block->tags.size() != block->records.size()) std::abort();
  return 0;
}
