// Does a ruleset let pass exactly what a policy allows, between every ordered pair of domains?
//
//   const auto ruleset = nft::lower(policy, options);
//   const Report report = prove(policy, ruleset, options);     // before it is committed
//   const auto live = MENSHEN_TRY(kernel->read_back());
//   const Report again = prove_live(policy, live, options, surroundings);  // what the kernel holds
//
// The whole packet space is compared: addresses of both families, interfaces, protocols, ports,
// connection states and marks. Fields are cut into classes that neither side tells apart
// (space.hpp), each side becomes a canonical function over the classes (evaluate.hpp, intent.hpp),
// and equal functions are one node (diagram.hpp). Where they are not, a packet is shown on which
// they differ.
//
// What is proved rests on: the kernel executing nf_tables as its source says; connection tracking
// telling state and original direction rightly; nothing else taking part. What of the last point
// can be seen is listed as not modelled (nft/surroundings.hpp), and the conclusion is then
// `unknown`.
//
// Cost: near linear in networks, lines and set elements; memory 16 bytes a node, at most nodes_max.
// Thread-safe: keeps nothing.
#pragma once

#include <string>
#include <vector>

#include "base/lang.hpp"
#include "policy/model/policy.hpp"
#include "policy/nft/drift.hpp"
#include "policy/nft/lower.hpp"
#include "policy/prove/diagram.hpp"
#include "policy/prove/packet.hpp"

namespace menshen::policy::prove {

enum class Conclusion : std::uint8_t {
  proved,    // exactly the allowed packets pass
  violated,  // a packet shows that they do not
  unknown,   // something takes part that is not modelled, or a limit was reached
};

struct CounterExample {
  Packet packet;
  Outcome wanted;    // by the policy
  Outcome found;     // by the ruleset
  std::string from;  // domains of the connection's ends; empty: none
  std::string to;
  std::string line;                // of the policy, that decides: "demo.yaml:31"; empty: none
  std::vector<std::string> rules;  // of the ruleset, that the packet meets: "forward rule 1"
  Text text;
};

struct Report {
  Conclusion conclusion = Conclusion::unknown;
  std::vector<CounterExample> violations;  // at most violations_max
  std::vector<Text> unmodelled;
  // What it was proved over.
  std::size_t domains = 0;
  std::size_t lines = 0;
  std::size_t elements = 0;         // of the ruleset's sets
  std::size_t address_classes = 0;  // IPv4 and IPv6 together, those that exist
  std::size_t port_classes = 0;
  std::size_t interface_classes = 0;
  std::size_t nodes = 0;
};

inline constexpr std::size_t violations_max = 5;

struct ProveOptions {
  std::size_t nodes_max = Diagrams::nodes_max_default;
  std::vector<Text> surroundings;  // what else takes part: makes the conclusion `unknown`
};

// `lowered` is what the ruleset was, or should have been, lowered with: its queue and whether that
// fails open are part of the outcome.
[[nodiscard]] Report prove(const Policy& policy, const nft::Ruleset& ruleset,
                           const nft::LowerOptions& lowered, const ProveOptions& options = {});
// Of a ruleset read back: a table that is missing or switched off lets everything pass.
[[nodiscard]] Report prove_live(const Policy& policy, const nft::LiveRuleset& live,
                                const nft::LowerOptions& lowered, const ProveOptions& options = {});

[[nodiscard]] std::string_view name_of(Conclusion conclusion);  // as the enumerator
// One sentence for a person.
[[nodiscard]] Text words(const Report& report);

}  // namespace menshen::policy::prove
