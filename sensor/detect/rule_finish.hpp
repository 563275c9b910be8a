// What a whole rule means once all its options are known: its protocol, direction and kind;
// contradictions.
#pragma once

#include "base/result.hpp"
#include "sensor/detect/rule.hpp"

namespace menshen::sensor {

[[nodiscard]] Result<void> finish_rule(Rule& rule);

}  // namespace menshen::sensor
