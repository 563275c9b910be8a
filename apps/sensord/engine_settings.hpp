// The settings of the sensor as the engine takes them.
#pragma once

#include "base/settings.hpp"
#include "sensor/engine/engine.hpp"

namespace menshen::apps {

// Inline. Errors: an entry of sensor.host_os_policy or sensor.exception_policies that says nothing
// known; the text names the setting and the entry.
[[nodiscard]] Result<sensor::EngineOptions> engine_options(const Settings& settings);

}  // namespace menshen::apps
