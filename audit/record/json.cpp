#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "audit/record/record.hpp"

namespace menshen::audit {
namespace {

template <class Enum>
struct Name {
  Enum value;
  std::string_view id;
  std::string_view zh;
  std::string_view en;
};

constexpr std::array<Name<Kind>, 11> kinds{{
    {Kind::alert, "alert", "入侵告警", "alert"},
    {Kind::drop, "drop", "检测阻断", "drop"},
    {Kind::isolation, "isolation", "越域访问", "isolation violation"},
    {Kind::flow, "flow", "会话摘要", "flow summary"},
    {Kind::admin, "admin", "管理操作", "administrator act"},
    {Kind::policy, "policy", "策略变更", "policy step"},
    {Kind::proof, "proof", "策略证明", "proof"},
    {Kind::system, "system", "系统事件", "system"},
    {Kind::loss, "loss", "记录丢失", "loss"},
    {Kind::compliance, "compliance", "合规测评", "compliance"},
    {Kind::external, "external", "外部日志", "collected log"},
}};
constexpr std::array<Name<Severity>, 5> severities{{
    {Severity::info, "info", "信息", "information"},
    {Severity::low, "low", "低", "low"},
    {Severity::medium, "medium", "中", "medium"},
    {Severity::high, "high", "高", "high"},
    {Severity::critical, "critical", "严重", "critical"},
}};
constexpr std::array<Name<Outcome>, 6> outcomes{{
    {Outcome::unknown, "unknown", "未知", "unknown"},
    {Outcome::success, "success", "成功", "success"},
    {Outcome::failure, "failure", "失败", "failure"},
    {Outcome::allowed, "allowed", "放行", "allowed"},
    {Outcome::blocked, "blocked", "阻断", "blocked"},
    {Outcome::rejected, "rejected", "拒绝", "rejected"},
}};

template <class Table, class Enum>
auto row(const Table& table, Enum value) {
  return std::ranges::find(table, value, [](const auto& entry) { return entry.value; });
}
template <class Table, class Enum>
std::string_view id_of(const Table& table, Enum value) {
  const auto found = row(table, value);
  return found == table.end() ? std::string_view("unknown") : found->id;
}
template <class Table, class Enum>
Text title_of(const Table& table, Enum value) {
  const auto found = row(table, value);
  if (found == table.end()) return {"未知", "unknown"};
  return {std::string(found->zh), std::string(found->en)};
}
template <class Enum, class Table>
std::optional<Enum> parse_id(const Table& table, std::string_view text) {
  const auto found = std::ranges::find(table, text, [](const auto& entry) { return entry.id; });
  if (found == table.end()) return std::nullopt;
  return found->value;
}

std::string uuid(const BootId& id) {
  std::string out;
  for (std::size_t i = 0; i < id.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out.push_back('-');
    fmt::format_to(std::back_inserter(out), "{:02x}", id[i]);
  }
  return out;
}

}  // namespace

std::string_view name(Kind kind) { return id_of(kinds, kind); }
std::string_view name(Severity severity) { return id_of(severities, severity); }
std::string_view name(Outcome outcome) { return id_of(outcomes, outcome); }
std::optional<Kind> parse_kind(std::string_view text) { return parse_id<Kind>(kinds, text); }
std::optional<Severity> parse_severity(std::string_view text) {
  return parse_id<Severity>(severities, text);
}
std::optional<Outcome> parse_outcome(std::string_view text) {
  return parse_id<Outcome>(outcomes, text);
}
Text title(Kind kind) { return title_of(kinds, kind); }
Text title(Severity severity) { return title_of(severities, severity); }
Text title(Outcome outcome) { return title_of(outcomes, outcome); }

std::string to_json(const Record& record, std::uint64_t number) {
  nlohmann::ordered_json out;
  const auto text = [&](const char* key, const std::string& value) {
    if (!value.empty()) out[key] = value;
  };
  if (number != 0) out["number"] = number;
  out["time"] = format_utc(record.time);
  out["time_ns"] = record.time;
  out["monotonic_ns"] = record.monotonic;
  out["boot_id"] = uuid(record.boot);
  out["source"] = record.source;
  out["epoch"] = record.epoch;
  out["sequence"] = record.sequence;
  out["kind"] = name(record.kind);
  out["severity"] = name(record.severity);
  out["outcome"] = name(record.outcome);
  text("subject", record.subject);
  text("action", record.action);
  text("object", record.object);
  text("domain_src", record.domain_src);
  text("domain_dst", record.domain_dst);
  if (record.src) out["src"] = record.src->to_string();
  if (record.dst) out["dst"] = record.dst->to_string();
  if (record.src || record.dst || record.proto != 0) {
    out["sport"] = record.sport;
    out["dport"] = record.dport;
    out["proto"] = record.proto;
  }
  if (record.rule) {
    out["rule"] = {{"gid", record.rule->gid}, {"sid", record.rule->sid}, {"rev", record.rule->rev}};
  }
  text("policy_line", record.policy_line);
  text("message", record.message);
  if (record.stamp) {
    out["stamp"] = {{"received", format_utc(record.stamp->received)},
                    {"received_ns", record.stamp->received},
                    {"uid", record.stamp->uid},
                    {"pid", record.stamp->pid}};
  }
  // The detail is spliced in as it is: building a tree of a hostile one would cost depth and time.
  const bool is_json = !record.detail.empty() && nlohmann::json::accept(record.detail);
  if (!is_json) text("detail", record.detail);
  std::string line = out.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  if (is_json) {
    std::string detail = record.detail;
    std::ranges::replace_if(
        detail, [](char c) { return c == '\n' || c == '\r'; }, ' ');
    line.pop_back();
    line += R"(,"detail":)" + detail + '}';
  }
  return line;
}

}  // namespace menshen::audit
