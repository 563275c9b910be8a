// The routes below /api/, as console/openapi.json describes them: who may call each, what it does,
// what of it is recorded. Thread-safe.
//
// Every request passes the same gate, in this order: the route is known; a session where one is
// needed; for everything but reading, the page's own origin and the session's CSRF token; the
// role's right; a body that is a JSON object; a reason where one is asked for. An act is on record,
// durably, before it is done: what cannot be recorded is refused.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "console/api/accounts.hpp"
#include "console/api/backend.hpp"
#include "console/api/live.hpp"
#include "console/api/roles.hpp"
#include "console/api/sessions.hpp"
#include "console/http/message.hpp"

namespace menshen::console {

inline constexpr std::size_t body_bytes_small = 64U << 10U;
inline constexpr std::size_t body_bytes_policy = 15U << 20U;
inline constexpr std::size_t reason_bytes_max = 500;
inline constexpr std::size_t page_records_max = 200;
inline constexpr std::size_t export_records_max = 20'000;  // more: menshen audit export
inline constexpr int open_requests_per_minute = 30;        // of one address, without a session

struct RouteInfo {
  std::string_view method;
  std::string_view pattern;  // "/api/accounts/{name}"
  Right right = Right::any_session;
  // Recorded as "console.<act>", which names the session's account: never of a route that needs
  // nobody. Empty: nothing is recorded.
  std::string_view act;
  bool reason = false;  // the body must say why
  std::size_t body_bytes = body_bytes_small;
};

class Api {
 public:
  Api(Backend backend, Accounts& accounts, Sessions& sessions, Live& live);
  ~Api();
  Api(const Api&) = delete;
  Api& operator=(const Api&) = delete;

  [[nodiscard]] static std::vector<RouteInfo> routes();
  [[nodiscard]] std::size_t body_bytes_max(const RequestHead& head);
  [[nodiscard]] Response answer(const Request& request);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace menshen::console
