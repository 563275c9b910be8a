#include "apps/policyd/service.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "apps/policyd/facts.hpp"
#include "base/service.hpp"
#include "policy/model/change.hpp"
#include "policy/model/explain.hpp"
#include "policy/nft/reason.hpp"

namespace menshen::apps {
namespace {

constexpr std::string_view daemon_name = "policyd";
constexpr std::size_t changes_reported_max = 10'000;
constexpr std::size_t drifts_reported_max = 20;

std::string required_text(const Json& args, const char* key) {
  return args.at(key).get<std::string>();
}

Json diagnostics_json(const Diagnostics& diagnostics) {
  return {{"zh", diagnostics.render(Lang::zh)},
          {"en", diagnostics.render(Lang::en)},
          {"items_zh", Json::parse(diagnostics.to_json(Lang::zh), nullptr, false)},
          {"items_en", Json::parse(diagnostics.to_json(Lang::en), nullptr, false)}};
}

std::string_view change_name(policy::ChangeKind kind) {
  switch (kind) {
    case policy::ChangeKind::newly_passes:
      return "newly_passes";
    case policy::ChangeKind::newly_blocked:
      return "newly_blocked";
    case policy::ChangeKind::inspection:
      return "inspection";
    case policy::ChangeKind::domain:
      return "domain";
  }
  return "";
}

Json changes_json(const std::vector<policy::Change>& changes) {
  Json list = Json::array();
  for (const policy::Change& change : changes) {
    if (list.size() == changes_reported_max) break;
    list.push_back({{"kind", change_name(change.kind)},
                    {"from", change.from},
                    {"to", change.to},
                    {"service", change.service},
                    {"zh", change.text.zh},
                    {"en", change.text.en}});
  }
  return list;
}

Json drift_json(const policy::nft::Drift& drift) {
  return {{"kind", policy::nft::name_of(drift.kind)},
          {"place", drift.place},
          {"want", drift.want},
          {"live", drift.live},
          {"zh", drift.text.zh},
          {"en", drift.text.en}};
}

Json active_json(const ActivePolicy& active) {
  return {{"name", active.name},
          {"sha256", active.sha256},
          {"applied_at", format_utc(active.applied_at)},
          {"applied_by", active.applied_by},
          {"generation", active.generation}};
}

}  // namespace

struct PolicyService::Candidate {
  ActivePolicy active;
  std::optional<policy::Policy> policy;  // nothing: the diagnostics have errors
  Json diagnostics;
  std::vector<policy::Change> changes;
};

PolicyService::PolicyService(PolicyServiceOptions options, Enforcer& enforcer, audit::Client& audit,
                             IsolationLog& isolation, const Clock& clock)
    : options_(std::move(options)),
      enforcer_(enforcer),
      audit_(audit),
      isolation_(isolation),
      clock_(clock),
      policy_(std::make_shared<const policy::Policy>()) {}

void PolicyService::record(const Act& act) { audit_.submit(to_record(act)); }

Result<void> PolicyService::start() {
  auto active = load_active_policy(options_.active_file);
  if (!active) {
    // A damaged state file must not open the gate: what the kernel still holds is left alone, and
    // an empty table gets the default drop.
    record({audit::Kind::policy,
            audit::Severity::critical,
            audit::Outcome::failure,
            std::string(daemon_name),
            "policy.restore",
            options_.active_file.string(),
            active.error().text,
            {}});
    const auto live = enforcer_.kernel().read_back("menshen");
    if (live && !live->present) static_cast<void>(enforcer_.enforce(policy::Policy{}));
    return tl::make_unexpected(active.error());
  }
  compiled_on_ = policy::today(clock_);
  if (!*active) {
    if (!options_.block_without_policy) return {};
    const std::uint32_t generation = MENSHEN_TRY(enforcer_.enforce(policy::Policy{}));
    record({audit::Kind::policy,
            audit::Severity::info,
            audit::Outcome::success,
            std::string(daemon_name),
            "policy.restore",
            "default-drop",
            {"尚无策略，全部转发流量默认阻断",
             "no policy was ever applied: everything forwarded is dropped"},
            {{"generation", generation}}});
    return {};
  }
  policy::Policy compiled = MENSHEN_TRY(compile_active(**active, clock_));
  const std::uint32_t generation = MENSHEN_TRY(enforcer_.enforce(compiled));
  policy_ = std::make_shared<const policy::Policy>(std::move(compiled));
  isolation_.set_policy(policy_);
  active_ = std::move(**active);
  record({audit::Kind::policy,
          audit::Severity::info,
          audit::Outcome::success,
          std::string(daemon_name),
          "policy.restore",
          active_->name,
          {"启动时恢复了生效策略", "the active policy was put in force at the start"},
          {{"sha256", active_->sha256}, {"generation", generation}}});
  return {};
}

Result<PolicyService::Candidate> PolicyService::compile(const Json& args) const {
  Candidate candidate;
  candidate.active.name = required_text(args, "name");
  candidate.active.source = required_text(args, "source");
  if (candidate.active.source.size() > policy_source_bytes_max) {
    return fail(ErrorCode::limit, {fmt::format("策略文件超过上限 {} 字节", policy_source_bytes_max),
                                   fmt::format("the policy is above the limit of {} bytes",
                                               policy_source_bytes_max)});
  }
  candidate.active.sha256 = MENSHEN_TRY(sha256_hex(candidate.active.source));
  auto loaded = policy::load(candidate.active.name, candidate.active.source,
                             {policy::today(clock_), policy::Expired::error});
  candidate.diagnostics = diagnostics_json(loaded.diagnostics);
  candidate.policy = std::move(loaded.policy);
  if (candidate.policy) {
    candidate.changes = policy::changes_between(*policy_, *candidate.policy);
  }
  return candidate;
}

Result<Json> PolicyService::plan(const Json& args) const {
  const Candidate candidate = MENSHEN_TRY(compile(args));
  Json result = {{"valid", candidate.policy.has_value()},
                 {"sha256", candidate.active.sha256},
                 {"diagnostics", candidate.diagnostics},
                 {"changes", changes_json(candidate.changes)},
                 {"changes_total", candidate.changes.size()}};
  result["active"] = active_ ? active_json(*active_) : Json();
  return result;
}

Result<void> PolicyService::put_in_force(const ActivePolicy& next, policy::Policy compiled) {
  ActivePolicy saved = next;
  saved.generation = MENSHEN_TRY(enforcer_.enforce(compiled));
  const auto written = save_active_policy(options_.active_file, saved);
  if (!written) {
    // Not saved means gone at the next start: kernel and state must say the same.
    if (const auto back = enforcer_.enforce(*policy_); !back)
      log(LogLevel::error, back.error().text);
    return tl::make_unexpected(written.error());
  }
  policy_ = std::make_shared<const policy::Policy>(std::move(compiled));
  isolation_.set_policy(policy_);
  compiled_on_ = policy::today(clock_);
  active_ = std::move(saved);
  drift_places_.clear();
  return {};
}

Result<Json> PolicyService::apply(const Json& args, const Caller& caller) {
  Candidate candidate = MENSHEN_TRY(compile(args));
  Act act;
  act.kind = audit::Kind::policy;
  act.subject = caller.name;
  act.action = "policy.apply";
  act.object = candidate.active.name;
  act.detail = {{"sha256", candidate.active.sha256},
                {"uid", caller.peer.uid},
                {"pid", caller.peer.pid},
                {"changes", candidate.changes.size()}};
  Json result = {
      {"valid", candidate.policy.has_value()},      {"applied", false},
      {"sha256", candidate.active.sha256},          {"diagnostics", candidate.diagnostics},
      {"changes", changes_json(candidate.changes)}, {"changes_total", candidate.changes.size()}};
  if (!candidate.policy) {
    act.severity = audit::Severity::low;
    act.outcome = audit::Outcome::rejected;
    act.message = {"策略有误，未下发", "the policy has mistakes and was not applied"};
    record(act);
    return result;
  }
  // The act is on record before it takes effect: what cannot be recorded is not done.
  Act begin = act;
  begin.kind = audit::Kind::admin;
  begin.outcome = audit::Outcome::unknown;
  begin.action = "policy.apply.begin";
  begin.message = {"管理员请求下发策略", "an administrator asks for a policy to be applied"};
  const auto recorded = audit_.submit_durable(to_record(begin));
  if (!recorded) {
    return fail_while(
        {"审计不可用，策略未下发", "the audit cannot take the act, so the policy was not applied"},
        recorded.error());
  }
  candidate.active.applied_at = clock_.wall();
  candidate.active.applied_by = caller.name;
  const auto done = put_in_force(candidate.active, std::move(*candidate.policy));
  if (!done) {
    act.severity = audit::Severity::high;
    act.outcome = audit::Outcome::failure;
    act.message = done.error().text;
    record(act);
    return tl::make_unexpected(done.error());
  }
  act.severity = audit::Severity::medium;
  act.outcome = audit::Outcome::success;
  act.message = {fmt::format("策略已下发，{} 处变化，内核回读一致", candidate.changes.size()),
                 fmt::format("the policy is in force, {} changes, and the kernel read back agrees",
                             candidate.changes.size())};
  act.detail["generation"] = active_->generation;
  // In force already; a record that is late is still delivered from the queue.
  if (const auto kept = audit_.submit_durable(to_record(act)); !kept) {
    log(LogLevel::warning, kept.error().text);
  }
  result["applied"] = true;
  result["generation"] = active_->generation;
  return result;
}

Result<Json> PolicyService::show() {
  if (!active_) {
    return fail(ErrorCode::not_found, {"尚未下发任何策略", "no policy was ever applied"});
  }
  Json json = active_json(*active_);
  json["source"] = active_->source;
  Json domains = Json::array();
  for (const policy::Domain& domain : policy_->domains()) {
    Json networks = Json::array();
    for (const Prefix& prefix : domain.networks) networks.push_back(prefix.to_string());
    domains.push_back({{"name", domain.name},
                       {"title", domain.title},
                       {"networks", networks},
                       {"interfaces", domain.interfaces}});
  }
  json["domains"] = domains;
  Json flows = Json::array();
  const auto names = [this](const std::vector<policy::DomainId>& ids) {
    Json list = Json::array();
    for (const policy::DomainId id : ids) list.push_back(policy_->domain(id).name);
    return list;
  };
  for (const policy::Line& line : policy_->lines()) {
    flows.push_back({{"line", line.position.line},
                     {"from", names(line.from)},
                     {"to", names(line.to)},
                     {"service", policy_->service_names(line)},
                     {"action", policy::name_of(line.action)},
                     {"inspect", policy::name_of(line.inspect)},
                     {"reason", line.reason},
                     {"ticket", line.ticket}});
  }
  json["flows"] = flows;
  const auto drifts = enforcer_.check();
  json["matches_kernel"] = drifts && drifts->empty();
  return json;
}

Result<Json> PolicyService::status() {
  Json json = {{"version", MENSHEN_VERSION}, {"audit", to_json(audit_.stats())}};
  json["active"] = active_ ? active_json(*active_) : Json();
  json["enforcing"] = enforcer_.wanted().has_value();
  json["domains"] = policy_->domains().size();
  json["flows"] = policy_->lines().size();
  const auto drifts = enforcer_.check();
  if (!drifts) {
    json["kernel_error"] = {{"zh", drifts.error().text.zh}, {"en", drifts.error().text.en}};
  } else {
    Json list = Json::array();
    for (const auto& drift : *drifts) {
      if (list.size() == drifts_reported_max) break;
      list.push_back(drift_json(drift));
    }
    json["drift"] = list;
    json["drift_count"] = drifts->size();
  }
  json["drifts_seen"] = drifts_seen_;
  json["log_messages_lost"] = messages_lost_;
  Json counters = Json::array();
  if (const auto live = enforcer_.kernel().counters("menshen")) {
    for (std::size_t i = 0; i < policy::nft::reasons; ++i) {
      const auto& info = policy::nft::info(static_cast<policy::nft::Reason>(i));
      counters.push_back({{"name", info.name},
                          {"drop", info.drop},
                          {"packets", (*live)[i].packets},
                          {"bytes", (*live)[i].bytes},
                          {"zh", info.help.zh},
                          {"en", info.help.en}});
    }
  }
  json["counters"] = counters;
  return json;
}

Result<Json> PolicyService::facts() {
  return policy_facts(
      {*policy_, active_ ? &*active_ : nullptr, enforcer_, clock_, options_.management_interfaces});
}

void PolicyService::record_drift(const std::vector<policy::nft::Drift>& drifts) {
  std::vector<std::string> places;
  Json list = Json::array();
  for (const auto& drift : drifts) {
    places.push_back(fmt::format("{} {}", policy::nft::name_of(drift.kind), drift.place));
    if (list.size() < drifts_reported_max) list.push_back(drift_json(drift));
  }
  if (places == drift_places_) return;  // already on record
  drift_places_ = std::move(places);
  if (drifts.empty()) return;
  ++drifts_seen_;
  const Text text{fmt::format("内核规则集被改动，共 {} 处", drifts.size()),
                  fmt::format("the kernel's ruleset was changed in {} places", drifts.size())};
  log(LogLevel::error, text);
  record({audit::Kind::policy,
          audit::Severity::critical,
          audit::Outcome::unknown,
          std::string(daemon_name),
          "policy.drift",
          "inet menshen",
          text,
          {{"drift", list}}});
}

void PolicyService::check_drift() {
  const auto drifts = enforcer_.check();
  if (!drifts) {
    if (!drift_error_) {
      log(LogLevel::error, drifts.error().text);
      record({audit::Kind::policy,
              audit::Severity::high,
              audit::Outcome::failure,
              std::string(daemon_name),
              "policy.readback",
              "inet menshen",
              drifts.error().text,
              {}});
    }
    drift_error_ = drifts.error();
    return;
  }
  drift_error_.reset();
  record_drift(*drifts);
  if (drifts->empty() || !options_.restore_when_drifted) return;
  const auto restored = enforcer_.restore();
  const Text text = restored ? Text{"已恢复内核规则集", "the kernel's ruleset was restored"}
                             : restored.error().text;
  log(restored ? LogLevel::notice : LogLevel::error, text);
  record({audit::Kind::policy,
          audit::Severity::high,
          restored ? audit::Outcome::success : audit::Outcome::failure,
          std::string(daemon_name),
          "policy.restore",
          "inet menshen",
          text,
          {}});
  if (restored) drift_places_.clear();
}

void PolicyService::check_expiry() {
  const auto today = policy::today(clock_);
  if (!active_ || today == compiled_on_) return;
  const auto expiry = policy_->next_expiry();
  compiled_on_ = today;
  if (!expiry || *expiry >= today) return;
  auto compiled = compile_active(*active_, clock_);
  Result<std::uint32_t> enforced =
      compiled ? enforcer_.enforce(*compiled) : tl::make_unexpected(compiled.error());
  if (enforced) {
    policy_ = std::make_shared<const policy::Policy>(std::move(*compiled));
    isolation_.set_policy(policy_);
  } else {
    compiled_on_ = {};  // tried again at the next call
  }
  const Text text =
      enforced ? Text{"策略行已到期，不再放行", "policy lines have expired and no longer hold"}
               : enforced.error().text;
  log(enforced ? LogLevel::notice : LogLevel::error, text);
  record({audit::Kind::policy,
          audit::Severity::medium,
          enforced ? audit::Outcome::success : audit::Outcome::failure,
          std::string(daemon_name),
          "policy.expire",
          active_->name,
          text,
          {{"sha256", active_->sha256}}});
}

void PolicyService::flush_isolation(const policy::nft::NflogReader& reader) {
  const std::uint64_t lost = reader.lost();
  for (audit::Record& each : isolation_.take(lost - messages_lost_)) audit_.submit(std::move(each));
  messages_lost_ = lost;
}

void PolicyService::add_operations(ControlServer& server) {
  server.add("status", Access::status, [this](const Json&, const Caller&) { return status(); });
  server.add("facts", Access::status, [this](const Json&, const Caller&) { return facts(); });
  server.add("show", Access::status, [this](const Json&, const Caller&) { return show(); });
  server.add("plan", Access::admin, [this](const Json& args, const Caller&) { return plan(args); });
  server.add("apply", Access::admin,
             [this](const Json& args, const Caller& caller) { return apply(args, caller); });
}

}  // namespace menshen::apps
