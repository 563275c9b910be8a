// Policy -> Ruleset: the decision table in the kernel's sets, plus a fixed handful of chains.
//
// The number of rules does not depend on the policy's size; only sets grow. What each chain does:
// policy/README.md.
#pragma once

#include <cstdint>

#include "policy/model/policy.hpp"
#include "policy/nft/ruleset.hpp"

namespace menshen::policy::nft {

struct LowerOptions {
  // 1 .. generation_max, other than the one in the kernel: every connection is then decided anew.
  std::uint32_t generation = 1;
  std::uint16_t queue = 100;      // NFQUEUE number
  bool queue_bypass = false;      // true: fail open, inspected flows pass while no sensor listens
  std::uint16_t log_group = 100;  // NFLOG group
  std::uint32_t log_per_second = 100;  // per reason; beyond it drops are counted, not logged
  std::uint32_t log_burst = 200;
  std::uint32_t log_snap_bytes = 256;  // of each logged packet
};

inline constexpr std::uint32_t generation_max = 0xff'ffff;

[[nodiscard]] Ruleset lower(const Policy& policy, const LowerOptions& options);

}  // namespace menshen::policy::nft
