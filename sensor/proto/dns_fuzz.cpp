// Datagrams where the first byte is odd, else a stream.
#include "sensor/proto/fuzz_stage.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  menshen::sensor::testing::FuzzStage().run(data + 1, size - 1, (data[0] & 1U) != 0);
  return 0;
}
