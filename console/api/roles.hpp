// Who may do what. The three administrators (三员) have disjoint rights over everything that
// changes or reveals: no role holds two of system, security and audit, and nobody is above them.
#pragma once

#include <array>
#include <optional>
#include <string_view>

#include "base/lang.hpp"

namespace menshen::console {

enum class Role : unsigned char { system, security, audit, inspector, tenant };
inline constexpr std::array roles{Role::system, Role::security, Role::audit, Role::inspector,
                                  Role::tenant};
// Of these each deployment has at least one; without them the console only offers to set them up.
inline constexpr std::array administrators{Role::system, Role::security, Role::audit};

enum class Right : unsigned char {
  nobody_needed,       // sign-in and first set-up: no session
  any_session,         // whoever is signed in
  see_status,          // overview and health of the daemons
  see_events,          // alerts, drops, isolation; a tenant's own only
  see_policy,          // policy in force, its history and proof, the matrix
  change_policy,       // plan, apply, approve, confirm, roll back
  see_rules,           // detection rules that are loaded and those that are not
  reload_rules,        //
  see_audit,           // search the audit store, single proofs
  verify_audit,        // check the whole store
  export_audit,        // take records away
  see_compliance,      // results and reports
  manage_accounts,     // accounts and other people's sessions
  manage_certificate,  // the console's own certificate
};

[[nodiscard]] bool may(Role role, Right right);
[[nodiscard]] std::string_view name_of(Role role);  // "security"
[[nodiscard]] std::optional<Role> parse_role(std::string_view text);
[[nodiscard]] Text title_of(Role role);

}  // namespace menshen::console
