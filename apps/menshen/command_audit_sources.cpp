// menshen audit sources
#include <memory>

#include "apps/control/client.hpp"
#include "apps/menshen/audit_commands.hpp"
#include "apps/menshen/table.hpp"

namespace menshen::apps {
namespace {

// Who sends logs to this appliance, by collectd's word.
Result<ExitCode> sources(Cli& cli, bool json) {
  const Settings* settings = MENSHEN_TRY(cli.settings());
  const Json answer = MENSHEN_TRY(
      control_call(settings->text("general.collectd_socket"), {"sources", Json::object()}));
  bool silent = false;
  Table table({cli.say("发送方", "sender"), cli.say("主机", "host"), cli.say("安全域", "domain"),
               cli.say("首次", "first"), cli.say("最近", "last"), cli.say("每分钟", "per minute"),
               cli.say("消息", "messages"), cli.say("缺失", "missing"), cli.say("状态", "state")});
  for (const Json& each : answer.at("sources")) {
    const bool quiet = each.value("silent", false);
    silent = silent || quiet;
    if (json) {
      print_out(to_line(each) + "\n");
      continue;
    }
    table.add({each.value("sender", ""), each.value("host", ""), each.value("domain", ""),
               each.value("first_seen", "").substr(0, 19),
               each.value("last_seen", "").substr(0, 19),
               fmt::format("{:.1f}", each.value("per_minute", 0.0)),
               fmt::format("{}", each.value("messages", std::uint64_t{0})),
               fmt::format("{}", each.value("missing", std::uint64_t{0}) +
                                     each.value("dropped", std::uint64_t{0})),
               quiet ? cli.say("静默", "SILENT") : cli.say("正常", "heard")});
  }
  if (!json) {
    print_out(table.size() == 0 ? cli.say("尚无日志来源\n", "no source has been heard yet\n")
                                : table.render());
  }
  return silent ? ExitCode::finding : ExitCode::ok;
}

}  // namespace

void add_sources_command(CLI::App& group, Cli& cli) {
  const auto as_json = std::make_shared<bool>(false);
  cli.add(group, "sources",
          {"日志来源：首次与最近接收、速率、缺失、静默；有来源静默时退出码为 1",
           "Sources of collected logs: first and last heard, rate, missing, silent; exit status 1 "
           "if one is silent"},
          "menshen audit sources", [&cli, as_json] { return sources(cli, *as_json); })
      .add_flag("--json", *as_json, cli.say("每行一条 JSON", "JSON lines"));
}

}  // namespace menshen::apps
