// The policy module's front door: text in, Policy or every mistake out.
//
//   auto loaded = load("policy.yaml", source, {.today = today(system_clock())});
//   if (!loaded.policy) fmt::print(stderr, "{}", loaded.diagnostics.render(lang));
//   auto kernel = MENSHEN_TRY(nft::NftKernel::open());
//   auto live = MENSHEN_TRY(kernel->read_back("menshen"));
//   auto want = nft::lower(*loaded.policy, {.generation = nft::next_generation(live)});
//   MENSHEN_CHECK(kernel->commit(want));
//   nft::compare(want, MENSHEN_TRY(kernel->read_back("menshen")));  // empty: it holds what we want
//
// Then: nft/kernel.hpp (commit, read back, counters), nft/nflog.hpp (dropped packets),
// model/explain.hpp (which line decides), model/change.hpp (what another policy would change).
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
