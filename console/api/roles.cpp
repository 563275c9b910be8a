#include "console/api/roles.hpp"

#include <algorithm>
#include <initializer_list>

namespace menshen::console {
namespace {

bool is(Role role, std::initializer_list<Role> allowed) {
  return std::ranges::find(allowed, role) != allowed.end();
}

}  // namespace

bool may(Role role, Right right) {
  using enum Role;
  switch (right) {
    case Right::nobody_needed:
    case Right::any_session:
      return true;
    case Right::see_status:
      return is(role, {system, security, audit, inspector});
    case Right::see_events:
      return is(role, {security, inspector, tenant});
    case Right::see_policy:
    case Right::see_rules:
      return is(role, {security, inspector});
    case Right::change_policy:
    case Right::reload_rules:
      return role == security;
    case Right::see_audit:
    case Right::verify_audit:
      return is(role, {audit, inspector});
    case Right::export_audit:
      return role == audit;
    case Right::see_compliance:
      return is(role, {security, audit, inspector});
    case Right::manage_accounts:
    case Right::manage_certificate:
      return role == system;
  }
  return false;
}

std::string_view name_of(Role role) {
  switch (role) {
    case Role::system:
      return "system";
    case Role::security:
      return "security";
    case Role::audit:
      return "audit";
    case Role::inspector:
      return "inspector";
    case Role::tenant:
      return "tenant";
  }
  return "";
}

std::optional<Role> parse_role(std::string_view text) {
  for (const Role role : roles) {
    if (name_of(role) == text) return role;
  }
  return std::nullopt;
}

Text title_of(Role role) {
  switch (role) {
    case Role::system:
      return {"系统管理员", "system administrator"};
    case Role::security:
      return {"安全管理员", "security administrator"};
    case Role::audit:
      return {"审计管理员", "audit administrator"};
    case Role::inspector:
      return {"检查人员（只读）", "inspector (read-only)"};
    case Role::tenant:
      return {"租户", "tenant"};
  }
  return {};
}

}  // namespace menshen::console
