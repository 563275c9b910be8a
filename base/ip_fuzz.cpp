// Any text: an address or a prefix that is accepted comes back from its own text.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/clock.hpp"
#include "base/ip.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto address = menshen::IpAddr::parse(text)) {
    if (menshen::IpAddr::parse(address->to_string()) != *address) std::abort();
  }
  if (const auto prefix = menshen::Prefix::parse(text)) {
    const auto again = menshen::Prefix::parse(prefix->to_string());
    if (!again || *again != *prefix) std::abort();
    if (!prefix->contains(prefix->first())) std::abort();
    const bool own_family = prefix->last().is_v4() == prefix->is_v4();
    if (prefix->contains(prefix->last()) != own_family) std::abort();
  }
  if (const auto time = menshen::parse_time(text)) {
    const auto again = menshen::parse_time(menshen::format_utc(*time));
    if (!again || *again > *time || *time - *again >= 1000) std::abort();
  }
  return 0;
}
