// The policy module's front door: text in, Policy or every mistake out.
//
//   auto loaded = policy::load("policy.yaml", source, {.today = policy::today(system_clock())});
//   if (!loaded.policy) fmt::print(stderr, "{}", loaded.diagnostics.render(lang));
//   policy::nft::auto kernel = MENSHEN_TRY(policy::nft::NftKernel::open());
//   auto live = MENSHEN_TRY(kernel->read_back());
//   auto want = policy::nft::lower(*loaded.policy, {.generation =
//   policy::nft::next_generation(live), ...}); MENSHEN_CHECK(kernel->commit(want)); compare(want,
//   MENSHEN_TRY(kernel->read_back()));   // empty: the kernel holds what was wanted
//
// Then: policy/nft/kernel.hpp (commit, read back, counters), policy/nft/nflog.hpp (dropped
// packets), policy/model/explain.hpp, policy/model/change.hpp.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/diagnostic.hpp"
#include "policy/model/policy.hpp"
#include "policy/model/resolve.hpp"

namespace menshen::policy {

struct Loaded {
  std::optional<Policy> policy;  // nothing: diagnostics has errors
  Diagnostics diagnostics;       // may hold warnings beside a policy
};

// `name` is what the user called the file. Pure: reads nothing, keeps nothing.
[[nodiscard]] Loaded load(std::string name, std::string source, const ResolveOptions& options);

}  // namespace menshen::policy
