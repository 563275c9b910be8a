// menshen-auditd: the only writer of the audit store and the only reader of its signing key.
#include <fmt/format.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "apps/common/daemon.hpp"
#include "apps/common/signals.hpp"
#include "audit/server/server.hpp"
#include "base/users.hpp"

namespace menshen::apps {
namespace {

// The members of a group, by number. Their primary groups are not searched.
std::set<uid_t> members_of(const std::string& name) {
  std::set<uid_t> members;
  const auto group = find_group(name);
  if (!group) return members;
  for (const std::string& member : group->members)
    if (const auto user = find_user(member)) members.insert(user->uid);
  return members;
}

audit::ServerOptions server_options(const Settings& settings) {
  audit::ServerOptions options;
  // Root may speak for a daemon: that is how it runs without a user of its own.
  for (const std::string source : {"sensord", "policyd", "forwardd", "collectd"}) {
    options.sources[source] = {0};
    if (const auto user = find_user(settings.text("audit." + source + "_user"))) {
      options.sources[source].insert(user->uid);
    }
  }
  options.sources["consoled"] = {0};
  if (const auto user = find_user(settings.text("console.user"))) {
    options.sources["consoled"].insert(user->uid);
  }
  options.operators = members_of(settings.text("general.admin_group"));
  options.operators.insert(0);
  options.sources["menshen"] = options.operators;  // the command: what a person started
  options.disk_reserve_bytes =
      static_cast<std::uint64_t>(settings.integer("audit.disk_reserve_mib")) << 20U;
  options.connections_max = static_cast<std::size_t>(settings.integer("audit.connections_max"));
  return options;
}

audit::StoreOptions store_options(const Settings& settings) {
  audit::StoreOptions options;
  options.directory = settings.text("audit.directory");
  options.origin = settings.text("general.name");
  options.profile =
      audit::parse_profile(settings.text("audit.profile")).value_or(audit::Profile::sm);
  options.checkpoint_interval = std::chrono::seconds(settings.integer("audit.checkpoint_seconds"));
  options.retention_days = settings.integer("audit.retention_days");
  return options;
}

Result<void> run(Daemon& daemon) {
  const Settings& settings = daemon.settings;
  const audit::StoreOptions options = store_options(settings);
  const audit::ServerOptions serving = server_options(settings);
  MENSHEN_CHECK(prepare_directory(options.directory, settings, "sandbox.auditd_user", 0750));
  const ControlOptions control = control_options(settings, "general.auditd_socket");
  Listener listener = MENSHEN_TRY(bind_socket(control));

  SandboxPlan plan;
  plan.read_only = {"/proc", "/etc", "/usr/share/zoneinfo"};
  plan.read_write = {options.directory, control.socket.parent_path()};
  MENSHEN_CHECK(confine(daemon, "sandbox.auditd_user", plan));

  audit::Store store = MENSHEN_TRY(audit::Store::open(options));
  const std::uint64_t records = store.status().records;
  audit::Server server =
      MENSHEN_TRY(audit::Server::make(serving, std::move(store), std::move(listener)));
  const UniqueFd stop(::eventfd(0, EFD_CLOEXEC));
  if (!stop) return fail_errno({"无法创建 eventfd", "cannot make an eventfd"});
  const std::string status = fmt::format("{} records", records);
  const auto on_stop = [&] {
    notify_stopping();
    static_cast<void>(::eventfd_write(stop.get(), 1));
  };
  const auto watch = MENSHEN_TRY(
      SignalThread::start(daemon.signals, on_stop, [&] { tell_changed_settings(daemon, status); }));
  log(LogLevel::notice, {fmt::format("审计库已就绪，共 {} 条记录", records),
                         fmt::format("the audit store is ready, with {} records", records)});
  notify_ready(status);
  return server.run(stop.get());
}

}  // namespace
}  // namespace menshen::apps

int main(int argc, char** argv) {
  return menshen::apps::run_daemon(
      argc, argv,
      {"menshen-auditd",
       {"门神审计守护进程：接收各组件的记录，写入防篡改审计库并签署检查点",
        "The audit daemon of Menshen: takes the other programs' records into the tamper-evident "
        "store and "
        "signs checkpoints"}},
      menshen::apps::run);
}
