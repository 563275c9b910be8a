// Any text as a threshold file: each entry is read or diagnosed, and applied to a rule.
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "sensor/detect/threshold_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace menshen;
  using namespace menshen::sensor;
  const std::string text(reinterpret_cast<const char*>(data), size);
  Diagnostics diagnostics("fuzz", text);
  const auto entries = parse_thresholds(text, default_variables(), diagnostics);
  for (const Lang lang : {Lang::zh, Lang::en}) {
    if (diagnostics.render(lang).empty() != diagnostics.all().empty()) __builtin_trap();
  }
  std::array<Rule, 1> rules;
  rules[0].info.gid = 1;
  rules[0].info.sid = 10;
  apply_thresholds(entries, rules);
  return 0;
}
