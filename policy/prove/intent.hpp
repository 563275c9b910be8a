// What the policy says of every packet there is, as one diagram.
//
// Read from the policy's lines, domains and services alone, not from the decision table that they
// were compiled to: the first line that covers a flow decides it. What it demands of a packet:
//
//   1. its source address is of a domain, and that domain is attached to where it came in;
//   2. of a connection that this ruleset decided (its mark says so), or an ICMP error about one:
//      what was decided;
//   3. else its destination is of a domain attached to where it leaves, and the policy decides on
//      the connection's original addresses, protocol and destination port;
//   4. what has no valid connection is dropped.
//
// Why 2 is safe: no connection carries a mark of a new generation when its ruleset comes into
// force, and a mark is part of each outcome here: so every marked connection was decided by this
// policy.
#pragma once

#include "policy/model/policy.hpp"
#include "policy/prove/outcomes.hpp"
#include "policy/prove/world.hpp"

namespace menshen::policy::prove {

struct IntentOptions {
  std::uint32_t generation = 0;
  std::uint16_t queue = 0;
  bool queue_bypass = false;
};

// Terminals number `Outcomes`.
[[nodiscard]] Node intent_of(const Policy& policy, const World& world, Outcomes& outcomes,
                             const IntentOptions& options);

}  // namespace menshen::policy::prove
