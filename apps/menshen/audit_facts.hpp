// The space "audit" of the product facts: the store verified and read, auditd asked.
#pragma once

#include "apps/control/message.hpp"
#include "base/clock.hpp"
#include "base/settings.hpp"

namespace menshen::apps {

struct AuditFacts {
  Json store = Json::object();          // the space's keys
  std::uint64_t alerts_incomplete = 0;  // alert records without source, destination, rule or time
};

// Fails where the store cannot be read at all. Linear in the store.
[[nodiscard]] Result<AuditFacts> audit_facts(const Settings& settings, const Clock& clock);

}  // namespace menshen::apps
