#include "apps/menshen/command_policy_preview.hpp"

#include <charconv>
#include <memory>

#include "apps/common/exit_code.hpp"
#include "apps/control/auditd.hpp"
#include "apps/control/client.hpp"
#include "apps/menshen/policy_source.hpp"
#include "apps/menshen/recorded_flows.hpp"
#include "apps/menshen/table.hpp"
#include "policy/model/explain.hpp"

namespace menshen::apps {
namespace {

constexpr WallTime second = 1'000'000'000;
constexpr std::size_t rows_shown_max = 100;

struct PreviewArguments {
  std::string file;
  std::string against;
  std::string since = "30d";
  std::string store;
  std::string events;
  bool json = false;
};

// "30d", "12h", "45m" before now, or a time.
Result<WallTime> since_of(const std::string& text) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  const WallTime scale = unit == "d"   ? 86'400 * second
                         : unit == "h" ? 3'600 * second
                         : unit == "m" ? 60 * second
                                       : 0;
  if (error != std::errc{} || scale == 0) return parse_time(text);
  const WallTime now = system_clock().wall();
  return number > now / scale ? WallTime{0} : now - number * scale;
}

struct Replayed {
  RecordedCoverage coverage;
  WallTime since = 0;
  std::optional<std::uint64_t> passed_unrecorded;  // packets, since the counters began
};

// What passed without inspection leaves no record: the kernel's counter says how much that was.
std::optional<std::uint64_t> passed_unrecorded(const Settings& settings) {
  const auto status =
      control_call(settings.text("general.policyd_socket"), {"status", Json::object()});
  if (!status) return std::nullopt;
  for (const Json& each : status->at("counters"))
    if (each.at("name") == "allowed") return each.at("packets").get<std::uint64_t>();
  return std::nullopt;
}

Result<Replayed> replay(Cli& cli, const PreviewArguments& arguments, policy::Replay& into) {
  const Settings* settings = MENSHEN_TRY(cli.settings());
  Replayed out;
  out.since = MENSHEN_TRY(since_of(arguments.since));
  const RecordedSources sources{
      arguments.events.empty() ? settings->text("sensor.events_file") : arguments.events,
      arguments.store.empty() ? settings->text("audit.directory") : arguments.store, out.since};
  out.coverage =
      read_recorded_flows(sources, [&into](const policy::RecordedFlow& flow) { into.add(flow); });
  out.passed_unrecorded = passed_unrecorded(*settings);
  if (arguments.store.empty()) {
    tell_of_search(cli, *settings, "audit.find", "policy preview since=" + arguments.since,
                   out.coverage.records);
  }
  return out;
}

std::vector<Text> not_recorded(const Replayed& replayed) {
  std::vector<Text> out = replayed.coverage.missing;
  out.push_back({"未检测且未记录日志（inspect: none、log: false）的放行流不留记录，不在回放之内",
                 "flows that pass without inspection and without a log leave no record and are not "
                 "replayed"});
  if (replayed.passed_unrecorded && *replayed.passed_unrecorded != 0) {
    out.push_back({fmt::format("内核计数：{} 个数据包未经检测放行（自计数开始）",
                               *replayed.passed_unrecorded),
                   fmt::format("the kernel's counter: {} packets passed without inspection (since "
                               "it began)",
                               *replayed.passed_unrecorded)});
  }
  if (replayed.coverage.uncounted != 0) {
    out.push_back(
        {fmt::format("{} 个被阻断的数据包只有计数", replayed.coverage.uncounted),
         fmt::format("{} blocked packets were only counted", replayed.coverage.uncounted)});
  }
  if (replayed.coverage.not_understood != 0) {
    out.push_back(
        {fmt::format("{} 行事件无法理解", replayed.coverage.not_understood),
         fmt::format("{} lines of events were not understood", replayed.coverage.not_understood)});
  }
  out.push_back({"阻断记录按原因、域对与端口合并，每组只有一个例子的地址",
                 "records of blocked packets are grouped by reason, domains and port; each has the "
                 "addresses of one example"});
  return out;
}

std::string_view name_of(policy::ChangeKind kind) {
  switch (kind) {
    case policy::ChangeKind::newly_passes:
      return "newly_passes";
    case policy::ChangeKind::newly_blocked:
      return "newly_blocked";
    case policy::ChangeKind::inspection:
      return "inspection";
    case policy::ChangeKind::domain:
      break;
  }
  return "domain";
}

std::string kind_text(const Cli& cli, const policy::ReplayRow& row) {
  switch (row.kind) {
    case policy::ChangeKind::newly_passes:
      return cli.say("新放行", "newly passes");
    case policy::ChangeKind::newly_blocked:
      return cli.say("新阻断", "newly blocked");
    default:
      return fmt::format("{} {} -> {}", cli.say("检测", "inspection"),
                         policy::name_of(row.before.inspect), policy::name_of(row.after.inspect));
  }
}

std::string place_of(const policy::Policy& policy, const policy::Decision& decision) {
  if (decision.by != policy::DecidedBy::line) return std::string(policy::name_of(decision.by));
  return fmt::format("{}:{}", policy.source_name(), policy.lines()[decision.line].position.line);
}

std::string example_of(const policy::ReplayRow& row) {
  return fmt::format("{} -> {}", row.example.src.to_string(), row.example.dst.to_string());
}

Json coverage_json(const Cli& cli, const Replayed& replayed) {
  Json missing = Json::array();
  for (const Text& each : not_recorded(replayed)) missing.push_back(each.in(cli.lang()));
  const WallTime first = replayed.coverage.first;
  return {{"since", format_utc(replayed.since)},
          {"first", first == 0 ? Json() : Json(format_utc(first))},
          {"flows", replayed.coverage.flows},
          {"records", replayed.coverage.records},
          {"not_recorded", missing}};
}

void print_coverage(const Cli& cli, const Replayed& replayed) {
  const RecordedCoverage& coverage = replayed.coverage;
  print_out(fmt::format(
      fmt::runtime(cli.say("\n回放自 {} 起：{} 条流（事件文件），{} 条审计记录；最早一条 {}\n",
                           "\nreplayed since {}: {} flows (event files), {} audit records; the "
                           "earliest {}\n")),
      format_local(replayed.since).substr(0, 19), coverage.flows, coverage.records,
      coverage.first == 0 ? "-" : format_local(coverage.first).substr(0, 19)));
  print_out(cli.say("未涵盖：\n", "not covered:\n"));
  for (const Text& each : not_recorded(replayed)) print_out("  " + cli.in(each) + "\n");
}

Result<ExitCode> preview(Cli& cli, const PreviewArguments& arguments) {
  const policy::Policy next = MENSHEN_TRY(policy_from(cli, arguments.file));
  const policy::Policy current = MENSHEN_TRY(policy_from(cli, arguments.against));
  policy::Replay flows(current, next);
  const Replayed replayed = MENSHEN_TRY(replay(cli, arguments, flows));
  const auto rows = flows.rows();
  if (arguments.json) {
    Json list = Json::array();
    for (const policy::ReplayRow& row : rows) {
      list.push_back({{"kind", name_of(row.kind)},
                      {"from", row.from},
                      {"to", row.to},
                      {"service", row.service},
                      {"flows", row.flows},
                      {"count", row.count},
                      {"last", format_utc(row.last)},
                      {"src", row.example.src.to_string()},
                      {"dst", row.example.dst.to_string()},
                      {"decided_before", place_of(current, row.before)},
                      {"decided_after", place_of(next, row.after)}});
    }
    print_out(to_pretty({{"changes", list},
                         {"flows", flows.flows()},
                         {"changed", flows.changed()},
                         {"not_shown", flows.not_shown()},
                         {"coverage", coverage_json(cli, replayed)}}) +
              "\n");
    return rows.empty() ? ExitCode::ok : ExitCode::finding;
  }
  Table table({cli.say("变化", "change"), cli.say("源", "from"), cli.say("目的", "to"),
               cli.say("服务", "service"), cli.say("记录数", "records"), cli.say("最近", "last"),
               cli.say("例", "example"), cli.say("现由", "decided by"),
               cli.say("将由", "then by")});
  for (const policy::ReplayRow& row : rows) {
    if (table.size() == rows_shown_max) break;
    table.add({kind_text(cli, row), row.from.empty() ? "-" : row.from,
               row.to.empty() ? "-" : row.to, row.service, fmt::format("{}", row.flows),
               format_local(row.last).substr(0, 19), example_of(row), place_of(current, row.before),
               place_of(next, row.after)});
  }
  print_out(rows.empty()
                ? cli.say("已记录的流处置不变\n", "no recorded flow is treated otherwise\n")
                : table.render());
  if (rows.size() > rows_shown_max) {
    print_out(fmt::format(
        fmt::runtime(cli.say("另有 {} 行（--json 列出全部）\n", "{} more (--json lists all)\n")),
        rows.size() - rows_shown_max));
  }
  print_coverage(cli, replayed);
  return rows.empty() ? ExitCode::ok : ExitCode::finding;
}

// Does traffic that a line decides leave a record?
bool leaves_record(const policy::Line& line) {
  return line.log || line.inspect != policy::Inspect::none;
}

Result<ExitCode> usage(Cli& cli, const PreviewArguments& arguments) {
  const policy::Policy policy = MENSHEN_TRY(policy_from(cli, arguments.file));
  policy::Replay flows(policy, policy);
  const Replayed replayed = MENSHEN_TRY(replay(cli, arguments, flows));
  Json list = Json::array();
  bool unused = false;
  Table table({cli.say("行", "line"), cli.say("服务", "service"), cli.say("记录数", "records"),
               cli.say("最近", "last"), cli.say("说明", "reason")});
  for (std::size_t i = 0; i < policy.lines().size(); ++i) {
    const policy::Line& line = policy.lines()[i];
    const policy::LineUse& use = flows.uses()[i];
    const bool known = leaves_record(line) || use.flows != 0;
    unused |= known && use.flows == 0;
    const std::string place = fmt::format("{}:{}", policy.source_name(), line.position.line);
    list.push_back({{"place", place},
                    {"recorded", leaves_record(line)},
                    {"flows", use.flows},
                    {"last", use.flows == 0 ? Json() : Json(format_utc(use.last))}});
    table.add({place, policy.service_names(line),
               known ? fmt::format("{}", use.flows) : cli.say("不留记录", "not recorded"),
               use.flows == 0 ? "-" : format_local(use.last).substr(0, 19), line.reason});
  }
  if (arguments.json) {
    print_out(to_pretty({{"lines", list}, {"coverage", coverage_json(cli, replayed)}}) + "\n");
  } else {
    print_out(table.render());
    print_coverage(cli, replayed);
  }
  return unused ? ExitCode::finding : ExitCode::ok;
}

void add_sources(CLI::App& command, const Cli& cli, PreviewArguments& arguments) {
  command
      .add_option("--since", arguments.since,
                  cli.say("起始时间：30d、12h、45m 之前，或具体时间",
                          "From when on: 30d, 12h or 45m ago, or a time"))
      ->capture_default_str()
      ->type_name("TIME");
  command
      .add_option("--store", arguments.store,
                  cli.say("审计库目录；缺省取自设置", "Audit store; by default the settings' one"))
      ->type_name("DIR");
  command
      .add_option("--events", arguments.events,
                  cli.say("事件文件（含其轮转文件）；缺省取自设置",
                          "Event file, with its rotated ones; by default the settings' one"))
      ->type_name("FILE");
  command.add_flag("--json", arguments.json, cli.say("输出 JSON", "Print JSON"));
}

}  // namespace

void add_policy_preview_commands(CLI::App& group, Cli& cli) {
  const auto arguments = std::make_shared<PreviewArguments>();
  CLI::App& command = cli.add(
      group, "preview",
      {"用已记录的流回放新策略：按域对和服务列出将新阻断、新放行的流量",
       "Replay recorded flows through a new policy: what it would newly block or let pass, by "
       "domains and service"},
      "menshen policy preview new.yaml --since 30d",
      [&cli, arguments] { return preview(cli, *arguments); });
  command.add_option("NEW", arguments->file, cli.say("新策略文件", "The new policy"))
      ->required()
      ->type_name("");
  command
      .add_option(
          "--against", arguments->against,
          cli.say("与此策略比较；缺省为生效策略", "Compare with it, not with the one in force"))
      ->type_name("FILE");
  add_sources(command, cli, *arguments);

  const auto of_lines = std::make_shared<PreviewArguments>();
  CLI::App& lines = cli.add(group, "usage",
                            {"每一策略行在已记录流量中的命中情况，找出长期未用的行",
                             "How much recorded traffic each line decides: find lines out of use"},
                            "menshen policy usage --since 90d",
                            [&cli, of_lines] { return usage(cli, *of_lines); });
  lines
      .add_option("FILE", of_lines->file,
                  cli.say("策略文件；留空则为生效策略", "Policy file; the one in force without it"))
      ->type_name("");
  add_sources(lines, cli, *of_lines);
}

}  // namespace menshen::apps
