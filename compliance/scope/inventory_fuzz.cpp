// Any bytes as an inventory; what is taken is written and read back unchanged.
#include <cstddef>
#include <cstdint>

#include "compliance/scope/inventory.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace menshen;
  using namespace menshen::compliance;
  static const std::vector<ObjectClass> classes{{"server", {"服务器", "Server"}, {"8.1.4"}, true}};
  const std::string text(reinterpret_cast<const char*>(data), size);
  Diagnostics diagnostics("fuzz.csv", text);
  const auto inventory = parse_inventory(text, classes, diagnostics);
  if (inventory.has_value() == diagnostics.has_errors()) __builtin_trap();
  if (!inventory) return 0;
  const std::string csv = to_csv(*inventory);
  Diagnostics again("again.csv", csv);
  const auto second = parse_inventory(csv, classes, again);
  if (!second || to_csv(*second) != csv) __builtin_trap();
  const ListedAddresses listed(*inventory);
  static_cast<void>(listed.contains(IpAddr::v4(0x0a000001)));
  return 0;
}
