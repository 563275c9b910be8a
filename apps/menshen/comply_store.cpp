#include "apps/menshen/comply_store.hpp"

#include <algorithm>

#include "apps/menshen/person.hpp"
#include "audit/client/client.hpp"
#include "base/file.hpp"

namespace menshen::apps {
namespace fs = std::filesystem;
namespace {

using compliance::Change;
using compliance::Comparison;

constexpr std::size_t views_looked_back = 50;  // runs, for one of the same view

bool is_run_name(const std::string& name) {
  constexpr std::string_view form = "0000-00-00T00-00-00Z";
  if (name.size() != form.size()) return false;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const bool digit = name[i] >= '0' && name[i] <= '9';
    if (form[i] == '0' ? !digit : name[i] != form[i]) return false;
  }
  return true;
}

audit::Severity severity_of(const compliance::VerdictChange& change) {
  switch (change.change) {
    case Change::worsened:
      return change.high_risk ? audit::Severity::high : audit::Severity::medium;
    case Change::lost:
      return audit::Severity::low;
    case Change::improved:
    case Change::gained:
      break;
  }
  return audit::Severity::info;
}

audit::Record change_record(const compliance::VerdictChange& change, const std::string& run) {
  audit::Record record;
  record.kind = audit::Kind::compliance;
  record.severity = severity_of(change);
  record.outcome = audit::Outcome::success;
  record.subject = acting_person();
  record.action = "comply.changed";
  record.object = change.id;
  const auto before = compliance::verdict_text(change.before);
  const auto after = compliance::verdict_text(change.after);
  record.message =
      fmt::format("{} {} → {} / {} → {}", change.id, before.zh, after.zh, before.en, after.en);
  record.detail = Json{
      {"change", compliance::change_name(change.change)},
      {"before", compliance::verdict_name(change.before)},
      {"after", compliance::verdict_name(change.after)},
      {"high_risk", change.high_risk},
      {"run", run}}.dump(-1, ' ', false, Json::error_handler_t::replace);
  return record;
}

audit::Record run_record(const compliance::Assessment& a, const std::string& run,
                         const std::optional<Comparison>& comparison) {
  audit::Record record;
  record.kind = audit::Kind::compliance;
  record.outcome = audit::Outcome::success;
  record.subject = acting_person();
  record.action = "comply.run";
  record.object = run;
  record.message = fmt::format("自查完成 / self-assessment done: {} / {}",
                               a.all.count(compliance::Verdict::conforming), a.all.judged());
  Json detail = {{"conforming", a.all.count(compliance::Verdict::conforming)},
                 {"judged", a.all.judged()},
                 {"findings", a.findings.size()},
                 {"high_risk", a.high_risk.size()},
                 {"objects", a.objects.size()},
                 {"rules", a.catalogue->digest_sha256}};
  if (comparison) {
    for (const Change change : {Change::worsened, Change::improved, Change::lost, Change::gained})
      detail[std::string(compliance::change_name(change))] = comparison->count(change);
  }
  record.detail = detail.dump();
  return record;
}

Result<void> tell_audit(const Settings& settings, const compliance::Assessment& assessment,
                        const std::string& run, const std::optional<Comparison>& comparison) {
  audit::ClientOptions options;
  options.socket = settings.text("general.auditd_socket");
  options.source = "menshen";
  const auto client = MENSHEN_TRY(audit::Client::start(std::move(options)));
  std::size_t told = 0;
  if (comparison) {
    for (const compliance::VerdictChange& change : comparison->items) {
      if (told++ == changed_records_max) break;
      if (!client->submit(change_record(change, run))) break;
    }
  }
  // In order: once the last is durable, all are.
  return client->submit_durable(run_record(assessment, run, comparison));
}

void prune(const Settings& settings) {
  const std::vector<std::string> runs = kept_runs(settings);
  const auto keep = static_cast<std::size_t>(settings.integer("compliance.runs_kept"));
  for (std::size_t i = 0; i + keep < runs.size(); ++i) {
    std::error_code error;
    fs::remove(ComplyPaths::of(settings).runs / (runs[i] + ".json"), error);
  }
}

}  // namespace

std::vector<std::string> kept_runs(const Settings& settings) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(ComplyPaths::of(settings).runs, error)) {
    const std::string name = entry.path().stem().string();
    if (entry.path().extension() == ".json" && is_run_name(name)) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<compliance::KeptRun> load_run(const Settings& settings, const std::string& name) {
  const fs::path file =
      is_run_name(name) ? ComplyPaths::of(settings).runs / (name + ".json") : fs::path(name);
  const std::string text = MENSHEN_TRY(read_file(file, compliance::run_bytes_max));
  auto run = compliance::parse_run(text);
  if (run) return std::move(*run);
  return fail_while({file.string(), file.string()}, run.error());
}

Result<std::optional<Comparison>> compare_with_last(const Settings& settings,
                                                    const compliance::Assessment& assessment) {
  compliance::KeptRun present = compliance::kept_run(assessment);
  const std::vector<std::string> runs = kept_runs(settings);
  std::size_t looked = 0;
  for (std::size_t i = runs.size(); i-- > 0 && looked++ < views_looked_back;) {
    compliance::KeptRun earlier = MENSHEN_TRY(load_run(settings, runs[i]));
    if (earlier.view != present.view) continue;
    return std::optional(compliance::compare(std::move(earlier), std::move(present)));
  }
  return std::optional<Comparison>();
}

Result<void> keep_run(const Settings& settings, const compliance::Assessment& assessment,
                      const std::optional<Comparison>& comparison) {
  const fs::path folder = ComplyPaths::of(settings).runs;
  const std::string run = run_name(assessment.assessed_at);
  MENSHEN_CHECK(make_directories(folder));
  MENSHEN_CHECK(
      write_file_atomic(folder / (run + ".json"), compliance::to_json(assessment) + "\n"));
  prune(settings);
  const Result<void> told = tell_audit(settings, assessment, run, comparison);
  if (told) return {};
  return fail_while(
      {"结果已保存，但未能写入审计库", "the run is kept, but the audit store was not told"},
      told.error());
}

}  // namespace menshen::apps
