// Keeps the kernel's table equal to what the policy compiles to, and proves that it is.
//
// Over policy::nft::Kernel, so that tests can put another kernel in its place. Not thread-safe.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "base/result.hpp"
#include "policy/nft/kernel.hpp"
#include "policy/nft/lower.hpp"
#include "policy/policy.hpp"
#include "policy/prove/prove.hpp"

namespace menshen::apps {

class Enforcer {
 public:
  // What else may carry packets besides rulesets (policy/nft/surroundings.hpp).
  using Surroundings = std::function<Result<std::vector<Text>>()>;

  // `options.generation` is not used: each commit takes the next one.
  Enforcer(policy::nft::Kernel& kernel, policy::nft::LowerOptions options,
           Surroundings surroundings = {})
      : kernel_(kernel), options_(options), surroundings_(std::move(surroundings)) {}

  // Proves the ruleset of the policy, commits what differs from the kernel's, reads it back. Either
  // the kernel then holds exactly this policy, or an error is returned and the kernel holds what it
  // held before (put back where the new one was not what was wanted). A ruleset that fails its
  // proof is not committed (ErrorCode::corrupt). The ruleset's generation.
  [[nodiscard]] Result<std::uint32_t> enforce(const policy::Policy& policy);

  // What differs now between the kernel and the last policy that was enforced.
  [[nodiscard]] Result<std::vector<policy::nft::Drift>> check();
  // Commits the last policy again.
  [[nodiscard]] Result<std::uint32_t> restore();
  // Takes the table out of the kernel: nothing is enforced then.
  [[nodiscard]] Result<void> remove();

  // Proves what the kernel holds now against the last policy that was enforced, with everything
  // else that takes part. ErrorCode::not_found where none was.
  [[nodiscard]] Result<policy::prove::Report> prove();
  // What takes part in forwarding besides the table.
  [[nodiscard]] Result<std::vector<Text>> others();

  [[nodiscard]] const std::optional<policy::nft::Ruleset>& wanted() const { return wanted_; }
  [[nodiscard]] policy::nft::Kernel& kernel() { return kernel_; }

 private:
  [[nodiscard]] Result<policy::nft::Ruleset> commit(const policy::Policy& policy);

  policy::nft::Kernel& kernel_;
  policy::nft::LowerOptions options_;
  Surroundings surroundings_;
  std::optional<policy::Policy> policy_;
  std::optional<policy::nft::Ruleset> wanted_;
};

}  // namespace menshen::apps
