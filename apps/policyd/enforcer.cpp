#include "apps/policyd/enforcer.hpp"

namespace menshen::apps {

using policy::nft::Ruleset;

namespace {

// Somebody else's transactions may come between reading the ruleset and changing it.
constexpr int commit_tries = 5;

}  // namespace

// Proved first, so that a mistake of ours never reaches the kernel.
Result<Ruleset> Enforcer::commit(const policy::Policy& policy) {
  policy::nft::LowerOptions options = options_;
  Ruleset wanted;
  Result<void> committed;
  for (int tries = 0; tries < commit_tries; ++tries) {
    const auto before = MENSHEN_TRY(kernel_.read_back());
    const std::uint32_t generation = policy::nft::next_generation(before);
    if (generation != options.generation || tries == 0) {
      options.generation = generation;
      wanted = policy::nft::lower(policy, options);
      const auto report = policy::prove::prove(policy, wanted, options);
      if (report.conclusion == policy::prove::Conclusion::violated) {
        const Text& shown = report.violations.front().text;
        return fail(ErrorCode::corrupt,
                    {"规则集未通过隔离证明，未下发。反例：" + shown.zh,
                     "the ruleset failed its proof and was not committed; shown by " + shown.en});
      }
    }
    committed = kernel_.change(before, wanted);
    if (committed || committed.error().code != ErrorCode::exists) break;
  }
  // The answer was lost, not necessarily the ruleset: what the kernel holds decides.
  if (!committed && committed.error().code != ErrorCode::unavailable)
    return tl::make_unexpected(committed.error());
  const auto drifts = policy::nft::compare(wanted, MENSHEN_TRY(kernel_.read_back()));
  if (drifts.empty()) return wanted;
  if (!committed) return tl::make_unexpected(committed.error());
  return fail(ErrorCode::corrupt,
              {"内核中的规则集与下发内容不一致：" + drifts.front().text.zh,
               "the kernel holds something else than was committed: " + drifts.front().text.en});
}

Result<std::uint32_t> Enforcer::enforce(const policy::Policy& policy) {
  auto wanted = commit(policy);
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
  Ruleset wanted = MENSHEN_TRY(commit(*policy_));
  wanted_ = std::move(wanted);
  return wanted_->generation;
}

Result<void> Enforcer::remove() {
  MENSHEN_CHECK(kernel_.remove("menshen"));
  policy_.reset();
  wanted_.reset();
  return {};
}

Result<std::vector<Text>> Enforcer::others() {
  auto all = MENSHEN_TRY(kernel_.others("menshen"));
  if (!surroundings_) return all;
  auto more = MENSHEN_TRY(surroundings_());
  all.insert(all.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  return all;
}

Result<policy::prove::Report> Enforcer::prove() {
  if (!policy_ || !wanted_)
    return fail(ErrorCode::not_found, {"没有生效的策略", "no policy is in force"});
  policy::prove::ProveOptions options;
  auto surroundings = others();
  // What cannot be asked cannot be ruled out.
  if (surroundings) {
    options.surroundings = std::move(*surroundings);
  } else {
    options.surroundings.push_back(surroundings.error().text);
  }
  policy::nft::LowerOptions lowered = options_;
  lowered.generation = wanted_->generation;
  auto live = MENSHEN_TRY(kernel_.read_back());
  // Marks are believed by the generation that was committed, whatever the table says of itself.
  live.ruleset.generation = wanted_->generation;
  return policy::prove::prove_live(*policy_, live, lowered, options);
}

}  // namespace menshen::apps
