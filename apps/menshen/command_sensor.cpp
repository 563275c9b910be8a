// menshen sensor replay
#include <memory>

#include "apps/menshen/cli.hpp"
#include "apps/menshen/rule_arguments.hpp"
#include "apps/menshen/table.hpp"
#include "apps/sensord/rules.hpp"
#include "sensor/engine/replay.hpp"

namespace menshen::apps {
namespace {

struct ReplayArguments {
  std::string pcap;
  std::vector<std::string> rules;
  std::string events;
  RuleArguments rule_arguments;
  std::string cache;
  std::uint32_t stats_seconds = 0;
  std::vector<std::string> host_policies;
  std::vector<std::string> exception_policies;
  bool no_checksum = false;
  bool midstream = false;
  bool ips = false;
  bool alerts_only = false;
  bool strict = false;
  bool json = false;
};

double seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

Json to_json(const sensor::ReplaySummary& summary) {
  Json counters = Json::object();
  for (const sensor::CounterInfo& info : sensor::counter_table()) {
    counters[std::string(info.name)] = summary.counters.*info.member;
  }
  Json exceptions = Json::object();
  for (std::size_t i = 0; i < sensor::exception_triggers; ++i) {
    for (std::size_t j = 0; j < sensor::exception_policies; ++j) {
      if (summary.counters.exceptions[i][j] == 0) continue;
      const auto& trigger = sensor::exception_info(static_cast<sensor::ExceptionTrigger>(i));
      const auto policy = sensor::exception_policy_name(static_cast<sensor::ExceptionPolicy>(j));
      exceptions[std::string(trigger.name)][std::string(policy)] =
          summary.counters.exceptions[i][j];
    }
  }
  return {{"rules_loaded", summary.rules ? summary.rules->summary().loaded : 0},
          {"rules_rejected", summary.rules ? summary.rules->summary().rejected : 0},
          {"events_written", summary.events_written},
          {"capture_damage", summary.damage ? Json(summary.damage->text.en) : Json(nullptr)},
          {"load_seconds", seconds(summary.load_time)},
          {"load_cpu_seconds", seconds(summary.load_cpu)},
          {"replay_seconds", seconds(summary.replay_time)},
          {"replay_cpu_seconds", seconds(summary.replay_cpu)},
          {"counters", counters},
          {"exceptions", exceptions}};
}

std::string to_text(const Cli& cli, const sensor::ReplaySummary& summary) {
  Table table({"", ""});
  const auto row = [&](const char* zh, const char* en, std::string value) {
    table.add({cli.say(zh, en), std::move(value)});
  };
  if (summary.rules) {
    row("规则（加载 / 未加载）", "rules (loaded / rejected)",
        fmt::format("{} / {}", summary.rules->summary().loaded, summary.rules->summary().rejected));
  }
  row("数据包", "packets", fmt::format("{}", summary.counters.packets));
  row("流", "flows", fmt::format("{}", summary.counters.flows));
  row("告警", "alerts", fmt::format("{}", summary.counters.alerts));
  row("丢弃", "dropped", fmt::format("{}", summary.counters.dropped));
  row("事件", "events", fmt::format("{}", summary.events_written));
  row("耗时（加载 + 回放）", "seconds (rules + packets)",
      fmt::format("{:.3f} + {:.3f}", seconds(summary.load_time), seconds(summary.replay_time)));
  return table.render();
}

Result<ExitCode> replay(const Cli& cli, const ReplayArguments& arguments) {
  sensor::ReplayOptions options;
  options.pcap = arguments.pcap;
  options.rules = MENSHEN_TRY(find_rule_files(arguments.rules));
  options.events = arguments.events;
  options.rule_options = MENSHEN_TRY(rule_options(arguments.rule_arguments));
  options.rule_options.pattern_cache = arguments.cache;
  options.engine.stats_seconds = arguments.stats_seconds;
  options.engine.inline_mode = arguments.ips;
  options.engine.verify_checksums = !arguments.no_checksum;
  options.engine.midstream = arguments.midstream;
  options.engine.hosts = MENSHEN_TRY(sensor::HostPolicies::parse(arguments.host_policies));
  options.engine.exceptions =
      MENSHEN_TRY(sensor::ExceptionPolicies::parse(arguments.exception_policies));
  options.engine.log_flows = options.engine.log_transactions = options.engine.log_files =
      !arguments.alerts_only;
  options.engine.log_anomalies = !arguments.alerts_only;
  const sensor::ReplaySummary summary = MENSHEN_TRY(sensor::replay(options));
  std::size_t rejected = 0;
  if (summary.rules) {
    rejected = summary.rules->summary().rejected;
    for (const Diagnostics& file : summary.rules->diagnostics()) print_err(file.render(cli.lang()));
  }
  if (summary.damage) print_err(summary.damage->text.in(cli.lang()) + "\n");
  // The summary gives way to the events where those go to standard output.
  const std::string text =
      arguments.json ? to_pretty(to_json(summary)) + "\n" : to_text(cli, summary);
  arguments.events == "-" ? print_err(text) : print_out(text);
  const bool incomplete = rejected != 0 || summary.damage;
  return arguments.strict && incomplete ? ExitCode::finding : ExitCode::ok;
}

}  // namespace

void add_sensor_commands(CLI::App& app, Cli& cli) {
  CLI::App& group = cli.add_group(app, "sensor", {"检测引擎", "The sensor"});
  const auto arguments = std::make_shared<ReplayArguments>();
  CLI::App& command = cli.add(group, "replay",
                              {"离线检测抓包文件，输出 EVE JSON 事件；未能加载的规则列在标准错误上",
                               "Run a capture file through the sensor and write EVE JSON events; "
                               "rules that cannot be loaded are named "
                               "on standard error"},
                              "menshen sensor replay --pcap in.pcap --rules site.rules --events "
                              "out.jsonl --var HOME_NET=[10.0.0.0/8]",
                              [&cli, arguments] { return replay(cli, *arguments); });
  command
      .add_option("--pcap", arguments->pcap,
                  cli.say("抓包文件（pcap、pcapng）", "Capture file (pcap, pcapng)"))
      ->required()
      ->type_name("FILE");
  command
      .add_option("--rules", arguments->rules, cli.say("规则文件或目录", "Rule files or folders"))
      ->type_name("FILE...");
  command
      .add_option("--events", arguments->events,
                  cli.say("事件输出文件（每行一条）；- 为标准输出",
                          "File for the events, one a line; - is standard output"))
      ->type_name("FILE");
  add_rule_arguments(command, cli, arguments->rule_arguments);
  command
      .add_option("--cache", arguments->cache,
                  cli.say("保存已编译模式库的目录，再次运行时直接取用；不得可被他人写入",
                          "Folder that keeps compiled pattern databases for the next run; nobody "
                          "else may write to it"))
      ->type_name("DIR");
  command
      .add_option("--stats", arguments->stats_seconds,
                  cli.say("每隔多少秒（按报文时间）输出一条统计记录；0 不输出",
                          "Seconds, by the packets' time, between stats records; 0: none"))
      ->type_name("SECONDS");
  command.add_flag("--no-checksum", arguments->no_checksum,
                   cli.say("不校验校验和", "Do not verify checksums"));
  add_repeatable(command, "--host-os-policy", arguments->host_policies, "PREFIX=POLICY",
                 cli.say("接收方系统的重叠取舍策略，可重复，例如 10.0.0.0/8=linux",
                         "How receivers take overlaps, repeatable: 10.0.0.0/8=linux"));
  add_repeatable(
      command, "--exception-policy", arguments->exception_policies, "TRIGGER=POLICY",
      cli.say("例外策略，可重复，例如 midstream=drop-flow",
              "What becomes of what cannot be inspected, repeatable: midstream=drop-flow"));
  command.add_flag(
      "--midstream", arguments->midstream,
      cli.say("重组未见到开头的 TCP 流", "Reassemble TCP flows whose beginning was not seen"));
  command.add_flag("--ips", arguments->ips, cli.say("按内联方式给出判决", "Verdicts as if inline"));
  command.add_flag("--alerts-only", arguments->alerts_only,
                   cli.say("只输出告警与阻断，不输出流与协议记录",
                           "Only alerts and drops, no records of flows and transactions"));
  command.add_flag("--strict", arguments->strict,
                   cli.say("有规则未能加载或抓包文件损坏时退出码为 1",
                           "Exit status 1 if a rule is rejected or the capture is damaged"));
  command.add_flag("--json", arguments->json,
                   cli.say("以 JSON 输出汇总", "Print the summary as JSON"));
}

}  // namespace menshen::apps
