
#include <cstddef>
#include <cstdint>

#include "compliance/catalogue/catalogue.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace menshen;
  using namespace menshen::compliance;
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (int kind = 0; kind < 5; ++kind) {
    Diagnostics diagnostics("fuzz.yaml", text);
    bool parsed = false;
    if (kind == 0) parsed = parse_layer(text, diagnostics).has_value();
    if (kind == 1) parsed = parse_checks(text, Sources(), diagnostics).has_value();
    if (kind == 2) parsed = parse_meta(text, diagnostics).has_value();
    if (kind == 3) parsed = parse_sources(text, diagnostics).has_value();
    if (kind == 4) parsed = parse_classes(text, diagnostics).has_value();
    if (parsed == diagnostics.has_errors()) __builtin_trap();
  }
  return 0;
}
