// Rules against bytes: the first part of the input (up to a NUL) is a rule file, the rest a stream
// and a packet.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

#include "sensor/detect/compiled_rules.hpp"
#include "sensor/detect/content_match.hpp"
#include "sensor/detect/transform.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace menshen;
  using namespace menshen::sensor;
  const auto* end = static_cast<const std::uint8_t*>(std::memchr(data, 0, size));
  if (end == nullptr) return 0;
  const auto rule_bytes = static_cast<std::size_t>(end - data);
  RuleSetBuilder builder;
  builder.add_text("fuzz.rules", {reinterpret_cast<const char*>(data), rule_bytes});
  const auto rules = std::move(builder).build();
  if (!rules) return 0;
  const Bytes bytes = std::as_bytes(std::span(end + 1, size - rule_bytes - 1));
  MatchScratch scratch;
  for (const Rule& rule : rules->compiled().rules) {
    for (const TestList& list : rule.lists) {
      const Bytes view = apply_transforms(bytes, list.transforms, scratch.transforms);
      static_cast<void>(match_tests(list.tests, {view, 0}, scratch));
      static_cast<void>(match_tests(list.tests, {view, 7}, scratch));
    }
  }
  return 0;
}
