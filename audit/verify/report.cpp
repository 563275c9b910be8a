#include <nlohmann/json.hpp>

#include "audit/verify/verify.hpp"

namespace menshen::audit {

std::string_view name(BreakKind kind) {
  switch (kind) {
    case BreakKind::edited:
      return "edited";
    case BreakKind::deleted:
      return "deleted";
    case BreakKind::inserted:
      return "inserted";
    case BreakKind::reordered:
      return "reordered";
    case BreakKind::rewritten:
      return "rewritten";
    case BreakKind::truncated:
      return "truncated";
    case BreakKind::signature:
      return "signature";
    case BreakKind::key_changed:
      return "key_changed";
    case BreakKind::checkpoint_chain:
      return "checkpoint_chain";
    case BreakKind::unsigned_records:
      return "unsigned_records";
    case BreakKind::damaged:
      return "damaged";
  }
  return "unknown";
}

Text title(BreakKind kind) {
  switch (kind) {
    case BreakKind::edited:
      return {"记录被改动", "the record was changed"};
    case BreakKind::deleted:
      return {"此处记录被删除", "records were deleted here"};
    case BreakKind::inserted:
      return {"此处有插入的记录", "records were put in here"};
    case BreakKind::reordered:
      return {"记录顺序被调换", "records were put in another order"};
    case BreakKind::rewritten:
      return {"记录被重写", "the records were rewritten"};
    case BreakKind::truncated:
      return {"末尾被截断", "the end was cut off"};
    case BreakKind::signature:
      return {"检查点签名无效", "a checkpoint's signature is wrong"};
    case BreakKind::key_changed:
      return {"签名密钥被更换", "the signing key was changed"};
    case BreakKind::checkpoint_chain:
      return {"检查点不连续", "the checkpoints do not follow"};
    case BreakKind::unsigned_records:
      return {"记录未经签署", "the records are not signed"};
    case BreakKind::damaged:
      return {"数据库文件损坏", "the database file is damaged"};
  }
  return {"未知", "unknown"};
}

std::string to_json(const VerifyReport& report, Lang lang) {
  nlohmann::ordered_json out;
  out["intact"] = report.intact;
  out["records"] = report.records;
  out["first_record"] = report.first_record;
  out["records_signed"] = report.records_signed;
  out["checkpoints"] = report.checkpoints;
  out["fingerprint"] = report.fingerprint;
  out["pinned"] = report.pinned;
  out["sequence_gaps"] = report.sequence_gaps;
  out["seconds"] = report.seconds;
  out["last_checkpoint"] = nullptr;
  if (report.last_checkpoint) {
    const Checkpoint& c = *report.last_checkpoint;
    out["last_checkpoint"] = {{"number", c.number},
                              {"size", c.size},
                              {"time", format_utc(c.time)},
                              {"root", to_hex(c.root)}};
  }
  out["first_break"] = nullptr;
  if (report.first_break) {
    const Break& b = *report.first_break;
    auto& json = out["first_break"] = {{"kind", name(b.kind)}, {"text", b.text.in(lang)}};
    if (b.record != 0) json["record"] = b.record;
    if (b.record_last != 0) json["record_last"] = b.record_last;
    if (b.checkpoint != 0) json["checkpoint"] = b.checkpoint;
    if (b.time != 0) json["time"] = format_utc(b.time);
  }
  out["warnings"] = nlohmann::ordered_json::array();
  for (const Text& warning : report.warnings) out["warnings"].push_back(warning.in(lang));
  return out.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace menshen::audit
