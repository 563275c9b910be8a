// What the console stands on: the other daemons, the audit store, reports on disk. Given by the
// program that puts it together; tests give their own.
#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "audit/record/record.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"

namespace menshen::console {

using Json = nlohmann::json;

struct Question {
  std::string daemon;  // "policyd", "sensord", "auditd"
  std::string op;
  std::string person;  // on whose behalf; empty: the console itself
};

// Every function is called by many threads at once.
struct Backend {
  std::function<Result<Json>(const Question& question, const Json& args)> ask;
  std::function<Result<void>(audit::Record record)> record;  // returns when it is durable
  std::function<Result<void>()> reload_certificate;
  std::filesystem::path audit_directory;
  std::filesystem::path compliance_directory;
  std::filesystem::path certificate;
  std::filesystem::path setup_code;  // the file that holds it, while it is needed
  const Clock* clock = nullptr;
};

}  // namespace menshen::console
