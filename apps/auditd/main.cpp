// menshen-auditd: the only writer of the audit store and the only reader of its signing key.
#include <sys/eventfd.h>

#include <fmt/format.h>
#include <grp.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "apps/common/daemon.hpp"
#include "audit/server/server.hpp"

namespace menshen::apps {
namespace {

// The members of a group, by number. Their primary groups are not searched.
std::set<uid_t> members_of(const std::string& name) {
  std::set<uid_t> members;
  std::array<char, 65536> buffer{};
  group entry{};
  group* found = nullptr;
  if (name.empty() ||
      ::getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 ||
      found == nullptr) {
    return members;
  }
  for (char** member = entry.gr_mem; *member != nullptr; ++member) {
    if (const auto uid = find_user(*member)) members.insert(*uid);
  }
  return members;
}

audit::ServerOptions server_options(const Settings& settings) {
  audit::ServerOptions options;
  // Root may speak for a daemon: that is how it runs without a user of its own.
  for (const std::string source : {"sensord", "policyd", "forwardd", "collectd"}) {
    options.sources[source] = {0};
    if (const auto uid = find_user(settings.text("audit." + source + "_user"))) {
      options.sources[source].insert(*uid);
    }
  }
  options.sources["consoled"] = {0};
  if (const auto uid = find_user(settings.text("console.user"))) {
    options.sources["consoled"].insert(*uid);
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

// Turns SIGTERM into the server's stop descriptor; SIGHUP has nothing to reload here and is only
// logged.
class StopOnSignal {
 public:
  static Result<std::unique_ptr<StopOnSignal>> start(Signals& signals) {
    UniqueFd stop(::eventfd(0, EFD_CLOEXEC));
    UniqueFd quit(::eventfd(0, EFD_CLOEXEC));
    if (!stop || !quit) return fail_errno({"无法创建 eventfd", "cannot make an eventfd"});
    return std::unique_ptr<StopOnSignal>(
        new StopOnSignal(signals, std::move(stop), std::move(quit)));
  }
  ~StopOnSignal() {
    static_cast<void>(::eventfd_write(quit_.get(), 1));
    thread_.join();
  }
  StopOnSignal(const StopOnSignal&) = delete;
  StopOnSignal& operator=(const StopOnSignal&) = delete;
  [[nodiscard]] int fd() const noexcept { return stop_.get(); }

 private:
  StopOnSignal(Signals& signals, UniqueFd stop, UniqueFd quit)
      : signals_(signals),
        stop_(std::move(stop)),
        quit_(std::move(quit)),
        thread_([this] { watch(); }) {}

  void watch() {
    std::array<pollfd, 2> fds{{{signals_.fd(), POLLIN, 0}, {quit_.get(), POLLIN, 0}}};
    for (;;) {
      if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) return;
      if (fds[1].revents != 0) return;
      switch (signals_.take()) {
        case Signal::none:
          break;
        case Signal::reload:
          log(LogLevel::notice, {"审计守护进程的配置须重启后生效",
                                 "the audit daemon's settings take effect at its next start"});
          break;
        case Signal::stop:
          notify_stopping();
          static_cast<void>(::eventfd_write(stop_.get(), 1));
          return;
      }
    }
  }

  Signals& signals_;
  UniqueFd stop_;
  UniqueFd quit_;
  std::thread thread_;
};

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
  const auto stop = MENSHEN_TRY(StopOnSignal::start(daemon.signals));
  log(LogLevel::notice, {fmt::format("审计库已就绪，共 {} 条记录", records),
                         fmt::format("the audit store is ready, with {} records", records)});
  notify_ready(fmt::format("{} records", records));
  return server.run(stop->fd());
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
