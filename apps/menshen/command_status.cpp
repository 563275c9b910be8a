// menshen status
#include <memory>

#include "apps/control/auditd.hpp"
#include "apps/control/client.hpp"
#include "apps/menshen/cli.hpp"
#include "apps/menshen/system_facts.hpp"
#include "apps/menshen/table.hpp"

namespace menshen::apps {
namespace {

struct StatusArguments {
  bool json = false;
};

constexpr std::chrono::seconds answer_timeout{10};

// {"running": true, ...the daemon's own status} or {"running": false, "error": {...}}.
Json ask(const Settings& settings, std::string_view daemon) {
  const auto answer = daemon == "auditd"
                          ? ask_auditd(settings, {{"op", "status"}})
                          : control_call(settings.text(fmt::format("general.{}_socket", daemon)),
                                         {"status", Json::object()}, answer_timeout);
  if (!answer) {
    const Error& error = answer.error();
    return {
        {"running", false},
        {"error",
         {{"code", error_code_name(error.code)}, {"zh", error.text.zh}, {"en", error.text.en}}}};
  }
  Json status = *answer;
  status.erase("ok");
  status["running"] = true;
  if (const auto pid = daemon_pid(settings, daemon)) status["pid"] = *pid;
  return status;
}

std::string number(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || !found->is_number() ? "-" : found->dump();
}

std::string size_text(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number()) return "-";
  return fmt::format("{:.1f} MiB", found->get<double>() / (1024.0 * 1024.0));
}

std::uint64_t counter(const Json& sensor, std::string_view name) {
  for (const Json& each : sensor.at("counters")) {
    if (each.at("name") == name) return each.at("value").get<std::uint64_t>();
  }
  return 0;
}

std::string spool_text(const Cli& cli, const Json& daemon) {
  const Json& audit = daemon.at("audit");
  return fmt::format(
      fmt::runtime(audit.value("connected", false)
                       ? cli.say("已连接，送达 {}，丢失 {}", "connected, {} delivered, {} lost")
                       : cli.say("未连接（本地暂存），送达 {}，丢失 {}",
                                 "not connected (spooling), {} delivered, {} lost")),
      number(audit, "delivered"), number(audit, "lost"));
}

void print_daemons(const Cli& cli, const Settings& settings, const Json& daemons) {
  Table table(
      {cli.say("组件", "daemon"), cli.say("状态", "state"), "PID", cli.say("说明", "note")});
  for (const std::string_view name : daemon_names(settings)) {
    const Json& daemon = daemons.at(std::string(name));
    const bool running = daemon.at("running").get<bool>();
    const std::string note =
        running ? (daemon.contains("audit") ? cli.say("审计：", "audit: ") + spool_text(cli, daemon)
                                            : "")
                : daemon.at("error").at(cli.lang() == Lang::zh ? "zh" : "en").get<std::string>();
    table.add({fmt::format("menshen-{}", name),
               running ? cli.say("运行", "up") : cli.say("停止", "DOWN"), number(daemon, "pid"),
               note});
  }
  print_out(table.render());
}

void print_reasons(const Cli& cli, const Json& list, const char* value_key,
                   std::string_view title) {
  const char* lang = cli.lang() == Lang::zh ? "zh" : "en";
  Table table({"", "", ""});
  for (const Json& each : list) {
    if (each.value("drop", true) && each.at(value_key) != 0) {
      table.add({each.at("name"), each.at(value_key).dump(), each.at(lang)});
    }
  }
  if (table.size() != 0) print_out(fmt::format("  {}\n{}", title, table.render("    ")));
}

void print_sensor(const Cli& cli, const Json& sensor) {
  print_out("\n" + cli.say("内联检测", "Inspection") + "\n");
  Table table({"", ""});
  const Json& queue = sensor.at("queue");
  table.add({cli.say("队列", "queue"),
             fmt::format("{}  {} {} / {}", number(queue, "number"), cli.say("排队", "waiting"),
                         number(queue, "waiting"), number(queue, "limit"))});
  table.add({cli.say("数据包", "packets"), fmt::format("{}", counter(sensor, "sensor.packets"))});
  table.add({cli.say("内核丢失", "lost before the sensor"),
             fmt::format("{}", sensor.at("port").at("lost_queue").get<std::uint64_t>() +
                                   sensor.at("port").at("lost_socket").get<std::uint64_t>())});
  table.add(
      {cli.say("告警（其中阻断）", "alerts (blocked)"),
       fmt::format("{} ({})", counter(sensor, "sensor.alerts"), number(sensor, "alerts_blocked"))});
  table.add({cli.say("规则（未加载）", "rules (rejected)"),
             fmt::format("{} ({})", number(sensor.at("rules"), "loaded"),
                         number(sensor.at("rules"), "rejected"))});
  if (const auto events = sensor.find("events"); events != sensor.end()) {
    table.add({cli.say("事件文件", "event file"),
               fmt::format("{}  {} {}, {} {}", events->at("file").get<std::string>(),
                           cli.say("写入", "written"), number(*events, "written"),
                           cli.say("丢弃", "dropped"), number(*events, "dropped"))});
  }
  if (const auto files = sensor.find("files"); files != sensor.end()) {
    std::uint64_t left_out = 0;
    for (const char* reason : {"full", "disk_low", "failed", "refused"}) {
      left_out += files->value(reason, std::uint64_t{0});
    }
    table.add({cli.say("文件", "files"),
               fmt::format("{} {}, {} {}, {} {} ({} {}), {} {}", cli.say("留存", "stored"),
                           number(*files, "stored"), cli.say("未留存", "not stored"), left_out,
                           cli.say("扫描", "scanned"), number(*files, "scanned"),
                           cli.say("检出", "infected"), number(*files, "infected"),
                           cli.say("未扫描", "not scanned"), number(*files, "unscanned"))});
  }
  print_out(table.render("  "));
  print_reasons(cli, sensor.at("drops"), "packets", cli.say("丢弃原因", "dropped, by reason"));
}

void print_policy(const Cli& cli, const Json& policy) {
  print_out("\n" + cli.say("域间隔离", "Isolation") + "\n");
  Table table({"", ""});
  const Json& active = policy.at("active");
  table.add({cli.say("策略", "policy"),
             active.is_null()
                 ? cli.say("尚未下发", "none applied")
                 : fmt::format("{}  {} {}  {}", active.at("name").get<std::string>(),
                               cli.say("第", "generation"), number(active, "generation"),
                               active.at("applied_at").get<std::string>())});
  table.add({cli.say("安全域 / 流", "domains / flows"),
             fmt::format("{} / {}", number(policy, "domains"), number(policy, "flows"))});
  const bool known = policy.contains("drift_count");
  const bool drifted = known && policy.at("drift_count") != 0;
  table.add(
      {cli.say("内核核对", "kernel"),
       !known
           ? policy.at("kernel_error").at(cli.lang() == Lang::zh ? "zh" : "en").get<std::string>()
       : drifted
           ? fmt::format("{} {}", number(policy, "drift_count"), cli.say("处不一致", "differences"))
           : cli.say("一致", "agrees")});
  print_out(table.render("  "));
  print_reasons(cli, policy.at("counters"), "packets", cli.say("阻断原因", "dropped, by reason"));
}

void print_audit(const Cli& cli, const Json& audit) {
  print_out("\n" + cli.say("审计库", "Audit store") + "\n");
  Table table({"", ""});
  table.add({cli.say("状态", "state"), audit.value("healthy", false)
                                           ? cli.say("正常", "healthy")
                                           : cli.say("写入失败", "cannot be written")});
  table.add({cli.say("记录 / 检查点", "records / checkpoints"),
             fmt::format("{} / {}", number(audit, "records"), number(audit, "checkpoints"))});
  table.add({cli.say("占用 / 磁盘剩余", "size / disk free"),
             fmt::format("{} / {}", size_text(audit, "size_bytes"),
                         size_text(audit, "disk_free_bytes"))});
  const Json full = audit.value("disk_full_at", Json());
  if (full.is_string()) {
    table.add({cli.say("按当前增速磁盘写满", "disk full, if it goes on"),
               full.get<std::string>().substr(0, 10)});
  }
  table.add({cli.say("密钥指纹", "key fingerprint"), audit.value("fingerprint", "-")});
  print_out(table.render("  "));
}

void print_forward(const Cli& cli, const Json& forward) {
  print_out("\n" + cli.say("转发", "Forwarding") + "\n");
  Table table({"", ""});
  for (const Json& target : forward.at("targets")) {
    table.add({target.at("target").get<std::string>(),
               target.at("up").get<bool>()
                   ? fmt::format(fmt::runtime(cli.say("正常，已收讫至记录 {}，待送 {}",
                                                      "up, has records to {}, {} waiting")),
                                 number(target, "confirmed"), number(target, "waiting"))
                   : fmt::format("{}: {}", cli.say("中断", "DOWN"),
                                 target.at("error").get<std::string>())});
  }
  print_out(table.render("  "));
}

void print_collect(const Cli& cli, const Json& collect) {
  print_out("\n" + cli.say("日志采集", "Collected logs") + "\n");
  Table table({"", ""});
  table.add({cli.say("来源 / 连接", "sources / connections"),
             fmt::format("{} / {}", number(collect, "sources"), number(collect, "connections"))});
  table.add({cli.say("接收 / 超速丢弃 / 丢失", "received / over the rate / lost"),
             fmt::format("{} / {} / {}", number(collect, "received"), number(collect, "dropped"),
                         number(collect, "lost"))});
  table.add({cli.say("拒绝 / 截断", "refused / cut"),
             fmt::format("{} / {}", number(collect, "refused"), number(collect, "cut"))});
  print_out(table.render("  "));
}

// Everything that a person would have to look at.
bool in_order(const Json& daemons) {
  for (const auto& [name, daemon] : daemons.items()) {
    if (!daemon.at("running").get<bool>()) return false;
  }
  if (const auto forward = daemons.find("forwardd"); forward != daemons.end()) {
    for (const Json& target : forward->at("targets")) {
      if (!target.at("up").get<bool>()) return false;
    }
  }
  return daemons.at("auditd").value("healthy", false) &&
         daemons.at("policyd").value("drift_count", 1) == 0;
}

Result<ExitCode> status(Cli& cli, const StatusArguments& arguments) {
  const Settings* settings = MENSHEN_TRY(cli.settings());
  Json daemons = Json::object();
  for (const std::string_view name : daemon_names(*settings))
    daemons[std::string(name)] = ask(*settings, name);
  const bool good = in_order(daemons);
  if (arguments.json) {
    print_out(to_pretty({{"in_order", good}, {"version", MENSHEN_VERSION}, {"daemons", daemons}}) +
              "\n");
    return good ? ExitCode::ok : ExitCode::finding;
  }
  print_daemons(cli, *settings, daemons);
  if (daemons.at("policyd").at("running").get<bool>()) print_policy(cli, daemons.at("policyd"));
  if (daemons.at("sensord").at("running").get<bool>()) print_sensor(cli, daemons.at("sensord"));
  if (daemons.at("auditd").at("running").get<bool>()) print_audit(cli, daemons.at("auditd"));
  const auto running = [&](const char* name) {
    return daemons.contains(name) && daemons.at(name).at("running").get<bool>();
  };
  if (running("forwardd")) print_forward(cli, daemons.at("forwardd"));
  if (running("collectd")) print_collect(cli, daemons.at("collectd"));
  return good ? ExitCode::ok : ExitCode::finding;
}

}  // namespace

void add_status_command(CLI::App& app, Cli& cli) {
  const auto arguments = std::make_shared<StatusArguments>();
  CLI::App& command =
      cli.add(app, "status",
              {"守护进程、队列、丢弃原因、审计库状态；有组件停止或异常时退出码为 1",
               "Daemons, queue, drops by reason, store; exit status 1 if something is down or not "
               "in order"},
              "menshen status --json", [&cli, arguments] { return status(cli, *arguments); });
  command.add_flag("--json", arguments->json, cli.say("输出 JSON", "Print JSON"));
}

}  // namespace menshen::apps
