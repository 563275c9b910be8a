// What policyd can say of the isolation for an assessment: the names and meanings are
// compliance/collect/product_facts.md, space "policy". Everything about the kernel is read back.
#pragma once

#include <string>
#include <vector>

#include "apps/common/active_policy.hpp"
#include "apps/control/message.hpp"
#include "apps/policyd/enforcer.hpp"

namespace menshen::apps {

struct PolicyFactSources {
  const policy::Policy& policy;
  const ActivePolicy* active = nullptr;  // null: none was ever applied
  Enforcer& enforcer;
  const Clock& clock;
  const std::vector<std::string>& management_interfaces;
};

// Takes a read-back of the whole table, and proves it.
[[nodiscard]] Result<Json> policy_facts(const PolicyFactSources& sources);

}  // namespace menshen::apps
