// How a policy comes into force: applied, proposed and approved, confirmed or taken back.
#include <fmt/format.h>

#include <algorithm>

#include "apps/common/change_json.hpp"
#include "apps/common/proof_json.hpp"
#include "apps/policyd/active_json.hpp"
#include "apps/policyd/service.hpp"
#include "base/file.hpp"
#include "base/service.hpp"
#include "policy/model/change.hpp"

namespace menshen::apps {
namespace {

constexpr std::uint32_t confirm_seconds_max = 86'400;
constexpr std::size_t unconfirmed_bytes_max = 4096;
// Its text may grow sixfold as a JSON string.
constexpr std::size_t proposal_bytes_max = 6 * policy_source_bytes_max + (1U << 16U);
constexpr MonotonicTime second = 1'000'000'000;

std::string required_text(const Json& args, const char* key) {
  return args.at(key).get<std::string>();
}

Json diagnostics_json(const Diagnostics& diagnostics) {
  return {{"zh", diagnostics.render(Lang::zh)},
          {"en", diagnostics.render(Lang::en)},
          {"items_zh", Json::parse(diagnostics.to_json(Lang::zh), nullptr, false)},
          {"items_en", Json::parse(diagnostics.to_json(Lang::en), nullptr, false)}};
}

}  // namespace

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
  const auto seconds = args.value("confirm_seconds", std::int64_t{0});
  if (seconds < 0 || seconds > confirm_seconds_max) {
    return fail(ErrorCode::invalid,
                {fmt::format("确认时限应在 0 至 {} 秒之间", confirm_seconds_max),
                 fmt::format("the time to confirm is 0 to {} seconds", confirm_seconds_max)});
  }
  candidate.confirm_seconds = static_cast<std::uint32_t>(seconds);
  return candidate;
}

Json PolicyService::result_of(const Candidate& candidate) const {
  return {
      {"valid", candidate.policy.has_value()},      {"applied", false},
      {"sha256", candidate.active.sha256},          {"diagnostics", candidate.diagnostics},
      {"changes", changes_json(candidate.changes)}, {"changes_total", candidate.changes.size()}};
}

Result<Json> PolicyService::plan(const Json& args) const {
  const Candidate candidate = MENSHEN_TRY(compile(args));
  Json result = result_of(candidate);
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
  if (const auto kept = history_.add(*active_); !kept) log(LogLevel::error, kept.error().text);
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
  if (!candidate.policy) {
    act.severity = audit::Severity::low;
    act.outcome = audit::Outcome::rejected;
    act.message = {"策略有误，未下发", "the policy has mistakes and was not applied"};
    record(act);
    return result_of(candidate);
  }
  candidate.active.applied_by = caller.name;
  if (options_.four_eyes) return propose(std::move(candidate), caller);
  return install(std::move(candidate), std::move(act));
}

// The act is on record before it takes effect: what cannot be recorded is not done.
Result<Json> PolicyService::install(Candidate candidate, Act act) {
  Act begin = act;
  begin.kind = audit::Kind::admin;
  begin.outcome = audit::Outcome::unknown;
  begin.action = act.action + ".begin";
  begin.message = {"管理员请求下发策略", "an administrator asks for a policy to be applied"};
  const auto recorded = audit_.submit_durable(to_record(begin));
  if (!recorded) {
    return fail_while(
        {"审计不可用，策略未下发", "the audit cannot take the act, so the policy was not applied"},
        recorded.error());
  }
  Json result = result_of(candidate);
  candidate.active.applied_at = clock_.wall();
  const std::uint32_t back_to = active_ ? history_.newest() : 0;
  Result<void> done;
  if (candidate.confirm_seconds != 0) {
    // Before it takes effect: after a crash the next start finds it, and goes back.
    done = write_file_atomic(unconfirmed_file(), std::to_string(back_to) + "\n");
  } else {
    forget_unconfirmed();
  }
  if (done) done = put_in_force(candidate.active, std::move(*candidate.policy));
  if (!done) {
    if (candidate.confirm_seconds != 0) forget_unconfirmed();
    act.severity = audit::Severity::high;
    act.outcome = audit::Outcome::failure;
    act.message = done.error().text;
    record(act);
    return tl::make_unexpected(done.error());
  }
  if (candidate.confirm_seconds != 0) {
    unconfirmed_ = Unconfirmed{clock_.monotonic() + candidate.confirm_seconds * second, back_to};
    act.detail["confirm_seconds"] = candidate.confirm_seconds;
  }
  act.severity = audit::Severity::medium;
  act.outcome = audit::Outcome::success;
  act.message = {fmt::format("策略已下发，{} 处变化，内核回读一致", candidate.changes.size()),
                 fmt::format("the policy is in force, {} changes, and the kernel read back agrees",
                             candidate.changes.size())};
  act.detail["generation"] = active_->generation;
  // In force already; a record that is late is still delivered from the queue.
  if (const auto kept = audit_.submit_durable(to_record(act)); !kept)
    log(LogLevel::warning, kept.error().text);
  if (const auto proof = prove_and_record()) result["proof"] = to_json(*proof);
  result["applied"] = true;
  result["generation"] = active_->generation;
  result["confirm_seconds"] = candidate.confirm_seconds;
  return result;
}

Result<Json> PolicyService::propose(Candidate candidate, const Caller& caller) {
  Json result = result_of(candidate);
  result["proposed"] = true;
  Act act;
  act.kind = audit::Kind::admin;
  act.severity = audit::Severity::medium;
  act.subject = caller.name;
  act.action = "policy.propose";
  act.object = candidate.active.name;
  act.message = {"策略待另一名管理员批准",
                 "the policy waits for another administrator to approve it"};
  act.detail = {{"sha256", candidate.active.sha256},
                {"uid", caller.peer.uid},
                {"changes", candidate.changes.size()}};
  MENSHEN_CHECK(audit_.submit_durable(to_record(act)));
  proposal_ = Proposal{std::move(candidate), caller.peer.uid, caller.name};
  if (const auto kept = keep_proposal(); !kept) {
    forget_proposal();
    return tl::make_unexpected(kept.error());
  }
  return result;
}

Result<Json> PolicyService::approve(const Json& args, const Caller& caller) {
  const std::string digest = required_text(args, "sha256");
  if (!proposal_ || digest.size() < 8 || !proposal_->candidate.active.sha256.starts_with(digest)) {
    return fail(ErrorCode::not_found,
                {"没有该摘要的待批准策略", "no policy of that digest waits to be approved"});
  }
  Act act;
  act.kind = audit::Kind::policy;
  act.subject = caller.name;
  act.action = "policy.approve";
  act.object = proposal_->candidate.active.name;
  act.detail = {{"sha256", proposal_->candidate.active.sha256},
                {"author", proposal_->author},
                {"uid", caller.peer.uid},
                {"pid", caller.peer.pid}};
  // People of the console share its user and differ by name.
  if (caller.peer.uid == proposal_->uid && caller.name == proposal_->author) {
    act.severity = audit::Severity::medium;
    act.outcome = audit::Outcome::rejected;
    act.message = {"提交人不能批准自己的策略", "the author cannot approve the policy"};
    record(act);
    return fail(ErrorCode::denied, act.message);
  }
  Candidate candidate = std::move(proposal_->candidate);
  candidate.active.applied_by = fmt::format("{}, approved by {}", proposal_->author, caller.name);
  forget_proposal();
  // Others may have come into force since it was proposed.
  candidate.changes = policy::changes_between(*policy_, *candidate.policy);
  return install(std::move(candidate), std::move(act));
}

Result<Json> PolicyService::proposal() const {
  if (!proposal_) {
    return fail(ErrorCode::not_found, {"没有待批准的策略", "no policy waits to be approved"});
  }
  Json result = result_of(proposal_->candidate);
  result["name"] = proposal_->candidate.active.name;
  result["source"] = proposal_->candidate.active.source;
  result["author"] = proposal_->author;
  return result;
}

std::filesystem::path PolicyService::proposal_file() const {
  return options_.active_file.parent_path() / "proposal";
}

Result<void> PolicyService::keep_proposal() const {
  const Candidate& candidate = proposal_->candidate;
  return write_file_atomic(proposal_file(), to_line({{"name", candidate.active.name},
                                                     {"source", candidate.active.source},
                                                     {"confirm_seconds", candidate.confirm_seconds},
                                                     {"uid", proposal_->uid},
                                                     {"author", proposal_->author}}));
}

void PolicyService::forget_proposal() {
  proposal_.reset();
  std::error_code error;
  std::filesystem::remove(proposal_file(), error);
  if (error)
    log(LogLevel::error,
        {"无法删除 " + proposal_file().string(), "cannot remove " + proposal_file().string()});
}

// One that does not load any more (a line expired meanwhile, a damaged file) is forgotten aloud.
void PolicyService::find_proposal() {
  const auto text = read_file(proposal_file(), proposal_bytes_max);
  if (!text && text.error().code == ErrorCode::not_found) return;
  const Json kept = text ? Json::parse(*text, nullptr, false) : Json();
  const bool whole = kept.is_object() && kept.contains("uid") && kept["uid"].is_number_unsigned() &&
                     kept.contains("author") && kept["author"].is_string() &&
                     kept.contains("name") && kept["name"].is_string() && kept.contains("source") &&
                     kept["source"].is_string() && kept.contains("confirm_seconds") &&
                     kept["confirm_seconds"].is_number_unsigned();
  if (whole) {
    auto candidate = compile(kept);
    if (candidate && candidate->policy) {
      const auto author = kept["author"].get<std::string>();
      candidate->active.applied_by = author;
      proposal_ = Proposal{std::move(*candidate), kept["uid"].get<std::uint32_t>(), author};
      return;
    }
  }
  const Text lost{"待批准的策略已无法加载，须重新提交",
                  "the policy that waited for approval does not load any more: propose it again"};
  log(LogLevel::warning, lost);
  record({audit::Kind::policy,
          audit::Severity::medium,
          audit::Outcome::failure,
          "policyd",
          "policy.propose",
          proposal_file().string(),
          lost,
          {}});
  forget_proposal();
}

std::filesystem::path PolicyService::unconfirmed_file() const {
  return options_.active_file.parent_path() / "unconfirmed";
}

void PolicyService::forget_unconfirmed() {
  unconfirmed_.reset();
  std::error_code error;
  std::filesystem::remove(unconfirmed_file(), error);
  if (error)
    log(LogLevel::error, {"无法删除 " + unconfirmed_file().string(),
                          "cannot remove " + unconfirmed_file().string()});
}

std::int64_t PolicyService::seconds_left() const {
  return std::max<std::int64_t>(0, (unconfirmed_->deadline - clock_.monotonic()) / second);
}

Result<Json> PolicyService::confirm(const Caller& caller) {
  if (!unconfirmed_)
    return fail(ErrorCode::not_found, {"没有待确认的策略", "no policy waits to be confirmed"});
  forget_unconfirmed();
  record({audit::Kind::admin,
          audit::Severity::medium,
          audit::Outcome::success,
          caller.name,
          "policy.confirm",
          active_ ? active_->name : "",
          {"策略已确认，不再自动回退", "the policy was confirmed and stays"},
          {{"uid", caller.peer.uid}}});
  return Json{{"confirmed", true}};
}

Result<void> PolicyService::go_back(std::uint32_t number, const std::string& who) {
  Result<void> done;
  if (number == 0) {
    std::error_code error;
    std::filesystem::remove(options_.active_file, error);
    if (options_.block_without_policy) {
      const auto enforced = enforcer_.enforce(policy::Policy{});
      if (!enforced) done = tl::make_unexpected(enforced.error());
    } else {
      done = enforcer_.remove();
    }
    if (done) {
      active_.reset();
      policy_ = std::make_shared<const policy::Policy>();
      isolation_.set_policy(policy_);
    }
  } else {
    auto earlier = MENSHEN_TRY(history_.get(number));
    policy::Policy compiled = MENSHEN_TRY(compile_active(earlier, clock_));
    earlier.applied_at = clock_.wall();
    earlier.applied_by = who;
    done = put_in_force(earlier, std::move(compiled));
  }
  const Text text = done ? Text{number == 0 ? "已回退到无策略状态"
                                            : fmt::format("已回退到第 {} 号历史策略", number),
                                number == 0 ? "went back to no policy"
                                            : fmt::format("went back to policy number {}", number)}
                         : done.error().text;
  log(done ? LogLevel::notice : LogLevel::error, text);
  record({audit::Kind::policy,
          audit::Severity::high,
          done ? audit::Outcome::success : audit::Outcome::failure,
          who,
          "policy.rollback",
          active_ ? active_->name : "default-drop",
          text,
          {{"number", number}}});
  if (done) static_cast<void>(prove_and_record());
  return done;
}

void PolicyService::check_confirm() {
  if (!unconfirmed_ || clock_.monotonic() < unconfirmed_->deadline) return;
  const std::uint32_t number = unconfirmed_->back_to;
  // Kept until it is done: tried again at the next call, and at the next start.
  if (go_back(number, "policyd")) forget_unconfirmed();
}

// A policy that was not confirmed before this program ended is taken back.
Result<void> PolicyService::go_back_at_start() {
  const auto text = read_file(unconfirmed_file(), unconfirmed_bytes_max);
  if (!text && text.error().code == ErrorCode::not_found) return {};
  if (!text) return tl::make_unexpected(text.error());
  const auto number = static_cast<std::uint32_t>(std::strtoul(text->c_str(), nullptr, 10));
  if (number == 0) {
    std::error_code error;
    std::filesystem::remove(options_.active_file, error);
  } else {
    const ActivePolicy earlier = MENSHEN_TRY(history_.get(number));
    MENSHEN_CHECK(save_active_policy(options_.active_file, earlier));
  }
  record({audit::Kind::policy,
          audit::Severity::high,
          audit::Outcome::success,
          "policyd",
          "policy.rollback",
          number == 0 ? "default-drop" : fmt::format("{}", number),
          {"重启前未确认的策略已回退",
           "a policy that was not confirmed before the restart is taken back"},
          {{"number", number}}});
  forget_unconfirmed();
  return {};
}

Result<Json> PolicyService::rollback(const Json& args, const Caller& caller) {
  auto number = args.value("number", std::uint32_t{0});
  if (number == 0 && unconfirmed_) {
    number = unconfirmed_->back_to;
  } else if (number == 0) {
    const auto entries = MENSHEN_TRY(history_.list());
    if (entries.size() < 2)
      return fail(ErrorCode::not_found, {"没有更早的策略", "there is no earlier policy"});
    number = entries[1].number;
  } else {
    static_cast<void>(MENSHEN_TRY(history_.get(number)));
  }
  Act begin;
  begin.kind = audit::Kind::admin;
  begin.severity = audit::Severity::medium;
  begin.outcome = audit::Outcome::unknown;
  begin.subject = caller.name;
  begin.action = "policy.rollback.begin";
  begin.object = fmt::format("{}", number);
  begin.message = {"管理员请求回退策略", "an administrator asks to go back to an earlier policy"};
  begin.detail = {{"uid", caller.peer.uid}, {"pid", caller.peer.pid}};
  MENSHEN_CHECK(audit_.submit_durable(to_record(begin)));
  MENSHEN_CHECK(go_back(number, caller.name));
  forget_unconfirmed();
  return Json{{"number", number}, {"active", active_ ? active_json(*active_) : Json()}};
}

Result<Json> PolicyService::history() const {
  Json list = Json::array();
  for (const auto& entry : MENSHEN_TRY(history_.list())) {
    Json each = active_json(entry.policy);
    each["number"] = entry.number;
    list.push_back(std::move(each));
  }
  return Json{{"entries", list}};
}

}  // namespace menshen::apps
