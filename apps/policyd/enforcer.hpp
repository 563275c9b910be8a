// Keeps the kernel's table equal to what the policy compiles to.
//
// Over policy::nft::Kernel, so that tests can put another kernel in its place. Not thread-safe.
#pragma once

#include <optional>
#include <vector>

#include "base/result.hpp"
#include "policy/nft/kernel.hpp"
#include "policy/nft/lower.hpp"
#include "policy/policy.hpp"

namespace menshen::apps {

class Enforcer {
 public:
  // `options.generation` is not used: each commit takes the next one.
  Enforcer(policy::nft::Kernel& kernel, policy::nft::LowerOptions options)
      : kernel_(kernel), options_(options) {}

  // Commits the policy and reads it back. Either the kernel then holds exactly this policy, or an
  // error is returned and the kernel holds what it held before (put back where the new one was not
  // what was wanted). The ruleset's generation.
  [[nodiscard]] Result<std::uint32_t> enforce(const policy::Policy& policy);

  // What differs now between the kernel and the last policy that was enforced.
  [[nodiscard]] Result<std::vector<policy::nft::Drift>> check();
  // Commits the last policy again.
  [[nodiscard]] Result<std::uint32_t> restore();

  [[nodiscard]] const std::optional<policy::nft::Ruleset>& wanted() const { return wanted_; }
  [[nodiscard]] policy::nft::Kernel& kernel() { return kernel_; }

 private:
  [[nodiscard]] Result<policy::nft::Ruleset> commit_and_compare(const policy::Policy& policy);

  policy::nft::Kernel& kernel_;
  policy::nft::LowerOptions options_;
  std::optional<policy::Policy> policy_;
  std::optional<policy::nft::Ruleset> wanted_;
};

}  // namespace menshen::apps
