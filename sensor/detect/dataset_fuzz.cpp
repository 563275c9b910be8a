// A set's file: the first byte says of which type and whether with reputations. Read again, it says
// nothing new.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "sensor/detect/dataset.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace menshen::sensor;
  if (size == 0) return 0;
  DatasetOptions options;
  options.type = static_cast<DatasetType>((data[0] & 0x7fU) % 6U);
  options.reputations = (data[0] & 0x80U) != 0;
  options.memory_max = 16U << 10U;
  Dataset set(options);
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (!set.read(text, "fuzz")) return 0;
  const std::size_t values = set.size();
  if (values > options.memory_max / dataset_entry_bytes) __builtin_trap();
  if (!set.read(text, "fuzz") || set.size() != values) __builtin_trap();
  return 0;
}
