#include "sensor/proto/fuzz_stage.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  menshen::sensor::testing::FuzzStage().run(data, size, false);
  menshen::sensor::testing::FuzzStage().run(data, size, true);
  return 0;
}
