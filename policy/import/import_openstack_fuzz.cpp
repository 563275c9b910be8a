// Any bytes as a source: no crash, and what is made loads as a policy.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "policy/import/import.hpp"
#include "policy/policy.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace menshen;
  using namespace menshen::policy;
  const imports::Source source{"fuzz", std::string(reinterpret_cast<const char*>(data), size)};
  const auto made = imports::import_rules(imports::Format::openstack, {&source, 1},
                                          {{{"lan0", *Prefix::parse("10.1.0.0/16")}}});
  if (!made) return 0;
  if (!load("made.yaml", made->yaml, {std::chrono::year(2026) / 11 / 23}).policy) std::abort();
  return 0;
}
