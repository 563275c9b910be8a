// The policy, as policyd enforces it. Checking a text needs nobody's right but to write one.
#include "policy/policy.hpp"
#include "base/diagnostic.hpp"
#include "console/api/handlers.hpp"
#include "policy/model/resolve.hpp"

namespace menshen::console {
namespace {

constexpr const char* daemon_name = "policyd";

Result<Response> ask(Call& call, const char* op, const Json& args = Json::object()) {
  return reply(MENSHEN_TRY(call.desk.backend.ask({daemon_name, op, call.person()}, args)));
}

Result<Response> show(Call& call) { return ask(call, "show"); }
Result<Response> history(Call& call) { return ask(call, "history"); }
Result<Response> proposal(Call& call) { return ask(call, "proposal"); }
Result<Response> prove(Call& call) { return ask(call, "prove"); }

Result<Response> check(Call& call) {
  const std::string source = MENSHEN_TRY(text_of(call.body, "source"));
  const auto loaded =
      policy::load("policy.yaml", source, {policy::today(*call.desk.backend.clock)});
  return reply({{"valid", loaded.policy.has_value()},
                {"errors", loaded.diagnostics.errors()},
                {"warnings", loaded.diagnostics.warnings()},
                {"items_zh", Json::parse(loaded.diagnostics.to_json(Lang::zh), nullptr, false)},
                {"items_en", Json::parse(loaded.diagnostics.to_json(Lang::en), nullptr, false)}});
}

Result<Json> candidate_of(Call& call) {
  const std::string name = MENSHEN_TRY(text_of(call.body, "name"));
  call.object = name;
  const std::string source = MENSHEN_TRY(text_of(call.body, "source"));
  Json args = {{"name", name}, {"source", source}};
  const auto seconds = call.body.find("confirm_seconds");
  if (seconds != call.body.end()) {
    if (!seconds->is_number_integer()) {
      return fail(ErrorCode::invalid, {"confirm_seconds 须为整数", "confirm_seconds is a number"});
    }
    args["confirm_seconds"] = *seconds;
    call.detail["confirm_seconds"] = *seconds;
  }
  return args;
}

Result<Response> plan(Call& call) {
  const Json args = MENSHEN_TRY(candidate_of(call));
  return ask(call, "plan", args);
}

Result<Response> apply(Call& call) {
  const Json args = MENSHEN_TRY(candidate_of(call));
  return ask(call, "apply", args);
}

Result<Response> approve(Call& call) {
  const std::string digest = MENSHEN_TRY(text_of(call.body, "sha256"));
  call.object = digest;
  return ask(call, "approve", {{"sha256", digest}});
}

Result<Response> confirm(Call& call) { return ask(call, "confirm"); }

Result<Response> rollback(Call& call) {
  const auto number = call.body.find("number");
  if (number == call.body.end() || !number->is_number_unsigned()) {
    return fail(ErrorCode::invalid, {"缺少历史编号 number", "the number is missing"});
  }
  call.object = number->dump();
  return ask(call, "rollback", {{"number", *number}});
}

constexpr Right see = Right::see_policy;
constexpr Right change = Right::change_policy;
const std::array<Route, 10> table{{
    {{"GET", "/api/policy", see, ""}, show},
    {{"GET", "/api/policy/history", see, ""}, history},
    {{"GET", "/api/policy/proposal", see, ""}, proposal},
    {{"POST", "/api/policy/prove", see, "policy.prove"}, prove},
    {{"POST", "/api/policy/check", change, "", false, body_bytes_policy}, check},
    {{"POST", "/api/policy/plan", change, "", false, body_bytes_policy}, plan},
    {{"POST", "/api/policy/apply", change, "policy.apply", true, body_bytes_policy}, apply},
    {{"POST", "/api/policy/approve", change, "policy.approve", true}, approve},
    {{"POST", "/api/policy/confirm", change, "policy.confirm", true}, confirm},
    {{"POST", "/api/policy/rollback", change, "policy.rollback", true}, rollback},
}};

}  // namespace

std::span<const Route> policy_routes() { return table; }

}  // namespace menshen::console
