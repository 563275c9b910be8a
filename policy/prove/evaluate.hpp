// What a ruleset does to every packet there is, as one diagram.
//
// Executes the table's expressions over all packets at once: a register holds not a value but where
// in the packet it came from and through which set it went. Shares no code with the lowering that
// wrote the ruleset (nft/lower.hpp) and takes nothing from it but the names of kernel things.
//
// Follows what the kernel does (net/netfilter/nf_tables_core.c, nft_ct.c): a rule ends at its first
// expression that does not match; what it wrote before that stays; reading a connection's address
// of the other family, or anything of a packet without connection, ends the rule; the end of a
// chain returns to the last jump or to the base chain's policy.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/lang.hpp"
#include "policy/nft/ruleset.hpp"
#include "policy/prove/outcomes.hpp"
#include "policy/prove/world.hpp"

namespace menshen::policy::prove {

struct Evaluation {
  Node outcome = nothing;        // terminals number `Outcomes`
  std::vector<Text> unmodelled;  // what it could not follow; there the fate is unmodelled
  // Sets of which every lookup has as its first part the domain of the original source and as its
  // second the original destination's, or a constant: one of their elements speaks of one pair.
  std::set<std::string> pair_sets;
};

[[nodiscard]] Evaluation evaluate(const nft::Ruleset& ruleset, const World& world,
                                  Outcomes& outcomes);

}  // namespace menshen::policy::prove
