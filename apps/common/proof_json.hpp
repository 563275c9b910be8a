// A proof as JSON: what `menshen policy prove --json` prints, policyd answers and records.
#pragma once

#include "apps/control/message.hpp"
#include "policy/prove/prove.hpp"

namespace menshen::apps {

// conclusion, zh, en, violations, unmodelled, domains, lines, elements, classes, nodes.
[[nodiscard]] Json to_json(const policy::prove::Report& report);

}  // namespace menshen::apps
