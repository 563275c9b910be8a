#include "console/api/api.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>
#include <set>
#include <utility>

#include "base/file.hpp"
#include "console/testing/fake_backend.hpp"

using namespace menshen;
using namespace menshen::console;

namespace {

// The rights as they were agreed on, apart from the code: system, security(c), audit, inspector,
// tenant; "*" everybody signed in, "" nobody needs a session.
const std::map<std::string, std::string> agreed{
    {"GET /api/setup", ""},
    {"POST /api/setup/account", ""},
    {"POST /api/setup/confirm", ""},
    {"POST /api/session", ""},
    {"POST /api/session/enrol", ""},
    {"GET /api/session", "scait"},
    {"DELETE /api/session", "scait"},
    {"POST /api/session/password", "scait"},
    {"GET /api/accounts", "s"},
    {"POST /api/accounts", "s"},
    {"POST /api/accounts/{name}/reset", "s"},
    {"POST /api/accounts/{name}/disable", "s"},
    {"POST /api/accounts/{name}/enable", "s"},
    {"DELETE /api/accounts/{name}", "s"},
    {"GET /api/sessions", "s"},
    {"DELETE /api/sessions/{id}", "s"},
    {"GET /api/events", "cit"},
    {"GET /api/events/{number}", "cit"},
    {"GET /api/live", "cit"},
    {"GET /api/matrix", "ci"},
    {"GET /api/audit", "ai"},
    {"GET /api/audit/proof/{number}", "ai"},
    {"GET /api/audit/verify", "ai"},
    {"POST /api/audit/verify", "ai"},
    {"POST /api/audit/export", "a"},
    {"GET /api/policy", "ci"},
    {"GET /api/policy/history", "ci"},
    {"GET /api/policy/proposal", "ci"},
    {"POST /api/policy/prove", "ci"},
    {"POST /api/policy/check", "c"},
    {"POST /api/policy/plan", "c"},
    {"POST /api/policy/apply", "c"},
    {"POST /api/policy/approve", "c"},
    {"POST /api/policy/confirm", "c"},
    {"POST /api/policy/rollback", "c"},
    {"GET /api/overview", "scai"},
    {"GET /api/rules", "ci"},
    {"POST /api/rules/reload", "c"},
    {"GET /api/compliance", "cai"},
    {"GET /api/compliance/report", "cai"},
    {"GET /api/certificate", "s"},
    {"PUT /api/certificate", "s"},
};

char letter_of(Role role) { return role == Role::security ? 'c' : name_of(role).front(); }

std::string path_of(std::string_view pattern) {
  std::string path(pattern);
  const std::size_t open = path.find('{');
  if (open != std::string::npos) path.replace(open, path.find('}') - open + 1, "7");
  return path;
}

Json contract() {
  return Json::parse(*read_file(std::string(MENSHEN_SOURCE_DIR) + "/console/openapi.json"));
}

// Required fields, types and references of OpenAPI 3.0; enough for the schemas we have.
std::string mismatch(const Json& value, const Json& schema, const Json& all,
                     const std::string& at = "$") {
  if (schema.contains("$ref")) {
    const std::string name = schema["$ref"].get<std::string>().substr(21);
    return mismatch(value, all.at(name), all, at);
  }
  if (value.is_null() && schema.value("nullable", false)) return {};
  for (const Json& each : schema.value("allOf", Json::array())) {
    if (auto found = mismatch(value, each, all, at); !found.empty()) return found;
  }
  const std::string type = schema.value("type", "");
  const bool right =
      type.empty() || (type == "object" && value.is_object()) ||
      (type == "array" && value.is_array()) || (type == "string" && value.is_string()) ||
      (type == "integer" && value.is_number_integer()) || (type == "boolean" && value.is_boolean());
  if (!right) return at + " is no " + type;
  for (const Json& name : schema.value("required", Json::array())) {
    if (!value.contains(name)) return at + " lacks " + name.get<std::string>();
  }
  const Json properties = schema.value("properties", Json::object());
  for (const auto& [name, each] : properties.items()) {
    if (!value.contains(name)) continue;
    if (auto found = mismatch(value[name], each, all, std::string(at).append(".").append(name));
        !found.empty())
      return found;
  }
  if (!value.is_array()) return {};
  for (const Json& each : value) {
    if (auto found = mismatch(each, schema.at("items"), all, at + "[]"); !found.empty()) {
      return found;
    }
  }
  return {};
}

}  // namespace

TEST_CASE("every route answers exactly the roles that were agreed on") {
  FakeConsole console;
  std::set<std::string> seen;
  for (const RouteInfo& route : Api::routes()) {
    const std::string name = std::string(route.method) + " " + std::string(route.pattern);
    INFO(name);
    seen.insert(name);
    REQUIRE(agreed.contains(name));
    const std::string& allowed = agreed.at(name);
    const std::string path = path_of(route.pattern);
    const auto nobody = console.api.answer(
        console.open_request(std::string(route.method), path, R"({"reason":"r"})"));
    CHECK((nobody.status == 401) == !allowed.empty());
    if (allowed.empty()) continue;
    for (const Role role : roles) {
      INFO(name_of(role));
      const auto answer = console.api.answer(
          console.request_of(role, std::string(route.method), path, R"({"reason":"r"})"));
      const bool refused =
          answer.status == 403 && answer.body.find("may not do this") != std::string::npos;
      CHECK(refused == (allowed.find(letter_of(role)) == std::string::npos));
      CHECK(answer.status != 401);
    }
  }
  CHECK(seen.size() == agreed.size());
}

TEST_CASE("no role has a right to change things of two administrators") {
  constexpr std::array changing{Right::change_policy, Right::reload_rules, Right::export_audit,
                                Right::manage_accounts, Right::manage_certificate};
  for (const Right right : changing) {
    CHECK(std::ranges::count_if(roles, [&](Role role) { return may(role, right); }) == 1);
    CHECK_FALSE(may(Role::inspector, right));
    CHECK_FALSE(may(Role::tenant, right));
  }
  CHECK_FALSE(may(Role::system, Right::see_events));
  CHECK_FALSE(may(Role::security, Right::see_audit));
  CHECK_FALSE(may(Role::audit, Right::see_policy));
}

TEST_CASE("the routes are those of the OpenAPI file") {
  const Json file = contract();
  std::set<std::string> described;
  for (const auto& [path, methods] : file.at("paths").items()) {
    for (const auto& [method, operation] : methods.items()) {
      std::string name = method;
      std::ranges::transform(name, name.begin(), [](char c) { return std::toupper(c); });
      described.insert(name.append(" ").append(path));
      CHECK(operation.at("responses").contains("default"));
    }
  }
  std::set<std::string> there;
  for (const RouteInfo& route : Api::routes()) {
    const std::string name = std::string(route.method) + " " + std::string(route.pattern);
    there.insert(name);
    if (route.right == Right::nobody_needed) CHECK(route.act.empty());
    if (!route.reason) continue;
    std::string method(route.method);
    std::ranges::transform(method, method.begin(), [](char c) { return std::tolower(c); });
    const Json& body = file["paths"][std::string(route.pattern)][method]["requestBody"]["content"]
                           ["application/json"]["schema"];
    INFO(name);
    CHECK(std::ranges::count(body["required"], "reason") == 1);
  }
  CHECK(there == described);
}

TEST_CASE("answers hold what the OpenAPI file promises") {
  FakeConsole console;
  const Json file = contract();
  const Json& schemas = file["components"]["schemas"];
  std::size_t checked = 0;
  for (const RouteInfo& route : Api::routes()) {
    const std::string allowed =
        agreed.at(std::string(route.method) + " " + std::string(route.pattern));
    if (route.method != "GET" || allowed.empty()) continue;
    const Json& content = file["paths"][std::string(route.pattern)]["get"]["responses"]["200"];
    if (!content.contains("content") || !content["content"].contains("application/json")) continue;
    const auto role = std::ranges::find(roles, allowed.front(), letter_of);
    if (route.pattern == "/api/certificate") continue;  // server_test.cpp has one
    const auto answer =
        console.api.answer(console.request_of(*role, "GET", path_of(route.pattern)));
    INFO(route.pattern << ": " << answer.body.substr(0, 300));
    REQUIRE(answer.status == 200);
    CHECK(mismatch(Json::parse(answer.body), content["content"]["application/json"]["schema"],
                   schemas)
              .empty());
    ++checked;
  }
  CHECK(checked >= 14);
  const auto refused = console.api.answer(console.open_request("GET", "/api/session"));
  CHECK(mismatch(Json::parse(refused.body), schemas["Error"], schemas).empty());
}

TEST_CASE("a changing request needs the page's origin and the session's token") {
  FakeConsole console;
  const std::string body = R"({"reason":"r"})";
  Request good = console.request_of(Role::security, "POST", "/api/rules/reload", body);
  CHECK(console.api.answer(good).status == 200);
  Request without = good;
  without.csrf.clear();
  CHECK(console.api.answer(without).status == 403);
  Request others = good;
  others.csrf = console.request_of(Role::security, "GET", "/").csrf;
  CHECK(console.api.answer(others).status == 403);
  Request elsewhere = good;
  elsewhere.origin = "https://evil.example";
  CHECK(console.api.answer(elsewhere).status == 403);
  CHECK(console.api.answer(good).status == 200);
}

TEST_CASE("an act says why, is recorded before and after, and is not done without the audit") {
  FakeConsole console;
  auto& back = console.back;
  const auto ask = [&](const std::string& body) {
    return console.api.answer(
        console.request_of(Role::security, "POST", "/api/rules/reload", body));
  };
  CHECK(ask("{}").status == 400);
  CHECK(ask(R"({"reason":")" + std::string(reason_bytes_max + 1, 'x') + R"("})").status == 400);
  CHECK(back.asked.empty());
  CHECK(ask(R"({"reason":"new signatures"})").status == 200);
  CHECK(back.has_record("console.rules.reload.begin", audit::Outcome::unknown));
  CHECK(back.has_record("console.rules.reload", audit::Outcome::success));
  CHECK(back.recorded.back().subject == "some-security");
  CHECK(back.recorded.back().src == IpAddr::parse("192.0.2.7"));
  CHECK(back.recorded.back().detail.find("new signatures") != std::string::npos);
  CHECK(back.asked.back() == "sensord.reload some-security");
  back.asked.clear();
  back.audit_down = true;
  CHECK(ask(R"({"reason":"r"})").status == 503);
  CHECK(back.asked.empty());
}

TEST_CASE("what is refused for the role is recorded") {
  FakeConsole console;
  CHECK(console.api
            .answer(console.request_of(Role::system, "POST", "/api/policy/rollback",
                                       R"({"reason":"r","number":1})"))
            .status == 403);
  CHECK(console.back.has_record("console.policy.rollback", audit::Outcome::rejected));
}

TEST_CASE("a tenant sees its own domains' events only") {
  FakeConsole console;
  const auto list = [&](Role role, std::map<std::string, std::string, std::less<>> query) {
    Request request = console.request_of(role, "GET", "/api/events");
    request.query = std::move(query);
    return Json::parse(console.api.answer(request).body).at("items");
  };
  CHECK(list(Role::security, {}).size() == 30);
  const Json own = list(Role::tenant, {});
  CHECK(own.size() == 10);
  for (const Json& each : own) CHECK(each["domain_src"] == "tax");
  CHECK(list(Role::tenant, {{"domain", "finance"}}).empty());
  const std::string others = std::to_string(
      list(Role::security, {{"kind", "alert"}}).front()["number"].get<std::uint64_t>());
  CHECK(
      console.api.answer(console.request_of(Role::tenant, "GET", "/api/events/" + others)).status ==
      404);
  CHECK(console.api.answer(console.request_of(Role::security, "GET", "/api/events/" + others))
            .status == 200);
}

TEST_CASE("pages of a list follow each other without gap or repetition") {
  FakeConsole console;
  std::vector<std::uint64_t> numbers;
  std::string before;
  for (int page = 0; page < 10; ++page) {
    Request request = console.request_of(Role::security, "GET", "/api/events");
    request.query = {{"limit", "7"}, {"before", before}};
    const Json answer = Json::parse(console.api.answer(request).body);
    for (const Json& each : answer["items"]) numbers.push_back(each["number"]);
    if (answer["next"].is_null()) break;
    before = answer["next"].dump();
  }
  CHECK(numbers.size() == 30);
  CHECK(std::ranges::is_sorted(numbers, std::greater<>()));
  CHECK(std::ranges::adjacent_find(numbers) == numbers.end());
}

TEST_CASE("wrong parameters and bodies are told with their name") {
  FakeConsole console;
  for (const char* query : {"limit=0", "limit=201", "limit=x", "kind=admin", "kind=nonsense",
                            "since=yesterday", "address=10.0.0.0/99", "sid=-1", "colour=red"}) {
    Request request = console.request_of(Role::security, "GET", "/api/events");
    const std::string text = query;
    request.query = {{text.substr(0, text.find('=')), text.substr(text.find('=') + 1)}};
    INFO(query);
    CHECK(console.api.answer(request).status == 400);
  }
  std::string deep(200, '[');
  const std::vector<std::string> bodies{
      "{", "[]", "\xff", R"({"source":1})", deep, R"({"source":)" + deep};
  for (const std::string& body : bodies) {
    CHECK(console.api.answer(console.request_of(Role::security, "POST", "/api/policy/check", body))
              .status == 400);
  }
}

TEST_CASE("a policy text is checked with the places of its mistakes") {
  FakeConsole console;
  const auto answer = console.api.answer(console.request_of(
      Role::security, "POST", "/api/policy/check", R"({"source":"version: 1\ndomain: {}\n"})"));
  const Json json = Json::parse(answer.body);
  CHECK_FALSE(json["valid"]);
  CHECK(std::ranges::any_of(json["items_zh"], [](const Json& each) {
    return each["line"] == 2 && each["text"].get<std::string>().find("domain") != std::string::npos;
  }));
}

TEST_CASE("bodies are read as far as the route and the role allow") {
  FakeConsole console;
  const auto bytes = [&](const Request& request) { return console.api.body_bytes_max(request); };
  CHECK(bytes(console.request_of(Role::security, "POST", "/api/policy/plan")) == body_bytes_policy);
  CHECK(bytes(console.request_of(Role::audit, "POST", "/api/policy/plan")) == 0);
  CHECK(bytes(console.open_request("POST", "/api/policy/plan")) == 0);
  CHECK(bytes(console.open_request("POST", "/api/session")) == body_bytes_small);
  CHECK(bytes(console.open_request("POST", "/api/nothing")) == 0);
}

namespace {

// Does something once, when it is next asked for the monotonic time.
class InterruptedClock final : public Clock {
 public:
  [[nodiscard]] WallTime wall() const noexcept override { return testkit::FakeClock::start; }
  [[nodiscard]] MonotonicTime monotonic() const noexcept override {
    if (then) std::exchange(then, nullptr)();
    return 1;
  }
  mutable std::function<void()> then;
};

}  // namespace

TEST_CASE("an account that is disabled while its owner signs in has no session") {
  FakeConsole console;
  const std::string password = "Correct horse 1";
  REQUIRE(console.accounts->add("bob", Role::inspector, {}, password, "s"));
  const auto begun = console.accounts->begin_enrolment("bob");
  InterruptedClock clock;
  Sessions sessions{{}, clock};
  Api api{console.back.backend(), *console.accounts, sessions, console.live};
  const auto code = [&] {
    console.back.clock.advance(std::chrono::minutes(1));
    return *totp_code(begun->secret, console.back.clock.wall());
  };
  const std::string own = "My own password 2";
  const auto sign_in = [&] {
    const Json body{{"name", "bob"}, {"password", own}, {"totp", code()}};
    return api.answer(console.open_request("POST", "/api/session", body.dump()));
  };
  REQUIRE(console.accounts->enrol("bob", password, own, code()));
  CHECK(sign_in().status == 200);
  CHECK(sessions.list().size() == 1);
  sessions.end_of_account("bob");
  // After the secrets were right, before there is a session that could be ended.
  clock.then = [&] { static_cast<void>(console.accounts->set_disabled("bob", true)); };
  CHECK(sign_in().status == 403);
  CHECK(sessions.list().empty());
  CHECK(console.back.has_record("console.sign_in", audit::Outcome::failure));
}

TEST_CASE("signing out needs no audit") {
  FakeConsole console;
  const Request request = console.request_of(Role::security, "DELETE", "/api/session");
  CHECK(console.api.answer(console.request_of(Role::audit, "DELETE", "/api/session")).status ==
        204);
  CHECK(console.back.has_record("console.sign_out", audit::Outcome::success));
  console.back.audit_down = true;
  CHECK(console.api.answer(request).status == 204);
  CHECK_FALSE(console.sessions.find(request.session, false));
}

TEST_CASE("every search of the audit store is recorded, whatever its sender says of it") {
  FakeConsole console;
  Request request = console.request_of(Role::audit, "GET", "/api/audit");
  request.query = {{"background", "1"}, {"subject", "alice"}};
  CHECK(console.api.answer(request).status == 200);
  REQUIRE(console.back.has_record("console.audit.find", audit::Outcome::success));
  CHECK(console.back.recorded.back().object.find("subject=alice") != std::string::npos);
}

TEST_CASE("attempts without a session are limited for each address") {
  FakeConsole console;
  Request request =
      console.open_request("POST", "/api/session", R"({"name":"x","password":"y","totp":"1"})");
  int refused = 0;
  for (int i = 0; i < open_requests_per_minute + 3; ++i) {
    refused += console.api.answer(request).body.find("too many requests") != std::string::npos;
  }
  CHECK(refused == 3);
  request.peer = "192.0.2.8";
  CHECK(console.api.answer(request).body.find("too many requests") == std::string::npos);
  console.back.clock.advance(std::chrono::minutes(1));
  request.peer = "192.0.2.7";
  CHECK(console.api.answer(request).body.find("too many requests") == std::string::npos);
  // A host has every IPv6 address of its network.
  for (int i = 0; i < open_requests_per_minute; ++i) {
    request.peer = "2001:db8:0:7::" + std::to_string(i + 1);
    static_cast<void>(console.api.answer(request));
  }
  request.peer = "2001:db8:0:7:1:2:3:4";
  CHECK(console.api.answer(request).body.find("too many requests") != std::string::npos);
  request.peer = "2001:db8:0:8::1";
  CHECK(console.api.answer(request).body.find("too many requests") == std::string::npos);
}

TEST_CASE("the first set-up takes its code, makes three administrators, and is over") {
  FakeConsole console;
  console.back.folder.write("setup-code", "the-code\n");
  const auto post = [&](const std::string& path, const Json& body) {
    console.back.clock.advance(std::chrono::minutes(1));
    return console.api.answer(console.open_request("POST", path, body.dump()));
  };
  const Json wrong{{"code", "other"}, {"role", "system"}, {"name", "a"}, {"password", "p"}};
  CHECK(post("/api/setup/account", wrong).status == 403);
  CHECK(console.back.has_record("console.setup", audit::Outcome::failure));
  for (const char* role : {"system", "security", "audit"}) {
    const auto begun = post("/api/setup/account", {{"code", "the-code"},
                                                   {"role", role},
                                                   {"name", std::string("the-") + role},
                                                   {"password", "Correct horse 1"}});
    REQUIRE(begun.status == 200);
    const Json json = Json::parse(begun.body);
    CHECK(json["qr"].get<std::string>().starts_with("<svg"));
    Json confirm{{"code", "the-code"}, {"role", role}, {"totp", "000000"}};
    console.back.clock.advance(std::chrono::minutes(1));
    const std::string code =
        *totp_code(json["secret"].get<std::string>(), console.back.clock.wall() + 60'000'000'000);
    confirm["totp"] = code;
    CHECK(post("/api/setup/confirm", confirm).status == 200);
  }
  CHECK(console.accounts->missing().empty());
  CHECK_FALSE(std::filesystem::exists(console.back.folder / "setup-code"));
  CHECK(post("/api/setup/account", wrong).status == 403);
}
