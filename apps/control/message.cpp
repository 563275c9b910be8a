#include "apps/control/message.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace menshen::apps {
namespace {

constexpr std::array<std::pair<ErrorCode, std::string_view>, 8> error_names{{
    {ErrorCode::invalid, "invalid"},
    {ErrorCode::not_found, "not_found"},
    {ErrorCode::exists, "exists"},
    {ErrorCode::denied, "denied"},
    {ErrorCode::unavailable, "unavailable"},
    {ErrorCode::limit, "limit"},
    {ErrorCode::corrupt, "corrupt"},
    {ErrorCode::io, "io"},
}};

tl::unexpected<Error> malformed() {
  return fail(ErrorCode::invalid, {"控制消息不是有效的 JSON 请求或应答",
                                   "control message is no valid JSON request or reply"});
}

// Depth is bounded: the parser recurses, and a local peer may be hostile.
constexpr int json_depth_max = 64;

Result<Json> parse_object(std::string_view message) {
  const auto too_deep = [](int depth, Json::parse_event_t, Json&) {
    return depth <= json_depth_max;
  };
  Json json = Json::parse(message, too_deep, /*allow_exceptions=*/false);
  if (!json.is_object()) return malformed();
  const auto version = json.find("version");
  if (version == json.end() || !version->is_number_integer()) return malformed();
  if (*version != control_version) {
    return fail(
        ErrorCode::unavailable,
        {fmt::format("控制协议版本不匹配：对方 {}，本方 {}", version->dump(), control_version),
         fmt::format("control protocol versions differ: the other side has {}, this one {}",
                     version->dump(), control_version)});
  }
  return json;
}

std::string text_at(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string{};
}

}  // namespace

std::string_view error_code_name(ErrorCode code) noexcept {
  const auto found = std::find_if(error_names.begin(), error_names.end(),
                                  [code](const auto& entry) { return entry.first == code; });
  return found == error_names.end() ? "io" : found->second;
}

std::string to_line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string to_pretty(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

std::string encode_request(const Request& request) {
  Json json = {{"version", control_version}, {"op", request.op}, {"args", request.args}};
  if (!request.person.empty()) json["person"] = request.person;
  return to_line(json);
}

Result<Request> decode_request(std::string_view message) {
  const Json json = MENSHEN_TRY(parse_object(message));
  Request request;
  request.op = text_at(json, "op");
  if (request.op.empty()) return malformed();
  if (const auto args = json.find("args"); args != json.end()) {
    if (!args->is_object()) return malformed();
    request.args = *args;
  }
  request.person = text_at(json, "person");
  return request;
}

std::string encode_reply(const Result<Json>& reply) {
  if (reply) return to_line({{"version", control_version}, {"ok", true}, {"result", *reply}});
  const Error& error = reply.error();
  return to_line(
      {{"version", control_version},
       {"ok", false},
       {"error",
        {{"code", error_code_name(error.code)}, {"zh", error.text.zh}, {"en", error.text.en}}}});
}

Result<Json> decode_reply(std::string_view message) {
  Json json = MENSHEN_TRY(parse_object(message));
  const auto ok = json.find("ok");
  if (ok == json.end() || !ok->is_boolean()) return malformed();
  if (*ok) {
    const auto result = json.find("result");
    if (result == json.end()) return malformed();
    return std::move(*result);
  }
  const auto error = json.find("error");
  if (error == json.end() || !error->is_object()) return malformed();
  const std::string name = text_at(*error, "code");
  const auto code = std::find_if(error_names.begin(), error_names.end(),
                                 [&name](const auto& entry) { return entry.second == name; });
  return fail(code == error_names.end() ? ErrorCode::io : code->first,
              {text_at(*error, "zh"), text_at(*error, "en")});
}

}  // namespace menshen::apps
