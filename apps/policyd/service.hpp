// policyd at work: what its control socket answers, what it does on its own (expiry, drift, drop
// log).
//
// Operations: status, facts, show, prove, history, proposal (Access::status); plan, apply, approve,
// confirm, rollback (Access::admin). Their shapes: docs/reference/control.md. Everything runs on
// the daemon's event loop.
#pragma once

#include <memory>
#include <string>

#include "apps/common/active_policy.hpp"
#include "apps/common/audit_record.hpp"
#include "apps/common/event_loop.hpp"
#include "apps/control/server.hpp"
#include "apps/policyd/enforcer.hpp"
#include "apps/policyd/history.hpp"
#include "apps/policyd/isolation_log.hpp"
#include "audit/client/client.hpp"
#include "base/settings.hpp"
#include "policy/model/change.hpp"
#include "policy/nft/nflog.hpp"
#include "policy/nft/watch.hpp"

namespace menshen::apps {

struct PolicyServiceOptions {
  std::filesystem::path active_file;
  bool block_without_policy = true;
  bool restore_when_drifted = true;
  bool four_eyes = false;  // a policy takes effect only when a second administrator approves it
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
  void check_confirm();  // a policy that nobody confirmed in time is taken back
  // Somebody changed the kernel's rulesets. own: the netlink address of our own changes.
  void on_transactions(policy::nft::TransactionWatch& watch, std::uint32_t own);
  void check_expiry();  // a line whose last day is over stops to hold
  void flush_isolation(const policy::nft::NflogReader& reader);

  [[nodiscard]] const std::optional<ActivePolicy>& active() const { return active_; }

  [[nodiscard]] Result<Json> apply(const Json& args, const Caller& caller);
  [[nodiscard]] Result<Json> approve(const Json& args, const Caller& caller);
  [[nodiscard]] Result<Json> proposal() const;
  [[nodiscard]] Result<Json> confirm(const Caller& caller);
  [[nodiscard]] Result<Json> rollback(const Json& args, const Caller& caller);
  [[nodiscard]] Result<Json> history() const;
  [[nodiscard]] Result<Json> prove();
  [[nodiscard]] Result<Json> plan(const Json& args) const;
  [[nodiscard]] Result<Json> show();
  [[nodiscard]] Result<Json> status();
  [[nodiscard]] Result<Json> facts();

 private:
  struct Candidate {
    ActivePolicy active;
    std::optional<policy::Policy> policy;  // nothing: the diagnostics have errors
    Json diagnostics = Json::object();
    std::vector<policy::Change> changes;
    std::uint32_t confirm_seconds = 0;  // 0: needs no confirmation
  };
  // Waits for a second administrator. Kept in the file `proposal` of the state folder too.
  struct Proposal {
    Candidate candidate;
    std::uint32_t uid = 0;
    std::string author;
  };
  // In force, but taken back unless somebody confirms it.
  struct Unconfirmed {
    MonotonicTime deadline = 0;
    std::uint32_t back_to = 0;  // history number; 0: no policy
  };

  [[nodiscard]] Result<Candidate> compile(const Json& args) const;
  [[nodiscard]] Json result_of(const Candidate& candidate) const;
  [[nodiscard]] Result<void> put_in_force(const ActivePolicy& next, policy::Policy compiled);
  [[nodiscard]] Result<Json> install(Candidate candidate, Act act);
  [[nodiscard]] Result<Json> propose(Candidate candidate, const Caller& caller);
  // As it was with a number of the history, or with no policy.
  [[nodiscard]] Result<void> go_back(std::uint32_t number, const std::string& who);
  [[nodiscard]] Result<void> go_back_at_start();
  [[nodiscard]] Result<void> restore();  // what was in force when the program ended
  void forget_unconfirmed();
  [[nodiscard]] std::filesystem::path proposal_file() const;
  [[nodiscard]] Result<void> keep_proposal() const;
  void forget_proposal();
  void find_proposal();  // that waited when the program ended
  [[nodiscard]] std::filesystem::path unconfirmed_file() const;
  void record(const Act& act);
  void record_drift(const std::vector<policy::nft::Drift>& drifts, const Json& by);
  void record_others(const Json& by);
  void look_for_drift(const Json& by);
  [[nodiscard]] std::int64_t seconds_left() const;
  Result<policy::prove::Report> prove_and_record();

  PolicyServiceOptions options_;
  Enforcer& enforcer_;
  audit::Client& audit_;
  IsolationLog& isolation_;
  const Clock& clock_;
  PolicyHistory history_;
  std::optional<ActivePolicy> active_;
  std::optional<Proposal> proposal_;
  std::optional<Unconfirmed> unconfirmed_;
  std::shared_ptr<const policy::Policy> policy_;
  std::vector<std::string> others_;  // that took part when last looked at
  std::string proved_;               // the last conclusion
  std::chrono::year_month_day compiled_on_{};
  std::vector<std::string> drift_places_;  // that were reported last
  std::optional<Error> drift_error_;
  std::uint64_t drifts_seen_ = 0;
  std::uint64_t messages_lost_ = 0;
};

}  // namespace menshen::apps
