// Any bytes as a kept run; what reads is compared with itself and with a sound one.
#include <cstddef>
#include <cstdint>

#include "compliance/runs/run.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace menshen::compliance;
  const auto run = parse_run({reinterpret_cast<const char*>(data), size});
  if (!run) return 0;
  const Comparison same = compare(*run, *run);
  if (!same.objects_new.empty() || same.other_rules) __builtin_trap();
  static_cast<void>(to_json(same));
  return 0;
}
