// menshen comply export|verify
#include <memory>

#include "apps/menshen/attest.hpp"
#include "apps/menshen/comply_commands.hpp"
#include "apps/menshen/comply_store.hpp"
#include "apps/menshen/comply_tasks.hpp"
#include "apps/menshen/evidence_package.hpp"
#include "apps/menshen/table.hpp"
#include "audit/verify/verify.hpp"
#include "base/file.hpp"

namespace menshen::apps {
namespace fs = std::filesystem;
namespace {

struct ExportArguments {
  std::string file;
  bool no_hosts = false;
};
struct VerifyArguments {
  std::string file;
  std::string fingerprint;
  bool json = false;
};

constexpr std::size_t log_bytes_max = 64U << 20U;
constexpr std::string_view readme =
    "门神自查证据包 / Menshen self-assessment, evidence package\n\n"
    "核验（任一均可，公钥指纹须从其他渠道取得）：\n"
    "  menshen comply verify FILE --fingerprint FINGERPRINT\n"
    "  sh verify.sh FILE FINGERPRINT      仅需 openssl 3 与常用命令；脚本应取自可信来源\n\n"
    "Verify with either; take the key's fingerprint, and the script, from elsewhere.\n\n"
    "MANIFEST            SHA-256, SM3, bytes, path of every file\n"
    "assessment.json     results, observations, sources and digests of facts\n"
    "report.zh.html      报告    report.en.html  report\n"
    "raw/SHA256.txt      what was collected, as it was judged\n"
    "audit/              checkpoints and verification of the audit store\n"
    "tasks/              answers by people, with attachments and the audit store's evidence\n"
    "rules/              the catalogue and checks that were used\n"
    "oscal/              OSCAL catalog, assessment results, plan of action\n";

// What the appliance vouches with: the store's checkpoints and public key, known by how they begin,
// and a fresh verification of the store. No other file of that folder goes in.
void add_audit(const Cli& cli, const Settings& settings,
               std::vector<compliance::PackageFile>& files) {
  const fs::path folder = settings.text("audit.directory");
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (!entry.is_regular_file(error)) continue;
    auto text = read_file(entry.path(), log_bytes_max);
    if (text && (text->rfind("menshen-audit-checkpoint/", 0) == 0 ||
                 text->rfind("-----BEGIN PUBLIC KEY-----", 0) == 0)) {
      files.push_back({"audit/" + entry.path().filename().string(), *std::move(text)});
    }
  }
  if (const auto report = audit::verify(folder, {}))
    files.push_back({"audit/verification.json", audit::to_json(*report, cli.lang()) + "\n"});
}

Result<void> add_rules(const Settings& settings, std::vector<compliance::PackageFile>& files) {
  const fs::path folder = settings.text("compliance.catalogue");
  for (const char* part : {"", "checks"}) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder / part, error)) {
      if (entry.path().extension() != ".yaml") continue;
      const std::string name = (fs::path("rules") / part / entry.path().filename()).string();
      files.push_back({name, MENSHEN_TRY(read_file(entry.path(), log_bytes_max))});
    }
  }
  files.push_back({"verify.sh", MENSHEN_TRY(read_file(folder / "verify-package.sh", 1U << 20U))});
  return {};
}

// auditd's answer in the one form that its own module writes.
Result<std::string> canonical(std::string_view evidence) {
  const auto parsed = MENSHEN_TRY(audit::parse_evidence(evidence));
  const auto* proof = std::get_if<audit::Proof>(&parsed);
  if (proof != nullptr) return proof->to_json();
  return fail(ErrorCode::invalid, {"审计守护进程给出的不是记录的证据",
                                   "the audit daemon gave no evidence of a record"});
}

// The tasks behind the answers that count, with the audit store's word for them and their files.
Result<void> add_tasks(const Settings& settings, const compliance::Assessment& assessment,
                       std::vector<compliance::PackageFile>& files) {
  const TaskStore store(settings);
  std::set<std::string> taken;
  for (const compliance::ItemResult& r : assessment.items) {
    if (!r.by_person) continue;
    const fs::path file = store.file_of(r.item->id);
    const std::string name = "tasks/" + r.item->id + ".json";
    files.push_back({name, MENSHEN_TRY(read_file(file, compliance::task_bytes_max))});
    files.push_back({name + ".evidence.json",
                     MENSHEN_TRY(read_file(file.string() + ".evidence.json", log_bytes_max))});
    for (const compliance::Attachment& each : r.task->task.answer()->attachments) {
      if (!taken.insert(each.sha256).second) continue;
      files.push_back(
          {"tasks/files/" + each.sha256, MENSHEN_TRY(read_file(store.attachment(each.sha256),
                                                               compliance::attachment_bytes_max))});
    }
  }
  return {};
}

Result<ExitCode> make_package(Cli& cli, const ExportArguments& arguments) {
  const Settings* settings = MENSHEN_TRY(cli.settings());
  const compliance::Catalogue catalogue = MENSHEN_TRY(load_comply_catalogue(cli, *settings));
  RunOptions options;
  options.hosts = !arguments.no_hosts;
  const compliance::Assessment assessment =
      MENSHEN_TRY(run_assessment(cli, *settings, catalogue, options));
  std::vector<compliance::PackageFile> files = compliance::package_files(assessment);
  files.push_back({"README.txt", std::string(readme)});
  MENSHEN_CHECK(add_tasks(*settings, assessment, files));
  add_audit(cli, *settings, files);
  MENSHEN_CHECK(add_rules(*settings, files));
  const std::string tar = MENSHEN_TRY(compliance::to_tar(std::move(files), assessment.assessed_at));
  // Signed as it lies on the disk; the package replaces it in one step.
  const fs::path file = arguments.file;
  const fs::path unsigned_file = file.string() + ".unsigned";
  MENSHEN_CHECK(write_file_atomic(unsigned_file, tar));
  const auto evidence = attest(*settings, unsigned_file, file.filename().string());
  std::error_code error;
  fs::remove(unsigned_file, error);
  if (!evidence) {
    return fail_while({"审计库未能签名，未生成证据包", "the audit store did not sign: no package"},
                      evidence.error());
  }
  const std::string package = seal_package(tar, MENSHEN_TRY(canonical(*evidence)));
  MENSHEN_CHECK(verify_package(package, ""));
  MENSHEN_CHECK(write_file_atomic(file, package));
  const auto comparison = MENSHEN_TRY(compare_with_last(*settings, assessment));
  MENSHEN_CHECK(keep_run(*settings, assessment, comparison));
  print_out(file.string() + "\n");
  return ExitCode::ok;
}

void print_report(const Cli& cli, const PackageReport& report) {
  print_out(cli.say("验证通过：签名、归档与每个文件均一致\n",
                    "genuine: signature, archive and every file agree\n"));
  const audit::EvidenceReport& evidence = report.evidence;
  Table table({"", ""});
  table.add({cli.say("出具设备", "appliance"), evidence.checkpoint.origin});
  table.add({cli.say("签名时间", "signed at"), format_local(evidence.checkpoint.time)});
  table.add({cli.say("出具人", "asked by"), evidence.record.subject});
  table.add({cli.say("文件数", "files"), fmt::format("{}", report.files.size())});
  table.add({cli.say("密钥指纹", "key fingerprint"), evidence.fingerprint});
  print_out(table.render("  "));
  if (!evidence.pinned) {
    print_err(cli.say("  ! 未提供指纹：请与另行保管的指纹比对（--fingerprint）\n",
                      "  ! compare the fingerprint with one kept elsewhere (--fingerprint)\n"));
  }
}

Result<ExitCode> verify(Cli& cli, const VerifyArguments& arguments) {
  const std::string package = MENSHEN_TRY(
      read_file(arguments.file, compliance::package_bytes_max + audit::evidence_bytes_max * 2));
  const auto report = verify_package(package, arguments.fingerprint);
  if (arguments.json) {
    Json json = {{"genuine", report.has_value()}};
    if (report) {
      json["files"] = report->files.size();
      json["origin"] = report->evidence.checkpoint.origin;
      json["signed_at"] = format_utc(report->evidence.checkpoint.time);
      json["fingerprint"] = report->evidence.fingerprint;
      json["pinned"] = report->evidence.pinned;
    } else {
      json["reason"] = cli.in(report.error().text);
    }
    print_out(to_pretty(json) + "\n");
  } else if (report) {
    print_report(cli, *report);
  } else {
    print_out(
        fmt::format("{}: {}\n", cli.say("验证未通过", "NOT genuine"), cli.in(report.error().text)));
  }
  return report ? ExitCode::ok : ExitCode::finding;
}

}  // namespace

void add_comply_package_commands(CLI::App& group, Cli& cli) {
  const auto exporting = std::make_shared<ExportArguments>();
  CLI::App& make = cli.add(group, "export",
                           {"测评并生成已签名的证据包：结果、原始证据、规则、审计检查点、OSCAL",
                            "Assess and make one signed package: results, raw evidence, rules, "
                            "checkpoints, OSCAL"},
                           "menshen comply export /media/usb/2026-11.menshen",
                           [&cli, exporting] { return make_package(cli, *exporting); });
  make.add_option("FILE", exporting->file, cli.say("证据包文件", "The package's file"))
      ->required()
      ->type_name("");
  make.add_flag("--no-hosts", exporting->no_hosts,
                cli.say("只测本设备，不采集清单中的主机",
                        "This appliance alone, without the inventory's hosts"));

  const auto checking = std::make_shared<VerifyArguments>();
  CLI::App& check =
      cli.add(group, "verify", {"离线验证证据包", "Verify an evidence package, offline"},
              "menshen comply verify 2026-11.menshen --fingerprint sm3:0123...",
              [&cli, checking] { return verify(cli, *checking); });
  check.add_option("FILE", checking->file, cli.say("证据包文件", "The package's file"))
      ->required()
      ->type_name("");
  check
      .add_option("--fingerprint", checking->fingerprint,
                  cli.say("另行保管的密钥指纹", "Fingerprint of the key, kept elsewhere"))
      ->type_name("FP");
  check.add_flag("--json", checking->json, cli.say("输出 JSON", "Print JSON"));
}

}  // namespace menshen::apps
