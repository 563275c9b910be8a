// The space "system" of the product facts: the daemons as the kernel sees them, and the machine.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>

#include "apps/control/message.hpp"
#include "base/settings.hpp"

namespace menshen::apps {

inline constexpr std::array<std::string_view, 3> daemon_names{"auditd", "policyd", "sensord"};

// The process behind a daemon's socket, by its credentials; nothing where none listens.
[[nodiscard]] std::optional<pid_t> daemon_pid(const Settings& settings, std::string_view daemon);

// What cannot be observed is left out.
[[nodiscard]] Json system_facts(const Settings& settings,
                                const std::filesystem::path& settings_file);

}  // namespace menshen::apps
