// The settings of the sensor as the engine takes them.
#pragma once

#include "apps/sensord/file_keeper.hpp"
#include "base/settings.hpp"
#include "sensor/engine/engine.hpp"

namespace menshen::apps {

// Inline. Errors: an entry of sensor.host_os_policy or sensor.exception_policies that says nothing
// known; the text names the setting and the entry.
[[nodiscard]] Result<sensor::EngineOptions> engine_options(const Settings& settings);

// Where files go. Neither a store nor a socket: nowhere.
[[nodiscard]] FileKeeperOptions file_keeper_options(const Settings& settings);

}  // namespace menshen::apps
