// What goes over a daemon's control socket: one JSON request, one JSON reply, any number of times.
//
//   request  {"version": 1, "op": "status", "args": {...}, "person": "alice"}
//   reply    {"version": 1, "ok": true, "result": {...}}
//            {"version": 1, "ok": false, "error": {"code": "denied", "zh": "...", "en": "..."}}
//
// `person` is left out but by the console, which asks for the people who are signed in to it.
//
// Both sides refuse another version. Every daemon answers "status" and "facts"; the others are in
// its README.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace menshen::apps {

using Json = nlohmann::json;

inline constexpr int control_version = 1;

struct Request {
  std::string op;
  Json args = Json::object();
  std::string person = {};  // on whose behalf; empty: the peer's own
};

[[nodiscard]] std::string encode_request(const Request& request);
[[nodiscard]] Result<Request> decode_request(std::string_view message);
[[nodiscard]] std::string encode_reply(const Result<Json>& reply);
// The result, or the error that the other side gave, in both languages.
[[nodiscard]] Result<Json> decode_reply(std::string_view message);

[[nodiscard]] std::string_view error_code_name(ErrorCode code) noexcept;

// Text that came from outside (packets, files) is not always UTF-8; bytes that are not become
// U+FFFD.
[[nodiscard]] std::string to_line(const Json& json);
[[nodiscard]] std::string to_pretty(const Json& json);

}  // namespace menshen::apps
