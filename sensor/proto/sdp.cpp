#include "sensor/proto/sdp.hpp"

#include <nlohmann/json.hpp>

#include "sensor/proto/message_parser.hpp"

namespace menshen::sensor {
namespace {

using Json = nlohmann::ordered_json;

struct LineKind {
  char letter;
  std::string_view name;  // in EVE
  bool list;              // several: an array
  Buffer to_server;
  Buffer to_client;
};

constexpr LineKind session_lines[] = {
    {'o', "origin", false, Buffer::sdp_origin, Buffer::sdp_origin_response},
    {'s', "session_name", false, Buffer::sdp_session_name, Buffer::sdp_session_name_response},
    {'i', "session_info", false, Buffer::sdp_session_info, Buffer::sdp_session_info_response},
    {'u', "uri", false, Buffer::sdp_uri, Buffer::sdp_uri_response},
    {'e', "email", false, Buffer::sdp_email, Buffer::sdp_email_response},
    {'p', "phone_number", false, Buffer::sdp_phone_number, Buffer::sdp_phone_number_response},
    {'c', "connection_data", false, Buffer::sdp_connection_data,
     Buffer::sdp_connection_data_response},
    {'b', "bandwidths", true, Buffer::sdp_bandwidth, Buffer::sdp_bandwidth_response},
    {'t', "time", false, Buffer::sdp_time, Buffer::sdp_time_response},
    {'r', "repeat_time", false, Buffer::sdp_repeat_time, Buffer::sdp_repeat_time_response},
    {'z', "timezone", false, Buffer::sdp_timezone, Buffer::sdp_timezone_response},
    {'k', "encryption_key", false, Buffer::sdp_encryption_key, Buffer::sdp_encryption_key_response},
    {'a', "attributes", true, Buffer::sdp_attribute, Buffer::sdp_attribute_response},
};

// Below a media line.
constexpr LineKind media_lines[] = {
    {'m', "media", false, Buffer::sdp_media_media, Buffer::sdp_media_media_response},
    {'i', "media_info", false, Buffer::sdp_media_media_info, Buffer::sdp_media_media_info_response},
    {'c', "connection_data", false, Buffer::sdp_media_connection_data,
     Buffer::sdp_media_connection_data_response},
    {'b', "bandwidths", true, Buffer::sdp_bandwidth, Buffer::sdp_bandwidth_response},
    {'k', "encryption_key", false, Buffer::sdp_media_encryption_key,
     Buffer::sdp_media_encryption_key_response},
    {'a', "attributes", true, Buffer::sdp_attribute, Buffer::sdp_attribute_response},
};

const LineKind* line_kind(std::span<const LineKind> kinds, char letter) {
  for (const LineKind& kind : kinds) {
    if (kind.letter == letter) return &kind;
  }
  return nullptr;
}

// Where a line stands in the object: times and media open objects of their own.
Json& place_of(Json& json, char letter, bool in_media) {
  if (in_media) {
    Json& all = json["media_descriptions"];
    if (letter == 'm') all.push_back(Json::object());
    return all.back();
  }
  if (letter == 't' || (letter == 'r' && json.contains("time_descriptions"))) {
    Json& all = json["time_descriptions"];
    if (letter == 't') all.push_back(Json::object());
    return all.back();
  }
  return json;
}

}  // namespace

Json read_sdp(std::string_view text, Direction direction, FieldTransaction& into) {
  if (!text.starts_with("v=")) return nullptr;
  Json json = Json::object();
  bool in_media = false;
  for (std::size_t lines = 0; !text.empty() && lines < sdp_lines_max; ++lines) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.size() < 2 || line[1] != '=') continue;
    const char letter = line[0];
    const std::string_view value = line.substr(2);
    if (letter == 'v' && value == "0") json["version"] = 0;
    in_media = in_media || letter == 'm';
    const LineKind* kind =
        in_media ? line_kind(media_lines, letter) : line_kind(session_lines, letter);
    if (kind == nullptr) continue;
    into.add(by(direction, kind->to_server, kind->to_client), value);
    Json& place = place_of(json, letter, in_media);
    if (kind->list) {
      place[std::string(kind->name)].push_back(value);
    } else {
      place[std::string(kind->name)] = value;
    }
  }
  return json;
}

}  // namespace menshen::sensor
