// Any text as a rule file: parsed, diagnosed, compiled; never a crash.
#include <cstddef>
#include <cstdint>

#include "sensor/detect/ruleset.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace menshen::sensor;
  RuleSetBuilder builder;
  builder.add_text("fuzz.rules", {reinterpret_cast<const char*>(data), size});
  for (const auto& diagnostics : builder.diagnostics()) {
    if (diagnostics.render(menshen::Lang::en).empty() != diagnostics.all().empty())
      __builtin_trap();
  }
  static_cast<void>(std::move(builder).build());
  return 0;
}
