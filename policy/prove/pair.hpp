// Proof again of what a change of lines between two domains can affect.
//
// A flow between two domains is decided by the elements that name them and by the lines that cover
// them. Where nothing else changed since a whole proof (prove.hpp), only the packets between these
// two need another look: one for each class of protocol and port, by tracing it (trace.hpp).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "policy/model/policy.hpp"
#include "policy/nft/lower.hpp"
#include "policy/nft/ruleset.hpp"
#include "policy/prove/packet.hpp"

namespace menshen::policy::prove {

// Immutable; may be shared between threads.
class PairProver {
 public:
  // Both as prove() proved them.
  PairProver(const Policy& policy, const nft::Ruleset& ruleset, const nft::LowerOptions& lowered);

  // A packet on which ruleset and lines differ; nothing: they agree on all packets that open a
  // connection from the one domain to the other. `lines` are those of the policy that cover the
  // pair, the first one first. The domains, services and networks are as they were; of the ruleset
  // only elements of this pair, its generation and what holds its marks may differ. Linear in the
  // classes of ports, not in the policy.
  [[nodiscard]] std::optional<Packet> difference(const nft::Ruleset& ruleset, DomainId from,
                                                 DomainId to, std::span<const Line> lines) const;

 private:
  struct Example {
    IpAddr v4;
    IpAddr v6;
    bool has_v4 = false;
    bool has_v6 = false;
    std::string interface;  // to come in and leave by
  };
  [[nodiscard]] Outcome demanded(const Packet& packet, std::span<const Line> lines) const;

  std::vector<Service> services_;
  std::vector<Example> domains_;  // by id - 1
  std::vector<std::uint16_t> ports_;
  nft::LowerOptions lowered_;
};

}  // namespace menshen::policy::prove
