#include "sensor/proto/http1_events.hpp"

#include "base/ascii.hpp"

namespace menshen::sensor {

namespace {

struct Message {
  std::string_view start;
  ProtoEvent event;
};
// The first that fits.
constexpr Message messages[] = {
    {"GZip decompressor:", ProtoEvent::http_gzip_decompression_failed},
    {"LZMA decompressor: memory limit", ProtoEvent::http_lzma_memlimit_reached},
    {"Request field invalid: colon missing", ProtoEvent::http_request_field_missing_colon},
    {"Response field invalid: missing colon", ProtoEvent::http_response_field_missing_colon},
    {"Request field invalid", ProtoEvent::http_request_header_invalid},
    {"Request header name is not", ProtoEvent::http_request_header_invalid},
    {"Response field invalid", ProtoEvent::http_response_header_invalid},
    {"Response header name is not", ProtoEvent::http_response_header_invalid},
    {"Response header value contains null", ProtoEvent::http_response_header_invalid},
    {"Request chunk encoding: Invalid", ProtoEvent::http_invalid_request_chunk_len},
    {"Response chunk encoding: Invalid", ProtoEvent::http_invalid_response_chunk_len},
    {"Invalid C-L field in response", ProtoEvent::http_invalid_content_length_field_in_response},
    {"Already seen 100-Continue", ProtoEvent::http_100_continue_already_seen},
    {"Unable to match response", ProtoEvent::http_unable_to_match_response_to_request},
    {"Invalid request field folding", ProtoEvent::http_invalid_request_field_folding},
    {"Invalid response field folding", ProtoEvent::http_invalid_response_field_folding},
    {"Request buffer over the limit", ProtoEvent::http_request_field_too_long},
    {"Request field length exceeds", ProtoEvent::http_request_field_too_long},
    {"Response the buffer limit", ProtoEvent::http_response_field_too_long},
    {"Response field length exceeds", ProtoEvent::http_response_field_too_long},
    {"Request line: URI contains non-compliant", ProtoEvent::http_uri_delim_non_compliant},
    {"Request line: non-compliant delimiter", ProtoEvent::http_method_delim_non_compliant},
    {"Request line: leading whitespace", ProtoEvent::http_request_line_leading_whitespace},
    {"Request line: missing protocol", ProtoEvent::http_request_line_missing_protocol},
    {"Request line: unknown method", ProtoEvent::http_request_line_invalid},
    {"Request line incomplete", ProtoEvent::http_request_line_incomplete},
    {"Too many response content encoding layers", ProtoEvent::http_too_many_encoding_layers},
    {"C-E gzip has abnormal", ProtoEvent::http_abnormal_ce_header},
    {"C-E deflate has abnormal", ProtoEvent::http_abnormal_ce_header},
    {"C-T multipart/byteranges", ProtoEvent::http_response_multipart_byteranges},
    {"Transfer-encoding has abnormal", ProtoEvent::http_response_abnormal_transfer_encoding},
    {"Chunked transfer-encoding on", ProtoEvent::http_response_chunked_old_proto},
    {"Invalid response line: invalid protocol", ProtoEvent::http_response_invalid_protocol},
    {"Invalid response line: invalid response status", ProtoEvent::http_response_invalid_status},
    {"Unexpected request body", ProtoEvent::http_request_body_unexpected},
    {"Ambiguous request C-L", ProtoEvent::http_duplicate_content_length_field_in_request},
    {"Ambiguous response C-L", ProtoEvent::http_duplicate_content_length_field_in_response},
    {"Compression bomb", ProtoEvent::http_compression_bomb},
    {"Too many request headers", ProtoEvent::http_request_too_many_headers},
    {"Too many response headers", ProtoEvent::http_response_too_many_headers},
};

}  // namespace

std::optional<ProtoEvent> http1_event_of(std::string_view message, Direction direction) noexcept {
  for (const auto& [start, event] : messages) {
    if (message.starts_with(start)) return event;
  }
  if (message.starts_with("Repetition for header")) {
    return direction == Direction::to_server ? ProtoEvent::http_request_header_repetition
                                             : ProtoEvent::http_response_header_repetition;
  }
  return std::nullopt;
}

bool is_double_encoded(std::string_view target) noexcept {
  constexpr std::string_view percent = "%25";
  for (auto at = target.find(percent); at != std::string_view::npos;
       at = target.find(percent, at + 1)) {
    const std::string_view rest = target.substr(at + percent.size());
    if (rest.size() >= 2 && hex_digit(rest[0]) >= 0 && hex_digit(rest[1]) >= 0) return true;
  }
  return false;
}

}  // namespace menshen::sensor
