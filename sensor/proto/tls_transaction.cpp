#include "sensor/proto/tls_transaction.hpp"

#include <nlohmann/json.hpp>

#include "sensor/proto/tls_hello.hpp"

namespace menshen::sensor {

namespace {

using Json = nlohmann::ordered_json;

void add(Json& json, const char* key, std::string_view text) {
  if (!text.empty()) json[key] = text;
}

void add_all(Json& json, const char* key, const BufferSet& buffers, Buffer buffer) {
  for (std::size_t i = 0; i < buffers.instances(buffer); ++i) {
    json[key].push_back(buffers.text(buffer, i));
  }
}

void add_certificate(Json& json, const Certificate& certificate) {
  add(json, "subject", certificate.subject);
  add(json, "issuerdn", certificate.issuer);
  if (!certificate.alternative_names.empty()) {
    json["subjectaltname"] = certificate.alternative_names;
  }
  add(json, "serial", certificate.serial);
  add(json, "fingerprint", certificate.fingerprint);
}

void add_times(Json& json, const Certificate& certificate) {
  add(json, "notbefore", certificate.not_before);
  add(json, "notafter", certificate.not_after);
}

void add_fingerprint(Json& json, const char* key, std::string_view hash, std::string_view text) {
  if (!hash.empty()) json[key] = {{"hash", hash}, {"string", text}};
}

}  // namespace

// Field names and order as Suricata documents them for EVE.
std::string TlsTransaction::eve() const {
  Json json = Json::object();
  const auto& server = certificates[static_cast<std::size_t>(Direction::to_client)];
  const auto& client = certificates[static_cast<std::size_t>(Direction::to_server)];
  if (server) add_certificate(json, *server);
  add(json, "sni", buffers.text(Buffer::tls_sni));
  json["version"] = version == 0 ? "UNDETERMINED" : tls_version_name(version);
  if (server) add_times(json, *server);
  if (client) {
    Json& shown = json["client"];
    add_certificate(shown, *client);
    add_times(shown, *client);
  }
  add_fingerprint(json, "ja3", buffers.text(Buffer::ja3_hash), buffers.text(Buffer::ja3_string));
  add_fingerprint(json, "ja3s", buffers.text(Buffer::ja3s_hash), buffers.text(Buffer::ja3s_string));
  add(json, "ja4", buffers.text(Buffer::ja4_hash));
  add_all(json, "client_alpns", buffers, Buffer::tls_alpn);
  add_all(json, "server_alpns", buffers, Buffer::tls_alpn_response);
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace menshen::sensor
