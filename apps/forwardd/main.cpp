// menshen-forwardd: carries audit records and checkpoints on to other systems.
#include <fmt/format.h>

#include "apps/common/audit_record.hpp"
#include "apps/common/daemon.hpp"
#include "apps/common/event_loop.hpp"
#include "apps/common/signals.hpp"
#include "apps/control/server.hpp"
#include "audit/forward/forwarder.hpp"
#include "audit/forward/notes_target.hpp"
#include "audit/forward/syslog_target.hpp"

namespace menshen::apps {
namespace {

constexpr std::chrono::seconds audit_flush{5};

using Forwarders = std::vector<std::unique_ptr<audit::Forwarder>>;

struct Planned {
  std::unique_ptr<audit::Target> target;
  std::filesystem::path cursor_file;
};

Result<std::vector<Planned>> plan_targets(const Settings& settings) {
  std::vector<Planned> planned;
  const std::filesystem::path state = settings.text("forward.state_directory");
  if (const auto& url = settings.text("forward.syslog"); !url.empty()) {
    audit::SyslogTargetOptions options;
    options.endpoint = MENSHEN_TRY(audit::Endpoint::parse(url));
    options.files = {settings.text("forward.certificate"), settings.text("forward.key"),
                     settings.text("forward.ca_file")};
    options.certificate_name = settings.text("forward.certificate_name");
    options.origin = settings.text("general.name");
    options.severity_min =
        audit::parse_severity(settings.text("forward.severity")).value_or(audit::Severity::info);
    options.message_bytes_max = static_cast<std::size_t>(settings.integer("forward.message_bytes"));
    options.confirm = settings.text("forward.confirm") == "sent"
                          ? audit::SyslogTargetOptions::Confirm::sent
                          : audit::SyslogTargetOptions::Confirm::closed;
    planned.push_back(
        {MENSHEN_TRY(audit::make_syslog_target(std::move(options))), state / "syslog.cursor"});
  }
  if (const auto& file = settings.text("forward.witness_file"); !file.empty()) {
    planned.push_back({audit::make_notes_target(file), state / "witness.cursor"});
  }
  return planned;
}

Result<void> enter(const Daemon& daemon) {
  const Settings& settings = daemon.settings;
  SandboxPlan plan;
  plan.network = true;
  plan.read_only = {"/proc", "/etc", "/usr/share/zoneinfo", settings.text("audit.directory")};
  for (const char* key : {"forward.ca_file", "forward.certificate", "forward.key"}) {
    if (!settings.text(key).empty()) plan.read_only.push_back(folder_of(settings.text(key)));
  }
  plan.read_write = {settings.text("forward.state_directory"),
                     std::filesystem::path(settings.text("general.forwardd_socket")).parent_path()};
  if (const std::filesystem::path file = settings.text("forward.witness_file"); !file.empty()) {
    plan.read_write.push_back(file.parent_path());
  }
  return confine(daemon, "sandbox.forwardd_user", plan);
}

Json status_of(const audit::ForwardStatus& status) {
  return {{"target", status.target},
          {"up", status.up},
          {"error", status.error},
          {"confirmed", status.confirmed},
          {"checkpoint", status.note},
          {"waiting", status.stored - std::min(status.stored, status.confirmed)},
          {"sent", status.sent},
          {"skipped", status.skipped},
          {"confirmed_at",
           status.confirmed_at ? Json(format_utc(*status.confirmed_at)) : Json(nullptr)}};
}

Act act_of(audit::ForwardEvent event, const audit::ForwardStatus& status) {
  Act act;
  act.subject = "forwardd";
  act.object = status.target;
  act.outcome = audit::Outcome::failure;
  switch (event) {
    case audit::ForwardEvent::down:
      act.severity = audit::Severity::medium;
      act.action = "forward.down";
      act.message = {"转发目标不可用，记录留待补发", "the receiver is away; records wait"};
      act.detail = {{"error", status.error}};
      break;
    case audit::ForwardEvent::up:
      act.outcome = audit::Outcome::success;
      act.action = "forward.up";
      act.message = {"转发恢复", "the receiver takes records again"};
      break;
    case audit::ForwardEvent::gap:
      act.kind = audit::Kind::loss;
      act.severity = audit::Severity::high;
      act.action = "forward.gap";
      act.message = {"部分记录在转发前已过保存期并清理",
                     "records were pruned before they could be forwarded"};
      act.detail = {{"n", status.skipped}};
      break;
    case audit::ForwardEvent::shorter:
      act.severity = audit::Severity::critical;
      act.action = "forward.shorter";
      act.message = {"审计库少于已转发的内容：被截断或更换",
                     "the store holds less than was forwarded: it was cut back or replaced"};
      act.detail = {{"confirmed", status.confirmed}};
      break;
  }
  return act;
}

Result<Forwarders> start_all(const Settings& settings, std::vector<Planned> planned,
                             audit::Client& audit) {
  Forwarders forwarders;
  for (Planned& each : planned) {
    audit::ForwarderOptions options;
    options.store = settings.text("audit.directory");
    options.cursor_file = each.cursor_file;
    options.confirm_interval = std::chrono::seconds(settings.integer("forward.confirm_seconds"));
    options.on_event = [&audit](audit::ForwardEvent event, const audit::ForwardStatus& status) {
      const Act act = act_of(event, status);
      log(act.severity >= audit::Severity::medium ? LogLevel::warning : LogLevel::notice,
          {status.target + "：" + act.message.zh + (status.error.empty() ? "" : "：") +
               status.error,
           status.target + ": " + act.message.en + (status.error.empty() ? "" : ": ") +
               status.error});
      static_cast<void>(audit.submit(to_record(act)));
    };
    forwarders.push_back(
        MENSHEN_TRY(audit::Forwarder::start(std::move(options), std::move(each.target))));
  }
  return forwarders;
}

Result<void> run(Daemon& daemon) {
  const Settings& settings = daemon.settings;
  const std::filesystem::path state = settings.text("forward.state_directory");
  MENSHEN_CHECK(prepare_directory(state, settings, "sandbox.forwardd_user", 0750));
  EventLoop loop;
  const auto control =
      MENSHEN_TRY(ControlServer::bind(control_options(settings, "general.forwardd_socket"), loop));
  auto planned = MENSHEN_TRY(plan_targets(settings));
  MENSHEN_CHECK(enter(daemon));
  const auto audit =
      MENSHEN_TRY(audit::Client::start(audit_client_options(settings, "forwardd", state)));
  Forwarders forwarders = MENSHEN_TRY(start_all(settings, std::move(planned), *audit));
  control->add("status", Access::status, [&](const Json&, const Caller&) -> Result<Json> {
    Json targets = Json::array();
    for (const auto& each : forwarders) targets.push_back(status_of(each->status()));
    return Json{{"targets", targets}, {"audit", to_json(audit->stats())}};
  });
  const std::string status = fmt::format("{} receivers", forwarders.size());
  watch_signals(daemon.signals, loop, [&] { tell_changed_settings(daemon, status); });
  if (forwarders.empty()) {
    log(LogLevel::notice, {"未配置转发目标", "no receiver is set; nothing is forwarded"});
  }
  notify_ready(status);
  const Result<void> looped = loop.run();
  notify_stopping();
  forwarders.clear();
  const Result<void> flushed = audit->flush(audit_flush);
  return looped ? flushed : looped;
}

}  // namespace
}  // namespace menshen::apps

int main(int argc, char** argv) {
  return menshen::apps::run_daemon(
      argc, argv,
      {"menshen-forwardd",
       {"门神转发守护进程：将审计记录与检查点送往日志服务器",
        "The forwarding daemon of Menshen: carries audit records and checkpoints on to log "
        "servers"}},
      menshen::apps::run);
}
