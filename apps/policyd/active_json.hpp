// A policy in force as the control protocol tells of it, without its text.
#pragma once

#include "apps/common/active_policy.hpp"
#include "apps/control/message.hpp"

namespace menshen::apps {

[[nodiscard]] Json active_json(const ActivePolicy& active);

}  // namespace menshen::apps
