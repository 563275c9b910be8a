// Questions to auditd over its own socket protocol (audit/server/protocol.hpp): JSON, one message
// each way.
#pragma once

#include "apps/control/message.hpp"
#include "base/settings.hpp"

namespace menshen::apps {

class Cli;

// The daemon's answer; its own error otherwise. ErrorCode::unavailable where it does not run.
[[nodiscard]] Result<Json> ask_auditd(const Settings& settings, const Json& request);

// Reading the live store is itself recorded, with the question (`filter`) and what it found. Where
// it could not be recorded, that is printed.
void tell_of_search(const Cli& cli, const Settings& settings, const std::string& action,
                    const std::string& filter, std::uint64_t records);

}  // namespace menshen::apps
