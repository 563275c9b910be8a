// One packet through a ruleset, expression by expression, as the kernel would.
//
// The slow, obvious twin of evaluate.hpp: it knows nothing of classes or diagrams. It also says
// which rules a counter-example meets.
#pragma once

#include <string>
#include <vector>

#include "policy/nft/ruleset.hpp"
#include "policy/prove/packet.hpp"

namespace menshen::policy::prove {

struct Trace {
  Outcome outcome;                 // unmodelled: a rule that this code does not know
  std::vector<std::string> rules;  // that matched as a whole: "forward rule 1"
};

// Linear in the rules met, logarithmic in the sets' elements. Thread-safe.
[[nodiscard]] Trace trace(const nft::Ruleset& ruleset, const Packet& packet);

}  // namespace menshen::policy::prove
