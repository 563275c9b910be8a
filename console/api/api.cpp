#include "console/api/api.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/service.hpp"
#include "console/api/handlers.hpp"
#include "console/http/secret.hpp"

namespace menshen::console {
namespace {

constexpr std::size_t json_depth_max = 32;
constexpr std::size_t peers_counted_max = 10'000;
constexpr MonotonicTime minute = 60'000'000'000;

std::vector<Route> all_routes() {
  std::vector<Route> out;
  for (const auto part : {session_routes(), account_routes(), event_routes(), audit_routes(),
                          policy_routes(), system_routes()}) {
    out.insert(out.end(), part.begin(), part.end());
  }
  return out;
}

// One {parameter} at most, and a pattern may go on behind it.
bool matches(std::string_view pattern, std::string_view path, std::string& parameter) {
  const std::size_t open = pattern.find('{');
  if (open == std::string_view::npos) return pattern == path;
  const std::string_view tail = pattern.substr(pattern.find('}') + 1);
  if (path.size() <= open + tail.size() || !path.starts_with(pattern.substr(0, open)) ||
      !path.ends_with(tail)) {
    return false;
  }
  const std::string_view found = path.substr(open, path.size() - open - tail.size());
  if (found.find('/') != std::string_view::npos) return false;
  parameter = found;
  return true;
}

bool too_deep(std::string_view text) {
  std::size_t depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      if (c == '"') quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{' || c == '[') {
      if (++depth > json_depth_max) return true;
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    }
  }
  return false;
}

Result<Json> parse_body(const Request& request) {
  if (request.body.empty()) return Json::object();
  if (!too_deep(request.body)) {
    Json json = Json::parse(request.body, nullptr, false);
    if (json.is_object()) return json;
  }
  return fail(ErrorCode::invalid, {"正文不是 JSON 对象", "the body is no JSON object"});
}

Response refuse(int status, const char* code, const Text& text) {
  return reply({{"code", code}, {"zh", text.zh}, {"en", text.en}}, status);
}

}  // namespace

class Api::Impl {
 public:
  Impl(Backend backend, Accounts& accounts, Sessions& sessions, Live& live)
      : desk_(std::move(backend), accounts, sessions, live), routes_(all_routes()) {}

  const Route* find(const RequestHead& head, std::string& parameter, bool& other_method) const {
    for (const Route& route : routes_) {
      if (!matches(route.pattern, head.path, parameter)) continue;
      if (route.method == head.method) return &route;
      other_method = true;
    }
    return nullptr;
  }

  std::optional<Session> session_of(const RequestHead& head) {
    if (head.session.empty()) return std::nullopt;
    return desk_.sessions.find(head.session, head.parameter("background").empty());
  }

  std::optional<Response> gate(const Route& route, const Request& request,
                               const std::optional<Session>& session) {
    if (request.method != "GET") {
      const bool own = request.origin.empty() || request.origin == "https://" + request.host;
      if (!own) {
        return refuse(403, "denied", {"请求来自其他站点", "the request comes from another site"});
      }
    }
    if (route.right == Right::nobody_needed) {
      if (request.method == "GET" || within_rate(request.peer)) return std::nullopt;
      return refuse(429, "limit", {"请求过于频繁，请稍后再试", "too many requests; wait a minute"});
    }
    if (!session) return refuse(401, "denied", {"请先登录", "sign in first"});
    if (request.method != "GET" && !equal_secrets(request.csrf, session->csrf)) {
      return refuse(403, "denied", {"请求缺少有效的 CSRF 令牌", "the CSRF token is not valid"});
    }
    if (may(session->role, route.right)) return std::nullopt;
    record(desk_, audit::Outcome::rejected, audit::Severity::medium, session->name, request.peer,
           route.act.empty() ? "read" : std::string(route.act), request.path,
           {"无权进行该操作", "not among this role's rights"}, {{"role", name_of(session->role)}});
    return refuse(403, "denied",
                  {fmt::format("{}无权进行该操作", title_of(session->role).zh),
                   fmt::format("the {} may not do this", title_of(session->role).en)});
  }

  Response answer(const Request& request) {
    std::string parameter;
    bool other_method = false;
    const Route* route = find(request, parameter, other_method);
    if (route == nullptr) {
      return refuse(other_method ? 405 : 404, other_method ? "invalid" : "not_found",
                    {"没有此接口", "there is nothing at this address"});
    }
    const auto session = session_of(request);
    if (auto refused = gate(*route, request, session)) return std::move(*refused);
    auto body = parse_body(request);
    if (!body) return reply_error(body.error());
    Call call{desk_, request, parameter, std::move(*body), session, parameter};
    const std::string why = optional_text(call.body, "reason");
    if (route->reason && (why.empty() || why.size() > reason_bytes_max)) {
      return refuse(400, "invalid",
                    {fmt::format("请填写事由（不超过 {} 字节）", reason_bytes_max),
                     fmt::format("say why, in at most {} bytes", reason_bytes_max)});
    }
    if (!why.empty()) call.detail["reason"] = why;
    return route->act.empty() ? finish(route->handler(call)) : act(*route, call);
  }

  std::size_t body_bytes_max(const RequestHead& head) {
    std::string parameter;
    bool other_method = false;
    const Route* route = find(head, parameter, other_method);
    if (route == nullptr) return 0;
    if (route->right == Right::nobody_needed) return route->body_bytes;
    const auto session = session_of(head);
    return session && may(session->role, route->right) ? route->body_bytes : 0;
  }

 private:
  static Response finish(Result<Response>&& result) {
    return result ? std::move(*result) : reply_error(result.error());
  }

  // On record before it is done. A route with an act needs a session.
  Response act(const Route& route, Call& call) {
    call.detail["session"] = call.session->id;
    call.detail["role"] = name_of(call.session->role);
    audit::Record begin = record_of(call, std::string(route.act) + ".begin");
    begin.outcome = audit::Outcome::unknown;
    begin.message = "管理员请求 / an administrator asks";
    if (const auto recorded = desk_.backend.record(std::move(begin)); !recorded) {
      return reply_error(
          {ErrorCode::unavailable,
           {"审计不可用，操作未执行：" + recorded.error().text.zh,
            "the audit cannot take the act, so it was not done: " + recorded.error().text.en}});
    }
    auto result = route.handler(call);
    const bool good = result.has_value();
    audit::Record end = record_of(call, std::string(route.act));
    end.outcome = good ? audit::Outcome::success : audit::Outcome::failure;
    if (!good) end.severity = audit::Severity::medium;
    end.message = good ? "完成 / done" : result.error().text.zh + " / " + result.error().text.en;
    if (const auto recorded = desk_.backend.record(std::move(end)); !recorded) {
      log(LogLevel::error, recorded.error().text);
    }
    return finish(std::move(result));
  }

  audit::Record record_of(const Call& call, const std::string& action) const {
    audit::Record out;
    out.time = desk_.backend.clock->wall();
    out.kind = audit::Kind::admin;
    out.subject = call.session->name;
    out.action = "console." + action;
    out.object = call.object;
    out.src = IpAddr::parse(call.request.peer);
    out.detail = call.detail.dump(-1, ' ', false, Json::error_handler_t::replace);
    audit::fit(out);
    return out;
  }

  // A bucket of open_requests_per_minute for each address that has no session.
  bool within_rate(const std::string& peer) {
    const std::lock_guard lock(rate_mutex_);
    const MonotonicTime now = desk_.backend.clock->monotonic();
    if (now - rate_since_ >= minute || rates_.size() >= peers_counted_max) {
      rates_.clear();
      rate_since_ = now;
    }
    return ++rates_[network_of(peer)] <= open_requests_per_minute;
  }

  Desk desk_;
  std::vector<Route> routes_;
  std::mutex rate_mutex_;
  std::map<std::string, int> rates_;
  MonotonicTime rate_since_ = 0;
};

Api::Api(Backend backend, Accounts& accounts, Sessions& sessions, Live& live)
    : impl_(std::make_unique<Impl>(std::move(backend), accounts, sessions, live)) {}
Api::~Api() = default;

std::vector<RouteInfo> Api::routes() {
  const auto routes = all_routes();
  return {routes.begin(), routes.end()};
}

std::size_t Api::body_bytes_max(const RequestHead& head) { return impl_->body_bytes_max(head); }

Response Api::answer(const Request& request) {
  try {
    return impl_->answer(request);
  } catch (const std::exception& reason) {
    log(LogLevel::error, {fmt::format("请求 {} 处理失败：{}", request.path, reason.what()),
                          fmt::format("the request {} failed: {}", request.path, reason.what())});
    return reply_error({ErrorCode::io, {"内部错误", "internal error"}});
  }
}

// ---- what handlers share -----------------------------------------------------------------------

Response reply(const Json& json, int status) {
  Response response;
  response.status = status;
  response.body = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  return response;
}

Response reply_error(const Error& error) {
  switch (error.code) {
    case ErrorCode::invalid:
      return refuse(400, "invalid", error.text);
    case ErrorCode::not_found:
      return refuse(404, "not_found", error.text);
    case ErrorCode::exists:
      return refuse(409, "exists", error.text);
    case ErrorCode::denied:
      return refuse(403, "denied", error.text);
    case ErrorCode::unavailable:
      return refuse(503, "unavailable", error.text);
    case ErrorCode::limit:
      return refuse(429, "limit", error.text);
    case ErrorCode::corrupt:
      return refuse(500, "corrupt", error.text);
    case ErrorCode::io:
      break;
  }
  return refuse(500, "io", error.text);
}

Response download(std::string type, const std::string& name, std::string body) {
  Response response;
  response.type = std::move(type);
  response.body = std::move(body);
  response.headers.emplace_back("Content-Disposition",
                                fmt::format("attachment; filename=\"{}\"", name));
  return response;
}

Result<std::string> text_of(const Json& body, const char* field) {
  const auto at = body.find(field);
  if (at != body.end() && at->is_string()) return at->get<std::string>();
  return fail(ErrorCode::invalid, {fmt::format("缺少文本字段 {}", field),
                                   fmt::format("the text field {} is missing", field)});
}

std::string optional_text(const Json& body, const char* field) {
  const auto at = body.find(field);
  return at != body.end() && at->is_string() ? at->get<std::string>() : std::string();
}

void record(Desk& desk, audit::Outcome outcome, audit::Severity severity, const std::string& who,
            const std::string& peer, const std::string& act, const std::string& object,
            const Text& message, const Json& detail) {
  audit::Record out;
  out.time = desk.backend.clock->wall();
  out.kind = audit::Kind::admin;
  out.severity = severity;
  out.outcome = outcome;
  out.subject = who;
  out.action = "console." + act;
  out.object = object;
  out.src = IpAddr::parse(peer);
  out.message = message.zh + " / " + message.en;
  out.detail = detail.dump(-1, ' ', false, Json::error_handler_t::replace);
  audit::fit(out);
  if (const auto done = desk.backend.record(std::move(out)); !done) {
    log(LogLevel::error, done.error().text);
  }
}

}  // namespace menshen::console
