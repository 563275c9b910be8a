// Questions to auditd over its own socket protocol (audit/server/protocol.hpp): JSON, one message
// each way.
#pragma once

#include "apps/control/message.hpp"
#include "base/settings.hpp"

namespace menshen::apps {

// The daemon's answer; its own error otherwise. ErrorCode::unavailable where it does not run.
[[nodiscard]] Result<Json> ask_auditd(const Settings& settings, const Json& request);

}  // namespace menshen::apps
