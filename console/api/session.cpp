// First set-up, signing in and out, one's own password.
#include <fmt/format.h>

#include "base/file.hpp"
#include "console/api/handlers.hpp"
#include "console/http/secret.hpp"

namespace menshen::console {
namespace {

constexpr std::size_t setup_code_bytes_max = 256;

Json enrolment_json(const Enrolment& enrolment) {
  return {{"secret", enrolment.secret}, {"uri", enrolment.uri}, {"qr", enrolment.qr}};
}

Json session_json(const Desk& desk, const Session& session) {
  const SessionLimits& limits = desk.sessions.limits();
  return {{"state", "signed_in"},
          {"name", session.name},
          {"role", name_of(session.role)},
          {"domains", session.domains},
          {"csrf", session.csrf},
          {"started_at", format_utc(session.started)},
          {"idle_seconds", limits.idle.count()},
          {"absolute_seconds", limits.absolute.count()}};
}

tl::unexpected<Error> sign_in_failed(Call& call, const std::string& name, const char* act,
                                     const Error& error) {
  const bool locked = error.code == ErrorCode::limit;
  record(call.desk, locked ? audit::Outcome::rejected : audit::Outcome::failure,
         locked ? audit::Severity::high : audit::Severity::medium, name, call.request.peer, act,
         name, error.text, Json::object());
  return tl::make_unexpected(error);
}

Result<Response> signed_in(Call& call, const Account& account, const char* act) {
  auto [secret, session] = call.desk.sessions.start(account, call.request.peer);
  // Whoever changes an account ends its sessions afterwards: a change that came before this one
  // began is seen here, a later one finds it and ends it.
  const auto now = call.desk.accounts.find(account.name);
  if (!now || now->disabled || now->password_hash != account.password_hash) {
    static_cast<void>(call.desk.sessions.end(session.id));
    return sign_in_failed(
        call, account.name, act,
        {ErrorCode::denied, {"账号在登录期间被更改", "the account was changed meanwhile"}});
  }
  record(call.desk, audit::Outcome::success, audit::Severity::info, account.name, call.request.peer,
         act, account.name, {"登录成功", "signed in"},
         {{"role", name_of(account.role)}, {"session", session.id}});
  Response response = reply(session_json(call.desk, session));
  response.headers.emplace_back(
      "Set-Cookie",
      fmt::format("__Host-menshen={}; Path=/; Secure; HttpOnly; SameSite=Strict", secret));
  return response;
}

Result<Response> setup_state(Call& call) {
  Json missing = Json::array();
  for (const Role role : call.desk.accounts.missing()) missing.push_back(name_of(role));
  return reply({{"missing", missing}});
}

Result<Role> check_setup(Call& call) {
  const std::string given = MENSHEN_TRY(text_of(call.body, "code"));
  auto code = read_file(call.desk.backend.setup_code, setup_code_bytes_max);
  while (code && !code->empty() && code->back() == '\n') code->pop_back();
  if (!code || code->empty() || !equal_secrets(*code, given)) {
    const Text text{"初始化码不正确", "the set-up code is not right"};
    record(call.desk, audit::Outcome::failure, audit::Severity::high, "", call.request.peer,
           "setup", "", text, Json::object());
    return fail(ErrorCode::denied, text);
  }
  const std::string name = MENSHEN_TRY(text_of(call.body, "role"));
  const auto role = parse_role(name);
  if (!role) return fail(ErrorCode::invalid, {"没有此角色", "there is no such role"});
  return *role;
}

Result<Response> begin_setup(Call& call) {
  const Role role = MENSHEN_TRY(check_setup(call));
  const std::string name = MENSHEN_TRY(text_of(call.body, "name"));
  const std::string password = MENSHEN_TRY(text_of(call.body, "password"));
  return reply(enrolment_json(MENSHEN_TRY(call.desk.accounts.begin_setup(role, name, password))));
}

Result<Response> finish_setup(Call& call) {
  const Role role = MENSHEN_TRY(check_setup(call));
  const std::string code = MENSHEN_TRY(text_of(call.body, "totp"));
  const Account account = MENSHEN_TRY(call.desk.accounts.finish_setup(role, code));
  record(call.desk, audit::Outcome::success, audit::Severity::medium, account.name,
         call.request.peer, "setup", account.name,
         {"首次设置：已建立" + title_of(role).zh, "first set-up: a " + title_of(role).en},
         {{"role", name_of(role)}});
  if (call.desk.accounts.missing().empty()) {
    std::error_code gone;  // already removed: nothing is wrong
    std::filesystem::remove(call.desk.backend.setup_code, gone);
  }
  return setup_state(call);
}

Result<Response> sign_in(Call& call) {
  const std::string name = MENSHEN_TRY(text_of(call.body, "name"));
  std::string password = MENSHEN_TRY(text_of(call.body, "password"));
  const auto account = call.desk.accounts.sign_in(name, password, optional_text(call.body, "totp"));
  wipe(password);
  if (!account) return sign_in_failed(call, name, "sign_in", account.error());
  if (account->totp_secret.empty()) {
    Json out = enrolment_json(MENSHEN_TRY(call.desk.accounts.begin_enrolment(name)));
    out["state"] = "enrol";
    return reply(out);
  }
  return signed_in(call, *account, "sign_in");
}

Result<Response> enrol(Call& call) {
  const std::string name = MENSHEN_TRY(text_of(call.body, "name"));
  const std::string password = MENSHEN_TRY(text_of(call.body, "password"));
  const std::string new_password = MENSHEN_TRY(text_of(call.body, "new_password"));
  const std::string code = MENSHEN_TRY(text_of(call.body, "totp"));
  const auto account = call.desk.accounts.enrol(name, password, new_password, code);
  if (!account) return sign_in_failed(call, name, "enrol", account.error());
  return signed_in(call, *account, "enrol");
}

Result<Response> who_am_i(Call& call) { return reply(session_json(call.desk, *call.session)); }

// Recorded like signing in, not as an act: it must not fail where the audit cannot be had.
Result<Response> sign_out(Call& call) {
  static_cast<void>(call.desk.sessions.end(call.session->id));
  record(call.desk, audit::Outcome::success, audit::Severity::info, call.session->name,
         call.request.peer, "sign_out", call.session->name, {"退出登录", "signed out"},
         {{"role", name_of(call.session->role)}, {"session", call.session->id}});
  Response response;
  response.status = 204;
  response.headers.emplace_back(
      "Set-Cookie", "__Host-menshen=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0");
  return response;
}

Result<Response> change_password(Call& call) {
  call.object = call.session->name;
  const std::string password = MENSHEN_TRY(text_of(call.body, "password"));
  const std::string new_password = MENSHEN_TRY(text_of(call.body, "new_password"));
  const std::string code = MENSHEN_TRY(text_of(call.body, "totp"));
  MENSHEN_CHECK(
      call.desk.accounts.change_password(call.session->name, password, new_password, code));
  // Whoever else is signed in with the old one is not any more.
  call.desk.sessions.end_of_account(call.session->name);
  Response response;
  response.status = 204;
  return response;
}

const std::array<Route, 8> table{{
    {{"GET", "/api/setup", Right::nobody_needed, ""}, setup_state},
    {{"POST", "/api/setup/account", Right::nobody_needed, ""}, begin_setup},
    {{"POST", "/api/setup/confirm", Right::nobody_needed, ""}, finish_setup},
    {{"POST", "/api/session", Right::nobody_needed, ""}, sign_in},
    {{"POST", "/api/session/enrol", Right::nobody_needed, ""}, enrol},
    {{"GET", "/api/session", Right::any_session, ""}, who_am_i},
    {{"DELETE", "/api/session", Right::any_session, ""}, sign_out},
    {{"POST", "/api/session/password", Right::any_session, "password"}, change_password},
}};

}  // namespace

std::span<const Route> session_routes() { return table; }

}  // namespace menshen::console
