#include "apps/common/audit_record.hpp"

namespace menshen::apps {

audit::Record to_record(const Act& act) {
  audit::Record record;
  record.kind = act.kind;
  record.severity = act.severity;
  record.outcome = act.outcome;
  record.subject = act.subject;
  record.action = act.action;
  record.object = act.object;
  record.message = act.message.zh + " / " + act.message.en;
  if (!act.detail.empty()) record.detail = to_line(act.detail);
  return record;
}

audit::ClientOptions audit_client_options(const Settings& settings, std::string source,
                                          const std::filesystem::path& state_directory) {
  audit::ClientOptions options;
  options.socket = settings.text("general.auditd_socket");
  options.spool_directory = state_directory / "audit-spool";
  options.source = std::move(source);
  options.spool_bytes_max = static_cast<std::uint64_t>(settings.integer("audit.spool_mib")) << 20U;
  return options;
}

Json to_json(const audit::ClientStats& stats) {
  return {{"connected", stats.connected},
          {"submitted", stats.submitted},
          {"delivered", stats.delivered},
          {"spooled", stats.spooled},
          {"lost", stats.lost},
          {"refused", stats.refused},
          {"queued", stats.queued},
          {"spool_bytes", stats.spool_bytes},
          {"last_error", stats.last_error}};
}

}  // namespace menshen::apps
