#include "sensor/proto/transaction.hpp"

#include <array>

namespace menshen::sensor {

namespace {

constexpr auto buffer_count = static_cast<std::size_t>(Buffer::count);

constexpr std::array<BufferInfo, buffer_count> make_table() {
  using enum Buffer;
  std::array<BufferInfo, buffer_count> table{};
  AppProto proto = AppProto::http1;
  Direction direction = Direction::to_server;
  const auto set = [&](Buffer buffer, std::string_view name) {
    table[static_cast<std::size_t>(buffer)] = {name, proto, direction};
  };
  set(http_method, "http.method");
  set(http_uri, "http.uri");
  set(http_uri_raw, "http.uri.raw");
  set(http_protocol, "http.protocol");
  set(http_request_line, "http.request_line");
  set(http_host, "http.host");
  set(http_host_raw, "http.host.raw");
  set(http_user_agent, "http.user_agent");
  set(http_referer, "http.referer");
  set(http_cookie, "http.cookie");
  set(http_accept, "http.accept");
  set(http_accept_enc, "http.accept_enc");
  set(http_accept_lang, "http.accept_lang");
  set(http_connection, "http.connection");
  set(http_content_type, "http.content_type");
  set(http_content_len, "http.content_len");
  set(http_request_header, "http.header");
  set(http_request_header_raw, "http.header.raw");
  set(http_request_header_names, "http.header_names");
  set(http_request_start, "http.start");
  set(http_request_body, "http.request_body");
  direction = Direction::to_client;
  set(http_stat_code, "http.stat_code");
  set(http_stat_msg, "http.stat_msg");
  set(http_response_line, "http.response_line");
  set(http_response_protocol, "http.protocol");
  set(http_server, "http.server");
  set(http_location, "http.location");
  set(http_set_cookie, "http.cookie");
  set(http_response_content_type, "http.content_type");
  set(http_response_content_len, "http.content_len");
  set(http_response_header, "http.header");
  set(http_response_header_raw, "http.header.raw");
  set(http_response_header_names, "http.header_names");
  set(http_response_start, "http.start");
  set(http_response_body, "http.response_body");
  proto = AppProto::dns;
  direction = Direction::to_server;
  set(dns_query, "dns.query");
  direction = Direction::to_client;
  set(dns_answer_name, "dns.answer.name");
  proto = AppProto::tls;
  direction = Direction::to_server;
  set(tls_sni, "tls.sni");
  direction = Direction::to_client;
  set(tls_version, "tls.version");
  set(tls_cert_subject, "tls.cert_subject");
  set(tls_cert_issuer, "tls.cert_issuer");
  set(tls_cert_serial, "tls.cert_serial");
  set(tls_cert_fingerprint, "tls.cert_fingerprint");
  return table;
}

constexpr std::array<BufferInfo, buffer_count> table = make_table();

constexpr bool all_named() {
  for (const BufferInfo& info : table) {
    if (info.name.empty()) return false;
  }
  return true;
}
static_assert(all_named());

}  // namespace

const BufferInfo& buffer_info(Buffer buffer) noexcept {
  return table[static_cast<std::size_t>(buffer)];
}

}  // namespace menshen::sensor
