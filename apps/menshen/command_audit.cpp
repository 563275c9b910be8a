// menshen audit find|hours|export|prove|verify|rotate-key
#include <fcntl.h>

#include <memory>

#include "apps/control/auditd.hpp"
#include "apps/menshen/audit_commands.hpp"
#include "apps/menshen/cli.hpp"
#include "apps/menshen/table.hpp"
#include "audit/export/export.hpp"
#include "audit/verify/verify.hpp"
#include "audit/verify/witness.hpp"
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
struct HoursArguments {
  std::string since;
  std::string until;
  std::string store;
  bool json = false;
};
struct ProveArguments {
  std::uint64_t number = 0;
  std::string since_note;
  std::string store;
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
  std::string witness;
  std::string witness_key;
  std::vector<std::string> accept_keys;
  std::string proof;
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

// The question in one line, as it is recorded.
std::string question(const FilterArguments& arguments) {
  std::string out;
  const auto add = [&](std::string_view key, const std::string& value) {
    if (!value.empty()) out += fmt::format("{}{}={}", out.empty() ? "" : " ", key, value);
  };
  const audit::Filter& filter = arguments.filter;
  add("since", arguments.since);
  add("until", arguments.until);
  for (const std::string& kind : arguments.kinds) add("kind", kind);
  add("severity", arguments.severity);
  add("outcome", arguments.outcome);
  add("address", arguments.address);
  add("sid", arguments.sid ? std::to_string(*arguments.sid) : "");
  add("domain", filter.domain);
  add("source", filter.source);
  add("subject", filter.subject);
  add("action", filter.action);
  add("policy_line", filter.policy_line);
  add("text", filter.text);
  return out;
}

// Reading the live store is itself recorded. A copy of it (--store) has nobody to tell.
void tell(Cli& cli, const std::string& store, const char* action, const FilterArguments& arguments,
          std::uint64_t records) {
  if (!store.empty()) return;
  const auto settings = cli.settings();
  if (!settings) return;
  tell_of_search(cli, **settings, action, question(arguments), records);
}

Result<ExitCode> find(Cli& cli, const FindArguments& arguments) {
  const auto directory = MENSHEN_TRY(store_of(cli, arguments.store));
  const audit::Filter filter = MENSHEN_TRY(to_filter(arguments.filter));
  const audit::Reader reader = MENSHEN_TRY(audit::Reader::open(directory));
  if (arguments.count) {
    const std::uint64_t number = MENSHEN_TRY(reader.count(filter));
    tell(cli, arguments.store, "audit.find", arguments.filter, number);
    print_out(arguments.json ? fmt::format("{{\"count\":{}}}\n", number)
                             : fmt::format("{}\n", number));
    return ExitCode::ok;
  }
  if (arguments.json) {
    const std::uint64_t number = MENSHEN_TRY(reader.find(filter, [](const audit::Found& found) {
      print_out(audit::to_json(found.record, found.number) + "\n");
      return true;
    }));
    tell(cli, arguments.store, "audit.find", arguments.filter, number);
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
  tell(cli, arguments.store, "audit.find", arguments.filter, shown);
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
  tell(cli, arguments.store, "audit.export", arguments.filter, written);
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

Result<ExitCode> hours(Cli& cli, const HoursArguments& arguments) {
  constexpr WallTime day = 24 * audit::hour_ns;
  const auto directory = MENSHEN_TRY(store_of(cli, arguments.store));
  WallTime until = system_clock().wall();
  if (!arguments.until.empty()) until = MENSHEN_TRY(parse_time(arguments.until));
  WallTime since = until - day;
  if (!arguments.since.empty()) since = MENSHEN_TRY(parse_time(arguments.since));
  const audit::Reader reader = MENSHEN_TRY(audit::Reader::open(directory));
  const auto counts = MENSHEN_TRY(reader.hours(since, until));
  Table table({cli.say("小时", "hour"), cli.say("类型", "kind"), cli.say("级别", "severity"),
               cli.say("条数", "records")});
  for (const audit::HourCount& count : counts) {
    if (arguments.json) {
      print_out(
          fmt::format("{{\"hour\":\"{}\",\"kind\":\"{}\",\"severity\":\"{}\",\"records\":{}}}\n",
                      format_utc(count.hour), audit::name(count.kind), audit::name(count.severity),
                      count.records));
      continue;
    }
    table.add({format_local(count.hour).substr(0, 13), cli.in(audit::title(count.kind)),
               cli.in(audit::title(count.severity)), fmt::format("{}", count.records)});
  }
  if (!arguments.json) {
    print_out(counts.empty() ? cli.say("没有符合条件的记录\n", "no record matches\n")
                             : table.render());
  }
  return ExitCode::ok;
}

Result<ExitCode> prove(Cli& cli, const ProveArguments& arguments) {
  const auto directory = MENSHEN_TRY(store_of(cli, arguments.store));
  const audit::Reader reader = MENSHEN_TRY(audit::Reader::open(directory));
  const audit::Prover prover = MENSHEN_TRY(reader.prover());
  if (!arguments.since_note.empty()) {
    const std::string text = MENSHEN_TRY(read_file(arguments.since_note, audit::note_bytes_max));
    const audit::SignedNote earlier = MENSHEN_TRY(audit::parse_note(text));
    const audit::Consistency proof = MENSHEN_TRY(prover.prove_since(earlier));
    print_out(proof.to_json() + "\n");
    return ExitCode::ok;
  }
  if (arguments.number == 0) {
    return fail(ErrorCode::invalid, {"请给出记录编号，或用 --since-note 给出较早的检查点",
                                     "give a record's number, or an earlier checkpoint with "
                                     "--since-note"});
  }
  const audit::Proof proof = MENSHEN_TRY(prover.prove(arguments.number));
  print_out(proof.to_json() + "\n");
  return ExitCode::ok;
}

// A file of proofs, one a line, checked without any store.
Result<ExitCode> verify_proofs(Cli& cli, const VerifyArguments& arguments) {
  constexpr std::size_t proofs_bytes_max = 1U << 30U;
  const std::string text = MENSHEN_TRY(read_file(arguments.proof, proofs_bytes_max));
  std::string_view rest = text;
  std::uint64_t line = 0;
  while (!rest.empty()) {
    ++line;
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const auto report = audit::verify_proof(rest.substr(0, end), arguments.fingerprint);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (!report && report.error().code != ErrorCode::corrupt) {
      return tl::make_unexpected(report.error());
    }
    if (!report) {
      print_out(
          fmt::format("{} {}: {}\n", cli.say("第", "line"), line, cli.in(report.error().text)));
      return ExitCode::finding;
    }
    if (arguments.json && report->number != 0) {
      print_out(audit::to_json(report->record, report->number) + "\n");
    } else if (!arguments.json) {
      const std::string what =
          report->number != 0
              ? fmt::format(
                    fmt::runtime(cli.say("记录 {} 在库中", "record {} stands in the store")),
                    report->number)
              : fmt::format(fmt::runtime(cli.say("检查点 {} 的全部记录仍在库中",
                                                 "all that checkpoint {} held is in the store")),
                            report->earlier->number);
      print_out(fmt::format("{} ({} {}, {}{})\n", what, cli.say("检查点", "checkpoint"),
                            report->checkpoint.number, report->fingerprint,
                            report->pinned ? "" : cli.say("，密钥未比对", ", key not pinned")));
    }
  }
  if (line == 0) return fail(ErrorCode::invalid, {"文件中没有证明", "the file holds no proof"});
  return ExitCode::ok;
}

Result<ExitCode> verify(Cli& cli, const VerifyArguments& arguments) {
  if (!arguments.proof.empty()) return verify_proofs(cli, arguments);
  const auto directory = MENSHEN_TRY(store_of(cli, arguments.store));
  audit::VerifyOptions options;
  options.public_key = arguments.public_key;
  options.fingerprint = arguments.fingerprint;
  if (!arguments.note.empty()) {
    options.expect_at_least = MENSHEN_TRY(read_file(arguments.note, audit::note_bytes_max));
  }
  if (!arguments.witness.empty()) {
    std::optional<audit::PublicKey> key;
    if (!arguments.witness_key.empty()) {
      const std::string pem = MENSHEN_TRY(read_file(arguments.witness_key, 16U << 10U));
      key = MENSHEN_TRY(audit::PublicKey::parse(pem));
    }
    const std::string text = MENSHEN_TRY(read_file(arguments.witness, audit::witness_bytes_max));
    options.witnessed = MENSHEN_TRY(audit::parse_witness(text, key ? &*key : nullptr));
  }
  options.accept_keys = arguments.accept_keys;
  const audit::VerifyReport report = MENSHEN_TRY(audit::verify(directory, options));
  if (arguments.json) {
    print_out(audit::to_json(report, cli.lang()) + "\n");
  } else {
    print_report(cli, report);
  }
  return report.intact ? ExitCode::ok : ExitCode::finding;
}

Result<ExitCode> rotate_key(Cli& cli) {
  const Settings* settings = MENSHEN_TRY(cli.settings());
  const char* user = ::secure_getenv("USER");
  const Json answer = MENSHEN_TRY(
      ask_auditd(*settings, {{"op", "rotate_key"}, {"subject", user != nullptr ? user : ""}}));
  print_out(fmt::format(
      fmt::runtime(cli.say("签名密钥已轮换，请另行保管新指纹：{}\n",
                           "the signing key was rotated; keep its fingerprint elsewhere: {}\n")),
      answer.value("fingerprint", "")));
  return ExitCode::ok;
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
  add_repeatable(
      command, "--kind", arguments.kinds, "KIND",
      cli.say("记录类型，可重复：alert drop isolation flow admin policy proof system loss "
              "compliance external",
              "Kind, repeatable: alert drop isolation flow admin policy proof system loss "
              "compliance external"));
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
  option("--text", filter.text, "内容中的文字，从词首匹配（中文不限）",
         "Text in message, object or detail, from the beginning of a word", "TEXT");
  command.add_flag("--scan", filter.scan,
                   cli.say("逐条读取，不使用索引", "Read every record, trust no index"));
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
  verify_command
      .add_option("--witness", verifying->witness,
                  cli.say("见证：另存的检查点文件、见证账本，或日志服务器收到的转发日志；"
                          "库须包含其中每个检查点",
                          "Witness: notes kept elsewhere, a ledger, or the log that a log server "
                          "got; the store must hold every checkpoint in it"))
      ->type_name("FILE");
  verify_command
      .add_option("--witness-key", verifying->witness_key,
                  cli.say("见证账本须由此公钥签署（PEM）",
                          "The ledger must be signed by this public key (PEM)"))
      ->type_name("FILE");
  add_repeatable(verify_command, "--accept-key", verifying->accept_keys, "FP",
                 cli.say("认可密钥丢失后启用的新密钥指纹，可重复",
                         "Fingerprint of a key that followed a lost one, repeatable"));
  verify_command
      .add_option("--proof", verifying->proof,
                  cli.say("只校验证明文件（每行一条），不需要审计库",
                          "Check a file of proofs, one a line; no store is needed"))
      ->type_name("FILE");
  verify_command.add_flag("--json", verifying->json, cli.say("输出 JSON", "Print JSON"));

  const auto counting = std::make_shared<HoursArguments>();
  CLI::App& hours_command =
      cli.add(group, "hours",
              {"每小时的记录数，默认最近 24 小时", "Records per hour, of the last 24 hours"},
              "menshen audit hours --since 2026-05-24 --json",
              [&cli, counting] { return hours(cli, *counting); });
  add_store(hours_command, cli, counting->store);
  hours_command.add_option("--since", counting->since, cli.say("起始时间", "From this hour on"))
      ->type_name("TIME");
  hours_command.add_option("--until", counting->until, cli.say("截止时间", "Before this time"))
      ->type_name("TIME");
  hours_command.add_flag("--json", counting->json, cli.say("每行一条 JSON", "JSON lines"));

  const auto proving = std::make_shared<ProveArguments>();
  CLI::App& prove_command = cli.add(
      group, "prove",
      {"输出记录在库中的证明，离线可验", "Print the proof that a record stands in the store"},
      "menshen audit prove 4711 > proof.json && menshen audit verify --proof proof.json",
      [&cli, proving] { return prove(cli, *proving); });
  add_store(prove_command, cli, proving->store);
  prove_command.add_option("number", proving->number, cli.say("记录编号", "Number of the record"))
      ->type_name("N");
  prove_command
      .add_option("--since-note", proving->since_note,
                  cli.say("改为证明该检查点的全部记录仍在库中",
                          "Prove instead that all this checkpoint held is still there"))
      ->type_name("FILE");

  cli.add(group, "rotate-key",
          {"轮换签名密钥，由旧密钥签署交接", "Rotate the signing key; the old one vouches for it"},
          "menshen audit rotate-key", [&cli] { return rotate_key(cli); });

  add_sources_command(group, cli);
  add_audit_keep_commands(group, cli);

  const auto exporting = std::make_shared<ExportArguments>();
  exporting->filter.filter.limit = 0;
  CLI::App& export_command = cli.add(
      group, "export", {"导出审计记录", "Export audit records"},
      "menshen audit export --format csv --out november.csv --since 2026-11-01 --until 2026-12-01",
      [&cli, exporting] { return export_to(cli, *exporting); });
  add_filter(export_command, cli, exporting->filter);
  add_store(export_command, cli, exporting->store);
  export_command
      .add_option(
          "--format", exporting->format,
          cli.say("格式：jsonl csv eve cef rfc5424 proof", "jsonl csv eve cef rfc5424 proof"))
      ->type_name("FORMAT")
      ->capture_default_str();
  export_command
      .add_option("--out", exporting->out,
                  cli.say("新建的输出文件；- 为标准输出", "File to make; - is standard output"))
      ->type_name("FILE")
      ->capture_default_str();
}

}  // namespace menshen::apps
