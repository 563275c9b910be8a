// menshen comply runs|compare
#include <memory>

#include "apps/menshen/comply_commands.hpp"
#include "apps/menshen/comply_store.hpp"
#include "apps/menshen/table.hpp"

namespace menshen::apps {
namespace {

using compliance::Change;
using compliance::Comparison;
using compliance::KeptRun;

struct RunsArguments {
  bool json = false;
};
struct CompareArguments {
  std::string before, after;
  bool json = false;
};

std::string number(int tenths, bool score) {
  return tenths < 0 ? "-" : fmt::format("{}.{}{}", tenths / 10, tenths % 10, score ? "" : "%");
}

std::string rate(const KeptRun& run) {
  return run.standings.empty()
             ? "-"
             : number(run.standings.front().value_tenths, run.standings.front().score);
}

std::string view_words(const Cli& cli, const std::string& view) {
  if (view == "provider") return cli.say("云服务商", "provider");
  return view == "tenant" ? cli.say("云服务客户", "tenant") : cli.say("全部", "all");
}

Json entry(const std::string& name, const KeptRun& run) {
  Json json = {{"run", name},
               {"view", run.view},
               {"rules", run.rules},
               {"objects", run.objects.size()},
               {"coverage_percent", run.coverage_tenths / 10.0},
               {"findings", run.findings},
               {"high_risk", run.high_risk}};
  for (const compliance::KeptStanding& s : run.standings)
    json["editions"][s.edition] = s.value_tenths < 0 ? Json(nullptr) : Json(s.value_tenths / 10.0);
  return json;
}

// Standing over time: a line a run, oldest first, each with the changes since the one before it.
Result<ExitCode> runs(Cli& cli, const RunsArguments& arguments) {
  const Settings* settings = MENSHEN_TRY(cli.settings());
  Table table({cli.say("自查", "run"), cli.say("视角", "view"), cli.say("对象", "objects"),
               cli.say("符合率", "rate"), cli.say("覆盖率", "coverage"),
               cli.say("问题", "findings"), cli.say("高风险", "high risk"),
               cli.say("变差", "worse"), cli.say("改善", "better")});
  Json json = Json::array();
  std::map<std::string, KeptRun> last;  // by view
  for (const std::string& name : kept_runs(*settings)) {
    KeptRun run = MENSHEN_TRY(load_run(*settings, name));
    std::string worse = "-", better = "-";
    Json line = entry(name, run);
    if (const auto earlier = last.find(run.view); earlier != last.end()) {
      const Comparison c = compliance::compare(earlier->second, run);
      worse = fmt::format("{}", c.count(Change::worsened));
      better = fmt::format("{}", c.count(Change::improved));
      line["worsened"] = c.count(Change::worsened);
      line["improved"] = c.count(Change::improved);
    }
    json.push_back(std::move(line));
    table.add({name, view_words(cli, run.view), fmt::format("{}", run.objects.size()), rate(run),
               number(run.coverage_tenths, false), fmt::format("{}", run.findings),
               fmt::format("{}", run.high_risk), worse, better});
    last[run.view] = std::move(run);
  }
  print_out(arguments.json ? to_pretty(json) + "\n" : table.render());
  return ExitCode::ok;
}

void print_comparison(const Cli& cli, const Comparison& c) {
  Table totals({"", cli.say("之前", "before"), cli.say("之后", "after")});
  totals.add({cli.say("自查时间", "assessed at"), format_local(c.before.assessed_at),
              format_local(c.after.assessed_at)});
  for (std::size_t i = 0; i < c.after.standings.size() && i < c.before.standings.size(); ++i) {
    const auto& before = c.before.standings[i];
    const auto& after = c.after.standings[i];
    totals.add({cli.in(after.title), number(before.value_tenths, before.score),
                number(after.value_tenths, after.score)});
  }
  totals.add({cli.say("判定覆盖率", "coverage"), number(c.before.coverage_tenths, false),
              number(c.after.coverage_tenths, false)});
  totals.add({cli.say("问题", "findings"), fmt::format("{}", c.before.findings),
              fmt::format("{}", c.after.findings)});
  totals.add({cli.say("高风险", "high risk"), fmt::format("{}", c.before.high_risk),
              fmt::format("{}", c.after.high_risk)});
  print_out(totals.render("  "));
  if (c.other_rules || c.other_view) {
    print_err(cli.say("  ! 两次自查所用规则或责任视角不同，部分变化可能由此引起\n",
                      "  ! other rules or another view: some changes may come from there\n"));
  }
  if (c.items.empty()) return print_out(cli.say("没有变化\n", "nothing changed\n"));
  Table items({cli.say("测评项", "item"), cli.say("变化", "change"), cli.say("之前", "before"),
               cli.say("之后", "after"), cli.say("情况", "situation")});
  for (const compliance::VerdictChange& each : c.items) {
    items.add({each.id, cli.in(compliance::change_text(each.change)),
               cli.in(compliance::verdict_text(each.before)),
               cli.in(compliance::verdict_text(each.after)), cli.in(each.reason)});
  }
  print_out("\n" + items.render("  "));
}

Result<ExitCode> compare(Cli& cli, const CompareArguments& arguments) {
  const Settings* settings = MENSHEN_TRY(cli.settings());
  const std::vector<std::string> names = kept_runs(*settings);
  if (arguments.before.empty() && names.size() < 2) {
    return fail(ErrorCode::not_found, {"保留的自查结果不足两次", "fewer than two runs are kept"});
  }
  const std::string before = arguments.before.empty() ? names[names.size() - 2] : arguments.before;
  if (arguments.after.empty() && names.empty()) {
    return fail(ErrorCode::not_found, {"没有保留的自查结果", "no run is kept"});
  }
  const std::string after = arguments.after.empty() ? names.back() : arguments.after;
  const Comparison c = compliance::compare(MENSHEN_TRY(load_run(*settings, before)),
                                           MENSHEN_TRY(load_run(*settings, after)));
  if (arguments.json) {
    print_out(compliance::to_json(c) + "\n");
  } else {
    print_comparison(cli, c);
  }
  return c.count(Change::worsened) == 0 ? ExitCode::ok : ExitCode::finding;
}

}  // namespace

void add_comply_run_commands(CLI::App& group, Cli& cli) {
  const auto listing = std::make_shared<RunsArguments>();
  CLI::App& list = cli.add(group, "runs",
                           {"列出保留的自查结果及其走势",
                            "List the runs that are kept: the "
                            "standing over time"},
                           "menshen comply runs", [&cli, listing] { return runs(cli, *listing); });
  list.add_flag("--json", listing->json, cli.say("输出 JSON", "Print JSON"));

  const auto comparing = std::make_shared<CompareArguments>();
  CLI::App& two = cli.add(group, "compare",
                          {"比较两次自查；有项变差时退出码为 1",
                           "Compare two runs; exit status 1 where an item is worse"},
                          "menshen comply compare\n"
                          "menshen comply compare 2026-10-01T03-00-00Z 2026-11-01T03-00-00Z",
                          [&cli, comparing] { return compare(cli, *comparing); });
  two.add_option("BEFORE", comparing->before,
                 cli.say("之前的自查：名称或 assessment.json（默认倒数第二次）",
                         "Earlier run: its name, or an assessment.json (default: last but one)"))
      ->type_name("");
  two.add_option("AFTER", comparing->after,
                 cli.say("之后的自查（默认最近一次）", "Later run (default: the last)"))
      ->type_name("");
  two.add_flag("--json", comparing->json, cli.say("输出 JSON", "Print JSON"));
}

}  // namespace menshen::apps
