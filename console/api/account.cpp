// Accounts and other people's sessions, for the system administrator.
#include "console/api/handlers.hpp"

namespace menshen::console {
namespace {

Json account_json(const Account& account) {
  return {{"name", account.name},
          {"role", name_of(account.role)},
          {"domains", account.domains},
          {"enrolled", !account.totp_secret.empty()},
          {"disabled", account.disabled},
          {"created_at", format_utc(account.created_at)},
          {"created_by", account.created_by}};
}

Result<Response> accounts(Call& call) {
  Json list = Json::array();
  for (const Account& account : call.desk.accounts.list()) list.push_back(account_json(account));
  return reply({{"accounts", list}});
}

Result<Response> one(Call& call, const std::string& name) {
  const auto account = call.desk.accounts.find(name);
  if (!account) return fail(ErrorCode::not_found, {"没有此账号", "there is no such account"});
  return reply(account_json(*account));
}

Result<Response> add_account(Call& call) {
  const std::string name = MENSHEN_TRY(text_of(call.body, "name"));
  call.object = name;
  const std::string role_name = MENSHEN_TRY(text_of(call.body, "role"));
  const std::string password = MENSHEN_TRY(text_of(call.body, "password"));
  const auto role = parse_role(role_name);
  if (!role) return fail(ErrorCode::invalid, {"没有此角色", "there is no such role"});
  std::vector<std::string> domains;
  const auto given = call.body.find("domains");
  if (given != call.body.end()) {
    for (const Json& each : *given) {
      if (each.is_string()) domains.push_back(each.get<std::string>());
    }
  }
  call.detail["role_given"] = name_of(*role);
  call.detail["domains"] = domains;
  MENSHEN_CHECK(
      call.desk.accounts.add(name, *role, std::move(domains), password, call.session->name));
  return one(call, name);
}

// One's own account is another administrator's business.
Result<void> not_own(const Call& call) {
  if (call.parameter != call.session->name) return {};
  return fail(ErrorCode::denied,
              {"不能对自己的账号执行此操作", "nobody does this to the own account"});
}

Result<Response> reset_account(Call& call) {
  MENSHEN_CHECK(not_own(call));
  const std::string password = MENSHEN_TRY(text_of(call.body, "password"));
  MENSHEN_CHECK(call.desk.accounts.reset(call.parameter, password));
  call.desk.sessions.end_of_account(call.parameter);
  return one(call, call.parameter);
}

Result<Response> disable_account(Call& call) {
  MENSHEN_CHECK(not_own(call));
  MENSHEN_CHECK(call.desk.accounts.set_disabled(call.parameter, true));
  call.desk.sessions.end_of_account(call.parameter);
  return one(call, call.parameter);
}

Result<Response> enable_account(Call& call) {
  MENSHEN_CHECK(call.desk.accounts.set_disabled(call.parameter, false));
  return one(call, call.parameter);
}

Result<Response> remove_account(Call& call) {
  MENSHEN_CHECK(not_own(call));
  MENSHEN_CHECK(call.desk.accounts.remove(call.parameter));
  call.desk.sessions.end_of_account(call.parameter);
  Response response;
  response.status = 204;
  return response;
}

Result<Response> sessions(Call& call) {
  Json list = Json::array();
  for (const Session& session : call.desk.sessions.list()) {
    list.push_back({{"id", session.id},
                    {"name", session.name},
                    {"role", name_of(session.role)},
                    {"peer", session.peer},
                    {"started_at", format_utc(session.started)},
                    {"seen_at", format_utc(session.seen)},
                    {"own", session.id == call.session->id}});
  }
  return reply({{"sessions", list}});
}

Result<Response> end_session(Call& call) {
  if (!call.desk.sessions.end(call.parameter)) {
    return fail(ErrorCode::not_found, {"没有此会话", "there is no such session"});
  }
  Response response;
  response.status = 204;
  return response;
}

constexpr Right manage = Right::manage_accounts;
const std::array<Route, 8> table{{
    {{"GET", "/api/accounts", manage, ""}, accounts},
    {{"POST", "/api/accounts", manage, "account.add", true}, add_account},
    {{"POST", "/api/accounts/{name}/reset", manage, "account.reset", true}, reset_account},
    {{"POST", "/api/accounts/{name}/disable", manage, "account.disable", true}, disable_account},
    {{"POST", "/api/accounts/{name}/enable", manage, "account.enable", true}, enable_account},
    {{"DELETE", "/api/accounts/{name}", manage, "account.remove", true}, remove_account},
    {{"GET", "/api/sessions", manage, ""}, sessions},
    {{"DELETE", "/api/sessions/{id}", manage, "session.end"}, end_session},
}};

}  // namespace

std::span<const Route> account_routes() { return table; }

}  // namespace menshen::console
