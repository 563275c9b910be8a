// What another policy would change, as JSON.
#pragma once

#include <vector>

#include "apps/control/message.hpp"
#include "policy/model/change.hpp"

namespace menshen::apps {

inline constexpr std::size_t changes_reported_max = 10'000;

// The first changes_reported_max of them: kind, from, to, service, zh, en.
[[nodiscard]] Json changes_json(const std::vector<policy::Change>& changes);

}  // namespace menshen::apps
