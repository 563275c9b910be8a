// The audit store, for the audit administrator and inspectors.
#include <fmt/format.h>

#include "audit/export/export.hpp"
#include "console/api/handlers.hpp"

namespace menshen::console {
namespace {

std::string question_of(const RequestHead& head) {
  std::string out;
  for (const auto& [key, value] : head.query) {
    if (!value.empty()) out += fmt::format("{}{}={}", out.empty() ? "" : " ", key, value);
  }
  return out;
}

// A search is told of as well: who looked for what. Always: what the client says of itself is not
// asked.
Result<Response> search(Call& call) {
  const audit::Filter filter = MENSHEN_TRY(filter_of(call.request));
  Json items = Json::array();
  const auto found = with_reader(call.desk, [&](const audit::Reader& reader) {
    return reader.find(filter, [&](const audit::Found& each) {
      items.push_back(record_json(each));
      return true;
    });
  });
  if (!found) return tl::make_unexpected(found.error());
  record(call.desk, audit::Outcome::success, audit::Severity::info, call.session->name,
         call.request.peer, "audit.find", question_of(call.request),
         {"查询审计记录", "audit records were searched"},
         {{"records", items.size()}, {"session", call.session->id}});
  const bool full = items.size() == filter.limit;
  const Json next = full ? items.back().at("number") : Json();
  return reply({{"items", std::move(items)}, {"next", next}});
}

Result<Response> proof(Call& call) {
  std::uint64_t number = 0;
  for (const char c : call.parameter) {
    if (c < '0' || c > '9' || number > (1ULL << 50U)) {
      return fail(ErrorCode::invalid, {"记录编号无效", "that is no number of a record"});
    }
    number = number * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return with_reader(call.desk, [&](const audit::Reader& reader) -> Result<Response> {
    const audit::Prover prover = MENSHEN_TRY(reader.prover());
    return download("application/json", fmt::format("proof-{}.json", number),
                    MENSHEN_TRY(prover.prove(number)).to_json() + "\n");
  });
}

Result<Response> verify_state(Call& call) { return reply(call.desk.verify.state()); }

Result<Response> start_verify(Call& call) {
  if (!call.desk.verify.start(call.person())) {
    return fail(ErrorCode::exists, {"校验正在进行", "the store is being verified already"});
  }
  return reply(call.desk.verify.state(), 202);
}

std::string_view ending_of(audit::ExportFormat format) {
  switch (format) {
    case audit::ExportFormat::csv:
      return "csv";
    case audit::ExportFormat::cef:
      return "cef";
    case audit::ExportFormat::rfc5424:
      return "log";
    case audit::ExportFormat::json_lines:
    case audit::ExportFormat::eve:
    case audit::ExportFormat::proof:
      break;
  }
  return "jsonl";
}

Result<Response> export_records(Call& call) {
  const std::string format_name = MENSHEN_TRY(text_of(call.body, "format"));
  const auto format = audit::parse_export_format(format_name);
  if (!format) return fail(ErrorCode::invalid, {"没有此导出格式", "there is no such format"});
  audit::Filter filter = MENSHEN_TRY(filter_of(call.request));
  filter.limit = export_records_max + 1;
  call.object = question_of(call.request);
  std::string out;
  const auto written = with_reader(call.desk, [&](const audit::Reader& reader) {
    return audit::export_records(reader, filter, *format,
                                 [&](std::string_view text) -> Result<void> {
                                   out += text;
                                   return {};
                                 });
  });
  if (!written) return tl::make_unexpected(written.error());
  if (*written > export_records_max) {
    return fail(
        ErrorCode::limit,
        {fmt::format("超过 {} 条，请缩小范围或使用 menshen audit export", export_records_max),
         fmt::format("more than {} records: narrow it down, or use menshen audit export",
                     export_records_max)});
  }
  call.detail["records"] = *written;
  return download("application/octet-stream", fmt::format("audit.{}", ending_of(*format)),
                  std::move(out));
}

const std::array<Route, 5> table{{
    {{"GET", "/api/audit", Right::see_audit, ""}, search},
    {{"GET", "/api/audit/proof/{number}", Right::see_audit, ""}, proof},
    {{"GET", "/api/audit/verify", Right::verify_audit, ""}, verify_state},
    {{"POST", "/api/audit/verify", Right::verify_audit, "audit.verify"}, start_verify},
    {{"POST", "/api/audit/export", Right::export_audit, "audit.export", true}, export_records},
}};

}  // namespace

std::span<const Route> audit_routes() { return table; }

}  // namespace menshen::console
