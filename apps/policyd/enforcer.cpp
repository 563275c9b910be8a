#include "apps/policyd/enforcer.hpp"

namespace menshen::apps {

using policy::nft::Ruleset;

Result<Ruleset> Enforcer::commit_and_compare(const policy::Policy& policy) {
  const auto before = MENSHEN_TRY(kernel_.read_back());
  policy::nft::LowerOptions options = options_;
  options.generation = policy::nft::next_generation(before);
  Ruleset wanted = policy::nft::lower(policy, options);
  const auto committed = kernel_.commit(wanted);
  // The answer was lost, not necessarily the ruleset: what the kernel holds decides.
  if (!committed && committed.error().code != ErrorCode::unavailable) {
    return tl::make_unexpected(committed.error());
  }
  const auto drifts = policy::nft::compare(wanted, MENSHEN_TRY(kernel_.read_back()));
  if (drifts.empty()) return wanted;
  if (!committed) return tl::make_unexpected(committed.error());
  return fail(ErrorCode::corrupt,
              {"内核中的规则集与下发内容不一致：" + drifts.front().text.zh,
               "the kernel holds something else than was committed: " + drifts.front().text.en});
}

Result<std::uint32_t> Enforcer::enforce(const policy::Policy& policy) {
  auto wanted = commit_and_compare(policy);
  if (wanted) {
    wanted_ = std::move(*wanted);
    policy_ = policy;
    return wanted_->generation;
  }
  // Without an earlier policy there is nothing to put back; a table that failed to compare stays,
  // and it drops what it does not know.
  if (policy_) {
    if (const auto restored = restore(); !restored) {
      return fail_while(
          {"恢复原策略也失败（" + restored.error().text.zh + "）",
           "and putting the old policy back failed too (" + restored.error().text.en + ")"},
          wanted.error());
    }
  }
  return tl::make_unexpected(wanted.error());
}

Result<std::vector<policy::nft::Drift>> Enforcer::check() {
  if (!wanted_) return std::vector<policy::nft::Drift>{};
  return policy::nft::compare(*wanted_, MENSHEN_TRY(kernel_.read_back()));
}

Result<std::uint32_t> Enforcer::restore() {
  if (!policy_) return std::uint32_t{0};
  Ruleset wanted = MENSHEN_TRY(commit_and_compare(*policy_));
  wanted_ = std::move(wanted);
  return wanted_->generation;
}

}  // namespace menshen::apps
