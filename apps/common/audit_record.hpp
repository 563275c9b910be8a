// Audit records of the daemons' own acts and of what administrators ask of them.
#pragma once

#include <string>

#include "apps/control/message.hpp"
#include "audit/client/client.hpp"
#include "audit/record/record.hpp"
#include "base/lang.hpp"
#include "base/settings.hpp"

namespace menshen::apps {

struct Act {
  audit::Kind kind = audit::Kind::system;
  audit::Severity severity = audit::Severity::info;
  audit::Outcome outcome = audit::Outcome::success;
  std::string subject;  // who
  std::string action;   // "policy.apply"
  std::string object;   // to what
  Text message;
  Json detail = Json::object();  // empty: none
};

// Both languages stand in the record's message ("zh / en"): it is evidence, and its reader is not
// known.
[[nodiscard]] audit::Record to_record(const Act& act);

// How a daemon's client is set up from the settings; its spool is below the daemon's own state
// directory.
[[nodiscard]] audit::ClientOptions audit_client_options(
    const Settings& settings, std::string source, const std::filesystem::path& state_directory);

[[nodiscard]] Json to_json(const audit::ClientStats& stats);

}  // namespace menshen::apps
