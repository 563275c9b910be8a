// policyd at work: what its control socket answers, what it does on its own (expiry, drift, drop
// log).
//
// Operations: status, facts, show (Access::status); plan, apply (Access::admin). Their shapes:
// docs/reference/control.md. Everything runs on the daemon's event loop.
#pragma once

#include <memory>
#include <string>

#include "apps/common/active_policy.hpp"
#include "apps/common/audit_record.hpp"
#include "apps/common/event_loop.hpp"
#include "apps/control/server.hpp"
#include "apps/policyd/enforcer.hpp"
#include "apps/policyd/isolation_log.hpp"
#include "audit/client/client.hpp"
#include "base/settings.hpp"
#include "policy/nft/nflog.hpp"

namespace menshen::apps {

struct PolicyServiceOptions {
  std::filesystem::path active_file;
  bool block_without_policy = true;
  bool restore_when_drifted = true;
  std::vector<std::string> management_interfaces;
};

class PolicyService {
 public:
  PolicyService(PolicyServiceOptions options, Enforcer& enforcer, audit::Client& audit,
                IsolationLog& isolation, const Clock& clock = system_clock());

  // Enforces the policy that was active before, or what the settings say of none.
  [[nodiscard]] Result<void> start();
  void add_operations(ControlServer& server);

  // Timers of the daemon.
  void check_drift();
  void check_expiry();  // a line whose last day is over stops to hold
  void flush_isolation(const policy::nft::NflogReader& reader);

  [[nodiscard]] const std::optional<ActivePolicy>& active() const { return active_; }

  [[nodiscard]] Result<Json> apply(const Json& args, const Caller& caller);
  [[nodiscard]] Result<Json> plan(const Json& args) const;
  [[nodiscard]] Result<Json> show();
  [[nodiscard]] Result<Json> status();
  [[nodiscard]] Result<Json> facts();

 private:
  struct Candidate;
  [[nodiscard]] Result<Candidate> compile(const Json& args) const;
  [[nodiscard]] Result<void> put_in_force(const ActivePolicy& next, policy::Policy compiled);
  void record(const Act& act);
  void record_drift(const std::vector<policy::nft::Drift>& drifts);

  PolicyServiceOptions options_;
  Enforcer& enforcer_;
  audit::Client& audit_;
  IsolationLog& isolation_;
  const Clock& clock_;
  std::optional<ActivePolicy> active_;
  std::shared_ptr<const policy::Policy> policy_;
  std::chrono::year_month_day compiled_on_{};
  std::vector<std::string> drift_places_;  // that were reported last
  std::optional<Error> drift_error_;
  std::uint64_t drifts_seen_ = 0;
  std::uint64_t messages_lost_ = 0;
};

}  // namespace menshen::apps
