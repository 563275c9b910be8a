#include "audit/export/export.hpp"

#include <algorithm>
#include <array>

namespace menshen::audit {
namespace {

constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";

constexpr std::array<std::string_view, 26> columns{
    "number",      "time",    "source", "epoch",    "sequence",   "kind",       "severity",
    "outcome",     "subject", "action", "object",   "domain_src", "domain_dst", "src",
    "sport",       "dst",     "dport",  "proto",    "gid",        "sid",        "rev",
    "policy_line", "message", "detail", "received", "peer_uid"};

// Not for numbers: what begins a formula there is a sign.
std::string cell(std::string_view text) {
  std::string out;
  if (!text.empty() && std::string_view("=+-@\t\r").find(text.front()) != std::string_view::npos) {
    out.push_back('\'');
  }
  out.append(text);
  if (out.find_first_of(",\"\r\n") == std::string::npos) return out;
  std::string quoted = "\"";
  for (const char c : out) {
    if (c == '"') quoted.push_back('"');
    quoted.push_back(c);
  }
  return quoted + '"';
}

std::string rule_cell(const Record& record, std::uint32_t RuleId::*member) {
  return record.rule ? std::to_string((*record.rule).*member) : std::string();
}

}  // namespace

std::optional<ExportFormat> parse_export_format(std::string_view text) {
  if (text == "jsonl") return ExportFormat::json_lines;
  if (text == "csv") return ExportFormat::csv;
  if (text == "eve") return ExportFormat::eve;
  if (text == "cef") return ExportFormat::cef;
  if (text == "rfc5424") return ExportFormat::rfc5424;
  if (text == "proof") return ExportFormat::proof;
  return std::nullopt;
}

std::string csv_header() {
  std::string out(byte_order_mark);
  for (const std::string_view column : columns) {
    if (out.size() > byte_order_mark.size()) out.push_back(',');
    out.append(column);
  }
  return out + "\r\n";
}

std::string csv_row(const Found& found) {
  const Record& r = found.record;
  const bool flow = r.src || r.dst || r.proto != 0;
  const std::array<std::string, columns.size()> cells{
      std::to_string(found.number),
      format_utc(r.time),
      cell(r.source),
      std::to_string(r.epoch),
      std::to_string(r.sequence),
      std::string(name(r.kind)),
      std::string(name(r.severity)),
      std::string(name(r.outcome)),
      cell(r.subject),
      cell(r.action),
      cell(r.object),
      cell(r.domain_src),
      cell(r.domain_dst),
      r.src ? r.src->to_string() : std::string(),
      flow ? std::to_string(r.sport) : std::string(),
      r.dst ? r.dst->to_string() : std::string(),
      flow ? std::to_string(r.dport) : std::string(),
      flow ? std::to_string(r.proto) : std::string(),
      rule_cell(r, &RuleId::gid),
      rule_cell(r, &RuleId::sid),
      rule_cell(r, &RuleId::rev),
      cell(r.policy_line),
      cell(r.message),
      cell(r.detail),
      r.stamp ? format_utc(r.stamp->received) : std::string(),
      r.stamp ? std::to_string(r.stamp->uid) : std::string()};
  std::string out;
  for (const std::string& text : cells) {
    if (&text != &cells.front()) out.push_back(',');
    out.append(text);
  }
  return out + "\r\n";
}

namespace {

std::string line_of(const Found& found, ExportFormat format) {
  switch (format) {
    case ExportFormat::csv:
      return csv_row(found);
    case ExportFormat::eve:
      return eve_line(found);
    case ExportFormat::cef:
      return cef_line(found);
    case ExportFormat::rfc5424:
      return syslog_line(found);
    case ExportFormat::json_lines:
    case ExportFormat::proof:
      break;
  }
  return to_json(found.record, found.number) + "\n";
}

Result<std::uint64_t> export_proofs(const Reader& reader, const Filter& filter, const Sink& sink) {
  const Prover prover = MENSHEN_TRY(reader.prover());
  const std::uint64_t covered = prover.checkpoint().checkpoint.size;
  Result<void> written;
  std::uint64_t given = 0;
  static_cast<void>(MENSHEN_TRY(reader.find(filter, [&](const Found& found) {
    if (found.number > covered) return true;
    const auto proof = prover.prove(found.number);
    if (!proof) {
      written = tl::make_unexpected(proof.error());
      return false;
    }
    written = sink(proof->to_json() + "\n");
    given += written.has_value() ? 1 : 0;
    return written.has_value();
  })));
  MENSHEN_CHECK(std::move(written));
  return given;
}

}  // namespace

Result<std::uint64_t> export_records(const Reader& reader, const Filter& filter,
                                     ExportFormat format, const Sink& sink) {
  if (format == ExportFormat::proof) return export_proofs(reader, filter, sink);
  if (format == ExportFormat::csv) MENSHEN_CHECK(sink(csv_header()));
  Result<void> written;
  const std::uint64_t given = MENSHEN_TRY(reader.find(filter, [&](const Found& found) {
    written = sink(line_of(found, format));
    return written.has_value();
  }));
  MENSHEN_CHECK(std::move(written));
  return given;
}

}  // namespace menshen::audit
