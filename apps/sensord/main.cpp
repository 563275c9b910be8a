// menshen-sensord: inspects what the policy hands to the queue, inline.
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/capability.h>
#include <poll.h>

#include "apps/common/daemon.hpp"
#include "apps/common/signals.hpp"
#include "apps/sensord/engine_settings.hpp"
#include "apps/sensord/service.hpp"
#include "sensor/capture/nfqueue.hpp"

namespace menshen::apps {
namespace {

constexpr std::chrono::seconds policy_retry{30};
constexpr std::chrono::seconds audit_flush{5};

sensor::NfqueueOptions queue_options(const Settings& settings) {
  sensor::NfqueueOptions options;
  options.queue = static_cast<std::uint16_t>(settings.integer("inspection.queue"));
  options.queue_packets_max =
      static_cast<std::uint32_t>(settings.integer("inspection.queue_packets_max"));
  options.fail_open = settings.text("inspection.when_queue_full") == "pass";
  options.socket_bytes =
      static_cast<std::uint32_t>(settings.integer("inspection.socket_mib") << 20);
  options.resets = settings.boolean("sensor.send_resets");
  // No attachments: the kernel has checked them, and a flow enters by another interface each way.
  return options;
}

Result<void> enter(const Daemon& daemon) {
  const Settings& settings = daemon.settings;
  SandboxPlan plan;
  // Verdicts are netlink messages, and the kernel asks for the capability with each of them, not
  // only when the queue is opened. No other netlink socket can be made: the filter allows Unix
  // sockets alone.
  plan.keep_capabilities = {CAP_NET_ADMIN};
  plan.read_only = {"/proc", "/etc", "/usr/share/zoneinfo",
                    settings.text("policy.state_directory")};
  for (const std::string& path : settings.list("sensor.rules")) {
    plan.read_only.push_back(folder_of(path));
  }
  // Reloaded rules may be the first to ask for files' types: libmagic's database.
  for (const char* folder : {"/usr/share/misc", "/usr/share/file", "/usr/lib/file"}) {
    if (std::filesystem::exists(folder)) plan.read_only.emplace_back(folder);
  }
  for (const std::string& path : settings.list("sensor.reputation_files")) {
    plan.read_only.push_back(folder_of(path));
  }
  for (const char* name :
       {"sensor.classification", "sensor.thresholds", "sensor.reputation_categories"}) {
    if (const auto& file = settings.text(name); !file.empty()) {
      plan.read_only.push_back(folder_of(file));
    }
  }
  plan.read_write = {settings.text("sensor.state_directory"),
                     std::filesystem::path(settings.text("general.sensord_socket")).parent_path()};
  // The folder, not the file: after a rotation the file is made anew.
  if (const auto& file = settings.text("sensor.events_file"); !file.empty()) {
    plan.read_write.push_back(std::filesystem::path(file).parent_path());
  }
  if (const auto& files = settings.text("sensor.filestore_directory"); !files.empty()) {
    plan.read_write.emplace_back(files);
  }
  return confine(daemon, "sandbox.sensord_user", plan);
}

Result<std::unique_ptr<EventFile>> open_events(const Settings& settings) {
  const std::filesystem::path file = settings.text("sensor.events_file");
  if (file.empty()) return std::unique_ptr<EventFile>{};
  return EventFile::open(file,
                         static_cast<std::size_t>(settings.integer("sensor.events_waiting_max")));
}

// Null: files are neither stored nor scanned.
Result<std::unique_ptr<FileKeeper>> open_files(const Settings& settings, EventFile* events,
                                               audit::Client& audit) {
  FileKeeperOptions options = file_keeper_options(settings);
  if (!options.store && options.clamd_socket.empty()) return std::unique_ptr<FileKeeper>{};
  return FileKeeper::start(
      std::move(options),
      {.event =
           [events](std::string line) {
             if (events == nullptr) return;
             std::vector<std::string> lines;
             lines.push_back(std::move(line));
             events->push(std::move(lines));
           },
       .record = [&audit](audit::Record record) { audit.submit(std::move(record)); }});
}

Result<void> serve(Daemon& daemon, EventLoop& loop, ControlServer& control, SensorService& service,
                   const SensorService::Parts& parts) {
  // Ready again means that what was read last is in force, so not before the rules are compiled.
  const auto ready_after_reload = [&] {
    if (!parts.reloader.running()) notify_ready("inspecting");
  };
  const auto reload = [&] {
    notify_reloading();
    if (parts.events != nullptr) parts.events->reopen();
    if (auto settings = daemon.reload()) {
      service.set_settings(std::move(*settings));
      service.start_rule_reload();
    }
    service.take_policy();
    ready_after_reload();
  };
  service.add_operations(control, reload);
  std::optional<Error> failure;
  watch_signals(daemon.signals, loop, reload);
  loop.watch(parts.watch.fd(), POLLIN, [&](short) { service.take_policy(); });
  loop.watch(parts.reloader.fd(), POLLIN, [&](short) {
    service.finish_rule_reload();
    ready_after_reload();
  });
  loop.watch(parts.worker.failed_fd(), POLLIN, [&](short) {
    failure = parts.worker.failure();
    loop.stop();
  });
  // A notice can be lost where many changes come at once.
  loop.every(policy_retry, [&] { service.take_policy(); });
  service.take_policy();
  notify_ready("inspecting");
  MENSHEN_CHECK(loop.run());
  if (failure) return tl::make_unexpected(*failure);
  return {};
}

Result<void> run(Daemon& daemon) {
  const Settings& settings = daemon.settings;
  const std::filesystem::path state = settings.text("sensor.state_directory");
  const std::filesystem::path policy_state = settings.text("policy.state_directory");
  MENSHEN_CHECK(prepare_directory(state, settings, "sandbox.sensord_user", 0750));
  if (const std::filesystem::path events = settings.text("sensor.events_file"); !events.empty()) {
    MENSHEN_CHECK(prepare_directory(events.parent_path(), settings, "sandbox.sensord_user", 0750));
  }
  if (const std::filesystem::path files = settings.text("sensor.filestore_directory");
      !files.empty()) {
    MENSHEN_CHECK(prepare_directory(files, settings, "sandbox.sensord_user", 0750));
  }
  auto watch = MENSHEN_TRY(PolicyWatch::make(active_policy_file(policy_state)));
  EventLoop loop;
  const auto control =
      MENSHEN_TRY(ControlServer::bind(control_options(settings, "general.sensord_socket"), loop));
  const sensor::EngineOptions options = MENSHEN_TRY(engine_options(settings));
  // Before the queue opens: packets must not wait for a compilation.
  LoadedRules rules = MENSHEN_TRY(load_rules(settings));
  log_rules(rules);
  auto port = MENSHEN_TRY(sensor::open_nfqueue(queue_options(settings)));
  const UniqueFd statistics(
      ::open("/proc/self/net/netfilter/nfnetlink_queue", O_RDONLY | O_CLOEXEC));
  MENSHEN_CHECK(enter(daemon));

  const auto events = MENSHEN_TRY(open_events(settings));
  const auto audit =
      MENSHEN_TRY(audit::Client::start(audit_client_options(settings, "sensord", state)));
  const auto files = MENSHEN_TRY(open_files(settings, events.get(), *audit));
  const auto reloader = MENSHEN_TRY(RuleReloader::make());
  PolicyLabeler labeler;
  SensorSink sink(events.get(), files.get(), *audit, labeler);
  // The first packets must find their labels: the policy goes in before the worker runs.
  if (auto active = watch.read(system_clock()); active && *active)
    labeler.set_policy((*active)->policy);
  const auto worker =
      MENSHEN_TRY(Worker::start(std::move(port), options, rules.rules, labeler, sink));
  const SensorService::Parts parts{*worker, sink,  events.get(), files.get(),
                                   *audit,  watch, *reloader,    statistics};
  SensorService service(settings, std::move(rules), parts);
  service.record({audit::Kind::system,
                  audit::Severity::info,
                  audit::Outcome::success,
                  "sensord",
                  "daemon.start",
                  "sensord",
                  {"检测已启动", "inspection has started"},
                  {}});
  const Result<void> served = serve(daemon, loop, *control, service, parts);

  notify_stopping();
  worker->stop();
  if (files != nullptr) files->stop();
  service.record({audit::Kind::system,
                  served ? audit::Severity::info : audit::Severity::high,
                  served ? audit::Outcome::success : audit::Outcome::failure,
                  "sensord",
                  "daemon.stop",
                  "sensord",
                  served ? Text{"检测已停止", "inspection has stopped"} : served.error().text,
                  {}});
  const Result<void> flushed = audit->flush(audit_flush);
  return served ? flushed : served;
}

}  // namespace
}  // namespace menshen::apps

int main(int argc, char** argv) {
  return menshen::apps::run_daemon(
      argc, argv,
      {"menshen-sensord",
       {"门神检测守护进程：对策略送检的流量进行内联检测，阻断攻击并记录事件",
        "The sensor daemon of Menshen: inspects inline what the policy hands to it, drops attacks "
        "and records "
        "events"}},
      menshen::apps::run);
}
