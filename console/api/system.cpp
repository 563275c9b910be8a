// Overview, rules, compliance, the console's certificate.
#include <fmt/format.h>

#include <algorithm>

#include "base/file.hpp"
#include "console/api/handlers.hpp"
#include "console/http/certificate.hpp"
#include "console/http/secret.hpp"

namespace menshen::console {
namespace {

constexpr WallTime day = 86'400'000'000'000;
constexpr std::size_t run_bytes_max = 64U << 20U;
constexpr std::size_t report_bytes_max = 64U << 20U;

Json status_of(Call& call, const char* daemon) {
  const auto status = call.desk.backend.ask({daemon, "status", {}}, Json::object());
  if (status) return {{"up", true}, {"status", *status}};
  return {{"up", false},
          {"error", {{"zh", status.error().text.zh}, {"en", status.error().text.en}}}};
}

Json hours_of(Call& call) {
  const WallTime now = call.desk.backend.clock->wall();
  Json out = Json::array();
  const auto counts = with_reader(
      call.desk, [&](const audit::Reader& reader) { return reader.hours(now - day, now + 1); });
  if (!counts) return out;
  for (const audit::HourCount& count : *counts) {
    out.push_back({{"hour", format_utc(count.hour)},
                   {"kind", audit::name(count.kind)},
                   {"severity", audit::name(count.severity)},
                   {"records", count.records}});
  }
  return out;
}

// The results of the newest assessment; ErrorCode::not_found where there was none.
Result<Json> last_run(const Desk& desk) {
  std::vector<std::filesystem::path> runs;
  std::error_code error;
  for (std::filesystem::directory_iterator at(desk.backend.compliance_directory / "runs", error);
       !error && at != std::filesystem::directory_iterator(); at.increment(error)) {
    if (at->path().extension() == ".json") runs.push_back(at->path());
  }
  if (runs.empty()) {
    return fail(ErrorCode::not_found, {"尚无测评结果：请先执行 menshen comply report",
                                       "there is no assessment yet: run menshen comply report"});
  }
  const auto newest = *std::ranges::max_element(runs);
  Json json = Json::parse(MENSHEN_TRY(read_file(newest, run_bytes_max)), nullptr, false);
  if (!json.is_object()) {
    return fail(ErrorCode::corrupt, {"测评结果已损坏：" + newest.string(),
                                     "the results are damaged: " + newest.string()});
  }
  return json;
}

Result<Response> overview(Call& call) {
  Json compliance;
  if (may(call.session->role, Right::see_compliance)) {
    if (const auto run = last_run(call.desk)) {
      compliance = {{"assessed_at", run->value("assessed_at", "")},
                    {"totals", run->value("totals", Json::object())}};
    }
  }
  return reply({{"now", format_utc(call.desk.backend.clock->wall())},
                {"policyd", status_of(call, "policyd")},
                {"sensord", status_of(call, "sensord")},
                {"auditd", status_of(call, "auditd")},
                {"hours", hours_of(call)},
                {"compliance", compliance}});
}

Result<Response> rules(Call& call) {
  return reply(
      MENSHEN_TRY(call.desk.backend.ask({"sensord", "rules", call.person()}, Json::object())));
}

Result<Response> reload_rules(Call& call) {
  call.object = "sensord";
  return reply(
      MENSHEN_TRY(call.desk.backend.ask({"sensord", "reload", call.person()}, Json::object())));
}

Result<Response> compliance(Call& call) {
  const Json run = MENSHEN_TRY(last_run(call.desk));
  Json out = Json::object();
  for (const char* key : {"assessed_at", "subject", "catalogue", "totals", "parts", "editions",
                          "layers", "objects", "items", "checks"}) {
    if (run.contains(key)) out[key] = run.at(key);
  }
  return reply(out);
}

Result<Response> report(Call& call) {
  const bool zh = call.request.parameter("lang") != "en";
  const char* name = zh ? "report.zh.html" : "report.en.html";
  auto page = read_file(call.desk.backend.compliance_directory / name, report_bytes_max);
  if (!page) return tl::make_unexpected(page.error());
  return download("text/html; charset=utf-8", name, std::move(*page));
}

Json certificate_json(const CertificateInfo& info) {
  return {{"subject", info.subject},        {"issuer", info.issuer},
          {"not_before", info.not_before},  {"not_after", info.not_after},
          {"sha256", info.sha256},          {"names", info.names},
          {"self_signed", info.self_signed}};
}

Result<Response> certificate(Call& call) {
  return reply(certificate_json(MENSHEN_TRY(read_certificate(call.desk.backend.certificate))));
}

Result<Response> set_certificate(Call& call) {
  const std::string chain = MENSHEN_TRY(text_of(call.body, "certificate"));
  std::string key = MENSHEN_TRY(text_of(call.body, "key"));
  const auto replaced = replace_certificate(call.desk.backend.certificate, chain, key);
  wipe(key);
  if (!replaced) return tl::make_unexpected(replaced.error());
  const CertificateInfo& info = *replaced;
  call.object = info.subject;
  call.detail["sha256"] = info.sha256;
  MENSHEN_CHECK(call.desk.backend.reload_certificate());
  return reply(certificate_json(info));
}

constexpr std::size_t certificate_body = 768U << 10U;
const std::array<Route, 7> table{{
    {{"GET", "/api/overview", Right::see_status, ""}, overview},
    {{"GET", "/api/rules", Right::see_rules, ""}, rules},
    {{"POST", "/api/rules/reload", Right::reload_rules, "rules.reload", true}, reload_rules},
    {{"GET", "/api/compliance", Right::see_compliance, ""}, compliance},
    {{"GET", "/api/compliance/report", Right::see_compliance, ""}, report},
    {{"GET", "/api/certificate", Right::manage_certificate, ""}, certificate},
    {{"PUT", "/api/certificate", Right::manage_certificate, "certificate", true, certificate_body},
     set_certificate},
}};

}  // namespace

std::span<const Route> system_routes() { return table; }

}  // namespace menshen::console
