// menshen-policyd: the only program that changes the kernel's ruleset, and the reader of its drop
// log.
#include <fmt/format.h>
#include <linux/capability.h>
#include <poll.h>

#include "apps/common/audit_record.hpp"
#include "apps/common/daemon.hpp"
#include "apps/common/signals.hpp"
#include "apps/policyd/service.hpp"
#include "policy/nft/surroundings.hpp"

namespace menshen::apps {
namespace {

constexpr std::chrono::seconds isolation_period{1};
constexpr std::chrono::seconds expiry_period{60};
constexpr std::chrono::seconds confirm_period{1};
constexpr std::chrono::seconds audit_flush{5};

policy::nft::LowerOptions lower_options(const Settings& settings) {
  policy::nft::LowerOptions options;
  options.queue = static_cast<std::uint16_t>(settings.integer("inspection.queue"));
  options.queue_bypass = settings.text("inspection.when_sensor_absent") == "pass";
  options.log_group = static_cast<std::uint16_t>(settings.integer("policy.log_group"));
  options.log_per_second = static_cast<std::uint32_t>(settings.integer("policy.log_per_second"));
  options.log_burst = 2 * options.log_per_second;
  return options;
}

PolicyServiceOptions service_options(const Settings& settings) {
  PolicyServiceOptions options;
  options.active_file = active_policy_file(settings.text("policy.state_directory"));
  options.block_without_policy = settings.text("policy.without_policy") == "block";
  options.restore_when_drifted = settings.text("policy.when_drifted") == "restore";
  options.four_eyes = settings.boolean("policy.four_eyes");
  options.management_interfaces = settings.list("compliance.management_interfaces");
  return options;
}

void read_log(policy::nft::NflogReader& reader, IsolationLog& isolation) {
  // A flood must not keep the loop from its other work: a few batches, then the loop's turn again.
  constexpr int batches_max = 16;
  for (int i = 0; i < batches_max; ++i) {
    const auto packets = reader.read();
    if (!packets) return log_error(LogLevel::warning, packets.error());
    for (const policy::nft::DroppedPacket& packet : *packets) isolation.add(packet);
    if (packets->size() < policy::nft::NflogReader::batch_packets_max) return;
  }
}

Result<void> run(Daemon& daemon) {
  const Settings& settings = daemon.settings;
  const std::filesystem::path state = settings.text("policy.state_directory");
  // Group-readable: the sensor reads the active policy for its labels.
  MENSHEN_CHECK(prepare_directory(state, settings, "sandbox.policyd_user", 0750));
  EventLoop loop;
  const auto control =
      MENSHEN_TRY(ControlServer::bind(control_options(settings, "general.policyd_socket"), loop));

  SandboxPlan plan;
  plan.keep_capabilities = {CAP_NET_ADMIN};
  plan.read_only = {"/proc", "/sys", "/etc", "/usr/share/zoneinfo"};
  plan.read_write = {state,
                     std::filesystem::path(settings.text("general.policyd_socket")).parent_path()};
  plan.network = true;  // netlink
  MENSHEN_CHECK(confine(daemon, "sandbox.policyd_user", plan));

  const auto kernel = MENSHEN_TRY(policy::nft::NftKernel::open());
  auto reader = MENSHEN_TRY(policy::nft::NflogReader::open(
      static_cast<std::uint16_t>(settings.integer("policy.log_group"))));
  const auto audit =
      MENSHEN_TRY(audit::Client::start(audit_client_options(settings, "policyd", state)));
  IsolationLog isolation(
      static_cast<std::size_t>(settings.integer("policy.isolation_records_per_second")));
  auto watch = MENSHEN_TRY(policy::nft::TransactionWatch::open());
  Enforcer enforcer(*kernel, lower_options(settings), &policy::nft::surroundings);
  PolicyService service(service_options(settings), enforcer, *audit, isolation);
  MENSHEN_CHECK(service.start());
  service.add_operations(*control);

  watch_signals(daemon.signals, loop, [&] { tell_changed_settings(daemon, "enforcing"); });
  loop.watch(reader.fd(), POLLIN, [&](short) { read_log(reader, isolation); });
  loop.every(isolation_period, [&] { service.flush_isolation(reader); });
  loop.watch(watch.fd(), POLLIN, [&](short) { service.on_transactions(watch, kernel->address()); });
  loop.every(confirm_period, [&] { service.check_confirm(); });
  loop.every(expiry_period, [&] { service.check_expiry(); });
  if (const auto seconds = settings.integer("policy.drift_check_seconds"); seconds > 0) {
    loop.every(std::chrono::seconds(seconds), [&] { service.check_drift(); });
  }
  notify_ready(service.active() ? "enforcing " + service.active()->name : "no policy applied");
  MENSHEN_CHECK(loop.run());

  // The table stays in the kernel: isolation does not depend on this process.
  notify_stopping();
  read_log(reader, isolation);
  service.flush_isolation(reader);
  return audit->flush(audit_flush);
}

Result<void> remove_ruleset() {
  const auto kernel = MENSHEN_TRY(policy::nft::NftKernel::open());
  return kernel->remove("menshen");
}

}  // namespace
}  // namespace menshen::apps

int main(int argc, char** argv) {
  return menshen::apps::run_daemon(
      argc, argv,
      {"menshen-policyd",
       {"门神策略守护进程：将策略下发至内核并持续核对，读取隔离阻断日志",
        "The policy daemon of Menshen: puts the policy into the kernel, keeps checking it there, "
        "and reads the log of what it dropped"},
       "--remove-ruleset",
       {"移除内核规则集后退出（卸载时使用，此后转发不受限制）",
        "Remove the ruleset from the kernel and exit (for removing the package: forwarding is free "
        "afterwards)"},
       menshen::apps::remove_ruleset},
      menshen::apps::run);
}
