// What the handlers of the routes share. Internal to api/.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <semaphore>

#include "audit/store/query.hpp"
#include "console/api/api.hpp"
#include "console/api/verify_job.hpp"

namespace menshen::console {

// What the handlers work on.
struct Desk {
  Backend backend;
  Accounts& accounts;
  Sessions& sessions;
  Live& live;
  VerifyJob verify;
  std::counting_semaphore<4> readers{4};  // searches at a time

  Desk(Backend b, Accounts& a, Sessions& s, Live& l)
      : backend(std::move(b)), accounts(a), sessions(s), live(l), verify(backend.audit_directory) {}
};

struct Call {
  Desk& desk;
  const Request& request;
  const std::string& parameter;  // what stands for {...} in the pattern
  Json body;                     // an object
  std::optional<Session> session;
  // For the record of the act.
  std::string object;
  Json detail = Json::object();

  [[nodiscard]] std::string person() const { return session ? session->name : std::string(); }
};

using Handler = Result<Response> (*)(Call&);

struct Route : RouteInfo {
  Handler handler = nullptr;
};
// session.cpp, account.cpp, events.cpp, audit.cpp, policy.cpp, system.cpp
[[nodiscard]] std::span<const Route> session_routes();
[[nodiscard]] std::span<const Route> account_routes();
[[nodiscard]] std::span<const Route> event_routes();
[[nodiscard]] std::span<const Route> audit_routes();
[[nodiscard]] std::span<const Route> policy_routes();
[[nodiscard]] std::span<const Route> system_routes();

[[nodiscard]] Response reply(const Json& json, int status = 200);
[[nodiscard]] Response reply_error(const Error& error);
[[nodiscard]] Response download(std::string type, const std::string& name, std::string body);

// A text field of the body; ErrorCode::invalid names it where it is missing or no text.
[[nodiscard]] Result<std::string> text_of(const Json& body, const char* field);
[[nodiscard]] std::string optional_text(const Json& body, const char* field);

// From the query: since until kind severity outcome address sid domain source subject action
// policy_line text before limit. An unknown key is ErrorCode::invalid.
[[nodiscard]] Result<audit::Filter> filter_of(const RequestHead& head);
// Runs with a reader of the audit store; at most four at a time.
template <class Work>
[[nodiscard]] auto with_reader(Desk& desk, Work work)
    -> decltype(work(std::declval<const audit::Reader&>())) {
  desk.readers.acquire();
  struct Release {
    Desk& desk;
    ~Release() { desk.readers.release(); }
  } release{desk};
  const audit::Reader reader = MENSHEN_TRY(audit::Reader::open(desk.backend.audit_directory));
  return work(reader);
}
[[nodiscard]] Json record_json(const audit::Found& found);
// Whether the session may see a record of these domains.
[[nodiscard]] bool sees(const Session& session, std::string_view from, std::string_view to);

void record(Desk& desk, audit::Outcome outcome, audit::Severity severity, const std::string& who,
            const std::string& peer, const std::string& act, const std::string& object,
            const Text& message, const Json& detail);

}  // namespace menshen::console
