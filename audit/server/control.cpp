#include "audit/server/control.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "audit/server/protocol.hpp"
#include "audit/store/evidence.hpp"

namespace menshen::audit {
namespace {

using Json = nlohmann::ordered_json;

std::string_view code_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid:
      return "invalid";
    case ErrorCode::not_found:
      return "not_found";
    case ErrorCode::exists:
      return "exists";
    case ErrorCode::denied:
      return "denied";
    case ErrorCode::unavailable:
      return "unavailable";
    case ErrorCode::limit:
      return "limit";
    case ErrorCode::corrupt:
      return "corrupt";
    case ErrorCode::io:
      return "io";
  }
  return "io";
}

Json failure(const Error& error) {
  return {
      {"ok", false}, {"code", code_name(error.code)}, {"zh", error.text.zh}, {"en", error.text.en}};
}

Json status_of(const Store& store, const ServerCounters& counters) {
  const StoreStatus status = store.status();
  Json out{{"ok", true},
           {"records", status.records},
           {"checkpoints", status.checkpoints},
           {"size_bytes", status.bytes},
           {"disk_free_bytes", status.disk_free},
           {"profile", name(status.profile)},
           {"origin", status.origin},
           {"fingerprint", status.fingerprint},
           {"healthy", status.healthy},
           {"first_record", status.first_record},
           {"segments", status.segments},
           {"disk_full_at", nullptr},
           {"last_checkpoint", nullptr},
           {"connections", counters.connections},
           {"accepted", counters.accepted},
           {"duplicates", counters.duplicates},
           {"conflicts", counters.conflicts},
           {"refused", counters.refused},
           {"shed", counters.shed}};
  if (status.disk_full_at) out["disk_full_at"] = format_utc(*status.disk_full_at);
  if (status.last_checkpoint) {
    const Checkpoint& c = *status.last_checkpoint;
    out["last_checkpoint"] = {{"number", c.number},
                              {"size", c.size},
                              {"time", format_utc(c.time)},
                              {"root", to_hex(c.root)}};
  }
  return out;
}

Result<Json> attest(Store& store, const nlohmann::json& request, const PeerCredentials& peer) {
  const auto text = [&](const char* key) {
    const auto at = request.find(key);
    return at != request.end() && at->is_string() ? at->get<std::string>() : std::string();
  };
  const auto digest = parse_digest(text("digest"));
  const auto bytes = request.find("bytes");
  if (text("name").empty() || !digest || bytes == request.end() || !bytes->is_number_unsigned()) {
    return fail(ErrorCode::invalid, {"存证请求须有 name、digest（64 位十六进制）和 bytes",
                                     "attest needs name, digest (64 hex digits) and bytes"});
  }
  Attestation attestation;
  attestation.name = text("name");
  attestation.digest = *digest;
  attestation.bytes = bytes->get<std::uint64_t>();
  // The kernel's word first; what the peer says about the person behind it second.
  attestation.subject = fmt::format("uid {}: {}", peer.uid, text("subject"));
  const std::string evidence = MENSHEN_TRY(store.attest(attestation));
  return Json{{"ok", true}, {"evidence", Json::parse(evidence, nullptr, false)}};
}

// Whoever may connect may read, and tells of it: that cannot be turned into anything but records
// under the user's own number.
Result<Json> told(Store& store, const nlohmann::json& request, const PeerCredentials& peer) {
  const auto text = [&](const char* key) {
    const auto at = request.find(key);
    return at != request.end() && at->is_string() ? at->get<std::string>() : std::string();
  };
  Record record;
  record.kind = Kind::admin;
  record.action = text("action");
  if (record.action != "audit.find" && record.action != "audit.export") {
    return fail(ErrorCode::invalid, {"未知的查询动作", "unknown action of a search"});
  }
  record.subject = fmt::format("uid {}: {}", peer.uid, text("subject"));
  record.object = text("filter");
  const auto records = request.find("records");
  if (records != request.end() && records->is_number_unsigned()) {
    record.detail = fmt::format(R"({{"records":{}}})", records->get<std::uint64_t>());
  }
  MENSHEN_CHECK(store.append_own(std::move(record)));
  return Json{{"ok", true}};
}

Result<Json> rotate(Store& store, const nlohmann::json& request, const PeerCredentials& peer) {
  const auto subject = request.find("subject");
  const bool named = subject != request.end() && subject->is_string();
  MENSHEN_CHECK(store.rotate_key(
      fmt::format("uid {}: {}", peer.uid, named ? subject->get<std::string>() : std::string())));
  return Json{{"ok", true}, {"fingerprint", store.status().fingerprint}};
}

Result<Json> answer(Store& store, const ServerCounters& counters, std::string_view request,
                    bool may_operate, const PeerCredentials& peer) {
  if (request.size() > control_bytes_max) {
    return fail(ErrorCode::limit, {"请求过长", "the request is too long"});
  }
  const auto json = nlohmann::json::parse(request, nullptr, false);
  const auto op = json.is_object() ? json.find("op") : json.end();
  if (op == json.end() || !op->is_string()) {
    return fail(ErrorCode::invalid,
                {"请求须为带 op 的 JSON 对象", "the request must be a JSON object with op"});
  }
  if (*op == "status") return status_of(store, counters);
  if (*op == "told") return told(store, json, peer);
  if (*op != "checkpoint" && *op != "attest" && *op != "rotate_key") {
    return fail(ErrorCode::invalid, {"未知的操作", "unknown operation"});
  }
  if (!may_operate) {
    return fail(ErrorCode::denied, {fmt::format("用户 {} 无权进行该操作", peer.uid),
                                    fmt::format("user {} may not do this", peer.uid)});
  }
  if (*op == "attest") return attest(store, json, peer);
  if (*op == "rotate_key") return rotate(store, json, peer);
  return Json{{"ok", true}, {"checkpoint", MENSHEN_TRY(store.checkpoint()).text}};
}

}  // namespace

std::string answer_control(Store& store, const ServerCounters& counters, std::string_view request,
                           bool may_operate, const PeerCredentials& peer) {
  const auto result = answer(store, counters, request, may_operate, peer);
  const Json json = result ? *result : failure(result.error());
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace menshen::audit
