// A console whose daemons are these lines, for the module's own tests.
#pragma once

#include <atomic>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "audit/store/store.hpp"
#include "audit/testing/samples.hpp"
#include "console/app/console.hpp"
#include "tests/testkit/fake_clock.hpp"
#include "tests/testkit/temp_dir.hpp"

namespace menshen::console {

inline constexpr PasswordCost cheap_cost{64, 1};

// Answers as the daemons do (docs/reference/control.md), and keeps what was recorded.
class FakeBackend {
 public:
  FakeBackend() {
    audit::StoreOptions options;
    options.directory = folder / "audit";
    options.profile = audit::Profile::intl;
    auto store = audit::Store::open(options);
    std::vector<audit::Record> records;
    for (std::uint64_t i = 1; i <= 30; ++i) {
      audit::Record alert = audit::sample_alert(i);
      if (i % 3 == 0) {
        alert.domain_src = "tax";
        alert.kind = audit::Kind::isolation;
        alert.rule.reset();
      }
      records.push_back(alert);
    }
    static_cast<void>(store->append(records));
    static_cast<void>(store->checkpoint());
    static_cast<void>(store->close());
    folder.write("compliance/report.zh.html", "<html>zh</html>");
    folder.write("compliance/runs/2026-11-23T08-15-30Z.json",
                 R"({"assessed_at":"2026-11-23T08:15:30Z","totals":{"items":257},"layers":[],)"
                 R"("items":[],"checks":[]})");
    folder.write("pages/index.html", "<!doctype html><title>console</title>");
    folder.write("pages/assets/app.js", std::string(4000, 'x'));
  }

  [[nodiscard]] Backend backend() {
    Backend out;
    out.ask = [this](const Question& question, const Json& args) { return ask(question, args); };
    out.record = [this](const audit::Record& record) -> Result<void> {
      if (audit_down) return fail(ErrorCode::unavailable, {"无审计", "no audit"});
      const std::lock_guard lock(mutex);
      recorded.push_back(record);
      return {};
    };
    out.reload_certificate = [] { return Result<void>(); };
    out.audit_directory = folder / "audit";
    out.compliance_directory = folder / "compliance";
    out.certificate = folder / "server.pem";
    out.setup_code = folder / "setup-code";
    out.clock = &clock;
    return out;
  }

  Result<Json> ask(const Question& question, const Json&) {
    const std::lock_guard lock(mutex);
    asked.push_back(question.daemon + "." + question.op + " " + question.person);
    if (question.op == "show") {
      return Json::parse(R"({"name":"demo.yaml","source":"version: 1\n","sha256":"00","domains":
        [{"name":"finance","title":"F","networks":["10.10.0.0/16"],"interfaces":["fin0"]}],
        "flows":[{"line":3,"from":["finance"],"to":[],"service":"web","action":"allow","inspect":
        "block","reason":"r","ticket":"t"}],"applied_at":"2026-11-23T08:00:00Z","applied_by":"a",
        "generation":1,"matches_kernel":true})");
    }
    if (question.op == "history") return Json::parse(R"({"entries":[]})");
    if (question.op == "prove") {
      return Json::parse(
          R"({"conclusion":"proved","zh":"z","en":"e","violations":[],"unmodelled":[]})");
    }
    if (question.op == "confirm") return Json{{"confirmed", true}};
    if (question.op == "rollback") return Json{{"number", 1}, {"active", nullptr}};
    if (question.op == "rules") {
      return Json::parse(R"({"files":["a.rules"],"loaded":1,"rejected":0,"errors":[],
        "loaded_at":"2026-11-23T08:00:00Z"})");
    }
    if (question.op == "status" || question.op == "reload") return Json::object();
    return Json::parse(R"({"valid":true,"applied":true,"sha256":"00","diagnostics":{"zh":"","en":
      "","items_zh":[],"items_en":[]},"changes":[],"changes_total":0,"name":"n","source":"s",
      "author":"a"})");
  }

  [[nodiscard]] bool has_record(const std::string& action, audit::Outcome outcome) {
    const std::lock_guard lock(mutex);
    for (const auto& each : recorded) {
      if (each.action == action && each.outcome == outcome) return true;
    }
    return false;
  }

  testkit::TempDir folder;
  testkit::FakeClock clock;
  std::mutex mutex;
  std::vector<audit::Record> recorded;
  std::vector<std::string> asked;
  std::atomic<bool> audit_down = false;
};

// The parts of a Console, so that tests can sign anybody in.
struct FakeConsole {
  FakeBackend back;
  std::unique_ptr<Accounts> accounts =
      std::move(*Accounts::open(back.folder / "accounts.json", "menshen", back.clock, cheap_cost));
  Sessions sessions{{}, back.clock};
  Live live{back.folder / "audit", std::chrono::milliseconds(10)};
  Api api{back.backend(), *accounts, sessions, live};

  // A request of somebody of that role, from our own page.
  [[nodiscard]] Request request_of(Role role, const std::string& method, const std::string& path,
                                   std::string body = {}) {
    Account account;
    account.name = std::string("some-") + std::string(name_of(role));
    account.role = role;
    if (role == Role::tenant) account.domains = {"tax"};
    const auto [secret, session] = sessions.start(account, "192.0.2.7");
    Request request;
    request.method = method;
    request.path = path;
    request.peer = "192.0.2.7";
    request.host = "console.example";
    request.origin = "https://console.example";
    request.session = secret;
    request.csrf = session.csrf;
    request.body = std::move(body);
    return request;
  }
  [[nodiscard]] Request open_request(const std::string& method, const std::string& path,
                                     std::string body = {}) {
    Request request;
    request.method = method;
    request.path = path;
    request.peer = "192.0.2.7";
    request.host = "console.example";
    request.body = std::move(body);
    return request;
  }
};

}  // namespace menshen::console
