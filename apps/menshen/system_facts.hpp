// The space "system" of the product facts: the daemons as the kernel sees them, and the machine.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/control/message.hpp"
#include "base/settings.hpp"

namespace menshen::apps {

// Those that should run: the three that make the appliance, and forwardd and collectd where the
// settings give them something to do.
[[nodiscard]] std::vector<std::string_view> daemon_names(const Settings& settings);

// The process behind a daemon's socket, by its credentials; nothing where none listens.
[[nodiscard]] std::optional<pid_t> daemon_pid(const Settings& settings, std::string_view daemon);

// What cannot be observed is left out.
[[nodiscard]] Json system_facts(const Settings& settings,
                                const std::filesystem::path& settings_file);

}  // namespace menshen::apps
