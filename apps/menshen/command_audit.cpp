// menshen audit find|verify|export
#include <fcntl.h>

#include <memory>

#include "apps/menshen/cli.hpp"
#include "apps/menshen/table.hpp"
#include "audit/export/export.hpp"
#include "audit/verify/verify.hpp"
#include "base/file.hpp"

namespace menshen::apps {
namespace {

struct FilterArguments {
  std::string since;
  std::string until;
  std::vector<std::string> kinds;
  std::string severity;
  std::string outcome;
  std::string address;
  std::optional<std::uint32_t> sid;
  audit::Filter filter;  // those that need no conversion
};
struct FindArguments {
  FilterArguments filter;
  std::string store;
  bool count = false;
  bool json = false;
};
struct ExportArguments {
  FilterArguments filter;
  std::string store;
  std::string format = "jsonl";
  std::string out = "-";
};
struct VerifyArguments {
  std::string store;
  std::string public_key;
  std::string fingerprint;
  std::string note;
  bool json = false;
};

tl::unexpected<Error> not_a(const char* zh, const char* en, const std::string& text) {
  return fail(ErrorCode::invalid, {std::string(zh) + "：" + text, std::string(en) + ": " + text});
}

Result<audit::Filter> to_filter(const FilterArguments& arguments) {
  audit::Filter filter = arguments.filter;
  if (!arguments.since.empty()) filter.since = MENSHEN_TRY(parse_time(arguments.since));
  if (!arguments.until.empty()) filter.until = MENSHEN_TRY(parse_time(arguments.until));
  for (const std::string& text : arguments.kinds) {
    const auto kind = audit::parse_kind(text);
    if (!kind) return not_a("没有此记录类型", "no such kind of record", text);
    filter.kinds.push_back(*kind);
  }
  if (!arguments.severity.empty()) {
    const auto severity = audit::parse_severity(arguments.severity);
    if (!severity) return not_a("没有此级别", "no such severity", arguments.severity);
    filter.severity_min = *severity;
  }
  if (!arguments.outcome.empty()) {
    filter.outcome = audit::parse_outcome(arguments.outcome);
    if (!filter.outcome) return not_a("没有此结果", "no such outcome", arguments.outcome);
  }
  if (!arguments.address.empty()) filter.address = MENSHEN_TRY(Prefix::parse(arguments.address));
  filter.sid = arguments.sid;
  return filter;
}

Result<std::filesystem::path> store_of(Cli& cli, const std::string& store) {
  if (!store.empty()) return std::filesystem::path(store);
  const Settings* settings = MENSHEN_TRY(cli.settings());
  return std::filesystem::path(settings->text("audit.directory"));
}

std::string end_of(const std::string& domain, const std::optional<IpAddr>& address,
                   std::uint16_t port) {
  std::string text = domain;
  if (address) {
    const std::string ip = address->to_string();
    const bool bracket = port != 0 && !address->is_v4();
    text += (text.empty() ? "" : " ") + (bracket ? "[" + ip + "]" : ip);
  }
  if (port != 0) text += fmt::format(":{}", port);
  return text;
}

std::vector<std::string> row_of(const Cli& cli, const audit::Found& found) {
  const audit::Record& record = found.record;
  std::string who = end_of(record.domain_src, record.src, record.sport);
  const std::string target = end_of(record.domain_dst, record.dst, record.dport);
  if (!target.empty()) who += " -> " + target;
  if (who.empty()) who = record.subject;
  std::string what = record.message.empty() ? record.action : record.message;
  if (record.rule) what = fmt::format("[{}:{}] {}", record.rule->gid, record.rule->sid, what);
  return {fmt::format("{}", found.number),
          format_local(record.time).substr(0, 19),
          cli.in(audit::title(record.kind)),
          cli.in(audit::title(record.severity)),
          cli.in(audit::title(record.outcome)),
          who,
          what};
}

Result<ExitCode> find(Cli& cli, const FindArguments& arguments) {
  const auto directory = MENSHEN_TRY(store_of(cli, arguments.store));
  const audit::Filter filter = MENSHEN_TRY(to_filter(arguments.filter));
  const audit::Reader reader = MENSHEN_TRY(audit::Reader::open(directory));
  if (arguments.count) {
    const std::uint64_t number = MENSHEN_TRY(reader.count(filter));
    print_out(arguments.json ? fmt::format("{{\"count\":{}}}\n", number)
                             : fmt::format("{}\n", number));
    return ExitCode::ok;
  }
  if (arguments.json) {
    MENSHEN_CHECK(reader.find(filter, [](const audit::Found& found) {
      print_out(audit::to_json(found.record, found.number) + "\n");
      return true;
    }));
    return ExitCode::ok;
  }
  Table table({cli.say("编号", "number"), cli.say("时间", "time"), cli.say("类型", "kind"),
               cli.say("级别", "severity"), cli.say("结果", "outcome"), cli.say("对象", "who"),
               cli.say("内容", "what")});
  const std::uint64_t shown = MENSHEN_TRY(reader.find(filter, [&](const audit::Found& found) {
    table.add(row_of(cli, found));
    return true;
  }));
  print_out(shown == 0 ? cli.say("没有符合条件的记录\n", "no record matches\n") : table.render());
  if (filter.limit != 0 && shown == filter.limit) {
    print_err(fmt::format(
        fmt::runtime(cli.say("仅显示最新 {} 条（--limit）\n", "the newest {} only (--limit)\n")),
        shown));
  }
  return ExitCode::ok;
}

Result<ExitCode> export_to(Cli& cli, const ExportArguments& arguments) {
  const auto format = audit::parse_export_format(arguments.format);
  if (!format) return not_a("没有此导出格式", "no such format", arguments.format);
  const auto directory = MENSHEN_TRY(store_of(cli, arguments.store));
  const audit::Filter filter = MENSHEN_TRY(to_filter(arguments.filter));
  const audit::Reader reader = MENSHEN_TRY(audit::Reader::open(directory));
  const bool to_stdout = arguments.out == "-";
  UniqueFd file;
  if (!to_stdout) {
    file.reset(::open(arguments.out.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640));
    if (!file) {
      return fail_errno({"无法新建文件 " + arguments.out, "cannot make the file " + arguments.out});
    }
  }
  const int fd = to_stdout ? 1 : file.get();
  const std::uint64_t written =
      MENSHEN_TRY(audit::export_records(reader, filter, *format, [fd](std::string_view text) {
        return write_all(fd, as_bytes(text));
      }));
  print_err(
      fmt::format(fmt::runtime(cli.say("已导出 {} 条记录\n", "{} records exported\n")), written));
  return ExitCode::ok;
}

void print_report(const Cli& cli, const audit::VerifyReport& report) {
  if (report.first_break) {
    const audit::Break& broken = *report.first_break;
    print_out(fmt::format("{}: {}\n  {}\n", cli.say("校验未通过", "NOT intact"),
                          cli.in(audit::title(broken.kind)), cli.in(broken.text)));
  } else {
    print_out(
        cli.say("校验通过：记录完整，未被篡改\n", "intact: every record is as it was signed\n"));
  }
  Table table({"", ""});
  table.add({cli.say("记录", "records"), fmt::format("{}", report.records)});
  table.add(
      {cli.say("其中已签名", "covered by a signature"), fmt::format("{}", report.records_signed)});
  table.add({cli.say("检查点", "checkpoints"), fmt::format("{}", report.checkpoints)});
  if (report.last_checkpoint) {
    table.add(
        {cli.say("最近检查点", "last checkpoint"), format_local(report.last_checkpoint->time)});
  }
  table.add({cli.say("签名密钥指纹", "key fingerprint"), report.fingerprint});
  table.add({cli.say("密钥已比对", "key pinned"),
             report.pinned ? cli.say("是", "yes") : cli.say("否", "no")});
  table.add(
      {cli.say("缺失序号", "missing sequence numbers"), fmt::format("{}", report.sequence_gaps)});
  print_out(table.render("  "));
  for (const Text& warning : report.warnings) print_err("  ! " + cli.in(warning) + "\n");
}

Result<ExitCode> verify(Cli& cli, const VerifyArguments& arguments) {
  const auto directory = MENSHEN_TRY(store_of(cli, arguments.store));
  audit::VerifyOptions options;
  options.public_key = arguments.public_key;
  options.fingerprint = arguments.fingerprint;
  if (!arguments.note.empty()) {
    options.expect_at_least = MENSHEN_TRY(read_file(arguments.note, audit::note_bytes_max));
  }
  const audit::VerifyReport report = MENSHEN_TRY(audit::verify(directory, options));
  if (arguments.json) {
    print_out(audit::to_json(report, cli.lang()) + "\n");
  } else {
    print_report(cli, report);
  }
  return report.intact ? ExitCode::ok : ExitCode::finding;
}

void add_store(CLI::App& command, const Cli& cli, std::string& store) {
  command
      .add_option(
          "--store", store,
          cli.say("审计库目录（默认取自配置文件）", "Folder of the store (default: the settings')"))
      ->type_name("DIR");
}

void add_filter(CLI::App& command, const Cli& cli, FilterArguments& arguments) {
  audit::Filter& filter = arguments.filter;
  const auto option = [&](const char* name, auto& value, const char* zh, const char* en,
                          const char* type) {
    return command.add_option(name, value, cli.say(zh, en))->type_name(type);
  };
  option("--since", arguments.since, "起始时间（含），如 2026-11-23 或 2026-11-23T08:00:00Z",
         "From this time on: 2026-11-23 or 2026-11-23T08:00:00Z", "TIME");
  option("--until", arguments.until, "截止时间（不含）", "Before this time", "TIME");
  option("--kind", arguments.kinds,
         "记录类型，可重复：alert drop isolation flow admin policy proof system loss compliance",
         "Kind, repeatable: alert drop isolation flow admin policy proof system loss compliance",
         "KIND")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  option("--severity", arguments.severity, "最低级别：info low medium high critical",
         "At least: info low medium high critical", "LEVEL");
  option("--outcome", arguments.outcome, "结果：success failure allowed blocked rejected",
         "success failure allowed blocked rejected", "OUTCOME");
  option("--address", arguments.address, "地址或网段（任一端）", "Address or prefix of either end",
         "PREFIX");
  option("--domain", filter.domain, "安全域（任一端）", "Domain of either end", "NAME");
  option("--sid", arguments.sid, "检测规则编号", "Rule number", "SID");
  option("--source", filter.source, "来源程序", "Program that told it", "NAME");
  option("--subject", filter.subject, "主体", "Who", "TEXT");
  option("--action", filter.action, "动作，如 policy.apply", "Action, such as policy.apply",
         "TEXT");
  option("--policy-line", filter.policy_line, "策略行，如 demo.yaml:14",
         "Policy line, such as demo.yaml:14", "TEXT");
  option("--text", filter.text, "内容包含的文字", "Text in message, object or detail", "TEXT");
  option("--limit", filter.limit, "最多条数；0 不限", "At most so many, newest first; 0: all", "N")
      ->capture_default_str();
}

}  // namespace

void add_audit_commands(CLI::App& app, Cli& cli) {
  CLI::App& group = cli.add_group(app, "audit", {"审计库", "The audit store"});
  const auto finding = std::make_shared<FindArguments>();
  CLI::App& find_command =
      cli.add(group, "find", {"查询审计记录，最新的在前", "Find audit records, newest first"},
              "menshen audit find --kind alert --severity high --since 2026-11-23 --json",
              [&cli, finding] { return find(cli, *finding); });
  add_filter(find_command, cli, finding->filter);
  add_store(find_command, cli, finding->store);
  find_command.add_flag("--count", finding->count, cli.say("只输出条数", "Print only how many"));
  find_command.add_flag("--json", finding->json,
                        cli.say("每行输出一条 JSON", "Print JSON, one record a line"));

  const auto verifying = std::make_shared<VerifyArguments>();
  CLI::App& verify_command = cli.add(
      group, "verify",
      {"校验审计库：记录链、检查点签名；发现改动时指出位置，退出码为 1",
       "Verify the store: chain and signatures; the first change is located, exit status 1"},
      "menshen audit verify --store /mnt/copy/audit --fingerprint sm3:0123...",
      [&cli, verifying] { return verify(cli, *verifying); });
  add_store(verify_command, cli, verifying->store);
  verify_command
      .add_option("--public-key", verifying->public_key,
                  cli.say("验签公钥（PEM）", "Public key (PEM)"))
      ->type_name("FILE");
  verify_command
      .add_option("--fingerprint", verifying->fingerprint,
                  cli.say("另行保管的密钥指纹", "Fingerprint of the key, kept elsewhere"))
      ->type_name("FP");
  verify_command
      .add_option("--note", verifying->note,
                  cli.say("另行保管的检查点：审计库须至少包含其全部记录",
                          "A checkpoint kept elsewhere: the store must hold all of it"))
      ->type_name("FILE");
  verify_command.add_flag("--json", verifying->json, cli.say("输出 JSON", "Print JSON"));

  const auto exporting = std::make_shared<ExportArguments>();
  exporting->filter.filter.limit = 0;
  CLI::App& export_command = cli.add(
      group, "export", {"导出审计记录", "Export audit records"},
      "menshen audit export --format csv --out november.csv --since 2026-11-01 --until 2026-12-01",
      [&cli, exporting] { return export_to(cli, *exporting); });
  add_filter(export_command, cli, exporting->filter);
  add_store(export_command, cli, exporting->store);
  export_command
      .add_option("--format", exporting->format, cli.say("格式：jsonl 或 csv", "jsonl or csv"))
      ->type_name("FORMAT")
      ->capture_default_str();
  export_command
      .add_option("--out", exporting->out,
                  cli.say("新建的输出文件；- 为标准输出", "File to make; - is standard output"))
      ->type_name("FILE")
      ->capture_default_str();
}

}  // namespace menshen::apps
