// Chains of rules of which the first match decides, as iptables and nft have them: jumps are
// followed, and what is left becomes lines in the same order.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/import/service_set.hpp"
#include "policy/import/writer.hpp"

namespace menshen::policy::imports {

// All hold: the address is in one of each list of any_of, and in none of none_of.
struct End {
  std::vector<std::vector<Prefix>> any_of;
  std::vector<Prefix> none_of;
  auto operator<=>(const End&) const = default;
};

// Lines speak of connections that open; the rest follows by itself.
enum class State : std::uint8_t { opening, known, invalid, other };

struct Match {
  End from;
  End to;
  ServiceSet services = ServiceSet::all();  // all, or without `other`
  State state = State::opening;
  bool v4 = true;  // speaks of IPv4
  bool v6 = true;
  // Where it cannot be expressed: why.
  std::optional<Text> unknown;
};

struct Step {
  enum class Kind : std::uint8_t { accept, drop, leave, jump, go_to, nothing };
  Match match;
  Kind kind = Kind::nothing;
  std::string target;  // of a jump
  std::string place;
  std::string reason;
};

struct Program {
  std::map<std::string, std::vector<Step>> chains;
  std::string base;              // where packets begin
  Action policy = Action::deny;  // at its end
  bool v4 = false;               // the families that it sees
  bool v6 = false;
};

inline constexpr std::size_t jumps_max = 16;  // one inside another

// ErrorCode::limit beyond rules_made_max or domains_made_max.
[[nodiscard]] Result<void> write_first_match(const Program& program, Writer& writer);

// The networks behind an interface; a name may end in a wildcard, `+` or `*`. Empty: none given.
[[nodiscard]] std::vector<Prefix> networks_behind(std::string_view name,
                                                  const ImportOptions& options);
// Adds "one of these", or its opposite.
void restrict_to(End& end, std::vector<Prefix> networks, bool negated);
[[nodiscard]] Text interface_unknown(std::string_view name);

}  // namespace menshen::policy::imports
