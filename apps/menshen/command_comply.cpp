// menshen comply assess|report|verify-page
#include <memory>

#include "apps/menshen/attest.hpp"
#include "apps/menshen/cli.hpp"
#include "apps/menshen/comply_commands.hpp"
#include "apps/menshen/comply_documents.hpp"
#include "apps/menshen/comply_store.hpp"
#include "apps/menshen/table.hpp"
#include "audit/store/evidence.hpp"
#include "base/file.hpp"
#include "compliance/compliance.hpp"

namespace menshen::apps {
namespace {

namespace fs = std::filesystem;
using compliance::Assessment;
using compliance::Verdict;

struct AssessArguments {
  std::string view = "all";
  bool no_hosts = false;
  bool json = false;
};
struct ReportArguments {
  std::string out;
  std::string formats;
  std::string view = "all";
  bool no_hosts = false;
  bool json = false;
};
struct PageArguments {
  std::string page;
  std::string evidence;
  std::string fingerprint;
  bool json = false;
};

RunOptions run_options(const std::string& view, bool no_hosts) {
  RunOptions options;
  options.hosts = !no_hosts;
  if (view == "provider") options.view = compliance::View::provider;
  if (view == "tenant") options.view = compliance::View::tenant;
  return options;
}

void add_run_options(CLI::App& command, const Cli& cli, std::string& view, bool& no_hosts) {
  command
      .add_option("--view", view,
                  cli.say("责任视角：all 全部，provider 云服务商，tenant 云服务客户",
                          "Whose part: all, provider or tenant"))
      ->check(CLI::IsMember({"all", "provider", "tenant"}))
      ->type_name("VIEW");
  command.add_flag("--no-hosts", no_hosts,
                   cli.say("只测本设备，不采集清单中的主机",
                           "This appliance alone, without the inventory's hosts"));
}

ExitCode code_of(const Assessment& assessment) {
  return assessment.findings.empty() ? ExitCode::ok : ExitCode::finding;
}

std::string percent(int tenths) {
  return tenths < 0 ? "-" : fmt::format("{}.{}%", tenths / 10, tenths % 10);
}

// A score of the 2021 edition is points, not a percentage.
std::string points(int tenths) {
  return tenths < 0 ? "-" : fmt::format("{}.{}", tenths / 10, tenths % 10);
}

void print_summary(const Cli& cli, const Assessment& assessment) {
  print_out(cli.say("等级保护三级自查（GB/T 22239-2019）\n",
                    "Self-assessment, MLPS level 3 (GB/T 22239-2019)\n"));
  Table totals({cli.say("结论", "verdict"), cli.say("条款", "items")});
  for (std::size_t i = 0; i < assessment.all.by_verdict.size(); ++i) {
    const auto verdict = static_cast<Verdict>(i);
    totals.add({cli.in(compliance::verdict_text(verdict)),
                fmt::format("{}", assessment.all.count(verdict))});
  }
  totals.add({cli.say("合计", "all"), fmt::format("{}", assessment.all.total)});
  print_out(totals.render("  "));
  print_out(fmt::format("  {} {}\n", cli.say("判定覆盖率", "judged, of the applicable"),
                        percent(assessment.coverage_tenths)));
  for (const compliance::Standing& standing : assessment.standings) {
    const auto number = standing.edition->score ? points : percent;
    print_out(fmt::format("  {}: {} ({} {} - {})\n", cli.in(standing.edition->title),
                          number(standing.value_tenths),
                          cli.say("未检项全不符合至全符合", "open items all fail to all conform"),
                          number(standing.worst_tenths), number(standing.best_tenths)));
  }
  if (assessment.findings.empty()) return;
  Table findings({cli.say("条款", "item"), cli.say("结论", "verdict"), cli.say("原因", "reason")});
  for (const std::size_t index : assessment.findings) {
    const compliance::ItemResult& item = assessment.items[index];
    findings.add(
        {item.item->id, cli.in(compliance::verdict_text(item.verdict)), cli.in(item.reason)});
  }
  print_out("\n" + findings.render("  "));
}

Result<ExitCode> assess(Cli& cli, const AssessArguments& arguments) {
  const Settings* settings = MENSHEN_TRY(cli.settings());
  const compliance::Catalogue catalogue = MENSHEN_TRY(load_comply_catalogue(cli, *settings));
  const Assessment assessment = MENSHEN_TRY(
      run_assessment(cli, *settings, catalogue, run_options(arguments.view, arguments.no_hosts)));
  if (arguments.json) {
    print_out(compliance::to_json(assessment) + "\n");
  } else {
    print_summary(cli, assessment);
  }
  return code_of(assessment);
}

Result<std::vector<fs::path>> write_report(const Assessment& assessment,
                                           const compliance::Comparison* comparison,
                                           const fs::path& folder) {
  MENSHEN_CHECK(make_directories(folder));
  std::vector<fs::path> files;
  for (const auto& [lang, name] :
       {std::pair{Lang::zh, "report.zh.html"}, {Lang::en, "report.en.html"}}) {
    compliance::ReportOptions options;
    options.lang = lang;
    options.comparison = comparison;
    options.file_name = name;
    options.sidecar_name = std::string(name) + ".evidence.json";
    MENSHEN_CHECK(write_file_atomic(folder / name, compliance::render_html(assessment, options)));
    files.push_back(folder / name);
  }
  MENSHEN_CHECK(
      write_file_atomic(folder / "assessment.json", compliance::to_json(assessment) + "\n"));
  files.push_back(folder / "assessment.json");
  return files;
}

Result<ExitCode> report(Cli& cli, const ReportArguments& arguments) {
  const Settings* settings = MENSHEN_TRY(cli.settings());
  const auto formats = MENSHEN_TRY(parse_formats(arguments.formats));
  MENSHEN_CHECK(check_converters(formats));
  const compliance::Catalogue catalogue = MENSHEN_TRY(load_comply_catalogue(cli, *settings));
  const Assessment assessment = MENSHEN_TRY(
      run_assessment(cli, *settings, catalogue, run_options(arguments.view, arguments.no_hosts)));
  const auto comparison = MENSHEN_TRY(compare_with_last(*settings, assessment));
  const compliance::Comparison* earlier = comparison ? &*comparison : nullptr;
  const fs::path folder =
      arguments.out.empty() ? settings->text("compliance.output") : arguments.out;
  auto files = MENSHEN_TRY(write_report(assessment, earlier, folder));
  for (fs::path& file :
       MENSHEN_TRY(write_documents(*settings, cli.lang(), assessment, earlier, folder, formats)))
    files.push_back(std::move(file));
  Result<void> attested = keep_run(*settings, assessment, comparison);
  if (attested) attested = attest_beside(*settings, files);
  if (arguments.json) {
    Json json = {{"attested", attested.has_value()}, {"files", Json::array()}};
    for (const fs::path& file : files) json["files"].push_back(file.string());
    print_out(to_pretty(json) + "\n");
  } else {
    for (const fs::path& file : files) print_out(file.string() + "\n");
  }
  if (attested) return ExitCode::ok;
  return fail_while({"报告已生成，但未能取得审计证据",
                     "the report is written, but the audit did not vouch for it"},
                    attested.error());
}

Result<ExitCode> verify_page(Cli& cli, const PageArguments& arguments) {
  const fs::path page = arguments.page;
  const fs::path sidecar =
      arguments.evidence.empty() ? page.string() + ".evidence.json" : arguments.evidence;
  const std::string evidence = MENSHEN_TRY(read_file(sidecar, audit::evidence_bytes_max));
  const auto checked = audit::verify_evidence(page, evidence, arguments.fingerprint);
  if (!checked && checked.error().code != ErrorCode::corrupt) {
    return tl::make_unexpected(checked.error());
  }
  if (arguments.json) {
    Json json = {{"genuine", checked.has_value()}};
    if (checked) {
      json["name"] = checked->record.object;
      json["subject"] = checked->record.subject;
      json["signed_at"] = format_utc(checked->checkpoint.time);
      json["origin"] = checked->checkpoint.origin;
      json["fingerprint"] = checked->fingerprint;
      json["pinned"] = checked->pinned;
    } else {
      json["reason"] = cli.in(checked.error().text);
    }
    print_out(to_pretty(json) + "\n");
    return checked ? ExitCode::ok : ExitCode::finding;
  }
  if (!checked) {
    print_out(fmt::format("{}: {}\n", cli.say("验证未通过", "NOT genuine"),
                          cli.in(checked.error().text)));
    return ExitCode::finding;
  }
  print_out(cli.say("验证通过：文件与审计证据一致\n",
                    "genuine: the file is what the audit vouched for\n"));
  Table table({"", ""});
  table.add({cli.say("出具设备", "appliance"), checked->checkpoint.origin});
  table.add({cli.say("签名时间", "signed at"), format_local(checked->checkpoint.time)});
  table.add({cli.say("出具人", "asked by"), checked->record.subject});
  table.add({cli.say("密钥指纹", "key fingerprint"), checked->fingerprint});
  print_out(table.render("  "));
  if (!checked->pinned) {
    print_err(cli.say("  ! 未提供指纹：请与另行保管的指纹比对（--fingerprint）\n",
                      "  ! compare the fingerprint with one kept elsewhere (--fingerprint)\n"));
  }
  return ExitCode::ok;
}

void add_verify_page(CLI::App& group, Cli& cli) {
  const auto arguments = std::make_shared<PageArguments>();
  CLI::App& command =
      cli.add(group, "verify-page",
              {"离线验证报告文件及其审计证据", "Verify a report's file and its evidence, offline"},
              "menshen comply verify-page report.zh.html --fingerprint sm3:0123...",
              [&cli, arguments] { return verify_page(cli, *arguments); });
  command.add_option("FILE", arguments->page, cli.say("报告文件", "The report's file"))
      ->required()
      ->type_name("");
  command
      .add_option(
          "--evidence", arguments->evidence,
          cli.say("证据文件（默认 FILE.evidence.json）", "Evidence (default: FILE.evidence.json)"))
      ->type_name("FILE");
  command
      .add_option("--fingerprint", arguments->fingerprint,
                  cli.say("另行保管的密钥指纹", "Fingerprint of the key, kept elsewhere"))
      ->type_name("FP");
  command.add_flag("--json", arguments->json, cli.say("输出 JSON", "Print JSON"));
}

}  // namespace

void add_comply_commands(CLI::App& app, Cli& cli) {
  CLI::App& group = cli.add_group(app, "comply", {"等级保护自查", "MLPS self-assessment"});
  const auto assessing = std::make_shared<AssessArguments>();
  CLI::App& assess_command = cli.add(group, "assess",
                                     {"采集证据并逐条测评；存在不符合或部分符合项时退出码为 1",
                                      "Collect evidence and assess every item; exit status 1 if "
                                      "any fails or conforms only in part"},
                                     "menshen comply assess --json > assessment.json",
                                     [&cli, assessing] { return assess(cli, *assessing); });
  add_run_options(assess_command, cli, assessing->view, assessing->no_hosts);
  assess_command.add_flag("--json", assessing->json, cli.say("输出 JSON", "Print JSON"));
  const auto reporting = std::make_shared<ReportArguments>();
  CLI::App& report_command =
      cli.add(group, "report",
              {"生成中英文报告与 JSON，并由审计库出具可离线验证的证据",
               "Write the report in Chinese and English and as JSON, each with evidence of the "
               "audit store's that "
               "can be checked offline"},
              "menshen comply report --out /var/lib/menshen/compliance/2026-11",
              [&cli, reporting] { return report(cli, *reporting); });
  report_command
      .add_option("--out", reporting->out,
                  cli.say("输出目录（默认取自配置文件）", "Folder (default: the settings')"))
      ->type_name("DIR");
  report_command
      .add_option(
          "--format", reporting->formats,
          cli.say("另生成自查报告、差距分析与整改报告、测评项表：html、pdf、docx、xlsx，以逗"
                  "号分隔，或 all",
                  "Also the self-assessment and gap documents and the item table: html, "
                  "pdf, docx, xlsx with commas between, or all"))
      ->type_name("LIST");
  add_run_options(report_command, cli, reporting->view, reporting->no_hosts);
  report_command.add_flag("--json", reporting->json, cli.say("输出 JSON", "Print JSON"));
  add_verify_page(group, cli);
  add_comply_run_commands(group, cli);
  add_comply_task_commands(group, cli);
  add_comply_hosts_commands(group, cli);
  add_comply_package_commands(group, cli);
}

}  // namespace menshen::apps
