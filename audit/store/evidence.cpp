#include "audit/store/evidence.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "audit/store/schema.hpp"

namespace menshen::audit {
namespace {

constexpr std::string_view format_name = "menshen-evidence/1";

tl::unexpected<Error> fail_format(std::string zh, std::string en) {
  return fail(ErrorCode::invalid, {"证据文件：" + std::move(zh), "evidence: " + std::move(en)});
}
tl::unexpected<Error> fail_evidence(std::string zh, std::string en) {
  return fail(ErrorCode::corrupt, {"证据校验未通过：" + std::move(zh),
                                   "the evidence does not verify: " + std::move(en)});
}

std::string text_of(const nlohmann::json& json, const char* key) {
  const auto at = json.find(key);
  return at != json.end() && at->is_string() ? at->get<std::string>() : std::string();
}

}  // namespace

std::string Evidence::to_json() const {
  const Checkpoint& c = checkpoint.checkpoint;
  return nlohmann::ordered_json{{"format", format_name},
                                {"profile", name(c.profile)},
                                {"origin", c.origin},
                                {"number", number},
                                {"previous_head", to_hex(previous_head)},
                                {"record", to_base64(as_bytes(record))},
                                {"checkpoint", checkpoint.text},
                                {"public_key", public_key},
                                {"fingerprint", format_fingerprint(c.profile, c.key)}}
      .dump();
}

Result<Evidence> Evidence::parse(std::string_view text) {
  if (text.size() > evidence_bytes_max) return fail_format("过长", "too long");
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object() || text_of(json, "format") != format_name) {
    return fail_format("不是 menshen-evidence/1", "it is not menshen-evidence/1");
  }
  Evidence evidence;
  const auto number = json.find("number");
  const auto head = parse_digest(text_of(json, "previous_head"));
  auto record = from_base64(text_of(json, "record"));
  if (number == json.end() || !number->is_number_unsigned() || !head || !record) {
    return fail_format("number、previous_head 或 record 无效",
                       "number, previous_head or record is not valid");
  }
  evidence.number = number->get<std::uint64_t>();
  evidence.previous_head = *head;
  evidence.record = *std::move(record);
  evidence.checkpoint = MENSHEN_TRY(parse_note(text_of(json, "checkpoint")));
  evidence.public_key = text_of(json, "public_key");
  return evidence;
}

Result<EvidenceReport> verify_evidence(const std::filesystem::path& file,
                                       std::string_view evidence_json,
                                       std::string_view fingerprint) {
  const Evidence evidence = MENSHEN_TRY(Evidence::parse(evidence_json));
  const Checkpoint& c = evidence.checkpoint.checkpoint;
  const PublicKey key = MENSHEN_TRY(PublicKey::parse(evidence.public_key));
  EvidenceReport report;
  report.checkpoint = c;
  report.fingerprint = format_fingerprint(key.profile(), key.fingerprint());
  report.pinned = !fingerprint.empty();
  if (report.pinned && report.fingerprint != fingerprint) {
    return fail_evidence(
        fmt::format("密钥指纹为 {}，应为 {}", report.fingerprint, fingerprint),
        fmt::format("the key's fingerprint is {}, not {}", report.fingerprint, fingerprint));
  }
  if (!verify_note(evidence.checkpoint, key)) {
    return fail_evidence("检查点签名无效", "the checkpoint's signature is wrong");
  }
  Chain chain = MENSHEN_TRY(Chain::make(c.profile));
  if (c.size != evidence.number ||
      chain.next(evidence.previous_head, as_bytes(evidence.record)) != c.head) {
    return fail_evidence("记录不是检查点所签的记录", "the record is not the one that was signed");
  }
  report.record = MENSHEN_TRY(decode(as_bytes(evidence.record)));
  const auto detail = nlohmann::json::parse(report.record.detail, nullptr, false);
  if (report.record.action != "attest" || !detail.is_object() ||
      text_of(detail, "algorithm") != digest_name(c.profile)) {
    return fail_evidence("该记录不是文件存证", "the record attests no document");
  }
  const Digest digest = MENSHEN_TRY(digest_file(c.profile, file));
  if (text_of(detail, "digest") != to_hex(digest)) {
    return fail_evidence("文件内容与存证时不同", "the document is not the one attested");
  }
  return report;
}

}  // namespace menshen::audit
