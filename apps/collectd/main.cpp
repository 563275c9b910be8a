// menshen-collectd: receives other systems' logs and hands them to the audit store.
#include <fmt/format.h>
#include <sys/eventfd.h>

#include <thread>

#include "apps/common/audit_record.hpp"
#include "apps/common/daemon.hpp"
#include "apps/common/event_loop.hpp"
#include "apps/common/signals.hpp"
#include "apps/control/server.hpp"
#include "audit/collect/collector.hpp"

namespace menshen::apps {
namespace {

constexpr std::chrono::seconds audit_flush{5};

Result<audit::CollectorOptions> collector_options(const Settings& settings) {
  audit::CollectorOptions options;
  for (const std::string& text : settings.list("collect.listen")) {
    options.listen.push_back(MENSHEN_TRY(audit::Endpoint::parse(text)));
  }
  for (const std::string& text : settings.list("collect.senders")) {
    options.rules.push_back(MENSHEN_TRY(audit::SenderRule::parse(text)));
  }
  options.files = {settings.text("collect.certificate"), settings.text("collect.key"),
                   settings.text("collect.ca_file")};
  options.accept_unknown = settings.text("collect.unknown_senders") == "accept";
  options.connections_max = static_cast<std::size_t>(settings.integer("collect.connections_max"));
  options.message_bytes_max = static_cast<std::size_t>(settings.integer("collect.message_bytes"));
  options.records_per_second_max = static_cast<std::uint64_t>(settings.integer("collect.rate_max"));
  options.silence = std::chrono::minutes(settings.integer("collect.silence_minutes"));
  options.state_file =
      std::filesystem::path(settings.text("collect.state_directory")) / "sources.json";
  return options;
}

Json status_of(const audit::CollectorStatus& status, const audit::Client& audit) {
  return {{"received", status.received},    {"lost", status.lost},
          {"dropped", status.dropped},      {"cut", status.cut},
          {"refused", status.refused},      {"connections", status.connections},
          {"sources", status.sources},      {"last_error", status.last_error},
          {"audit", to_json(audit.stats())}};
}

// The collector's loop beside the control socket's.
class CollectorThread {
 public:
  CollectorThread(audit::Collector& collector, audit::Client& audit, UniqueFd stop)
      : stop_(std::move(stop)), thread_([this, &collector, &audit] {
          ended_ = collector.run(
              [&audit](audit::Record record) { return audit.submit(std::move(record)); },
              stop_.get());
        }) {}
  ~CollectorThread() { static_cast<void>(stop().has_value()); }
  CollectorThread(const CollectorThread&) = delete;
  CollectorThread& operator=(const CollectorThread&) = delete;

  Result<void> stop() {
    if (!thread_.joinable()) return {};
    static_cast<void>(::eventfd_write(stop_.get(), 1));
    thread_.join();
    return ended_;
  }

 private:
  UniqueFd stop_;
  Result<void> ended_;
  std::thread thread_;
};

Result<void> enter(const Daemon& daemon) {
  const Settings& settings = daemon.settings;
  SandboxPlan plan;
  plan.network = true;  // accepted connections are sockets too
  plan.read_only = {"/proc", "/etc", "/usr/share/zoneinfo"};
  plan.read_write = {settings.text("collect.state_directory"),
                     std::filesystem::path(settings.text("general.collectd_socket")).parent_path()};
  return confine(daemon, "sandbox.collectd_user", plan);
}

void add_operations(ControlServer& control, const audit::Collector& collector,
                    const audit::Client& audit) {
  control.add("status", Access::status, [&](const Json&, const Caller&) -> Result<Json> {
    return status_of(collector.status(), audit);
  });
  control.add("sources", Access::status, [&](const Json&, const Caller&) -> Result<Json> {
    Json list = Json::array();
    for (const std::string& each : collector.sources()) list.push_back(Json::parse(each));
    return Json{{"sources", list}};
  });
}

Result<void> run(Daemon& daemon) {
  const Settings& settings = daemon.settings;
  const std::filesystem::path state = settings.text("collect.state_directory");
  MENSHEN_CHECK(prepare_directory(state, settings, "sandbox.collectd_user", 0750));
  EventLoop loop;
  const auto control =
      MENSHEN_TRY(ControlServer::bind(control_options(settings, "general.collectd_socket"), loop));
  auto collecting = MENSHEN_TRY(collector_options(settings));
  const auto collector = MENSHEN_TRY(audit::Collector::open(std::move(collecting)));
  UniqueFd stop(::eventfd(0, EFD_CLOEXEC));
  if (!stop) return fail_errno({"无法创建 eventfd", "cannot make an eventfd"});
  MENSHEN_CHECK(enter(daemon));
  const auto audit =
      MENSHEN_TRY(audit::Client::start(audit_client_options(settings, "collectd", state)));
  add_operations(*control, *collector, *audit);
  const std::string status =
      fmt::format("listening at {} addresses", settings.list("collect.listen").size());
  watch_signals(daemon.signals, loop, [&] { tell_changed_settings(daemon, status); });
  CollectorThread thread(*collector, *audit, std::move(stop));
  if (settings.list("collect.listen").empty()) {
    log(LogLevel::notice, {"未配置日志接收地址", "no address to listen at is set"});
  }
  notify_ready(status);
  Result<void> looped = loop.run();
  notify_stopping();
  const Result<void> stopped = thread.stop();
  const Result<void> flushed = audit->flush(audit_flush);
  if (!looped) return looped;
  return stopped ? flushed : stopped;
}

}  // namespace
}  // namespace menshen::apps

int main(int argc, char** argv) {
  return menshen::apps::run_daemon(
      argc, argv,
      {"menshen-collectd",
       {"门神采集守护进程：接收网络设备、主机与云平台的 syslog，存入审计库",
        "The collecting daemon of Menshen: takes syslog of network devices, hosts and cloud "
        "platforms into the audit store"}},
      menshen::apps::run);
}
