// What differs between the table that was wanted and the one the kernel has.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/lang.hpp"
#include "policy/nft/ruleset.hpp"

namespace menshen::policy::nft {

// What the kernel holds, read back. Counters carry their live values.
struct LiveRuleset {
  bool present = false;  // false: there is no such table
  bool dormant = false;  // the table is there but switched off
  Ruleset ruleset;       // generation: from the live table; 0: unreadable
  // The kernel's own count of transactions when it was read: a change that names it is refused if
  // anybody else was faster.
  std::uint32_t kernel_generation = 0;
};

enum class DriftKind : std::uint8_t {
  table_missing,
  table_dormant,
  chain_missing,
  chain_added,
  chain_changed,
  rule_missing,
  rule_added,
  rule_changed,
  set_missing,
  set_added,
  set_changed,
  element_missing,
  element_added,
  element_changed,
  counter_missing,
};

struct Drift {
  DriftKind kind{};
  std::string place;  // "chain tracked rule 3", "set net4"
  std::string want;   // as to_text() writes it; empty: nothing there
  std::string live;
  Text text;  // one sentence
};

// At most drifts_max entries; the last one then says that there are more.
inline constexpr std::size_t drifts_max = 200;

// Empty: equal but for counter values. Linear in both.
[[nodiscard]] std::vector<Drift> compare(const Ruleset& want, const LiveRuleset& live);

[[nodiscard]] std::string_view name_of(DriftKind kind);

// For the next commit: one more than the live one, or a random one where there is none.
[[nodiscard]] std::uint32_t next_generation(const LiveRuleset& live);

}  // namespace menshen::policy::nft
