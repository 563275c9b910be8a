#include "apps/policyd/service.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "apps/common/proof_json.hpp"
#include "apps/policyd/active_json.hpp"
#include "apps/policyd/facts.hpp"
#include "base/service.hpp"
#include "policy/model/change.hpp"
#include "policy/model/explain.hpp"
#include "policy/nft/reason.hpp"

namespace menshen::apps {
namespace {

constexpr std::string_view daemon_name = "policyd";
constexpr std::size_t drifts_reported_max = 20;

Json drift_json(const policy::nft::Drift& drift) {
  return {{"kind", policy::nft::name_of(drift.kind)},
          {"place", drift.place},
          {"want", drift.want},
          {"live", drift.live},
          {"zh", drift.text.zh},
          {"en", drift.text.en}};
}

}  // namespace

Json active_json(const ActivePolicy& active) {
  return {{"name", active.name},
          {"sha256", active.sha256},
          {"applied_at", format_utc(active.applied_at)},
          {"applied_by", active.applied_by},
          {"generation", active.generation}};
}

PolicyService::PolicyService(PolicyServiceOptions options, Enforcer& enforcer, audit::Client& audit,
                             IsolationLog& isolation, const Clock& clock)
    : options_(std::move(options)),
      enforcer_(enforcer),
      audit_(audit),
      isolation_(isolation),
      clock_(clock),
      history_(options_.active_file.parent_path() / "history"),
      policy_(std::make_shared<const policy::Policy>()) {}

void PolicyService::record(const Act& act) { audit_.submit(to_record(act)); }

Result<void> PolicyService::start() {
  MENSHEN_CHECK(go_back_at_start());
  MENSHEN_CHECK(restore());
  // After it: a proposal's changes are told against what is in force.
  find_proposal();
  return {};
}

Result<void> PolicyService::restore() {
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
  static_cast<void>(prove_and_record());
  return {};
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
  json["proof"] = proved_.empty() ? Json() : Json(proved_);
  json["unconfirmed_seconds"] = unconfirmed_ ? Json(seconds_left()) : Json();
  json["proposal"] = proposal_ ? Json(proposal_->candidate.active.sha256) : Json();
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

void PolicyService::record_drift(const std::vector<policy::nft::Drift>& drifts, const Json& by) {
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
          {{"drift", list}, {"by", by}}});
}

void PolicyService::check_drift() { look_for_drift(Json::array()); }

void PolicyService::look_for_drift(const Json& by) {
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
  record_drift(*drifts, by);
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
  if (!restored) return;
  drift_places_.clear();
  static_cast<void>(prove_and_record());
}

// Tables of other programs may let pass, drop or change what ours decides.
void PolicyService::record_others(const Json& by) {
  const auto all = enforcer_.others();
  std::vector<std::string> now;
  if (all) {
    for (const Text& each : *all) now.push_back(each.en);
  } else {
    now.push_back(all.error().text.en);
  }
  if (now == others_) return;
  others_ = now;
  const Text text{
      fmt::format("参与转发的其他内核对象有变化，现有 {} 项", now.size()),
      fmt::format("what else takes part in forwarding has changed: {} things now", now.size())};
  log(LogLevel::warning, text);
  record({audit::Kind::policy,
          now.empty() ? audit::Severity::info : audit::Severity::medium,
          audit::Outcome::unknown,
          std::string(daemon_name),
          "policy.others",
          "inet menshen",
          text,
          {{"others", now}, {"by", by}}});
  static_cast<void>(prove_and_record());
}

void PolicyService::on_transactions(policy::nft::TransactionWatch& watch, std::uint32_t own) {
  bool overrun = false;
  const auto seen = watch.read(overrun);
  if (!seen) return log(LogLevel::warning, seen.error().text);
  Json by = Json::array();
  for (const policy::nft::Transaction& each : *seen) {
    if (each.sender == own || by.size() == drifts_reported_max) continue;
    by.push_back({{"process", each.process}, {"name", each.process_name}});
  }
  if (by.empty() && !overrun) return;
  look_for_drift(by);
  record_others(by);
}

Result<policy::prove::Report> PolicyService::prove_and_record() {
  auto report = enforcer_.prove();
  if (!report) return report;
  using policy::prove::Conclusion;
  const bool proved = report->conclusion == Conclusion::proved;
  proved_ = policy::prove::name_of(report->conclusion);
  Act act{audit::Kind::proof,
          proved                                       ? audit::Severity::info
          : report->conclusion == Conclusion::violated ? audit::Severity::critical
                                                       : audit::Severity::medium,
          proved                                       ? audit::Outcome::success
          : report->conclusion == Conclusion::violated ? audit::Outcome::failure
                                                       : audit::Outcome::unknown,
          std::string(daemon_name),
          "policy.prove",
          active_ ? active_->name : "default-drop",
          policy::prove::words(*report),
          to_json(*report)};
  if (active_) act.detail["sha256"] = active_->sha256;
  act.detail["generation"] = enforcer_.wanted()->generation;
  record(act);
  return report;
}

Result<Json> PolicyService::prove() {
  const auto report = MENSHEN_TRY(prove_and_record());
  Json json = to_json(report);
  json["generation"] = enforcer_.wanted()->generation;
  json["active"] = active_ ? active_json(*active_) : Json();
  return json;
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
  server.add("prove", Access::status, [this](const Json&, const Caller&) { return prove(); });
  server.add("history", Access::status, [this](const Json&, const Caller&) { return history(); });
  server.add("proposal", Access::status, [this](const Json&, const Caller&) { return proposal(); });
  server.add("approve", Access::admin,
             [this](const Json& args, const Caller& caller) { return approve(args, caller); });
  server.add("confirm", Access::admin,
             [this](const Json&, const Caller& caller) { return confirm(caller); });
  server.add("rollback", Access::admin,
             [this](const Json& args, const Caller& caller) { return rollback(args, caller); });
  server.add("plan", Access::admin, [this](const Json& args, const Caller&) { return plan(args); });
  server.add("apply", Access::admin,
             [this](const Json& args, const Caller& caller) { return apply(args, caller); });
}

}  // namespace menshen::apps
