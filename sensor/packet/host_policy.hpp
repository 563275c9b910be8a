// Whose bytes stay where two pieces of traffic overlap is up to the system that receives them: what
// each does, and which addresses run which (Shankar and Paxson 2003; Novak and Sturges 2007).
//
// The names are those that rule engines share, so that a site brings its list of hosts with it. Two
// columns: datagrams out of fragments, and TCP segments that wait behind a hole (bytes in order are
// the program's at once on every system: there the first content wins).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.hpp"
#include "base/result.hpp"

namespace menshen::sensor {

// fragments / segments; "before": the new piece begins before the old one.
enum class HostPolicy : std::uint8_t {
  first,        // the old one's / the old one's
  last,         // the new one's / the new one's
  bsd,          // the new one's if before / the same
  bsd_right,    // the new one's unless before / the old one's
  linux_,       // the new one's if before or at the same place / if before, or longer at one place
  old_linux,    // as linux / if before, or at one place and no shorter
  windows,      // the new one's if it covers the old one on both sides / if before
  windows2k3,   // the same
  vista,        // as windows / the old one's
  solaris,      // as windows, but it may end at the same place / if it ends no earlier and either
                // begins no later or ends later
  old_solaris,  // as first / as solaris
  hpux10,       // as bsd
  hpux11,       // as first / as solaris
  irix,         // as bsd
  macos,        // as first / as bsd
};
inline constexpr std::size_t host_policy_count = 15;

// "bsd-right", "old-linux", "windows2k3" ...
[[nodiscard]] std::string_view host_policy_name(HostPolicy policy) noexcept;
[[nodiscard]] std::optional<HostPolicy> host_policy_of(std::string_view name) noexcept;

// Where a piece begins and ends.
struct Extent {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};
// Of bytes that both have.
[[nodiscard]] bool newer_fragment_wins(HostPolicy policy, Extent old, Extent fresh) noexcept;
[[nodiscard]] bool newer_segment_wins(HostPolicy policy, Extent old, Extent fresh) noexcept;

// Which receiver runs what: the longest prefix speaks. A value; immutable after parse(). Lookup:
// linear in the list, which the operator writes.
class HostPolicies {
 public:
  static constexpr std::size_t entries_max = 1024;

  // Without entries: IPv4 windows, IPv6 bsd.
  HostPolicies() = default;
  // "192.0.2.0/24=linux"; 0.0.0.0/0 and ::/0 replace the defaults. Errors name the entry.
  [[nodiscard]] static Result<HostPolicies> parse(std::span<const std::string> entries);
  [[nodiscard]] static HostPolicies all(HostPolicy policy);  // one for every address

  [[nodiscard]] HostPolicy of(const IpAddr& receiver) const noexcept;

 private:
  struct Entry {
    Prefix prefix;
    HostPolicy policy = HostPolicy::bsd;
  };
  std::vector<Entry> entries_;  // longest prefix first
  HostPolicy v4_ = HostPolicy::windows;
  HostPolicy v6_ = HostPolicy::bsd;
};

}  // namespace menshen::sensor
