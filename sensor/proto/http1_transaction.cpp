#include "sensor/proto/http1_transaction.hpp"

#include <nlohmann/json.hpp>

namespace menshen::sensor {

// Only the bodies grow; every other buffer is set whole.
Transaction::View Http1Transaction::view(Buffer buffer, std::size_t instance) const noexcept {
  if (instance != 0 || !buffers.has(buffer)) return {};
  bool whole = true;
  if (buffer == Buffer::http_request_body) whole = done[0] || body_cut[0];
  if (buffer == Buffer::http_response_body) whole = done[1] || body_cut[1];
  return {as_bytes(buffers.text(buffer)), whole};
}

// Field names and order as Suricata documents them for EVE.
std::string Http1Transaction::eve() const {
  using Json = nlohmann::ordered_json;
  Json json = Json::object();
  const auto add = [&](const char* key, std::string_view text) {
    if (!text.empty()) json[key] = text;
  };
  add("hostname", hostname);
  if (port >= 0) json["http_port"] = port;
  add("url", buffers.text(Buffer::http_uri_raw));
  add("http_user_agent", buffers.text(Buffer::http_user_agent));
  add("xff", forwarded_for);
  const std::string_view type = buffers.text(Buffer::http_response_content_type);
  add("http_content_type", type.substr(0, type.find(';')));
  add("http_refer", buffers.text(Buffer::http_referer));
  add("http_method", buffers.text(Buffer::http_method));
  add("protocol", buffers.text(Buffer::http_protocol));
  if (status > 0) {
    json["status"] = status;
  } else {
    add("status_string", buffers.text(Buffer::http_stat_code));
  }
  add("redirect", buffers.text(Buffer::http_location));
  json["length"] = response_bytes;
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace menshen::sensor
