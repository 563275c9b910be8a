#include "audit/store/evidence.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "audit/store/segment.hpp"

namespace menshen::audit {
namespace {

constexpr std::string_view proof_format = "menshen-proof/1";
constexpr std::string_view consistency_format = "menshen-consistency/1";
constexpr std::size_t path_max = 128;

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

nlohmann::ordered_json hex_of(const std::vector<Digest>& path) {
  auto list = nlohmann::ordered_json::array();
  for (const Digest& digest : path) list.push_back(to_hex(digest));
  return list;
}

Result<std::vector<Digest>> parse_path(const nlohmann::json& json) {
  const auto list = json.find("path");
  std::vector<Digest> path;
  if (list == json.end() || !list->is_array() || list->size() > path_max) {
    return fail_format("path 无效", "path is not valid");
  }
  for (const auto& item : *list) {
    const auto digest = parse_digest(item.is_string() ? item.get<std::string>() : std::string());
    if (!digest) return fail_format("path 无效", "path is not valid");
    path.push_back(*digest);
  }
  return path;
}

Result<Proof> parse_proof(const nlohmann::json& json) {
  Proof proof;
  const auto number = json.find("number");
  auto record = from_base64(text_of(json, "record"));
  if (number == json.end() || !number->is_number_unsigned() || !record) {
    return fail_format("number 或 record 无效", "number or record is not valid");
  }
  proof.number = number->get<std::uint64_t>();
  proof.record = *std::move(record);
  proof.path = MENSHEN_TRY(parse_path(json));
  proof.checkpoint = MENSHEN_TRY(parse_note(text_of(json, "checkpoint")));
  proof.public_key = text_of(json, "public_key");
  return proof;
}

Result<Consistency> parse_consistency(const nlohmann::json& json) {
  Consistency consistency;
  consistency.earlier = MENSHEN_TRY(parse_note(text_of(json, "earlier")));
  consistency.path = MENSHEN_TRY(parse_path(json));
  consistency.checkpoint = MENSHEN_TRY(parse_note(text_of(json, "checkpoint")));
  consistency.public_key = text_of(json, "public_key");
  return consistency;
}

Result<EvidenceReport> check_key(const SignedNote& note, const PublicKey& key,
                                 std::string_view fingerprint) {
  EvidenceReport report;
  report.checkpoint = note.checkpoint;
  report.fingerprint = format_fingerprint(key.profile(), key.fingerprint());
  report.pinned = !fingerprint.empty();
  if (report.pinned && report.fingerprint != fingerprint) {
    return fail_evidence(
        fmt::format("密钥指纹为 {}，应为 {}", report.fingerprint, fingerprint),
        fmt::format("the key's fingerprint is {}, not {}", report.fingerprint, fingerprint));
  }
  if (!verify_note(note, key)) {
    return fail_evidence("检查点签名无效", "the checkpoint's signature is wrong");
  }
  return report;
}

Result<EvidenceReport> verify(const Proof& proof, std::string_view fingerprint) {
  const PublicKey key = MENSHEN_TRY(PublicKey::parse(proof.public_key));
  EvidenceReport report = MENSHEN_TRY(check_key(proof.checkpoint, key, fingerprint));
  const Checkpoint& c = proof.checkpoint.checkpoint;
  TreeHasher hasher = MENSHEN_TRY(TreeHasher::make(c.profile));
  if (proof.number == 0 || !verify_inclusion(hasher, hasher.leaf(as_bytes(proof.record)),
                                             proof.number - 1, c.size, proof.path, c.root)) {
    return fail_evidence("记录不在检查点所签的库中",
                         "the record does not stand where the signed checkpoint has it");
  }
  report.number = proof.number;
  report.record = MENSHEN_TRY(decode(as_bytes(proof.record)));
  return report;
}

Result<EvidenceReport> verify(const Consistency& consistency, std::string_view fingerprint) {
  const PublicKey key = MENSHEN_TRY(PublicKey::parse(consistency.public_key));
  EvidenceReport report = MENSHEN_TRY(check_key(consistency.checkpoint, key, fingerprint));
  const Checkpoint& earlier = consistency.earlier.checkpoint;
  const Checkpoint& c = consistency.checkpoint.checkpoint;
  TreeHasher hasher = MENSHEN_TRY(TreeHasher::make(c.profile));
  if (earlier.origin != c.origin || earlier.profile != c.profile ||
      !verify_consistency(hasher, earlier.size, c.size, consistency.path, earlier.root, c.root)) {
    return fail_evidence("较新的检查点不含较早检查点的全部记录",
                         "the later checkpoint does not hold what the earlier one held");
  }
  report.earlier = earlier;
  return report;
}

}  // namespace

std::string Proof::to_json() const {
  const Checkpoint& c = checkpoint.checkpoint;
  return nlohmann::ordered_json{{"format", proof_format},
                                {"profile", name(c.profile)},
                                {"origin", c.origin},
                                {"number", number},
                                {"record", to_base64(as_bytes(record))},
                                {"path", hex_of(path)},
                                {"checkpoint", checkpoint.text},
                                {"public_key", public_key},
                                {"fingerprint", format_fingerprint(c.profile, c.key)}}
      .dump();
}

std::string Consistency::to_json() const {
  const Checkpoint& c = checkpoint.checkpoint;
  return nlohmann::ordered_json{
      {"format", consistency_format}, {"profile", name(c.profile)},
      {"origin", c.origin},           {"earlier", earlier.text},
      {"path", hex_of(path)},         {"checkpoint", checkpoint.text},
      {"public_key", public_key},     {"fingerprint", format_fingerprint(c.profile, c.key)}}
      .dump();
}

Result<std::variant<Proof, Consistency>> parse_evidence(std::string_view text) {
  if (text.size() > evidence_bytes_max) return fail_format("过长", "too long");
  const auto json = nlohmann::json::parse(text, nullptr, false);
  const std::string format = json.is_object() ? text_of(json, "format") : std::string();
  if (format == proof_format) return MENSHEN_TRY(parse_proof(json));
  if (format == consistency_format) return MENSHEN_TRY(parse_consistency(json));
  return fail_format("不是 menshen-proof/1 或 menshen-consistency/1",
                     "it is neither menshen-proof/1 nor menshen-consistency/1");
}

Result<Proof> prove_record(Tree& tree, std::uint64_t number, const SignedNote& note,
                           const PublicKey& key) {
  const Checkpoint& c = note.checkpoint;
  if (number == 0 || number > c.size) {
    return fail(ErrorCode::unavailable,
                {fmt::format("检查点 {} 覆盖 {} 条记录，尚不含记录 {}", c.number, c.size, number),
                 fmt::format("checkpoint {} covers {} records, record {} is not among them yet",
                             c.number, c.size, number)});
  }
  Proof proof;
  proof.number = number;
  proof.record = MENSHEN_TRY(tree.record(number));
  proof.path =
      MENSHEN_TRY(inclusion_path(number - 1, c.size, [&](std::uint64_t begin, std::uint64_t end) {
        return tree.range(begin, end);
      }));
  proof.checkpoint = note;
  proof.public_key = key.pem();
  return proof;
}

Result<Consistency> prove_consistency(Tree& tree, const SignedNote& earlier, const SignedNote& note,
                                      const PublicKey& key) {
  const std::uint64_t from = earlier.checkpoint.size;
  if (from == 0 || from > note.checkpoint.size) {
    return fail(
        ErrorCode::invalid,
        {fmt::format("给定检查点覆盖 {} 条记录，多于现有的 {} 条", from, note.checkpoint.size),
         fmt::format("the given checkpoint covers {} records, more than the {} there are", from,
                     note.checkpoint.size)});
  }
  Consistency consistency;
  consistency.earlier = earlier;
  consistency.path = MENSHEN_TRY(consistency_path(
      from, note.checkpoint.size,
      [&](std::uint64_t begin, std::uint64_t end) { return tree.range(begin, end); }));
  consistency.checkpoint = note;
  consistency.public_key = key.pem();
  return consistency;
}

Result<EvidenceReport> verify_proof(std::string_view evidence_json, std::string_view fingerprint) {
  const auto evidence = MENSHEN_TRY(parse_evidence(evidence_json));
  return std::visit([&](const auto& each) { return verify(each, fingerprint); }, evidence);
}

Result<EvidenceReport> verify_evidence(const std::filesystem::path& file,
                                       std::string_view evidence_json,
                                       std::string_view fingerprint) {
  EvidenceReport report = MENSHEN_TRY(verify_proof(evidence_json, fingerprint));
  if (report.number == 0) return fail_evidence("不是记录的证据", "it is no evidence of a record");
  const auto detail = nlohmann::json::parse(report.record.detail, nullptr, false);
  const Profile profile = report.checkpoint.profile;
  if (report.record.action != "attest" || !detail.is_object() ||
      text_of(detail, "algorithm") != digest_name(profile)) {
    return fail_evidence("该记录不是文件存证", "the record attests no document");
  }
  const Digest digest = MENSHEN_TRY(digest_file(profile, file));
  if (text_of(detail, "digest") != to_hex(digest)) {
    return fail_evidence("文件内容与存证时不同", "the document is not the one attested");
  }
  return report;
}

}  // namespace menshen::audit
