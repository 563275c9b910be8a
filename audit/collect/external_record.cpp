#include <algorithm>
#include <nlohmann/json.hpp>

#include "audit/collect/collector.hpp"
#include "audit/collect/forms.hpp"
#include "audit/crypto/digest.hpp"
#include "base/text.hpp"

namespace menshen::audit {
namespace {

using Json = nlohmann::ordered_json;

// Escapes would make more of it than a record holds.
bool is_plain(std::string_view text) {
  return is_utf8(text) && std::ranges::none_of(text, [](char c) {
           return static_cast<unsigned char>(c) < 0x20 && c != '\t';
         });
}

}  // namespace

Record external_record(std::string_view message, const SyslogMessage& parsed, const Sender& sender,
                       const std::string& domain, std::string_view via, WallTime now) {
  Record record;
  record.kind = Kind::external;
  record.time = parsed.time.value_or(now);
  record.severity = severity_of(parsed.severity);
  record.subject = parsed.app;
  record.action = "syslog";
  record.object = parsed.host;
  record.domain_src = domain;
  record.message = parsed.text;
  const std::string_view form = read_form(parsed, record);
  Json detail;
  const auto put = [&](const char* key, std::string_view value) {
    if (!value.empty()) detail[key] = value;
  };
  detail["sender"] = sender.address.to_string();
  put("certificate", sender.certificate);
  detail["via"] = via;
  put("host", parsed.host);
  put("app", parsed.app);
  put("process", parsed.process);
  put("msgid", parsed.id);
  detail["facility"] = parsed.facility;
  detail["severity"] = parsed.severity;
  put("form", form);
  if (is_plain(message)) {
    detail["raw"] = message;
  } else {
    detail["raw_base64"] = to_base64(as_bytes(message));
  }
  record.detail = detail.dump(-1, ' ', false, Json::error_handler_t::replace);
  fit(record);
  return record;
}

}  // namespace menshen::audit
