#include "sensor/proto/http_transaction.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "sensor/proto/dns_fields.hpp"
#include "sensor/proto/events.hpp"

namespace menshen::sensor {

namespace {

constexpr std::size_t index(Direction direction) { return static_cast<std::size_t>(direction); }

bool is_http2(AppProto proto) noexcept {
  return proto == AppProto::http2 || proto == AppProto::doh2;
}

// The direction whose header fields are this buffer's instances.
std::optional<Direction> lines_of(Buffer buffer, AppProto proto) noexcept {
  switch (buffer) {
    case Buffer::http_request_header_line:
      return Direction::to_server;
    case Buffer::http_response_header_line:
      return Direction::to_client;
    case Buffer::http2_header_name:
      if (is_http2(proto)) return Direction::to_server;
      return std::nullopt;
    case Buffer::http2_header_name_response:
      if (is_http2(proto)) return Direction::to_client;
      return std::nullopt;
    default:
      return std::nullopt;
  }
}

std::optional<Direction> message_of(Buffer buffer, AppProto proto) noexcept {
  if (proto != AppProto::http1) return std::nullopt;
  if (buffer == Buffer::frame_pdu) return Direction::to_server;
  if (buffer == Buffer::frame_pdu_response) return Direction::to_client;
  return std::nullopt;
}

}  // namespace

std::size_t HttpTransaction::instances(Buffer buffer) const noexcept {
  if (const auto direction = message_of(buffer, proto_)) {
    const bool request = *direction == Direction::to_server;
    return buffers.has(request ? Buffer::http_request_header_raw : Buffer::http_response_header_raw)
               ? 1
               : 0;
  }
  if (const auto direction = lines_of(buffer, proto_)) return lines[index(*direction)].size();
  return buffers.instances(buffer);
}

std::string_view HttpTransaction::line(Direction direction, const Line& at) const noexcept {
  const bool request = direction == Direction::to_server;
  const Buffer head = is_http2(proto_)
                          ? (request ? Buffer::http_request_header : Buffer::http_response_header)
                          : (request ? Buffer::http_request_start : Buffer::http_response_start);
  return buffers.text(head).substr(at.start, at.length);
}

std::string_view HttpTransaction::message(Direction direction) const {
  const bool request = direction == Direction::to_server;
  const std::string_view first =
      buffers.text(request ? Buffer::http_request_line : Buffer::http_response_line);
  const std::string_view head =
      buffers.text(request ? Buffer::http_request_header_raw : Buffer::http_response_header_raw);
  const std::string_view body =
      buffers.text(request ? Buffer::http_request_body : Buffer::http_response_body);
  std::string& message = messages_[index(direction)];
  const std::size_t before_body = first.size() + 2 + head.size();
  if (message.size() < before_body) {
    message.assign(first);
    message += "\r\n";
    message += head;
  }
  message += body.substr(std::min(message.size() - before_body, body.size()));
  return message;
}

// Only the bodies grow; every other buffer is set whole.
Transaction::View HttpTransaction::view(Buffer buffer, std::size_t instance) const noexcept {
  if (instance >= instances(buffer)) return {};
  if (const auto direction = lines_of(buffer, proto_)) {
    const Line& at = lines[index(*direction)][instance];
    const bool name =
        buffer == Buffer::http2_header_name || buffer == Buffer::http2_header_name_response;
    const std::string_view text = line(*direction, at);
    return {as_bytes(name ? text.substr(0, at.name_length) : text), true};
  }
  if (const auto direction = message_of(buffer, proto_)) {
    const std::size_t d = index(*direction);
    return {as_bytes(message(*direction)), done[d] || body_cut[d]};
  }
  bool whole = true;
  if (buffer == Buffer::http_request_body) whole = done[0] || body_cut[0];
  if (buffer == Buffer::http_response_body) whole = done[1] || body_cut[1];
  return {as_bytes(buffers.text(buffer, instance)), whole};
}

void HttpTransaction::carry(Direction direction, DnsMessage message) {
  auto& carried = carried_[index(direction)];
  if (carried != nullptr) return;
  proto_ = AppProto::doh2;
  add_dns_fields(message, AppProto::dns, direction, buffers, known);
  add_dns_events(message, *this);
  if (direction == Direction::to_server && message.is_response()) {
    add_event(ProtoEvent::dns_not_a_request);
  }
  if (direction == Direction::to_client && !message.is_response()) {
    add_event(ProtoEvent::dns_not_a_response);
  }
  carried = std::make_unique<DnsMessage>(std::move(message));
}

// The answer, which repeats the question; else the question.
std::string HttpTransaction::carried_eve() const {
  const auto& last = carried_[1] != nullptr ? carried_[1] : carried_[0];
  return last != nullptr ? dns_eve(*last, id) : std::string();
}

// Field names and order as Suricata documents them for EVE.
std::string HttpTransaction::eve() const {
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
  if (is_http2(proto_)) {
    json["version"] = "2";
    json["stream_id"] = stream_id;
    const auto fields = [&](const char* key, Direction direction) {
      for (const Line& at : lines[index(direction)]) {
        const std::string_view text = line(direction, at);
        json[key].push_back(
            {{"name", text.substr(0, at.name_length)},
             {"value", text.substr(std::min<std::size_t>(at.name_length + 2, text.size()))}});
      }
    };
    fields("request_headers", Direction::to_server);
    fields("response_headers", Direction::to_client);
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace menshen::sensor
