// sensord at work: what its control socket answers, and what changes while packets go on (rules,
// policy).
//
// Operations: status, facts (Access::status); reload (Access::admin), the same as SIGHUP. Their
// shapes: docs/reference/control.md. Everything here runs on the daemon's event loop; the packets
// have their own thread.
#pragma once

#include <memory>
#include <optional>

#include "apps/common/audit_record.hpp"
#include "apps/common/event_loop.hpp"
#include "apps/control/server.hpp"
#include "apps/sensord/event_file.hpp"
#include "apps/sensord/policy_watch.hpp"
#include "apps/sensord/rules.hpp"
#include "apps/sensord/sink.hpp"
#include "apps/sensord/worker.hpp"

namespace menshen::apps {

class SensorService {
 public:
  struct Parts {
    Worker& worker;
    SensorSink& sink;
    EventFile* events = nullptr;  // null: none is written
    FileKeeper* files = nullptr;  // null: files are neither stored nor scanned
    audit::Client& audit;
    PolicyWatch& watch;
    RuleReloader& reloader;
    // /proc/net/netfilter/nfnetlink_queue, opened while root's files could be
    const UniqueFd& queue_statistics;
  };

  SensorService(Settings settings, LoadedRules rules, Parts parts)
      : settings_(std::move(settings)), rules_(std::move(rules)), parts_(parts) {}

  void add_operations(ControlServer& server, const std::function<void()>& reload);
  void record(const Act& act) { parts_.audit.submit(to_record(act)); }

  void set_settings(Settings settings) { settings_ = std::move(settings); }
  void start_rule_reload() { parts_.reloader.start(settings_); }
  void finish_rule_reload();
  // Reads the active policy and hands it to the worker; what cannot be read leaves the old one.
  void take_policy();

  [[nodiscard]] Json status() const;
  [[nodiscard]] Json facts() const;

 private:
  Settings settings_;
  LoadedRules rules_;
  Parts parts_;
  std::optional<ActivePolicy> policy_;
  std::optional<Error> policy_error_;
};

// Logs how many rules were loaded, and each rejected one (the first of many) with its place.
void log_rules(const LoadedRules& rules);
// What the audit keeps of a set of rules: files, numbers.
[[nodiscard]] Json rules_json(const LoadedRules& rules);

}  // namespace menshen::apps
